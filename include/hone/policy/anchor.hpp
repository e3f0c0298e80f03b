// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Anchored policy optimisation: where a token is punished (A < 0), its ratio is rectified by the mass that the policy
/// keeps on the reference's likeliest tokens S, the punished one not among them,
///   rho~ = push rho - pull r,   r = M / Z = sum_S pi / sum_S q
/// and goes through the surrogate in the ratio's place; A >= 0 is the surrogate's own business.
/// [Anchored policy optimization: mitigating exploration collapse via support-constrained rectification, arXiv
/// 2602.05717. Not TRL's apo_zero and apo_down, which are arXiv 2408.06266 (loss/preference.hpp).]
///
/// The active gradient on logits is |A| { push rho 1_y - (pull / Z) pi 1_S - rho~ pi }: the punished token is pushed
/// down, and the mass it loses is pulled into S. Clipping comes after the rectification here; the paper's text does not
/// settle the order, so it is a policy. Under `clip_rectified` a token is active only while
///   r <= (push rho - 1 + low) / pull      (2.5 at rho = 1 and the defaults)
/// beyond which push and pull both stop; and push - pull must exceed 1 - low, or neither is ever active at rho = r = 1
/// (`fires_at_start`).
///
/// What it does not do: inside S the pull is proportional to pi, so that it does not favour the rare members of S; mass
/// leaks outside S as it does without it, only relatively less; and in groups whose rewards are all equal A = 0, so
/// that nothing fires. Only `anchor_form::mass` is the paper's.
#pragma once
#include "hone/policy/surrogate.hpp"

namespace HONE_NAMESPACE::policy {

enum class anchor_form {
  mass,                 ///< r = M / Z: the pull is proportional to pi, and vanishes with M
  log_mass,             ///< r = log M: does not vanish
  log_ratio,            ///< r = 1 + log(M / Z): the mass's own tangent at M = Z; does not vanish
  reference_likelihood  ///< r = sum_S q / Z log pi: restores the reference's shape within S
};

enum class clip_placement {
  clip_rectified,      ///< surrogate(rho~)
  clip_raw_then_pull,  ///< push surrogate(rho) + A pull r
  no_clip              ///< -A rho~
};

/// Below this reference mass (the reference is certain of the punished token, or S is empty) there is no pull.
inline constexpr double least_reference_mass = 1e-8;

template <ratio_surrogate Surrogate = ppo_clip>
struct support_anchor {
  Surrogate base{};    ///< `ppo_clip` (verl's dual = 3 in the paper's runs), `sapo`, `unclipped`
  double push = 1.05;  ///< lambda
  double pull = 0.1;   ///< beta
  anchor_form form = anchor_form::mass;
  clip_placement placement = clip_placement::clip_rectified;

  void check() const {
    base.check();
    for (const double x : {push, pull})
      invalid_argument_unless(x >= 0 && x < 1e300, "hone::policy::support_anchor", "push and pull",
                              "must be finite and at least 0, one is %g", x);
  }
  void check_batch(const token_batch& batch, const char* function) const {
    const std::size_t tokens = pull == 0 ? 0 : batch.log_probability.size();
    const bool likelihood = form == anchor_form::reference_likelihood;
    if (tokens == 0) return;
    detail::check_tokens(batch.log_mass.size(), tokens, likelihood, function, "log_mass");
    detail::check_tokens(batch.reference_mass.size(), tokens, false, function, "reference_mass");
    detail::check_tokens(batch.reference_likelihood.size(), tokens, !likelihood, function, "reference_likelihood");
  }

  /// Whether a punished token has a gradient at pi = pi_old = q.
  [[nodiscard]] bool fires_at_start() const {
    token_state token{.log_probability = 0, .advantage = -1, .log_mass = 0, .reference_mass = 1};
    return (*this)(token, 1).active();
  }

  [[nodiscard]] surrogate_value operator()(const token_state& token, double ratio) const {
    const double a = token.advantage;
    if (!(a < 0)) return base(token, ratio);
    double r = 0, by_mass = 0, by_likelihood = 0;
    if (pull != 0 && !(token.reference_mass < least_reference_mass)) {
      if (form == anchor_form::reference_likelihood) {
        r = token.reference_likelihood;
        by_likelihood = 1;
      } else if (form == anchor_form::mass) {
        r = std::exp(token.log_mass - std::log(token.reference_mass));
        by_mass = 1 / token.reference_mass;
      } else if (!(token.log_mass < log_mass_limit)) {
        r = form == anchor_form::log_mass ? token.log_mass : 1 + token.log_mass - std::log(token.reference_mass);
        by_mass = std::exp(-token.log_mass);
      }
    }
    surrogate_value value;
    double by_anchor = 0;  // with respect to r
    if (placement == clip_placement::clip_raw_then_pull) {
      value = base(token, ratio);
      value.loss = push * value.loss + a * pull * r;
      value.by_ratio *= push;
      by_anchor = a * pull;
    } else {
      const double rectified = push * ratio - pull * r;
      value = placement == clip_placement::no_clip ? unclipped{}(token, rectified) : base(token, rectified);
      by_anchor = -pull * value.by_ratio;
      value.by_ratio *= push;
    }
    value.by_mass = by_mass == 0 ? 0 : by_anchor * by_mass;
    value.by_reference_likelihood = by_anchor * by_likelihood;
    return value;
  }

 private:
  static constexpr double log_mass_limit = -700;  // 1 / M would overflow: the mass is gone, and so is the pull
};

template <class S>
support_anchor(S) -> support_anchor<S>;
template <class S>
support_anchor(S, double, double) -> support_anchor<S>;
template <class S>
support_anchor(S, double, double, anchor_form, clip_placement) -> support_anchor<S>;

}  // namespace HONE_NAMESPACE::policy
