// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The driver on gradients near dependence, of every type: the step is no longer than its method allows and, where the
/// method promises it, opposes no task, both measured on the result as it was stored.
#include "gradient/near_dependence.hpp"

#include "hone/gradient/combine.hpp"
#include "hone/gradient/imtl.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/nash.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/upgrad.hpp"

#include "support/catch.hpp"

#include <functional>

using namespace hone;
using namespace hone::gradient;
using near_dependence::combination;
using near_dependence::real;
using near_dependence::sample;

namespace {

/// Any method on products, in one type: the driver is compiled once.
template <std::size_t K>
struct any_method {
  std::function<solved_weights<K>(const gram_matrix<K>&)> weights;
  static void check() {}
};

/// The sample as gradients of type T, and in it the rows as they were stored.
template <scalar T, std::size_t K>
struct stored_sample {
  sample<K> exact;
  std::array<std::vector<T>, K> row;

  explicit stored_sample(std::uint32_t seed) : exact(seed) {
    for (std::size_t i = 0; i < K; ++i)
      for (double& x : exact.row[i]) {
        row[i].push_back(from_accumulator<T>(static_cast<accumulator_t<T>>(x)));
        x = static_cast<double>(to_accumulator(row[i].back()));
      }
  }
  [[nodiscard]] task_gradients<T, K> tasks() const {
    task_gradients<T, K> result;
    for (std::size_t i = 0; i < K; ++i) result.task[i] = as_vector(row[i]);
    return result;
  }
};

template <scalar T, std::size_t K>
void check_steps() {
  const real rounding = scalar_format<T> == format::bfloat16 ? 1e-2L : std::is_same_v<T, float> ? 1e-5L : 1e-8L;
  int wrong = 0, fallbacks = 0;
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    const stored_sample<T, K> s(seed);
    std::array<double, K> equal;
    equal.fill(1.0 / K);
    const combination<K> mean(s.exact, equal);
    real mean_length = 0, shortest = mean.length[0];
    for (const real length : mean.length) {
      mean_length += length / K;
      shortest = (std::min)(shortest, length);
    }
    const auto check = [&](auto&& weights, real longest_step, real opposed_by) {
      std::vector<accumulator_t<T>> out(s.row[0].size());
      const auto report = combine(any_method<K>{weights}, s.tasks(), out);
      fallbacks += static_cast<int>(report.unconverged);
      real squared = 0;
      std::array<real, K> dot{};
      for (std::size_t e = 0; e < out.size(); ++e) {
        const real x = out[e];
        squared += x * x;
        for (std::size_t i = 0; i < K; ++i) dot[i] += x * s.exact.row[i][e];
      }
      bool right = std::sqrt(squared) <= longest_step * (1 + 1e-3L) && report.nonfinite_combined == 0;
      for (std::size_t i = 0; i < K; ++i)
        right = right && (report.unconverged > 0 || dot[i] >= -(4e-3L + rounding) * mean.length[i] * opposed_by);
      wrong += !right;
    };
    const real none = std::numeric_limits<real>::infinity();
    check([](const auto& g) { return upgrad<K>{}.weights(g); }, mean_length, mean_length);
    check([](const auto& g) { return dual_projection<K>{}.weights(g); }, mean.norm(), mean.norm());
    check([](const auto& g) { return mgda{}.weights(g); }, shortest, mean.longest);
    check([](const auto& g) { return cagrad{.c = 0.5}.weights(g); }, 1.5L * mean.norm(), none);
    check([](const auto& g) { return nash_mtl{}.weights(g); }, std::sqrt(real(K)) * (1 + 1e-2L), std::sqrt(real(K)));
    check([](const auto& g) { return gem{}.weights(g); }, mean.length[0], none);
    check([](const auto& g) { return solved_weights<K>{retain_orthogonal{}.weights(g)}; }, mean.length[0], none);
    check([](const auto& g) { return solved_weights<K>{conflict_free<K>{}.weights(g)}; }, K * mean.longest, none);
  }
  CHECK(wrong == 0);
  CHECK(fallbacks < 5);
}

}  // namespace

TEMPLATE_TEST_CASE("no step is longer than its method allows, of gradients near dependence", "[near dependence]", float,
                   double, bfloat16) {
  check_steps<TestType, 3>();
  check_steps<TestType, 5>();
  check_steps<TestType, 16>();
}
