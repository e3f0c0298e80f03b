// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model that is taught lessons and made to forget some: the loss on each side, one step of both, and the loop.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/loss/divergence.hpp"
#include "hone/loss/hinge.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/rmu.hpp"
#include "hone/transformer/schedule.hpp"
#include "support/knowledge.hpp"
#include "support/program.hpp"
#include "unlearn/settings.hpp"

namespace unlearn {

using namespace hone;
using lessons::lesson;
using transformer::microbatch;

/// What is to be forgotten, kept, and was never taught.
struct curriculum {
  std::vector<lesson> forget, retain, holdout;
  std::vector<std::vector<std::int32_t>> refusals;  ///< answers of idk and dpo, with the end of text
  lessons::codec codec;
};

/// One step's geometry and losses.
struct step_record {
  long step;
  loss::loss_sum forget, retain;
  gradient::combine_report<2> report;
  double forget_probability = -1, retain_probability = -1;  ///< only where the step was probed
};

inline nlohmann::json to_json(const step_record& r) {
  nlohmann::json j = {{"step", r.step},
                      {"forget_loss", r.forget.mean()},
                      {"cosine", r.report.cosine(0, 1)},
                      {"cosine_forget", r.report.combined_cosine(0)},
                      {"cosine_retain", r.report.combined_cosine(1)},
                      {"conflict_share", r.report.conflict_share()},
                      {"norm_forget", std::sqrt(r.report.gram(0, 0))},
                      {"norm_retain", std::sqrt(r.report.gram(1, 1))}};
  if (r.retain.count > 0) j["retain_loss"] = r.retain.mean();
  if (r.forget_probability >= 0) {
    j["forget_probability"] = r.forget_probability;
    j["retain_probability"] = r.retain_probability;
  }
  return j;
}

class student {
 public:
  student(const transformer::config& c, std::vector<float> parameters, const settings& s)
      : settings_(s), pool_(s.threads), model_(c), lanes_(model_, c.max_seq <= 256 ? 256 : c.max_seq),
        parameters_(std::move(parameters)), f_(parameters_.size()), r_(parameters_.size()), m_(parameters_.size()),
        v_(parameters_.size()) {
    for (const auto& t : transformer::tensor_table(c)) borders_.push_back(t.offset);
    borders_.push_back(model_.parameters());
  }

  [[nodiscard]] const std::vector<float>& parameters() const { return parameters_; }
  [[nodiscard]] const transformer::config& shape() const { return model_.shape(); }

  /// Supervised training on @p all until the mean probability of their answers reaches settings::learn_until; returns it.
  double learn(const std::vector<lesson>& all) {
    forget_moments();
    const lessons::rows everything = lessons::all_rows(all);
    lessons::shuffler shuffled(all.size(), philox{settings_.seed, 1});
    const transformer::schedule schedule{.steps = settings_.learn_steps, .warmup = (std::min)(20L, settings_.learn_steps),
                                         .shape = transformer::decay::cosine, .floor = 0.1};
    program::progress bar("learn", settings_.learn_steps);
    double known = 0;
    for (long step = 1; step <= settings_.learn_steps && !program::interrupted(); ++step) {
      lessons::rows batch;
      for (std::size_t i = 0; i < (std::min)(all.size(), std::size_t{32}); ++i) batch.add(all[shuffled.next()]);
      fill(f_, 0.0f, pool_);
      const auto loss = likelihood(batch, f_, 1);
      require_finite(loss, "teaching", step);
      update(f_, step, settings_.learn_rate * transformer::rate_factor(schedule, step));
      if (step % 50 == 0 || step == settings_.learn_steps) {
        known = knowledge::mean(knowledge::answer_probabilities(model_, parameters_, everything, lanes_, pool_));
        if (known >= settings_.learn_until) break;
      }
      bar.step(step, text("loss %.3f  known %.2f", loss.mean(), known));
    }
    return known;
  }

