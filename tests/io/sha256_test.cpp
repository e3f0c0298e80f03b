// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/sha256.hpp"

#include "support/catch.hpp"

using namespace hone::io;

namespace {

std::string digits_of(std::string_view text) {
  sha256 hash;
  hash.add(text);
  return hash.digits();
}

}  // namespace

TEST_CASE("SHA-256 of the standard's examples") {
  CHECK(digits_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digits_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digits_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digits_of(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 does not depend on the pieces") {
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>(i * 37 + 1);
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const std::string part = text.substr(0, length), whole = digits_of(part);
    for (const std::size_t piece : {1u, 7u, 63u, 64u, 65u}) {
      sha256 hash;
      for (std::size_t at = 0; at < length; at += piece) hash.add(std::string_view(part).substr(at, piece));
      REQUIRE(hash.digits() == whole);
    }
  }
}
