// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Losses of the second stage, per record of row x, arm t and outcome r, and the two constants of each that a guarantee
/// is made of: L, the longest gradient in theta of one record, and c, the largest trace of its Hessian.
///   owl_logistic    |r| log(1 + exp(-s <x, theta>)),  s = t sign(r)            L = R_max B,  c = R_max B^2 / 4
///   owl_huber       |r| h(s <x, theta>), the hinge smoothed over 1 - h … 1 + h   L = R_max B,  c = R_max B^2 / (2 h)
///   logistic        log(1 + exp(-y <x, theta>)),  y = sign(r)                  L = B,        c = B^2 / 4
///   a_learning      (r - t <x, theta>)^2 on the ball |theta| <= radius          L = 2 B (R_max + B radius),  c = 2 B^2
///   ad_learning     (r K / (K - 1) - <Theta^T x, u_t>)^2, u_t corners of a simplex in K - 1 dimensions, on the ball of
///                   the Frobenius norm                       L = 2 B (R_max K / (K - 1) + B radius),  c = 2 B^2
/// The rule of the first four is arm 1 where <x, theta> >= 0, of the last the arm of the largest <Theta^T x, u_a>, the
/// first of equal ones.
/// [Zhao, Zeng, Rush, Kosorok 2012, Outcome weighted learning; Chaudhuri, Monteleoni, Sarwate 2011, the smoothed hinge;
///  Qi, Liu 2018, AD-learning]
#pragma once
#include "hone/core/simd_math.hpp"
#include "hone/privacy/row_sums.hpp"

