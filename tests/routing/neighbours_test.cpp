// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/neighbours.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "routing/golden/neighbours.hpp"
#include "support/catch.hpp"
#include "support/outputs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using indices = std::vector<index_t>;

template <class T>
struct embeddings {
  index_t rows, width;
  std::vector<T> values;

  [[nodiscard]] matrix_view<const T> view() const { return {values.data(), rows, width}; }
  [[nodiscard]] T& at(index_t i, index_t j) { return values[static_cast<std::size_t>(i * width + j)]; }
};

template <class T>
T stored(double x) {
  return from_accumulator<T>(static_cast<accumulator_t<T>>(x));
}

template <class T>
embeddings<T> draw(index_t rows, index_t width, std::uint32_t stream, double mean = 0) {
  embeddings<T> x{rows, width, {}};
  for (index_t i = 0; i < rows * width; ++i)
    x.values.push_back(stored<T>(mean + philox{7, stream}.normal(static_cast<std::uint64_t>(i))));
  return x;
}

struct found_rows {
  indices rows;
  std::vector<double> values;
};

template <class X, class Q>
found_rows find(const X& x, const Q& q, index_t k, neighbour_metric metric) {
  const neighbour_index index(x, metric);
  found_rows result{indices(static_cast<std::size_t>(q.rows() * k)), {}};
  result.values.resize(result.rows.size());
  index.find(q, k, result.rows, result.values);
  return result;
}

/// The formulas, one row at a time.
template <class T>
found_rows naive(const matrix_view<const T>& x, const matrix_view<const T>& q, index_t k, neighbour_metric metric) {
  found_rows result;
  for (index_t i = 0; i < q.rows(); ++i) {
    std::vector<double> value;
    for (index_t j = 0; j < x.rows(); ++j) {
      double xx = 0, qq = 0, xq = 0, squares = 0;
      for (index_t c = 0; c < x.cols(); ++c) {
        const auto a = static_cast<double>(to_accumulator(x(j, c))), b = static_cast<double>(to_accumulator(q(i, c)));
        xx += a * a, qq += b * b, xq += a * b, squares += (a - b) * (a - b);
      }
      value.push_back(metric == neighbour_metric::cosine ? (xx * qq > 0 ? xq / std::sqrt(xx) / std::sqrt(qq) : 0)
                                                         : std::sqrt(squares));
    }
    indices order(value.size());
    std::iota(order.begin(), order.end(), index_t{0});
    std::stable_sort(order.begin(), order.end(), [&](index_t a, index_t b) {
      const double u = value[static_cast<std::size_t>(a)], v = value[static_cast<std::size_t>(b)];
      return metric == neighbour_metric::cosine ? u > v : u < v;
    });
    for (index_t r = 0; r < k; ++r) {
      result.rows.push_back(order[static_cast<std::size_t>(r)]);
      result.values.push_back(value[static_cast<std::size_t>(result.rows.back())]);
    }
  }
  return result;
}

void check_same(const found_rows& a, const found_rows& b, double tolerance) {
  CHECK(a.rows == b.rows);
  for (std::size_t i = 0; i < a.values.size(); ++i)
    CHECK(a.values[i] == Approx(b.values[i]).epsilon(tolerance).margin(tolerance));
}

}  // namespace

TEMPLATE_TEST_CASE("routing neighbours: against the formulas", "", float, double, bfloat16, float16) {
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean})
    for (const auto& [n, d, q] :
         {std::tuple<index_t, index_t, index_t>{1, 1, 1}, {5, 3, 2}, {511, 17, 3}, {513, 64, 5}, {1500, 33, 4}}) {
      const auto x = draw<TestType>(n, d, 1), queries = draw<TestType>(q, d, 2);
      for (const index_t k : {index_t{1}, std::min<index_t>(n, 7), std::min<index_t>(n, 200), n}) {
        CAPTURE(n, d, k, static_cast<int>(metric));
        if (d == 1 && std::is_same_v<TestType, bfloat16>) continue;
        check_same(find(x.view(), queries.view(), k, metric), naive(x.view(), queries.view(), k, metric), 1e-12);
      }
    }
}

