// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/dlpack.hpp"

#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include "support/catch.hpp"

#include <dlpack/dlpack.h>

#include <limits>
#include <vector>

using namespace hone;

namespace {

struct tensor {
  std::vector<std::int64_t> shape, strides;
  DLTensor dl{};

  tensor(void* data, std::vector<std::int64_t> shape_, std::vector<std::int64_t> strides_, unsigned code, unsigned bits)
      : shape(std::move(shape_)), strides(std::move(strides_)) {
    dl.data = data;
    dl.device = {kDLCPU, 0};
    dl.ndim = static_cast<int>(shape.size());
    dl.dtype = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1};
    dl.shape = shape.data();
    dl.strides = strides.empty() ? nullptr : strides.data();
  }
};

}  // namespace

TEST_CASE("DLPack: type, offset, strides and compact tensors") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  tensor compact(memory.data(), {2, 3, 4}, {}, kDLFloat, 32);
  CHECK(vector_of<float>(compact.dl).size() == 24);
  CHECK(visit_vector(compact.dl, [](auto x) { return hone::sum(x); }) == 23 * 12);
  tensor strided(memory.data(), {3}, {-2}, kDLFloat, 32);
  strided.dl.byte_offset = 5 * sizeof(float);
  const auto backwards = vector_of<float>(strided.dl);
  CHECK(backwards[0] == 5);
  CHECK(backwards[2] == 1);
  tensor transposed(memory.data(), {4, 6}, {1, 4}, kDLFloat, 32);
  CHECK(matrix_of<float>(transposed.dl)(3, 5) == 23);
  CHECK(visit_matrix(transposed.dl, [](auto m) { return m.row_stride(); }) == 1);
  CHECK_THROWS_AS(vector_of<float>(transposed.dl), std::invalid_argument);
  tensor row(memory.data(), {1, 6, 1}, {99, 4, 77}, kDLFloat, 32);  // strides of length 1 say nothing
  CHECK(vector_of<float>(row.dl)[5] == 20);
  tensor scalar(memory.data(), {}, {}, kDLFloat, 32);
  CHECK(vector_of<float>(scalar.dl).size() == 1);
  tensor empty(nullptr, {3, 0}, {}, kDLFloat, 32);
  CHECK(vector_of<float>(empty.dl).size() == 0);
  CHECK_THROWS_AS(matrix_of<float>(scalar.dl), std::invalid_argument);
}

TEST_CASE("DLPack: every type that hone has, visited once; the others are named") {
  std::vector<std::uint64_t> memory(4);
  const auto format_of = [&](unsigned code, unsigned bits) {
    return visit_vector(tensor(memory.data(), {2}, {}, code, bits).dl,
                        []<class T>(vector_view<T>) { return scalar_format<T>; });
  };
  CHECK(format_of(kDLFloat, 32) == format::float32);
  CHECK(format_of(kDLFloat, 64) == format::float64);
  CHECK(format_of(kDLFloat, 16) == format::float16);
  CHECK(format_of(kDLBfloat, 16) == format::bfloat16);
  CHECK_THROWS_WITH(format_of(kDLInt, 32),
                    "hone::visit_vector: x: has elements of DLPack type code 0, 32 bits, 1 lanes");
  CHECK_THROWS_WITH(vector_of<double>(tensor(memory.data(), {2}, {}, kDLFloat, 32).dl),
                    "hone::vector_of: x: holds float32, not float64");
  tensor wide(memory.data(), {2}, {}, kDLFloat, 32);
  wide.dl.dtype.lanes = 4;
  CHECK_THROWS_AS(vector_of<float>(wide.dl), std::invalid_argument);
  tensor remote(memory.data(), {2}, {}, kDLFloat, 32);
  remote.dl.device.device_type = kDLVulkan;
  CHECK_THROWS_WITH(vector_of<float>(remote.dl),
                    "hone::vector_of: x: lies on a device of DLPack type 7, not in the CPU's memory");
  remote.dl.device.device_type = kDLCUDA;
  CHECK_THROWS_AS(vector_of<float>(remote.dl), std::invalid_argument);
}

