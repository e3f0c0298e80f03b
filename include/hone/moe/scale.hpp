// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Factors on the gates of a token with n experts that give the routed branch the norm of its shared experts where
/// logits are random: a[n] is the mean over draws z ~ N(0, I) of sqrt(shared) / ||q||_2, q the softmax of z over
///   expert choice   n experts, as chosen without regard to the token's other ones; a[0] = 1
///   token choice    the k best of all, made to sum to 1
/// [`--enable-scaling-factor` in the authors' code of arXiv 2604.01622; not in the paper]
///
/// The code draws from numpy's legacy generator, 10 000 times for each n; these are own draws, the same ones for all n.
/// To reproduce a run of the code, use the table in its cache.
#pragma once
#include "hone/core/random.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace HONE_NAMESPACE::moe {

struct scale_options {
  index_t shared = 1;  ///< experts that every token has, each as wide as a routed one
  index_t draws = 10000;
  std::uint64_t seed = 42;
};

namespace detail {

/// f(exp(z)) for each draw of z, one element an expert.
template <class F>
void for_each_draw(index_t experts, const scale_options& options, const char* function, F&& f) {
  invalid_argument_unless(experts >= 1, function, "experts", "must be at least 1, is %td", experts);
  invalid_argument_unless(options.shared >= 1, function, "shared",
                          "must be at least 1, is %td: there is no norm to be scaled to", options.shared);
  invalid_argument_unless(options.draws >= 1, function, "draws", "must be at least 1, is %td", options.draws);
  const philox random{options.seed};
  std::vector<double> power(static_cast<std::size_t>(experts));
  for (index_t draw = 0; draw < options.draws; ++draw) {
    for (index_t e = 0; e < experts; ++e)
      power[static_cast<std::size_t>(e)] = std::exp(random.normal(static_cast<std::uint64_t>(draw * experts + e)));
    f(power);
  }
}

}  // namespace detail

/// a[0 … experts] for expert choice.
/// @throws std::invalid_argument unless experts, shared and draws are at least 1.
/// @note draws x experts normal variates; the same on every platform up to the last bits of std::exp.
inline std::vector<double> expert_choice_scales(index_t experts, const scale_options& options = {}) {
  std::vector<double> table(static_cast<std::size_t>((max)(experts, index_t{0})) + 1);
  detail::for_each_draw(experts, options, "hone::moe::expert_choice_scales", [&](const std::vector<double>& power) {
    double sum = 0, squares = 0;
    for (std::size_t e = 0; e < power.size(); ++e) {
      sum += power[e];
      squares += power[e] * power[e];
      table[e + 1] += sum / std::sqrt(squares);
    }
  });
  for (double& a : table) a *= std::sqrt(static_cast<double>(options.shared)) / static_cast<double>(options.draws);
  table[0] = 1;
  return table;
}

/// The factor of every token for token choice of @p per_token of @p experts (all, if that is more).
/// @throws std::invalid_argument as above, and unless @p per_token is at least 1.
inline double token_choice_scale(index_t experts, index_t per_token, const scale_options& options = {}) {
  const char* function = "hone::moe::token_choice_scale";
  invalid_argument_unless(per_token >= 1, function, "per_token", "must be at least 1, is %td", per_token);
  const index_t k = (min)(per_token, experts);
  double total = 0;
  detail::for_each_draw(experts, options, function, [&](std::vector<double>& power) {
    std::partial_sort(power.begin(), power.begin() + k, power.end(), [](double x, double y) { return x > y; });
    double sum = 0, squares = 0;
    for (index_t i = 0; i < k; ++i) {
      const double p = power[static_cast<std::size_t>(i)];
      sum += p;
      squares += p * p;
    }
    total += sum / std::sqrt(squares);
  });
  return std::sqrt(static_cast<double>(options.shared)) * total / static_cast<double>(options.draws);
}

}  // namespace HONE_NAMESPACE::moe