TEST_CASE("routing neighbours: rows that products in float cannot tell apart") {
  // All embeddings lie about one direction, far from zero.
  auto x = draw<float>(700, 40, 1, 300), queries = draw<float>(3, 40, 2, 300);
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean})
    check_same(find(x.view(), queries.view(), 9, metric), naive(x.view(), queries.view(), 9, metric), 1e-12);
  // One row far outside leaves the others few bits of the largest key.
  for (index_t j = 0; j < 40; ++j) x.at(333, j) *= 1e6f;
  check_same(find(x.view(), queries.view(), 9, neighbour_metric::euclidean),
             naive(x.view(), queries.view(), 9, neighbour_metric::euclidean), 1e-12);
}

TEST_CASE("routing neighbours: of equally near rows the first are taken") {
  auto x = draw<float>(1300, 12, 1);
  const auto queries = draw<float>(2, 12, 2);
  for (const index_t j : {900, 4, 1299, 640})
    for (index_t c = 0; c < 12; ++c) x.at(j, c) = queries.view()(0, c);
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean}) {
    const found_rows f = find(x.view(), queries.view(), 3, metric);
    CHECK(indices(f.rows.begin(), f.rows.begin() + 3) == indices{4, 640, 900});
  }
  const embeddings<float> equal{1000, 3, std::vector<float>(3000, 2.0f)};
  CHECK(find(equal.view(), draw<float>(1, 3, 2).view(), 4, neighbour_metric::cosine).rows == indices{0, 1, 2, 3});
  CHECK(find(equal.view(), draw<float>(1, 3, 2).view(), 4, neighbour_metric::euclidean).rows == indices{0, 1, 2, 3});
}

TEST_CASE("routing neighbours: scale, rotation of rows, batches and executors change nothing") {
  const auto x = draw<float>(2000, 24, 1), queries = draw<float>(600, 24, 2);
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean}) {
    const neighbour_index index(x.view(), metric);
    const found_rows all = find(x.view(), queries.view(), 5, metric);
    found_rows threads{indices(3000), std::vector<double>(3000)};
    thread_pool pool(3);
    CHECK(index.find(queries.view(), 5, threads.rows, threads.values, pool) == 0);
    CHECK(threads.rows == all.rows);
    CHECK(threads.values == all.values);
    for (const index_t at : {0, 255, 256, 599}) {
      const matrix_view<const float> one(&queries.values[static_cast<std::size_t>(at * 24)], 1, 24);
      const found_rows alone = find(x.view(), one, 5, metric);
      for (std::size_t r = 0; r < 5; ++r) {
        CHECK(alone.rows[r] == all.rows[static_cast<std::size_t>(at * 5) + r]);
        CHECK(alone.values[r] == all.values[static_cast<std::size_t>(at * 5) + r]);
      }
    }
    auto scaled = x, scaled_queries = queries, turned = x;
    for (float& value : scaled.values) value *= 1024;
    for (float& value : scaled_queries.values) value *= 1024;
    std::rotate(turned.values.begin(), turned.values.begin() + 24 * 700, turned.values.end());
    CHECK(find(scaled.view(), scaled_queries.view(), 5, metric).rows == all.rows);
    indices moved = find(turned.view(), queries.view(), 5, metric).rows;
    for (index_t& j : moved) j = (j + 700) % 2000;
    CHECK(moved == all.rows);
    // Columns one after the other.
    std::vector<float> columns(x.values.size());
    for (index_t i = 0; i < 2000; ++i)
      for (index_t j = 0; j < 24; ++j) columns[static_cast<std::size_t>(j * 2000 + i)] = x.view()(i, j);
    CHECK(find(matrix_view<const float>(columns.data(), 2000, 24, 1, 2000), queries.view(), 5, metric).values ==
          all.values);
  }
}

