// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/gguf_writer.hpp"

#include "io/gguf_bytes.hpp"
#include "io/support.hpp"

using namespace hone::io;
using hone::index_t;

TEST_CASE("gguf: what was written has the bytes of the format's description") {
  const scratch_folder folder;
  const std::vector<float> x = {1, -2, 3};
  write_gguf(folder.path / "file",
             {{"a", std::uint32_t{7}}, {"b", std::string("text")}, {"c", gguf_array(std::vector<bool>{true, false})}},
             std::vector<tensor_source>{{"t", {1, 3}, x}, {"u", {3}, x, hone::format::float16}});
  gguf_bytes expected;
  expected.header(2, 3).text("a").number(std::int32_t{4}).number(std::uint32_t{7});
  expected.text("b").number(std::int32_t{8}).text("text");
  expected.text("c")
      .number(std::int32_t{9})
      .number(std::int32_t{7})
      .number(std::uint64_t{2})
      .raw(to_bytes(std::string("\1\0", 2)));
  expected.tensor("t", {3, 1}, 0, 0).tensor("u", {3}, 1, 32).pad(32);
  for (const float value : x) expected.number(value);
  expected.pad(32);
  for (const float value : x) expected.number(hone::float16(value).bits);
  expected.pad(32);
  CHECK(read_file(folder.path / "file") == expected.bytes);
}

TEST_CASE("gguf: metadata of every type and tensors of every format are read back") {
  const scratch_folder folder;
  const gguf_metadata metadata = {{"general.alignment", std::uint32_t{8}},
                                  {"u8", std::uint8_t{255}},
                                  {"i8", std::int8_t{-128}},
                                  {"u16", std::uint16_t{65535}},
                                  {"i16", std::int16_t{-32768}},
                                  {"i32", std::int32_t{-7}},
                                  {"f32", 0.1f},
                                  {"yes", true},
                                  {"text", std::string("\0 Größe", 8)},
                                  {"u64", ~std::uint64_t{0}},
                                  {"i64", std::int64_t{-1}},
                                  {"f64", 0.1},
                                  {"texts", gguf_array(std::vector<std::string>{"", "a"})},
                                  {"empty", gguf_array(std::vector<std::uint64_t>{})},
                                  {"bytes", gguf_array(std::vector<std::uint8_t>{1, 2})},
                                  {"truths", gguf_array(std::vector<bool>{false, true, true})},
                                  {"reals", gguf_array(std::vector<double>{0.1, -2})}};
  const std::vector<float> x = {1.5f, -2, 3, 4, 5, 1e30f};
  const std::vector<tensor_source> tensors = {{"z", {3, 2}, x},
                                              {"a", {6}, x, hone::format::bfloat16},
                                              {std::string(63, 'n'), {1, 1, 1, 6}, x, hone::format::float16}};
  write_gguf(folder.path / "file", metadata, tensors);
  const gguf file = read_gguf(folder.path / "file");
  CHECK(file.metadata == metadata);
  CHECK(file.alignment == 8);
  CHECK(elements_of(*find_tensor(file.tensors, "z")) == x);
  CHECK(find_tensor(file.tensors, "z")->shape == std::vector<index_t>{3, 2});
  CHECK(elements_of(*find_tensor(file.tensors, "a"))[5] == float{hone::bfloat16(1e30f)});
  const stored_tensor* half = find_tensor(file.tensors, std::string(63, 'n'));
  CHECK(half->shape == std::vector<index_t>{1, 1, 1, 6});
  CHECK(std::isinf(elements_of(*half)[5]));  // more than a float16 holds
  write_gguf(folder.path / "file", {}, {});
  CHECK(read_file(folder.path / "file").size() == 32);
  CHECK(read_gguf(folder.path / "file").tensors.empty());
}

TEST_CASE("gguf: what cannot be written is refused before there is a file") {
  const scratch_folder folder;
  const std::vector<float> x = {1, 2}, none;
  const auto write = [&](const gguf_metadata& metadata, std::vector<tensor_source> tensors) {
    write_gguf(folder.path / "file", metadata, tensors);
  };
  CHECK_THROWS_AS(write({{"", true}}, {}), std::invalid_argument);
  CHECK_THROWS_WITH(write({{"a", true}, {"a", false}}, {}), Catch::Contains("\"a\" appears twice"));
  CHECK_THROWS_WITH(write({{"a", gguf_array(std::monostate())}}, {}), Catch::Contains("a: an array of arrays"));
  CHECK_THROWS_AS(write({{"general.alignment", std::uint32_t{12}}}, {}), std::invalid_argument);
  CHECK_THROWS_AS(write({{"general.alignment", std::int32_t{32}}}, {}), std::invalid_argument);
  CHECK_THROWS_AS(write({}, {{"", {2}, x}}), std::invalid_argument);
  CHECK_THROWS_WITH(write({}, {{std::string(64, 'n'), {2}, x}}), Catch::Contains("a name of 64 bytes"));
  CHECK_THROWS_WITH(write({}, {{"t", {2}, x}, {"t", {2}, x}}), Catch::Contains("\"t\" appears twice"));
  CHECK_THROWS_AS(write({}, {{"t", {3}, x}}), std::invalid_argument);
  CHECK_THROWS_AS(write({}, {{"t", {0}, none}}), std::invalid_argument);
  CHECK_THROWS_AS(write({}, {{"t", {2, 1, 1, 1, 1}, x}}), std::invalid_argument);
  CHECK_THROWS_AS(write({}, {{"t", {2}, x, hone::format::float64}}), std::invalid_argument);
  CHECK(folder.entries() == 0);
}

TEST_CASE("gguf: keys may be longer than names") {
  const scratch_folder folder;
  write_gguf(folder.path / "file", {{std::string(100, 'k'), true}}, {});
  CHECK(read_gguf(folder.path / "file").find(std::string(100, 'k')) != nullptr);
}
