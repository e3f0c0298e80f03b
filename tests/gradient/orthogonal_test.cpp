// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/orthogonal.hpp"

#include "hone/core/thread_pool.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {
template <class T, std::size_t K>
std::vector<T> stored(const family<T, K>& f) {  // rows 1 … K - 1
  std::vector<T> rows;
  for (std::size_t i = 1; i < K; ++i) rows.insert(rows.end(), f.g[i].begin(), f.g[i].end());
  return rows;
}
}  // namespace

TEST_CASE("the result is orthogonal to every retain gradient, and what was taken out lies in their span") {
  for_each_k([](auto k) {
    constexpr std::size_t K = k();
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      const auto g = family<double, K>(60, seed, 1).gram();
      const auto w = retain_orthogonal{}.weights(g);
      CHECK(w[0] == 1);
      for (std::size_t i = 1; i < K; ++i) CHECK(std::abs(g.dot(i, w)) <= 1e-10 * std::sqrt(g(0, 0) * g(i, i)));
      CHECK(g.squared_norm(w) <= g(0, 0) * (1 + 1e-12));
      const auto both = retain_orthogonal{.retain = 2, .forget = .5}.weights(g);
      for (std::size_t i = 1; i < K; ++i)
        CHECK(both[i] == Approx(.5 * w[i] + 2.0 / static_cast<double>(K - 1)).epsilon(1e-10));
    }
    check_robust<K>(retain_orthogonal{}, true);
  });
}

TEST_CASE("repeated, zero and tiny retain gradients; a forget gradient in their span leaves nothing") {
  // f = (1, 1, 1), r = (1, 0, 0) twice, its double, zero, and (0, 1e-9, 0)
  gram_matrix<6> g;
  const double rows[6][3] = {{1, 1, 1}, {1, 0, 0}, {1, 0, 0}, {2, 0, 0}, {0, 0, 0}, {0, 1e-9, 0}};
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < 6; ++j)
      for (std::size_t e = 0; e < 3; ++e) g.value[i][j] += rows[i][e] * rows[j][e];
  const auto w = retain_orthogonal{}.weights(g);
  CHECK(g.squared_norm(w) == Approx(1));
  for (std::size_t i = 1; i < 6; ++i) CHECK(std::abs(g.dot(i, w)) <= 1e-12 * std::sqrt(g(i, i)));
  const gram_matrix<2> inside{{{{4, 2}, {2, 1}}}};
  CHECK(inside.squared_norm(retain_orthogonal{}.weights(inside)) <= 1e-15);
}

TEMPLATE_TEST_CASE("an orthonormal basis of stored gradients, and the projection on its complement", "", double,
                   float) {
  using T = TestType;
  thread_pool pool(3);
  const double tolerance = std::is_same_v<T, double> ? 1e-13 : 2e-6;
  const family<T, 5> f(9000, 4, 1);
  auto rows = stored(f), pooled = rows;
  const matrix_view<T> basis(rows.data(), 4, 9000);
  CHECK(orthonormalise(basis) == 4);
  CHECK(orthonormalise(matrix_view<T>(pooled.data(), 4, 9000), 1e-6, pool) == 4);
  CHECK(rows == pooled);
  for (index_t i = 0; i < 4; ++i)
    for (index_t j = 0; j < 4; ++j) CHECK(std::abs(dot(basis.row(i), basis.row(j)) - (i == j ? 1 : 0)) <= tolerance);
  auto x = f.g[0], y = x;
  project_out(x, basis, 4);
  project_out(y, basis, 4, pool);
  CHECK(x == y);
  std::vector<T> out(9000);
  combine(retain_orthogonal{}, f.tasks(), out);
  std::vector<double> expected(out.begin(), out.end());
  for (std::size_t i = 1; i < 5; ++i) {
    const double length = std::sqrt(squared_norm(f.g[i]) * squared_norm(f.g[0]));
    CHECK(std::abs(dot(x, f.g[i])) <= tolerance * length);
  }
  for (std::size_t e = 0; e < 9000; ++e) REQUIRE(std::abs(static_cast<double>(x[e]) - expected[e]) <= 20 * tolerance);
}

