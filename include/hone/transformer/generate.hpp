// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from the decoder, several sequences at a time, with a cache of keys and values. Every row is multiplied in an
/// order of its own: what a sequence says does not depend, to the bit, on the sequences beside it, on workers, or on
/// whether its prompt went in at once. Tokens that choose experts get all that they choose: no capacity drops one.
#pragma once
#include "hone/loss/sampling.hpp"
#include "hone/transformer/packed.hpp"

namespace HONE_NAMESPACE::transformer {

struct generation_options {
  index_t max_tokens = 256;                 ///< new ones; a sequence also ends where the model's max_seq is full
  std::span<const std::int32_t> stop = {};  ///< tokens that end a sequence; the one that did is not part of it
  loss::sampling_options sampling = {};
  std::uint32_t first_sequence = 0;  ///< the number of the first prompt, for its random draws
};

struct generated {
  std::vector<std::int32_t> tokens;       ///< without the prompt
  std::vector<double> log_probabilities;  ///< of each, as `sampled_token` says
  bool stopped = false;                   ///< by a stop token
};

/// Hears of no token.
struct no_listener {
  void operator()(index_t, std::int32_t) const {}
};

/// A decoder with a snapshot of its parameters, laid out for one row after another. Const functions may be called from
/// several threads.
template <class T>
class generator {
 public:
  /// @param model must outlive this; @param source its parameters, which are copied, 16-bit ones as they are.
  /// @throws std::invalid_argument as `frozen_parameters`. @note As much memory again as the source's parameters.
  template <parameter_source S>
  generator(const decoder<T>& model, const S& source) : generator(adapted_decoder<T>(model, source, {}), {}) {}
  /// Of parameters in one span, laid out by `tensor_table`.
  generator(const decoder<T>& model, std::span<const std::type_identity_t<T>> parameters)
      : generator(adapted_decoder<T>(model, parameters, {}), {}) {}
  /// The model with its adapter, as `packed_parameters` keeps both. Of @p model only the decoder must outlive this.
  generator(const adapted_decoder<T>& model, std::span<const std::type_identity_t<T>> adapter)
      : model_(&model.base()), parameters_(model, adapter) {}
  generator(const generator&) = delete;
  generator& operator=(const generator&) = delete;

