// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "support/table.hpp"

#include "support/catch.hpp"

TEST_CASE("table: a cell is as wide as it looks, and no column cuts it") {
  CHECK(program::right("ab", 4) == "  ab");
  CHECK(program::right("1±2", 4) == " 1±2");
  CHECK(program::right("abc", 2) == "abc");
}

TEST_CASE("table: a mean has half of its interval, where there are several values") {
  CHECK(program::mean_and_margin({1, 2, 3}, 2) == "2.00±2.48");
  CHECK(program::mean_and_margin({1.25}, 1) == "1.2");
  CHECK(program::margin({1}, 3).empty());
}
