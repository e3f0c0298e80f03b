// Exits with 0 if sums, exponentials and the counting of non-finite elements are right, as whatever flags let them be.
#include "hone/core/blas.hpp"
#include "hone/core/normal.hpp"
#include "hone/loss/likelihood.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

namespace {

int failures = 0;

void check(bool ok, const char* what, double value, double wanted) {
  if (!ok) std::printf("%s: %.17g, wanted %.17g\n", what, value, wanted), ++failures;
}

template <class T>
void check_loss(double tolerance) {
  const std::size_t n = 4096;
  std::vector<T> logits(n);
  unsigned state = 1;
  for (T& x : logits) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<T>(state >> 8) / T(1 << 24) * 8 - 4;
  }
  std::vector<double> exponential(n);
  double total = 0, largest_error = 0;
  for (std::size_t i = 0; i < n; ++i) total += exponential[i] = std::exp(static_cast<double>(logits[i]));
  const double wanted = std::log(total) - static_cast<double>(logits[7]);
  const std::vector<std::int32_t> target = {7};
  const hone::matrix_view<T> row(logits.data(), 1, 4096);
  const double loss = hone::loss::likelihood(row, target).sum;
  for (std::size_t i = 0; i < n; ++i) {
    const double p = exponential[i] / total - (i == 7 ? 1 : 0);
    largest_error = std::fmax(largest_error, std::fabs(static_cast<double>(logits[i]) - p) / std::fabs(p));
  }
  check(std::fabs(loss - wanted) < 1e-7, "loss", loss, wanted);
  check(largest_error < tolerance, "relative error of the gradient", largest_error, 0);
}

}  // namespace

int main() {
  check_loss<float>(2e-6);
  check_loss<double>(1e-14);
  // Made at run time: compilers compute with constants as they ought to.
  volatile double zero = 0;
  const double nan = std::numeric_limits<double>::quiet_NaN() + zero;
  std::vector<float> bad(5000, 1.0f);
  bad[3] = static_cast<float>(nan);
  bad[4999] = std::numeric_limits<float>::infinity();
  check(hone::count_nonfinite(bad) == 2, "non-finite elements", static_cast<double>(hone::count_nonfinite(bad)), 2);
  bad.resize(4000);
  const std::vector<std::int32_t> target = {0};
  const auto counted = hone::loss::likelihood(hone::matrix_view<float>(bad.data(), 1, 4000), target);
  check(counted.nonfinite == 1, "non-finite rows", static_cast<double>(counted.nonfinite), 1);
  const double far = hone::normal_cdf(-30 + zero), wanted = 4.906713927148187059533809288453e-198;
  check(std::fabs(far / wanted - 1) < 4e-15, "normal_cdf(-30)", far, wanted);
  return failures;
}
