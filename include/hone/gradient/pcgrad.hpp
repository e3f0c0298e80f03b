// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Two-task methods that project one gradient on the other. With f the forget and r the retain gradient of a group,
///   PCGrad, one-sided   forget (f - c r) + retain r,   c = min(0, <f, r>) / <r, r>
///   A-GEM               f - c r
///   BLUR                forget f + retain (r - b f),   b = <f, r> / <f, f>: forget first, whatever the sign
/// [Yu et al. 2020, Gradient surgery for multi-task learning, arXiv 2001.06782, Alg. 1; Chaudhry et al. 2019, Efficient
/// lifelong learning with A-GEM, arXiv 1812.00420, Eq. 11; arXiv 2604.14808 and its code for the one-sided form, whose
/// condition, absent in the paper, is <f, r> < 0 in the code, and for BLUR].
///
/// Per tensor or for the whole model is the groups' business (`combine_options::groups`). The guarantee <g, r> >= 0
/// holds for each group. The authors' code adds 1e-10 to the denominator, which leaves the conflict in place once
/// |r| < 1e-5; `epsilon` is for parity with it, the default 0 divides whenever <r, r> is a normal number.
#pragma once
#include "hone/gradient/sago.hpp"

#include <limits>

namespace hone::gradient {

namespace detail {

/// numerator / (denominator + epsilon); 0 if the denominator is not a normal number or the quotient is not finite.
inline double projection_coefficient(double numerator, double denominator, double epsilon) {
  if (!(denominator >= (std::numeric_limits<double>::min)())) return 0;
  const double c = numerator / (denominator + epsilon);
  return std::isfinite(c) ? c : 0;
}

}  // namespace detail

struct pcgrad {
  double retain = 1;
  double forget = 1;
  double epsilon = 0;

  void check() const {
    detail::check_weight(retain, "hone::gradient::pcgrad", "retain");
    detail::check_weight(forget, "hone::gradient::pcgrad", "forget");
    detail::check_weight(epsilon, "hone::gradient::pcgrad", "epsilon");
  }
  [[nodiscard]] std::array<double, 2> weights(const gram_matrix<2>& g) const {
    const double c = g(0, 1) < 0 ? detail::projection_coefficient(g(0, 1), g(1, 1), epsilon) : 0;
    return {forget, retain - forget * c};
  }
};

struct a_gem {
  double epsilon = 0;

  void check() const { detail::check_weight(epsilon, "hone::gradient::a_gem", "epsilon"); }
  [[nodiscard]] std::array<double, 2> weights(const gram_matrix<2>& g) const {
    return pcgrad{.retain = 0, .forget = 1, .epsilon = epsilon}.weights(g);
  }
};

struct blur {
  double retain = 1;
  double forget = 1;
  double epsilon = 0;

  void check() const {
    detail::check_weight(retain, "hone::gradient::blur", "retain");
    detail::check_weight(forget, "hone::gradient::blur", "forget");
    detail::check_weight(epsilon, "hone::gradient::blur", "epsilon");
  }
  [[nodiscard]] std::array<double, 2> weights(const gram_matrix<2>& g) const {
    return {forget - retain * detail::projection_coefficient(g(0, 1), g(0, 0), epsilon), retain};
  }
};

}  // namespace hone::gradient
