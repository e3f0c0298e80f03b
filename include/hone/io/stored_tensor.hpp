// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What files of weights have in common: named tensors of elements in some storage format. Reading lists them, with
/// their bytes where they lie; elements are converted when they are asked for.
#pragma once
#include "hone/core/output.hpp"
#include "hone/core/simd_memory.hpp"
#include "hone/io/mapped_file.hpp"

#include <array>
#include <limits>
#include <memory>

namespace HONE_NAMESPACE::io {

enum class element_kind { float32, float16, bfloat16, float64, int32, int64, uint8, q8_0, listed_only };

/// A storage format: @c block elements take @c bits bits.
struct element_type {
  const char* name;  ///< as its file format calls it
  element_kind kind;
  std::uint32_t block;
  std::uint32_t bits;
};

/// One tensor of a file. The bytes belong to the file: they are there as long as it.
struct stored_tensor {
  std::string name;
  const element_type* type;
  std::vector<index_t> shape;  ///< row-major: the last index runs fastest
  std::span<const std::byte> bytes;
  std::uint64_t offset;  ///< of the bytes in their file
  std::shared_ptr<const std::string> file;

  [[nodiscard]] index_t size() const {
    index_t product = 1;
    for (const index_t n : shape) product *= n;
    return product;
  }
};

/// The tensor called @p name in a list that is sorted by name, as readers give it, or nullptr.
inline const stored_tensor* find_tensor(std::span<const stored_tensor> sorted, std::string_view name) {
  const auto found = std::lower_bound(sorted.begin(), sorted.end(), name,
                                      [](const stored_tensor& t, std::string_view wanted) { return t.name < wanted; });
  return found == sorted.end() || found->name != name ? nullptr : &*found;
}

namespace detail {

/// @throws format_error that names @p t and its place in its file.
[[noreturn]] inline void fail(const stored_tensor& t, const std::string& reason) {
  throw format_error(*t.file, {position::unit::byte, t.offset}, "tensor \"" + t.name + "\": " + reason);
}

/// Multiplies; false, where the product is more than an index_t holds, leaves it as it was.
inline bool multiply(std::uint64_t& product, std::uint64_t factor) {
  constexpr auto most = static_cast<std::uint64_t>((std::numeric_limits<index_t>::max)());
  if (factor != 0 && product > most / factor) return false;
  if (factor > most) return false;  // times 0
  product *= factor;
  return true;
}

inline constexpr index_t element_chunk = 1024;

/// Calls @p f(values, at, count) with the elements of @p bytes chunk by chunk, aligned, in the machine's byte order.
template <class Stored, class F>
void for_each_chunk(std::span<const std::byte> bytes, F&& f) {
  alignas(64) Stored values[element_chunk];
  const auto total = static_cast<index_t>(bytes.size() / sizeof(Stored));
  for (index_t at = 0; at < total; at += element_chunk) {
    const index_t count = (std::min)(element_chunk, total - at);
    std::memcpy(static_cast<void*>(values), bytes.data() + static_cast<std::size_t>(at) * sizeof(Stored),
                static_cast<std::size_t>(count) * sizeof(Stored));
    if constexpr (std::endian::native == std::endian::big) {
      constexpr std::size_t number = sizeof(Stored) > 8 ? 2 : sizeof(Stored);  // of a block, its factor
      auto* raw = reinterpret_cast<std::byte*>(values);
      for (index_t i = 0; i < count; ++i, raw += sizeof(Stored)) std::reverse(raw, raw + number);
    }
    f(values, at, count);
  }
}

/// 32 elements: int8 times one float16. [ggml, block_q8_0]
struct q8_0 {
  float16 factor;
  std::int8_t whole[32];
};
static_assert(sizeof(q8_0) == 34);

template <class Stored>
inline constexpr index_t elements_in = std::is_same_v<Stored, q8_0> ? 32 : 1;

/// @p count stored values, each of elements_in<Stored> elements.
template <class Stored, class T>
void convert(const Stored* from, T* to, index_t count) {
  index_t i = 0;
  if constexpr (std::is_same_v<T, float> && (std::is_same_v<Stored, float16> || std::is_same_v<Stored, bfloat16>))
    for (constexpr int lanes = simd::pack<float>::lanes; i + lanes <= count; i += lanes)
      simd::store(to + i, simd::load<float>(from + i));
  for (; i < count; ++i) {
    if constexpr (std::is_same_v<Stored, q8_0>)
      for (int k = 0; k < 32; ++k)
        to[32 * i + k] = static_cast<T>(float{from[i].factor} * static_cast<float>(from[i].whole[k]));
    else if constexpr (scalar<Stored>)
      to[i] = static_cast<T>(to_accumulator(from[i]));
    else
      to[i] = static_cast<T>(from[i]);
  }
}

template <class T>
index_t count_nonfinite(const T* x, index_t count) {
  simd::counter<T> counter;
  index_t i = 0;
  for (constexpr int lanes = simd::pack<T>::lanes; i + lanes <= count; i += lanes)
    counter.add_nonfinite(simd::load<T>(x + i));
  if (i < count) counter.add_nonfinite(simd::load<T>(x + i, count - i));
  return static_cast<index_t>(counter.total());
}

/// Copies n elements to @p out chunk by chunk; while a chunk is in cache its infinite and NaN elements are counted.
template <class Stored, class T>
index_t copy_as(std::span<const std::byte> bytes, T* out) {
  index_t nonfinite = 0;
  if constexpr (std::is_same_v<Stored, T> && std::endian::native == std::endian::little) {
    constexpr std::size_t chunk = 16 * element_chunk;
    for (std::size_t at = 0; at < bytes.size(); at += chunk * sizeof(T), out += chunk) {
      const std::size_t size = (std::min)(chunk * sizeof(T), bytes.size() - at);
      std::memcpy(out, bytes.data() + at, size);
      nonfinite += count_nonfinite(out, static_cast<index_t>(size / sizeof(T)));
    }
  } else {
    for_each_chunk<Stored>(bytes, [&](const Stored* values, index_t at, index_t count) {
      T* to = out + elements_in<Stored> * at;
      convert(values, to, count);
      nonfinite += count_nonfinite(to, elements_in<Stored> * count);
    });
  }
  return nonfinite;
}

}  // namespace detail

/// Converts the elements of @p t, in the order of its shape, to @p out (T: float or double), rounding where T is the
/// narrower type, and returns how many are infinite or NaN: they are kept, not hidden.
/// @throws std::invalid_argument unless @p out has as many elements; format_error if its type is only listed.
/// @note One pass; allocates nothing.
template <class T>
index_t copy_elements(const stored_tensor& t, std::span<T> out) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  invalid_argument_unless(out.size() == static_cast<std::size_t>(t.size()), "hone::io::copy_elements", "out",
                          "has %zu elements, \"%s\" has %td", out.size(), t.name.c_str(), t.size());
  check_output(out, "hone::io::copy_elements", "out");
  switch (t.type->kind) {
    case element_kind::float32: return detail::copy_as<float>(t.bytes, out.data());
    case element_kind::float16: return detail::copy_as<float16>(t.bytes, out.data());
    case element_kind::bfloat16: return detail::copy_as<bfloat16>(t.bytes, out.data());
    case element_kind::float64: return detail::copy_as<double>(t.bytes, out.data());
    case element_kind::int32: return detail::copy_as<std::int32_t>(t.bytes, out.data());
    case element_kind::int64: return detail::copy_as<std::int64_t>(t.bytes, out.data());
    case element_kind::uint8: return detail::copy_as<std::uint8_t>(t.bytes, out.data());
    case element_kind::q8_0: return detail::copy_as<detail::q8_0>(t.bytes, out.data());
    case element_kind::listed_only: break;
  }
  detail::fail(t, std::string("is of type ") + t.type->name + ", which is not read");
}

