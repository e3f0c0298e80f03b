// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/contract.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <string>

TEST_CASE("a broken precondition names the function, the argument and the value") {
  CHECK_NOTHROW(hone::invalid_argument_unless(true, "f", "x", "never shown"));
  CHECK_THROWS_WITH(hone::invalid_argument_unless(false, "hone::f", "x", "must be positive, is %g", -1.5),
                    "hone::f: x: must be positive, is -1.5");
}

TEST_CASE("a message that is too long is cut, not overrun") {
  const std::string value(1000, 'v');
  try {
    hone::invalid_argument_unless(false, "f", "x", "%s", value.c_str());
    FAIL("did not throw");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()).size() == 255);
  }
}

TEST_CASE("where the names alone are too long, the message is what is left") {
  const std::string name(300, 'f');
  CHECK_THROWS_WITH(hone::invalid_argument_unless(false, name.c_str(), "x", "is %d", 3), "is 3");
  const std::string longest(250, 'f');  // with its marks 255 characters, and no room for more
  CHECK_THROWS_WITH(hone::invalid_argument_unless(false, longest.c_str(), "x", "is %d", 3), longest + ": x: ");
}

TEST_CASE("the lesser and the greater, of equal ones the first") {
  CHECK((hone::min)(2, 1) == 1);
  CHECK((hone::min)(1, 2) == 1);
  CHECK((hone::max)(2, 1) == 2);
  CHECK((hone::max)(1, 2) == 2);
  CHECK(std::signbit((hone::min)(-0.0, 0.0)));
  CHECK(std::signbit((hone::max)(-0.0, 0.0)));
  STATIC_REQUIRE((hone::max)(3u, 4u) == 4u);
}
