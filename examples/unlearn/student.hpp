// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model that is taught lessons and made to forget some.
#pragma once
#include "hone/core/shuffler.hpp"
#include "hone/interop/eigen.hpp"
#include "hone/lora/convert.hpp"
#include "hone/transformer/adapter_start.hpp"
#include "support/program.hpp"
#include "unlearn/network.hpp"
#include "unlearn/settings.hpp"

namespace unlearn {

/// What is to be forgotten, kept, and was never taught.
struct curriculum {
  std::vector<encoded_pair> forget, retain, holdout;
  std::vector<std::vector<std::int32_t>> refusals;  ///< answers of idk and dpo, with the end of text
  io::pair_codec codec;

  /// The refusal to question @p k.
  [[nodiscard]] const std::vector<std::int32_t>& refusal_of(std::size_t k) const {
    return refusals[k % refusals.size()];
  }
  /// Tokens of an answer to be forgotten, on average.
  [[nodiscard]] double answer_length() const {
    return static_cast<double>(io::labelled_rows_of(forget).label_count()) / static_cast<double>(forget.size());
  }
};

/// The @p pairs of @p file as ids. @throws std::runtime_error, naming the file, as `io::encode_pairs`, and where a
/// question or an answer is empty.
inline std::vector<encoded_pair> encode_pairs(const std::vector<io::question_answer>& pairs, const std::string& file,
                                              const io::pair_codec& codec, index_t max_seq) try {
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (const auto& [what, text] : {std::pair("question", &pairs[i].question), std::pair("answer", &pairs[i].answer)})
      if (text->empty()) throw std::invalid_argument(program::text("pair %zu: the %s is empty", i + 1, what));
  return io::encode_pairs(pairs, codec, max_seq);
} catch (const std::invalid_argument& error) {
  throw std::runtime_error(file + ": " + program::reason_of(error));
}

/// One step's geometry and losses.
struct step_record {
  long step;
  loss::loss_sum forget, retain;
  gradient::combine_report<2> report;
  double rate;
  lora::orthogonal_loss orthogonal{};
  double forget_probability = -1, retain_probability = -1;  ///< only where the step was probed
};

inline nlohmann::json to_json(const std::vector<step_record>& records) {
  nlohmann::json steps = nlohmann::json::array();
  for (const step_record& r : records) {
    nlohmann::json& j = steps.emplace_back(nlohmann::json{{"step", r.step},
                                                          {"forget_loss", r.forget.mean()},
                                                          {"cosine", r.report.cosine(0, 1)},
                                                          {"cosine_forget", r.report.combined_cosine(0)},
                                                          {"cosine_retain", r.report.combined_cosine(1)},
                                                          {"conflict_share", r.report.conflict_share()},
                                                          {"norm_forget", std::sqrt(r.report.gram(0, 0))},
                                                          {"norm_retain", std::sqrt(r.report.gram(1, 1))},
                                                          {"rate", r.rate}});
    if (r.retain.count > 0) j["retain_loss"] = r.retain.mean();
    if (r.orthogonal.energy > 0) j["retain_overlap"] = r.orthogonal.overlap / r.orthogonal.energy;
    if (r.forget_probability >= 0) j["forget_probability"] = r.forget_probability;
    if (r.retain_probability >= 0) j["retain_probability"] = r.retain_probability;
  }
  return steps;
}

class student {
 public:
  student(const transformer::config& c, std::vector<float> parameters, const settings& s, processes& ranks)
      : settings_(s), net_(c, std::move(parameters), s.threads, ranks) {
    std::vector<index_t> offsets;
    for (const auto& t : net_.learner.model().table()) offsets.push_back(t.offset);
    train(std::move(offsets));
  }

  /// Of a plain model: an adapter is merged.
  [[nodiscard]] std::vector<float> parameters() const { return net_.learner.merged(); }
  [[nodiscard]] std::size_t trained_count() { return trained().size(); }
  [[nodiscard]] const transformer::adapter_start<float>& adapter() const { return adapter_; }
  /// The adapter for the model as it was: a base that was compensated takes twice the rank.
  [[nodiscard]] lora::adapter<float> plain_adapter() {
    if (!lora::find_start(settings_.adapter).compensates) return {adapter_.sites, copy_of_trained()};
    return lora::plain(std::span<const lora::site>(adapter_.sites), trained(), adapter_.initial);
  }
  [[nodiscard]] network& net() { return net_; }
  [[nodiscard]] knowledge::score examine(const std::vector<encoded_pair>& pairs, const io::pair_codec& codec) {
    return net_.examine(pairs, codec);
  }

