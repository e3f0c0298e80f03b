// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is trained, in one place: a decoder with its parameters, or with a low-rank adapter over them, the moments of
/// AdamW, the memory of a gradient, and, where a loss wants one, the model as it was (the reference).
///   learner<float> l(shape, initial_parameters<float>(shape, seed));
///   for (…) l.learn(rows.batch(), loss, {.rate = 1e-3, .clip = 1}, pool);
/// Several processes make one step together: each does its lanes of the same batch, and a callable of the caller's adds
/// up over them.
#pragma once
#include "hone/gradient/descend.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/labelled_rows.hpp"
#include "hone/transformer/trainer.hpp"

#include <optional>

namespace HONE_NAMESPACE::transformer {

/// The process alone: nothing is added.
struct no_sum {
  template <class X>
  void operator()(std::span<X>) const {}
};

/// Results depend on @c rows and @c lanes, not on the workers.
struct learner_options {
  index_t rows = 256;  ///< of a microbatch, or as many as the longest sequence has
  index_t lanes = 4;   ///< the most workers that can take part, in all processes together
  index_t part = 0;    ///< this process is number @c part
  index_t parts = 1;   ///< of so many, which all call the same functions with the same batches
};

/// What an update was like.
struct learner_update {
  loss::loss_sum loss;
  double length;  ///< of the gradient, before it was cut; if not finite, nothing was changed
};

/// What runs the model takes a forward pass (2 flops a parameter and row), with a gradient a backward pass too (4,
/// under an adapter 2), and gives the same bits for any executor. It throws std::invalid_argument if a sequence is
/// longer than the model's or a token is not in its vocabulary. Memory as large as the model is taken where it says so.
/// @tparam Sum sum(std::span<T>) and sum(std::span<double>): x <- the sum over the parts, in a tree that halves
///         (`distributed::sum_over_ranks`): a power of two of parts that divides the lanes has then the bits of one
///         process. Never called where there is one part.
template <class T, class Sum = no_sum>
class learner {
 public:
  /// @throws std::invalid_argument as `decoder` and `gradient_lanes`, or if the parameters do not fit the shape.
  explicit learner(const config& shape, std::vector<T> parameters, const learner_options& options = {}, Sum sum = {})
      : options_(options), sum_(std::move(sum)), model_(shape), lanes_(make_lanes(model_)),
        parameters_(std::move(parameters)), m_(parameters_.size()), v_(parameters_.size()) {
    invalid_argument_unless(static_cast<index_t>(parameters_.size()) == model_.parameters(),
                            "hone::transformer::learner", "parameters", "has %zu elements, the model has %td",
                            parameters_.size(), model_.parameters());
  }
  learner(const learner&) = delete;
  learner& operator=(const learner&) = delete;

  [[nodiscard]] const config& shape() const { return model_.shape(); }
  [[nodiscard]] const decoder<T>& model() const { return model_; }
  /// Of the decoder; under an adapter they are frozen.
  [[nodiscard]] const std::vector<T>& parameters() const { return parameters_; }
  /// What is trained: the adapter's parameters where there is one, else the decoder's.
  [[nodiscard]] std::span<T> trained() { return adapted_ ? adapter_ : parameters_; }
  /// The parameters of a plain decoder that says the same.
  [[nodiscard]] std::vector<T> merged() const { return adapted_ ? adapted_->merged(adapter_) : parameters_; }
  /// Steps since the moments were zero.
  [[nodiscard]] index_t updates() const { return updates_; }

  /// From here on @p adapter is trained, over @p parameters, which are frozen. The moments are zero again; the
  /// reference stays.
  /// @throws std::invalid_argument as `adapted_decoder`, or if the adapter does not fit its sites.
  void adapt(std::vector<T> parameters, std::vector<lora::site> sites, std::vector<T> adapter) {
    adapted_decoder<T> checked(model_, parameters, std::move(sites));
    invalid_argument_unless(static_cast<index_t>(adapter.size()) == checked.parameters(),
                            "hone::transformer::learner::adapt", "adapter", "has %zu elements, its sites %td",
                            adapter.size(), checked.parameters());
    parameters_ = std::move(parameters);  // the same memory: what was checked still sees it
    adapter_ = std::move(adapter);
    adapted_.emplace(std::move(checked));
    lanes_ = make_lanes(*adapted_);
    gradient_.clear();
    m_.resize(adapter_.size());
    v_.resize(adapter_.size());
    reset_moments();
  }

