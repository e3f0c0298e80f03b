// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Minima of a weighted logistic regression with a ridge, 20,000 rows in the unit ball whose columns fall like 1 / k
/// beside a mean, to a gradient of 1e-10. The roof is as many calls of the objective alone. ridge: 1e-6 of it.
#include "hone/linalg/certified_minimum.hpp"
#include "hone/linalg/dense.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;

/// In [0, 1), as bench/peers/minimise_scipy.py has it. [Steele, Lea, Flood 2014, SplitMix]
double uniform(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

struct regression {
  index_t n, d;
  double ridge;
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rows;  // times their signs
  linalg::vector weights;
  mutable linalg::vector z, e;

  regression(index_t count, index_t width, double r)
      : n(count), d(width), ridge(r), rows(n, d), weights(n), z(n), e(n) {
    for (index_t i = 0; i < n; ++i) {
      for (index_t j = 0; j < d; ++j)
        rows(i, j) = (4 * uniform(static_cast<std::uint64_t>(i * d + j)) - 2) / static_cast<double>(j + 1) + 0.5;
      const auto row = static_cast<std::uint64_t>(n * d + i);
      const double sign = rows(i, 0) - rows(i, 1) + uniform(row) > 0.5 ? 1 : -1;
      rows.row(i) *= sign / (max)(1.0, rows.row(i).norm());
      weights[i] = 2 * uniform(row + static_cast<std::uint64_t>(n));
    }
  }
  double operator()(std::span<const double> at, std::span<double> gradient) const {
    const Eigen::Map<const linalg::vector> b(at.data(), d);
    Eigen::Map<linalg::vector> g(gradient.data(), d);
    z.noalias() = rows * b;
    e = (-z.array().abs()).exp();
    const double value = (weights.array() * (e.array().log1p() - z.array().min(0))).sum();
    z = weights.array() * (z.array() > 0).select(e.array(), 1) / (1 + e.array());
    g.noalias() = rows.transpose() * z;
    g = ridge * b - g / static_cast<double>(n);
    return value / static_cast<double>(n) + ridge / 2 * b.squaredNorm();
  }
  void hessian(std::span<const double> at, std::span<double> out) const {
    const Eigen::Map<const linalg::vector> b(at.data(), d);
    z.noalias() = rows * b;
    e = (-z.array().abs()).exp();
    z = (weights.array() * e.array()).sqrt() / (1 + e.array());
    linalg::matrix h = ridge * linalg::matrix::Identity(d, d);
    h.selfadjointView<Eigen::Upper>().rankUpdate((z.asDiagonal() * rows).transpose(), 1 / static_cast<double>(n));
    Eigen::Map<linalg::matrix>(out.data(), d, d) = h;  // columns of the upper are rows of the lower triangle
  }
};

template <class Minimise>
void minimise(benchmark::State& state, Minimise&& run) {
  const regression f(20000, state.range(0), 1e-6 * static_cast<double>(state.range(1)));
  const auto d = static_cast<std::size_t>(f.d);
  std::vector<double> x(d), g(d);
  record r;
  linalg::minimum m;
  for (auto _ : state) {
    const double time = seconds([&] {
      x.assign(d, 0.0);
      m = run(f, x);
    });
    r.add(state, time, seconds([&] {
            for (int i = 0; i < m.evaluations; ++i) benchmark::DoNotOptimize(f(x, g));
          }));
  }
  r.report(state, static_cast<double>(m.evaluations) * static_cast<double>(f.n * f.d) * sizeof(double), "B");
  state.counters["evaluations"] = m.evaluations;
  state.counters["certificate"] = m.certificate;
}

void minimise_lbfgs(benchmark::State& state) {
  minimise(state, [](const regression& f, std::span<double> x) {
    return linalg::minimise_lbfgs(f, x, {.tolerance = 1e-10, .limit = 1000});
  });
}
void minimise_newton(benchmark::State& state) {
  minimise(state, [](const regression& f, std::span<double> x) { return linalg::minimise_newton(f, x); });
}
void minimise_certified(benchmark::State& state) {
  minimise(state, [](const regression& f, std::span<double> x) {
    return linalg::minimise_certified(f, x,
                                      {.tolerance = 1e-10, .bounds = {f.ridge, 0.5 + f.ridge}, .gradient_at_start = 1});
  });
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"width", "ridge"})->ArgsProduct({{20, 100}, {50000, 1000}})->UseManualTime()->Iterations(5);
}

BENCHMARK(minimise_lbfgs)->Apply(shapes);
BENCHMARK(minimise_newton)->Apply(shapes);
BENCHMARK(minimise_certified)->Apply(shapes);

}  // namespace
