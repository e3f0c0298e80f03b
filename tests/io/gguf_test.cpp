// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/gguf.hpp"

#include "io/gguf_bytes.hpp"
#include "io/support.hpp"
#include "support/allocations.hpp"

using namespace hone::io;
using hone::index_t;

namespace {

void refused(const byte_vector& bytes, std::uint64_t at, const std::string& reason) {
  CAPTURE(reason);
  allocations::largest = 0;
  const auto error = format_error_of([&] { parse_gguf(bytes, "model.gguf"); });
  CHECK(allocations::largest < 4096 + 8 * bytes.size());
  REQUIRE(error);
  CHECK(error->file() == "model.gguf");
  CHECK(error->where().in == position::unit::byte);
  CHECK(error->where().at == at);
  CHECK(error->reason() == reason);
}

/// A file of one pair "k" of @p type whose value is @p value.
byte_vector pair_of(std::int32_t type, const byte_vector& value) {
  return gguf_bytes().header(0, 1).text("k").number(type).raw(value).bytes;
}
constexpr std::size_t pair_at = 24, value_at = 24 + 9;  // of the key, and of the type

template <class T>
byte_vector little_endian(T value) {
  byte_vector bytes;
  append_little_endian(bytes, value);
  return bytes;
}

/// A file of one tensor "t" and @p data bytes after it.
byte_vector tensor_of(const std::vector<std::int64_t>& sizes, std::uint32_t type, std::uint64_t offset,
                      std::size_t data, const std::string& name = "t") {
  gguf_bytes file;
  return file.header(1, 0).tensor(name, sizes, type, offset).pad(32).zeros(data).bytes;
}

}  // namespace

TEST_CASE("gguf: a file of the format's own library, with metadata of every type") {
  const gguf file = read_gguf(golden_file("types.gguf"));
  CHECK(file.version == 3);
  CHECK(file.alignment == 64);
  CHECK(std::get<std::uint8_t>(*file.find("u8")) == 255);
  CHECK(std::get<std::int8_t>(*file.find("i8")) == -128);
  CHECK(std::get<std::uint16_t>(*file.find("u16")) == 65535);
  CHECK(std::get<std::int16_t>(*file.find("i16")) == -32768);
  CHECK(std::get<std::uint32_t>(*file.find("u32")) == 4294967295u);
  CHECK(std::get<std::int32_t>(*file.find("i32")) == -2147483647 - 1);
  CHECK(std::get<float>(*file.find("f32")) == 0.5f);
  CHECK(std::get<bool>(*file.find("yes")));
  CHECK(*file.text("text") == std::string("Größe\0", 8));
  CHECK(std::get<std::uint64_t>(*file.find("u64")) == ~std::uint64_t{0});
  CHECK(std::get<std::int64_t>(*file.find("i64")) == (std::numeric_limits<std::int64_t>::min)());
  CHECK(std::get<double>(*file.find("f64")) == 0.1);
  const auto array = [&](const char* key) { return std::get<gguf_array>(*file.find(key)); };
  CHECK(std::get<std::vector<std::string>>(array("texts")) == std::vector<std::string>{"a", "", "bc"});
  CHECK(std::get<std::vector<std::int32_t>>(array("numbers")) == std::vector<std::int32_t>{1, -2, 3});
  CHECK(std::get<std::vector<float>>(array("reals")) == std::vector<float>{0.5f, 1.5f});
  CHECK(std::get<std::vector<bool>>(array("truths")) == std::vector<bool>{true, false, true});
}

TEST_CASE("gguf: numbers and texts are found by their keys, whatever their width") {
  const gguf file = read_gguf(golden_file("types.gguf"));
  CHECK(*file.text("general.architecture") == "llama");
  CHECK(file.whole("u8") == 255);
  CHECK(file.whole("i32") == -2147483648LL);
  CHECK(!file.whole("u64"));  // more than an int64 holds
  CHECK(!file.whole("f32"));
  CHECK(!file.whole("yes"));
  CHECK(!file.whole("text"));
  CHECK(!file.whole("numbers"));
  CHECK(!file.whole("absent"));
  CHECK(file.real("f32") == 0.5);
  CHECK(file.real("f64") == 0.1);
  CHECK(file.real("i8") == -128.0);
  CHECK(!file.real("yes"));
  CHECK(!file.real("absent"));
  CHECK(file.text("u8") == nullptr);
  CHECK(file.text("absent") == nullptr);
}

