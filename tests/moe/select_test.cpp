// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/moe/select.hpp"

#include "hone/core/random.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

using namespace hone;

namespace {

template <class T>
std::vector<std::int32_t> sorted_top(const std::vector<T>& x, index_t count) {
  std::vector<std::int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t i, std::int32_t j) {
    const T a = x[static_cast<std::size_t>(i)], b = x[static_cast<std::size_t>(j)];
    return a > b || (b != b && a == a);
  });
  order.resize(static_cast<std::size_t>(std::clamp<index_t>(count, 0, static_cast<index_t>(x.size()))));
  return order;
}

template <class T>
void check_top(const std::vector<T>& x, index_t count) {
  constexpr std::int32_t untouched = -7;
  std::vector<std::int32_t> found(x.size() + 1, untouched), expected = sorted_top(x, count);
  std::sort(expected.begin(), expected.end());
  const index_t taken = moe::top(x.data(), static_cast<index_t>(x.size()), count, found.data());
  CHECK(taken == static_cast<index_t>(expected.size()));
  CHECK(std::all_of(found.begin() + taken, found.end(), [](std::int32_t i) { return i == untouched; }));
  found.resize(static_cast<std::size_t>(taken));
  CHECK(found == expected);
}

template <class T>
std::vector<T> scores(const char* kind, std::size_t n, std::uint32_t stream) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  std::vector<T> x(n);
  const philox random{7, stream};
  for (std::size_t i = 0; i < n; ++i) {
    const double normal = random.normal(i), u = random.uniform(i + n);
    switch (kind[0]) {
      case 'n': x[i] = static_cast<T>(normal); break;                                 // normal
      case 't': x[i] = static_cast<T>(std::floor(4 * u)) - 2; break;                  // tied
      case 'w': x[i] = static_cast<T>(normal * std::pow(10, 30 * (u - 0.5))); break;  // wide
      case 's': x[i] = static_cast<T>(u < 0.999 ? 0 : normal); break;                 // spiky
      case 'd': x[i] = static_cast<T>(std::numeric_limits<T>::denorm_min() * std::floor(9 * u)); break;
      case 'z': x[i] = u < 0.5 ? T{0} : -T{0}; break;  // zeros of both signs
      case 'b':
        x[i] = u < 0.3 ? std::nanf("") : u < 0.6 ? -infinity : u < 0.7 ? infinity : static_cast<T>(normal);
        break;
      case 'r':
        x[i] = static_cast<T>(i % 512 < 2 ? normal + 8 : normal - static_cast<double>(i % 16));
        break;  // regular
    }
  }
  return x;
}

}  // namespace

TEMPLATE_TEST_CASE("the best of many are those of a sort, lower indices first among equals", "", float, double) {
  for (const char* kind : {"normal", "tied", "wide", "spiky", "denormal", "zeros", "bad", "regular"})
    for (const std::size_t n : {0u, 1u, 2u, 7u, 8u, 15u, 16u, 17u, 33u, 129u, 1023u, 1024u, 1031u, 4096u}) {
      const std::vector<TestType> x = scores<TestType>(kind, n, static_cast<std::uint32_t>(n));
      const auto whole = static_cast<index_t>(n);
      for (const index_t count : {index_t{-1}, index_t{0}, index_t{1}, index_t{2}, whole / 32, whole / 8, whole / 2,
                                  whole - 2, whole - 1, whole, whole + 1}) {
        CAPTURE(kind, n, count);
        check_top(x, count);
      }
    }
}

TEMPLATE_TEST_CASE("columns that a sample misleads about, and borders of the numbers", "", float, double) {
  constexpr TestType infinity = std::numeric_limits<TestType>::infinity(), most = std::numeric_limits<TestType>::max();
  std::vector<TestType> x(4096, 0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<TestType>(i % 16 == 0 ? 100 + i : i % 97);
  for (const index_t count : {1, 40, 128, 256, 300, 2048}) check_top(x, count);
  for (const auto& few : std::vector<std::vector<TestType>>{{infinity, infinity, 1, infinity},
                                                            {most, infinity, -most, -infinity},
                                                            {most, most, -most, most},
                                                            {-infinity, -infinity, -infinity},
                                                            {std::nanf(""), std::nanf(""), -infinity},
                                                            {infinity, -infinity, 0, -0.0}})
    for (index_t count = 1; count <= 4; ++count) check_top(few, count);
}

TEMPLATE_TEST_CASE("the best rows of every column are those of a sort, best first", "", float, double) {
  for (const char* kind : {"normal", "tied", "zeros", "bad", "wide"})
    for (const index_t rows : {1, 2, 5, 16, 40})
      for (const index_t columns : {1, 8, 16, 19, 40})
        for (const index_t count : {index_t{1}, (rows + 1) / 2, rows}) {
          CAPTURE(kind, rows, columns, count);
          const auto x = scores<TestType>(kind, static_cast<std::size_t>(rows * columns),
                                          static_cast<std::uint32_t>(rows + columns));
          std::vector<std::int32_t> found(static_cast<std::size_t>(columns * count), -7);
          moe::top_rows(x.data(), rows, columns, columns / 3, columns, count, found.data());
          bool same = true;
          for (index_t i = 0; i < columns; ++i) {
            std::vector<TestType> column;
            for (index_t e = 0; e < rows; ++e) column.push_back(x[static_cast<std::size_t>(e * columns + i)]);
            const auto expected = sorted_top(column, count);
            for (index_t j = 0; j < count; ++j)
              same = same && found[static_cast<std::size_t>(i * count + j)] ==
                                 (i < columns / 3 ? -7 : expected[static_cast<std::size_t>(j)]);
          }
          CHECK(same);
        }
}