  /// Adds the gradient of @p loss over @p b, of what is trained, to @p g, and returns the loss: of all parts.
  /// @param loss loss(microbatch<T>&) -> loss_sum or nothing, as `accumulate_gradient`.
  /// @throws std::invalid_argument also if g has another size than `trained()`.
  /// @note With parts, one more gradient.
  template <class Loss, executor E = const serial>
  loss::loss_sum accumulate(const batch& b, Loss&& loss, std::span<T> g, E&& pool = serial{}) {
    const auto add_to = [&](std::span<T> sum) {
      return with_model([&](const auto& model, std::span<const T> parameters) {
        return accumulate_gradient(
            model, parameters, b, [&](microbatch<T>& part) { return sum_of(loss, part); }, lanes_, sum, pool);
      });
    };
    if (options_.parts == 1) return add_to(g);
    std::vector<T> share(g.size());
    const loss::loss_sum own = add_to(share);
    sum_(std::span<T>(share));
    axpy(T{1}, share, g, pool);
    double sums[] = {own.sum, static_cast<double>(own.count), static_cast<double>(own.nonfinite)};
    sum_(std::span<double>(sums));
    return {sums[0], static_cast<index_t>(sums[1]), static_cast<index_t>(sums[2])};
  }

  /// f(microbatch<T>&) -> loss_sum or nothing after the forward pass of every microbatch of @p b that is this part's;
  /// returns their sum, of this part alone.
  template <class F, executor E = const serial>
  loss::loss_sum evaluate(const batch& b, F&& f, E&& pool = serial{}) {
    return with_model(
        [&](const auto& model, std::span<const T> parameters) { return evaluate_with(model, parameters, b, f, pool); });
  }
  /// The same of a plain decoder with @p parameters, such as the reference.
  /// @throws std::invalid_argument also if they do not fit.
  template <class F, executor E = const serial>
  loss::loss_sum evaluate(std::span<const T> parameters, const batch& b, F&& f, E&& pool = serial{}) {
    return evaluate_with(model_, parameters, b, f, pool);
  }

  /// Adds the gradient of scale sum_s weight_s l_s to @p g, l_s the negative log-likelihood of the answer of sequence s
  /// of @p rows; returns the sum without the scale. @param weights (sequences), or none: all 1.
  /// @throws std::invalid_argument also if there is another number of weights.
  template <executor E = const serial>
  loss::loss_sum likelihood(const labelled_rows& rows, std::span<T> g, double scale,
                            std::span<const double> weights = {}, E&& pool = serial{}) {
    std::vector<double> of_rows(weights.empty() ? 0 : rows.tokens.size());
    if (!weights.empty()) loss::spread(weights, rows.offsets, of_rows);
    return accumulate(
        rows.batch(),
        [&](microbatch<T>& part) {
          loss::row_options options{.scale = scale};
          if (!of_rows.empty()) options.weights = part.template rows_of<double>(of_rows);
          return loss::likelihood(part.activations.logits(), part.template rows_of<std::int32_t>(rows.targets),
                                  options);
        },
        g, pool);
  }
  /// Adds the gradient of @p scale times a loss on whole answers to @p g, and returns the loss.
  /// @param loss loss(nll, slope) -> loss_sum, as `loss::npo` is: of the answers' `sequence_nll`, and where to leave
  ///        its derivatives.
  template <class Loss, executor E = const serial>
  loss::loss_sum accumulate_answers(const labelled_rows& rows, std::span<T> g, double scale, Loss&& loss,
                                    E&& pool = serial{}) {
    const std::vector<double> nll = sequence_nll(rows, pool);
    std::vector<double> slope(nll.size());
    const loss::loss_sum sum = loss(std::span<const double>(nll), std::span<double>(slope));
    likelihood(rows, g, scale, slope, pool);
    return sum;
  }
  /// The negative log-likelihood of each answer of @p rows, summed over its tokens; of all parts.
  template <executor E = const serial>
  [[nodiscard]] std::vector<double> sequence_nll(const labelled_rows& rows, E&& pool = serial{}) {
    return nll_of(rows, pool, [&](auto&& f) { evaluate(rows.batch(), f, pool); });
  }
  /// The same over the answers' tokens, in the mean.
  template <executor E = const serial>
  [[nodiscard]] std::vector<double> mean_nll(const labelled_rows& rows, E&& pool = serial{}) {
    std::vector<double> nll = sequence_nll(rows, pool);
    for (std::size_t s = 0; s < nll.size(); ++s) nll[s] /= static_cast<double>(rows.labels[s]);
    return nll;
  }
  /// `sequence_nll` by the reference. @throws std::invalid_argument also if there is none.
  template <executor E = const serial>
  [[nodiscard]] std::vector<double> reference_nll(const labelled_rows& rows, E&& pool = serial{}) {
    return nll_of(rows, pool, [&](auto&& f) { evaluate(std::span<const T>(reference_), rows.batch(), f, pool); });
  }