/// The elements of @p t as a vector. @throws format_error as `copy_elements`.
template <class T = float>
std::vector<T> elements_of(const stored_tensor& t) {
  std::vector<T> elements(static_cast<std::size_t>(t.size()));
  copy_elements(t, std::span<T>(elements));
  return elements;
}

/// A tensor for a writer: row-major @c elements, stored as float32, float16 or bfloat16, rounded to nearest even.
struct tensor_source {
  std::string name;
  std::vector<index_t> shape;
  std::span<const float> elements;
  format stored = format::float32;

  [[nodiscard]] std::uint64_t bytes() const { return elements.size() * (stored == format::float32 ? 4u : 2u); }
};

namespace detail {

/// @throws std::invalid_argument, naming the tensor, unless its elements fill its shape and its format can be stored.
inline void validate(const tensor_source& t, const char* function) {
  invalid_argument_unless(t.stored == format::float32 || t.stored == format::float16 || t.stored == format::bfloat16,
                          function, t.name.c_str(), "only float32, float16 and bfloat16 are written");
  std::uint64_t size = 1;
  bool fits = true;
  for (const index_t n : t.shape) fits = fits && multiply(size, static_cast<std::uint64_t>(n));
  invalid_argument_unless(fits && size == t.elements.size(), function, t.name.c_str(),
                          "has %zu elements, which do not fill its shape", t.elements.size());
}

template <class Stored>
void write_as(atomic_file& file, std::span<const float> elements) {
  std::array<Stored, static_cast<std::size_t>(8 * element_chunk)> chunk;
  while (!elements.empty()) {
    const std::size_t count = (std::min)(chunk.size(), elements.size());
    for (std::size_t i = 0; i < count; ++i) chunk[i] = from_accumulator<Stored>(elements[i]);
    const std::span bytes = std::as_writable_bytes(std::span(chunk).first(count));
    if constexpr (std::endian::native == std::endian::big)
      for (std::size_t i = 0; i < bytes.size(); i += sizeof(Stored))
        std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                     bytes.begin() + static_cast<std::ptrdiff_t>(i + sizeof(Stored)));
    file.write(bytes);
    elements = elements.subspan(count);
  }
}

inline void write_elements(atomic_file& file, const tensor_source& t) {
  if (t.stored == format::bfloat16)
    write_as<bfloat16>(file, t.elements);
  else if (t.stored == format::float16)
    write_as<float16>(file, t.elements);
  else
    write_as<float>(file, t.elements);
}

}  // namespace detail

}  // namespace HONE_NAMESPACE::io
