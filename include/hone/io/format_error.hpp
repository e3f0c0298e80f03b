// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every reader throws on a file that is not what it should be.
#pragma once
#include "hone/core/contract.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace HONE_NAMESPACE::io {

/// Where in a file: a byte offset in a binary one, a line (from 1) in a text; none where the whole file, a folder, or
/// something that is not there is meant.
struct position {
  enum class unit { none, byte, line } in = unit::none;
  std::uint64_t at = 0;
};

/// what() is "FILE: at byte N: reason", "FILE:LINE: reason" or "FILE: reason".
class format_error : public std::runtime_error {
 public:
  format_error(const std::string& file, position where, const std::string& reason)
      : std::runtime_error(file + text_of(where) + ": " + reason), file_(file), where_(where), reason_(reason) {}

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] position where() const { return where_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  static std::string text_of(position where) {
    if (where.in == position::unit::none) return {};
    return (where.in == position::unit::byte ? ": at byte " : ":") + std::to_string(where.at);
  }

  std::string file_;
  position where_;
  std::string reason_;
};

/// @p x as messages write it: 1e300 has no 300 digits.
inline std::string short_text(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", x);
  return text;
}

/// The first characters of @p text, of at most 40 bytes, and whether there are more; no UTF-8 character is cut, and
/// control characters are escaped as in C: a message is one line.
inline std::string short_text(std::string_view text) {
  std::size_t end = 40;
  if (text.size() <= end)
    end = text.size();
  else
    while (end > 36 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  std::string result;
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    char escaped[8] = "\\n";
    if (c != '\n') std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(byte));
    result += byte < 0x20 || byte == 0x7f ? std::string(escaped) : std::string(1, c);
  }
  return end == text.size() ? result : result + "...";
}

}  // namespace HONE_NAMESPACE::io