  /// From here on the model as it is now, an adapter merged, is the reference, a copy.
  void remember_reference() {
    reference_ = merged();
    reference_activations_.resize(static_cast<std::size_t>(lanes_.size()));
  }
  [[nodiscard]] const std::vector<T>& reference() const { return reference_; }
  /// The reference's activations on the rows of @p part, for a loss against them.
  /// @pre `remember_reference` was called, and by no other thread for a part of this lane meanwhile.
  workspace<T>& reference_of(const microbatch<T>& part) {
    auto& activations = reference_activations_[static_cast<std::size_t>(part.lane)];
    if (!activations) activations.emplace(shape(), lanes_.rows());
    model_.forward(reference_, part.tokens, *activations);
    return *activations;
  }

  /// x <- the sum over the parts, which all call this; where there is one, nothing.
  void sum_over_parts(std::span<double> x) {
    if (options_.parts > 1) sum_(x);
  }

  /// `gradient::descend` along @p g, step number updates() + 1. Returns the length of @p g. Biases of a router's
  /// selection, which have no gradient, stay as they are: no weight decay moves them.
  template <executor E = const serial>
  double step(std::span<const T> g, const gradient::step_options& how, E&& pool = serial{}) {
    std::vector<T> biases;
    for_each_selection_bias([&](std::span<T> b) { biases.insert(biases.end(), b.begin(), b.end()); });
    const double length = gradient::descend(trained(), std::span<T>(m_), std::span<T>(v_), g, updates_ + 1, how, pool);
    if (std::isfinite(length)) ++updates_;
    auto from = biases.begin();
    for_each_selection_bias([&](std::span<T> b) {
      std::copy_n(from, b.size(), b.begin());
      from += static_cast<std::ptrdiff_t>(b.size());
    });
    return length;
  }
  /// `accumulate` from zero, and a `step` along it.
  /// @note Holds a gradient of its own from the first call on.
  template <class Loss, executor E = const serial>
  learner_update learn(const batch& b, Loss&& loss, const gradient::step_options& how, E&& pool = serial{}) {
    gradient_.resize(trained().size());
    fill(gradient_, T{0}, pool);
    const loss::loss_sum sum = accumulate(b, loss, gradient_, pool);
    return {sum, step(gradient_, how, pool)};
  }
  /// Moments are zero again, and so is `updates()`; a pass over both.
  void reset_moments() {
    fill(m_, T{0});
    fill(v_, T{0});
    updates_ = 0;
  }

  /// What a later run needs to go on from here; the reference is empty where there is none.
  struct state {
    std::span<T> trained, m, v, reference;
    index_t& updates;
  };
  [[nodiscard]] state all() { return {trained(), m_, v_, reference_, updates_}; }

 private:
  template <class F>
  void for_each_selection_bias(F&& f) {
    if (adapted_ || !shape().experts.selection_bias) return;
    for (const tensor& t : model_.table())
      if (t.id.role == role::selection_bias) f(rows_of(parameters_, t.offset, t.size()));
  }
  template <class M>
  gradient_lanes<T> make_lanes(const M& model) const {
    return {model, (max)(shape().max_seq, options_.rows), options_.lanes, options_.part, options_.parts};
  }

  /// f(what is trained, its parameters)
  template <class F>
  loss::loss_sum with_model(F&& f) {
    return adapted_ ? f(*adapted_, std::span<const T>(adapter_)) : f(model_, std::span<const T>(parameters_));
  }
  template <class M, class F, executor E>
  loss::loss_sum evaluate_with(const M& model, std::span<const T> parameters, const batch& b, F& f, E& pool) {
    return transformer::evaluate(
        model, parameters, b, [&](microbatch<T>& part) { return sum_of(f, part); }, lanes_, pool);
  }
  template <class F>
  static loss::loss_sum sum_of(F& f, microbatch<T>& part) {
    if constexpr (std::is_void_v<decltype(f(part))>)
      return f(part), loss::loss_sum{};
    else
      return f(part);
  }

  template <class Evaluate, executor E>
  std::vector<double> nll_of(const labelled_rows& rows, E&, Evaluate&& run) {
    std::vector<double> nll(rows.labels.size());
    run([&](microbatch<T>& part) {
      loss::sequence_nll(part.activations.logits(), part.template rows_of<std::int32_t>(rows.targets),
                         part.tokens.offsets, rows_of(nll, part.first_sequence, part.tokens.sequences()));
    });
    sum_over_parts(nll);  // each sequence is one part's, and 0 elsewhere
    return nll;
  }

  learner_options options_;
  Sum sum_;
  decoder<T> model_;
  gradient_lanes<T> lanes_;
  std::vector<T> parameters_, adapter_, m_, v_, gradient_, reference_;
  std::optional<adapted_decoder<T>> adapted_;
  std::vector<std::optional<workspace<T>>> reference_activations_;
  index_t updates_ = 0;
};

}  // namespace HONE_NAMESPACE::transformer
