// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How vocabularies write bytes. Byte-level ones have an alphabet: the 188 printable ones of Latin-1 as themselves, the
/// others as U+0100 and on, in order; a space is U+0120. [Radford et al. 2019, GPT-2; openai/gpt-2, encoder.py]
#pragma once
#include "hone/io/unicode.hpp"

#include <array>
#include <optional>

namespace HONE_NAMESPACE::io {

namespace detail {

constexpr std::array<char16_t, 256> make_byte_alphabet() {
  std::array<char16_t, 256> letters{};
  char16_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    letters[byte] = printable ? static_cast<char16_t>(byte) : next++;
  }
  return letters;
}

}  // namespace detail

/// The letter of each byte.
inline constexpr std::array<char16_t, 256> byte_alphabet = detail::make_byte_alphabet();

namespace detail {

inline std::array<std::int16_t, 0x200> make_bytes_of_letters() {
  std::array<std::int16_t, 0x200> bytes;
  bytes.fill(-1);
  for (std::size_t byte = 0; byte < 256; ++byte) bytes[byte_alphabet[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}

}  // namespace detail

/// The bytes that @p piece writes in that alphabet; nothing if it holds another character.
inline std::optional<std::string> bytes_of_alphabet(std::string_view piece) {
  static const std::array<std::int16_t, 0x200> byte_of = detail::make_bytes_of_letters();
  std::string bytes;
  for (std::size_t at = 0; at < piece.size();) {
    const character c = character_at(piece, at);
    if (c.value >= byte_of.size() || byte_of[c.value] < 0) return std::nullopt;
    bytes += static_cast<char>(byte_of[c.value]);
    at += c.size;
  }
  return bytes;
}

/// The byte that a piece such as <0x41> names, -1 for any other piece.
inline int byte_of_piece(std::string_view piece) {
  const auto digit = [&](std::size_t i) {
    const char c = piece[i];
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (piece.size() != 6 || !piece.starts_with("<0x") || !piece.ends_with('>') || digit(3) < 0 || digit(4) < 0)
    return -1;
  return 16 * digit(3) + digit(4);
}

}  // namespace HONE_NAMESPACE::io