TEST_CASE("gguf: tensors of every type that is read, their shapes row-major") {
  const gguf file = read_gguf(golden_file("types.gguf"));
  const auto elements = [&](const char* name) { return elements_of<double>(*find_tensor(file.tensors, name)); };
  const std::vector<double> expected = {-0.75, -0.5, -0.25, 0, 0.25, 0.5};
  for (const char* name : {"float32", "float16", "bfloat16"}) {
    CHECK(elements(name) == expected);
    CHECK(find_tensor(file.tensors, name)->shape == std::vector<index_t>{2, 3});
  }
  for (std::size_t i = 0; i < 6; ++i) CHECK(elements("float64")[i] == expected[i] / 3);
  CHECK(find_tensor(file.tensors, "cube")->shape == std::vector<index_t>{2, 3, 4});
  for (std::size_t i = 0; i < 24; ++i) CHECK(elements("cube")[i] == static_cast<double>(i));
  CHECK(find_tensor(file.tensors, "q8_0")->shape == std::vector<index_t>{2, 32});
  CHECK(elements("q8_0") == elements("q8_0.expected"));
  const stored_tensor* other = find_tensor(file.tensors, "q4_0");
  const auto error = format_error_of([&] { elements_of(*other); });
  REQUIRE(error);
  CHECK(error->where().at == other->offset);
  CHECK(error->reason() == "tensor \"q4_0\": is of type Q4_0, which is not read");
}

TEST_CASE("gguf: version 2 is read as 3 is, and bytes after the last tensor are passed over") {
  byte_vector bytes = gguf_bytes().header(1, 0, 2).tensor("t", {2, 1}, 0, 0).pad(32).zeros(8).bytes;
  CHECK(parse_gguf(bytes, "f").version == 2);
  CHECK(parse_gguf(bytes, "f").tensors.at(0).shape == std::vector<index_t>{1, 2});
  bytes.resize(bytes.size() + 100);
  CHECK(parse_gguf(bytes, "f").tensors.size() == 1);
  CHECK(parse_gguf(gguf_bytes().header(0, 0).bytes, "f").tensors.empty());
  CHECK(parse_gguf(tensor_of({}, 0, 0, 4), "f").tensors.at(0).size() == 1);  // a scalar
}

TEST_CASE("gguf: hostile headers") {
  refused({}, 0, "the file ends in its magic number");
  refused(to_bytes("GGU"), 3, "the file ends in its magic number");
  refused(to_bytes("GGUf\3\0\0\0"), 0, "does not begin with \"GGUF\"");
  refused(to_bytes("GGUF"), 4, "the file ends in its version");
  for (const std::uint32_t version : {0u, 1u, 4u, 1000000u})
    refused(gguf_bytes().header(0, 0, version).bytes, 4, "version " + std::to_string(version) + " is not read");
  refused(gguf_bytes().header(0, 0, 0x03000000).bytes, 4, "a big-endian file is not read");
  refused(gguf_bytes().header(-1, 0).bytes, 8, "a number of tensors of -1, the file has 8 more bytes");
  refused(gguf_bytes().header(0, -1).bytes, 16, "a number of pairs of -1, the file has 0 more bytes");
  refused(gguf_bytes().header(1, 0).bytes, 8, "a number of tensors of 1, the file has 8 more bytes");
  refused(gguf_bytes().header(0, 1).bytes, 16, "a number of pairs of 1, the file has 0 more bytes");
  constexpr std::int64_t many = (std::numeric_limits<std::int64_t>::max)();
  refused(gguf_bytes().header(many, 0).zeros(1000).bytes, 8,
          "a number of tensors of 9223372036854775807, the file has 1008 more bytes");
  refused(gguf_bytes().header(0, many).zeros(1000).bytes, 16,
          "a number of pairs of 9223372036854775807, the file has 1000 more bytes");
}

TEST_CASE("gguf: hostile keys") {
  for (const std::uint64_t length :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 30, std::uint64_t{29}})
    refused(gguf_bytes().header(0, 1).number(length).zeros(28).bytes, pair_at,
            "a key of length " + std::to_string(length) + ", the file has 28 more bytes");
  refused(gguf_bytes().header(0, 1).text("").number(std::int32_t{0}).zeros(9).bytes, pair_at, "an empty key");
  refused(gguf_bytes()
              .header(0, 2)
              .text("k")
              .number(std::int32_t{0})
              .zeros(1)
              .text("k")
              .number(std::int32_t{0})
              .zeros(9)
              .bytes,
          pair_at + 14, "the key \"k\" appears twice");
  for (const std::int32_t type : {-1, 13, 1000, (std::numeric_limits<std::int32_t>::min)()})
    refused(pair_of(type, byte_vector(8)), value_at, "\"k\" is of the unknown type " + std::to_string(type));
}

