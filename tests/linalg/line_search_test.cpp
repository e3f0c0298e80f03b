// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/detail/line_search.hpp"

#include "linalg/objectives.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;
using namespace objectives;

namespace {
using hone::linalg::detail::line_point;

struct searched {
  std::vector<double> steps;
  line_point end;
};
template <class Phi>
searched search(Phi&& phi, const line_point& start, double longest = infinite, double slack = 0) {
  searched result;
  result.end = detail::search_line(
      [&](double t) {
        result.steps.push_back(t);
        const auto [value, slope] = phi(t);
        return line_point{t, value, slope};
      },
      start, 1, longest, slack);
  return result;
}
bool taken(double value, double slope, double slack = 0) {
  return search([&](double) { return std::pair{value, slope}; }, {0, 0, -1}, infinite, slack).steps.size() == 1;
}
}  // namespace

TEST_CASE("line search: Wolfe's conditions with 0.1 and 0.9, the approximate ones with -0.9 and 0.8 of the slope") {
  CHECK(taken(-0.1, 0.9));
  CHECK(!taken(-0.0999, 0.9));
  CHECK(taken(-0.0999, 0.8));
  CHECK(!taken(0, 0.801));
  CHECK(taken(0, -0.9));
  CHECK(!taken(-5, -0.901));
  CHECK(!taken(1e-5, 0));
  CHECK(taken(1e-5, 0, 1e-5));
  CHECK(!taken(1e-5, 0, 0.99e-5));
  const auto phi = [](double value, double slope) { return [=](double) { return std::pair{value, slope}; }; };
  CHECK(search(phi(-1, -1), {0, 0, -1}, 1).end.step == 1);  // as far as it goes, and still falling
  CHECK(search(phi(1, -1), {0, 0, -1}, 1).end.step == 0);
  CHECK(search(phi(not_a_number, -1), {0, 0, -1}).end.step == 0);
  CHECK(search(phi(-1, not_a_number), {0, 0, -1}).end.step == 0);
}

TEST_CASE("line search: where it looks") {
  const auto falling = [](double t) { return std::pair{-t, -1.0}; };
  const auto line = search(falling, {0, 0, -1});
  CHECK(line.steps.size() == 61);
  CHECK(line.steps[1] == 10);
  CHECK(line.steps[2] == 100);
  CHECK(line.end.step == line.steps[59]);  // the last that was finite, asked for again
  CHECK(search(falling, {0, 0, -1}, 35).steps == std::vector<double>{1, 10, 35});
  CHECK(search(falling, {0, 0, -1}, 0.25).steps == std::vector<double>{0.25});
  const auto bowl = [](double t) { return std::pair{(t - 0.3) * (t - 0.3), 2 * (t - 0.3)}; };
  const auto secant = search(bowl, {0, 0.09, -0.6});
  CHECK(secant.steps.size() == 2);
  CHECK(secant.steps[1] == Approx(0.3));
  const auto wall = [](double t) { return std::pair{t > 0.05 ? infinite : -t, t > 0.05 ? 0 : -0.5}; };
  CHECK(search(wall, {0, 0, -1}).steps == std::vector<double>{1, 0.1, 0.1 * 0.1});
  const auto up = [](double t) { return std::pair{t > 0.2 ? 1.0 : -t, -0.5}; };  // falls, but higher: halves
  CHECK(search(up, {0, 0, -1}).steps == std::vector<double>{1, 0.5, 0.25, 0.125});
  // slopes of 1e20 at one end: secants alone would creep
  const auto steep = [](double t) { return std::pair{std::exp(50 * t) / 50 - 2 * t, std::exp(50 * t) - 2}; };
  CHECK(search(steep, {0, 0.02, -1}).steps.size() <= 14);
}