  /// Goes on from every prompt. @param on_token on_token(sequence, token) as each is chosen, from the worker's thread.
  /// @throws std::invalid_argument, before anything runs, if a prompt is empty, longer than max_seq or has a token that
  ///         is not in the vocabulary, or an option is out of range; if the model is bidirectional, a critic, or its
  ///         experts choose their tokens. Later, as `sample_token`, if logits have no distribution.
  /// @note Bitwise for any executor and any grouping of the prompts. 2 flops a token and parameter, of experts those
  ///       that the token goes to; one sequence alone reads all of these for each token.
  template <executor E = const serial, class F = no_listener>
  [[nodiscard]] std::vector<generated> operator()(const batch& prompts, const generation_options& options = {},
                                                  E&& pool = serial{}, F&& on_token = {}) const {
    check(prompts, options);
    const index_t count = prompts.sequences();
    std::vector<generated> results(static_cast<std::size_t>(count));
    if (count == 0) return results;
    const auto share = [](index_t n, index_t parts) { return (n + parts - 1) / parts; };
    // As many parts for every worker.
    const index_t workers = pool.concurrency();
    const index_t parts = workers * share(share(count, sequences_together(prompts, options)), workers);
    const index_t together = share(count, parts);
    pool.parallel_for(share(count, together), index_t{1}, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i)
        run(prompts, i * together, (min)(count, (i + 1) * together), options, results, on_token);
    });
    return results;
  }

  /// Feeds @p tokens after what @p cache holds and writes the logits of the last @p logits.rows() of them.
  /// @param tap tap(layer, rows) as each hidden state of the tokens appears, as transformer/taps.hpp says: the same
  ///        bits however they were fed.
  /// @pre the cache has room; the tokens are in the vocabulary.
  template <layer_tap<T> Tap = no_tap>
  void feed(std::span<const std::int32_t> tokens, kv_cache<T>& cache, matrix_view<T> logits, Tap&& tap = {}) const {
    check_output(logits, "hone::transformer::generator::feed", "logits");
    std::vector<cached_row<T>> rows;
    for (const std::int32_t token : tokens) rows.push_back({token, cache.length++, &cache});
    const matrix_view<const T> hidden = pass(rows, tap);
    if constexpr (taps_something<Tap>) tap(model_->shape().n_layers + 1, matrix_view<const T>(normed(hidden)));
    classify({hidden.data() + (hidden.rows() - logits.rows()) * hidden.cols(), logits.rows(), hidden.cols()}, logits);
  }

 private:
  /// Memory of one thread's passes, kept between them.
  struct buffers {
    std::vector<T> x, normed, rms;
    std::vector<std::int32_t> tokens;
    typename attention_block<T>::row_memory attention;
    typename mlp_block<T>::row_memory mlp;
    typename expert_block<T>::row_memory experts;
  };
  static buffers& memory() {
    static thread_local buffers b;
    return b;
  }

  /// The residual stream after the last layer, for rows that each know their sequence; of one sequence in order.
  template <class Tap = const no_tap>
  matrix_view<const T> pass(std::span<const cached_row<T>> rows, Tap&& tap = {}) const {
    buffers& b = memory();
    const auto x = detail::sized(b.x, static_cast<index_t>(rows.size()), model_->shape().d_model);
    b.tokens.clear();
    for (const cached_row<T>& row : rows) b.tokens.push_back(row.token);
    parameters_.embed(b.tokens, x);
    tap(index_t{0}, matrix_view<const T>(x));
    for (index_t layer = 0; layer < model_->shape().n_layers; ++layer) {
      model_->attention(layer).forward_rows(parameters_, rows, x, b.attention);
      if (model_->shape().sparse(layer))
        model_->experts(layer).forward_rows(parameters_, x, b.experts);
      else
        model_->mlp(layer).forward_rows(parameters_, x, b.mlp);
      tap(layer + 1, matrix_view<const T>(x));
    }
    return x;
  }

  /// As many sequences as read about as much of their caches as of the weights they share: more would push each
  /// other's cache out of the processor's.
  [[nodiscard]] index_t sequences_together(const batch& prompts, const generation_options& options) const {
    const config& c = model_->shape();
    index_t longest = 1;
    for (index_t s = 0; s < prompts.sequences(); ++s) longest = (max)(longest, prompts.end(s) - prompts.begin(s));
    longest = (min)(longest, c.max_seq);
    longest += (min)(options.max_tokens, c.max_seq - longest);
    return std::clamp(model_->parameters() / (c.n_layers * c.kv_width() * longest), index_t{2 * tile_rows},
                      index_t{8 * tile_rows});
  }

  matrix_view<T> normed(matrix_view<const T> hidden) const {
    buffers& b = memory();
    const auto features = detail::sized(b.normed, hidden.rows(), hidden.cols());
    rmsnorm_forward<T>(hidden, parameters_.vector({role::final_norm}), model_->shape().norm_eps,
                       detail::sized(b.rms, hidden.rows(), 1).data(), features);
    return features;
  }

  void classify(matrix_view<const T> hidden, matrix_view<T> logits) const {
    parameters_.forward({role::wcls}, normed(hidden), logits);
  }

  template <class F>
  void run(const batch& prompts, index_t first, index_t last, const generation_options& options,
           std::vector<generated>& results, F& on_token) const {
    const config& c = model_->shape();
    std::vector<kv_cache<T>> caches;
    std::vector<index_t> active;  // sequences that go on; rows of logits and of `next` are in this order
    std::vector<cached_row<T>> next;
    std::vector<T> logit_memory;
    std::vector<std::pair<double, std::int32_t>> scratch;
    caches.reserve(static_cast<std::size_t>(last - first));
    const auto choose = [&](index_t s, const vector_view<T>& logits) {
      generated& result = results[static_cast<std::size_t>(s)];
      kv_cache<T>& cache = caches[static_cast<std::size_t>(s - first)];
      if (static_cast<index_t>(result.tokens.size()) == options.max_tokens) return;
      const auto [token, log_p] =
          loss::sample_token(logits, options.sampling, options.first_sequence + static_cast<std::uint32_t>(s),
                             static_cast<std::uint32_t>(cache.length), scratch);
      if (std::find(options.stop.begin(), options.stop.end(), token) != options.stop.end()) {
        result.stopped = true;
        return;
      }
      result.tokens.push_back(token);
      result.log_probabilities.push_back(log_p);
      on_token(s, token);
      if (static_cast<index_t>(result.tokens.size()) == options.max_tokens || cache.length == c.max_seq) return;
      active.push_back(s);
      next.push_back({token, cache.length++, &cache});
    };
    for (index_t s = first; s < last; ++s) {
      const index_t length = prompts.end(s) - prompts.begin(s);
      caches.emplace_back(c, length + (min)(options.max_tokens, c.max_seq - length));
      const auto logits = detail::sized(logit_memory, 1, c.vocab);
      feed(prompts.tokens.subspan(static_cast<std::size_t>(prompts.begin(s)), static_cast<std::size_t>(length)),
           caches.back(), logits);
      choose(s, logits.row(0));
    }
    while (!next.empty()) {
      const std::vector<cached_row<T>> rows = std::move(next);
      const std::vector<index_t> sequences = std::move(active);
      next.clear();
      active.clear();
      const auto logits = detail::sized(logit_memory, static_cast<index_t>(rows.size()), c.vocab);
      classify(pass(rows), logits);
      for (std::size_t i = 0; i < rows.size(); ++i) choose(sequences[i], logits.row(static_cast<index_t>(i)));
    }
  }

  void check(const batch& prompts, const generation_options& options) const {
    const char* function = "hone::transformer::generator";
    const config& c = model_->shape();
    loss::validate(options.sampling);
    invalid_argument_unless(c.causal, function, "model", "is bidirectional");
    invalid_argument_unless(c.experts.count == 0 || !moe::sees_the_future(expert_block<T>::row_router(c)), function,
                            "model", "has experts that choose among tokens to come");
    invalid_argument_unless(c.output_width() == c.vocab, function, "model", "has %td outputs, the vocabulary %td",
                            c.output_width(), c.vocab);
    invalid_argument_unless(options.max_tokens >= 0, function, "max_tokens", "must be at least 0, is %td",
                            options.max_tokens);
    invalid_argument_unless(
        !prompts.offsets.empty() && prompts.offsets.front() == 0 && prompts.offsets.back() == prompts.rows(), function,
        "prompts", "offsets must begin with 0 and end with the number of tokens, %td", prompts.rows());
    for (index_t s = 0; s < prompts.sequences(); ++s) {
      const index_t length = prompts.end(s) - prompts.begin(s);
      invalid_argument_unless(length >= 1 && length <= c.max_seq, function, "prompts",
                              "prompt %td has %td tokens, must have 1 to %td", s, length, c.max_seq);
    }
    for (const std::int32_t token : prompts.tokens)
      invalid_argument_unless(token >= 0 && token < c.vocab, function, "prompts", "token %d, the vocabulary has %td",
                              token, c.vocab);
  }

  const decoder<T>* model_;
  packed_parameters<T> parameters_;
};

}  // namespace HONE_NAMESPACE::transformer
