// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// GGUF files put together by hand, sound or not.
#pragma once
#include "hone/io/file.hpp"

struct gguf_bytes {
  std::vector<std::byte> bytes;

  template <class T>
  gguf_bytes& number(T value) {
    hone::io::append_little_endian(bytes, value);
    return *this;
  }
  gguf_bytes& raw(std::span<const std::byte> more) {
    for (const std::byte byte : more) bytes.push_back(byte);  // g++ warns of an insert here
    return *this;
  }
  gguf_bytes& zeros(std::size_t count) {
    bytes.resize(bytes.size() + count);
    return *this;
  }
  gguf_bytes& pad(std::size_t alignment) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  gguf_bytes& text(std::string_view text) {
    return number(std::uint64_t{text.size()}).raw(std::as_bytes(std::span(text)));
  }
  gguf_bytes& header(std::int64_t tensors, std::int64_t pairs, std::uint32_t version = 3) {
    return raw(std::as_bytes(std::span("GGUF", 4))).number(version).number(tensors).number(pairs);
  }
  gguf_bytes& tensor(std::string_view name, const std::vector<std::int64_t>& sizes, std::uint32_t type,
                     std::uint64_t offset) {
    text(name).number(static_cast<std::uint32_t>(sizes.size()));
    for (const std::int64_t size : sizes) number(size);
    return number(type).number(offset);
  }
};
