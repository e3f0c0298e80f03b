// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// GGUF: versions 2 and 3 read, version 3 written. Little-endian:
///   "GGUF", u32 version, i64 tensors, i64 pairs; the pairs: key, i32 type, value; the tensors: name, u32 rank,
///   i64 sizes (the one that runs fastest first), i32 type, u64 offset from the data's start; the data, which begin, as
///   every tensor's do, at a multiple of general.alignment (u32, a power of two; 32 where it is absent)
/// A text is u64 bytes and the bytes, an array i32 type, u64 count and the elements. Tensors lie in the order of their
/// list without gaps but padding. [ggml-org/ggml, docs/gguf.md; src/gguf.cpp]
#pragma once
#include "hone/io/stored_tensor.hpp"

#include <bit>
#include <optional>
#include <set>
#include <type_traits>
#include <variant>

namespace HONE_NAMESPACE::io {

/// Elements of one type; position in the variant = the format's number of the type. Arrays of arrays are refused.
using gguf_array = std::variant<std::vector<std::uint8_t>, std::vector<std::int8_t>, std::vector<std::uint16_t>,
                                std::vector<std::int16_t>, std::vector<std::uint32_t>, std::vector<std::int32_t>,
                                std::vector<float>, std::vector<bool>, std::vector<std::string>, std::monostate,
                                std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>>;

/// A value of the metadata; position in the variant = the format's number of the type.
using gguf_value = std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                                float, bool, std::string, gguf_array, std::uint64_t, std::int64_t, double>;

using gguf_metadata = std::vector<std::pair<std::string, gguf_value>>;

struct gguf {
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;
  gguf_metadata metadata;              ///< in the order of the file
  std::vector<stored_tensor> tensors;  ///< sorted by name: `find_tensor`
  std::vector<mapped_file> files;      ///< where the bytes of the tensors lie; empty after parse_gguf

