// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights in [0, W] that minimise, over all records at once,
///   J(w) = sum_a | (1/n) sum_(i in a) w_i phi_i - (1/n) sum_i phi_i |^2 + (ridge / n) sum_i w_i^2
/// with <phi_i, phi_j> = k(x_i, x_j) of the clipped rows; phi of a zero record is 0. Kernels, kappa^2 = max k(x, x):
///   gaussian  exp(-|x - y|^2 / (2 h^2)), 1: maximum mean discrepancy
///   energy    (|x| + |y| - |x - y|) / 2, B: the energy distance
///   linear    <x, y>, B^2: stable balancing weights
/// The gaussian's phi may be that of D random directions omega, (cos <omega, x>, sin <omega, x>) / sqrt(D), of which
/// the length is 1: every bound holds for the kernel that is used. Then, and for the linear one, work and memory grow
/// with n; else with n^2. [Huling, Mak 2024, Energy balancing; Zubizarreta 2015, Stable weights; Rahimi, Recht 2007,
/// Random features]
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/box_quadratic.hpp"
#include "hone/privacy/bounds.hpp"
#include "hone/privacy/records.hpp"

namespace HONE_NAMESPACE::privacy {

namespace detail {

/// @throws std::invalid_argument where a kernel without features is asked of rows that other ranks hold.
inline void check_shards(const kernel_balancing& scheme, const row_shards& shards, const char* function) {
  invalid_argument_unless(has_features(scheme) || shards.held() == shards.rows(), function, "features",
                          "are 0, but this rank holds %td of %td rows", shards.held(), shards.rows());
}

/// k(x_i, x_j), of records that are no zero records.
inline double kernel_value(const kernel_balancing& scheme, const records& data, index_t i, index_t j) {
  double product = 0, apart = 0, one = 0, other = 0;
  for (index_t c = 0; c < data.columns(); ++c) {
    const double x = data(i, c), y = data(j, c);
    product += x * y;
    apart += (x - y) * (x - y);
    one += x * x;
    other += y * y;
  }
  switch (scheme.kind) {
    case kernel::gaussian: return std::exp(-apart / (2 * scheme.bandwidth * scheme.bandwidth));
    case kernel::energy: return (std::sqrt(one) + std::sqrt(other) - std::sqrt(apart)) / 2;
    default: return product;
  }
}

/// H w of the dense kernel: (2 / n^2) K within arms, plus the ridge.
class dense_kernel {
 public:
  dense_kernel(const kernel_balancing& scheme, const records& data, executor_reference pool)
      : ridge_(scheme.ridge), rows_(data.limits().rows), pool_(pool),
        members_(static_cast<std::size_t>(data.limits().arms)) {
    for (index_t i = 0; i < data.held(); ++i)
      if (data.arm()[i] >= 0) members_[static_cast<std::size_t>(data.arm()[i])].push_back(i);
    products_.resize(members_.size());
    for (std::size_t a = 0; a < members_.size(); ++a) {
      const std::vector<index_t>& own = members_[a];
      products_[a].resize(own.size() * own.size());
      pool.parallel_for(std::ssize(own), index_t{8}, [&](index_t first, index_t last) {
        for (auto r = static_cast<std::size_t>(first); r < static_cast<std::size_t>(last); ++r)
          for (std::size_t c = 0; c < own.size(); ++c)
            products_[a][r * own.size() + c] = kernel_value(scheme, data, own[r], own[c]);
      });
    }
    sums_.resize(static_cast<std::size_t>(data.held()));
    pool.parallel_for(data.held(), index_t{8}, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        if (data.arm()[i] < 0) continue;
        double sum = 0;
        for (const std::vector<index_t>& own : members_)
          for (const index_t j : own) sum += kernel_value(scheme, data, i, j);
        sums_[static_cast<std::size_t>(i)] = sum;
      }
    });
  }

  void operator()(std::span<const double> w, std::span<double> out) const {
    const double n = static_cast<double>(rows_);
    for (std::size_t i = 0; i < w.size(); ++i) out[i] = 2 * ridge_ / n * w[i];
    for (std::size_t a = 0; a < members_.size(); ++a) {
      const std::vector<index_t>& own = members_[a];
      pool_.parallel_for(std::ssize(own), index_t{32}, [&](index_t first, index_t last) {
        for (auto r = static_cast<std::size_t>(first); r < static_cast<std::size_t>(last); ++r) {
          double sum = 0;
          for (std::size_t c = 0; c < own.size(); ++c)
            sum += products_[a][r * own.size() + c] * w[static_cast<std::size_t>(own[c])];
          out[static_cast<std::size_t>(own[r])] += 2 / (n * n) * sum;
        }
      });
    }
  }
  /// sum_j k(x_i, x_j)
  [[nodiscard]] std::span<const double> sums() const { return sums_; }

 private:
  double ridge_;
  index_t rows_;
  executor_reference pool_;
  std::vector<std::vector<index_t>> members_;
  std::vector<std::vector<double>> products_;
  std::vector<double> sums_;
};

