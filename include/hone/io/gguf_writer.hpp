// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Writing GGUF version 3.
#pragma once
#include "hone/io/gguf.hpp"

namespace HONE_NAMESPACE::io {

namespace detail {

inline void append_gguf_text(std::vector<std::byte>& out, std::string_view text) {
  append_little_endian(out, std::uint64_t{text.size()});
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
void append_gguf(std::vector<std::byte>& out, const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    append_gguf_text(out, value);
  else if constexpr (std::is_same_v<T, bool>)
    append_little_endian(out, static_cast<std::uint8_t>(value));
  else
    append_little_endian(out, value);
}

inline void append_gguf_value(std::vector<std::byte>& out, const gguf_value& value) {
  append_little_endian(out, static_cast<std::int32_t>(value.index()));
  std::visit(
      [&](const auto& x) {
        using T = std::remove_cvref_t<decltype(x)>;
        if constexpr (!std::is_same_v<T, gguf_array>) {
          append_gguf(out, x);
        } else {
          append_little_endian(out, static_cast<std::int32_t>(x.index()));
          std::visit(
              [&](const auto& elements) {
                if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(elements)>, std::monostate>) {
                  append_little_endian(out, std::uint64_t{elements.size()});
                  for (std::size_t i = 0; i < elements.size(); ++i)
                    append_gguf<typename std::remove_cvref_t<decltype(elements)>::value_type>(out, elements[i]);
                }
              },
              x);
        }
      },
      value);
}

/// Every text has at least one byte, none appears twice, and none is longer than @p most.
inline void validate_names(std::vector<std::string_view> names, std::size_t most, const char* function,
                           const char* argument) {
  std::sort(names.begin(), names.end());
  for (std::size_t i = 0; i < names.size(); ++i) {
    invalid_argument_unless(!names[i].empty() && names[i].size() <= most, function, argument,
                            "a name of %zu bytes: \"%.80s\"", names[i].size(), std::string(names[i]).c_str());
    invalid_argument_unless(i == 0 || names[i] != names[i - 1], function, argument, "\"%.80s\" appears twice",
                            std::string(names[i]).c_str());
  }
}

}  // namespace detail

/// Writes @p tensors in their order after @p metadata; the file appears whole or not at all.
/// @throws std::invalid_argument, before anything is written, if a key or name is empty or comes twice, a name has more
///         than 63 bytes, a tensor has a size of 0, more than 4 of them, or does not fill its shape, an array is one of
///         arrays, or general.alignment is not a power of two of type u32; std::system_error.
/// @note Besides the metadata, holds 64 KiB.
inline void write_gguf(const std::filesystem::path& path, const gguf_metadata& metadata,
                       std::span<const tensor_source> tensors) {
  const char* function = "hone::io::write_gguf";
  std::vector<std::string_view> keys, names;
  std::uint64_t alignment = 32;
  for (const auto& [key, value] : metadata) {
    keys.push_back(key);
    const auto* array = std::get_if<gguf_array>(&value);
    invalid_argument_unless(array == nullptr || array->index() != detail::gguf_array_type, function, key.c_str(),
                            "an array of arrays");
    if (key == "general.alignment") {
      const auto* number = std::get_if<std::uint32_t>(&value);
      invalid_argument_unless(number != nullptr && std::has_single_bit(*number), function, key.c_str(),
                              "must be a power of two of type u32");
      alignment = *number;
    }
  }
  for (const tensor_source& t : tensors) {
    names.push_back(t.name);
    detail::validate(t, function);
    invalid_argument_unless(t.shape.size() <= detail::gguf_rank_limit && !t.elements.empty(), function, t.name.c_str(),
                            "has rank %zu and %zu elements", t.shape.size(), t.elements.size());
  }
  detail::validate_names(std::move(keys), (std::numeric_limits<std::size_t>::max)(), function, "metadata");
  detail::validate_names(std::move(names), detail::gguf_name_limit, function, "tensors");

  std::vector<std::byte> header;
  append_little_endian(header, detail::gguf_magic);
  append_little_endian(header, std::uint32_t{3});
  append_little_endian(header, static_cast<std::int64_t>(tensors.size()));
  append_little_endian(header, static_cast<std::int64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    detail::append_gguf_text(header, key);
    detail::append_gguf_value(header, value);
  }
  std::uint64_t offset = 0;
  for (const tensor_source& t : tensors) {
    detail::append_gguf_text(header, t.name);
    append_little_endian(header, static_cast<std::uint32_t>(t.shape.size()));
    for (std::size_t i = t.shape.size(); i-- > 0;) append_little_endian(header, std::int64_t{t.shape[i]});
    append_little_endian(header, t.stored == format::float32 ? 0u : t.stored == format::float16 ? 1u : 30u);
    append_little_endian(header, offset);
    offset = detail::padded(offset + t.bytes(), alignment);
  }
  header.resize(static_cast<std::size_t>(detail::padded(header.size(), alignment)));
  atomic_file file(path);
  file.write(header);
  const std::vector<std::byte> zeros(static_cast<std::size_t>(alignment));
  for (const tensor_source& t : tensors) {
    detail::write_elements(file, t);
    file.write(std::span(zeros).first(static_cast<std::size_t>(detail::padded(t.bytes(), alignment) - t.bytes())));
  }
  file.commit();
}

}  // namespace HONE_NAMESPACE::io
