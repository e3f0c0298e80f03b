// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "route/mixture.hpp"

#include "examples/support.hpp"

#include <set>

using namespace route;

TEST_CASE("a mixture draws, teaches and checks each of its tasks in one vocabulary") {
  const mixture all;
  check_draws(all, 300);
  CHECK(std::set<std::string>(all.words().begin(), all.words().end()).size() == all.words().size());
  for (std::size_t d = 0; d < domains().size(); ++d)
    for (std::uint64_t i = 0; i < 50; ++i) {
      INFO(domains()[d].name);
      const problem p = all.draw_of(d, 3, i);
      const auto own = tasks::make_task(domains()[d].task,
                                        {.horizons = domains()[d].horizons, .error = 0, .moduli = domains()[d].moduli});
      CHECK(all.text(p.prompt) == own->text(own->draw(3, i).prompt));
      const tokens answer = body(all.trace(p, 3, i));
      CHECK(all.check(p, answer).reward == own->check(own->draw(3, i), body(own->trace(own->draw(3, i), 3, i))).reward);
      CHECK(all.solutions(p) == own->solutions(own->draw(3, i)));
      if (domains()[d].task != std::string("tree")) check_rejections(all, p, answer);  // the tree hides strategies
      const problem other = all.draw_of((d + 1) % domains().size(), 3, i);
      CHECK(all.check(other, answer).reward == 0);
    }
}
