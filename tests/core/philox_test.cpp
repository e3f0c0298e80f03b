// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/philox.hpp"

#include "support/catch.hpp"

using hone::philox;

TEST_CASE("Philox4x32-10 gives its authors' known answers") {
  using word4 = std::array<std::uint32_t, 4>;
  CHECK(hone::philox4x32({0, 0, 0, 0}, {0, 0}) == word4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t all = 0xffffffff;
  CHECK(hone::philox4x32({all, all, all, all}, {all, all}) == word4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(hone::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        word4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a draw is a function of seed, stream, index and draw") {
  CHECK(philox{1, 2}.uniform(3) == philox{1, 2}.uniform(3));
  CHECK(philox{1, 2}.uniform(3) != philox{1, 2}.uniform(4));
  CHECK(philox{1, 2}.uniform(3) != philox{1, 3}.uniform(3));
  CHECK(philox{1, 2}.uniform(3) != philox{2, 2}.uniform(3));
  CHECK(philox{1, 2}.uniform(3) != philox{1, 2}.uniform(3, 1));
  CHECK(philox{1, 2}.uniform(std::uint64_t{1} << 40) != philox{1, 2}.uniform(0));
}

TEST_CASE("every bit of seed, stream, index and draw counts") {
  constexpr philox random{0xfedcba9876543210u, 0xa5a5a5a5u};
  CHECK(random.bits(0x0123456789abcdefu, 0x5a5a5a5au) ==
        hone::philox4x32({0x89abcdef, 0x01234567, 0xa5a5a5a5, 0x5a5a5a5a}, {0x76543210, 0xfedcba98}));
  for (int bit = 0; bit < 64; ++bit) {
    CAPTURE(bit);
    CHECK(random.bits(std::uint64_t{1} << bit) != random.bits(0));
    CHECK(philox{std::uint64_t{1} << bit}.bits(0) != philox{0}.bits(0));
  }
}

TEST_CASE("uniforms are the upper 53 bits of two words") {
  CHECK(philox::unit(0, 0x7ff) == 0);
  CHECK(philox::unit(0, 0x800) == 0x1p-53);
  CHECK(philox::unit(0x80000000u, 0) == 0.5);
  CHECK(philox::unit(0xffffffffu, 0xffffffffu) == 1 - 0x1p-53);
  const auto words = philox{1, 2}.bits(3, 4);
  CHECK(philox{1, 2}.uniform(3, 4) == philox::unit(words[0], words[1]));
  CHECK(philox{}.seed == 0);
  CHECK(philox{}.stream == 0);
  CHECK(philox{}.bits(0) == hone::philox4x32({0, 0, 0, 0}, {0, 0}));
}
