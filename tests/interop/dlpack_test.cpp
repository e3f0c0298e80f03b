// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/interop/dlpack.hpp"

#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include "support/catch.hpp"

#include <dlpack/dlpack.h>

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
