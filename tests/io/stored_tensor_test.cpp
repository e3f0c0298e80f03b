// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/stored_tensor.hpp"

#include "io/support.hpp"

#include <cmath>
#include <limits>

using namespace hone::io;
using hone::index_t;

namespace {

/// A tensor of one dimension whose bytes begin @p shift bytes into memory, as they may in a file.
struct made {
  byte_vector memory;
  element_type type;
  stored_tensor tensor;

  made(const byte_vector& bytes, element_kind kind, index_t count, std::size_t shift = 0)
      : memory(shift), type{"TYPE", kind, 1, 8} {
    memory.insert(memory.end(), bytes.begin(), bytes.end());
    tensor = {"t", &type, {count}, std::span(memory).subspan(shift), 7, std::make_shared<const std::string>("file")};
  }
  made(const made&) = delete;
  made& operator=(const made&) = delete;
};

template <class T>
byte_vector little_endian(const std::vector<T>& values) {
  byte_vector bytes;
  for (const T value : values) append_little_endian(bytes, value);
  return bytes;
}

/// Both results against @p expected, at every size around a pack and a chunk, and at every alignment.
template <class Bits>
void compare(element_kind kind, auto&& bits_of, auto&& expected) {
  for (const std::size_t size : {0u, 1u, 15u, 16u, 17u, 1023u, 1024u, 1025u, 5000u})
    for (const std::size_t shift : {0u, 1u, 2u, 3u}) {
      std::vector<Bits> bits(size);
      for (std::size_t i = 0; i < size; ++i) bits[i] = bits_of(i);
      const made m(little_endian(bits), kind, static_cast<index_t>(size), shift);
      const std::vector<float> x = elements_of(m.tensor);
      const std::vector<double> y = elements_of<double>(m.tensor);
      REQUIRE(x.size() == size);
      for (std::size_t i = 0; i < size; ++i) {
        const double value = expected(bits[i]);
        REQUIRE((x[i] == static_cast<float>(value) || (std::isnan(x[i]) && std::isnan(value))));
        REQUIRE((y[i] == value || (std::isnan(y[i]) && std::isnan(value))));
      }
    }
}

}  // namespace

TEST_CASE("stored elements are converted, at every size and alignment") {
  compare<std::uint16_t>(
      element_kind::float16, [](std::size_t i) { return static_cast<std::uint16_t>(i * 2654435761u >> 8); },
      [](std::uint16_t bits) {  // IEEE 754 binary16, from its definition
        const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
        const double sign = bits >> 15 ? -1 : 1;
        if (exponent == 31) return mantissa ? std::nan("") : sign * INFINITY;
        return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25));
      });
  compare<std::uint16_t>(
      element_kind::bfloat16, [](std::size_t i) { return static_cast<std::uint16_t>(i * 2654435761u >> 8); },
      [](std::uint16_t bits) {
        const int exponent = bits >> 7 & 255, mantissa = bits & 127;
        const double sign = bits >> 15 ? -1 : 1;
        if (exponent == 255) return mantissa ? std::nan("") : sign * INFINITY;
        return sign * (exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(mantissa + 128, exponent - 134));
      });
  compare<float>(
      element_kind::float32, [](std::size_t i) { return static_cast<float>(i) * 0.1f - 3; },
      [](float x) { return static_cast<double>(x); });
  compare<double>(
      element_kind::float64, [](std::size_t i) { return static_cast<double>(i) * 0.1 - 3; },
      [](double x) { return x; });
  compare<std::int32_t>(
      element_kind::int32, [](std::size_t i) { return static_cast<std::int32_t>(i * 2654435761u); },
      [](std::int32_t x) { return static_cast<double>(x); });
  compare<std::int64_t>(
      element_kind::int64, [](std::size_t i) { return static_cast<std::int64_t>(i) * 1234567 - 5; },
      [](std::int64_t x) { return static_cast<double>(x); });
  compare<std::uint8_t>(
      element_kind::uint8, [](std::size_t i) { return static_cast<std::uint8_t>(i); },
      [](std::uint8_t x) { return static_cast<double>(x); });
}

TEST_CASE("blocks of Q8_0 are a float16 times 32 int8") {
  for (const int blocks : {0, 1, 31, 33, 1025}) {
    byte_vector bytes;
    std::vector<float> expected;
    for (int block = 0; block < blocks; ++block) {
      append_little_endian(bytes, hone::float16(0.25f * static_cast<float>(block % 7 - 3)).bits);
      for (int i = 0; i < 32; ++i) {
        const auto whole = static_cast<std::int8_t>(block * 31 + i * 37);
        append_little_endian(bytes, whole);
        expected.push_back(0.25f * static_cast<float>(block % 7 - 3) * static_cast<float>(whole));
      }
    }
    const made m(bytes, element_kind::q8_0, 32 * blocks, 1);
    CHECK(elements_of(m.tensor) == expected);
    CHECK(elements_of<double>(m.tensor) == std::vector<double>(expected.begin(), expected.end()));
  }
}

