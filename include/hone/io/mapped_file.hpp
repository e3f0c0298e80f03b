// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A file as a span of bytes that the system reads when they are touched.
#pragma once
#include "hone/io/file.hpp"

#if __has_include(<sys/mman.h>)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#define HONE_IO_MMAP 1
#else
#define HONE_IO_MMAP 0
#endif

namespace HONE_NAMESPACE::io {

/// The bytes of a file, for reading, as long as this lives; moving it leaves them where they are. Where the system
/// cannot map files they are read into memory. A file that is cut short meanwhile ends the program when its lost pages
/// are touched (SIGBUS), as with every mapping: files that others may truncate are for `read_file`.
class mapped_file {
 public:
  /// @throws std::system_error, naming the file, if it cannot be opened or is not a regular file.
  explicit mapped_file(const std::filesystem::path& path) {
#if HONE_IO_MMAP
    const auto fail = [&](int code) { throw std::system_error(code, std::generic_category(), path.string()); };
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO is not waited for
    if (descriptor < 0) fail(errno);
    struct ::stat status{};
    int code = ::fstat(descriptor, &status) != 0 ? errno : 0;
    if (code == 0 && !S_ISREG(status.st_mode)) code = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    if (code == 0 && status.st_size > 0) {  // an empty mapping is an error
      const auto size = static_cast<std::size_t>(status.st_size);
      void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (memory == MAP_FAILED)
        code = errno;
      else
        bytes_ = {static_cast<const std::byte*>(memory), size};
    }
    ::close(descriptor);
    if (code != 0) fail(code);
#else
    memory_ = read_file(path);
    bytes_ = memory_;
#endif
  }
  mapped_file(mapped_file&& other) noexcept { swap(other); }
  mapped_file& operator=(mapped_file&& other) noexcept {
    mapped_file taken(std::move(other));
    swap(taken);
    return *this;
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() {
#if HONE_IO_MMAP
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
#endif
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  void swap(mapped_file& other) noexcept {
    std::swap(bytes_, other.bytes_);
#if !HONE_IO_MMAP
    std::swap(memory_, other.memory_);
#endif
  }

  std::span<const std::byte> bytes_;
#if !HONE_IO_MMAP
  std::vector<std::byte> memory_;
#endif
};

}  // namespace HONE_NAMESPACE::io
