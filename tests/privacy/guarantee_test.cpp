// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/guarantee.hpp"

#include <string>

#include "support/catch.hpp"

using namespace hone;
using namespace hone::privacy;

static_assert(adjacency<replace_one> && adjacency<add_or_remove> && !adjacency<int>);

TEST_CASE("relations of neighbours have the names that files keep") {
  CHECK(std::string(replace_one::name) == "replace_one");
  CHECK(std::string(add_or_remove::name) == "add_or_remove");
}

TEST_CASE("outward is never below what it is given, nor far above") {
  for (const double x : {0.0, 1.0, -1.0, 1e-300, 0.1, 3e200}) {
    CHECK(privacy::detail::outward(x, 0) >= x);
    CHECK((privacy::detail::outward(x, 0) > x || x == 0));
    CHECK(privacy::detail::outward(x, 0) <= x + 4e-16 * std::abs(x));
    CHECK(privacy::detail::outward(x, 0.5) >= x + 0.5);
  }
}

TEST_CASE("bisection ends at the neighbour of what does not hold") {
  const auto at_least = [](double x) { return x >= 0.3; };
  const double least = privacy::detail::least_that_holds(0, 1, at_least);
  CHECK(least == 0.3);
  CHECK(privacy::detail::least_that_holds(0, 7, [](double) { return false; }) == 7);
}
