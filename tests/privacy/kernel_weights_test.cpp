// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/kernel_weights.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/distributed/threads.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

using namespace hone::privacy;
using hone::index_t;

namespace {
const hone::serial alone;

std::vector<double> weights_of(const kernel_balancing& scheme, const records& data) {
  std::vector<double> w(static_cast<std::size_t>(data.held()));
  CHECK(weigh(scheme, data, w, alone).converged);
  return w;
}

/// J and its gradient from the kernel matrix.
double objective(const kernel_balancing& scheme, const records& data, std::span<const double> w,
                 std::vector<double>* gradient = nullptr) {
  const auto n = static_cast<double>(data.limits().rows);
  double value = 0;
  if (gradient != nullptr) gradient->assign(w.size(), 0);
  for (index_t i = 0; i < data.held(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    value += scheme.ridge / n * w[at] * w[at];
    if (gradient != nullptr) (*gradient)[at] += 2 * scheme.ridge / n * w[at];
  }
  for (index_t arm = 0; arm < data.limits().arms; ++arm)
    for (index_t i = 0; i < data.held(); ++i)
      for (index_t j = 0; j < data.held(); ++j) {
        if (data.arm()[i] < 0 || data.arm()[j] < 0) continue;
        const double k = detail::kernel_value(scheme, data, i, j),
                     u = (data.arm()[i] == arm ? w[static_cast<std::size_t>(i)] : 0) - 1,
                     v = (data.arm()[j] == arm ? w[static_cast<std::size_t>(j)] : 0) - 1;
        value += k * u * v / (n * n);
        if (gradient != nullptr && data.arm()[i] == arm)
          (*gradient)[static_cast<std::size_t>(i)] += 2 * k * v / (n * n);
      }
  return value;
}
}  // namespace

TEST_CASE("kernel weights of twelve records") {
  const records data = twelve().clipped();
  const kernel_balancing gaussian{.ridge = .1}, linear{.kind = kernel::linear, .ridge = .1};
  const std::vector<double> w = weights_of(gaussian, data);
  check_near(w,
             {1.1681823394, 1.5821724583, 1.4855401417, 1.0639597579, 1.4990454322, 1.3760831230, 1.3408251035,
              2.2634791913, 1.3552965815, 2.2051018146, 1.7609842379, 1.2751743535},
             1e-9);
  double ridge = 0;
  for (const double value : w) ridge += .1 / 12 * value * value;
  CHECK(objective(gaussian, data, w) == Approx(0.3435568539).epsilon(1e-9));
  check_near(weights_of(linear, data),
             {.8823365680, .9843132382, .9927111873, .8144395446, .8437785007, 1.0666444719, .7278454683, 1.6417228500,
              1.0303150208, 1.5999965209, 1.1745822099, .8956834729});
}

TEST_CASE("each weight is where the gradient vanishes, or at an end of the box it points out of") {
  int ends = 0;
  for (const index_t arms : {2, 3}) {
    const records data = random_records({.rows = 60, .features = 3, .row_bound = 2, .arms = arms}, 6, true).clipped();
    for (const kernel kind : {kernel::gaussian, kernel::energy, kernel::linear})
      for (const double largest : {1.2, 5.0, .5}) {
        const kernel_balancing scheme{.kind = kind, .bandwidth = .7, .ridge = .3, .largest = largest};
        const std::vector<double> w = weights_of(scheme, data);
        std::vector<double> gradient, even(60, (std::min)(1.0, largest));
        CHECK(objective(scheme, data, w, &gradient) <= objective(scheme, data, even));
        for (index_t i = 0; i < 60; ++i) {
          const auto at = static_cast<std::size_t>(i);
          CHECK((w[at] >= 0 && w[at] <= largest));
          CHECK((w[at] == 0 ? data.arm()[i] < 0 || gradient[at] >= 0 : true));
          if (data.arm()[i] < 0) {
            CHECK(w[at] == 0);
          } else if (w[at] == largest) {
            CHECK(gradient[at] <= 1e-12);
            ++ends;
          } else if (w[at] > 0) {
            CHECK(std::abs(gradient[at]) < 1e-11);
          }
        }
      }
  }
  CHECK(ends > 20);
}

TEST_CASE("kernels of two rows") {
  const std::vector<double> x{.3, .4, 0, -.5};
  const std::vector<index_t> arm{0, 1};
  const std::vector<double> outcome{0, 0};
  const records data({.rows = 2, .features = 2, .intercept = 0}, hone::matrix_view<const double>(x.data(), 2, 2), arm,
                     outcome, alone);
  CHECK(detail::kernel_value({}, data, 0, 1) == Approx(std::exp(-.9 / 2)).epsilon(1e-14));
  CHECK(detail::kernel_value({.bandwidth = 3}, data, 0, 1) == Approx(std::exp(-.9 / 18)).epsilon(1e-14));
  CHECK(detail::kernel_value({.kind = kernel::energy}, data, 0, 1) == Approx((1 - std::sqrt(.9)) / 2).epsilon(1e-14));
  CHECK(detail::kernel_value({.kind = kernel::energy}, data, 1, 1) == Approx(.5).epsilon(1e-14));
  CHECK(detail::kernel_value({.kind = kernel::linear}, data, 0, 1) == Approx(-.2).epsilon(1e-14));
}

TEST_CASE("random features come near the kernel as they grow, and stay in the box") {
  const records data = random_records({.rows = 200, .features = 2, .arms = 3}, 6, true).clipped();
  const std::vector<double> exact = weights_of({.bandwidth = .6, .ridge = .2}, data);
  double before = 0;
  for (const index_t features : {32, 8192}) {
    const std::vector<double> w = weights_of({.bandwidth = .6, .ridge = .2, .features = features, .seed = 5}, data);
    double apart = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      apart = (std::max)(apart, std::abs(w[i] - exact[i]));
      CHECK((w[i] >= 0 && w[i] <= 5));
    }
    if (features == 32) before = apart;
    if (features > 32) CHECK(apart < before / 4);
    if (features > 32) CHECK(apart < .05);
  }
  const std::vector<double> one = weights_of({.features = 4, .seed = 1}, data),
                            other = weights_of({.features = 4, .seed = 2}, data),
                            high = weights_of({.features = 4, .seed = 1 + (std::uint64_t{1} << 32)}, data);
  CHECK(one != other);
  CHECK(one != high);
}

