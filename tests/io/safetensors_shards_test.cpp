// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/safetensors_shards.hpp"

#include "io/support.hpp"
#include "support/allocations.hpp"

using namespace hone::io;
using hone::index_t;

namespace {

constexpr const char* index_name = "model.safetensors.index.json";

void refused(std::string_view text, std::optional<std::uint64_t> at, const std::string& reason) {
  CAPTURE(std::string(text.substr(0, 80)));
  allocations::largest = 0;
  const auto error = format_error_of([&] { parse_safetensors_index(text, "index.json"); });
  CHECK(allocations::largest < 4096 + 4 * text.size());
  REQUIRE(error);
  CHECK(error->file() == "index.json");
  CHECK(error->where().in == (at ? position::unit::byte : position::unit::none));
  CHECK(error->where().at == at.value_or(0));
  CHECK(error->reason() == reason);
}

/// A folder with the golden model in two files, one of them or the index changed.
struct model_folder {
  model_folder() {
    for (const auto& entry : std::filesystem::directory_iterator(golden_file("sharded")))
      std::filesystem::copy(entry.path(), scratch.path / entry.path().filename());
    index = to_text(read_file(scratch.path / index_name));
  }
  void replace(const std::string& from, const std::string& to) {
    REQUIRE(index.find(from) != std::string::npos);
    index.replace(index.find(from), from.size(), to);
    write_bytes(scratch.path / index_name, to_bytes(index));
  }
  void refused(const std::string& at, const std::string& reason) const {
    const auto error = format_error_of([&] { read_safetensors_folder(scratch.path); });
    REQUIRE(error);
    CHECK(error->file() == (scratch.path / index_name).string());
    CHECK(error->where().at == index.find(at));
    CHECK(error->reason() == reason);
  }

  scratch_folder scratch;
  std::string index;
};

}  // namespace

TEST_CASE("shards: a model in two files of the format's own library is read as one") {
  const safetensors model = read_safetensors_folder(golden_file("sharded"));
  REQUIRE(model.tensors.size() == 4);
  CHECK(model.files.size() == 2);
  CHECK(model.metadata.at("format") == "pt");
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(model.tensors[i].name == "w." + std::to_string(i));
    CHECK(model.tensors[i].shape == std::vector<index_t>{2, static_cast<index_t>(i + 1)});
    CHECK(elements_of(model.tensors[i]) == std::vector<float>(2 * (i + 1), static_cast<float>(i)));
  }
}

TEST_CASE("shards: what was written is read back, in as many files as are asked for") {
  const std::vector<float> x = {1, 2, 3, 4, 5, 6};
  std::vector<tensor_source> tensors;
  for (const char* name : {"e", "a", "d", "b", "c"}) tensors.push_back({name, {2, 3}, x});
  tensors.back().stored = hone::format::bfloat16;  // 108 bytes in all
  for (const auto& [most, files] :
       {std::pair<std::uint64_t, std::size_t>{108, 1}, {107, 2}, {60, 2}, {48, 3}, {24, 5}, {1, 5}}) {
    const scratch_folder folder;
    write_safetensors_folder(folder.path, tensors, {{"format", "pt"}}, most);
    CHECK(folder.entries() == (files == 1 ? 1 : files + 1));
    const safetensors model = read_safetensors_folder(folder.path);
    CHECK(model.files.size() == files);
    CHECK(model.tensors.size() == 5);
    for (const tensor_source& t : tensors) CHECK(elements_of(*find_tensor(model.tensors, t.name)) == x);
  }
  const scratch_folder folder;
  write_safetensors_folder(folder.path, tensors, {}, 48);
  const auto index = nlohmann::json::parse(to_text(read_file(folder.path / index_name)));
  CHECK(index["metadata"]["total_size"] == 108);
  CHECK(index["weight_map"]["e"] == "model-00001-of-00003.safetensors");
  CHECK(index["weight_map"]["c"] == "model-00003-of-00003.safetensors");
}

TEST_CASE("shards: a single file is taken before an index, and never left beside a new one") {
  const scratch_folder folder;
  const std::vector<float> x = {1, 2};
  const std::vector<tensor_source> tensors = {{"a", {2}, x}, {"b", {2}, x}};
  write_safetensors_folder(folder.path, tensors, {}, 8);
  write_safetensors_folder(folder.path, std::span(tensors).first(1));
  CHECK(read_safetensors_folder(folder.path).tensors.size() == 1);
  CHECK_THROWS_AS(write_safetensors_folder(folder.path, tensors, {}, 8), std::system_error);
  const scratch_folder other;
  const std::vector<tensor_source> twice = {{"a", {2}, x}, {"a", {2}, x}};
  CHECK_THROWS_AS(write_safetensors_folder(other.path, twice, {}, 8), std::invalid_argument);
  CHECK(!std::filesystem::exists(other.path / index_name));
  CHECK_THROWS_AS(read_safetensors_folder(other.path / "absent"), std::system_error);
}

