// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/row_sums.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/distributed/threads.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

using namespace hone::privacy;
using hone::index_t;

namespace {
/// f = a z_1^2 + b z_2, of weights a, b that depend on the row.
struct quadratic {
  index_t offset = 0, products = 2;
  row_terms<2> operator()(index_t first, const lanes* z) const {
    const double base = static_cast<double>(offset + first);
    const lanes a(1 + base / 1000), b(.5 - base / 3000);
    row_terms<2> result;
    result.value = a * z[0] * z[0];
    result.slope[0] = lanes(2.0) * a * z[0];
    if (products == 2) {
      result.value += b * z[1];
      result.slope[1] = b;
    }
    return result;
  }
};
}  // namespace

TEST_CASE("value and gradient beside sums in long double") {
  for (const index_t features : {1, 2, 3, 4, 6, 9, 31}) {
    const raw_records raw = random_records({.rows = 2 * block_rows + 77, .features = features}, 3);
    const records data = raw.clipped();
    const auto d = static_cast<std::size_t>(data.columns());
    std::vector<double> theta(2 * d), gradient(2 * d, 99.0);
    for (std::size_t k = 0; k < theta.size(); ++k) theta[k] = hone::philox{9, 9}.normal(k);
    const hone::serial alone;
    const double value = sum_rows<2>(data, theta, gradient, quadratic{}, alone);
    std::vector<long double> right(2 * d);
    long double sum = 0;
    for (index_t i = 0; i < raw.limits.rows; ++i) {
      long double z[2] = {};
      for (std::size_t j = 0; j < d; ++j)
        for (std::size_t c = 0; c < 2; ++c)
          z[c] += static_cast<long double>(theta[c * d + j]) * data(i, static_cast<index_t>(j));
      const double base = static_cast<double>(i / tile_rows * tile_rows), a = 1 + base / 1000, b = .5 - base / 3000;
      sum += a * z[0] * z[0] + b * z[1];
      for (std::size_t j = 0; j < d; ++j) {
        right[j] += 2 * a * z[0] * data(i, static_cast<index_t>(j));
        right[d + j] += static_cast<long double>(b) * data(i, static_cast<index_t>(j));
      }
    }
    CHECK(value == Approx(static_cast<double>(sum)).epsilon(1e-12));
    for (std::size_t k = 0; k < 2 * d; ++k)
      CHECK(gradient[k] == Approx(static_cast<double>(right[k])).epsilon(1e-11).margin(1e-11));

    std::vector<double> first(d, 99.0);
    sum_rows<2>(data, std::span(theta).first(d), first, quadratic{0, 1}, alone);
    for (std::size_t k = 0; k < d; ++k) CHECK(first[k] == Approx(gradient[k]).epsilon(1e-13));

    std::vector<double> hessian(d * d, 99.0);
    sum_row_products(
        data, std::span(theta).first(d), hessian,
        [](index_t row, const lanes& z) { return lanes(1 + static_cast<double>(row) / 1000) + z * z; }, alone);
    for (std::size_t j = 0; j < d; ++j)
      for (std::size_t k = 0; k < d; ++k) {
        long double expected = 0;
        for (index_t i = 0; i < raw.limits.rows; ++i) {
          long double z = 0;
          for (std::size_t l = 0; l < d; ++l)
            z += static_cast<long double>(theta[l]) * data(i, static_cast<index_t>(l));
          const long double c = 1 + static_cast<long double>(i / tile_rows * tile_rows) / 1000 + z * z;
          expected += c * data(i, static_cast<index_t>(j)) * data(i, static_cast<index_t>(k));
        }
        if (k > j)
          CHECK(hessian[j * d + k] == 99);
        else
          CHECK(hessian[j * d + k] == Approx(static_cast<double>(expected)).epsilon(1e-11).margin(1e-11));
      }
  }
}

TEST_CASE("bits depend neither on threads nor on ranks") {
  const raw_records raw = random_records({.rows = 9 * block_rows + 5, .features = 4}, 11);
  const records data = raw.clipped();
  const std::vector<double> theta{.3, -.2, .7, .1, -.4, .5, .6, -.7, .8, -.9};
  std::vector<double> gradient(10), hessian(25);
  const hone::serial alone;
  const auto curvature = [](index_t, const lanes& z) { return z * z; };
  const double value = sum_rows<2>(data, theta, gradient, quadratic{}, alone);
  sum_row_products(data, std::span(theta).first(5), hessian, curvature, alone);
  for (const index_t workers : {2, 5}) {
    hone::thread_pool pool(workers);
    std::vector<double> other(10), second(25);
    CHECK(sum_rows<2>(data, theta, other, quadratic{}, pool) == value);
    sum_row_products(data, std::span(theta).first(5), second, curvature, pool);
    CHECK(other == gradient);
    CHECK(second == hessian);
  }
  const std::vector<index_t> border{0, 3 * block_rows, 8 * block_rows, raw.limits.rows};
  hone::distributed::thread_ranks all(3);
  all.run([&](hone::distributed::threads& comm) {
    const index_t begin = border[static_cast<std::size_t>(comm.rank())];
    const records own = held_by(raw, border, comm);
    std::vector<double> other(10), second(25);
    const double sum = sum_rows<2>(own, theta, other, quadratic{begin}, alone);
    sum_row_products(own, std::span(theta).first(5), second, curvature, alone);
    if (sum != value || other != gradient || second != hessian) throw std::runtime_error("other bits");
  });
}