  /// Unlearns; records every step.
  std::vector<step_record> unlearn(const curriculum& c) {
    forget_moments();
    remember_reference(c);
    const lessons::rows forget_rows = lessons::all_rows(c.forget), retain_rows = lessons::all_rows(c.retain);
    lessons::shuffler forget_order(c.forget.size(), philox{settings_.seed, 2});
    lessons::shuffler retain_order(c.retain.size(), philox{settings_.seed, 3});
    const auto warmup = static_cast<index_t>(settings_.warmup * static_cast<double>(settings_.steps));
    const transformer::schedule schedule{.steps = settings_.steps, .warmup = warmup};
    std::vector<step_record> records;
    program::progress bar(settings_.combine, settings_.steps);
    for (long step = 1; step <= settings_.steps && !program::interrupted(); ++step) {
      step_record record{.step = step, .forget = {}, .retain = {}, .report = {}};
      fill(f_, 0.0f, pool_);
      fill(r_, 0.0f, pool_);
      for (long a = 0; a < settings_.accumulation; ++a) {
        std::vector<std::size_t> chosen;
        lessons::rows kept;
        for (long i = 0; i < settings_.batch; ++i) {
          chosen.push_back(forget_order.next());
          kept.add(c.retain[retain_order.next()]);
        }
        record.forget += forget_loss(c, chosen, f_, settings_.forget_weight / static_cast<double>(settings_.accumulation));
        if (settings_.objective != "grad_ascent")
          record.retain += retain_loss(kept, r_, settings_.retain_weight / static_cast<double>(settings_.accumulation));
      }
      require_finite(record.forget, "forget", step);
      require_finite(record.retain, "retain", step);
      record.report = combine();
      if (record.report.nonfinite[0] + record.report.nonfinite[1] > 0)
        throw std::runtime_error(text("the gradients of step %ld have %td non-finite elements", step,
                                      record.report.nonfinite[0] + record.report.nonfinite[1]));
      update(r_, step, settings_.rate * transformer::rate_factor(schedule, step));
      const bool last = step == settings_.steps;
      if (step % settings_.probe_every == 0 || last) {
        record.forget_probability = probability(forget_rows);
        record.retain_probability = probability(retain_rows);
      }
      records.push_back(record);
      bar.step(step, text("forget %.3f  retain %.3f  cos %+.2f", record.forget.mean(),
                          record.retain.count > 0 ? record.retain.mean() : 0.0, record.report.cosine(0, 1)));
      if (record.forget_probability >= 0 && record.forget_probability <= settings_.stop_at) break;
    }
    return records;
  }

  knowledge::score examine(const std::vector<lesson>& lessons, const lessons::codec& codec) {
    return knowledge::examine(model_, parameters_, lessons, codec, lanes_, pool_);
  }

 private:
  template <class... Args>
  static std::string text(const char* format, Args... args) {
    char buffer[160];
    std::snprintf(buffer, sizeof buffer, format, args...);
    return buffer;
  }

  static void require_finite(const loss::loss_sum& loss, const char* what, long step) {
    if (loss.nonfinite > 0) throw std::runtime_error(text("the %s loss of step %ld is not finite", what, step));
  }

  void forget_moments() {
    fill(m_, 0.0f);
    fill(v_, 0.0f);
  }

  double probability(const lessons::rows& r) {
    return knowledge::mean(knowledge::answer_probabilities(model_, parameters_, r, lanes_, pool_));
  }

  /// Clips @p g and takes an AdamW step along it.
  void update(const std::vector<float>& g, long step, double rate) {
    const double factor = transformer::clip_factor(std::sqrt(squared_norm(g, pool_)), settings_.clip);
    gradient::weighted_sum({factor}, gradient::tasks(g),
                           gradient::adamw(parameters_, m_, v_, step,
                                           {.learning_rate = rate, .weight_decay = settings_.weight_decay}),
                           pool_);
  }

  /// r_ <- the combination of f_ and r_.
  gradient::combine_report<2> combine() {
    const auto with = [&](const auto& method, bool by_tensor = false) {
      const std::span<const index_t> groups = by_tensor ? std::span<const index_t>(borders_) : std::span<const index_t>{};
      return gradient::combine(method, gradient::tasks(f_, r_), r_, {.groups = groups, .geometry = true}, pool_);
    };
    const std::string& name = settings_.combine;
    if (name == "pcgrad") return with(gradient::pcgrad{}, true);
    if (name == "pcgrad_global") return with(gradient::pcgrad{});
    if (name == "sago") return with(gradient::sago{});
    if (name == "sago_prefer_retain") return with(gradient::sago_prefer_retain{});
    if (name == "blur") return with(gradient::blur{}, true);
    if (name == "a_gem") return with(gradient::a_gem{});
    if (name == "mgda") return with(gradient::mgda{});
    if (name == "cagrad") return with(gradient::cagrad{});
    return with(gradient::sum{});
  }

  template <class Loss>
  loss::loss_sum accumulate(const lessons::rows& rows, std::vector<float>& gradient, Loss&& loss) {
    return transformer::accumulate_gradient(model_, parameters_, rows.batch(), loss, lanes_, gradient, pool_);
  }