TEST_CASE("routing neighbours: zeros, tiny and huge vectors") {
  auto x = draw<float>(40, 6, 1);
  auto queries = draw<float>(4, 6, 2);
  for (index_t j = 0; j < 6; ++j) {
    x.at(3, j) = 0;
    x.at(5, j) *= 1e-42f;
    x.at(7, j) *= 1e38f;
    queries.at(1, j) = 0;
    queries.at(2, j) *= 1e-42f;
    queries.at(3, j) *= 1e38f;
  }
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean})
    for (const index_t k : {4, 40})
      for (const auto& [first, count] : {std::pair<index_t, index_t>{0, 4}, {0, 1}, {1, 1}, {2, 1}, {3, 1}}) {
        const matrix_view<const float> some(&queries.at(first, 0), count, 6);
        check_same(find(x.view(), some, k, metric), naive(x.view(), some, k, metric), 1e-12);
      }
  const embeddings<float> zeros{5, 6, std::vector<float>(30, 0.0f)};
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean})
    CHECK(find(zeros.view(), queries.view(), 2, metric).rows == indices{0, 1, 0, 1, 0, 1, 0, 1});
}

TEST_CASE("routing neighbours: embeddings that are not finite are counted and nobody's neighbours") {
  auto x = draw<float>(600, 6, 1), queries = draw<float>(3, 6, 2);
  x.at(17, 2) = std::nanf("");
  x.at(599, 0) = -std::numeric_limits<float>::infinity();
  queries.at(1, 5) = std::nanf("");
  for (const neighbour_metric metric : {neighbour_metric::cosine, neighbour_metric::euclidean}) {
    const neighbour_index index(x.view(), metric);
    CHECK(index.nonfinite() == 2);
    found_rows f{indices(3 * 598), std::vector<double>(3 * 598)};
    CHECK(index.find(queries.view(), 598, f.rows, f.values) == 1);
    for (std::size_t i = 0; i < f.rows.size(); ++i) {
      const bool broken = i / 598 == 1;
      CHECK((f.rows[i] == -1) == broken);
      CHECK(std::isnan(f.values[i]) == broken);
      CHECK(f.rows[i] != 17);
      CHECK(f.rows[i] != 599);
    }
    CHECK_THROWS_WITH(index.find(queries.view(), 599, f.rows, f.values),
                      "hone::routing::neighbour_index::find: k: must be in [1, 598], the rows that are finite; is 599");
    std::vector<double> means(3);
    const std::vector<double> outcomes(600, 1.0);
    CHECK(mean_outcomes(index, matrix_view<const double>(outcomes.data(), 600, 1), queries.view(), 4,
                        matrix_view<double>(means.data(), 3, 1)) == 1);
    CHECK(means[0] == 1);
    CHECK(std::isnan(means[1]));
    CHECK(means[2] == 1);
  }
}

TEST_CASE("routing neighbours: mean outcomes by model") {
  const std::vector<float> known = {1, 0, 0.9f, 0.1f, 0, 1, 0.1f, 0.9f};  // four prompts, two directions
  const std::vector<double> outcomes = {1, 1, 1, 1, 0, 1, 0, 1};          // of a weak model and a strong one
  const std::vector<float> prompts = {2, 0.1f, 0.1f, 3};
  std::vector<double> predicted(4);
  const routing::neighbour_index index(matrix_view<const float>(known.data(), 4, 2), routing::neighbour_metric::cosine);
  routing::mean_outcomes(index, matrix_view<const double>(outcomes.data(), 4, 2),
                         matrix_view<const float>(prompts.data(), 2, 2), 2,
                         matrix_view<double>(predicted.data(), 2, 2));  // of the two nearest: (1, 1) and (0, 1)
  CHECK(predicted == std::vector<double>{1, 1, 0, 1});
}