TEST_CASE("gguf: hostile values") {
  refused(pair_of(4, byte_vector(3)), value_at + 4 + 3, "the file ends in a value");
  refused(pair_of(8, little_endian(~std::uint64_t{0})), value_at + 4,
          "a text of length 18446744073709551615, the file has 0 more bytes");
  refused(pair_of(8, little_endian(std::uint64_t{1})), value_at + 4, "a text of length 1, the file has 0 more bytes");
  const auto array = [](std::int32_t type, std::uint64_t count, std::size_t zeros) {
    gguf_bytes value;
    return pair_of(9, value.number(type).number(count).zeros(zeros).bytes);
  };
  refused(array(9, 1, 100), value_at + 4, "\"k\" is an array of arrays");
  refused(array(13, 1, 100), value_at + 4, "\"k\" is of the unknown type 13");
  refused(array(-1, 1, 100), value_at + 4, "\"k\" is of the unknown type -1");
  for (const std::uint64_t count :
       {~std::uint64_t{0}, std::uint64_t{1} << 61, (std::uint64_t{1} << 30) + 1, std::uint64_t{26}})
    refused(array(4, count, 100), value_at + 8,
            "an array of length " + std::to_string(count) + ", the file has 100 more bytes");
  refused(array(8, 13, 100), value_at + 8, "an array of length 13, the file has 100 more bytes");
  CHECK(std::get<gguf_array>(parse_gguf(array(4, 25, 100), "f").metadata.at(0).second).index() == 4);
  CHECK(std::get<gguf_array>(parse_gguf(array(8, 0, 0), "f").metadata.at(0).second).index() == 8);
}

TEST_CASE("gguf: hostile alignments") {
  const auto aligned = [](std::int32_t type, const byte_vector& value) {
    return gguf_bytes().header(0, 1).text("general.alignment").number(type).raw(value).bytes;
  };
  constexpr std::size_t at = 24 + 8 + 17;
  for (const std::uint32_t alignment : {0u, 13u, 48u, 4294967295u})
    refused(aligned(4, little_endian(alignment)), at, "\"general.alignment\" is not a power of two of type u32");
  refused(aligned(10, little_endian(std::uint64_t{32})), at, "\"general.alignment\" is not a power of two of type u32");
  refused(aligned(5, little_endian(std::int32_t{32})), at, "\"general.alignment\" is not a power of two of type u32");
  for (const std::uint32_t alignment : {1u, 8u, 1u << 31})
    CHECK(parse_gguf(aligned(4, little_endian(alignment)), "f").alignment == alignment);
}

TEST_CASE("gguf: hostile tensors") {
  constexpr std::size_t at = 24, rank = 24 + 9, sizes = rank + 4;
  constexpr std::int64_t most = (std::numeric_limits<std::int64_t>::max)();
  refused(tensor_of({1}, 0, 0, 4, ""), at, "a tensor name of 0 bytes");
  refused(tensor_of({1}, 0, 0, 4, std::string(64, 'n')), at, "a tensor name of 64 bytes");
  CHECK(parse_gguf(tensor_of({1}, 0, 0, 4, std::string(63, 'n')), "f").tensors.size() == 1);
  refused(gguf_bytes().header(1, 0).number(~std::uint64_t{0}).zeros(100).bytes, at,
          "a tensor name of length 18446744073709551615, the file has 100 more bytes");
  refused(tensor_of({1, 1, 1, 1, 1}, 0, 0, 4), rank, "tensor \"t\": rank 5, at most 4 are allowed");
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-1}, -most})
    refused(tensor_of({1, size}, 0, 0, 4), sizes + 8, "tensor \"t\": size " + std::to_string(size));
  refused(tensor_of({most, 2}, 0, 0, 4), sizes, "tensor \"t\": the product of its sizes overflows");
  refused(tensor_of({std::int64_t{1} << 32, std::int64_t{1} << 32}, 0, 0, 4), sizes,
          "tensor \"t\": the product of its sizes overflows");
  refused(tensor_of({std::int64_t{1} << 62}, 0, 0, 4), sizes, "tensor \"t\": its size in bytes overflows");
  refused(tensor_of({most - 31, 1}, 8, 0, 4), sizes, "tensor \"t\": its size in bytes overflows");
  for (const std::uint32_t type : {4u, 5u, 31u, 40u, 4294967295u})
    refused(tensor_of({1}, type, 0, 4), sizes + 8, "tensor \"t\": unknown type " + std::to_string(type));
  refused(tensor_of({33, 32}, 8, 0, 2000), sizes, "tensor \"t\": rows of 33 do not divide into blocks of 32");
  refused(tensor_of({}, 8, 0, 2000), sizes, "tensor \"t\": rows of 1 do not divide into blocks of 32");
  refused(tensor_of({2}, 0, 0, 7), sizes + 12, "tensor \"t\": its 8 bytes end after the file");
  refused(tensor_of({std::int64_t{1} << 40}, 0, 0, 7), sizes + 12,
          "tensor \"t\": its 4398046511104 bytes end after the file");  // declared larger than the file
  for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{32}, ~std::uint64_t{0}, ~std::uint64_t{31}})
    refused(tensor_of({1}, 0, offset, 64), sizes + 12,
            "tensor \"t\": offset " + std::to_string(offset) + ", 0 is next");
}

