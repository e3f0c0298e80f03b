// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from a masked-diffusion model: a canvas of a prompt and G masks, whose blocks of Lb masks are made tokens one
/// after the other, some masks a step, by an order of diffusion/sampler.hpp.
///
/// A pass is over the rows that a step needs, and only the masked ones of its block get logits. Where attention is
/// two-way over the canvas these are all rows; where it is causal over blocks (`config::block`) they are those from the
/// first block of the model's that may still change to the end of the step's: keys and values of what comes before
/// are kept, exactly. Every row is multiplied in an order of its own, and experts that choose do so within one canvas,
/// or one block of it: what a sequence says does not depend, to the bit, on the sequences beside it, on workers, or on
/// what was kept.
/// [Nie et al. 2025, LLaDA, arXiv 2502.09992; Sahoo et al. 2024, MDLM, arXiv 2406.07524; Arriola et al. 2025, Block
/// diffusion, arXiv 2503.09573; and their code. 2604.01622: capacities by the share of masks]
#pragma once
#include "hone/diffusion/sampler.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/transformer/packed.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// What experts that choose take of a pool (the canvas, or a block of a model that has blocks) by the ratio r of masks
/// among its tokens; what the router says where neither most nor budget is set.
/// @note In a pool of masks alone all rows are one row but for the rounding of attention. Which of them an expert takes
///       is the same in every run of one build, equal scores from the front (moe/select.hpp), and means nothing.
struct ratio_capacities {
  moe::schedule by = moe::schedule::constant;  ///< k(r) of `moe::experts_per_token`, floor(tokens k / experts) tokens
  index_t least = 0, most = 0;                 ///< experts a token
  double sigma = 0.22;                         ///< of the Gaussian schedules
  /// c_n of `moe::budget` for n = 1 ... tokens masks, of pools of as many tokens; n = 0 takes c_1.
  std::span<const index_t> budget = {};
};

struct denoise_options {
  index_t length = 0;  ///< G, tokens to be made of each prompt
  index_t block = 0;   ///< Lb, which divides G; 0: G
  /// Of all blocks together, as many for each: how the orders that take a number of masks, and ancestral ones, share
  /// these out. 0 of threshold and entropy bound, which take as many as they need.
  index_t steps = 0;
  diffusion::sampler sampler = {};
  /// Where the times of ancestral steps end that begin with 1; what is masked then takes its likeliest token, in a step
  /// more. 0: the last step leaves none.
  double last_time = 0;
  /// w of classifier-free guidance: with the logits u of a second pass, its prompt masked, u + (w + 1) (z - u).
  double guidance = 0;
  ratio_capacities capacities = {};
  std::uint32_t first_sequence = 0;  ///< the number of the first prompt, for its random draws
};

/// What a listener hears after each step.
struct denoise_step {
  index_t sequence, block, step;                   ///< step of the sequence, through all blocks
  index_t masked;                                  ///< places of the answer that are left
  std::span<const std::int32_t> answer;            ///< as it is now, masks included
  std::span<const diffusion::candidate> revealed;  ///< place: in the answer; best first
};

/// Hears of no step.
struct no_step_listener {
  bool operator()(const denoise_step&) const { return true; }
};

struct denoised {
  std::vector<std::int32_t> tokens;  ///< without the prompt; masks only where a listener stopped
  index_t steps = 0, passes = 0;     ///< a guided step has two passes, one in which nothing changed before it none
  index_t rows = 0, logit_rows = 0;  ///< rows that went through the layers, and those that got logits, of all passes
  index_t slot_count = 0;            ///< of rows at experts, of all layers and passes
  bool stopped = false;              ///< by the listener
};

/// A decoder that is not causal with a snapshot of its parameters, laid out for one row after another. Const functions
/// may be called from several threads.
template <class T>
class denoiser {
 public:
  /// @param model must outlive this; @param source its parameters, which are copied, 16-bit ones as they are.
  /// @throws std::invalid_argument as `frozen_parameters`; if the model is causal, a critic, or has no mask token.
  /// @note As much memory again as the source's parameters.
  template <parameter_source S>
  denoiser(const decoder<T>& model, const S& source) : denoiser(adapted_decoder<T>(model, source, {}), {}) {}
  /// Of parameters in one span, laid out by `tensor_table`.
  denoiser(const decoder<T>& model, std::span<const std::type_identity_t<T>> parameters)
      : denoiser(adapted_decoder<T>(model, parameters, {}), {}) {}
  /// The model with its adapter, as `packed_parameters` keeps both. Of @p model only the decoder must outlive this.
  denoiser(const adapted_decoder<T>& model, std::span<const std::type_identity_t<T>> adapter)
      : model_(&model.base()), parameters_((check_model(model.base().shape()), model), adapter) {}
  denoiser(const denoiser&) = delete;
  denoiser& operator=(const denoiser&) = delete;

