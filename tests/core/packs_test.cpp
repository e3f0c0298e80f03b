// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/packs.hpp"

#include "support/catch.hpp"

#include <vector>

using namespace hone;

TEMPLATE_TEST_CASE("packs visit every element once, contiguous or strided", "", float, double, bfloat16) {
  using T = TestType;
  constexpr index_t lanes = pack_of<T>::lanes;
  for (const index_t n : {index_t{0}, index_t{1}, lanes - 1, lanes, lanes + 1, 5 * lanes + 3}) {
    for (const index_t stride : {index_t{1}, index_t{3}}) {
      std::vector<T> in(static_cast<std::size_t>(n * stride) + 1), out(in.size(), from_accumulator<T>(-1));
      for (std::size_t i = 0; i < in.size(); ++i) in[i] = from_accumulator<T>(static_cast<accumulator_t<T>>(i % 97));
      const vector_view<const T> x(in.data(), n, stride);
      const vector_view<T> y(out.data(), n, stride);
      for_each_pack<lanes>(0, n, [&](index_t i, auto bound) { store_pack(y, i, bound, load_pack(x, i, bound)); }, x, y);
      for (index_t i = 0; i < n; ++i) CHECK(to_accumulator(y[i]) == to_accumulator(x[i]));
      CHECK(to_accumulator(out.back()) == -1);
    }
  }
}

TEMPLATE_TEST_CASE("lanes after the end hold what is asked for, contiguous or strided", "", float, double, bfloat16) {
  using T = TestType;
  constexpr index_t lanes = pack_of<T>::lanes;
  std::vector<T> memory(static_cast<std::size_t>(3 * lanes), from_accumulator<T>(2));
  for (const index_t stride : {1, 3})
    for (const index_t n : {index_t{1}, lanes - 1, lanes}) {
      const auto x = load_pack(vector_view<const T>(memory.data(), n, stride), 0, n, accumulator_t<T>(-7));
      for (int lane = 0; lane < static_cast<int>(lanes); ++lane) CHECK(x.lane(lane) == (lane < n ? 2 : -7));
      const auto zeros = load_pack(vector_view<const T>(memory.data(), n, stride), 0, n);
      for (int lane = 0; lane < static_cast<int>(lanes); ++lane) CHECK(zeros.lane(lane) == (lane < n ? 2 : 0));
    }
}