TEST_CASE("rows that differ by a ten-thousandth are as orthogonal in the end as others, and so is what they project") {
  const index_t n = 500;
  const auto first = normals<float>(n, 1);
  std::vector<float> rows;
  for (std::uint32_t k = 0; k < 3; ++k) {
    const auto noise = normals<float>(n, 2 + k);
    for (std::size_t e = 0; e < first.size(); ++e) rows.push_back(first[e] + (k == 0 ? 0 : 1e-4f) * noise[e]);
  }
  const matrix_view<float> basis(rows.data(), 3, n);
  REQUIRE(orthonormalise(basis) == 3);
  for (index_t i = 0; i < 3; ++i)
    for (index_t j = 0; j < i; ++j) CHECK(std::abs(dot(basis.row(i), basis.row(j))) <= 1e-6);
  // A vector of which nearly all is taken out.
  std::vector<float> x(static_cast<std::size_t>(n));
  const auto rest = normals<float>(n, 9);
  for (index_t e = 0; e < n; ++e)
    x[static_cast<std::size_t>(e)] =
        100 * (basis(0, e) + basis(1, e) + basis(2, e)) + 1e-4f * rest[static_cast<std::size_t>(e)];
  project_out(x, basis, 3);
  const double length = std::sqrt(squared_norm(x));
  for (index_t i = 0; i < 3; ++i) CHECK(std::abs(dot(x, basis.row(i))) <= 1e-5 * length);
}

TEST_CASE("dependent, zero and non-finite rows are dropped and the rest moves up") {
  const double nan = std::nan("");
  std::vector<double> rows = {0, 0, 0, 3, 0, 0, 6, 0, 0, nan, 1, 1, 1, 1e-9, 0, 0, 0, 1e-100, 0, 2, 5};
  const matrix_view<double> basis(rows.data(), 7, 3);
  CHECK(orthonormalise(basis) == 3);
  CHECK(std::vector<double>(rows.begin(), rows.begin() + 3) == std::vector<double>{1, 0, 0});
  CHECK(basis(1, 2) == Approx(1));
  CHECK(basis(2, 1) == Approx(1));
  for (std::size_t i = 9; i < rows.size(); ++i) CHECK(rows[i] == 0);
  std::vector<double> x = {1, 2, 3};
  project_out(x, basis, 1);
  CHECK(x == std::vector<double>{0, 2, 3});
  project_out(x, basis, 0);
  CHECK(x == std::vector<double>{0, 2, 3});
  std::vector<double> longer(4);
  CHECK_THROWS_WITH(project_out(longer, basis, 1), "hone::gradient::project_out: x: has 4 elements, the basis 3");
  for (const index_t rank : {8, -1})
    CHECK_THROWS_WITH(project_out(x, basis, rank), Catch::StartsWith("hone::gradient::project_out: rank: must be in"));
  CHECK_NOTHROW(project_out(longer, basis, 0));
  CHECK_NOTHROW(project_out(x, basis, 7));
  for (const double tolerance : {0.0, 1.0, -1e-9, double(NAN)})
    CHECK_THROWS_WITH(orthonormalise(basis, tolerance), Catch::Contains("tolerance: must be in (0, 1)"));
  std::vector<double> near = {1, 0, 1, 1e-3};  // a thousandth of it is left
  CHECK(orthonormalise(matrix_view<double>(near.data(), 2, 2), 1e-2) == 1);
  CHECK(near == std::vector<double>{1, 0, 0, 0});
  near = {1, 0, 1, 1e-3};
  CHECK(orthonormalise(matrix_view<double>(near.data(), 2, 2), 1e-4) == 2);
  CHECK((near[2] == Approx(0).margin(1e-15) && near[3] == Approx(1)));
  CHECK_THROWS_AS(combine(retain_orthogonal{.retain = -1}, tasks(x, x), x), std::invalid_argument);
}
