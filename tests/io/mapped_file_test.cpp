// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/mapped_file.hpp"

#include "io/support.hpp"

using namespace hone::io;

TEST_CASE("a mapped file has the bytes that a read one has, none included") {
  const scratch_folder folder;
  for (const std::size_t size : {0u, 1u, 4095u, 4096u, 4097u, 1u << 20}) {
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
    write_bytes(folder.path / "file", to_bytes(text));
    const mapped_file file(folder.path / "file");
    CHECK(file.bytes().size() == size);
    CHECK(to_text(file.bytes()) == text);
  }
}

TEST_CASE("a mapped file that moves leaves its bytes where they are") {
  const scratch_folder folder;
  write_bytes(folder.path / "a", to_bytes("abc"));
  write_bytes(folder.path / "b", to_bytes("de"));
  mapped_file a(folder.path / "a");
  const std::byte* bytes = a.bytes().data();
  mapped_file moved(std::move(a));
  CHECK(moved.bytes().data() == bytes);
  mapped_file b(folder.path / "b");
  b = std::move(moved);
  CHECK(b.bytes().data() == bytes);
  CHECK(to_text(b.bytes()) == "abc");
  std::vector<mapped_file> many;
  for (int i = 0; i < 20; ++i) many.emplace_back(folder.path / "b");
  CHECK(to_text(many.front().bytes()) == "de");
}

TEST_CASE("a mapped file outlives its name") {
  const scratch_folder folder;
  write_bytes(folder.path / "file", to_bytes("still there"));
  const mapped_file file(folder.path / "file");
  std::error_code ignored;
  std::filesystem::remove(folder.path / "file", ignored);
  CHECK(to_text(file.bytes()) == "still there");
}

TEST_CASE("what is absent, a folder, a device or a pipe is not mapped, and the error names it") {
  const scratch_folder folder;
  CHECK_THROWS_AS(mapped_file(folder.path / "absent"), std::system_error);
  CHECK_THROWS_WITH(mapped_file(folder.path / "absent"), Catch::Contains((folder.path / "absent").string()));
  CHECK_THROWS_AS(mapped_file(folder.path), std::system_error);
  if (std::filesystem::exists("/dev/zero")) CHECK_THROWS_AS(mapped_file("/dev/zero"), std::system_error);
#if HONE_IO_MMAP
  const auto pipe = folder.path / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_AS(mapped_file(pipe), std::system_error);  // and nothing waits for a writer
#endif
}
