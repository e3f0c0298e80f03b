// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A whole run: a model that was taught the task's traces learns from rewards, watched on problems that are held out.
#pragma once
#include <ctime>

#include "reason/checkpoint.hpp"
#include "reason/table.hpp"
#include "support/files.hpp"
#include "support/program.hpp"

namespace reason {

/// A task, problems of it that nobody learns from, and the model that begins, before its supervised start.
struct ground {
  const task& of_training;
  std::vector<problem> held_out;
  transformer::config shape;
  std::vector<float> parameters;
};

/// The parameters after the supervised start.
inline std::vector<float> teach(const ground& g, const settings& s, thread_pool& pool) {
  const long steps = s.teaching_steps();
  if (steps == 0) return g.parameters;
  network net(g.shape, g.parameters, network_options);
  tasks::teach(net, g.of_training,
               {.steps = steps, .batch = s.sft_batch, .rate = s.sft_rate, .seed = seed_of(s.seed, stream::lessons)},
               program::text("traces, seed %llu", static_cast<unsigned long long>(s.seed)), pool);
  return net.parameters();
}

inline nlohmann::json to_json(const statistics::calibration& c) {
  return {{"brier", c.brier},
          {"calibration_error", c.expected_error},
          {"explained_variance", c.explained_variance},
          {"bias", c.bias}};
}

inline nlohmann::json to_json(const exam& e) {
  return {{"pass_1", e.pass_1},     {"pass_8", e.pass_8}, {"pass_all", e.pass_all},
          {"coverage", e.coverage}, {"solved", e.solved}, {"success_variance", e.success_variance},
          {"entropy", e.entropy},   {"kl", e.kl},         {"support_mass", e.support_mass},
          {"length", e.length}};
}

class run {
 public:
  /// @param parameters of the model that begins, which is the reference. @param table whether lines are printed.
  run(const ground& g, const settings& s, const std::vector<float>& parameters, thread_pool& pool, bool table)
      : ground_(g), settings_(s), pool_(pool), prints_(table),
        agent_(g.of_training, settings_, g.shape, parameters, pool) {}
  run(const run&) = delete;
  run& operator=(const run&) = delete;

  [[nodiscard]] agent& model() { return agent_; }
  [[nodiscard]] progress_state& state() { return state_; }
  [[nodiscard]] bool finished() const {
    return state_.step >= settings_.steps || (settings_.tokens > 0 && agent_.generated() >= settings_.tokens);
  }

  /// Whether it has been examined, without which there is nothing to compare it with.
  [[nodiscard]] bool begun() const { return !state_.records.empty(); }

  /// Steps until the run is finished, or Ctrl-C. @param options go to the checkpoint.
  void go(const nlohmann::json& options, const std::string& title) {
    if (state_.before.is_null())
      std::fprintf(stderr, "%s: examines the model first, on %zu problems with %td responses each\n", title.c_str(),
                   ground_.held_out.size(), settings_.samples);
    try {
      if (state_.before.is_null()) state_.before = full_exam(true);
      if (state_.records.empty()) record(true);
    } catch (const exam_stopped&) {
      return save_checkpoint(options);
    }
    if (prints_) {
      print_header();
      for (const auto& r : state_.records) print_record(r);
    }
    program::progress bar(title, settings_.steps);
    while (!finished() && !program::interrupted()) {
      const std::clock_t begin = std::clock();
      agent_.step(++state_.step, state_.seen);
      state_.cpu_seconds += static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      if (state_.step % settings_.report_steps() == 0) report();
      if (!prints_)
        bar.step(state_.step, program::text("pass@1 %.2f", state_.records.back().at("pass_1").get<double>()));
      if (settings_.checkpoint_every > 0 && state_.step % settings_.checkpoint_every == 0) save_checkpoint(options);
    }
    save_checkpoint(options);
    // After the checkpoint: a run that goes on from there has no record of its own where this one ended.
    if (state_.seen.steps > 0 && !program::interrupted()) report();
  }

  /// Of the policy as it is, with settings::samples responses a problem. @throws exam_stopped if it @p stops.
  [[nodiscard]] nlohmann::json full_exam(bool stops = false) {
    const exam e = probe(settings_.samples, stops);
    nlohmann::json j = to_json(e);
    if (auto* c = agent_.value()) j["critic"] = to_json(calibrate(logits_of(*c), e.success));
    return j;
  }

  void save_checkpoint(const nlohmann::json& options) {
    if (!settings_.checkpoint.empty()) write_checkpoint(settings_.checkpoint, options, agent_, state_);
  }

 private:
  exam probe(index_t samples, bool stops) {
    return examine(ground_.of_training, agent_.policy(), ground_.held_out,
                   {.samples = samples,
                    .temperature = settings_.temperature,
                    .seed = seed_of(settings_.seed, stream::held_out_drawing, static_cast<std::uint64_t>(state_.step)),
                    .stops = stops},
                   pool_);
  }

  /// Logits of the critic's success probabilities of the held-out problems.
  std::vector<double> logits_of(agent::critic& c) {
    std::vector<double> v = c.prompt_values(prompts_of(ground_.held_out), pool_);
    if (!c.of_prompts())
      for (double& x : v) x = logit_of_value(x);
    return v;
  }

  void report() {
    record();
    if (prints_) print_record(state_.records.back());
  }

  void record(bool stops = false) {
    const exam e = probe(settings_.probe_samples, stops);
    const step_sums& i = state_.seen;
    const auto mean = [&](double sum) { return i.steps > 0 ? nlohmann::json(sum / i.steps) : nlohmann::json(); };
    const auto share = [&](double part, double whole) {
      return whole > 0 ? nlohmann::json(part / whole) : nlohmann::json();
    };
    nlohmann::json r = to_json(e);
    r.update({{"step", state_.step},
              {"reward", mean(i.reward)},
              {"drawn_entropy", mean(i.entropy)},
              {"zero_variance", mean(i.zero_variance)},
              {"advantage_mean", mean(i.advantage_mean)},
              {"advantage_variance", mean(i.advantage_variance)},
              {"negative_active", share(i.negative_active, i.negative)},
              {"inactive", share(i.inactive, i.tokens)},
              {"generated", agent_.generated()},
              {"cpu_seconds", state_.cpu_seconds}});
    if (!i.value.empty()) r["critic"] = to_json(calibrate(i.value, i.outcome));
    state_.records.push_back(std::move(r));
    state_.seen = {};
  }

  const ground& ground_;
  settings settings_;
  thread_pool& pool_;
  bool prints_;
  agent agent_;
  progress_state state_;
};

}  // namespace reason
