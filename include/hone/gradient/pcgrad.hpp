// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Methods that project one gradient on another. With f the forget and r the retain gradient of a group,
///   PCGrad, one-sided   forget (f - c r) + retain r,   c = min(0, <f, r>) / <r, r>
///   A-GEM               f - c r
///   BLUR                forget f + retain (r - b f),   b = <f, r> / <f, f>: forget first, whatever the sign
///   PCGrad, symmetric   sum_i p_i, each p_i = g_i projected on one g_j after the other:
///                       p_i <- p_i - min(0, <p_i, g_j>) / <g_j, g_j> g_j
/// [Yu et al. 2020, Gradient surgery for multi-task learning, arXiv 2001.06782, Alg. 1; Chaudhry et al. 2019, Efficient
/// lifelong learning with A-GEM, arXiv 1812.00420, Eq. 11; arXiv 2604.14808 and its code for the one-sided form, whose
/// condition, absent in the paper, is <f, r> < 0 in the code, and for BLUR].
///
/// Per tensor or for the whole model is the groups' business (`combine_options::groups`). The guarantee <g, r> >= 0
/// holds for each group. The authors' code adds 1e-10 to the denominator, which leaves the conflict in place once
/// |r| < 1e-5; `epsilon` is for parity with it, the default 0 divides whenever <r, r> is a normal number.
#pragma once
#include "hone/core/random.hpp"
#include "hone/gradient/tasks.hpp"

namespace HONE_NAMESPACE::gradient {

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

/// The order in which a method that goes from task to task meets the others: 0, 1, 2 …, or a permutation drawn afresh
/// for each task at each step, addressed by (seed, step): the same for every group, shard and executor.
struct task_order {
  bool random = false;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;

  /// The permutation in which task @p i meets the K tasks, itself among them.
  template <std::size_t K>
  [[nodiscard]] std::array<std::size_t, K> of(std::size_t i) const {
    std::array<std::size_t, K> order;
    for (std::size_t j = 0; j < K; ++j) order[j] = j;
    for (std::size_t last = K; random && last-- > 1;) {
      const double u = philox{seed}.uniform(step, static_cast<std::uint32_t>(i * K + last));
      const auto other = static_cast<std::size_t>(u * static_cast<double>(last + 1));
      const std::size_t moved = order[last];
      order[last] = order[other];
      order[other] = moved;
    }
    return order;
  }
};

/// Any number of tasks, all alike; the authors draw the order at random, which is `order.random`. Two tasks have one
/// order. Their code shuffles one list for all tasks, this and TorchJD, like the paper's Alg. 1, anew for each. Opposes
/// a task only as later projections undo earlier ones; never with two tasks. LibMTL adds an @c epsilon of 1e-8, TorchJD
/// none.
struct pcgrad_symmetric {
  task_order order{};
  double epsilon = 0;

  void check() const { detail::check_weight(epsilon, "hone::gradient::pcgrad_symmetric", "epsilon"); }
  template <std::size_t K>
  [[nodiscard]] std::array<double, K> weights(const gram_matrix<K>& g) const {
    std::array<double, K> total{};
    for (std::size_t i = 0; i < K; ++i) {
      std::array<double, K> w{};
      w[i] = 1;
      for (const std::size_t j : order.of<K>(i)) {
        const double along = j == i ? 0 : g.dot(j, w);
        if (along < 0) w[j] -= detail::projection_coefficient(along, g(j, j), epsilon);
      }
      for (std::size_t j = 0; j < K; ++j) total[j] += w[j];
    }
    return total;
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

}  // namespace HONE_NAMESPACE::gradient