TEST_CASE("gguf: hostile pairs of tensors") {
  const auto two = [](std::uint64_t offset, const std::string& name = "u", std::int64_t size = 9) {
    return gguf_bytes().header(2, 0).tensor("t", {size}, 0, 0).tensor(name, {1}, 0, offset).pad(32).zeros(100).bytes;
  };
  constexpr std::size_t first = 24, second = 24 + 33, offset_at = second + 9 + 4 + 8 + 4;
  CHECK(parse_gguf(two(64), "f").tensors.size() == 2);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{36}, std::uint64_t{32}, std::uint64_t{96}})
    refused(two(offset), offset_at, "tensor \"u\": offset " + std::to_string(offset) + ", 64 is next");
  refused(two(64, "t"), second, "tensor \"t\" appears twice");
  refused(two(32, "u", (std::int64_t{1} << 61) - 16), first + 9 + 4 + 8 + 4,
          "tensor \"t\": its 9223372036854775744 bytes end after the file");  // 0x7FFF...C0: the sum would overflow
  const byte_vector one = tensor_of({1}, 0, 0, 4);
  CHECK(parse_gguf(one, "f").tensors.at(0).bytes.size() == 4);  // the last padding may be missing
}

TEST_CASE("gguf: a file cut short anywhere before its end is refused, and never read after it") {
  const byte_vector bytes = read_file(golden_file("types.gguf"));
  std::size_t refusals = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const byte_vector part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    if (format_error_of([&] { parse_gguf(part, "f"); })) ++refusals;
  }
  CHECK(refusals >= bytes.size() - 64);  // of the last padding
  CHECK_THROWS_AS(read_gguf(golden_file("absent.gguf")), std::system_error);
}

TEST_CASE("gguf: every type of the format's list has its number, and a block of it its size") {
  struct expected {
    std::uint32_t number;
    const char* name;
    std::int64_t block;
    std::size_t bytes;
  };
  const expected types[] = {
      {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},
      {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
      {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
      {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
      {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
      {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
      {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17}};
  for (const expected& e : types) {
    CAPTURE(e.name);
    const byte_vector file = tensor_of({2 * e.block, 3}, e.number, 0, 6 * e.bytes);
    const stored_tensor t = parse_gguf(file, "f").tensors.at(0);
    CHECK(std::string(t.type->name) == e.name);
    CHECK(t.bytes.size() == 6 * e.bytes);
    if (e.block > 1)
      refused(tensor_of({e.block + 1}, e.number, 0, 1000), 24 + 9 + 4,
              "tensor \"t\": rows of " + std::to_string(e.block + 1) + " do not divide into blocks of " +
                  std::to_string(e.block));
  }
}

TEST_CASE("gguf: counts that the smallest of things would fill are read on") {
  refused(gguf_bytes().header(0, 1).zeros(13).bytes, 16, "a number of pairs of 1, the file has 13 more bytes");
  refused(gguf_bytes().header(0, 1).zeros(14).bytes, pair_at, "an empty key");
  refused(gguf_bytes().header(1, 0).zeros(16).bytes, 8, "a number of tensors of 1, the file has 24 more bytes");
  refused(gguf_bytes().header(1, 0).zeros(17).bytes, 24, "a tensor name of 0 bytes");
}
