// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/attention.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

struct shape {
  index_t n, heads, kv_heads, size;
  bool causal;
  index_t window = 0, block = 0;
};

/// Around the tiles of 6, the packs of 8 and 16, and the blocks of 48 queries.
const shape shapes[] = {{1, 1, 1, 2, true},
                        {5, 2, 1, 4, true},
                        {6, 2, 2, 8, true},
                        {17, 4, 2, 16, true},
                        {48, 2, 1, 6, true},
                        {49, 3, 3, 18, true},
                        {101, 4, 2, 32, true},
                        {1, 2, 1, 4, false},
                        {13, 2, 1, 4, false},
                        {50, 6, 3, 10, false},
                        {97, 2, 2, 16, false},
                        {9, 2, 1, 4, true, 1},
                        {13, 1, 1, 6, true, 5},
                        {55, 4, 2, 8, true, 6},
                        {59, 2, 2, 4, true, 7},
                        {101, 2, 1, 16, true, 16},
                        {120, 1, 1, 8, true, 49},
                        {150, 1, 1, 4, true, 33},
                        {20, 2, 1, 4, true, 20},
                        {20, 2, 1, 4, true, 1000},
                        {9, 2, 1, 4, false, 0, 1},
                        {13, 1, 1, 6, false, 0, 5},
                        {50, 2, 1, 4, false, 0, 6},
                        {25, 2, 2, 4, false, 0, 7},
                        {101, 2, 1, 16, false, 0, 48},
                        {55, 1, 1, 4, false, 0, 49},
                        {31, 2, 1, 4, false, 0, 20},
                        {7, 1, 1, 4, false, 0, 90}};

template <class T>
std::vector<T> attend(const shape& s, const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v,
                      std::vector<T>& normalizers) {
  // Scratch begins as NaN: nothing that was not written may be read.
  std::vector<T> scratch(static_cast<std::size_t>(attention_scratch<T>(s.n, s.size)),
                         std::numeric_limits<T>::quiet_NaN());
  std::vector<T> out(q.size());
  normalizers.resize(static_cast<std::size_t>(s.n * s.heads));
  attention_forward<T>({as_rows(q, s.n), as_rows(k, s.n), as_rows(v, s.n), s.size, s.causal, s.window, s.block},
                       as_rows(out, s.n), as_rows(normalizers, s.n), scratch.data());
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("attention is the naive softmax over allowed keys", "", double, float) {
  using T = TestType;
  for (const shape& s : shapes) {
    const auto q = normals<T>(s.n * s.heads * s.size, 1), k = normals<T>(s.n * s.kv_heads * s.size, 2);
    const auto v = normals<T>(s.n * s.kv_heads * s.size, 3);
    std::vector<T> normalizers;
    const auto out = attend<T>(s, q, k, v, normalizers);
    const double tolerance = std::is_same_v<T, double> ? 1e-12 : 2e-5;
    for (index_t t = 0; t < s.n; ++t)
      for (index_t head = 0; head < s.heads; ++head) {
        const index_t kv_head = head * s.kv_heads / s.heads;
        std::vector<double> weights;
        double total = 0;
        const index_t first = s.window > 0 ? (std::max)(t + 1 - s.window, index_t{0}) : 0;
        const index_t last = s.causal ? t + 1 : s.block > 0 ? (std::min)((t / s.block + 1) * s.block, s.n) : s.n;
        for (index_t u = first; u < last; ++u) {
          double score = 0;
          for (index_t i = 0; i < s.size; ++i)
            score += static_cast<double>(as_rows(q, s.n)(t, head * s.size + i)) *
                     static_cast<double>(as_rows(k, s.n)(u, kv_head * s.size + i));
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(s.size))));
          total += weights.back();
        }
        REQUIRE(static_cast<double>(as_rows(normalizers, s.n)(t, head)) == Approx(std::log(total)).margin(tolerance));
        for (index_t i = 0; i < s.size; ++i) {
          double expected = 0;
          for (std::size_t u = 0; u < weights.size(); ++u)
            expected += weights[u] / total *
                        static_cast<double>(as_rows(v, s.n)(first + static_cast<index_t>(u), kv_head * s.size + i));
          REQUIRE(static_cast<double>(as_rows(out, s.n)(t, head * s.size + i)) == Approx(expected).margin(tolerance));
        }
      }
  }
}

TEST_CASE("attention passes the gradient check") {
  for (const shape& s : shapes) {
    if ((s.n > 60 && s.window == 0) || s.n == 1 || s.window == 1 || s.block == 1)
      continue;  // one position: the queries have no gradient
    const auto q = normals<double>(s.n * s.heads * s.size, 1), k = normals<double>(s.n * s.kv_heads * s.size, 2);
    const auto v = normals<double>(s.n * s.kv_heads * s.size, 3), slope = normals<double>(s.n * s.heads * s.size, 4);
    std::vector<double> normalizers;
    const auto out = attend<double>(s, q, k, v, normalizers);
    std::vector<double> dq(q.size()), dk(k.size(), 7.0), dv(v.size(), 7.0);
    std::vector<double> scratch(static_cast<std::size_t>(attention_scratch<double>(s.n, s.size)),
                                std::numeric_limits<double>::quiet_NaN());
    attention_backward<double>({as_rows(q, s.n), as_rows(k, s.n), as_rows(v, s.n), s.size, s.causal, s.window, s.block},
                               as_rows(out, s.n), as_rows(normalizers, s.n), as_rows(slope, s.n), as_rows(dq, s.n),
                               as_rows(dk, s.n), as_rows(dv, s.n), scratch.data());
    const auto loss = [&](const auto& a, const auto& b, const auto& c) {
      std::vector<double> ignored;
      const auto result = attend<double>(s, a, b, c, ignored);
      double sum = 0;
      for (std::size_t i = 0; i < result.size(); ++i) sum += result[i] * slope[i];
      return sum;
    };
    CHECK(gradient_error(q, dq, [&](const auto& x) { return loss(x, k, v); }) < 1e-7);
    CHECK(gradient_error(k, dk, [&](const auto& x) { return loss(q, x, v); }) < 1e-7);
    CHECK(gradient_error(v, dv, [&](const auto& x) { return loss(q, k, x); }) < 1e-7);
  }
}

TEST_CASE("large scores do not overflow") {
  const shape s{9, 1, 1, 4, true};
  auto q = normals<float>(36, 5, 1e4), k = normals<float>(36, 6, 1e4);
  const auto v = normals<float>(36, 7);
  std::vector<float> normalizers;
  for (const float x : attend<float>(s, q, k, v, normalizers)) CHECK(std::isfinite(x));
}