  /// Makes length tokens after every prompt, which may be empty.
  /// @param on_step on_step(denoise_step) after each step of a sequence, from the worker's thread; false ends that
  ///        sequence.
  /// @throws std::invalid_argument, before anything runs, if a prompt has the mask or a token that is not in the
  ///         vocabulary, or is too long for max_seq; blocks do not divide the length, or their number the steps; steps
  ///         are asked of an order that takes what it needs, or none of another, or are too many for the times before
  ///         last_time; a time, the end token, a sampler's option (as `diffusion::validate`), guidance or capacity is
  ///         out of range; capacities are asked of experts that do not choose, or a budget is of pools of another
  ///         length, or where these are not all as long. Later, as `loss::sample_token`, if logits have no
  ///         distribution.
  /// @note Bitwise for any executor and any grouping of the prompts; one worker a sequence. A pass is 2 flops a row and
  ///       parameter, of experts those that the row goes to, and of the classifier only for masked rows of the block.
  ///       Keys, values and logits have their memory for the whole canvas from the start.
  template <executor E = const serial, class F = no_step_listener>
  [[nodiscard]] std::vector<denoised> operator()(const batch& prompts, const denoise_options& options,
                                                 E&& pool = serial{}, F&& on_step = {}) const {
    check(prompts, options);
    std::vector<denoised> results(static_cast<std::size_t>(prompts.sequences()));
    pool.parallel_for(prompts.sequences(), index_t{1}, [&](index_t first, index_t last) {
      for (index_t s = first; s < last; ++s) run(prompts, s, options, results[static_cast<std::size_t>(s)], on_step);
    });
    return results;
  }

  /// Logits (positions x vocab) of some positions of one canvas, by one pass over all of it: for samplers of one's own,
  /// and bounds on likelihood.
  /// @throws std::invalid_argument, before anything is written, if something does not fit, as above.
  void logits(std::span<const std::int32_t> canvas, std::span<const index_t> positions, matrix_view<T> out,
              const ratio_capacities& capacities = {}) const {
    const char* function = "hone::transformer::denoiser::logits";
    const config& c = shape();
    const auto n = static_cast<index_t>(canvas.size());
    invalid_argument_unless(n <= c.max_seq, function, "canvas", "has %td tokens, the model takes %td", n, c.max_seq);
    check_tokens(function, "canvas", canvas);
    const auto rows = static_cast<index_t>(positions.size());
    invalid_argument_unless(out.rows() == rows && (rows == 0 || (out.cols() == c.vocab && out.col_stride() == 1)),
                            function, "out", "is %td x %td, must be %td x %td with adjacent columns", out.rows(),
                            out.cols(), rows, c.vocab);
    check_output(out, function, "out");
    for (const index_t p : positions)
      invalid_argument_unless(p >= 0 && p < n, function, "positions", "%td, the canvas has %td", p, n);
    check_capacities(function, capacities);
    check_budget(function, capacities, n);
    if (positions.empty()) return;
    denoised counts;
    kv_cache<T> cache(c, n, false);
    classify(pass(canvas, 0, n, cache, capacities, counts), positions, out);
  }

 private:
  /// Memory of one thread's passes, kept between them.
  struct buffers {
    std::vector<T> x, picked, normed, rms;
    std::vector<index_t> pools, capacities;
    typename attention_block<T>::row_memory attention;
    typename mlp_block<T>::row_memory mlp;
    typename expert_block<T>::row_memory experts;
  };
  static buffers& memory() {
    static thread_local buffers b;
    return b;
  }
  /// What a pass reads, and what is kept of it: keys and values of positions [0, exact).
  struct sequence {
    std::vector<std::int32_t> tokens;
    kv_cache<T> cache;
    index_t exact = 0;
  };

  [[nodiscard]] const config& shape() const { return model_->shape(); }

