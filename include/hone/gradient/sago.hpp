// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Element by element, the retain gradient decides where the two disagree in sign:
///   SAGO            retain r   where sign(f) sign(r) < 0,   forget f              elsewhere
///   prefer retain   retain r   where sign(f) sign(r) < 0,   forget f + retain r   elsewhere
/// No element of the result opposes r, so its cosine with r is never negative, for any group of elements. It is not
/// always larger than PCGrad's: at small forget gradients PCGrad is closer to r.
/// [Modeling LLM unlearning as an asymmetric two-task learning problem, 2026, arXiv 2604.14808]. The paper tests the
/// product f r, its code the signs; they differ when the product underflows. This follows the code.
#pragma once
#include "hone/core/simd_math.hpp"
#include "hone/gradient/report.hpp"

namespace HONE_NAMESPACE::gradient {

/// What SAGO does where the forget gradient is zero and the retain gradient is not.
enum class zero_forget { drop, keep_retain };

/// Zeros, and NaNs, count as agreement: a NaN in r is hidden (the result is forget * f) but counted in the report.
struct sago {
  double retain = 1;  ///< alpha
  double forget = 1;  ///< gamma
  zero_forget where_forget_is_zero = zero_forget::drop;

  void check() const {
    detail::check_weight(retain, "hone::gradient::sago", "retain");
    detail::check_weight(forget, "hone::gradient::sago", "forget");
  }

  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& f, const simd::pack<A>& r) const {
    simd::mask<A> retained = detail::signs_differ(f, r);
    if (where_forget_is_zero == zero_forget::keep_retain) retained = retained | (f == simd::pack<A>(0));
    return select(retained, simd::pack<A>(static_cast<A>(retain)) * r, simd::pack<A>(static_cast<A>(forget)) * f);
  }
};

/// The variant that keeps the retain gradient on agreement too. In the authors' code, not in the paper.
struct sago_prefer_retain {
  double retain = 1;
  double forget = 1;

  void check() const {
    detail::check_weight(retain, "hone::gradient::sago_prefer_retain", "retain");
    detail::check_weight(forget, "hone::gradient::sago_prefer_retain", "forget");
  }

  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& f, const simd::pack<A>& r) const {
    const simd::pack<A> kept = simd::pack<A>(static_cast<A>(retain)) * r;
    return select(detail::signs_differ(f, r), kept, simd::pack<A>(static_cast<A>(forget)) * f + kept);
  }
};

/// An extension of this library, not published: the threshold of SAGO softened. Where SAGO takes one gradient, this
/// takes s retain r + (1 - s) forget f, s = 1 / (1 + e^(sharpness c)), c = 2 f r / (f^2 + r^2) in [-1, 1], which does
/// not depend on the scale of the pair. Sharpness 0 is half of `sum`; at infinity it is SAGO where f r is not 0.
/// Elements of the result may oppose r.
struct sago_soft {
  double retain = 1;
  double forget = 1;
  double sharpness = 8;

  void check() const {
    detail::check_weight(retain, "hone::gradient::sago_soft", "retain");
    detail::check_weight(forget, "hone::gradient::sago_soft", "forget");
    detail::check_weight(sharpness, "hone::gradient::sago_soft", "sharpness");
  }

  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& f, const simd::pack<A>& r) const {
    using packs = simd::pack<A>;
    const packs larger = (simd::max)(simd::abs(f), simd::abs(r));
    const packs unit = select(larger > packs(0), larger, packs(1));  // first by the larger: squares underflow
    const packs a = f / unit, b = r / unit;
    const packs c = (a * b + a * b) / (simd::max)(a * a + b * b, packs(A(1)));
    const packs gate = packs(1) / (packs(1) + simd::exp(packs(static_cast<A>(sharpness)) * c));
    return gate * packs(static_cast<A>(retain)) * r + (packs(1) - gate) * packs(static_cast<A>(forget)) * f;
  }
};

/// An extension of this library, not published: SAGO that takes a disagreement for noise where |f r| < @c threshold and
/// keeps forget f there. 0 is SAGO. The threshold is in units of f r; the result opposes r by at most
/// forget * threshold an element.
struct sago_noise_aware {
  double retain = 1;
  double forget = 1;
  double threshold = 0;

  void check() const {
    detail::check_weight(retain, "hone::gradient::sago_noise_aware", "retain");
    detail::check_weight(forget, "hone::gradient::sago_noise_aware", "forget");
    detail::check_weight(threshold, "hone::gradient::sago_noise_aware", "threshold");
  }

  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& f, const simd::pack<A>& r) const {
    using packs = simd::pack<A>;
    const simd::mask<A> certain = simd::abs(f) * simd::abs(r) >= packs(static_cast<A>(threshold));
    return select(detail::signs_differ(f, r) & certain, packs(static_cast<A>(retain)) * r,
                  packs(static_cast<A>(forget)) * f);
  }
};

/// forget f + retain r: no surgery. [Liu et al. 2022, GradDiff]
struct sum {
  double retain = 1;
  double forget = 1;

  void check() const {
    detail::check_weight(retain, "hone::gradient::sum", "retain");
    detail::check_weight(forget, "hone::gradient::sum", "forget");
  }

  template <class A>
  HONE_INLINE simd::pack<A> operator()(const simd::pack<A>& f, const simd::pack<A>& r) const {
    return simd::pack<A>(static_cast<A>(forget)) * f + simd::pack<A>(static_cast<A>(retain)) * r;
  }
};

}  // namespace HONE_NAMESPACE::gradient
