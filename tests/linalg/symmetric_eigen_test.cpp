// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/symmetric_eigen.hpp"

#include "linalg/support.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;

TEST_CASE("eigenvectors are orthonormal, reconstruct the matrix, and the certificate says so") {
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
      const auto a = random_gram<K>(seed % 2 == 0 ? 3 : 40, seed, seed % 4 == 3 ? 10 : 0);
      const auto eigen = decompose(a);
      double largest = 0;
      for (std::size_t i = 0; i < K; ++i) largest = (std::max)(largest, a[i][i]);
      CHECK(eigen.residual <= 1e-14);
      if (K > 2) CHECK(eigen.residual > 0);  // what rounding left
      for (std::size_t i = 0; i < K; ++i) {
        if (i > 0) CHECK(eigen.values[i] <= eigen.values[i - 1]);
        for (std::size_t j = 0; j < K; ++j) {
          double product = 0, rebuilt = 0;
          for (std::size_t k = 0; k < K; ++k) {
            product += eigen.vectors[i][k] * eigen.vectors[j][k];
            rebuilt += eigen.vectors[k][i] * eigen.values[k] * eigen.vectors[k][j];
          }
          CHECK(std::abs(product - (i == j ? 1 : 0)) <= 1e-13);
          CHECK(std::abs(rebuilt - a[i][j]) <= 1e-13 * largest);
        }
      }
      if (seed % 4 != 3) CHECK(eigen.rank() == (seed % 2 == 0 ? (std::min)(K, std::size_t{3}) : K));
    }
  });
}

TEST_CASE("known eigenvalues: a diagonal, a block of ones, the second difference, indefinite and extreme numbers") {
  square<3> diagonal{{{2, 0, 0}, {0, -5, 0}, {0, 0, 7}}};
  CHECK(decompose(diagonal).values == std::array<double, 3>{7, 2, -5});
  square<4> ones;
  for (auto& row : ones) row.fill(1);
  const auto eigen = decompose(ones);
  CHECK(eigen.values[0] == Approx(4));
  CHECK(std::abs(eigen.values[1]) <= 1e-15);
  CHECK(eigen.rank() == 1);
  square<8> difference{};
  for (std::size_t i = 0; i < 8; ++i) {
    difference[i][i] = 2;
    if (i + 1 < 8) difference[i][i + 1] = difference[i + 1][i] = -1;
  }
  for (const double s : {1.0, 1e-300, 1e300}) {
    square<8> scaled = difference;
    for (auto& row : scaled)
      for (double& x : row) x *= s;
    const auto spectrum = decompose(scaled);
    for (std::size_t k = 0; k < 8; ++k)
      CHECK(spectrum.values[k] / s ==
            Approx(2 + 2 * std::cos(static_cast<double>(k + 1) * std::acos(-1.0) / 9)).epsilon(1e-13));
  }
  CHECK(decompose(square<3>{}).rank() == 0);
  const auto zero = decompose(square<3>{});
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) CHECK(zero.vectors[i][j] == (i == j ? 1 : 0));
}

TEST_CASE("a matrix that falls apart in the middle of a step, by underflow") {
  for (const int exponent : {-540, -700, -900}) {
    const double a = std::ldexp(1.0, exponent);
    const square<4> m{{{0, a, 0, 0}, {a, -a, 1, 0}, {0, 1, -a, -1}, {0, 0, -1, 0}}};
    const auto eigen = decompose(m);
    const double expected[] = {std::sqrt(2.0), 0, 0, -std::sqrt(2.0)};
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(eigen.values[i] == Approx(expected[i]).margin(1e-15));
      for (std::size_t j = 0; j < 4; ++j) {
        double product = 0;
        for (std::size_t k = 0; k < 4; ++k) product += eigen.vectors[i][k] * eigen.vectors[j][k];
        CHECK(product == Approx(i == j ? 1 : 0).margin(1e-14));
      }
    }
  }
}