  /// What experts that choose may take of a pool; -1: what the router says.
  [[nodiscard]] index_t capacity_of(std::span<const std::int32_t> pool, const ratio_capacities& o) const {
    const config& c = shape();
    const auto n = static_cast<index_t>(pool.size());
    const auto masked = static_cast<index_t>(std::count(pool.begin(), pool.end(), c.mask_token));
    if (!o.budget.empty()) return o.budget[static_cast<std::size_t>((max)(masked, index_t{1}) - 1)];
    const double ratio = static_cast<double>(masked) / static_cast<double>(n);
    return moe::capacity(n, moe::experts_per_token(o.by, ratio, o.least, o.most, o.sigma), c.experts.count);
  }

  /// The residual stream after the last layer at positions [first, end), of which first begins a block; the cache has
  /// those before.
  matrix_view<const T> pass(std::span<const std::int32_t> tokens, index_t first, index_t end, kv_cache<T>& cache,
                            const ratio_capacities& capacities, denoised& counts) const {
    buffers& b = memory();
    const config& c = shape();
    const auto part = [&](index_t from, index_t to) {
      return tokens.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
    };
    b.pools.assign(1, 0);
    b.capacities.clear();
    for (index_t t = first; c.experts.count > 0 && t < end;) {
      const index_t next = c.block > 0 ? block_end(c.block, t, end) : end;
      b.pools.push_back(next - first);
      if (capacities.most > 0 || !capacities.budget.empty())
        b.capacities.push_back(capacity_of(part(t, next), capacities));
      t = next;
    }
    const auto x = detail::sized(b.x, end - first, c.d_model);
    parameters_.embed(part(first, end), x);
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      model_->attention(layer).forward_rows(parameters_, cache, first, x, b.attention);
      if (c.sparse(layer)) {
        model_->experts(layer).forward_rows(parameters_, x, b.experts, b.pools, b.capacities);
        counts.slot_count += b.experts.plan.size();
      } else {
        model_->mlp(layer).forward_rows(parameters_, x, b.mlp);
      }
    }
    ++counts.passes;
    counts.rows += end - first;
    return x;
  }

  /// Logits of some rows of the residual stream.
  void classify(matrix_view<const T> hidden, std::span<const index_t> rows, matrix_view<T> logits) const {
    buffers& b = memory();
    const auto n = static_cast<index_t>(rows.size());
    const auto picked = detail::sized(b.picked, n, hidden.cols()), normed = detail::sized(b.normed, n, hidden.cols());
    for (index_t i = 0; i < n; ++i) copy(hidden.row(rows[static_cast<std::size_t>(i)]), picked.row(i));
    rmsnorm_forward<T>(picked, parameters_.vector({role::final_norm}), shape().norm_eps,
                       detail::sized(b.rms, n, 1).data(), normed);
    parameters_.forward({role::wcls}, normed, logits);
  }

  /// Logits of the places @p masked, by a pass over what may have changed before @p end. Nothing before @p settled
  /// changes after it.
  matrix_view<T> step_logits(sequence& of, index_t settled, index_t end, std::span<const index_t> masked,
                             std::vector<T>& logit_memory, const denoise_options& options, denoised& counts) const {
    const config& c = shape();
    end = c.block > 0 ? block_end(c.block, end - 1, static_cast<index_t>(of.tokens.size()))
                      : static_cast<index_t>(of.tokens.size());
    const auto hidden = pass(of.tokens, of.exact, end, of.cache, options.capacities, counts);
    std::vector<index_t> rows;
    for (const index_t p : masked) rows.push_back(p - of.exact);
    const auto logits = detail::sized(logit_memory, static_cast<index_t>(rows.size()), c.vocab);
    classify(hidden, rows, logits);
    counts.logit_rows += logits.rows();
    if (c.block > 0) of.exact = settled / c.block * c.block;
    return logits;
  }

  template <class F>
  void run(const batch& prompts, index_t s, const denoise_options& o, denoised& result, F& on_step) const {
    using diffusion::order;
    const config& c = shape();
    const index_t start = prompts.end(s) - prompts.begin(s), size = start + o.length;
    const index_t block = o.block > 0 ? o.block : o.length, blocks = o.length / block, steps = o.steps / blocks;
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(size), c.mask_token);
    const auto prompt = rows_of(prompts.tokens, prompts.begin(s), start);
    sequence unconditional{o.guidance != 0 ? tokens : std::vector<std::int32_t>(),
                           kv_cache<T>(c, o.guidance != 0 ? size : 0, c.block > 0)};
    std::copy(prompt.begin(), prompt.end(), tokens.begin());
    sequence conditional{std::move(tokens), kv_cache<T>(c, size, c.block > 0)};
    std::vector<T> logit_memory, unconditional_memory;
    detail::sized(logit_memory, block, c.vocab);
    if (o.guidance != 0) detail::sized(unconditional_memory, block, c.vocab);
    std::vector<index_t> masked;
    std::vector<std::int32_t> masks;
    std::vector<diffusion::candidate> candidates;
    const std::span<const std::int32_t> answer = std::span(conditional.tokens).subspan(static_cast<std::size_t>(start));
    index_t left = o.length;
    for (index_t i = 0; i < blocks && !result.stopped; ++i) {
      const index_t begin = start + i * block;
      masked.resize(static_cast<std::size_t>(block));
      for (index_t p = 0; p < block; ++p) masked[static_cast<std::size_t>(p)] = begin + p;
      bool changed = true;
      matrix_view<T> logits;
      for (index_t j = 0; !masked.empty() && !result.stopped; ++j) {
        diffusion::sampler how = o.sampler;
        diffusion::reveal_step at{.sequence = o.first_sequence + static_cast<std::uint32_t>(s),
                                  .step = static_cast<std::uint32_t>(result.steps),
                                  .positions = masked};
        if (how.by == order::ancestral) {
          const auto time = [&](index_t k) {
            return k == steps ? o.last_time
                              : 1 - (1 - o.last_time) * static_cast<double>(k) / static_cast<double>(steps);
          };
          if (j < steps) {
            at.from = time(j), at.to = time(j + 1);
          } else {  // what is left takes its likeliest
            how = {.by = order::confidence, .end_token = how.end_token};
            at.count = static_cast<index_t>(masked.size());
          }
        } else if (steps > 0) {
          at.count = diffusion::revealed_in_step(block, steps, j);
        }
        if (changed) {
          // Of the answer nothing before the first mask changes any more.
          const index_t settled = masked.front();
          logits = step_logits(conditional, settled, begin + block, masked, logit_memory, o, result);
          if (o.guidance != 0)
            diffusion::guide(
                logits, step_logits(unconditional, settled, begin + block, masked, unconditional_memory, o, result),
                o.guidance);
        }
        masks.assign(masked.size(), c.mask_token);
        const index_t revealed = diffusion::reveal(how, logits, masks, c.mask_token, at, candidates);
        candidates.resize(static_cast<std::size_t>(revealed));
        for (diffusion::candidate& found : candidates) {
          const auto p = static_cast<std::size_t>(masked[static_cast<std::size_t>(found.place)]);
          conditional.tokens[p] = found.token;
          if (o.guidance != 0) unconditional.tokens[p] = found.token;
          found.place = static_cast<index_t>(p) - start;
        }
        std::erase_if(masked,
                      [&](index_t p) { return conditional.tokens[static_cast<std::size_t>(p)] != c.mask_token; });
        changed = revealed > 0;
        left -= revealed;
        result.stopped = !on_step(denoise_step{s, i, result.steps++, left, answer, candidates});
      }
    }
    result.tokens.assign(answer.begin(), answer.end());
  }

  static void check_model(const config& c) {
    const char* function = "hone::transformer::denoiser";
    invalid_argument_unless(!c.causal, function, "model", "is causal: it goes on from a text, token by token");
    invalid_argument_unless(c.output_width() == c.vocab, function, "model", "has %td outputs, the vocabulary %td",
                            c.output_width(), c.vocab);
    invalid_argument_unless(c.mask_token >= 0, function, "model", "has no mask token");
  }
  void check_tokens(const char* function, const char* argument, std::span<const std::int32_t> tokens) const {
    for (const std::int32_t token : tokens)
      invalid_argument_unless(token >= 0 && token < shape().vocab, function, argument,
                              "token %d, the vocabulary has %td", token, shape().vocab);
  }
  void check_capacities(const char* function, const ratio_capacities& o) const {
    invalid_argument_unless(o.least >= 0 && o.least <= o.most, function, "capacities",
                            "least must be in [0, most], is %td of %td", o.least, o.most);
    moe::share(o.by, 0, o.sigma);
    if (o.most == 0 && o.budget.empty()) return;
    const expert_layers& e = shape().experts;
    invalid_argument_unless(e.count > 0 && e.router.chosen == moe::selection::column_top, function, "capacities",
                            "are of experts that choose, the model has none");
    invalid_argument_unless(o.most == 0 || o.budget.empty(), function, "capacities",
                            "come from a schedule or from a budget, not both");
    for (const index_t n : o.budget)
      invalid_argument_unless(n >= 0, function, "capacities", "of the budget, one is negative: %td", n);
  }
  /// The pools of a canvas of @p n tokens are as long as the budget says.
  void check_budget(const char* function, const ratio_capacities& o, index_t n) const {
    const auto length = static_cast<index_t>(o.budget.size());
    const index_t block = shape().block;
    const bool even = block == 0 || n <= block || n % block == 0;
    invalid_argument_unless(length == 0 || (even && length == (block > 0 ? (min)(block, n) : n)), function,
                            "capacities", "a budget for pools of %td tokens, of a canvas of %td", length, n);
  }

  void check(const batch& prompts, const denoise_options& o) const {
    using diffusion::order;
    const char* function = "hone::transformer::denoiser";
    const config& c = shape();
    diffusion::validate(o.sampler);
    invalid_argument_unless(o.length >= 1, function, "length", "must be at least 1, is %td", o.length);
    invalid_argument_unless(o.block >= 0 && (o.block == 0 || o.length % o.block == 0), function, "block",
                            "%td does not divide the length, %td", o.block, o.length);
    const index_t blocks = o.block > 0 ? o.length / o.block : 1;
    const bool as_needed = o.sampler.by == order::threshold || o.sampler.by == order::entropy_bound;
    invalid_argument_unless(!as_needed || o.steps == 0, function, "steps",
                            "must be 0 of an order that takes as many as it needs, is %td", o.steps);
    invalid_argument_unless(as_needed || o.steps >= 1, function, "steps", "must be at least 1, is %td", o.steps);
    invalid_argument_unless(o.steps % blocks == 0, function, "steps", "%td blocks do not divide %td steps", blocks,
                            o.steps);
    invalid_argument_unless(o.last_time >= 0 && o.last_time < 1, function, "last_time", "must be in [0, 1), is %g",
                            o.last_time);
    invalid_argument_unless(o.last_time == 0 || o.sampler.by == order::ancestral, function, "last_time",
                            "is of ancestral steps, is %g", o.last_time);
    invalid_argument_unless(o.sampler.by != order::ancestral ||
                                (1 - o.last_time) * static_cast<double>(blocks) > 1e-12 * static_cast<double>(o.steps),
                            function, "last_time", "%td steps have no times between 1 and %g", o.steps, o.last_time);
    invalid_argument_unless(
        o.sampler.end_token >= -1 && o.sampler.end_token < c.vocab && o.sampler.end_token != c.mask_token, function,
        "end_token", "must be -1 or one of %td tokens and not the mask, is %d", c.vocab, o.sampler.end_token);
    invalid_argument_unless(std::abs(o.guidance) < 1e300, function, "guidance", "must be finite, is %g", o.guidance);
    invalid_argument_unless(
        !prompts.offsets.empty() && prompts.offsets.front() == 0 && prompts.offsets.back() == prompts.rows(), function,
        "prompts", "offsets must begin with 0 and end with the number of tokens, %td", prompts.rows());
    invalid_argument_unless(prompts.capacities.empty(), function, "prompts", "have capacities: the options say which");
    check_tokens(function, "prompts", prompts.tokens);
    invalid_argument_unless(
        std::find(prompts.tokens.begin(), prompts.tokens.end(), c.mask_token) == prompts.tokens.end(), function,
        "prompts", "have the mask, %d", c.mask_token);
    check_capacities(function, o.capacities);
    for (index_t s = 0; s < prompts.sequences(); ++s) {
      const index_t n = prompts.end(s) - prompts.begin(s);
      invalid_argument_unless(n >= 0 && o.length <= c.max_seq && n <= c.max_seq - o.length, function, "prompts",
                              "prompt %td has %td tokens, with %td more the model takes %td", s, n, o.length,
                              c.max_seq);
      check_budget(function, o.capacities, n + o.length);
    }
  }

  const decoder<T>* model_;
  packed_parameters<T> parameters_;
};

}  // namespace HONE_NAMESPACE::transformer
