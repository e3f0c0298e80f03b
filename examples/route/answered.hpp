// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Two models that answer the tasks, the small one's hidden states while it reads the prompts, and who was right.
#pragma once
#include <set>

#include "hone/routing/chain.hpp"
#include "hone/routing/scores.hpp"
#include "hone/transformer/prompt_states.hpp"
#include "route/mixture.hpp"
#include "route/settings.hpp"
#include "route/streams.hpp"
#include "support/tasks/rollout.hpp"
#include "support/tasks/teach.hpp"

namespace route {

using tasks::network;

/// A small and a large model, taught the same traces, the large one more of them.
struct model_pair {
  std::unique_ptr<network> small, large;
};

/// Ctrl-C ends the teaching.
inline model_pair teach_pair(const mixture& t, const settings& s, thread_pool& pool) {
  const auto made = [&](index_t width, stream which, long steps, const char* name) {
    const transformer::config shape = tasks::shape_for(t, width, s.layers, s.heads);
    auto net = std::make_unique<network>(shape, transformer::initial_parameters<float>(shape, seed_of(s.seed, which)),
                                         tasks::network_options);
    tasks::teach(*net, t, {.steps = steps, .rate = s.teach_rate, .seed = seed_of(s.seed, stream::lessons)},
                 program::text("%s model, seed %llu", name, static_cast<unsigned long long>(s.seed)), pool);
    return net;
  };
  auto small = made(s.width, stream::small, s.steps, "small");
  return {std::move(small), made(s.large_width, stream::large, s.large_steps, "large")};
}

/// A score that takes no training, the higher the surer; made while the prompt is read unless it is of the answer.
struct free_score {
  const char* name;
  std::vector<double> of;
};

/// Prompts, their states in the small model, and how good either model's answer is.
struct answered {
  std::vector<float> states = {};  ///< prompts x layers x width
  index_t layers = 0, width = 0;
  std::vector<double> weak = {}, strong = {};
  std::vector<index_t> domain_of = {};
  std::vector<free_score> free_scores = {};

  [[nodiscard]] std::size_t size() const { return weak.size(); }
  [[nodiscard]] routing::states_view<const float> view() const {
    return {states.data(), std::ssize(weak), layers, width};
  }
};

/// @p count problems of each domain, or of those that routers are trained on, whose prompts are not among @p seen, to
/// which they are added. @throws std::runtime_error where a domain has no more.
inline std::vector<problem> draw_domains(const mixture& t, std::uint64_t seed, index_t count, bool all,
                                         std::set<std::vector<std::int32_t>>& seen) {
  std::vector<problem> result;
  for (std::size_t d = 0; d < domains().size(); ++d) {
    if (!all && !domains()[d].in_domain) continue;
    index_t found = 0;
    for (std::uint64_t number = 0; found < count; ++number) {
      program::require(number < 20 * static_cast<std::uint64_t>(count),
                       "%s has fewer prompts than --test and --prompts ask for", domains()[d].name);
      problem p = t.draw_of(d, seed, number);
      if (!seen.insert(p.prompt).second) continue;
      result.push_back(std::move(p));
      ++found;
    }
  }
  return result;
}

/// Either model answers each of @p problems by its likeliest tokens.
inline answered answer_all(const mixture& t, model_pair& models, const std::vector<problem>& problems,
                           const settings& s, thread_pool& pool) {
  network& net = *models.small;
  const transformer::token_rows prompts = tasks::prompts_of(problems);
  const std::size_t n = problems.size();
  answered all{.layers = net.shape().n_layers + 1, .width = net.shape().d_model};
  all.states.resize(n * static_cast<std::size_t>(all.layers * all.width));
  const index_t nonfinite =
      transformer::pool_states(net, prompts.batch(), s.pooled_tokens(), routing::last_state::after_norm,
                               {all.states.data(), std::ssize(problems), all.layers, all.width}, pool);
  program::require(nonfinite == 0, "%td elements of the small model's states are not finite", nonfinite);
  std::vector<routing::logit_scores> sure(n);
  net.evaluate(
      prompts.batch(),
      [&](transformer::microbatch<float>& part) {
        for (index_t i = 0; i < part.tokens.sequences(); ++i)
          sure[static_cast<std::size_t>(part.first_sequence + i)] =
              routing::score_logits(part.activations.logits().row(part.tokens.end(i) - 1));
      },
      pool);
  const auto answers = [&](network& of) {
    const transformer::generator<float> generate(of.model(), of.parameters());
    return tasks::draw_rollout(t, generate, problems, of.shape().max_seq, {.temperature = 0}, pool);
  };
  tasks::rollout own = answers(net);
  all.weak = own.rewards;
  all.strong = answers(*models.large).rewards;
  std::vector<double> answer = net.mean_nll(own.rows, pool), length(n), chain(n);
  std::vector<float> features(static_cast<std::size_t>(2 * s.layers));
  for (std::size_t i = 0; i < n; ++i) {
    all.domain_of.push_back(static_cast<index_t>(problems[i].hidden[0]));
    answer[i] = -answer[i];
    length[i] = -static_cast<double>(problems[i].prompt.size());
    routing::chain_features(all.view().sample(static_cast<index_t>(i)), features);
    chain[i] = routing::score_chain(features).mean;
  }
  const auto each = [&](double routing::logit_scores::* score) {
    std::vector<double> of;
    for (const routing::logit_scores& x : sure) of.push_back(x.*score);
    return of;
  };
  all.free_scores = {{"max probability", each(&routing::logit_scores::log_probability)},
                     {"entropy", each(&routing::logit_scores::negative_entropy)},
                     {"margin", each(&routing::logit_scores::logit_margin)},
                     {"top-10 variance", each(&routing::logit_scores::negative_variance)},
                     {"chain, untrained", std::move(chain)},
                     {"prompt length", std::move(length)},
                     {"answer's log p", std::move(answer)}};
  return all;
}

}  // namespace route
