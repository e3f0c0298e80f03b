// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Folders, bytes, safetensors files made by hand, and errors for the tests of io/.
#pragma once
#include "hone/io/file.hpp"

#include "support/catch.hpp"

#include <optional>
#include <string>

/// An empty folder that is gone after the test.
struct scratch_folder {
  scratch_folder() {
    std::random_device device;
    path = std::filesystem::temp_directory_path() / ("hone-" + std::to_string(device()) + std::to_string(device()));
    std::filesystem::create_directory(path);
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  [[nodiscard]] std::size_t entries() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path)) ++count;
    return count;
  }

  std::filesystem::path path;
};

using byte_vector = std::vector<std::byte>;

inline byte_vector to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline std::string to_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  hone::io::atomic_file file(path);
  file.write(bytes);
  file.commit();
}

template <class T>
byte_vector bytes_of(const std::vector<T>& x) {
  const auto bytes = std::as_bytes(std::span(x));
  return {bytes.begin(), bytes.end()};
}

/// A tensor of whatever type and shape.
struct tensor_bytes {
  std::string name, type, shape;
  byte_vector bytes;
};

/// A safetensors file as the format has it, with as many spaces after its header.
inline byte_vector safetensors_of(const std::vector<tensor_bytes>& tensors, const std::string& metadata = "",
                                  std::size_t spaces = 0) {
  std::string header = "{";
  if (!metadata.empty()) header += "\"__metadata__\":" + metadata;
  std::size_t at = 0;
  byte_vector data;
  for (const tensor_bytes& t : tensors) {
    if (header.size() > 1) header += ',';
    header += "\"" + t.name + "\":{\"dtype\":\"" + t.type + "\",\"shape\":" + t.shape + ",\"data_offsets\":[" +
              std::to_string(at) + "," + std::to_string(at + t.bytes.size()) + "]}";
    at += t.bytes.size();
    data.insert(data.end(), t.bytes.begin(), t.bytes.end());
  }
  header += '}' + std::string(spaces, ' ');
  byte_vector file;
  hone::io::append_little_endian(file, std::uint64_t{header.size()});
  const byte_vector text = to_bytes(header);
  file.insert(file.end(), text.begin(), text.end());
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

/// A file that golden/make_*.py wrote.
inline std::filesystem::path golden_file(const std::string& relative) {
  return std::filesystem::path(__FILE__).parent_path() / "golden" / relative;
}

/// The format_error that @p f throws, or nothing.
template <class F>
std::optional<hone::io::format_error> format_error_of(F&& f) {
  try {
    f();
  } catch (const hone::io::format_error& error) {
    return error;
  }
  return std::nullopt;
}
