// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/domain.hpp"

#include "support/catch.hpp"

using namespace hone::privacy;

TEST_CASE("columns count the constant one") {
  CHECK(columns({.rows = 1, .features = 3}) == 4);
  CHECK(columns({.rows = 1, .features = 3, .intercept = 0}) == 3);
  CHECK(columns({.rows = 1, .features = 0}) == 1);
}

TEST_CASE("rounded up is more than rounding, and little") {
  CHECK(rounded_up(1) > 1 + 1e-13);
  CHECK(rounded_up(1) < 1 + 1e-11);
  CHECK(rounded_up(0) == 0);
  CHECK(certificate{}.tau == 1e-11);
}

TEST_CASE("domains, whole messages") {
  const auto refused = [](const domain& d) {
    try {
      check(d, "f");
    } catch (const std::invalid_argument& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refused({.rows = 5, .features = 2}).empty());
  CHECK(refused({.rows = -1, .features = 2}) == "f: rows: there are -1");
  CHECK(refused({.rows = 5, .features = 0, .intercept = 0}) == "f: features: 0, and no constant column");
  CHECK(refused({.rows = 5, .features = 2, .row_bound = -2}) == "f: row_bound: must be positive and finite, is -2");
  CHECK(refused({.rows = 5, .features = 2, .outcome_bound = 0}) ==
        "f: outcome_bound: must be positive and finite, is 0");
  CHECK(refused({.rows = 5, .features = 2, .row_bound = .5}) ==
        "f: intercept: is 0.5, which leaves nothing of the row bound 0.5");
  CHECK(refused({.rows = 5, .features = 2, .arms = 65}) == "f: arms: are 65, not 2 to 64");
  CHECK(refused({.rows = 5, .features = 2, .arms = 64}).empty());
}