TEST_CASE("DLPack: offsets, shapes and strides that are no memory of the type are refused") {
  std::vector<float> memory(24, 1.0f);
  const auto message = [](const DLTensor& x, bool matrix = false) -> std::string {
    try {
      if (matrix)
        visit_matrix(x, [](auto) {});
      else
        visit_vector(x, [](auto) {});
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "";
  };
  for (const unsigned bits : {16u, 32u, 64u})
    for (std::uint64_t offset = 0; offset < 8; ++offset) {
      tensor x(memory.data(), {2}, {}, kDLFloat, bits);
      x.dl.byte_offset = offset;
      CAPTURE(bits, offset);
      CHECK((message(x.dl) == "") == (offset % (bits / 8) == 0));
    }
  tensor odd(memory.data(), {2}, {}, kDLFloat, 32);
  odd.dl.byte_offset = 2;
  CHECK_THAT(message(odd.dl), Catch::StartsWith("hone::visit_vector: x: its memory begins at "));
  CHECK_THAT(message(odd.dl), Catch::Contains("no multiple of the 4 bytes of a float32"));
  odd.dl.byte_offset = ~std::uint64_t{0} - 3;
  CHECK(message(odd.dl) == "hone::visit_vector: x: byte_offset is 18446744073709551612, which leaves the memory");
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  odd.dl.byte_offset = ~std::uint64_t{0} - begin;  // the last address that there is
  CHECK_THAT(message(odd.dl), Catch::StartsWith("hone::visit_vector: x: its memory begins at 0xffffffffffffffff"));
  odd.dl.byte_offset = std::uint64_t{1} << 50;  // beyond the address itself
  CHECK(reinterpret_cast<std::uintptr_t>(vector_of<float>(odd.dl).data()) == begin + (std::uint64_t{1} << 50));
  odd.dl.byte_offset = ~std::uint64_t{0} - 3;
  odd.dl.data = nullptr;
  CHECK(message(odd.dl) == "hone::visit_vector: x: has 2 elements and no memory");
  tensor nowhere(nullptr, {2, 2}, {}, kDLFloat, 32);
  CHECK(message(nowhere.dl, true) == "hone::visit_matrix: x: has 4 elements and no memory");
  tensor negative(memory.data(), {2, -3}, {}, kDLFloat, 32);
  CHECK(message(negative.dl, true) == "hone::visit_matrix: x: dimension 1 has -3 elements");
  CHECK(message(negative.dl) == "hone::visit_vector: x: dimension 1 has -3 elements");
  tensor two(memory.data(), {-2, -3}, {}, kDLFloat, 32);
  CHECK(message(two.dl) == "hone::visit_vector: x: dimension 0 has -2 elements");
  const std::int64_t large = std::int64_t{1} << 40;
  tensor endless(memory.data(), {large, large}, {}, kDLFloat, 32);
  CHECK_THAT(message(endless.dl, true), Catch::Contains("has no end in memory"));
  tensor far(memory.data(), {2, 3}, {std::int64_t{1} << 62, 1}, kDLFloat, 32);
  CHECK_THAT(message(far.dl, true), Catch::Contains("dimension 0, of 2 elements with a stride of 4611686018427387904"));
  tensor least(memory.data(), {2}, {std::numeric_limits<std::int64_t>::min()}, kDLFloat, 32);
  CHECK_THAT(message(least.dl), Catch::Contains("has no end in memory"));
  tensor one(memory.data(), {1, 2}, {std::numeric_limits<std::int64_t>::min(), 1}, kDLFloat, 32);
  CHECK(message(one.dl) == "");  // the stride of one element says nothing
  tensor shapeless(memory.data(), {2}, {}, kDLFloat, 32);
  shapeless.dl.shape = nullptr;
  CHECK(message(shapeless.dl) == "hone::visit_vector: x: has 1 dimensions and no shape");
}

TEST_CASE("DLPack: what the host can read, of which types, and with how many dimensions, to the last") {
  std::vector<double> memory(24, 1.0);
  for (int device = 0; device < 20; ++device) {
    tensor x(memory.data(), {2}, {}, kDLFloat, 64);
    x.dl.device.device_type = static_cast<DLDeviceType>(device);
    CAPTURE(device);
    if (device == 1 || device == 3 || device == 11 || device == 13)
      CHECK(vector_of<double>(x.dl).size() == 2);
    else
      CHECK_THROWS_WITH(vector_of<double>(x.dl), Catch::StartsWith("hone::vector_of: x: lies on a device"));
  }
  for (unsigned code = 0; code < 7; ++code)
    for (const unsigned bits : {8u, 16u, 32u, 64u, 128u})
      for (const std::uint16_t lanes : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{2}}) {
        tensor x(memory.data(), {2}, {}, code, bits);
        x.dl.dtype.lanes = lanes;
        const bool taken = lanes == 1 && ((code == kDLFloat && bits >= 16 && bits <= 64) || (code == 4 && bits == 16));
        CAPTURE(code, bits, lanes);
        if (taken)
          CHECK_NOTHROW(visit_vector(x.dl, [](auto) {}));
        else
          CHECK_THROWS_AS(visit_vector(x.dl, [](auto) {}), std::invalid_argument);
      }
  const auto of = [&](unsigned code, unsigned bits) { return tensor(memory.data(), {2}, {}, code, bits); };
  CHECK_THROWS_WITH(vector_of<float16>(of(4, 16).dl), "hone::vector_of: x: holds bfloat16, not float16");
  CHECK_THROWS_WITH(vector_of<bfloat16>(of(2, 16).dl), "hone::vector_of: x: holds float16, not bfloat16");
  CHECK_THROWS_WITH(matrix_of<float>(of(2, 64).dl), "hone::matrix_of: x: holds float64, not float32");
  tensor most(memory.data(), std::vector<std::int64_t>(16, 1), {}, kDLFloat, 64),
      more(memory.data(), std::vector<std::int64_t>(17, 1), {}, kDLFloat, 64);
  CHECK(vector_of<double>(most.dl).size() == 1);
  CHECK_THROWS_WITH(vector_of<double>(more.dl), "hone::vector_of: x: has 17 dimensions, at most 16 are taken");
  most.dl.ndim = -1;
  CHECK_THROWS_AS(vector_of<double>(most.dl), std::invalid_argument);
  CHECK_THROWS_WITH(matrix_of<double>(of(2, 64).dl), "hone::matrix_of: x: has 1 dimensions, expected 2");
}

