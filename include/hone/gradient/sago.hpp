// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Element by element, the retain gradient decides where the two disagree in sign:
///   SAGO            retain r   where sign(f) sign(r) < 0,   forget f              elsewhere
///   prefer retain   retain r   where sign(f) sign(r) < 0,   forget f + retain r   elsewhere
/// No element of the result opposes r, so its cosine with r is never negative, for any group of elements. It is not
/// always larger than PCGrad's: at small forget gradients PCGrad is closer to r.
/// [Modeling LLM unlearning as an asymmetric two-task learning problem, 2026, arXiv 2604.14808]. The paper tests the
/// product f r, its code the signs; they differ when the product underflows. This follows the code.
#pragma once
#include "hone/gradient/report.hpp"

namespace hone::gradient {

namespace detail {
inline void check_weight(double value, const char* function, const char* argument) {
  invalid_argument_unless(value >= 0 && std::isfinite(value), function, argument, "must be finite and not negative, is %g",
                          value);
}
}  // namespace detail

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

}  // namespace hone::gradient
