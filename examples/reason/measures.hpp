// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a policy is worth on problems that it was not trained on.
#pragma once
#include "hone/transformer/policy_update.hpp"
#include "support/tasks/rollout.hpp"
#include "support/tasks/teach.hpp"

namespace reason {

using namespace hone;
using namespace tasks;
using transformer::microbatch;
using transformer::rows_of;

/// On drawn responses to held-out problems.
struct exam {
  double pass_1 = 0, pass_8 = 0, pass_all = 0;   ///< pass at k by the unbiased estimate, k = 1, 8, all samples
  double coverage = 0;                           ///< share of the solutions that there are, or of as many as samples
  double solved = 0;                             ///< problems with a right response
  double success_variance = 0;                   ///< mean of p (1 - p) over the problems, without bias
  double entropy = 0, kl = 0, support_mass = 0;  ///< means over tokens; KL to the reference (k3)
  double length = 0;                             ///< tokens of a response
  std::vector<double> success;                   ///< share of right responses to each problem
};

struct exam_options {
  index_t samples = 8;  ///< at least 8
  double temperature = 1;
  index_t width = 8;  ///< of the reference's support
  std::uint64_t seed = 0;
  bool stops = false;  ///< at the next problem once Ctrl-C was pressed
};

/// What `examine` throws where it stops.
struct exam_stopped {};

/// @pre @p net remembers its reference.
inline exam examine(const task& t, network& net, const std::vector<problem>& problems, const exam_options& how,
                    thread_pool& pool) {
  const transformer::generator<float> generate(net.model(), net.parameters());
  const auto draw = [&](const std::vector<problem>& of, std::size_t first) {
    return draw_rollout(t, generate, of, net.shape().max_seq,
                        {.group = how.samples,
                         .temperature = how.temperature,
                         .seed = how.seed,
                         .first = first * static_cast<std::uint64_t>(how.samples)},
                        pool);
  };
  rollout r;
  if (how.stops)
    for (std::size_t i = 0; i < problems.size(); ++i) {
      r.add(draw({problems[i]}, i), 0);
      if (program::interrupted()) throw exam_stopped{};
    }
  else
    r = draw(problems, 0);
  exam e;
  const auto n = static_cast<double>(how.samples);
  e.pass_1 = policy::mean_pass_at_k(r.rewards, r.groups, 1);
  e.pass_8 = policy::mean_pass_at_k(r.rewards, r.groups, 8);
  e.pass_all = policy::mean_pass_at_k(r.rewards, r.groups, how.samples);
  e.solved = policy::share_groups(r.rewards, r.groups).solved;
  std::vector<index_t> distinct(problems.size());
  policy::count_distinct(r.solutions, r.rewards, r.groups, distinct);
  for (std::size_t g = 0; g < problems.size(); ++g) {
    index_t right = 0;
    for (auto b = r.groups[g]; b < r.groups[g + 1]; ++b) right += r.rewards[static_cast<std::size_t>(b)] > 0.5;
    const double c = static_cast<double>(right);
    e.success.push_back(c / n);
    if (how.samples > 1) e.success_variance += c * (n - c) / (n * (n - 1));
    const double there = (std::min)(t.solutions(problems[g]), n);
    if (there > 0) e.coverage += (std::min)(1.0, static_cast<double>(distinct[g]) / there);
  }
  e.success_variance /= static_cast<double>(problems.size());
  e.coverage /= static_cast<double>(problems.size());
  e.length = static_cast<double>(r.tokens()) / static_cast<double>(r.count());

  const index_t width = (std::min)(how.width, t.vocab());
  const double temperature = how.temperature > 0 ? how.temperature : 1;
  const auto q = transformer::measure_reference(net, net.reference(), r.rows, width, true, temperature, pool);
  std::vector<double> log_p(r.rows.tokens.size()), entropy(log_p.size()), log_mass(log_p.size());
  net.evaluate(
      r.rows.batch(),
      [&](microbatch<float>& part) {
        const index_t first = part.first_row, rows = part.tokens.rows();
        policy::measure(part.activations.logits(), rows_of(r.rows.targets, first, rows), q.support(first, rows),
                        {.log_probability = rows_of(log_p, first, rows),
                         .entropy = rows_of(entropy, first, rows),
                         .log_mass = width > 0 ? rows_of(log_mass, first, rows) : std::span<double>()},
                        temperature);
      },
      pool);
  const auto mean = [&](const std::vector<double>& x, auto&& f) {
    return policy::mean_over_tokens(x, {}, r.rows.targets, f).all;
  };
  e.entropy = mean(entropy, [](double x) { return x; });
  e.support_mass = mean(log_mass, [](double x) { return std::exp(x); });
  for (std::size_t i = 0; i < log_p.size(); ++i)
    log_p[i] = policy::estimate_kl(policy::kl_estimator::k3, log_p[i], q.log_probability[i]).value;
  e.kl = mean(log_p, [](double x) { return x; });
  return e;
}

}  // namespace reason
