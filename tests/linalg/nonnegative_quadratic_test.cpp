// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/nonnegative_quadratic.hpp"

#include "linalg/support.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;

namespace {
// The least objective over all sets of positive elements: exact, exponential.
template <std::size_t K>
double brute_force(const square<K>& h, const std::array<double, K>& b) {
  double least = 0;
  for (unsigned set = 0; set < 1u << K; ++set) {
    square<K> block{};
    std::array<double, K> right{};
    for (std::size_t i = 0; i < K; ++i) {
      if (!(set >> i & 1)) continue;
      right[i] = -b[i];
      for (std::size_t j = 0; j < K; ++j)
        if (set >> j & 1) block[i][j] = h[i][j];
    }
    auto z = pseudo_solve(block, right);
    bool feasible = true;
    double value = 0, largest = 0;
    for (std::size_t i = 0; i < K; ++i) {
      z[i] = set >> i & 1 ? z[i] : 0;
      largest = (std::max)(largest, std::abs(z[i]));
    }
    const auto hz = times(h, z);
    for (std::size_t i = 0; i < K; ++i) {
      feasible = feasible && z[i] >= -1e-9 * largest;
      value += z[i] * (b[i] + 0.5 * hz[i]);
    }
    if (feasible) least = (std::min)(least, value);
  }
  return least;
}

template <std::size_t K>
double objective(const square<K>& h, const std::array<double, K>& b, const std::array<double, K>& z) {
  const auto hz = times(h, z);
  double value = 0;
  for (std::size_t i = 0; i < K; ++i) value += z[i] * (b[i] + 0.5 * hz[i]);
  return value;
}
/// The certificate of @p z by its definition, in lengths of rows and in units of the largest b_i / sqrt(H_ii).
struct certificate {
  double residual = 0, error = 0, complement = 0, rounding = 0;
};
template <std::size_t K>
certificate certify(const square<K>& h, const std::array<double, K>& b, const std::array<double, K>& z, double length) {
  const auto hz = times(h, z);
  double unit = 0, squared = 0, total = 0, worst = 0;
  for (std::size_t i = 0; i < K; ++i) unit = (std::max)(unit, std::abs(b[i]) / std::sqrt(h[i][i]));
  certificate result;
  for (std::size_t i = 0; i < K; ++i) {
    const double row = std::sqrt(h[i][i]), s = (b[i] + hz[i]) / row / unit, multiplier = z[i] * row / unit;
    result.residual = (std::max)({result.residual, -s, std::abs(multiplier * s)});
    worst = (std::max)(worst, -s);
    result.complement += multiplier * s;
    squared += multiplier * hz[i] / row / unit;
    total += multiplier;
  }
  const double reach = (std::max)(length / unit, 1.0) + std::sqrt((std::max)(squared, 0.0));
  result.complement = std::abs(result.complement) / (reach * reach);
  result.rounding = std::numeric_limits<double>::epsilon() * total * total / (reach * reach);
  result.error = (std::max)({worst / reach, result.complement, result.rounding});
  return result;
}
}  // namespace

TEST_CASE("the least over every active set, singular or not, in any units of the rows") {
  const auto compare = [](auto size, int n, int spread, std::uint32_t seed) {
    constexpr std::size_t K = size();
    const auto h = random_gram<K>(n, seed, spread);
    std::array<double, K> u{};
    for (std::size_t i = 0; i < K; ++i) u[i] = hone::philox{7, seed}.normal(i);
    const auto b = times(h, u);
    const auto solution = minimise_nonnegative(h, b);
    for (const double z : solution.z) CHECK(z >= 0);
    CHECK(solution.residual <= 1e-10);
    const double least = brute_force(h, b);
    CHECK(objective(h, b, solution.z) == Approx(least).epsilon(1e-9).margin(1e-12));
  };
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    compare(std::integral_constant<std::size_t, 2>(), 2, 0, seed);
    compare(std::integral_constant<std::size_t, 3>(), 2, 0, seed);
    compare(std::integral_constant<std::size_t, 5>(), 8, 2, seed);
    compare(std::integral_constant<std::size_t, 6>(), 3, 0, seed);
  }
}

TEST_CASE("Karush-Kuhn-Tucker to rounding for 16 rows, independent, dependent, repeated, opposite") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const int n = std::array{3, 8, 16, 200}[seed % 4];
    auto h = random_gram<16>(n, seed, seed % 5 == 0 ? 20 : 0);
    if (seed % 3 == 0) {  // rows 0 and 1 equal, row 2 their opposite
      for (std::size_t j = 0; j < 16; ++j) h[1][j] = h[0][j], h[2][j] = -h[0][j];
      for (std::size_t i = 0; i < 16; ++i) h[i][1] = h[i][0], h[i][2] = -h[i][0];
    }
    std::array<double, 16> u;
    for (std::size_t i = 0; i < 16; ++i) u[i] = hone::philox{8, seed}.normal(i);
    const auto solution = minimise_nonnegative(h, times(h, u));
    CHECK(solution.residual <= 1e-9);
    CHECK(solution.steps < 320);
  }
}

