// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A whole run: a model that learns to say what was masked, watched on sequences that are held out. Routers that are to
/// be swapped are before its first step or, after a homotopy, within it.
#pragma once
#include <chrono>

#include "diffuse/setup.hpp"
#include "diffuse/steps.hpp"
#include "diffuse/table.hpp"

namespace diffuse {

class run {
 public:
  /// @param here must outlive this. @param table whether lines are printed. @param stored where it goes on from, or
  ///        none. @throws what `restore` throws.
  run(const setup& here, thread_pool& pool, bool table, const program::run_file* stored = nullptr)
      : here_(here), settings_(here.options()), pool_(pool), prints_(table),
        evaluator_(here.text(), settings_, here.shape().mask_token), budget_(settings_.budget(here.text().length())) {
    if (stored) state_ = progress_of(*stored);
    if (!settings_.retrofit.empty() && settings_.retrofit_care().homotopy) swap_at_ = settings_.steps / 4;
    if (leads()) {
      const transformer::config biased = transformer::with_selection_bias(here.shape());
      learner_.emplace(biased, transformer::with_selection_bias<float>(here.shape(), here.stored()));
      memory_.emplace(biased, settings_.batch * here.text().length());
    } else {
      learner_.emplace(here.trained_shape(), here.parameters());
    }
    if (stored)
      restore(*stored, *learner_);
    else if (!settings_.retrofit.empty() && !leads())
      measure_swap();
  }
  run(const run&) = delete;
  run& operator=(const run&) = delete;

  [[nodiscard]] learner& model() { return *learner_; }
  [[nodiscard]] const progress_state& state() const { return state_; }
  /// Why it ended before its last step; empty where it did not, or was interrupted.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// Whether it ended with its last step.
  [[nodiscard]] bool complete() const { return failure_.empty() && state_.step >= settings_.steps; }
  /// Whether tokens still choose, though experts are to.
  [[nodiscard]] bool leads() const { return state_.step < swap_at_; }

  /// Steps until the last one, Ctrl-C, or a gradient that is not finite. @param options go to the checkpoint.
  void go(const nlohmann::json& options, const std::string& title) {
    if (state_.records.empty()) record();
    if (prints_) {
      print_header();
      for (const auto& r : state_.records) print_record(r);
    }
    program::progress bar(title, settings_.steps);
    while (state_.step < settings_.steps && !program::interrupted()) {
      const auto begin = std::chrono::steady_clock::now();
      if (!step()) break;
      state_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      ++since_start_;
      if (state_.step % settings_.report_steps() == 0 || state_.step == swap_at_) {
        bar.clear();
        report();
      }
      if (bar.draws() || !prints_) bar.step(state_.step, program::text("loss %.3f", latest_loss()));
      if (settings_.checkpoint_every > 0 && state_.step % settings_.checkpoint_every == 0) save_checkpoint(options);
    }
    bar.clear();
    save_checkpoint(options);
    // After the checkpoint: a run that goes on from there has no record of its own where this one ended.
    if (state_.loss_steps > 0 && complete()) report();
  }

  /// What the run comes to, of the model as it is.
  [[nodiscard]] nlohmann::json result() {
    const auto [losses, layers] = evaluator_.evaluate(*learner_, pool_);
    const diffusion::bound bound = evaluator_.bound(*learner_, pool_);
    nlohmann::json r = so_far();
    r.update({{"loss", losses.all},
              {"loss_by_ratio", losses.bins},
              {"bound",
               {{"nats_per_token", bound.nats_per_token},
                {"standard_error", bound.standard_error},
                {"perplexity", bound.perplexity()},
                {"draws", bound.draws},
                {"nonfinite", bound.nonfinite}}},
              {"held_out", evaluator_.sequences()},
              {"learning_efficiency", learning_efficiency(state_.records, settings_.steps)},
              {"slots_per_token", of_rows(state_.executed)},
              {"padded_slots_per_token", of_rows(state_.padded)},
              {"flops", state_.flops},
              {"tokens_per_second", rate()},
              {"counterfactual", evaluator_.counterfactual(*learner_, pool_)}});
    r.update(to_json(layers));
    if (const auto entropy = here_.text().entropy_of(evaluator_.clean())) r["entropy"] = *entropy;
    if (state_.kl_at_swap) r["kl_at_swap"] = *state_.kl_at_swap;
    return r;
  }
  /// Without measuring anything more.
  [[nodiscard]] nlohmann::json so_far() const {
    nlohmann::json r = {{"config", describe(settings_)},
                        {"seed", settings_.seed},
                        {"steps", state_.step},
                        {"records", state_.records},
                        {"interrupted", failure_.empty() && !complete()}};
    if (!failure_.empty()) r["failure"] = failure_;
    return r;
  }