TEST_CASE("infinite and NaN elements are kept and counted") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> elements(3000, 1.0f);
  elements[0] = infinity;
  elements[1500] = -infinity;
  elements[2999] = std::numeric_limits<float>::quiet_NaN();
  const made m(little_endian(elements), element_kind::float32, 3000);
  std::vector<float> x(3000);
  std::vector<double> y(3000);
  CHECK(copy_elements(m.tensor, std::span<float>(x)) == 3);
  CHECK(copy_elements(m.tensor, std::span<double>(y)) == 3);
  CHECK(x[1500] == -infinity);
  CHECK(std::isnan(y[2999]));
  const made wide(little_endian(std::vector<double>{1e300, 1}), element_kind::float64, 2);
  std::vector<float> narrow(2);
  CHECK(copy_elements(wide.tensor, std::span<float>(narrow)) == 1);  // 1e300 is infinite as a float
  CHECK(narrow[0] == infinity);
  byte_vector blocks(34, std::byte{1});
  append_little_endian(blocks, hone::float16(infinity).bits);
  blocks.resize(68, std::byte{1});
  std::vector<float> quantised(64);
  CHECK(copy_elements(made(blocks, element_kind::q8_0, 64).tensor, std::span<float>(quantised)) == 32);
}

TEST_CASE("elements go where as many have room, and types without a conversion are refused by name") {
  const made m(little_endian(std::vector<float>{1, 2}), element_kind::float32, 2);
  std::vector<float> x(3, 9.0f);
  CHECK_THROWS_WITH(copy_elements(m.tensor, std::span<float>(x)), Catch::Contains("has 3 elements, \"t\" has 2"));
  CHECK(x == std::vector<float>(3, 9.0f));
  const std::span<float> nowhere(static_cast<float*>(nullptr), 2);
  CHECK_THROWS_WITH(copy_elements(m.tensor, nowhere), "hone::io::copy_elements: out: has 2 elements and no memory");
  const made other(byte_vector(4), element_kind::listed_only, 4);
  const auto error = format_error_of([&] { elements_of(other.tensor); });
  REQUIRE(error);
  CHECK(error->where().at == 7);
  CHECK(error->reason() == "tensor \"t\": is of type TYPE, which is not read");
}

TEST_CASE("elements are written rounded to nearest even, at every size around a chunk") {
  const scratch_folder folder;
  for (const std::size_t size : {0u, 1u, 8191u, 8192u, 8193u, 20000u}) {
    std::vector<float> elements(size);
    for (std::size_t i = 0; i < size; ++i) elements[i] = std::sin(static_cast<float>(i)) * 100;
    for (const hone::format stored : {hone::format::float32, hone::format::float16, hone::format::bfloat16}) {
      const tensor_source source{"t", {static_cast<index_t>(size)}, elements, stored};
      {
        atomic_file file(folder.path / "file");
        detail::write_elements(file, source);
        file.commit();
      }
      const byte_vector bytes = read_file(folder.path / "file");
      REQUIRE(bytes.size() == source.bytes());
      for (std::size_t i = 0; i < size; ++i) {
        if (stored == hone::format::float32)
          REQUIRE(load_little_endian<float>(bytes, 4 * i) == elements[i]);
        else if (stored == hone::format::float16)
          REQUIRE(load_little_endian<std::uint16_t>(bytes, 2 * i) == hone::float16(elements[i]).bits);
        else
          REQUIRE(load_little_endian<std::uint16_t>(bytes, 2 * i) == hone::bfloat16(elements[i]).bits);
      }
    }
  }
}

TEST_CASE("a tensor is found by its name in a sorted list") {
  std::vector<stored_tensor> tensors(3);
  tensors[0].name = "a";
  tensors[1].name = "b.weight";
  tensors[2].name = "c";
  CHECK(find_tensor(tensors, "b.weight") == &tensors[1]);
  for (const char* name : {"", "b", "b.weightx", "d"}) CHECK(find_tensor(tensors, name) == nullptr);
  CHECK(find_tensor({}, "a") == nullptr);
}

TEST_CASE("elements of the stored type are copied, and counted, in every run of them") {
  for (const std::size_t size : {16384u, 16385u, 40000u}) {
    std::vector<float> elements(size);
    for (std::size_t i = 0; i < size; ++i) elements[i] = static_cast<float>(i);
    elements[16383] = std::numeric_limits<float>::infinity();
    elements.back() = -std::numeric_limits<float>::infinity();
    const made m(little_endian(elements), element_kind::float32, static_cast<index_t>(size), 1);
    std::vector<float> x(size);
    CHECK(copy_elements(m.tensor, std::span<float>(x)) == (size == 16384 ? 1 : 2));
    CHECK(x == elements);
  }
}

TEST_CASE("elements of 16 bits that are not finite are counted in every run of them") {
  for (const auto& [kind, infinite, nan] :
       {std::tuple(element_kind::float16, 0x7c00, 0x7e01), std::tuple(element_kind::bfloat16, 0x7f80, 0x7fc1)}) {
    std::vector<std::uint16_t> bits(2100, 0x3c00);
    for (const std::size_t i : {0u, 1023u, 1024u, 2099u}) bits[i] = static_cast<std::uint16_t>(infinite);
    bits[7] = static_cast<std::uint16_t>(nan), bits[2048] = static_cast<std::uint16_t>(infinite | 0x8000);
    const made m(little_endian(bits), kind, 2100);
    std::vector<float> x(2100);
    std::vector<double> y(2100);
    CHECK(copy_elements(m.tensor, std::span<float>(x)) == 6);
    CHECK(copy_elements(m.tensor, std::span<double>(y)) == 6);
  }
}
