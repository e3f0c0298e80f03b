// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Random bits for noise: `chacha20`, whose keys come from the system and are gone after use, and `test_random`, which
/// repeats. They are different types, so that a result can carry which of them made it and only the first be released.
/// The block function is that of [Nir, Langley 2018, ChaCha20 and Poly1305 for IETF Protocols, RFC 8439, 2.3].
#pragma once
#include "hone/core/philox.hpp"

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <span>

#include <sys/random.h>
#include <unistd.h>

namespace HONE_NAMESPACE::privacy {

/// A source of 64 random bits a call, random().
template <class Random>
concept random_bits = requires(Random& random) {
  { random() } -> std::same_as<std::uint64_t>;
};

/// Twenty rounds over constants, key, counter and nonce, all as little-endian words.
constexpr std::array<std::uint32_t, 16> chacha20_block(const std::array<std::uint32_t, 8>& key, std::uint32_t counter,
                                                       const std::array<std::uint32_t, 3>& nonce) {
  const std::array<std::uint32_t, 16> start = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, key[0], key[1],
                                               key[2],      key[3],      key[4],      key[5],      key[6], key[7],
                                               counter,     nonce[0],    nonce[1],    nonce[2]};
  std::array<std::uint32_t, 16> x = start;
  const auto quarter = [&x](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    x[d] = std::rotl(x[d] ^ (x[a] += x[b]), 16);
    x[b] = std::rotl(x[b] ^ (x[c] += x[d]), 12);
    x[d] = std::rotl(x[d] ^ (x[a] += x[b]), 8);
    x[b] = std::rotl(x[b] ^ (x[c] += x[d]), 7);
  };
  for (int round = 0; round < 10; ++round) {
    for (std::size_t i = 0; i < 4; ++i) quarter(i, i + 4, i + 8, i + 12);
    for (std::size_t i = 0; i < 4; ++i) quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12);
  }
  for (std::size_t i = 0; i < 16; ++i) x[i] += start[i];
  return x;
}

namespace detail {

/// Sets @p size bytes to 0, which no optimiser takes for a dead store.
inline void wipe(void* memory, std::size_t size) {
  auto* bytes = static_cast<volatile unsigned char*>(memory);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = 0;
}

/// The blocks 0, 1, ... of the key under nonce 0, each as eight words of 64 bits.
inline void chacha20_fill(const std::array<std::uint32_t, 8>& key, std::span<std::uint64_t> words) {
  for (std::size_t i = 0; i < words.size(); i += 8) {
    auto block = chacha20_block(key, static_cast<std::uint32_t>(i / 8), {});
    for (std::size_t j = 0; j < 8 && i + j < words.size(); ++j)
      words[i + j] = block[2 * j] | std::uint64_t{block[2 * j + 1]} << 32;
    wipe(block.data(), sizeof block);
  }
}

}  // namespace detail

/// Random bits that nobody can repeat: there is no way to choose a key, and none to copy a state. Each kilobyte has a
/// key of its own, from getrandom(2), which is wiped when its words are made; words are wiped when they are handed out,
/// and all of them on destruction. After a fork, parent and child go on with different words. One thread at a time.
/// @note 20 rounds for 8 words, and one call of getpid(2) a word.
class chacha20 {
 public:
  /// @throws std::runtime_error if the system has no random bytes.
  chacha20() { refill(); }
  chacha20(const chacha20&) = delete;
  chacha20& operator=(const chacha20&) = delete;
  ~chacha20() { detail::wipe(this, sizeof *this); }

  /// 64 bits. @throws std::runtime_error if the system has no random bytes.
  std::uint64_t operator()() {
    if (next_ == words_.size() || process_ != ::getpid()) refill();
    const std::uint64_t word = words_[next_];
    detail::wipe(&words_[next_++], sizeof word);
    return word;
  }

 private:
  void refill() {
    std::array<std::uint32_t, 8> key;
    if (::getentropy(key.data(), sizeof key) != 0)  // getrandom(2), all bytes or none
      HONE_THROW(std::runtime_error("hone::privacy::chacha20: the system has no random bytes"));
    detail::chacha20_fill(key, words_);
    detail::wipe(key.data(), sizeof key);
    next_ = 0;
    process_ = ::getpid();
  }

  std::array<std::uint64_t, 128> words_;
  std::size_t next_ = 0;
  ::pid_t process_ = 0;
};

/// Random bits that repeat, for tests and simulations: word i is a function of (seed, i). Noise drawn from it protects
/// nothing, as whoever has the seed subtracts it.
class test_random {
 public:
  explicit constexpr test_random(std::uint64_t seed) : words_{seed} {}

  constexpr std::uint64_t operator()() {
    const auto bits = words_.bits(index_++);
    return bits[0] | std::uint64_t{bits[1]} << 32;
  }

 private:
  philox words_;
  std::uint64_t index_ = 0;
};

}  // namespace HONE_NAMESPACE::privacy