TEST_CASE("DLPack: dimensions that are one run of elements, in steps of any length") {
  std::vector<float> memory(24);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  tensor even(memory.data(), {2, 1, 4}, {8, 5, 2}, kDLFloat, 32);
  const auto x = vector_of<float>(even.dl);
  CHECK(x.size() == 8);
  CHECK(x.stride() == 2);
  CHECK(x[7] == 14);
  tensor back(memory.data() + 23, {3, 4}, {-8, -2}, kDLFloat, 32);
  CHECK(vector_of<float>(back.dl)[11] == 1);
  for (const std::int64_t outer : {7, 9}) {
    tensor uneven(memory.data(), {2, 4}, {outer, 2}, kDLFloat, 32);
    CHECK_THROWS_WITH(vector_of<float>(uneven.dl), Catch::Contains("has 2 dimensions that are not one run"));
  }
  tensor compact(memory.data(), {2, 3, 4}, {}, kDLFloat, 32);
  CHECK_THROWS_WITH(matrix_of<float>(compact.dl), "hone::matrix_of: x: has 3 dimensions, expected 2");
  tensor rows(memory.data(), {4, 6}, {}, kDLFloat, 32);
  CHECK(matrix_of<float>(rows.dl).row_stride() == 6);
  CHECK(matrix_of<float>(rows.dl).col_stride() == 1);
  CHECK(matrix_of<float>(rows.dl)(3, 2) == 20);
}

TEST_CASE("DLPack: the largest extents and strides that there is memory for, and one more") {
  float memory = 0;
  const std::int64_t most = std::numeric_limits<std::int64_t>::max() / 4;
  const auto fits = [&](std::vector<std::int64_t> shape, std::vector<std::int64_t> strides) {
    try {
      visit_matrix(tensor(&memory, shape, strides, kDLFloat, 32).dl, [](auto) {});
    } catch (const std::invalid_argument&) {
      return false;
    }
    return true;
  };
  CHECK(fits({2, 1}, {most, 0}));
  CHECK(fits({2, 1}, {-most, 0}));
  CHECK_FALSE(fits({2, 1}, {most + 1, 0}));
  CHECK_FALSE(fits({2, 1}, {-most - 1, 0}));
  CHECK(fits({2, 2}, {most - 1, 1}));
  CHECK_FALSE(fits({2, 2}, {most - 1, -2}));
  CHECK(fits({3, 1}, {most / 2, 0}));
  CHECK_FALSE(fits({3, 1}, {most / 2 + 1, 0}));
  CHECK(fits({2, most / 2}, {0, 0}));
  CHECK_FALSE(fits({2, most / 2 + 1}, {0, 0}));
  CHECK(fits({most + 1, 0}, {1, 1}));  // of nothing extents and strides say nothing
}

TEST_CASE("a DLPack tensor that repeats one number may be read, not written") {
  std::vector<float> f = {1, -2, 3}, out(3);
  float two = 2;
  tensor expanded(&two, {3}, {0}, kDLFloat, 32);  // what torch.expand and numpy.broadcast_to hand over
  const auto r = vector_of<float>(expanded.dl);
  gradient::combine(gradient::sago{}, gradient::tasks(f, r), out);
  CHECK(out == std::vector<float>{1, 2, 3});
  CHECK_THROWS_WITH(gradient::combine(gradient::sago{}, gradient::tasks(f, r), r),
                    "hone::gradient::combine: out: has 3 elements in one place: an output has no stride of 0");
  CHECK(two == 2);
}

TEST_CASE("SAGO on two DLPack tensors") {
  std::vector<float> f = {1, -2, .5f}, r = {2, 1, -1};
  tensor forget_tensor(f.data(), {3}, {}, kDLFloat, 32), retain_tensor(r.data(), {3}, {}, kDLFloat, 32);
  const DLTensor &forget = forget_tensor.dl, &retain = retain_tensor.dl;
  hone::visit_vector(forget, [&]<class T>(hone::vector_view<T> x) {
    const auto y = hone::vector_of<T>(retain);
    hone::gradient::combine(hone::gradient::sago{}, hone::gradient::tasks(x, y), y);
  });
  CHECK(r == std::vector<float>{1, 1, -1});
}
