// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/largest.hpp"

#include <algorithm>

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

/// By a stable sort of all numbers.
template <class T>
std::vector<std::int32_t> naive_largest(const std::vector<T>& z, std::size_t width) {
  std::vector<std::int32_t> order;
  for (std::size_t v = 0; v < z.size(); ++v)
    if (!std::isnan(from(z[v]))) order.push_back(static_cast<std::int32_t>(v));
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return from(z[static_cast<std::size_t>(a)]) > from(z[static_cast<std::size_t>(b)]);
  });
  order.resize((std::min)(order.size(), width));
  return order;
}

template <class T>
void check_largest(const std::vector<T>& z, std::size_t width) {
  std::vector<std::int32_t> ids(width, -7);
  std::vector<double> logits(width);
  const auto expected = naive_largest(z, width);
  std::vector<T> strided(2 * z.size());
  for (std::size_t v = 0; v < z.size(); ++v) strided[2 * v] = z[v];
  const vector_view<const T> views[] = {as_vector(z), {strided.data(), std::ssize(z), 2}};
  for (const auto& view : views) {
    const auto result = summarize_largest(view, 1.7, ids, logits);
    REQUIRE(result.count == std::ssize(expected));
    REQUIRE(std::equal(expected.begin(), expected.end(), ids.begin()));
    for (std::size_t i = 0; i < expected.size(); ++i)
      REQUIRE(logits[i] == from(z[static_cast<std::size_t>(expected[i])]));
    const auto alone = summarize(view, 1.7).normalizer;
    if (alone.log_sum == alone.log_sum) REQUIRE(result.normalizer.value() == alone.value());
  }
}

}  // namespace

TEMPLATE_TEST_CASE("the largest logits are those of a stable sort, in rows of any order", "", double, float, bfloat16) {
  using T = TestType;
  for (const index_t vocab : {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000})
    for (const std::size_t width : {0u, 1u, 2u, 8u, 33u, 6000u}) {
      if (width == 6000 && vocab == 5000 && sizeof(T) == 2) continue;
      auto z = random_logits<T>(1, vocab, 3);  // bfloat16: many ties
      check_largest(z, width);
      std::sort(z.begin(), z.end(), [](T a, T b) { return from(a) < from(b); });
      check_largest(z, width);
      std::reverse(z.begin(), z.end());
      check_largest(z, width);
    }
}

TEMPLATE_TEST_CASE("lists of as many as a pack has lanes, and of one more, of logits that are all below 0", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  for (const index_t vocab : {20, 1024, 1500, 3000}) {
    auto z = random_logits<T>(1, vocab, 5);
    for (T& x : z) x = to<T>(from(x) - 60);
    for (const std::size_t width : {7u, 8u, 9u, 15u, 16u, 17u, 18u, 32u}) check_largest(z, width);
    std::sort(z.begin(), z.end(), [](T a, T b) { return from(a) < from(b); });
    for (const std::size_t width : {8u, 9u, 16u, 17u}) check_largest(z, width);
  }
}

TEMPLATE_TEST_CASE("a list after absent tiles has the numbers first, and the normalizer is theirs", "", double, float,
                   bfloat16, float16) {
  using T = TestType;
  for (const std::size_t masked : {1u, 1023u, 1024u, 2048u}) {
    auto z = random_logits<T>(1, 2050, 6);
    for (std::size_t v = 0; v < masked; ++v) z[v] = to<T>(-INFINITY);
    for (const std::size_t width : {1u, 5u, 16u, 17u, 40u}) check_largest(z, width);
    std::vector<std::int32_t> ids(3);
    std::vector<double> logits(3);
    CHECK(std::isfinite(summarize_largest(z, 0.4, ids, logits).normalizer.value()));
  }
}

TEMPLATE_TEST_CASE("ties, infinities and NaNs at any place", "", double, float, bfloat16) {
  using T = TestType;
  const double values[] = {3, 3, NAN, -INFINITY, INFINITY, 1, -1};
  for (const index_t vocab : {7, 48, 1100, 2100}) {
    std::vector<T> z(static_cast<std::size_t>(vocab));
    for (std::size_t v = 0; v < z.size(); ++v) z[v] = to<T>(values[v * 31 / 3 % 7]);
    for (const std::size_t width : {1u, 5u, 40u}) check_largest(z, width);
    for (const double same : {2.0, -double(INFINITY), double(NAN)}) {
      z.assign(z.size(), to<T>(same));
      for (const std::size_t width : {1u, 5u, 40u}) check_largest(z, width);
    }
  }
}