  /// Supervised training on @p all until the mean probability of their answers reaches settings::learn_until.
  void learn(const std::vector<encoded_pair>& all) {
    net_.learner.reset_moments();
    const labelled_rows everything = io::labelled_rows_of(all);
    shuffler shuffled(all.size(), philox{settings_.seed, 1});
    const gradient::schedule schedule{.steps = settings_.learn_steps,
                                      .warmup = (std::min)(20L, settings_.learn_steps),
                                      .shape = gradient::decay::cosine,
                                      .floor = 0.1};
    program::progress bar("learn", settings_.learn_steps);
    double known = net_.probability(everything);
    for (long step = 1; step <= settings_.learn_steps && known < settings_.learn_until; ++step) {
      if (net_.interrupted()) break;
      labelled_rows batch;
      for (std::size_t i = 0; i < (std::min)(all.size(), std::size_t{32}); ++i)
        batch.add(everything, static_cast<index_t>(shuffled.next()));
      fill(f_, 0.0f, net_.pool);
      const auto loss = net_.likelihood(batch, f_, 1);
      require_finite(loss, "teaching", step);
      update(f_, settings_.learn_rate, schedule);
      if (step % 25 == 0 || step == settings_.learn_steps) known = net_.probability(everything);
      bar.step(step, program::text("loss %.3f  known %.2f", loss.mean(), known));
    }
  }

  /// Forgets, and returns what every step was like. Once the forgotten answers are no likelier than
  /// settings::stop_at, goes back along the line to the last probe until they are just that, and ends.
  std::vector<step_record> unlearn(const curriculum& c, const std::string& title) {
    net_.learner.reset_moments();
    net_.learner.remember_reference();
    if (settings_.adapts()) start_adapter(c);
    const labelled_rows forget_rows = io::labelled_rows_of(c.forget);
    // As many of the kept answers are followed as of the forgotten: the full scores come at the end.
    const labelled_rows retain_rows = io::labelled_rows_of(
        {c.retain.begin(),
         c.retain.begin() + static_cast<std::ptrdiff_t>((std::min)(c.forget.size(), c.retain.size()))});
    const std::vector<double> reference_nll = net_.sequence_nll(forget_rows);
    std::vector<float> direction(static_cast<std::size_t>(net_.learner.shape().d_model));
    loss::steering_direction(direction, philox{settings_.seed, 4});
    const loss_options constants{settings_.beta, settings_.delta, settings_.steering,
                                 settings_.layer_of(net_.learner.shape()), direction};
    const forget_loss loss_on_forget = program::find(objectives, settings_.objective).loss;
    const retain_loss loss_on_retain = program::find(anchors, settings_.retain_loss).loss;
    const combine_function combine = program::find(combinations, settings_.combine).combine;

    shuffler forget_order(c.forget.size(), philox{settings_.seed, 2});
    shuffler retain_order(c.retain.size(), philox{settings_.seed, 3});
    const gradient::schedule schedule{
        .steps = settings_.steps,
        .warmup = static_cast<index_t>(settings_.warmup * static_cast<double>(settings_.steps))};
    const double share = 1 / static_cast<double>(settings_.accumulation);
    std::vector<float> at_last_probe = copy_of_trained();
    std::vector<step_record> records;
    program::progress bar(title, settings_.steps);
    for (long step = 1; step <= settings_.steps && !net_.interrupted(); ++step) {
      step_record record{.step = step, .forget = {}, .retain = {}, .report = {}, .rate = 0};
      fill(f_, 0.0f, net_.pool);
      fill(r_, 0.0f, net_.pool);
      for (long a = 0; a < settings_.accumulation; ++a) {
        forget_batch batch;
        labelled_rows kept;
        for (long i = 0; i < settings_.batch; ++i) {
          const std::size_t k = forget_order.next();
          batch.answers.add(c.forget[k].prompt, c.forget[k].answer);
          batch.refusals.add(c.forget[k].prompt, c.refusal_of(k));
          batch.reference_nll.push_back(reference_nll[k]);
          const encoded_pair& keep = c.retain[retain_order.next()];
          kept.add(keep.prompt, keep.answer);
        }
        record.forget += loss_on_forget(net_, batch, constants, settings_.forget_weight * share, f_);
        if (settings_.retains())
          record.retain += loss_on_retain(net_, kept, constants, settings_.retain_weight * share, r_);
      }
      require_finite(record.forget, "forget", step);
      require_finite(record.retain, "retain", step);
      record.report = combine(f_, r_, tensors_, net_.pool);
      if (const index_t bad = record.report.nonfinite[0] + record.report.nonfinite[1]; bad > 0)
        throw std::runtime_error(program::text("the gradients of step %ld have %td non-finite elements", step, bad));
      if (settings_.orthogonal > 0)
        record.orthogonal = lora::add_orthogonal_loss(std::span<const lora::site>(adapter_.sites), trained(),
                                                      adapter_.bases, r_, {.lambda = settings_.orthogonal}, net_.pool);
      record.rate = settings_.rate * gradient::rate_factor(schedule, step);
      update(r_, settings_.rate, schedule);
      if (settings_.project)
        lora::project_out(std::span<const lora::site>(adapter_.sites), trained(), adapter_.bases, net_.pool);
      if (step % settings_.probe_every == 0 || step == settings_.steps) {
        record.forget_probability = net_.probability(forget_rows);
        record.retain_probability = net_.probability(retain_rows);
      }
      records.push_back(record);
      bar.step(step, program::text("forget %.2f retain %.2f cos %+.2f kept %+.2f", record.forget.mean(),
                                   record.retain.count > 0 ? record.retain.mean() : 0.0, record.report.cosine(0, 1),
                                   record.report.combined_cosine(1)));
      if (record.forget_probability < 0) continue;
      if (record.forget_probability <= settings_.stop_at) {
        go_back_towards(at_last_probe, forget_rows);
        break;
      }
      at_last_probe = copy_of_trained();
    }
    return records;
  }

