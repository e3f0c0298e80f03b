// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Advantages and losses of 1 Mi tokens in 2048 responses (1 Mi rewards in groups of 8), double, against an in-place
/// update y <- y + a x of as many bytes. `bench/peers/policy_torch.py` has the same inputs, and compares the values.
#include "hone/core/thread_pool.hpp"
#include "hone/policy/advantage.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/gae.hpp"
#include "hone/policy/objective.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;
using namespace hone::policy;

constexpr std::size_t tokens = 1 << 20, length = 512, group = 8;

double spread_over(std::size_t t, std::size_t factor, std::size_t modulus) {
  return static_cast<double>(t * factor % modulus) - static_cast<double>(modulus / 2);
}

struct inputs {
  thread_pool pool;
  std::vector<index_t> offsets, groups;
  std::vector<double> log_p, old, reference, advantage, log_mass, reference_mass, reward, value, out, returns, x, y;
  std::vector<loss::row_terms> terms = std::vector<loss::row_terms>(tokens);

  inputs() {
    for (std::size_t t = 0; t <= tokens; t += length) offsets.push_back(static_cast<index_t>(t));
    for (std::size_t t = 0; t <= tokens; t += group) groups.push_back(static_cast<index_t>(t));
    for (std::size_t t = 0; t < tokens; ++t) {
      log_p.push_back(-1.1 + 0.001 * spread_over(t, 7919, 2003));
      old.push_back(log_p[t] + 0.0005 * spread_over(t, 104729, 1009));
      reference.push_back(log_p[t] + 0.0005 * spread_over(t, 1299709, 1013));
      advantage.push_back(spread_over(t / length, 31, 17) / 8);
      reference_mass.push_back(0.5 + 0.0004 * spread_over(t, 7919, 997));
      log_mass.push_back(std::log(reference_mass[t]) + 0.001 * spread_over(t, 104729, 991));
      reward.push_back(0.1 * spread_over(t, 7919, 11));
      value.push_back(0.001 * spread_over(t, 7919, 1009));
    }
    out.resize(tokens);
    returns.resize(tokens);
  }
  /// Times @p body against an update of as many bytes; its result goes to the peer's comparison.
  void run(benchmark::State& state, double bytes_a_token, auto&& body) {
    const auto bytes = bytes_a_token * static_cast<double>(tokens);
    x.assign(static_cast<std::size_t>(bytes / 24), 1.0);
    y = x;
    double result = 0;
    against_roof(state, bytes, [&] { result = body(); }, [&] { axpy(0.1, x, y, pool); });
    state.counters["value"] = result;
  }
  template <class Objective>
  void loss(benchmark::State& state, double read, const Objective& f) {
    const token_batch batch{.offsets = offsets,
                            .log_probability = log_p,
                            .old = old,
                            .advantage = advantage,
                            .reference = reference,
                            .log_mass = log_mass,
                            .reference_mass = reference_mass};
    const auto mode = token_mean(count(offsets));
    run(state, 8 * read + sizeof(loss::row_terms),
        [&] { return policy_loss(f, batch, mode, {terms}, pool).sum / mode.denominator; });
  }
  /// A number that every element has a part in.
  [[nodiscard]] double signature(const std::vector<double>& a) const {
    double sum = 0;
    for (std::size_t t = 0; t < tokens; ++t) sum += a[t] * (static_cast<double>(t % 7) - 3);
    return sum;
  }
};

void group_advantages_grpo(benchmark::State& state) {
  inputs i;
  i.run(state, 16, [&] {
    group_advantages(grpo{}, i.reward, i.groups, i.out, i.pool);
    return 0.0;
  });
  state.counters["value"] = i.signature(i.out);
}

void generalised_advantages(benchmark::State& state) {
  inputs i;
  i.run(state, 32, [&] {
    gae(i.reward, i.value, i.offsets, {}, i.out, i.returns, {}, i.pool);
    return 0.0;
  });
  state.counters["value"] = i.signature(i.out);
}

void whitening(benchmark::State& state) {
  inputs i;
  i.out = i.reward;
  i.run(state, 32, [&] {
    whiten(i.out, {}, 1e-8, false, i.pool);
    return 0.0;
  });
  i.out = i.reward;
  whiten(i.out, {}, 1e-8, false, i.pool);
  state.counters["value"] = i.signature(i.out);
}

void ppo(benchmark::State& state) {
  inputs i;
  i.loss(state, 3, objective{token_ratio{}, ppo_clip{.dual = 3}});
}
void ppo_with_kl(benchmark::State& state) {
  inputs i;
  i.loss(state, 4, objective{token_ratio{}, ppo_clip{.dual = 3}, kl_penalty{.coefficient = 0.04}});
}
void anchored_ppo(benchmark::State& state) {
  inputs i;
  i.loss(state, 5, objective{token_ratio{}, support_anchor{ppo_clip{.dual = 3}}});
}
void sequence_ppo(benchmark::State& state) {
  inputs i;
  i.loss(state, 3, objective{geometric_ratio{}, ppo_clip{.low = 3e-4, .high = 4e-4}});
}

BENCHMARK(group_advantages_grpo)->UseManualTime()->MinTime(0.5);
BENCHMARK(generalised_advantages)->UseManualTime()->MinTime(0.5);
BENCHMARK(whitening)->UseManualTime()->MinTime(0.5);
BENCHMARK(ppo)->UseManualTime()->MinTime(0.5);
BENCHMARK(ppo_with_kl)->UseManualTime()->MinTime(0.5);
BENCHMARK(anchored_ppo)->UseManualTime()->MinTime(0.5);
BENCHMARK(sequence_ppo)->UseManualTime()->MinTime(0.5);

}  // namespace
