// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A whole run: a model that learns to say what was masked, watched on sequences that are held out.
#pragma once
#include <chrono>

#include "diffuse/steps.hpp"
#include "diffuse/table.hpp"

namespace diffuse {

class run {
 public:
  /// @param table whether lines are printed.
  run(const ground& g, const settings& s, thread_pool& pool, bool table)
      : ground_(g), settings_(s), pool_(pool), prints_(table), examiner_(g.text, settings_, g.mask),
        budget_(s.budget(g.text.length())), learner_(g.shape, g.parameters) {}
  run(const run&) = delete;
  run& operator=(const run&) = delete;

  [[nodiscard]] learner& model() { return learner_; }
  [[nodiscard]] progress_state& state() { return state_; }
  [[nodiscard]] const examiner& exam() const { return examiner_; }

  /// Steps until the last one, or Ctrl-C. @param options go to the checkpoint.
  void go(const nlohmann::json& options, const std::string& title) {
    if (state_.records.empty()) record();
    if (prints_) {
      print_header();
      for (const auto& r : state_.records) print_record(r);
    }
    program::progress bar(title, settings_.steps);
    while (state_.step < settings_.steps && !program::interrupted()) {
      const auto begin = std::chrono::steady_clock::now();
      take_step(learner_, ground_, settings_, budget_, state_, pool_);
      state_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      ++since_start_;
      if (state_.step % settings_.report_steps() == 0) {
        bar.clear();
        report();
      }
      if (bar.draws() || !prints_) bar.step(state_.step, program::text("loss %.3f", latest_loss()));
      if (settings_.checkpoint_every > 0 && state_.step % settings_.checkpoint_every == 0) save_checkpoint(options);
    }
    bar.clear();
    save_checkpoint(options);
    // After the checkpoint: a run that goes on from there has no record of its own where this one ended.
    if (state_.loss_steps > 0 && !program::interrupted()) report();
  }

  /// What the run comes to, of the model as it is.
  [[nodiscard]] nlohmann::json result() {
    const auto [losses, layers] = examiner_.examine(learner_, pool_);
    const diffusion::bound bound = examiner_.bound(learner_, pool_);
    nlohmann::json r = {{"config", describe(settings_)},
                        {"seed", settings_.seed},
                        {"loss", losses.all},
                        {"loss_by_ratio", losses.bins},
                        {"bound",
                         {{"nats_per_token", bound.nats_per_token},
                          {"standard_error", bound.standard_error},
                          {"perplexity", bound.perplexity()},
                          {"draws", bound.draws}}},
                        {"learning_efficiency", learning_efficiency(state_.records, settings_.steps)},
                        {"steps", state_.step},
                        {"slots_per_token", of_rows(state_.executed)},
                        {"padded_slots_per_token", of_rows(state_.padded)},
                        {"flops", state_.flops},
                        {"tokens_per_second", rate()},
                        {"counterfactual", examiner_.counterfactual(learner_, pool_)},
                        {"records", state_.records},
                        {"interrupted", program::interrupted()}};
    r.update(to_json(layers));
    if (const auto entropy = ground_.text.entropy_of(examiner_.clean())) r["entropy"] = *entropy;
    return r;
  }

 private:
  /// Slots of a layer that has experts, a row.
  [[nodiscard]] double of_rows(index_t sum) const {
    const transformer::config& c = learner_.shape();
    index_t layers = 0;
    for (index_t layer = 0; layer < c.n_layers; ++layer) layers += c.sparse(layer);
    const index_t rows = state_.step * settings_.batch * ground_.text.length();
    return rows == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(rows * layers);
  }
  [[nodiscard]] double rate() const {
    const index_t rows = since_start_ * settings_.batch * ground_.text.length();
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
    const auto [losses, layers] = examiner_.examine(learner_, pool_);
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
      write_checkpoint(settings_.checkpoint, options, ground_.text.fingerprint(), learner_, state_);
  }

  const ground& ground_;
  settings settings_;
  thread_pool& pool_;
  bool prints_;
  examiner examiner_;
  std::vector<index_t> budget_;
  learner learner_;
  progress_state state_;
  index_t since_start_ = 0;  ///< steps that state_.seconds is of
};

}  // namespace diffuse
