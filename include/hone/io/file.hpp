// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Whole files in, and files out that are either complete or not there.
#pragma once
#include "hone/io/format_error.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace HONE_NAMESPACE::io {

/// The bytes of @p path.
/// @throws std::system_error, naming the file, if it cannot be opened or read, or is a pipe or device; format_error if
///         it is larger than @p most bytes, before anything is allocated.
inline std::vector<std::byte> read_file(const std::filesystem::path& path,
                                        std::uint64_t most = std::uint64_t{1} << 40) {
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error)
    throw std::system_error(error, path.string() + (error == std::errc::not_supported ? ": not a regular file" : ""));
  if (size > most)
    throw format_error(
        path.string(), {},
        "the file has " + std::to_string(size) + " bytes, at most " + std::to_string(most) + " are read");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::vector<std::byte> bytes(in ? static_cast<std::size_t>(size) : 0);
  if (!in || !in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path.string());
  return bytes;
}

/// @p bytes as characters.
inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A little-endian number at @p offset of @p bytes.
/// @pre It lies inside.
template <class T>
  requires(std::is_arithmetic_v<T>)
T load_little_endian(std::span<const std::byte> bytes, std::size_t offset) {
  std::byte raw[sizeof(T)];
  std::memcpy(raw, bytes.data() + offset, sizeof raw);
  if constexpr (std::endian::native == std::endian::big) std::reverse(raw, raw + sizeof raw);
  T value;
  std::memcpy(&value, raw, sizeof value);
  return value;
}

/// Puts @p value after @p bytes, little-endian.
template <class T>
  requires(std::is_arithmetic_v<T>)
void append_little_endian(std::vector<std::byte>& bytes, T value) {
  std::byte raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof raw);
  if constexpr (std::endian::native == std::endian::big) std::reverse(raw, raw + sizeof raw);
  bytes.resize(bytes.size() + sizeof raw);
  std::memcpy(bytes.data() + bytes.size() - sizeof raw, raw, sizeof raw);
}

/// A file that appears under its name only when it is complete: bytes go to a temporary file beside it, `commit`
/// renames that. Without a commit (an exception, an early return) the destructor removes it and an older file under
/// the name stays as it was. A link stays, and what it names is replaced. Two writers of one name at a time get in each
/// other's way; the disk is not flushed, so that a power cut may still lose what was committed.
class atomic_file {
 public:
  /// @throws std::system_error, naming the file, if the temporary file cannot be made, or the name belongs to a folder
  ///         or a device (which the renaming would replace).
  explicit atomic_file(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code error;
    const auto taken = std::filesystem::status(path_, error);
    if (taken.type() == std::filesystem::file_type::none)  // links in a circle, say
      throw std::system_error(error, path_.string() + ": cannot create");
    if (std::filesystem::exists(taken) && !std::filesystem::is_regular_file(taken))
      throw std::system_error(std::make_error_code(std::errc::file_exists),
                              path_.string() + ": cannot create: it is not a regular file");
    for (int links = 0; links < 40 && std::filesystem::is_symlink(path_, error); ++links)
      path_ = path_.parent_path() / std::filesystem::read_symlink(path_, error);
    temporary_ = path_;
    temporary_ += ".partial";
    out_.open(temporary_, std::ios::binary | std::ios::trunc);
    check("cannot create");
  }
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file() {
    if (committed_) return;
    out_.close();
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
  }

  /// @throws std::system_error if the bytes cannot be written (a full disk, say).
  void write(std::span<const std::byte> bytes) {
    out_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    check("cannot write");
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Makes the file appear, replacing one of the same name. @throws std::system_error if that fails.
  void commit() {
    out_.close();
    check("cannot write");
    std::error_code error;
    std::filesystem::rename(temporary_, path_, error);
    if (error) throw std::system_error(error, path_.string());
    committed_ = true;
  }

 private:
  void check(const char* what) {
    if (!out_) throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path_.string() + ": " + what);
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::ofstream out_;
  bool committed_ = false;
};

}  // namespace HONE_NAMESPACE::io
