// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The geometry of one step: how K task gradients and their combination relate to each other.
#pragma once
#include "hone/gradient/tasks.hpp"

namespace HONE_NAMESPACE::gradient {

/// What `combine` saw. What is not finite or not converged is always counted; the rest only when geometry is asked for.
template <std::size_t K>
struct combine_report {
  index_t elements = 0;
  std::array<index_t, K> nonfinite{};  ///< infinite or NaN inputs, by task
  /// Infinite or NaN results of finite inputs, in the type of the output; in the accumulator's for a sink.
  index_t nonfinite_combined = 0;
  /// Groups whose small problem was not solved: their weights are what the method names as its fallback.
  index_t unconverged = 0;

  gram_matrix<K> gram;                   ///< <g_i, g_j>
  std::array<double, K> combined_dot{};  ///< <combined, g_i>
  double combined_squared = 0;           ///< |combined|^2
  std::array<index_t, K> opposed{};      ///< elements where combined and g_i have opposite signs
  index_t conflicts = 0;                 ///< elements where some two tasks have opposite signs
  double conflict_mass = 0;              ///< sum of |g_0 g_1| over elements where tasks 0 and 1 conflict
  double mass = 0;                       ///< sum of |g_0 g_1|

  /// Cosine between tasks i and j; 0 when one of them is zero.
  [[nodiscard]] double cosine(std::size_t i, std::size_t j) const {
    return ratio(gram(i, j), std::sqrt(gram(i, i)) * std::sqrt(gram(j, j)));
  }
  /// Cosine between the combination and task i; 0 when one of them is zero.
  [[nodiscard]] double combined_cosine(std::size_t i) const {
    return ratio(combined_dot[i], std::sqrt(combined_squared) * std::sqrt(gram(i, i)));
  }
  /// Share of elements on which tasks conflict.
  [[nodiscard]] double conflict_share() const {
    return ratio(static_cast<double>(conflicts), static_cast<double>(elements));
  }
  /// Share of sum |g_0 g_1| that lies on conflicting elements.
  [[nodiscard]] double conflict_mass_share() const { return ratio(conflict_mass, mass); }

  combine_report& operator+=(const combine_report& other) {
    elements += other.elements;
    gram += other.gram;
    for (std::size_t i = 0; i < K; ++i) {
      nonfinite[i] += other.nonfinite[i];
      combined_dot[i] += other.combined_dot[i];
      opposed[i] += other.opposed[i];
    }
    nonfinite_combined += other.nonfinite_combined;
    unconverged += other.unconverged;
    combined_squared += other.combined_squared;
    conflicts += other.conflicts;
    conflict_mass += other.conflict_mass;
    mass += other.mass;
    return *this;
  }

 private:
  static double ratio(double x, double y) { return y == 0 ? 0 : x / y; }
};

namespace detail {

/// Where x and y have opposite signs. Signs are compared, not the product, which could underflow; zeros and NaNs
/// agree with everything.
template <class A>
HONE_INLINE simd::mask<A> signs_differ(const simd::pack<A>& x, const simd::pack<A>& y) {
  const simd::pack<A> zero(0);
  return (simd::multiply_sign(x, y) < zero) & (simd::abs(y) > zero);
}

/// Sums over the elements of a block, kept in lanes: all of the geometry, or nothing.
template <class A, std::size_t K, bool Geometry>
class observer {
 public:
  static constexpr std::size_t counts = Geometry ? K + 1 : 0, pairs = K * (K + 1) / 2;
  static constexpr std::size_t products = Geometry ? pairs + K + 2 : 0, terms = counts + products;
  static constexpr std::size_t second = K > 1 ? 1 : 0;

  HONE_INLINE void see([[maybe_unused]] const simd::pack<A> (&x)[K], [[maybe_unused]] const simd::pack<A>& combined) {
    if constexpr (Geometry) {
      std::size_t s = 0;
      for (std::size_t a = 0; a < K; ++a) {
        count_[a].add(signs_differ(combined, x[a]));
        for (std::size_t b = a; b < K; ++b) {
          const auto xx = exact_product(x[a], x[b]);
          sum_[s++].add(xx);
          if (a == 0 && b == second) sum_.back().add(simd::abs(xx));
        }
        sum_[s++].add_product(combined, x[a]);
      }
      sum_[s].add_product(combined, combined);
      simd::mask<A> conflict = signs_differ(x[0], x[second]);
      for (std::size_t a = 0; a < K; ++a)
        for (std::size_t b = (max)(a + 1, std::size_t{2}); b < K; ++b) conflict = conflict | signs_differ(x[a], x[b]);
      count_.back().add(conflict);
    }
  }

  HONE_INLINE void add_to(double* sums) const {
    for (const auto& c : count_) *sums++ += static_cast<double>(c.total());
    for (const auto& s : sum_) *sums++ += s.total();
  }

  static combine_report<K> report([[maybe_unused]] const double* sums) {
    combine_report<K> r;
    if constexpr (Geometry) {
      for (auto& n : r.opposed) n = static_cast<index_t>(*sums++);
      r.conflicts = static_cast<index_t>(*sums++);
      for (std::size_t a = 0; a < K; ++a) {
        for (std::size_t b = a; b < K; ++b) r.gram.value[a][b] = r.gram.value[b][a] = *sums++;
        r.combined_dot[a] = *sums++;
      }
      r.combined_squared = *sums++;
      r.mass = *sums;
      r.conflict_mass = (r.mass - r.gram(0, second)) / 2;  // what is not |g_0 g_1| + g_0 g_1, twice
    }
    return r;
  }

 private:
  std::array<simd::counter<A>, counts> count_;
  std::array<lane_sum, products> sum_;
};

}  // namespace detail

}  // namespace HONE_NAMESPACE::gradient