  /// The value of @p key, or nullptr.
  [[nodiscard]] const gguf_value* find(std::string_view key) const {
    for (const auto& [name, value] : metadata)
      if (name == key) return &value;
    return nullptr;
  }
  /// The value of @p key if it is there and a whole number of any type that an int64 holds.
  [[nodiscard]] std::optional<std::int64_t> whole(std::string_view key) const {
    const gguf_value* value = find(key);
    return value == nullptr ? std::nullopt
                            : std::visit(
                                  [](const auto& x) -> std::optional<std::int64_t> {
                                    using T = std::remove_cvref_t<decltype(x)>;
                                    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
                                      if (std::in_range<std::int64_t>(x)) return static_cast<std::int64_t>(x);
                                    return std::nullopt;
                                  },
                                  *value);
  }
  /// The value of @p key if it is there and a number of any type.
  [[nodiscard]] std::optional<double> real(std::string_view key) const {
    const gguf_value* value = find(key);
    return value == nullptr ? std::nullopt
                            : std::visit(
                                  [](const auto& x) -> std::optional<double> {
                                    using T = std::remove_cvref_t<decltype(x)>;
                                    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
                                      return static_cast<double>(x);
                                    return std::nullopt;
                                  },
                                  *value);
  }
  /// The value of @p key if it is there and a text, or nullptr.
  [[nodiscard]] const std::string* text(std::string_view key) const {
    const gguf_value* value = find(key);
    return value == nullptr ? nullptr : std::get_if<std::string>(value);
  }
};

namespace detail {

struct gguf_type {
  std::uint32_t number;
  element_type type;
};
inline constexpr gguf_type gguf_types[] = {{0, {"F32", element_kind::float32, 1, 32}},
                                           {1, {"F16", element_kind::float16, 1, 16}},
                                           {2, {"Q4_0", element_kind::listed_only, 32, 144}},
                                           {3, {"Q4_1", element_kind::listed_only, 32, 160}},
                                           {6, {"Q5_0", element_kind::listed_only, 32, 176}},
                                           {7, {"Q5_1", element_kind::listed_only, 32, 192}},
                                           {8, {"Q8_0", element_kind::q8_0, 32, 272}},
                                           {9, {"Q8_1", element_kind::listed_only, 32, 288}},
                                           {10, {"Q2_K", element_kind::listed_only, 256, 672}},
                                           {11, {"Q3_K", element_kind::listed_only, 256, 880}},
                                           {12, {"Q4_K", element_kind::listed_only, 256, 1152}},
                                           {13, {"Q5_K", element_kind::listed_only, 256, 1408}},
                                           {14, {"Q6_K", element_kind::listed_only, 256, 1680}},
                                           {15, {"Q8_K", element_kind::listed_only, 256, 2336}},
                                           {16, {"IQ2_XXS", element_kind::listed_only, 256, 528}},
                                           {17, {"IQ2_XS", element_kind::listed_only, 256, 592}},
                                           {18, {"IQ3_XXS", element_kind::listed_only, 256, 784}},
                                           {19, {"IQ1_S", element_kind::listed_only, 256, 400}},
                                           {20, {"IQ4_NL", element_kind::listed_only, 32, 144}},
                                           {21, {"IQ3_S", element_kind::listed_only, 256, 880}},
                                           {22, {"IQ2_S", element_kind::listed_only, 256, 656}},
                                           {23, {"IQ4_XS", element_kind::listed_only, 256, 1088}},
                                           {24, {"I8", element_kind::listed_only, 1, 8}},
                                           {25, {"I16", element_kind::listed_only, 1, 16}},
                                           {26, {"I32", element_kind::int32, 1, 32}},
                                           {27, {"I64", element_kind::int64, 1, 64}},
                                           {28, {"F64", element_kind::float64, 1, 64}},
                                           {29, {"IQ1_M", element_kind::listed_only, 256, 448}},
                                           {30, {"BF16", element_kind::bfloat16, 1, 16}},
                                           {34, {"TQ1_0", element_kind::listed_only, 256, 432}},
                                           {35, {"TQ2_0", element_kind::listed_only, 256, 528}},
                                           {39, {"MXFP4", element_kind::listed_only, 32, 136}}};

/// Takes numbers and texts from the front of a file, never more than there is.
class gguf_cursor {
 public:
  gguf_cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::uint64_t left() const { return bytes_.size() - at_; }
  [[noreturn]] void fail(std::uint64_t at, const std::string& reason) const {
    throw format_error(file_, {position::unit::byte, at}, reason);
  }
  template <class T>
  T take(const char* what) {
    if (left() < sizeof(T)) fail(bytes_.size(), std::string("the file ends in ") + what);
    at_ += sizeof(T);
    return load_little_endian<T>(bytes_, at_ - sizeof(T));
  }
  /// A count of things that take at least @p least bytes each. @throws format_error if the file cannot hold them.
  template <class T>
  std::size_t take_count(const char* what, std::uint64_t least, std::uint64_t most = std::uint64_t{1} << 30) {
    const std::size_t before = at_;
    const T count = take<T>(what);
    if (std::cmp_less(count, 0) || std::cmp_greater(count, most) || std::cmp_greater(count, left() / least))
      fail(before, std::string(what) + " " + std::to_string(count) + ", the file has " + std::to_string(left()) +
                       " more bytes");
    return static_cast<std::size_t>(count);
  }
  std::string take_text(const char* what) {
    const std::size_t length = take_count<std::uint64_t>(what, 1);
    at_ += length;
    return {reinterpret_cast<const char*>(bytes_.data()) + at_ - length, length};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::size_t at_ = 0;
};

inline constexpr std::uint32_t gguf_magic = 0x46554747;
inline constexpr std::size_t gguf_array_type = 9;
inline constexpr std::size_t gguf_name_limit = 63;
inline constexpr std::size_t gguf_rank_limit = 4;

/// Calls @p f with the number of @p type as a constant. @pre type < 13.
template <class F>
void with_gguf_type(std::size_t type, F&& f) {
  [&]<std::size_t... Index>(std::index_sequence<Index...>) {
    (void)((type == Index && (f(std::integral_constant<std::size_t, Index>()), true)) || ...);
  }(std::make_index_sequence<std::variant_size_v<gguf_value>>());
}

inline std::size_t take_gguf_type(gguf_cursor& in, const std::string& key, bool nested) {
  const std::size_t before = in.at();
  const auto type = in.take<std::int32_t>("a type");
  if (type < 0 || std::cmp_greater_equal(type, std::variant_size_v<gguf_value>))
    in.fail(before, "\"" + key + "\" is of the unknown type " + std::to_string(type));
  if (nested && type == gguf_array_type) in.fail(before, "\"" + key + "\" is an array of arrays");
  return static_cast<std::size_t>(type);
}

template <class T>
T take_gguf(gguf_cursor& in) {
  if constexpr (std::is_same_v<T, std::string>)
    return in.take_text("a text of length");
  else if constexpr (std::is_same_v<T, bool>)
    return in.take<std::uint8_t>("a value") != 0;
  else
    return in.take<T>("a value");
}

inline gguf_value take_gguf_value(gguf_cursor& in, const std::string& key) {
  gguf_value value;
  with_gguf_type(take_gguf_type(in, key, false), [&](auto type) {
    if constexpr (type != gguf_array_type) {
      value.emplace<type>(take_gguf<std::variant_alternative_t<type, gguf_value>>(in));
    } else {
      auto& array = value.emplace<gguf_array_type>();
      with_gguf_type(take_gguf_type(in, key, true), [&](auto element) {
        if constexpr (element != gguf_array_type) {
          using T = std::variant_alternative_t<element, gguf_value>;
          constexpr std::uint64_t least = std::is_same_v<T, std::string> ? 8 : sizeof(T);
          const std::size_t count = in.take_count<std::uint64_t>("an array of length", least);
          auto& elements = array.template emplace<element>();
          elements.reserve(count);
          for (std::size_t i = 0; i < count; ++i) elements.push_back(take_gguf<T>(in));
        }
      });
    }
  });
  return value;
}

/// A tensor of which only the description was read.
struct gguf_entry {
  stored_tensor tensor;  ///< offset: from the data's start
  std::uint64_t bytes;
  std::uint64_t name_at, offset_at;
};

inline gguf_entry take_gguf_tensor(gguf_cursor& in) {
  gguf_entry e{{{}, nullptr, {}, {}, 0, nullptr}, 1, in.at(), 0};
  stored_tensor& t = e.tensor;
  t.name = in.take_text("a tensor name of length");
  if (t.name.empty() || t.name.size() > gguf_name_limit)
    in.fail(e.name_at, "a tensor name of " + std::to_string(t.name.size()) + " bytes");
  const auto fail = [&](std::uint64_t at, const std::string& reason) {
    in.fail(at, "tensor \"" + t.name + "\": " + reason);
  };
  const auto rank = in.take<std::uint32_t>("a rank");
  if (rank > gguf_rank_limit) fail(in.at() - 4, "rank " + std::to_string(rank) + ", at most 4 are allowed");
  const std::size_t sizes = in.at();
  t.shape.resize(rank);
  for (std::size_t i = rank; i-- > 0;) {
    const auto n = in.take<std::int64_t>("a tensor's size");
    if (n < 1) fail(in.at() - 8, "size " + std::to_string(n));
    if (!multiply(e.bytes, static_cast<std::uint64_t>(n))) fail(sizes, "the product of its sizes overflows");
    t.shape[i] = static_cast<index_t>(n);
  }
  const auto number = in.take<std::uint32_t>("a tensor's type");
  for (const auto& known : gguf_types)
    if (known.number == number) t.type = &known.type;
  if (t.type == nullptr) fail(in.at() - 4, "unknown type " + std::to_string(number));
  const index_t row = rank == 0 ? 1 : t.shape.back();
  if (row % t.type->block != 0)
    fail(sizes, "rows of " + std::to_string(row) + " do not divide into blocks of " + std::to_string(t.type->block));
  e.bytes /= t.type->block;
  if (!multiply(e.bytes, t.type->bits / 8)) fail(sizes, "its size in bytes overflows");
  e.offset_at = in.at();
  t.offset = in.take<std::uint64_t>("a tensor's offset");
  return e;
}

/// @p n up to the next multiple of @p alignment, a power of two. @pre n < 2^63.
inline std::uint64_t padded(std::uint64_t n, std::uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

}  // namespace detail

/// Parses a file in memory; the tensors are views of @p bytes. @p file is what errors call it.
/// @throws format_error with the byte, unless the file is as described above, every text, array and tensor lies in it,
///         and no key and no name comes twice; a type that ggml knows and hone does not convert is no error before its
///         elements are asked for. Bytes after the last tensor are passed over.
/// @note Metadata take up to 9 times their bytes in the file (texts of few letters); no tensor is touched.
inline gguf parse_gguf(std::span<const std::byte> bytes, const std::string& file) {
  detail::gguf_cursor in(bytes, file);
  if (in.take<std::uint32_t>("its magic number") != detail::gguf_magic) in.fail(0, "does not begin with \"GGUF\"");
  gguf result;
  result.version = in.take<std::uint32_t>("its version");
  if (result.version != 0 && (result.version & 0xffff) == 0) in.fail(4, "a big-endian file is not read");
  if (result.version < 2 || result.version > 3)
    in.fail(4, "version " + std::to_string(result.version) + " is not read");
  const std::size_t tensors = in.take_count<std::int64_t>("a number of tensors of", 25);
  const std::size_t pairs = in.take_count<std::int64_t>("a number of pairs of", 14);

  std::set<std::string, std::less<>> keys;
  for (std::size_t i = 0; i < pairs; ++i) {
    const std::size_t at = in.at();
    std::string key = in.take_text("a key of length");
    if (key.empty()) in.fail(at, "an empty key");
    if (!keys.insert(key).second) in.fail(at, "the key \"" + key + "\" appears twice");
    const std::size_t value_at = in.at();
    gguf_value value = detail::take_gguf_value(in, key);
    if (key == "general.alignment") {
      const auto* number = std::get_if<std::uint32_t>(&value);
      if (number == nullptr || !std::has_single_bit(*number))
        in.fail(value_at, "\"general.alignment\" is not a power of two of type u32");
      result.alignment = *number;
    }
    result.metadata.emplace_back(std::move(key), std::move(value));
  }

  std::vector<detail::gguf_entry> entries;
  for (std::size_t i = 0; i < tensors; ++i) entries.push_back(detail::take_gguf_tensor(in));
  const std::uint64_t start = detail::padded(in.at(), result.alignment);
  std::uint64_t filled = start;
  const auto name = std::make_shared<const std::string>(file);
  for (auto& e : entries) {
    const auto fail = [&](std::uint64_t at, const std::string& reason) {
      in.fail(at, "tensor \"" + e.tensor.name + "\": " + reason);
    };
    if (e.tensor.offset != filled - start)
      fail(e.offset_at,
           "offset " + std::to_string(e.tensor.offset) + ", " + std::to_string(filled - start) + " is next");
    if (filled > bytes.size() || e.bytes > bytes.size() - filled)
      fail(e.offset_at, "its " + std::to_string(e.bytes) + " bytes end after the file");
    e.tensor.offset = filled;
    e.tensor.bytes = bytes.subspan(static_cast<std::size_t>(filled), static_cast<std::size_t>(e.bytes));
    e.tensor.file = name;
    filled = detail::padded(filled + e.bytes, result.alignment);
  }
  std::sort(entries.begin(), entries.end(), [](const auto& x, const auto& y) {
    return x.tensor.name != y.tensor.name ? x.tensor.name < y.tensor.name : x.name_at < y.name_at;
  });
  for (auto& e : entries) {
    if (!result.tensors.empty() && result.tensors.back().name == e.tensor.name)
      in.fail(e.name_at, "tensor \"" + e.tensor.name + "\" appears twice");
    result.tensors.push_back(std::move(e.tensor));
  }
  return result;
}

/// Maps and parses a file. @throws std::system_error, format_error.
inline gguf read_gguf(const std::filesystem::path& path) {
  mapped_file bytes(path);
  gguf result = parse_gguf(bytes.bytes(), path.string());
  result.files.push_back(std::move(bytes));
  return result;
}

}  // namespace HONE_NAMESPACE::io
