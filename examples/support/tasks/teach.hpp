// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The model that is made for a task, and its supervised start: traces.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/transformer/learner.hpp"
#include "support/tasks/task.hpp"

namespace tasks {

using namespace hone;

/// A policy, or a critic's decoder.
using network = transformer::learner<float>;
inline constexpr transformer::learner_options network_options{.rows = 128};

/// @throws std::runtime_error unless the gradient of an update, of this length, is finite.
inline void require_finite(double length) {
  if (!std::isfinite(length)) throw std::runtime_error("the gradient of an update is not finite");
}

/// The model that is made for @p t.
inline transformer::config shape_for(const task& t, index_t width, index_t layers, index_t heads) {
  return {.d_model = width,
          .d_ff = (std::max)(width * 8 / 3 / 4 * 4, index_t{4}),
          .n_layers = layers,
          .n_heads = heads,
          .n_kv_heads = heads,
          .vocab = t.vocab(),
          .max_seq = t.longest_prompt() + t.longest_response(),
          .tie_embeddings = false,
          .rope = transformer::rope_layout::half};
}

struct teaching {
  long steps = 600;
  index_t batch = 64;  ///< traces of a step
  double rate = 3e-3;  ///< falls to a tenth
  std::uint64_t seed = 0;
};

/// Trains @p net on traces of problems that come once, until Ctrl-C. @param title of the bar.
inline void teach(network& net, const task& t, const teaching& how, const std::string& title, thread_pool& pool) {
  const gradient::schedule schedule{
      .steps = how.steps, .warmup = (std::min)(20L, how.steps), .shape = gradient::decay::cosine, .floor = 0.1};
  program::progress bar(title, how.steps);
  for (long step = 1; step <= how.steps && !program::interrupted(); ++step) {
    transformer::labelled_rows rows;
    for (index_t i = 0; i < how.batch; ++i) {
      const auto number = static_cast<std::uint64_t>((step - 1) * how.batch + i);
      const problem p = t.draw(how.seed, number);
      rows.add(p.prompt, t.trace(p, how.seed, number));
    }
    const double scale = 1 / static_cast<double>(rows.label_count());
    const auto [loss, length] = net.learn(
        rows.batch(),
        [&](transformer::microbatch<float>& part) {
          return loss::likelihood(part.activations.logits(), part.template rows_of<std::int32_t>(rows.targets),
                                  {.scale = scale});
        },
        {.rate = how.rate, .clip = 1, .schedule = schedule}, pool);
    require_finite(length);
    bar.step(step, program::text("loss %.3f", loss.mean()));
  }
}

}  // namespace tasks
