// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/gradient.md shows and no other test has.
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adafactor.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/clip.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/gradient/upgrad.hpp"

#include "support/catch.hpp"

TEST_CASE("docs: one call combines in place, by groups, with a report") {
  const std::vector<float> forget = {1, -2, 0.5f};
  std::vector<float> retain = {2, 1, -1};
  const std::vector<hone::index_t> offsets = {0, 1, 3};
  hone::thread_pool pool(2);
  const auto report =
      hone::gradient::combine(hone::gradient::sago{.retain = 1, .forget = 1},  // or another method of the table below
                              hone::gradient::tasks(forget, retain),           // two vectors of n; nothing is copied
                              retain,  // where the result goes: memory, an input, or a sink
                              {.groups = offsets, .geometry = true}, pool);
  CHECK(retain == std::vector<float>{1, 1, -1});
  CHECK(report.conflict_share() == Approx(2.0 / 3));
}

TEST_CASE("docs: an optimiser as the sink") {
  using namespace hone::gradient;
  const std::vector<float> f = {1, -2, 0.5f}, r = {2, 1, -1};
  const std::vector<hone::index_t> groups = {0, 3};
  std::vector<float> p = {1, 1, 1}, m(3), v(3);
  hone::thread_pool pool(2);
  const hone::index_t t = 1;
  combine(pcgrad{}, tasks(f, r), adamw(p, m, v, t), {.groups = groups}, pool);
  for (std::size_t i = 0; i < 3; ++i) CHECK((p[i] < 1) == (m[i] > 0));
}

TEST_CASE("docs: Adafactor asks for the combined gradient") {
  using namespace hone::gradient;
  using hone::index_t;
  const std::vector<float> f = {1, -2, 0.5f, 1}, r = {2, 1, -1, 1};
  std::vector<float> weights = {1, 1, 1, 1}, row(2), col(2);
  const hone::matrix_view<float> p(weights.data(), 2, 2);
  hone::thread_pool pool(2);
  const index_t t = 1;
  const auto w = upgrad<2>{}.weights(gram(tasks(f, r)));
  adafactor(
      p, row, col, t,
      [&](index_t begin, index_t count, auto&& sink) { weighted_sum(w, tasks(f, r).slice(begin, count), sink); }, {},
      pool);
  CHECK(weights[0] < 1);
}

TEST_CASE("docs: clipping to the norm of all groups") {
  using namespace hone::gradient;
  const std::vector<float> f = {1, -2, 0.5f}, r = {2, 1, -1};
  std::vector<float> out(3);
  hone::thread_pool pool(2);
  const sago method;
  const auto g = tasks(f, r);
  const combine_options options;
  const double squared = combined_squared_norm(method, g, options, pool);  // one read of the gradients
  combine(scaled{method, clip_factor(squared, 1.0)}, g, out, options, pool);
  CHECK(hone::squared_norm(out) == Approx(1));
}