 private:
  /// False where the gradient is not finite: then all is as it was.
  bool step() {
    settings still = settings_;
    if (leads()) still.router = "token_choice";
    const auto rows =
        take_step(*learner_, here_.text(), still, leads() ? std::span<const index_t>() : budget_, state_, pool_);
    if (!rows) {
      failure_ = program::text("step %ld: the gradient is not finite; a lower --rate may help", state_.step + 1);
      return false;
    }
    if (!memory_) return true;
    transformer::set_homotopy_bias(learner_->model(), learner_->trained(), rows->batch(), *memory_,
                                   static_cast<double>(state_.step) / static_cast<double>(swap_at_));
    if (!leads()) swap();
    return true;
  }
  /// Experts choose from here on. What one ranks tokens by is the same with its bias and without; moments stay.
  void swap() {
    const auto all = learner_->all();
    const auto plain = [&](std::span<const float> x) {
      return transformer::without_selection_bias<float>(here_.shape(), x);
    };
    std::vector<float> parameters = plain(all.trained);
    const std::vector<float> m = plain(all.m), v = plain(all.v);
    const index_t updates = all.updates;
    memory_.reset();
    learner_.emplace(here_.trained_shape(), std::move(parameters));
    const auto now = learner_->all();
    std::copy(m.begin(), m.end(), now.m.begin());
    std::copy(v.begin(), v.end(), now.v.begin());
    now.updates = updates;
    measure_swap();
  }
  void measure_swap() {
    state_.kl_at_swap = divergence({here_.shape(), here_.stored()}, {learner_->shape(), learner_->parameters()},
                                   evaluator_.rows(), here_.text().length());
  }

  /// Slots of a layer that has experts, a row.
  [[nodiscard]] double of_rows(index_t sum) const {
    const transformer::config& c = learner_->shape();
    index_t layers = 0;
    for (index_t layer = 0; layer < c.n_layers; ++layer) layers += c.sparse(layer);
    const index_t rows = state_.step * settings_.batch * here_.text().length();
    return rows == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(rows * layers);
  }
  [[nodiscard]] double rate() const {
    const index_t rows = since_start_ * settings_.batch * here_.text().length();
    return state_.seconds > 0 ? static_cast<double>(rows) / state_.seconds : 0;
  }
  /// Of the steps since the last report, or up to it.
  [[nodiscard]] double latest_loss() const {
    return state_.loss_steps > 0 ? state_.loss / static_cast<double>(state_.loss_steps)
                                 : state_.records.back().at("train_loss").get<double>();
  }
  void report() {
    record();
    if (prints_) print_record(state_.records.back());
  }
  void record() {
    const auto [losses, layers] = evaluator_.evaluate(*learner_, pool_);
    nlohmann::json r = {
        {"step", state_.step},
        {"loss", losses.all},
        {"loss_by_ratio", losses.bins},
        {"train_loss", state_.loss_steps > 0 ? nlohmann::json(state_.loss / static_cast<double>(state_.loss_steps))
                                             : nlohmann::json()},
        {"slots_per_token", of_rows(state_.executed)},
        {"flops", state_.flops},
        {"tokens_per_second", rate()}};
    r.update(to_json(layers));
    state_.records.push_back(std::move(r));
    state_.loss = 0;
    state_.loss_steps = 0;
  }
  void save_checkpoint(const nlohmann::json& options) {
    if (!settings_.checkpoint.empty())
      write_checkpoint(settings_.checkpoint, options, here_.text().fingerprint(), *learner_, state_);
  }

  const setup& here_;
  settings settings_;
  thread_pool& pool_;
  bool prints_;
  evaluator evaluator_;
  std::vector<index_t> budget_;
  long swap_at_ = 0;  ///< the step after which routers are swapped
  std::optional<learner> learner_;
  std::optional<transformer::workspace<float>> memory_;  ///< of a homotopy, until the swap
  progress_state state_;
  std::string failure_;
  index_t since_start_ = 0;  ///< steps that state_.seconds is of
};

}  // namespace diffuse