TEST_CASE("what of a row is new has nothing of the rows before, however little it is") {
  for (const double own : {1e-3, 1e-7, 1e-12}) {
    hone::linalg::detail::active_set<5> active;
    square<5> rows{};
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t c = 0; c < 4; ++c) {
        rows[i][c] = hone::philox{12, static_cast<std::uint32_t>(i)}.normal(c);
        rows[4][c] += rows[i][c];
      }
    rows[4][4] = own;
    std::array<double, 5> r{};
    for (std::size_t i = 0; i < 4; ++i) active.add(i, active.split(rows[i], r));
    const double squared = active.split(rows[4], r);
    CHECK(squared == Approx(own * own).epsilon(1e-3));
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(r[i] == Approx(1).epsilon(1e-12));
      double product = 0;
      for (std::size_t c = 0; c < 5; ++c) product += rows[i][c] * active.fresh[c];
      CHECK(std::abs(product) <= 1e-14 * std::sqrt(squared));
    }
  }
}

TEST_CASE("the certificate of a problem that has no solution says so") {
  const auto unbounded = minimise_nonnegative(square<2>{{{1, -1}, {-1, 1}}}, {-1, -1});
  CHECK(unbounded.residual >= 0.9);
  CHECK(!unbounded.converged);
}

TEST_CASE("nothing to do, rows without length, one row, and numbers at the ends of the range") {
  CHECK(minimise_nonnegative(square<3>{}, {}).z == std::array<double, 3>{});
  const square<2> h{{{4, 0}, {0, 0}}};
  CHECK(minimise_nonnegative(h, {-2, 0}).z == std::array<double, 2>{0.5, 0});
  CHECK(minimise_nonnegative(h, {2, 0}).z == std::array<double, 2>{});
  CHECK(minimise_nonnegative(square<1>{{{2}}}, {-6}).z[0] == Approx(3));
  for (const double s : {1e-300, 1e290}) {
    const auto solution = minimise_nonnegative(square<2>{{{2 * s, -s}, {-s, 3 * s}}}, {-2 * s, s});
    CHECK(solution.z[0] == Approx(1));
    CHECK(solution.z[1] == Approx(0).margin(1e-14));
  }
}

TEST_CASE("certificates are their definition, where there is a solution and where there is none") {
  int failed = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const auto h = random_gram<4>(2, seed, seed % 3 == 0 ? 2 : 0);
    std::array<double, 4> b;
    for (std::size_t i = 0; i < 4; ++i) b[i] = hone::philox{9, seed}.normal(i);  // outside the range of h
    const double length = seed % 2 == 0 ? 0 : 30;
    const auto solution = minimise_nonnegative(h, b, length);
    const certificate c = certify(h, b, solution.z, length);
    CHECK(solution.residual == Approx(c.residual).epsilon(1e-8).margin(1e-9));
    CHECK(solution.error == Approx(c.error).epsilon(1e-8).margin(1e-13));
    CHECK(solution.converged == (solution.error <= 1e-3));
    failed += !solution.converged;
  }
  CHECK(failed > 10);
  // Multipliers of 1e8, of which the rounding of h alone makes this much.
  const double c = -1 + 1e-8;
  const square<2> h{{{1, c}, {c, 1}}};
  const auto large = minimise_nonnegative(h, {-1, -1});
  CHECK(large.z[0] == Approx(1e8).epsilon(1e-6));
  CHECK(large.error == Approx(certify(h, {-1, -1}, large.z, 0).rounding).epsilon(1e-9));
  CHECK(large.error > 1e-8);
  CHECK(large.converged);
}

TEST_CASE("a step for each row that takes part, one for each that leaves, none where nothing is violated") {
  const square<3> identity{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  CHECK(minimise_nonnegative(identity, {1, 2, 0}).steps == 0);
  CHECK(minimise_nonnegative(identity, {1, -2, 3}).steps == 1);
  const auto all = minimise_nonnegative(identity, {-1, -2, -3});
  CHECK(all.steps == 3);
  CHECK(all.z == std::array<double, 3>{1, 2, 3});
  CHECK(all.error <= 1e-15);
  CHECK(all.converged);
  int most = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const auto h = random_gram<16>(std::array{8, 16, 200}[seed % 3], seed);
    std::array<double, 16> u;
    for (std::size_t i = 0; i < 16; ++i) u[i] = hone::philox{8, seed}.normal(i);
    const auto solution = minimise_nonnegative(h, times(h, u));
    most = (std::max)(most, solution.steps);
    CHECK(solution.error <= 1e-12);
    CHECK(solution.converged);
  }
  CHECK(most <= 20);
}

TEST_CASE("a row that others make, with little of its own: certificates and steps") {
  double largest = 0;
  int most = 0, failed = 0;
  for (std::uint32_t seed = 0; seed < 600; ++seed) {
    constexpr std::size_t K = 8, n = 40;
    const double own = std::array{0.0, 1e-12, 1e-9, 1e-7, 1e-5}[seed % 5];
    std::array<std::array<double, n>, K> row;
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t e = 0; e < n; ++e) row[i][e] = hone::philox{seed, static_cast<std::uint32_t>(i)}.normal(e);
    for (std::size_t e = 0; e < n; ++e)
      row[K - 1][e] = (seed % 2 == 0 ? 1 : -2) * row[0][e] + row[1][e] + own * row[K - 1][e];
    square<K> h{};
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j)
        for (std::size_t e = 0; e < n; ++e) h[i][j] += row[i][e] * row[j][e];
    for (std::size_t k = 0; k < K; ++k) {
      std::array<double, K> b;  // of row k itself
      for (std::size_t i = 0; i < K; ++i) b[i] = h[i][k];
      const auto solution = minimise_nonnegative(h, b, std::sqrt(h[k][k]));
      largest = (std::max)(largest, solution.error);
      most = (std::max)(most, solution.steps);
      failed += !solution.converged;
    }
  }
  CHECK(largest <= 1e-7);
  CHECK(failed == 0);
  CHECK(most <= 10);
}
