// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/reduce.hpp"
#include "hone/core/thread_pool.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace hone;

namespace {
// Values whose sum depends on the order of the additions.
double value(index_t i) { return std::sin(static_cast<double>(i)) * std::pow(10.0, static_cast<double>(i % 17)); }

double tree(const std::vector<double>& blocks) {
  std::vector<double> level = blocks;
  while (level.size() > 1) {
    std::vector<double> next;
    for (std::size_t i = 0; i < level.size(); i += 2)
      next.push_back(i + 1 < level.size() ? level[i] + level[i + 1] : level[i]);
    level = next;
  }
  return level.empty() ? 0 : level[0];
}
}  // namespace

TEST_CASE("block sums fold in one tree, whoever computes them") {
  thread_pool two(2), seven(7);
  const serial alone;
  for (const index_t blocks : {0, 1, 2, 3, 5, 31, 64, 512, 513, 1025, 1501}) {
    for (const index_t extra : {0, 1, 4095}) {
      const index_t n = (std::max)(index_t{0}, blocks * block_size - extra);
      const auto f = [&](index_t begin, index_t end, double* sums) {
        CHECK(begin % block_size == 0);
        CHECK(end - begin <= block_size);
        sums[0] += value(begin);
        sums[1] += static_cast<double>(end - begin);
      };
      double a[2], b[2], c[2];
      blocked_sum<2>(n, a, f, alone);
      blocked_sum<2>(
          n, b, [&](index_t x, index_t y, double* s) { s[0] += value(x), s[1] += static_cast<double>(y - x); }, two);
      blocked_sum<2>(
          n, c, [&](index_t x, index_t y, double* s) { s[0] += value(x), s[1] += static_cast<double>(y - x); }, seven);
      std::vector<double> partial;
      for (index_t x = 0; x < n; x += block_size) partial.push_back(value(x));
      CHECK(a[0] == tree(partial));
      CHECK(a[0] == b[0]);
      CHECK(a[0] == c[0]);
      CHECK(a[1] == static_cast<double>(n));
      CHECK(c[1] == a[1]);
    }
  }
}

TEST_CASE("blocks of any size and number of sums, few and many; what was in the sums before is gone") {
  thread_pool three(3);
  const serial alone;
  for (const index_t n : {index_t{-3}, index_t{0}, index_t{1}, index_t{64}, index_t{65}, index_t{64 * 700 + 5}}) {
    const auto f = [&](index_t begin, index_t end, double* sums) {
      CHECK(begin % 64 == 0);
      CHECK(end - begin <= 64);
      for (std::size_t t = 0; t < 20; ++t) sums[t] += static_cast<double>(t + 1) * static_cast<double>(end - begin);
    };
    double one[20], many[20];
    for (std::size_t t = 0; t < 20; ++t) one[t] = many[t] = 99;
    blocked_sum<20, 64>(n, one, f, alone);
    blocked_sum<20, 64>(
        n, many,
        [](index_t begin, index_t end, double* sums) {
          for (std::size_t t = 0; t < 20; ++t) sums[t] += static_cast<double>(t + 1) * static_cast<double>(end - begin);
        },
        three);
    for (std::size_t t = 0; t < 20; ++t) {
      CHECK(one[t] == static_cast<double>(t + 1) * static_cast<double>((std::max)(n, index_t{0})));
      CHECK(many[t] == one[t]);
    }
  }
  CHECK(block_size == 4096);
}
