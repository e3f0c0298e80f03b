// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/kv_cache.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("each position's attention over the cache is its row of attention over all", "", double, float) {
  using T = TestType;
  for (config c : small_models()) {
    if (!c.causal) continue;
    c.n_layers = 2;
    for (const index_t layer : {0, 1}) {
      const index_t n = 41;
      const auto q = normals<T>(n * c.q_width(), 1), k = normals<T>(n * c.kv_width(), 2),
                 v = normals<T>(n * c.kv_width(), 3);
      std::vector<T> expected(q.size()), normalizers(static_cast<std::size_t>(n * c.n_heads)), out(q.size()), scores;
      std::vector<T> scratch(static_cast<std::size_t>(attention_scratch<T>(n, c.head_size())));
      attention_forward<T>({as_rows(q, n), as_rows(k, n), as_rows(v, n), c.head_size(), true, c.window_of(layer)},
                           as_rows(expected, n), as_rows(normalizers, n), scratch.data());
      kv_cache<T> cache(c, n);
      for (index_t t = 0; t < n; ++t) {
        cache.put(1 - layer, t, as_rows(v, n).row(t), as_rows(k, n).row(t));  // another layer's, of no concern
        cache.put(layer, t, as_rows(k, n).row(t), as_rows(v, n).row(t));
        attend_cached(c, layer, cached_row<T>{0, t, &cache}, as_rows(q, n).row(t).data(), as_rows(out, n).row(t).data(),
                      scores);
      }
      const double tolerance = std::is_same_v<T, double> ? 1e-12 : 2e-5;
      for (std::size_t i = 0; i < out.size(); ++i)
        REQUIRE(static_cast<double>(out[i]) == Approx(static_cast<double>(expected[i])).margin(tolerance));
    }
  }
}

TEMPLATE_TEST_CASE("rows that look at the same positions are rows of attention over these, whatever lies after", "",
                   double, float) {
  using T = TestType;
  for (const config& c : small_models()) {
    if (c.causal) continue;
    const index_t n = 41, more = 50;
    const auto q = normals<T>(n * c.q_width(), 1), k = normals<T>(more * c.kv_width(), 2),
               v = normals<T>(more * c.kv_width(), 3);
    std::vector<T> expected(q.size()), normalizers(static_cast<std::size_t>(n * c.n_heads)), out(q.size()),
        one(q.size()), scores;
    std::vector<T> scratch(static_cast<std::size_t>(attention_scratch<T>(n, c.head_size())));
    attention_forward<T>({as_rows(q, n), matrix_view<const T>(k.data(), n, c.kv_width()),
                          matrix_view<const T>(v.data(), n, c.kv_width()), c.head_size(), false},
                         as_rows(expected, n), as_rows(normalizers, n), scratch.data());
    kv_cache<T> cache(c, more, false);  // one layer's memory, whichever it is
    for (index_t t = 0; t < more; ++t) cache.put(3, t, as_rows(k, more).row(t), as_rows(v, more).row(t));
    attend_together<T>(c, 3, cache, n, as_rows(q, n), as_rows(out, n), scores);
    const double tolerance = std::is_same_v<T, double> ? 1e-12 : 2e-5;
    for (std::size_t i = 0; i < out.size(); ++i)
      REQUIRE(static_cast<double>(out[i]) == Approx(static_cast<double>(expected[i])).margin(tolerance));
    for (index_t t = 0; t < n; ++t)
      attend_together<T>(c, 3, cache, n, {as_rows(q, n).row(t).data(), 1, c.q_width()},
                         {as_rows(one, n).row(t).data(), 1, c.q_width()}, scores);
    CHECK(one == out);
  }
}

TEST_CASE("what is put into the cache lies in its panels") {
  const config c = small_models()[0];
  kv_cache<float> cache(c, 20);
  CHECK(cache.length == 0);
  const auto k = normals<float>(c.kv_width(), 1), v = normals<float>(c.kv_width(), 2);
  cache.put(1, 18, as_vector(k), as_vector(v));
  constexpr index_t width = panels<float>::width;
  for (index_t i = 0; i < c.kv_width(); ++i) {
    const index_t head = i / c.head_size();
    CHECK(cache.keys(1, head).at(i % c.head_size(), 18 / width * width)[18 % width] == k[static_cast<std::size_t>(i)]);
    CHECK(cache.values(1).at(18, i / width * width)[i % width] == v[static_cast<std::size_t>(i)]);
  }
}