namespace HONE_NAMESPACE::privacy {

struct owl_logistic {};
struct owl_huber {
  double half_width = 0.5;  ///< h
};
struct logistic {};
struct a_learning {
  double radius = 1;
};
struct ad_learning {
  double radius = 1;
};

/// What is known of a loss before the data.
struct loss_bound {
  double gradient = 0;                                      ///< L
  double curvature = 0;                                     ///< c
  double radius = std::numeric_limits<double>::infinity();  ///< of the ball in which theta is sought
  index_t products = 1;                                     ///< columns of theta
};

namespace detail {

inline loss_bound loss_of(double gradient, double curvature) {
  return {.gradient = rounded_up(gradient), .curvature = rounded_up(curvature)};
}

}  // namespace detail

/// @throws std::invalid_argument for a bad domain or option.
inline loss_bound bound(const owl_logistic&, const domain& d) {
  const char* function = "hone::privacy::bound(owl_logistic)";
  check(d, function);
  invalid_argument_unless(d.arms == 2, function, "arms", "are %td, and this loss knows two", d.arms);
  return detail::loss_of(d.outcome_bound * d.row_bound, d.outcome_bound * d.row_bound * d.row_bound / 4);
}
inline loss_bound bound(const owl_huber& loss, const domain& d) {
  const char* function = "hone::privacy::bound(owl_huber)";
  check(d, function);
  invalid_argument_unless(d.arms == 2, function, "arms", "are %td, and this loss knows two", d.arms);
  detail::positive(loss.half_width, function, "half_width");
  return detail::loss_of(d.outcome_bound * d.row_bound,
                         d.outcome_bound * d.row_bound * d.row_bound / (2 * loss.half_width));
}
inline loss_bound bound(const logistic&, const domain& d) {
  check(d, "hone::privacy::bound(logistic)");
  return detail::loss_of(d.row_bound, d.row_bound * d.row_bound / 4);
}
inline loss_bound bound(const a_learning& loss, const domain& d) {
  const char* function = "hone::privacy::bound(a_learning)";
  check(d, function);
  invalid_argument_unless(d.arms == 2, function, "arms", "are %td, and this loss knows two", d.arms);
  const double radius = detail::positive(loss.radius, function, "radius"), b = d.row_bound;
  loss_bound result = detail::loss_of(2 * b * (d.outcome_bound + b * radius), 2 * b * b);
  result.radius = radius;
  return result;
}
inline loss_bound bound(const ad_learning& loss, const domain& d) {
  const char* function = "hone::privacy::bound(ad_learning)";
  check(d, function);
  const double radius = detail::positive(loss.radius, function, "radius"), b = d.row_bound,
               k = static_cast<double>(d.arms);
  loss_bound result = detail::loss_of(2 * b * (d.outcome_bound * k / (k - 1) + b * radius), 2 * b * b);
  result.radius = radius;
  result.products = d.arms - 1;
  return result;
}

/// u (arms x (arms - 1) by rows): the corners of a regular simplex around 0, of length 1.
inline std::vector<double> simplex_corners(index_t arms) {
  const index_t k = arms - 1;
  const double one = static_cast<double>(k), p = -(1 + std::sqrt(one + 1)) / std::pow(one, 1.5),
               q = std::sqrt((one + 1) / one);
  std::vector<double> u(static_cast<std::size_t>(arms * k), p);
  for (index_t c = 0; c < k; ++c) u[static_cast<std::size_t>(c)] = 1 / std::sqrt(one);
  for (index_t c = 0; c < k; ++c) u[static_cast<std::size_t>((c + 1) * k + c)] += q;
  return u;
}

namespace detail {

/// A function of the margin m, its slope and curvature in m.
struct margin_terms {
  lanes value, slope, curvature;
};

/// log(1 + e^-m)
HONE_INLINE margin_terms logistic_margin(const lanes& m) {
  const lanes tail = simd::exp_nonpositive(-simd::abs(m)), all = lanes(1.0) / (lanes(1.0) + tail);
  const lanes miss = select(m < lanes(0.0), all, tail * all);  // sigma(-m)
  return {(simd::max)(-m, lanes(0.0)) + simd::log1p_unit(tail), -miss, tail * all * all};
}

/// 0 above 1 + h, (1 + h - m)^2 / (4 h) down to 1 - h, 1 - m below.
HONE_INLINE margin_terms huber_margin(const lanes& m, double h) {
  const lanes gap = lanes(1 + h) - m;
  const simd::mask<double> over = gap<lanes(0.0), under = gap> lanes(2 * h);
  const lanes zero = 0.0, one = 1.0;
  return {select(over, zero, select(under, one - m, gap * gap * lanes(1 / (4 * h)))),
          select(over, zero, select(under, -one, gap * lanes(-1 / (2 * h)))),
          select(over | under, zero, lanes(1 / (2 * h)))};
}

/// Per record what the loss multiplies: s and |r| w, or t and r and w.
template <class Loss>
struct loss_rows;

/// Losses of a margin s <x, theta> with a weight.
template <class Loss>
  requires(std::same_as<Loss, owl_logistic> || std::same_as<Loss, owl_huber> || std::same_as<Loss, logistic>)
struct loss_rows<Loss> {
  loss_rows(const Loss& loss, const records& data, std::span<const double> weight)
      : loss_(loss), sign_(data.sign(), data.sign() + data.tiles() * tile_rows), scale_(sign_.size()) {
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const double r = data.outcome()[i], side = r < 0 ? -1 : 1;
      if constexpr (std::same_as<Loss, logistic>) {
        sign_[i] = r > 0 ? 1 : -1;
        scale_[i] = weight[i] * data.valid()[i];
      } else {
        sign_[i] *= side;
        scale_[i] = weight[i] * std::abs(r) * data.valid()[i];
      }
    }
  }
  HONE_INLINE margin_terms at(index_t first, const lanes& z) const {
    const lanes s = simd::load<double>(sign_.data() + first), scale = simd::load<double>(scale_.data() + first);
    margin_terms m;
    if constexpr (std::same_as<Loss, owl_huber>)
      m = huber_margin(s * z, loss_.half_width);
    else
      m = logistic_margin(s * z);
    return {scale * m.value, scale * s * m.slope, scale * m.curvature};
  }
  HONE_INLINE row_terms<1> operator()(index_t first, const lanes* z) const {
    const margin_terms m = at(first, *z);
    return {m.value, {m.slope}};
  }
  HONE_INLINE lanes curvature(index_t first, const lanes& z) const { return at(first, z).curvature; }