  loss::loss_sum likelihood(const lessons::rows& rows, std::vector<float>& gradient, double weight) {
    const double scale = weight / static_cast<double>(rows.label_count());
    return accumulate(rows, gradient, [&](microbatch<float>& part) {
      return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets), {.scale = scale});
    });
  }

  /// The activations of the model before unlearning on the same rows.
  transformer::workspace<float>& reference_of(const microbatch<float>& part) {
    auto& w = reference_activations_[static_cast<std::size_t>(part.lane)];
    model_.forward(reference_, part.tokens, w);
    return w;
  }

  [[nodiscard]] index_t layer() const { return settings_.layer >= 0 ? settings_.layer : (model_.shape().n_layers + 1) / 2; }

  std::vector<double> sequence_nll(const lessons::rows& rows, std::span<const float> parameters) {
    std::vector<double> nll(rows.labels.size());
    transformer::evaluate(model_, parameters, rows.batch(), [&](microbatch<float>& part) {
      const auto own = std::span(nll).subspan(static_cast<std::size_t>(part.first_sequence),
                                              static_cast<std::size_t>(part.tokens.sequences()));
      return loss::sequence_nll(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets), part.tokens.offsets, own);
    }, lanes_, pool_);
    return nll;
  }

  void remember_reference(const curriculum& c) {
    reference_ = parameters_;
    reference_activations_.clear();
    for (index_t lane = 0; lane < lanes_.size(); ++lane) reference_activations_.emplace_back(model_.shape(), lanes_.rows());
    reference_nll_ = sequence_nll(lessons::all_rows(c.forget), reference_);
    direction_.resize(static_cast<std::size_t>(model_.shape().d_model));
    loss::steering_direction(direction_, philox{settings_.seed, 4});
  }

  [[nodiscard]] const std::vector<std::int32_t>& refusal(const curriculum& c, std::size_t i) const {
    return c.refusals[i % c.refusals.size()];
  }

  /// Rows weighted by dL/dN of their sequence: the second half of npo, simnpo and dpo.
  void accumulate_slopes(const lessons::rows& rows, std::span<const double> slope, std::vector<float>& gradient, double scale) {
    std::vector<double> weights(rows.tokens.size());
    loss::spread(slope, rows.offsets, weights);
    accumulate(rows, gradient, [&](microbatch<float>& part) {
      return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets),
                              {.scale = scale, .weights = part.rows_of<double>(weights)});
    });
  }

  /// The loss on the lessons @p chosen of c.forget; adds weight times the gradient of its mean.
  loss::loss_sum forget_loss(const curriculum& c, const std::vector<std::size_t>& chosen, std::vector<float>& gradient,
                             double weight) {
    const std::string& name = settings_.objective;
    lessons::rows rows;
    std::vector<double> reference;
    for (const std::size_t i : chosen) {
      rows.add(c.forget[i]);
      reference.push_back(reference_nll_[i]);
    }
    const double beta = settings_.beta_or_default();
    const double by_label = weight / static_cast<double>(rows.label_count());
    const double by_sequence = weight / static_cast<double>(chosen.size());

    if (name == "npo" || name == "simnpo") {
      const auto nll = sequence_nll(rows, parameters_);
      std::vector<double> slope(nll.size());
      const auto loss = name == "npo" ? loss::npo(nll, reference, slope, beta)
                                      : loss::simnpo(nll, rows.labels, slope, {.beta = beta, .delta = settings_.delta});
      accumulate_slopes(rows, slope, gradient, by_sequence);
      return loss;
    }
    if (name == "idk" || name == "dpo") {
      lessons::rows refusals;
      for (const std::size_t i : chosen) refusals.add(c.forget[i].prompt, refusal(c, i));
      if (name == "idk") return likelihood(refusals, gradient, weight);
      std::vector<double> slope(chosen.size());
      const auto loss = loss::dpo(sequence_nll(rows, parameters_), reference, sequence_nll(refusals, parameters_),
                                  sequence_nll(refusals, reference_), slope, beta);
      accumulate_slopes(rows, slope, gradient, by_sequence);
      accumulate_slopes(refusals, slope, gradient, -by_sequence);
      return loss;
    }
    return accumulate(rows, gradient, [&](microbatch<float>& part) {
      const auto targets = part.rows_of<std::int32_t>(rows.targets);
      const auto logits = part.activations.logits();
      const loss::row_options options{.scale = by_label};
      if (name == "ihl") return loss::inverted_hinge(logits, targets, options);
      if (name == "undial") return loss::undial(logits, reference_of(part).logits(), targets, beta, options);
      if (name == "wga") return loss::wga(logits, targets, beta, options);
      if (name == "satimp") return loss::satimp(logits, targets, {}, options);
      if (name == "rmu") {
        part.logits_have_gradient = false;
        return loss::rmu_forget(part.tap(layer()), targets, direction_, settings_.steering, options);
      }
      return loss::gradient_ascent(logits, targets, options);
    });
  }

  loss::loss_sum retain_loss(const lessons::rows& rows, std::vector<float>& gradient, double weight) {
    if (settings_.retain_loss == "nll") return likelihood(rows, gradient, weight);
    const loss::row_options options{.scale = weight / static_cast<double>(rows.label_count())};
    return accumulate(rows, gradient, [&](microbatch<float>& part) {
      const auto targets = part.rows_of<std::int32_t>(rows.targets);
      auto& reference = reference_of(part);
      if (settings_.retain_loss == "kl")
        return loss::kl_to_reference(part.activations.logits(), reference.logits(), targets, loss::kl_direction::forward, options);
      part.logits_have_gradient = false;
      return loss::rmu_retain(part.tap(layer()), reference.hidden(layer()), targets, options);
    });
  }

  settings settings_;
  thread_pool pool_;
  transformer::decoder<float> model_;
  transformer::gradient_lanes<float> lanes_;
  std::vector<float> parameters_, f_, r_, m_, v_;
  std::vector<index_t> borders_;
  std::vector<float> reference_, direction_;
  std::vector<transformer::workspace<float>> reference_activations_;
  std::vector<double> reference_nll_;
};

}  // namespace unlearn
