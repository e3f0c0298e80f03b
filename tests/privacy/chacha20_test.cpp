// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/chacha20.hpp"

#include <cstring>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

#include <sys/wait.h>

using namespace hone;
using namespace hone::privacy;

namespace {

/// The words as RFC 8439 writes them, byte by byte.
std::string hex(const std::array<std::uint32_t, 16>& block) {
  std::string text;
  for (const std::uint32_t word : block)
    for (int byte = 0; byte < 4; ++byte) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(word >> (8 * byte) & 0xff));
      text += digits;
    }
  return text;
}

bool holds(const unsigned char* bytes, std::size_t size, std::uint64_t word) {
  for (std::size_t i = 0; i + sizeof word <= size; i += sizeof word)
    if (std::memcmp(bytes + i, &word, sizeof word) == 0) return true;
  return false;
}

}  // namespace

static_assert(random_bits<chacha20> && random_bits<test_random>);
static_assert(!random_bits<philox>);
static_assert(!std::is_copy_constructible_v<chacha20> && !std::is_copy_assignable_v<chacha20>);
static_assert(!std::is_move_constructible_v<chacha20> && !std::is_move_assignable_v<chacha20>);
static_assert(!std::is_constructible_v<chacha20, std::uint64_t>);
static_assert(!std::is_constructible_v<chacha20, std::array<std::uint32_t, 8>>);
static_assert(!std::is_convertible_v<std::uint64_t, test_random> && !std::is_default_constructible_v<test_random>);

TEST_CASE("chacha20_block has the vectors of RFC 8439") {
  std::array<std::uint32_t, 8> key;
  for (std::uint32_t i = 0; i < 8; ++i) key[i] = 0x03020100u + 0x04040404u * i;
  CHECK(hex(chacha20_block(key, 1, {0x09000000u, 0x4a000000u, 0})) ==
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e");
  CHECK(hex(chacha20_block({}, 0, {})) ==
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
  CHECK(hex(chacha20_block({}, 1, {})) ==  // appendix A.1, vector 2
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
}

TEST_CASE("a buffer is made of the blocks in order, low words first") {
  const std::array<std::uint32_t, 8> key = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<std::uint64_t> words(21, 7);
  privacy::detail::chacha20_fill(key, words);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto block = chacha20_block(key, static_cast<std::uint32_t>(i / 8), {});
    CHECK(static_cast<std::uint32_t>(words[i]) == block[2 * (i % 8)]);
    CHECK(static_cast<std::uint32_t>(words[i] >> 32) == block[2 * (i % 8) + 1]);
  }
}

TEST_CASE("chacha20 gives other words each time, half of whose bits are set") {
  chacha20 one, other;
  std::set<std::uint64_t> seen;
  std::array<int, 64> set{};
  for (int i = 0; i < 10000; ++i)
    for (chacha20* random : {&one, &other}) {
      const std::uint64_t word = (*random)();
      seen.insert(word);
      for (std::size_t bit = 0; bit < 64; ++bit) set[bit] += static_cast<int>(word >> bit & 1);
    }
  CHECK(seen.size() == 20000);
  for (const int count : set) CHECK(std::abs(count - 10000) < 500);  // seven deviations
}

TEST_CASE("what chacha20 handed out is not in it, and nothing is after its destruction") {
  alignas(chacha20) unsigned char memory[sizeof(chacha20)];
  std::memset(memory, 0xa5, sizeof memory);
  auto* random = new (memory) chacha20;
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t word = (*random)();
    CHECK_FALSE(holds(memory, sizeof memory, word));
  }
  std::vector<unsigned char> left(memory, memory + sizeof memory);
  CHECK(std::count(left.begin(), left.end(), 0) < static_cast<std::ptrdiff_t>(sizeof memory));
  std::destroy_at(random);
  left.assign(memory, memory + sizeof memory);
  CHECK(std::count(left.begin(), left.end(), 0) == static_cast<std::ptrdiff_t>(sizeof memory));
}

TEST_CASE("after a fork parent and child have different words") {
  chacha20 random;
  random();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    const std::uint64_t word = random();
    ::_exit(::write(ends[1], &word, sizeof word) == sizeof word ? 0 : 1);
  }
  REQUIRE(child > 0);
  std::uint64_t theirs = 0;
  REQUIRE(::read(ends[0], &theirs, sizeof theirs) == sizeof theirs);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  ::close(ends[0]);
  ::close(ends[1]);
  for (int i = 0; i < 200; ++i) CHECK(random() != theirs);
}

TEST_CASE("test_random repeats, is another stream for another seed, and has the words of Philox") {
  test_random one(7), same(7), other(8);
  bool differs = false;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const std::uint64_t word = one();
    CHECK(word == same());
    const auto bits = philox{7}.bits(i);
    CHECK(word == (bits[0] | std::uint64_t{bits[1]} << 32));
    differs = differs || word != other();
  }
  CHECK(differs);
}
