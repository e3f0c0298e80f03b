// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A number that stands for a value's type and what is in it, so that ranks can see whether they were called alike.
#pragma once
#include "hone/core/contract.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace HONE_NAMESPACE::distributed {

namespace detail {

struct anything {
  template <class T>
  operator T() const;
};

/// How many initialisers the aggregate T takes: its fields, an array member (std::array) being one.
template <class T, class... Field>
consteval std::size_t field_count() {
  if constexpr (requires { T{Field{}..., anything{}}; })
    return field_count<T, Field..., anything>();
  else
    return sizeof...(Field);
}

/// f(field) …, in order.
template <class T, class F>
void for_each_field(const T& x, F&& f) {
  constexpr std::size_t count = field_count<T>();
  static_assert(count <= 8, "hone::distributed: more than 8 fields; put some into a struct of their own");
  const auto all = [&](const auto&... field) { (f(field), ...); };
  if constexpr (count == 1) {
    const auto& [a] = x;
    all(a);
  } else if constexpr (count == 2) {
    const auto& [a, b] = x;
    all(a, b);
  } else if constexpr (count == 3) {
    const auto& [a, b, c] = x;
    all(a, b, c);
  } else if constexpr (count == 4) {
    const auto& [a, b, c, d] = x;
    all(a, b, c, d);
  } else if constexpr (count == 5) {
    const auto& [a, b, c, d, e] = x;
    all(a, b, c, d, e);
  } else if constexpr (count == 6) {
    const auto& [a, b, c, d, e, g] = x;
    all(a, b, c, d, e, g);
  } else if constexpr (count == 7) {
    const auto& [a, b, c, d, e, g, h] = x;
    all(a, b, c, d, e, g, h);
  } else if constexpr (count == 8) {
    const auto& [a, b, c, d, e, g, h, i] = x;
    all(a, b, c, d, e, g, h, i);
  }
}

template <class T>
constexpr const char* name_of() {
#if defined(__GNUC__)
  return __PRETTY_FUNCTION__;
#else
  return __FUNCSIG__;
#endif
}

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;

/// FNV-1a [Fowler, Noll, Vo], byte by byte.
class digest {
 public:
  /// Numbers and enumerators by their value, arrays, aggregates and what they hold field by field. A span of constants
  /// by its elements; of what may be written, which is a state of the rank's own, by its size. Of anything else
  /// (private fields, pointers) nothing is known but the type.
  template <class T>
  digest& add(const T& x) {
    if constexpr (std::is_floating_point_v<T>) {
      word(std::bit_cast<std::uint64_t>(static_cast<double>(x) + 0.0));  // -0 is 0
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      word(static_cast<std::uint64_t>(x));
    } else if constexpr (is_span<T>) {
      word(x.size());
      if constexpr (std::is_const_v<typename T::element_type>)
        for (const auto& element : x) add(element);
    } else if constexpr (is_array<T>) {
      for (const auto& element : x) add(element);
    } else {
      name(name_of<T>());
      if constexpr (std::is_aggregate_v<T>) for_each_field(x, [&](const auto& field) { add(field); });
    }
    return *this;
  }

  /// 53 bits of it, which a double holds.
  [[nodiscard]] double value() const { return static_cast<double>(hash_ >> 11); }

 private:
  /// Without the namespace of the build: ranks on other processors are called alike.
  void name(std::string_view x) {
    constexpr std::string_view build = HONE_BUILD_NAME "::";
    while (!x.empty()) {
      if (x.starts_with(build)) x.remove_prefix(build.size());
      if (!x.empty()) byte(static_cast<unsigned char>(x.front()));
      if (!x.empty()) x.remove_prefix(1);
    }
  }
  void byte(std::uint64_t x) { hash_ = (hash_ ^ x) * 1099511628211u; }
  void word(std::uint64_t x) {
    for (int i = 0; i < 8; ++i, x >>= 8) byte(x & 0xff);
  }

  std::uint64_t hash_ = 14695981039346656037u;
};

}  // namespace detail

}  // namespace HONE_NAMESPACE::distributed
