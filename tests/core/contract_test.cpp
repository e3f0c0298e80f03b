// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/contract.hpp"

#include "support/catch.hpp"

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
