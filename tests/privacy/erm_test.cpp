// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/erm.hpp"
#include "hone/privacy/weights.hpp"

#include "privacy/support.hpp"
#include "support/catch.hpp"

#include <string>

using namespace hone::privacy;

namespace {
const hone::serial alone;

template <class Loss>
std::vector<double> fit(const Loss& loss, const records& data, std::span<const double> w, double ridge,
                        double* value = nullptr) {
  std::vector<double> theta(static_cast<std::size_t>(bound(loss, data.limits()).products * data.columns()), 7.0);
  const auto result = minimise(loss, data, w, ridge, 8, theta, alone);
  CHECK(result.converged);
  if (value != nullptr) *value = result.value;
  return theta;
}

void check_near(std::span<const double> x, const std::vector<double>& right, double margin = 2e-10) {
  REQUIRE(x.size() == right.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(right[i]).margin(margin).epsilon(0));
}
}  // namespace

TEST_CASE("fits of twelve records") {
  const records data = twelve().clipped();
  std::vector<double> w(12), one(12, 1.0), o(12);
  double value = 0;
  weigh(ipw{.ridge = .1}, data, w, alone);
  const std::vector<double> theta = fit(owl_logistic{}, data, w, .05, &value);
  check_near(theta, {0.8749340064, 1.1145658472, 0.1793307690});
  CHECK(value == Approx(0.6045910627).margin(2e-10));
  std::string rule;
  for (hone::index_t i = 0; i < 12; ++i) {
    const std::vector<double> x{data(i, 0), data(i, 1), data(i, 2)};
    rule += decide(owl_logistic{}, 2, x, theta) == 1 ? '+' : '-';
  }
  CHECK(rule == "++-+-+-+--++");
  check_near(fit(owl_huber{}, data, w, .05, &value), {1.2587953337, 1.5733167632, 0.1949071125});
  CHECK(value == Approx(0.6520704315).margin(2e-10));
  weigh(ipw{.ridge = .1, .clip = 2}, data, w, alone);
  check_near(fit(owl_logistic{}, data, w, .05, &value), {0.9086945465, 1.1008821324, 0.2268369397});
  CHECK(value == Approx(0.5866851594).margin(2e-10));
  check_near(fit(owl_logistic{}, data, one, .05, &value), {0.7134099128, 0.7407572227, 0.2687135866});
  CHECK(value == Approx(0.3478225990).margin(2e-10));
  weigh(ipw{.ridge = .1}, data, w, alone);
  weigh(overlap{.ridge = .1}, data, o, alone);
  check_near(fit(a_learning{.radius = 5}, data, w, .05), {0.5117107809, 0.5740910549, 0.0279743861});
  check_near(fit(a_learning{.radius = 5}, data, o, .05), {0.4058874743, 0.4733857645, 0.0286144081});
}
