// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/safetensors.hpp"

#include "io/support.hpp"
#include "support/allocations.hpp"

using namespace hone::io;
using hone::index_t;

namespace {

constexpr std::uint64_t header_limit = 100'000'000;

byte_vector file_of(std::string_view header, std::size_t data, std::optional<std::uint64_t> length = std::nullopt) {
  byte_vector bytes;
  append_little_endian(bytes, length.value_or(header.size()));
  const byte_vector text = to_bytes(header);
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.resize(bytes.size() + data);
  return bytes;
}

// Not inlined, where g++ warns of lengths that no text has.
[[gnu::noinline]] std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                                    std::uint64_t begin, std::uint64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

/// That a file is refused at byte @p at, for @p reason, and without memory that it does not pay for.
void refused(const byte_vector& bytes, std::uint64_t at, const std::string& reason) {
  CAPTURE(reason);
  allocations::largest = 0;
  const auto error = format_error_of([&] { parse_safetensors(bytes, "model.safetensors"); });
  CHECK(allocations::largest < 4096 + 4 * bytes.size());
  REQUIRE(error);
  CHECK(error->file() == "model.safetensors");
  CHECK(error->where().in == position::unit::byte);
  CHECK(error->where().at == at);
  CHECK(error->reason() == reason);
}

/// {first, …}
template <class... Entries>
std::string braced(const Entries&... entries) {
  std::string text;
  ((text.append(text.empty() ? "{" : ",").append(entries)), ...);
  return text.append("}");
}

std::string const f4 = entry("a", "F32", "[1]", 0, 4);

}  // namespace

TEST_CASE("safetensors: a file of the format's own library, with a tensor of each type") {
  const safetensors file = read_safetensors(golden_file("types.safetensors"));
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "np"}, {"größe", "\"1\"\n"}});
  REQUIRE(file.tensors.size() == 11);
  const auto elements = [&](const char* name) { return elements_of<double>(*find_tensor(file.tensors, name)); };
  const std::vector<double> expected = {-0.75, -0.5, -0.25, 0, 0.25, 0.5};
  for (const char* name : {"float32", "float16", "bfloat16"}) {
    CHECK(elements(name) == expected);
    CHECK(elements_of(*find_tensor(file.tensors, name)) == std::vector<float>(expected.begin(), expected.end()));
    CHECK(find_tensor(file.tensors, name)->shape == std::vector<index_t>{2, 3});
  }
  for (std::size_t i = 0; i < 6; ++i) CHECK(elements("float64")[i] == expected[i] / 3);
  CHECK(elements("int32") == std::vector<double>{-2147483648.0, 2147483647.0});
  CHECK(elements("int64") == std::vector<double>{-9007199254740992.0, 9007199254740992.0});
  CHECK(elements("uint8") == std::vector<double>{0, 255});
  CHECK(elements("scalar") == std::vector<double>{1.5});
  CHECK(find_tensor(file.tensors, "scalar")->shape.empty());
  CHECK(elements("empty").empty());
  CHECK(find_tensor(file.tensors, "empty")->shape == std::vector<index_t>{2, 0, 3});
  CHECK(elements("a \"quoted\" name, Größe\n") == std::vector<double>{7});
  CHECK(find_tensor(file.tensors, "absent") == nullptr);
}

TEST_CASE("safetensors: a type that is not converted is listed, and refused by name when its elements are asked for") {
  const safetensors file = read_safetensors(golden_file("types.safetensors"));
  const stored_tensor* t = find_tensor(file.tensors, "bool");
  REQUIRE(t != nullptr);
  CHECK(std::string(t->type->name) == "BOOL");
  CHECK(t->bytes.size() == 2);
  const auto error = format_error_of([&] { elements_of(*t); });
  REQUIRE(error);
  CHECK(error->file() == golden_file("types.safetensors").string());
  CHECK(error->where().at == t->offset);
  CHECK(error->reason() == "tensor \"bool\": is of type BOOL, which is not read");
}

