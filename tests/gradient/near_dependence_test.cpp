// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// `test_gradient "[near dependence]"` prints how many of 10,000 random sets a method gets wrong: none.
#include "gradient/near_dependence.hpp"

#include "hone/gradient/aligned.hpp"
#include "hone/gradient/gradvac.hpp"
#include "hone/gradient/imtl.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/nash.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/upgrad.hpp"

#include "support/catch.hpp"

#include <cstdio>
#include <utility>

using namespace hone::gradient;
using namespace near_dependence;

namespace {

int fallbacks;

template <std::size_t K>
const solved_weights<K>& noted(const solved_weights<K>& w) {
  fallbacks += w.converged ? 0 : 1;
  return w;
}

/// check(sample) for 10,000 samples, of every K from 3 to 16.
template <class Check>
void count_failures(const char* name, double allowed, Check&& check) {
  int wrong = 0, above = 0;
  real largest = 0;
  fallbacks = 0;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto run = [&](auto k) {
      for (std::uint32_t seed = 0; seed < 715; ++seed) {
        const real error = check(sample<k()>(seed + 1000 * k()), k);
        wrong += !(error <= allowed);
        above += error > 1e-4L;
        largest = worse(largest, error);
      }
    };
    (run(std::integral_constant<std::size_t, I + 3>()), ...);
  }(std::make_index_sequence<14>());
  std::printf("%-18s %d of %d wrong; largest error %.1e, allowed %.0e, %d above 1e-4; fallbacks %d\n", name, wrong,
              14 * 715, static_cast<double>(largest), allowed, above, fallbacks);
  CHECK(wrong == 0);
  CHECK(fallbacks < 30);
}

template <std::size_t K>
std::array<double, K> mean() {
  return hone::gradient::detail::filled<K>(1.0 / K);
}

/// How far C x is from a multiple of the part of 1 that C reaches, x the weights of unit rows.
template <std::size_t K>
real common_direction_error(const sample<K>& s, const std::array<double, K>& w) {
  const combination<K> c(s, w);
  std::array<double, K> left;
  real squared = 0, sum = 0;
  for (std::size_t i = 0; i < K; ++i) {
    const real x = c.dot[i] / c.length[i];
    squared += x * x;
    sum += x;
  }
  if (squared == 0) return 0;
  for (std::size_t i = 0; i < K; ++i)
    left[i] = static_cast<double>((c.dot[i] / c.length[i] - squared / sum) / c.length[i]);
  return combination<K>(s, left).norm() / std::abs(squared / sum);
}

/// Against the method on the vectors: the cosine of what is left of a gradient with each other one in turn is raised to
/// @p target; 0 is PCGrad.
template <std::size_t K>
real successive_error(const sample<K>& s, const std::array<double, K>& w, real target) {
  const std::size_t n = s.row[0].size();
  std::vector<real> total(n);
  real longest = 0, off = 0;
  for (std::size_t i = 0; i < K; ++i) {
    std::vector<real> x(s.row[i].begin(), s.row[i].end());
    for (std::size_t j = 0; j < K; ++j) {
      real dot = 0, xx = 0, yy = 0;
      for (std::size_t e = 0; e < n; ++e) {
        dot += x[e] * s.row[j][e];
        xx += x[e] * x[e];
        yy += static_cast<real>(s.row[j][e]) * s.row[j][e];
      }
      longest = (std::max)(longest, yy);
      const real c = (std::max)(real(-1), (std::min)(real(1), dot / std::sqrt(xx * yy)));
      if (j == i || !(xx > 0) || !(c < target)) continue;
      const real moved = std::sqrt(xx / yy) * (target * std::sqrt(1 - c * c) / std::sqrt(1 - target * target) - c);
      for (std::size_t e = 0; e < n; ++e) x[e] += moved * s.row[j][e];
    }
    for (std::size_t e = 0; e < n; ++e) total[e] += x[e];
  }
  for (std::size_t e = 0; e < n; ++e) {
    real x = -total[e];
    for (std::size_t i = 0; i < K; ++i) x += static_cast<real>(w[i]) * s.row[i][e];
    off += x * x;
  }
  return std::sqrt(off / longest);
}

}  // namespace

TEST_CASE("projections on the cone, of gradients near dependence", "[near dependence]") {
  count_failures("dual_projection", 4e-3, [](const auto& s, auto k) {
    return projection_error<k()>(s, mean<k()>(), noted(dual_projection<k()>{}.weights(s.gram())), 0);
  });
  count_failures("gem", 4e-3, [](const auto& s, auto k) {
    std::array<double, k()> u{};
    u[0] = 1;
    return projection_error<k()>(s, u, noted(gem{}.weights(s.gram())), 1);
  });
  count_failures("upgrad", 4e-3, [](const auto& s, auto k) {
    constexpr std::size_t K = k();
    const auto g = s.gram();
    const auto w = upgrad<K>{}.weights(g);
    real error = 0;
    std::array<double, K> total{};
    for (std::size_t i = 0; i < K; ++i) {
      std::array<double, K> u{};
      u[i] = 1;
      const auto v = noted(upgrad<K>{.preference = u}.weights(g));
      error = worse(error, projection_error<K>(s, u, v, 0));
      for (std::size_t j = 0; j < K; ++j) total[j] += v[j] / K;
    }
    std::array<double, K> difference;
    for (std::size_t i = 0; i < K; ++i) difference[i] = w[i] - total[i];
    const combination<K> off(s, difference);
    return worse(error, off.norm() / off.longest);
  });
}