TEST_CASE("shards: an index that is not one") {
  refused("", 0, "not valid JSON");
  refused("[]", 0, "the index is not a JSON object");
  refused("7", 0, "the index is not a JSON object");
  refused("{}", {}, "the index has no \"weight_map\"");
  refused("{\"weight_map\":[]}", 14, "\"weight_map\" is not an object");
  refused("{\"weight_map\":null}", 14, "\"weight_map\" is not an object");
  refused("{\"weight_map\":{},\"weight_map\":{}}", 17, "the key \"weight_map\" appears twice");
  refused("{\"weight_map\":{\"a\":1}}", 19, "\"weight_map\": the file of \"a\" is not a string");
  refused("{\"weight_map\":{\"a\":[\"f\"]}}", 19, "\"weight_map\": the file of \"a\" is not a string");
  refused("{\"weight_map\":{\"a\":{}}}", 19, "\"weight_map\": the file of \"a\" is not a string");
  refused("{\"weight_map\":{\"a\":\"f\",\"b\":\"f\",\"a\":\"g\"}}", 31, "the key \"a\" appears twice");
  refused("{\"x\":" + std::string(100000, '[') + "}", 68, "nested more than 64 deep");
  for (const char* size : {"-1", "1.5", "\"1\"", "null", "[1]", "1e300", "-2.0", "9007199254740994.0"})
    refused("{\"metadata\":{\"total_size\":" + std::string(size) + "},\"weight_map\":{}}", 26,
            "\"total_size\" is not a whole number");
  refused("{\"metadata\":{\"total_size\":1,\"total_size\":1}}", 28, "the key \"total_size\" appears twice");
}

TEST_CASE("shards: an index may say more than is read") {
  const safetensors_index index = parse_safetensors_index(
      "{\"a\":{\"b\":[1,{\"c\":2}]},\"metadata\":{\"total_size\":12.0,\"more\":{\"total_size\":-1}},\"weight_map\":"
      "{\"z\":\"sub/f.safetensors\",\"a\":\"f\"},\"d\":null}",
      "index.json");
  REQUIRE(index.places.size() == 2);
  CHECK(index.places[0].tensor == "a");
  CHECK(index.places[1].file == "sub/f.safetensors");
  CHECK(index.total_size == 12);
  for (const auto& [text, bytes] :
       {std::pair<std::string, std::uint64_t>{"0.0", 0}, {"9007199254740992.0", std::uint64_t{1} << 53}})
    CHECK(parse_safetensors_index("{\"metadata\":{\"total_size\":" + text + "},\"weight_map\":{}}", "f").total_size ==
          bytes);
}

TEST_CASE("shards: a file outside of the folder is refused before it is looked for") {
  for (const char* file : {"", "/etc/passwd", "../f", "a/../f", "a/..", "..", ".", "./f", "a//f", "a/", "C:f",
                           "C:\\\\f", "..\\\\f", "a\\\\f", "a\\u0000f", "f\\n"}) {
    const std::string text = std::string("{\"weight_map\":{\"a\":\"").append(file).append("\"}}");
    const std::string name = nlohmann::json::parse(text)["weight_map"]["a"];
    refused(text, 19, "\"weight_map\": \"" + name + "\" is not a file inside the folder");
  }
  CHECK(parse_safetensors_index("{\"weight_map\":{\"a\":\"..f\",\"b\":\"d/e/f..\"}}", "f").places.size() == 2);
}

TEST_CASE("shards: an index that its files do not bear out is refused, with the name") {
  {
    model_folder f;
    std::filesystem::remove(f.scratch.path / "model-00002-of-00002.safetensors");
    f.refused("\"w.1\"", "there is no file \"model-00002-of-00002.safetensors\"");
  }
  {
    model_folder f;
    f.replace("\"w.0\": \"model-00001", "\"w.0\": \"model-00002");
    f.refused("\"w.0\"",
              "tensor \"w.0\" is in \"model-00001-of-00002.safetensors\", not in "
              "\"model-00002-of-00002.safetensors\"");
  }
  {
    model_folder f;
    f.replace("\"w.1\"", "\"w.9\"");
    f.refused("\"w.2\"",
              "\"model-00002-of-00002.safetensors\" has a tensor \"w.1\", which \"weight_map\" does not list");
  }
  {
    model_folder f;
    f.replace("\"weight_map\": {", "\"weight_map\": {\"x\": \"model-00001-of-00002.safetensors\", ");
    f.refused("\"x\"", "tensor \"x\" is not in \"model-00001-of-00002.safetensors\"");
  }
  {
    model_folder f;
    f.replace("\"total_size\": 80", "\"total_size\": 81");
    f.refused("81", "\"total_size\" is 81, the tensors have 80 bytes");
  }
  {
    model_folder f;
    f.replace("\"metadata\"", "\"other\"");
    CHECK(read_safetensors_folder(f.scratch.path).tensors.size() == 4);
  }
  {
    model_folder f;
    const auto path = f.scratch.path / "model-00001-of-00002.safetensors";
    write_bytes(path, to_bytes("short"));
    CHECK(format_error_of([&] { read_safetensors_folder(f.scratch.path); })->file() == path.string());
  }
}

TEST_CASE("shards: an index has at most 128 MiB") {
  const scratch_folder folder;
  write_bytes(folder.path / index_name, {});
  std::filesystem::resize_file(folder.path / index_name, (std::uint64_t{1} << 27) + 1);
  CHECK_THROWS_WITH(read_safetensors_folder(folder.path), Catch::Contains("at most 134217728 are read"));
}