 private:
  Loss loss_;
  std::vector<double> sign_, scale_;
};

template <>
struct loss_rows<a_learning> {
  loss_rows(const a_learning&, const records& data, std::span<const double> weight)
      : data_(data), scale_(static_cast<std::size_t>(data.tiles() * tile_rows)) {
    for (std::size_t i = 0; i < weight.size(); ++i) scale_[i] = weight[i] * data.valid()[i];
  }
  HONE_INLINE row_terms<1> operator()(index_t first, const lanes* z) const {
    const lanes t = simd::load<double>(data_.sign() + first), scale = simd::load<double>(scale_.data() + first);
    const lanes left = simd::load<double>(data_.outcome() + first) - t * *z;
    return {scale * left * left, {lanes(-2.0) * scale * t * left}};
  }
  HONE_INLINE lanes curvature(index_t first, const lanes&) const {
    return lanes(2.0) * simd::load<double>(scale_.data() + first);
  }

 private:
  const records& data_;
  std::vector<double> scale_;
};

template <>
struct loss_rows<ad_learning> {
  loss_rows(const ad_learning&, const records& data, std::span<const double> weight)
      : data_(data), scale_(static_cast<std::size_t>(data.tiles() * tile_rows)),
        corner_(simplex_corners(data.limits().arms)), products_(data.limits().arms - 1) {
    for (std::size_t i = 0; i < weight.size(); ++i) scale_[i] = weight[i] * data.valid()[i];
    const auto k = static_cast<double>(products_);
    stretch_ = (k + 1) / k;
  }
  HONE_INLINE row_terms<most_arms - 1> operator()(index_t first, const lanes* z) const {
    lanes u[most_arms - 1], fit = 0.0;
    for (index_t c = 0; c < products_; ++c) {
      double own[tile_rows];
      for (index_t i = 0; i < tile_rows; ++i)
        own[i] = corner_[static_cast<std::size_t>((max)(data_.arm()[first + i], index_t{0}) * products_ + c)];
      u[c] = simd::load<double>(own);
      fit += u[c] * z[c];
    }
    const lanes scale = simd::load<double>(scale_.data() + first);
    const lanes left = lanes(stretch_) * simd::load<double>(data_.outcome() + first) - fit;
    row_terms<most_arms - 1> result;
    result.value = scale * left * left;
    for (index_t c = 0; c < products_; ++c) result.slope[c] = lanes(-2.0) * scale * left * u[c];
    return result;
  }

 private:
  const records& data_;
  std::vector<double> scale_, corner_;
  index_t products_;
  double stretch_ = 1;
};

}  // namespace detail

/// The arm that a rule gives to a row x (d, the constant column in it): see above.
template <class Loss>
index_t decide(const Loss&, index_t arms, std::span<const double> x, std::span<const double> theta) {
  const auto product = [&](index_t c) {
    double sum = 0;
    for (std::size_t j = 0; j < x.size(); ++j) sum += x[j] * theta[static_cast<std::size_t>(c) * x.size() + j];
    return sum;
  };
  if constexpr (!std::same_as<Loss, ad_learning>) {
    return product(0) >= 0 ? 1 : 0;
  } else {
    const std::vector<double> u = simplex_corners(arms);
    index_t best = 0;
    double largest = 0;
    for (index_t a = 0; a < arms; ++a) {
      double score = 0;
      for (index_t c = 0; c + 1 < arms; ++c) score += product(c) * u[static_cast<std::size_t>(a * (arms - 1) + c)];
      if (a == 0 || score > largest) {
        best = a;
        largest = score;
      }
    }
    return best;
  }
}

}  // namespace HONE_NAMESPACE::privacy