TEST_CASE("pseudo_solve satisfies Penrose's conditions on singular matrices") {
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      const auto a = random_gram<K>(3, seed);
      std::array<double, K> b{};
      for (std::size_t i = 0; i < K; ++i) b[i] = hone::philox{99, seed}.normal(i);
      const auto x = pseudo_solve(a, b);
      const auto ax = times(a, x);
      std::array<double, K> rest;
      for (std::size_t i = 0; i < K; ++i) rest[i] = b[i] - ax[i];
      for (const double normal : times(a, rest)) CHECK(std::abs(normal) <= 1e-11);  // least squares
      const auto again = pseudo_solve(a, ax);                                       // in the range: the shortest
      for (std::size_t i = 0; i < K; ++i) CHECK(again[i] == Approx(x[i]).margin(1e-10));
    }
  });
}

TEST_CASE("what counts as zero is the caller's to say") {
  const square<2> a{{{1, 0}, {0, 1e-3}}};
  const std::array<double, 2> b{1, 1};
  CHECK(decompose(a).rank() == 2);
  CHECK(decompose(a).rank(1e-2) == 1);
  const square<2> larger{{{1000, 0}, {0, 1}}};  // it is a share of the largest
  CHECK(decompose(larger).rank() == 2);
  CHECK(decompose(larger).rank(1e-2) == 1);
  CHECK(decompose(square<2>{{{1e-9, 0}, {0, 1e-10}}}).rank(1e-2) == 2);
  CHECK(decompose(square<2>{{{1, 0}, {0, 0.25}}}).rank(0.25) == 1);
  CHECK(apply_function(decompose(a), b, [](double x) { return 2 * x; }, 1e-2) == std::array<double, 2>{2, 0});
  CHECK(pseudo_solve(a, b)[1] == Approx(1000));
  CHECK(pseudo_solve(a, b, 1e-2) == std::array<double, 2>{1, 0});
}

TEST_CASE("lengths and cosines, where rows may be in units of their own") {
  const unit_rows<3> rows(square<3>{{{4, -3e-100, 0}, {-3e-100, 9e-200, 0}, {0, 0, 1e-320}}});
  CHECK(rows.length == std::array<double, 3>{2, 3e-100, 0});
  CHECK(rows.cosine[0][1] == Approx(-0.5));
  CHECK(rows.cosine[1][1] == 1);
  CHECK(rows.cosine[2][2] == 0);
}

TEST_CASE("a row has length where its square is a normal number, and cosine 1 with itself to the last bit") {
  constexpr double least = std::numeric_limits<double>::min();
  const unit_rows<2> ends(square<2>{{{least, 0}, {0, std::nextafter(least, 0.0)}}});
  CHECK(ends.length[0] == std::sqrt(least));
  CHECK(ends.cosine[0][0] == 1);
  CHECK(ends.length[1] == 0);
  CHECK(ends.cosine[1][1] == 0);
  for (double squared = 0.1; squared < 100; squared *= 1.1)
    CHECK(unit_rows<1>(square<1>{{{squared}}}).cosine[0][0] == 1);
}

TEST_CASE("pseudo_solve leaves what rounding of the solution leaves") {
  double most = 0;
  for_each_k([&](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
      const auto a = random_gram<K>(static_cast<int>(K) + 1, seed);
      std::array<double, K> b;
      for (std::size_t i = 0; i < K; ++i) b[i] = hone::philox{98, seed}.normal(i);
      const auto x = pseudo_solve(a, b);
      double largest = 0, length = 0;
      for (std::size_t i = 0; i < K; ++i) {
        length += std::abs(x[i]);
        for (const double entry : a[i]) largest = (std::max)(largest, std::abs(entry));
      }
      for (const double rest : hone::linalg::detail::residual_of(a, x, b))
        most = (std::max)(most, std::abs(rest) / (largest * length));
    }
  });
  CHECK(most <= 2e-16);  // without refinement twice that
}
