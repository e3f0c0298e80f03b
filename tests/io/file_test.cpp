// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/file.hpp"

#include "io/support.hpp"

#include <cstdint>
#include <limits>

using namespace hone::io;

namespace {

void write_whole(const std::filesystem::path& path, std::string_view text) {
  atomic_file file(path);
  file.write(text);
  file.commit();
}

template <class T>
T there_and_back(T value) {
  byte_vector bytes(3);
  append_little_endian(bytes, value);
  CHECK(bytes.size() == 3 + sizeof(T));
  return load_little_endian<T>(bytes, 3);
}

}  // namespace

TEST_CASE("what was written is read back, whatever the bytes") {
  const scratch_folder folder;
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::string& text : {std::string(), std::string("\0\r\n\x1a", 4), all}) {
    write_whole(folder.path / "file", text);
    CHECK(to_text(read_file(folder.path / "file")) == text);
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("a file that is absent, or a folder, is a system error that names it") {
  const scratch_folder folder;
  CHECK_THROWS_AS(read_file(folder.path / "absent"), std::system_error);
  CHECK_THROWS_WITH(read_file(folder.path / "absent"), Catch::Contains((folder.path / "absent").string()));
  CHECK_THROWS_AS(read_file(folder.path), std::system_error);
  CHECK_THROWS_WITH(read_file(folder.path), Catch::Contains(folder.path.string()));
}

TEST_CASE("a file of more than the bytes asked for at most is refused") {
  const scratch_folder folder;
  const auto path = folder.path / "file";
  write_whole(path, "12345");
  CHECK(read_file(path, 5).size() == 5);
  const auto error = format_error_of([&] { read_file(path, 4); });
  REQUIRE(error);
  CHECK(error->file() == path.string());
  CHECK(error->where().in == position::unit::none);
  CHECK(error->reason() == "the file has 5 bytes, at most 4 are read");
}

TEST_CASE("a sparse file of terabytes is refused before anything is allocated") {
  const scratch_folder folder;
  const auto path = folder.path / "sparse";
  write_whole(path, "");
  std::error_code error;
  std::filesystem::resize_file(path, (std::uint64_t{1} << 40) + 1, error);
  if (error) return;  // a file system without sparse files of that size
  CHECK_THROWS_AS(read_file(path), format_error);
}

TEST_CASE("numbers are little-endian in files") {
  byte_vector bytes;
  append_little_endian(bytes, std::uint32_t{0x616b3432});
  CHECK(to_text(bytes) == "24ka");
  CHECK(load_little_endian<std::uint32_t>(bytes, 0) == 0x616b3432);
  CHECK(load_little_endian<std::uint16_t>(bytes, 1) == 0x6b34);
  append_little_endian(bytes, 1.0f);
  CHECK(to_text(bytes) == std::string("24ka\0\0\x80\x3f", 8));
  CHECK(there_and_back(std::int64_t{-2}) == -2);
  CHECK(there_and_back((std::numeric_limits<std::int32_t>::min)()) == (std::numeric_limits<std::int32_t>::min)());
  CHECK(there_and_back(std::uint8_t{200}) == 200);
  CHECK(there_and_back(-1.5) == -1.5);
}

TEST_CASE("without a commit the older file stays and nothing else is left") {
  const scratch_folder folder;
  const auto path = folder.path / "file";
  write_whole(path, "old");
  {
    atomic_file file(path);
    file.write("new");
    CHECK(folder.entries() == 2);
    CHECK(to_text(read_file(path)) == "old");
  }
  CHECK(to_text(read_file(path)) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("an exception between writes leaves no file where there was none") {
  const scratch_folder folder;
  const auto write_half = [&] {
    atomic_file file(folder.path / "file");
    file.write("half");
    throw std::runtime_error("between");
  };
  CHECK_THROWS_WITH(write_half(), "between");
  CHECK(folder.entries() == 0);
}

TEST_CASE("a commit replaces the older file, longer or shorter") {
  const scratch_folder folder;
  const auto path = folder.path / "file";
  write_whole(path, std::string(100000, 'a'));
  write_whole(path, "b");
  CHECK(to_text(read_file(path)) == "b");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a file in a folder that is absent or a file cannot be made, and the error names it") {
  const scratch_folder folder;
  write_whole(folder.path / "plain", "");
  for (const auto& path : {folder.path / "absent" / "file", folder.path / "plain" / "file"}) {
    CHECK_THROWS_AS(atomic_file(path), std::system_error);
    CHECK_THROWS_WITH(atomic_file(path), Catch::Contains(path.string() + ": cannot create"));
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("a file in a folder that may not be written to cannot be made, and the error names it") {
  const scratch_folder folder;
  const auto locked = folder.path / "locked";
  std::filesystem::create_directory(locked);
  std::filesystem::permissions(locked, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  const bool may_write = std::ofstream(locked / "probe").is_open();  // as root
  if (!may_write)
    CHECK_THROWS_WITH(atomic_file(locked / "file"), Catch::Contains((locked / "file: cannot create").string()));
  std::filesystem::permissions(locked, std::filesystem::perms::owner_all);
}

TEST_CASE("a link stays, and what it names is written") {
  const scratch_folder folder;
  std::filesystem::create_directory(folder.path / "inner");
  std::error_code error;
  std::filesystem::create_symlink("inner/file", folder.path / "link", error);
  if (error) return;
  std::filesystem::create_symlink(folder.path / "link", folder.path / "second");
  for (const char* text : {"made", "replaced"}) {
    write_whole(folder.path / "second", text);
    CHECK(to_text(read_file(folder.path / "inner" / "file")) == text);
    CHECK(std::filesystem::is_symlink(folder.path / "link"));
    CHECK(std::filesystem::is_symlink(folder.path / "second"));
  }
  std::filesystem::create_symlink("round", folder.path / "round");
  CHECK_THROWS_WITH(atomic_file(folder.path / "round"), Catch::Contains("round: cannot create"));
  std::filesystem::create_symlink("absent/file", folder.path / "dead");
  CHECK_THROWS_WITH(atomic_file(folder.path / "dead"), Catch::Contains("absent/file: cannot create"));
  CHECK(folder.entries() == 5);
}

TEST_CASE("a device is not read") {
  if (!std::filesystem::exists("/dev/null")) return;
  CHECK_THROWS_WITH(read_file("/dev/null"), Catch::StartsWith("/dev/null: not a regular file"));
}

TEST_CASE("a file whose name is taken by a device is refused before anything is written") {
  if (!std::filesystem::exists("/dev/null")) return;
  const scratch_folder folder;
  const auto path = folder.path / "device";
  std::error_code error;
  std::filesystem::create_symlink("/dev/null", path, error);
  if (error) return;
  CHECK_THROWS_WITH(atomic_file(path), Catch::Contains(path.string() + ": cannot create"));
  CHECK(std::filesystem::is_symlink(path));
  CHECK(folder.entries() == 1);
}

TEST_CASE("a file whose name is taken by a folder is not committed and leaves nothing") {
  const scratch_folder folder;
  const auto path = folder.path / "taken";
  std::filesystem::create_directories(path / "inside");
  CHECK_THROWS_AS(write_whole(path, "text"), std::system_error);
  CHECK_THROWS_WITH(atomic_file(path), Catch::Contains(path.string() + ": cannot create"));
  CHECK(folder.entries() == 1);
  CHECK(std::filesystem::is_directory(path / "inside"));
}

TEST_CASE("a file is written and committed once") {
  const scratch_folder folder;
  atomic_file file(folder.path / "file");
  file.write("text");
  file.commit();
  CHECK_THROWS_AS(file.write("more"), std::system_error);
  CHECK_THROWS_AS(file.commit(), std::system_error);
  CHECK(to_text(read_file(folder.path / "file")) == "text");
}

TEST_CASE("a full disk is an error of the write or the commit, never a short file") {
  if (!std::filesystem::exists("/dev/full")) return;
  const scratch_folder folder;
  const auto path = folder.path / "file";
  std::error_code error;
  std::filesystem::create_symlink("/dev/full", path.string() + ".partial", error);
  if (error) return;
  CHECK_THROWS_WITH(write_whole(path, "small"), Catch::Contains(path.string() + ": cannot write"));
  std::filesystem::create_symlink("/dev/full", path.string() + ".partial", error);
  CHECK_THROWS_WITH(write_whole(path, std::string(1 << 20, 'a')), Catch::Contains(path.string() + ": cannot write"));
  CHECK(folder.entries() == 0);
}