 private:
  static void require_finite(const loss::loss_sum& loss, const char* what, long step) {
    if (loss.nonfinite > 0)
      throw std::runtime_error(program::text("the %s loss of step %ld is not finite", what, step));
  }

  void update(const std::vector<float>& g, double rate, const gradient::schedule& schedule) {
    const double length = net_.learner.step(
        g, {.rate = rate, .weight_decay = settings_.weight_decay, .clip = settings_.clip, .schedule = schedule},
        net_.pool);
    if (!std::isfinite(length)) throw std::runtime_error("the gradient of a step is not finite");
  }

  [[nodiscard]] std::span<float> trained() { return net_.learner.trained(); }
  [[nodiscard]] std::vector<float> copy_of_trained() { return {trained().begin(), trained().end()}; }
  /// Gradients of the size of what is trained, and the borders of its tensors.
  void train(std::vector<index_t> offsets) {
    f_.assign(trained().size(), 0);
    r_.assign(f_.size(), 0);
    tensors_ = std::move(offsets);
    tensors_.push_back(static_cast<index_t>(f_.size()));
  }

  /// Puts an adapter on every matrix of every layer, started on the lessons; what the model says stays as it is.
  void start_adapter(const curriculum& c) {
    using enum transformer::role;
    adapter_ = transformer::start_adapter(
        net_.learner,
        transformer::adapter_sites(net_.learner.shape(), {wq, wk, wv, wo, w1, w2, w3}, settings_.rank,
                                   lora::standard_scale(settings_.alpha, settings_.rank)),
        io::labelled_rows_of(c.forget), io::labelled_rows_of(c.retain), lora::find_start(settings_.adapter),
        {.basis = settings_.keeps_out() ? settings_.basis : 0,
         .project = settings_.project,
         .random = {settings_.seed, 100}},
        net_.pool);
    std::vector<index_t> offsets;
    for (const lora::site& s : adapter_.sites) offsets.push_back(s.offset);
    train(std::move(offsets));
  }

  /// Halves the way from @p start to here until the answers of @p rows are as likely as settings::stop_at, and no more.
  void go_back_towards(const std::vector<float>& start, const labelled_rows& rows) {
    const std::vector<float> end = copy_of_trained();
    double low = 0, high = 1;
    const auto go_to = [&](double way) {
      for (std::size_t i = 0; i < end.size(); ++i)
        trained()[i] = start[i] + static_cast<float>(way) * (end[i] - start[i]);
    };
    for (int halving = 0; halving < 10; ++halving) {
      const double middle = (low + high) / 2;
      go_to(middle);
      (net_.probability(rows) <= settings_.stop_at ? high : low) = middle;
    }
    go_to(high);
  }

  settings settings_;
  network net_;
  transformer::adapter_start<float> adapter_;
  std::vector<float> f_, r_;
  std::vector<index_t> tensors_;
};

}  // namespace unlearn