TEST_CASE("routing neighbours: misuse") {
  const auto x = draw<float>(5, 3, 1), narrow = draw<float>(1, 2, 1);
  const neighbour_index index(x.view());
  indices rows(5);
  std::vector<double> values(5), means(5), outcomes(5);
  CHECK_THROWS_WITH(index.find(narrow.view(), 1, rows, values),
                    "hone::routing::neighbour_index::find: queries: have 2 elements, embeddings 3");
  CHECK_THROWS_AS(index.find(x.view(), 0, rows, values), std::invalid_argument);
  CHECK_THROWS_AS(index.find(x.view(), 6, rows, values), std::invalid_argument);
  CHECK_THROWS_AS(index.find(x.view(), 2, rows, values), std::invalid_argument);
  for (const index_t k : {0, -1})
    CHECK_THROWS_WITH(index.find(x.view(), k, std::span(rows).first(0), std::span(values).first(0)),
                      "hone::routing::neighbour_index::find: k: must be in [1, 5], the rows that are finite; is " +
                          std::to_string(k));
  const neighbour_index none(matrix_view<const float>(x.values.data(), 0, 3));
  CHECK_THROWS_AS(none.find(x.view(), 1, rows, values), std::invalid_argument);
  CHECK(index.find(matrix_view<const float>(x.values.data(), 0, 3), 2, std::span(rows).first(0),
                   std::span(values).first(0)) == 0);
  check_refuses_spans<index_t>(5, "hone::routing::neighbour_index::find: rows: ", [&](std::span<index_t> out) {
    index.find(x.view(), 1, out, values);
  });
  check_refuses_spans<double>(5, "hone::routing::neighbour_index::find: values: ", [&](std::span<double> out) {
    index.find(x.view(), 1, rows, out);
  });
  const matrix_view<const double> y(outcomes.data(), 5, 1), short_y(outcomes.data(), 4, 1);
  CHECK_THROWS_AS(mean_outcomes(index, short_y, x.view(), 1, matrix_view<double>(means.data(), 5, 1)),
                  std::invalid_argument);
  CHECK_THROWS_AS(mean_outcomes(index, y, x.view(), 1, matrix_view<double>(means.data(), 4, 1)), std::invalid_argument);
  std::vector<double> two(10);
  CHECK_THROWS_WITH(mean_outcomes(index, y, x.view(), 1, matrix_view<double>(two.data(), 5, 2)),
                    "hone::routing::mean_outcomes: means: are 5 x 2, expected 5 x 1");
  CHECK_THROWS_AS(mean_outcomes(index, y, x.view(), -1, matrix_view<double>(means.data(), 5, 1)),
                  std::invalid_argument);
}

TEST_CASE("routing neighbours: scikit-learn's") {
  for (const golden_neighbour_row& g : golden_neighbours) {
    CAPTURE(g.metric, g.k);
    const index_t n = std::ssize(g.x) / g.d, q = std::ssize(g.q) / g.d, models = std::ssize(g.y) / n;
    const neighbour_metric metric = g.metric == "cosine" ? neighbour_metric::cosine : neighbour_metric::euclidean;
    const neighbour_index index(matrix_view<const double>(g.x.data(), n, g.d), metric);
    indices rows(static_cast<std::size_t>(q * g.k));
    std::vector<double> values(rows.size()), means(static_cast<std::size_t>(q * models));
    index.find(matrix_view<const double>(g.q.data(), q, g.d), g.k, rows, values);
    CHECK(rows == g.rows);
    for (std::size_t i = 0; i < values.size(); ++i)
      CHECK((metric == neighbour_metric::cosine ? 1 - values[i] : values[i]) ==
            Approx(g.distances[i]).epsilon(1e-12).margin(1e-14));
    mean_outcomes(index, matrix_view<const double>(g.y.data(), n, models),
                  matrix_view<const double>(g.q.data(), q, g.d), g.k, matrix_view<double>(means.data(), q, models));
    for (std::size_t i = 0; i < means.size(); ++i) CHECK(means[i] == Approx(g.means[i]).epsilon(1e-14).margin(1e-15));
  }
}