/// The same by features of the rows: random ones, or the rows themselves for the linear kernel.
class feature_kernel {
 public:
  feature_kernel(const kernel_balancing& scheme, const records& data, executor_reference pool)
      : data_(data), ridge_(scheme.ridge), pool_(pool),
        width_(scheme.features > 0 ? 2 * scheme.features : data.columns()),
        phi_(static_cast<std::size_t>(data.held() * width_)) {
    const index_t d = data.columns();
    std::vector<double> omega(static_cast<std::size_t>(scheme.features * d));
    for (std::size_t k = 0; k < omega.size(); ++k)
      omega[k] =
          philox{static_cast<std::uint32_t>(scheme.seed), static_cast<std::uint32_t>(scheme.seed >> 32)}.normal(k) /
          scheme.bandwidth;
    const double share = 1 / std::sqrt(static_cast<double>((max)(scheme.features, index_t{1})));
    pool.parallel_for(data.held(), index_t{64}, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        if (data.arm()[i] < 0) continue;
        double* phi = phi_.data() + i * width_;
        for (index_t j = 0; j < d && scheme.features == 0; ++j) phi[j] = data(i, j);
        for (index_t k = 0; k < scheme.features; ++k) {
          double angle = 0;
          for (index_t j = 0; j < d; ++j) angle += omega[static_cast<std::size_t>(k * d + j)] * data(i, j);
          phi[2 * k] = share * std::cos(angle);
          phi[2 * k + 1] = share * std::sin(angle);
        }
      }
    });
    sums_.resize(static_cast<std::size_t>(data.held()));
    std::vector<double> one(sums_.size(), 1.0), mean(static_cast<std::size_t>(data.limits().arms * width_));
    add_arms(one, mean);
    for (index_t a = 1; a < data.limits().arms; ++a)
      for (index_t c = 0; c < width_; ++c)
        mean[static_cast<std::size_t>(c)] += mean[static_cast<std::size_t>(a * width_ + c)];
    for (index_t i = 0; i < data.held(); ++i) sums_[static_cast<std::size_t>(i)] = product(i, mean.data());
  }

  void operator()(std::span<const double> w, std::span<double> out) const {
    const double n = static_cast<double>(data_.limits().rows);
    std::vector<double> arms(static_cast<std::size_t>(data_.limits().arms * width_));
    add_arms(w, arms);
    pool_.parallel_for(data_.held(), index_t{64}, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const index_t arm = data_.arm()[i];
        out[at] = 2 * ridge_ / n * w[at] + (arm < 0 ? 0 : 2 / (n * n) * product(i, arms.data() + arm * width_));
      }
    });
  }
  [[nodiscard]] std::span<const double> sums() const { return sums_; }

 private:
  [[nodiscard]] double product(index_t i, const double* x) const {
    const vector_view<const double> phi(phi_.data() + i * width_, width_), other(x, width_);
    return dot(phi, other);
  }
  /// sums (arms x width) <- sum of w phi over the records of each arm.
  void add_arms(std::span<const double> w, std::span<double> sums) const {
    data_.shards().sum(
        sums,
        [&](index_t first, index_t last, double* out) {
          for (index_t i = first; i < last; ++i) {
            if (data_.arm()[i] < 0) continue;
            double* own = out + data_.arm()[i] * width_;
            const double* phi = phi_.data() + i * width_;
            for (index_t c = 0; c < width_; ++c) own[c] += w[static_cast<std::size_t>(i)] * phi[c];
          }
        },
        pool_);
  }

  const records& data_;
  double ridge_;
  executor_reference pool_;
  index_t width_;
  std::vector<double> phi_, sums_;
};

template <class Product>
linalg::minimum balance(const Product& product, const kernel_balancing& scheme, const domain& d,
                        std::span<double> weight) {
  const stability s = bound(scheme, d);
  const double n = static_cast<double>(d.rows);
  std::vector<double> right(weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) right[i] = -2 / (n * n) * product.sums()[i];
  for (double& value : weight) value = (min)(1.0, scheme.largest);
  const linalg::convexity bounds{.least = s.curvature, .largest = s.smoothness};
  // Within tolerance / curvature in length, so within sqrt(n) times that in sum.
  const double tolerance = kernel_precision * scheme.largest * s.curvature * std::sqrt(n);
  // All steps, on every data set: ranks, which see their own part of the certificate, must not stop at different ones.
  linalg::minimum result =
      linalg::minimise_box(product, right, weight,
                           {.lower = 0,
                            .upper = scheme.largest,
                            .bounds = bounds,
                            .steps = linalg::steps_that_suffice(bounds, tolerance, s.smoothness * std::sqrt(n),
                                                                scheme.largest * std::sqrt(n))});
  result.converged = result.certificate <= tolerance;
  return result;
}

}  // namespace detail

/// weight (held rows, overwritten) <- the minimiser, to what `bound` charges.
/// @return how the solver got there: private, like the weights.
/// @throws std::invalid_argument for a bad scheme, and for several ranks where the kernel has no features; never for
///         what a record holds.
/// @note As many products as `steps_that_suffice` says, on every data set. Bitwise for any executor, with features for
///       any number of ranks.
inline linalg::minimum weigh(const kernel_balancing& scheme, const records& data, std::span<double> weight,
                             executor_reference pool) {
  const char* function = "hone::privacy::weigh(kernel_balancing)";
  bound(scheme, data.limits());
  invalid_argument_unless(std::ssize(weight) == data.held(), function, "weight", "has %td elements, there are %td rows",
                          std::ssize(weight), data.held());
  detail::check_shards(scheme, data.shards(), function);
  linalg::minimum result;
  if (has_features(scheme)) {
    result = detail::balance(detail::feature_kernel(scheme, data, pool), scheme, data.limits(), weight);
  } else {
    result = detail::balance(detail::dense_kernel(scheme, data, pool), scheme, data.limits(), weight);
  }
  for (index_t i = 0; i < data.held(); ++i)
    if (data.arm()[i] < 0) weight[static_cast<std::size_t>(i)] = 0;
  return result;
}

}  // namespace HONE_NAMESPACE::privacy
