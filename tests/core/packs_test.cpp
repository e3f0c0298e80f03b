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

TEST_CASE("packs are whole where all memory is contiguous, and begin where they are told to") {
  constexpr index_t lanes = pack_of<float>::lanes;
  std::vector<float> memory(static_cast<std::size_t>(8 * lanes), 1);
  const vector_view<float> close(memory.data(), 4 * lanes), wide(memory.data(), 4 * lanes, 2);
  std::vector<index_t> whole, part;
  const auto note = [&](index_t i, auto bound) {
    if constexpr (std::is_same_v<decltype(bound), whole_pack>) {
      whole.push_back(i);
    } else {
      CHECK(bound == 3 * lanes + 4);
      part.push_back(i);
    }
  };
  for_each_pack<lanes>(3, 3 * lanes + 4, note, close, close);
  CHECK(whole == std::vector<index_t>{3, lanes + 3, 2 * lanes + 3});
  CHECK(part == std::vector<index_t>{3 * lanes + 3});
  whole.clear();
  part.clear();
  for_each_pack<lanes>(3, 3 * lanes + 4, note, close, wide);
  CHECK(whole.empty());
  CHECK(part == std::vector<index_t>{3, lanes + 3, 2 * lanes + 3, 3 * lanes + 3});
}

TEST_CASE("a strided pack is written from its own place, and no further than its end") {
  constexpr index_t lanes = pack_of<double>::lanes;
  std::vector<double> memory(static_cast<std::size_t>(2 * (lanes + 5)), -1);
  const vector_view<double> x(memory.data() + 1, lanes + 4, 2);
  store_pack(x, 2, lanes + 1, pack_of<double>(4));
  for (index_t i = 0; i < x.size(); ++i) CHECK(x[i] == (i >= 2 && i < lanes + 1 ? 4 : -1));
  for (std::size_t i = 0; i < memory.size(); i += 2) CHECK(memory[i] == -1);
  x[2] = 9;
  CHECK(load_pack(vector_view<const double>(x), 2, lanes + 1, -3.0).lane(0) == 9);
  CHECK(load_pack(vector_view<const double>(x), 2, lanes + 1, -3.0).lane(lanes - 2) == 4);
  CHECK(load_pack(vector_view<const double>(x), 2, lanes + 1, -3.0).lane(lanes - 1) == -3);
}
