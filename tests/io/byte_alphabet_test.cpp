// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/byte_alphabet.hpp"

#include "support/catch.hpp"

using namespace hone::io;

TEST_CASE("the alphabet of bytes: printable ones are themselves, the others follow U+0100 in order") {
  CHECK(byte_alphabet['!'] == u'!');
  CHECK(byte_alphabet['~'] == u'~');
  CHECK(byte_alphabet[0xa1] == 0xa1);
  CHECK(byte_alphabet[0xff] == 0xff);
  CHECK(byte_alphabet[0] == 0x100);
  CHECK(byte_alphabet['\n'] == 0x10a);
  CHECK(byte_alphabet[' '] == 0x120);
  CHECK(byte_alphabet[0x7f] == 0x121);
  CHECK(byte_alphabet[0xa0] == 0x142);
  CHECK(byte_alphabet[0xad] == 0x143);
}

TEST_CASE("every byte comes back from its letter, and nothing else is one") {
  std::string piece, bytes;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    append_utf8(piece, byte_alphabet[byte]);
    bytes += static_cast<char>(byte);
  }
  CHECK(bytes_of_alphabet(piece) == bytes);
  CHECK(bytes_of_alphabet("").value().empty());
  CHECK(bytes_of_alphabet("\xc4\xa0the") == " the");
  for (const char* other : {" ", "\n", "\xc5\x84", "\xe2\x96\x81", "\xff", "a\x80", "\xc2\xad"})
    CHECK_FALSE(bytes_of_alphabet(other));
}

TEST_CASE("byte tokens are named by two upper-case hexadecimal digits") {
  CHECK(byte_of_piece("<0x00>") == 0);
  CHECK(byte_of_piece("<0x0A>") == 10);
  CHECK(byte_of_piece("<0xFF>") == 255);
  for (const char* other : {"", "<0x>", "<0x0>", "<0x0a>", "<0xG0>", "<0x000>", "0x00", "<0x00) ", "<1x00>"})
    CHECK(byte_of_piece(other) == -1);
}