TEST_CASE("kernel weights do not depend on threads; those of features not on ranks") {
  const raw_records raw = random_records({.rows = 2 * block_rows + 9, .features = 2}, 12, true);
  const records data = raw.clipped();
  const kernel_balancing cosines{.features = 5, .seed = 3}, linear{.kind = kernel::linear};
  const std::vector<double> w = weights_of(cosines, data), straight = weights_of(linear, data);
  hone::thread_pool pool(3);
  std::vector<double> other(w.size());
  weigh(cosines, data, other, pool);
  CHECK(other == w);
  const records few = random_records({.rows = 150, .features = 2}, 12).clipped();
  std::vector<double> dense(150);
  weigh(kernel_balancing{}, few, dense, pool);
  CHECK(dense == weights_of({}, few));

  hone::distributed::thread_ranks all(2);
  all.run([&](hone::distributed::threads& comm) {
    const records own = held_by(raw, {0, block_rows, raw.limits.rows}, comm);
    const auto at = static_cast<std::size_t>(own.shards().begin()), count = static_cast<std::size_t>(own.held());
    std::vector<double> part(count);
    weigh(linear, own, part, alone);
    for (std::size_t i = 0; i < count; ++i)
      if (part[i] != straight[at + i]) throw std::runtime_error("other bits, linear");
    weigh(cosines, own, part, alone);
    for (std::size_t i = 0; i < count; ++i)
      if (part[i] != w[at + i]) throw std::runtime_error("other bits, cosines");
    try {
      weigh(kernel_balancing{}, own, part, alone);
    } catch (const std::invalid_argument&) {
      return;
    }
    throw std::runtime_error("a matrix over ranks");
  });
}

TEST_CASE("what does not fit is refused") {
  const records data = twelve().clipped();
  std::vector<double> w(11);
  CHECK_THROWS_WITH(weigh(kernel_balancing{}, data, w, alone),
                    "hone::privacy::weigh(kernel_balancing): weight: has 11 elements, there are 12 rows");
  const records many = random_records({.rows = most_kernel_rows + 1, .features = 0}, 1).clipped();
  std::vector<double> all(static_cast<std::size_t>(most_kernel_rows + 1));
  CHECK_THROWS_WITH(weigh(kernel_balancing{}, many, all, alone),
                    "hone::privacy::bound(kernel_balancing): features: are 0, and a matrix of 16385 rows would be too "
                    "large (most: 16384)");
  CHECK_THROWS_AS(weigh(kernel_balancing{.ridge = 0}, data, w, alone), std::invalid_argument);
}
