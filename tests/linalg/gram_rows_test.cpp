// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/linalg/gram_rows.hpp"

#include "linalg/support.hpp"
#include "support/catch.hpp"

using namespace hone::linalg;

TEST_CASE("recovered rows have the products they were made from, and as many coordinates as their rank") {
  for_each_k([](auto size) {
    constexpr std::size_t K = size();
    for (std::uint32_t seed = 0; seed < 30; ++seed) {
      const int n = std::array{2, 5, 100}[seed % 3];
      const unit_rows<K> unit(random_gram<K>(n, seed));
      const auto rows = recover_rows(unit.cosine);
      CHECK(rows.rank == (std::min)(K, static_cast<std::size_t>(n)));
      for (std::size_t i = 0; i < K; ++i) {
        for (std::size_t c = rows.rank; c < K; ++c) CHECK(rows.row[i][c] == 0);
        for (std::size_t j = 0; j < K; ++j) {
          double product = 0;
          for (std::size_t c = 0; c < K; ++c) product += rows.row[i][c] * rows.row[j][c];
          CHECK(product == Approx(unit.cosine[i][j]).margin(1e-12));
        }
      }
    }
  });
}

TEST_CASE("a row at a known distance from the others counts or not, by the tolerance") {
  const double d = 1e-3;  // row 2 is the mean direction of the first two, turned by d out of their plane
  const double c = std::sqrt((1 - d * d) / 2);
  const square<3> cosine{{{1, 0, c}, {0, 1, c}, {c, c, 1}}};
  const auto all = recover_rows(cosine);
  CHECK(all.rank == 3);
  CHECK(all.least == Approx(d * d).epsilon(1e-9));
  const auto two = recover_rows(cosine, 2e-6);
  CHECK(two.rank == 2);
  CHECK(two.least > 0.4);
  CHECK(recover_rows(square<2>{}).rank == 0);
  CHECK(recover_rows(square<2>{{{0, 0}, {0, 1}}}).rank == 1);
}

TEST_CASE("the row with most that is new comes first, and rows that count for nothing are zeros") {
  const auto rows = recover_rows(square<3>{{{0, 0, 0}, {0, 1, 0.5}, {0, 0.5, 1}}});
  CHECK(rows.rank == 2);
  CHECK(rows.row[0] == std::array<double, 3>{});
  CHECK(rows.row[1] == std::array<double, 3>{1, 0, 0});
  CHECK(rows.row[2][0] == 0.5);
  CHECK(rows.row[2][1] == Approx(std::sqrt(0.75)).epsilon(1e-15));
  CHECK(rows.least == Approx(0.75).epsilon(1e-15));
  CHECK(recover_rows(square<2>{{{1, 0}, {0, 1}}}).least == 1);
  CHECK(recover_rows(square<2>{{{1, 0}, {0, 1}}}, 1).rank == 0);  // at most the tolerance
}