TEST_CASE("directions without a part along retain gradients near dependence", "[near dependence]") {
  count_failures("retain_orthogonal", 4e-6, [](const auto& s, auto k) {
    const combination<k()> c(s, retain_orthogonal{}.weights(s.gram()));
    real error = worse(0, c.norm() / c.length[0] - 1);
    for (std::size_t i = 1; i < k(); ++i) error = worse(error, std::abs(c.dot[i]) / (c.length[i] * c.length[0]));
    return error;
  });
}

TEST_CASE("points of the hull of gradients near dependence", "[near dependence]") {
  count_failures("mgda", 1e-3, [](const auto& s, auto k) {
    const auto w = noted(mgda{}.weights(s.gram()));
    const combination<k()> c(s, w);
    real sum = 0, error = 0, shortest = c.longest;
    for (const real length : c.length) shortest = (std::min)(shortest, length);
    for (std::size_t i = 0; i < k(); ++i) {
      sum += w[i];
      error = worse(error, (c.squared - c.dot[i]) / (c.longest * shortest));
      error = worse(error, -w[i]);
    }
    return worse(error, std::abs(sum - 1));
  });
  count_failures("cagrad", 4e-6, [](const auto& s, auto k) {
    constexpr std::size_t K = k();
    const auto w = noted(cagrad{.c = 0.5}.weights(s.gram()));
    std::array<double, K> step;
    real total = 0;
    for (std::size_t i = 0; i < K; ++i) total += step[i] = w[i] - 1.0 / K;
    const combination<K> d(s, w), x(s, mean<K>()), moved(s, step), hull(s, mgda{}.weights(s.gram()));
    const real radius = x.norm() / 2, units = d.longest * d.longest;
    real error = worse(0, moved.norm() / radius - 1), reach = 0;
    real least = d.dot[0], before = x.dot[0];
    for (std::size_t i = 0; i < K; ++i) {
      error = worse(error, -step[i] * d.length[i] / x.longest);
      least = (std::min)(least, d.dot[i]);
      before = (std::min)(before, x.dot[i]);
      reach += step[i] * x.dot[i];
    }
    error = worse(error, (before - least) / units);
    // The best that the weights step / total of the hull leave possible, unless the hull holds 0.
    if (hull.norm() > 1e-5 * d.longest && total > 0)
      error = worse(error, ((reach + radius * moved.norm()) / total - least) / units);
    return error;
  });
}

TEST_CASE("common directions of gradients near dependence", "[near dependence]") {
  count_failures("imtl_g", 1e-3, [](const auto& s, auto k) {
    const auto w = imtl_g{}.weights(s.gram());
    real sum = 0;
    for (const double x : w) sum += x;
    return worse(common_direction_error<k()>(s, w), sum == 0 ? 0 : std::abs(sum - 1));
  });
  count_failures("conflict_free", 1e-3, [](const auto& s, auto k) {
    const auto w = conflict_free<k()>{}.weights(s.gram());
    const combination<k()> c(s, w);
    real projections = 0;
    for (const real x : c.dot) projections += x;
    const real length = c.squared == 0 ? 0 : std::abs(projections / c.norm() - c.norm()) / c.longest;
    return worse(common_direction_error<k()>(s, w), length);
  });
}

TEST_CASE("projections one after the other, of gradients near dependence, against the same on the vectors",
          "[near dependence]") {
  count_failures("pcgrad_symmetric", 1e-6, [](const auto& s, auto k) {
    return successive_error<k()>(s, pcgrad_symmetric{}.weights(s.gram()), 0);
  });
  count_failures("gradvac", 1e-6, [](const auto& s, auto k) {
    gradvac_state<k()> state;
    for (auto& row : state.target) row.fill(0.3);
    return successive_error<k()>(s, gradvac<k()>{.state = {&state, 1}, .beta = 0}.weights(s.gram(), 0), 0.3L);
  });
}

TEST_CASE("bargains of gradients near dependence", "[near dependence]") {
  count_failures("nash_mtl", 1e-2, [](const auto& s, auto k) {
    const auto w = noted(nash_mtl{}.weights(s.gram()));
    const combination<k()> c(s, w);
    real error = 0;
    if (c.squared > 0)
      for (std::size_t i = 0; i < k(); ++i) error = worse(error, std::abs(w[i] * c.dot[i] - 1));
    return error;
  });
}

TEST_CASE("principal directions of gradients near dependence", "[near dependence]") {
  // With G w = sqrt(s) G^(1/2) p: |G w|^2 = s <p, G p>, s = trace / rank, so that the rank is a whole number.
  count_failures("aligned_mtl", 1e-5, [](const auto& s, auto k) {
    constexpr std::size_t K = k();
    const aligned_mtl<K> method{.scale = aligned_scale::rmse};
    const combination<K> c(s, method.weights(s.gram())), p(s, method.preference);
    real trace = 0, squared = 0;
    for (std::size_t i = 0; i < K; ++i) {
      trace += c.length[i] * c.length[i];
      squared += c.dot[i] * c.dot[i];
    }
    const real rank = trace * p.squared / squared;
    return worse(std::abs(rank - std::round(rank)), rank < 0.5 || rank > K + 0.5 ? 1 : 0);
  });
}