TEST_CASE("safetensors: every type of the format's list has its size, in bits below a byte too") {
  const std::pair<const char*, int> bits[] = {
      {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
      {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
      {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};
  for (const auto& [name, size] : bits) {
    const auto bytes = static_cast<std::size_t>(8 * size / 8);
    const byte_vector file = file_of(braced(entry("a", name, "[4,2]", 0, bytes)), bytes);
    CHECK(parse_safetensors(file, "f").tensors.at(0).bytes.size() == bytes);
  }
  refused(file_of(braced(entry("a", "F4", "[3]", 0, 2)), 2), 9,
          "tensor \"a\": its data have 2 bytes, its shape asks for 12 bits");
}

TEST_CASE("safetensors: what was written is read back, in the order and padding of the format's own writer") {
  const scratch_folder folder;
  const auto path = folder.path / "model.safetensors";
  const std::vector<float> x = {1, -2.5f, 1.0f / 3}, none, one = {5};
  const std::vector<tensor_source> tensors = {{"z", {3}, x, hone::format::float16},
                                              {"b", {1, 3}, x},
                                              {"a", {3, 1}, x},
                                              {"y", {3}, x, hone::format::bfloat16},
                                              {"empty", {0, 7}, none, hone::format::bfloat16},
                                              {"Größe \"\\\n", {}, one}};
  write_safetensors(path, tensors, {{"k", "v\""}});
  const byte_vector bytes = read_file(path);
  const auto length = load_little_endian<std::uint64_t>(bytes, 0);
  CHECK(length % 8 == 0);
  std::string header = to_text(std::span(bytes).subspan(8, length));
  header.erase(header.find_last_not_of(' ') + 1);
  CHECK(header ==
        "{\"__metadata__\":{\"k\":\"v\\\"\"},"
        "\"Größe \\\"\\\\\\n\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[4,16]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[16,28]},"
        "\"empty\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[28,28]},"
        "\"y\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[28,34]},"
        "\"z\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[34,40]}}");
  const safetensors file = read_safetensors(path);
  CHECK(file.metadata.at("k") == "v\"");
  CHECK(elements_of(*find_tensor(file.tensors, "a")) == x);
  CHECK(elements_of(*find_tensor(file.tensors, "Größe \"\\\n")) == one);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(elements_of(*find_tensor(file.tensors, "y"))[i] == float{hone::bfloat16(x[i])});
    CHECK(elements_of(*find_tensor(file.tensors, "z"))[i] == float{hone::float16(x[i])});
  }
  write_safetensors(path, {});
  CHECK(read_safetensors(path).tensors.empty());
  CHECK(read_file(path).size() == 16);
  CHECK(folder.entries() == 1);
}

TEST_CASE("safetensors: what cannot be written is refused before there is a file") {
  const scratch_folder folder;
  const std::vector<float> x = {1, 2};
  const auto write = [&](std::vector<tensor_source> tensors, const std::map<std::string, std::string>& metadata = {}) {
    write_safetensors(folder.path / "file", tensors, metadata);
  };
  CHECK_THROWS_WITH(write({{"a", {3}, x}}), Catch::Contains("write_safetensors: a: has 2 elements, which do not fill"));
  CHECK_THROWS_AS(write({{"a", {-1, -2}, x}}), std::invalid_argument);
  CHECK_THROWS_AS(write({{"a", {index_t{1} << 62, 4}, {}}}), std::invalid_argument);
  CHECK_THROWS_WITH(write({{"a", {2}, x}, {"a", {2}, x, hone::format::float16}}), Catch::Contains("\"a\" is taken"));
  CHECK_THROWS_WITH(write({{"a", {2}, x}, {"b", {2}, x}, {"a", {2}, x, hone::format::float16}}),
                    Catch::Contains("\"a\" is taken"));
  CHECK_THROWS_WITH(write({{"A", {2}, x}, {"__metadata__", {2}, x, hone::format::float16}}),
                    Catch::Contains("\"__metadata__\" is taken"));
  CHECK_THROWS_WITH(write({{"__metadata__", {2}, x}}), Catch::Contains("\"__metadata__\" is taken"));
  CHECK_THROWS_WITH(write({{"\xff", {2}, x}}), Catch::Contains("is not UTF-8"));
  CHECK_THROWS_WITH(write({}, {{"k", "\xff"}}), Catch::Contains("is not UTF-8"));
  CHECK_THROWS_WITH(write({{"a", {2}, x, hone::format::float64}}), Catch::Contains("only float32, float16"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("safetensors: 100,000 entries are read") {
  std::string header = "{";
  for (std::uint64_t i = 0; i < 100000; ++i)
    header.append(i == 0 ? "" : ",").append(entry("tensor." + std::to_string(i), "U8", "[1]", i, i + 1));
  const byte_vector bytes = file_of(header + "}", 100000);
  const safetensors file = parse_safetensors(bytes, "f");
  CHECK(file.tensors.size() == 100000);
  CHECK(find_tensor(file.tensors, "tensor.99999")->bytes.data() == bytes.data() + bytes.size() - 1);
}

TEST_CASE("safetensors: hostile lengths") {
  refused({}, 0, "too short for the 8 bytes of the header's length");
  refused(byte_vector(7), 7, "too short for the 8 bytes of the header's length");
  refused(file_of("{}", 0, 3), 0, "a header of 3 bytes in a file of 10 bytes");
  refused(file_of("{}", 0, header_limit), 0, "a header of 100000000 bytes in a file of 10 bytes");
  refused(file_of("{}", 0, header_limit + 1), 0, "a header of 100000001 bytes, at most 100000000 are allowed");
  refused(file_of("{}", 0, ~std::uint64_t{0}), 0,
          "a header of 18446744073709551615 bytes, at most 100000000 are allowed");
  refused(file_of("{}", 0, ~std::uint64_t{0} - 7), 0,
          "a header of 18446744073709551608 bytes, at most 100000000 are allowed");
  refused(file_of("", 0), 8, "the header does not begin with '{'");
  for (const char* text : {" {}", "[]", "\xef\xbb\xbf{}", "null", "1"})
    refused(file_of(text, 0), 8, "the header does not begin with '{'");
}

TEST_CASE("safetensors: hostile JSON") {
  refused(file_of("{", 0), 9, "not valid JSON");
  refused(file_of("{}x", 0), 10, "not valid JSON");
  refused(file_of(std::string_view("{}\0", 3), 0), 10, "not valid JSON");
  refused(file_of("{\"\xff\":1}", 0), 10, "not valid JSON");
  refused(file_of("{\"a\":" + std::string(100000, '['), 0), 9, "tensor \"a\": is not an object");
  refused(file_of("{\"a\":{\"shape\":[" + std::string(100000, '['), 0), 23,
          "tensor \"a\": \"shape\" holds something other than whole numbers");
  refused(file_of("{\"__metadata__\":{\"a\":[[]]}}", 0), 29, "\"__metadata__\": \"a\" is not a string");
  refused(file_of("{\"__metadata__\":{\"a\":1}}", 0), 29, "\"__metadata__\": \"a\" is not a string");
  refused(file_of("{\"__metadata__\":{\"a\":null}}", 0), 29, "\"__metadata__\": \"a\" is not a string");
  refused(file_of("{\"__metadata__\":[]}", 0), 24, "\"__metadata__\" is not an object");
  refused(file_of("{\"__metadata__\":{},\"__metadata__\":{}}", 0), 27, "the key \"__metadata__\" appears twice");
  refused(file_of("{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0), 33, "the key \"a\" appears twice");
  CHECK(parse_safetensors(file_of("{}  \n", 0), "f").tensors.empty());
  CHECK(parse_safetensors(file_of("{\"__metadata__\":{}}", 0), "f").tensors.empty());
  CHECK(parse_safetensors(file_of("{\"__metadata__\":null}", 0), "f").metadata.empty());
}

TEST_CASE("safetensors: hostile entries") {
  const auto alone = [](const std::string& fields) { return file_of("{\"a\":" + fields + "}", 4); };
  refused(alone("1"), 9, "tensor \"a\": is not an object");
  refused(alone("{}"), 9, "tensor \"a\": has no \"dtype\"");
  refused(alone("{\"dtype\":\"F32\"}"), 9, "tensor \"a\": has no \"shape\"");
  refused(alone("{\"dtype\":\"F32\",\"shape\":[1]}"), 9, "tensor \"a\": has no \"data_offsets\"");
  refused(alone("{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}"), 9,
          "tensor \"a\": has an unknown field \"x\"");
  refused(alone("{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"), 28,
          "the key \"dtype\" appears twice");
  refused(alone("{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}"), 40,
          "the key \"shape\" appears twice");
  refused(alone("{\"dtype\":1}"), 9, "tensor \"a\": \"dtype\" is not a string");
  refused(alone("{\"dtype\":[\"F32\"]}"), 9, "tensor \"a\": \"dtype\" is not a string");
  for (const char* name : {"F31", "f32", "", "F32 "})
    refused(alone("{\"dtype\":\"" + std::string(name) + "\"}"), 9,
            "tensor \"a\": unknown dtype \"" + std::string(name) + "\"");
  refused(alone("{\"shape\":4}"), 9, "tensor \"a\": \"shape\" is not an array");
  refused(alone("{\"shape\":{}}"), 9, "tensor \"a\": \"shape\" is not an array");
  refused(alone("{\"data_offsets\":\"0\"}"), 9, "tensor \"a\": \"data_offsets\" is not an array");
  for (const char* offsets : {"[]", "[0]", "[0,4,4]"})
    refused(alone("{\"data_offsets\":" + std::string(offsets) + "}"), 9,
            "tensor \"a\": \"data_offsets\" are not two numbers");
  for (const char* number : {"1.0", "-1", "1e0", "-0", "\"1\"", "true", "null", "18446744073709551616", "[]", "{}"})
    for (const char* field : {"shape", "data_offsets"})
      refused(alone("{\"" + std::string(field) + "\":[" + number + "]}"), 18 + std::string(field).size(),
              "tensor \"a\": \"" + std::string(field) + "\" holds something other than whole numbers");
}

TEST_CASE("safetensors: hostile offsets") {
  const auto two = [](const std::string& first, const std::string& second, std::size_t data) {
    return file_of(braced(first, second), data);
  };
  refused(file_of(braced(entry("a", "F32", "[1]", 4, 0)), 4), 9, "tensor \"a\": its data begin at 4 and end at 0");
  refused(file_of(braced(entry("a", "F32", "[1]", 0, 4)), 3), 9,
          "tensor \"a\": its data end at 4, those of the file at 3");
  refused(file_of(braced(entry("a", "F32", "[1]", ~std::uint64_t{0} - 3, ~std::uint64_t{0})), 3), 9,
          "tensor \"a\": its data end at 18446744073709551615, those of the file at 3");
  refused(file_of(braced(entry("a", "F32", "[2]", 0, 4)), 4), 9,
          "tensor \"a\": its data have 4 bytes, its shape asks for 8");
  refused(file_of(braced(entry("a", "F16", "[1]", 0, 4)), 4), 9,
          "tensor \"a\": its data have 4 bytes, its shape asks for 2");
  refused(file_of(braced(entry("a", "F32", "[0]", 0, 4)), 4), 9,
          "tensor \"a\": its data have 4 bytes, its shape asks for 0");
  refused(two(f4, entry("b", "F32", "[1]", 0, 4), 4), 9 + f4.size() + 1, "tensor \"b\": its data overlap those before");
  refused(two(f4, entry("b", "F32", "[1]", 3, 7), 8), 9 + f4.size() + 1, "tensor \"b\": its data overlap those before");
  refused(two(f4, entry("b", "F32", "[1]", 5, 9), 9), 9 + f4.size() + 1,
          "tensor \"b\": a hole of 1 byte before its data");
  refused(file_of(braced(entry("a", "F32", "[1]", 4, 8)), 8), 9, "tensor \"a\": a hole of 4 bytes before its data");
  refused(file_of(braced(f4), 6), 8 + f4.size() + 2 + 4, "2 bytes after the last tensor");
  refused(file_of("{}", 1), 10, "1 byte after the last tensor");
  refused(two(f4, entry("a", "F32", "[1]", 4, 8), 8), 9 + f4.size() + 1, "the key \"a\" appears twice");
  std::string views = f4;  // many views of one region
  for (int i = 0; i < 1000; ++i) views.append(",").append(entry(std::to_string(i), "F32", "[1]", 0, 4));
  refused(file_of(braced(views), 4), 9 + f4.size() + 1, "tensor \"0\": its data overlap those before");
}

TEST_CASE("safetensors: hostile shapes") {
  for (const char* shape : {"[18446744073709551615]", "[9223372036854775808]", "[4294967296,4294967296]",
                            "[9223372036854775807,3]", "[2,9223372036854775807]"})
    refused(file_of(braced(entry("a", "U8", shape, 0, 4)), 4), 9, "tensor \"a\": the product of its shape overflows");
  refused(file_of(braced(entry("a", "F64", "[4611686018427387904]", 0, 4)), 4), 9,
          "tensor \"a\": its size in bits overflows");
  const byte_vector empty = file_of(braced(entry("a", "F64", "[0,9223372036854775807]", 0, 0)), 0);
  CHECK(parse_safetensors(empty, "f").tensors.at(0).size() == 0);
  std::string ones = "[1";
  for (int i = 0; i < 10000; ++i) ones += ",1";
  ones += ']';
  const byte_vector long_shape = file_of(braced(entry("a", "F32", ones, 0, 4)), 4);
  CHECK(parse_safetensors(long_shape, "f").tensors.at(0).size() == 1);
}

TEST_CASE("safetensors: a file cut short anywhere, or longer, is refused") {
  byte_vector bytes = read_file(golden_file("types.safetensors"));
  for (std::size_t length = 0; length < bytes.size(); ++length)
    REQUIRE(format_error_of([&] { parse_safetensors(std::span(bytes).first(length), "f"); }));
  bytes.push_back({});
  CHECK(format_error_of([&] { parse_safetensors(bytes, "f"); })->where().at == bytes.size() - 1);
}

TEST_CASE("safetensors: a file that is absent or not one is an error that names it") {
  const scratch_folder folder;
  CHECK_THROWS_AS(read_safetensors(folder.path / "absent"), std::system_error);
  write_bytes(folder.path / "text", to_bytes("{\"not\": \"safetensors\"}"));
  CHECK(format_error_of([&] { read_safetensors(folder.path / "text"); })->file() == (folder.path / "text").string());
}

TEST_CASE("safetensors: an entry's fields are its own, and metadata may come between entries") {
  refused(file_of("{" + f4 + ",\"b\":{}}", 4), 9 + f4.size() + 1, "tensor \"b\": has no \"dtype\"");
  refused(file_of("{" + f4 + ",\"b\":{\"shape\":[0],\"data_offsets\":[4,4]}}", 4), 9 + f4.size() + 1,
          "tensor \"b\": has no \"dtype\"");
  refused(file_of("{" + f4 + ",\"b\":{\"dtype\":\"F32\",\"data_offsets\":[4,4]}}", 4), 9 + f4.size() + 1,
          "tensor \"b\": has no \"shape\"");
  const byte_vector file =
      file_of(braced(f4, "\"__metadata__\":{\"k\":\"v\",\"l\":\"w\"}", entry("b", "F32", "[1]", 4, 8)), 8);
  const safetensors read = parse_safetensors(file, "f");
  CHECK(read.tensors.size() == 2);
  CHECK(read.metadata == std::map<std::string, std::string>{{"k", "v"}, {"l", "w"}});
}
