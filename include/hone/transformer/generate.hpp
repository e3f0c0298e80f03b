// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from the decoder, several sequences at a time, with a cache of keys and values. Weights and cache lie in
/// panels, and every row is multiplied in an order of its own: what a sequence says does not depend, to the bit, on the
/// sequences beside it, on workers, or on whether its prompt went in at once.
#pragma once
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/panel.hpp"
#include "hone/transformer/sampling.hpp"

namespace hone::transformer {

/// The keys and values of one sequence so far: keys by head and dimension, values by position, the heads side by side.
template <class T>
class kv_cache {
 public:
  kv_cache(const config& c, index_t capacity)
      : head_size_(c.head_size()), kv_heads_(c.n_kv_heads), capacity_(panels<T>::size(1, capacity)),
        memory_(static_cast<std::size_t>(c.n_layers * (kv_heads_ * key_size() + value_size()))) {}

  /// head_size x capacity
  [[nodiscard]] panels<T> keys(index_t layer, index_t kv_head) {
    return {layer_memory(layer) + kv_head * key_size(), head_size_, capacity_};
  }
  /// capacity x (kv_heads head_size)
  [[nodiscard]] panels<T> values(index_t layer) {
    return {layer_memory(layer) + kv_heads_ * key_size(), capacity_, kv_heads_ * head_size_};
  }
  /// Puts the key and value of @p position there.
  void put(index_t layer, index_t position, vector_view<const T> k, vector_view<const T> v) {
    constexpr index_t width = panels<T>::width;
    for (index_t head = 0; head < kv_heads_; ++head)
      for (index_t i = 0; i < head_size_; ++i)
        keys(layer, head).at(i, position / width * width)[position % width] = k[head * head_size_ + i];
    for (index_t i = 0; i < v.size(); ++i) values(layer).at(position, i / width * width)[i % width] = v[i];
  }

  index_t length = 0;

 private:
  [[nodiscard]] index_t key_size() const { return panels<T>::size(head_size_, capacity_); }
  [[nodiscard]] index_t value_size() const { return panels<T>::size(capacity_, kv_heads_ * head_size_); }
  T* layer_memory(index_t layer) { return memory_.data() + layer * (kv_heads_ * key_size() + value_size()); }

  index_t head_size_, kv_heads_, capacity_;
  std::vector<T> memory_;
};

struct generation_options {
  index_t max_tokens = 256;                 ///< new ones; a sequence also ends where the model's max_seq is full
  std::span<const std::int32_t> stop = {};  ///< tokens that end a sequence; the one that did is not part of it
  sampling_options sampling = {};
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
  /// @throws std::invalid_argument if the parameters do not fit. @note Copies them: about as much memory again.
  generator(const decoder<T>& model, std::span<const std::type_identity_t<T>> parameters)
      : model_(&model), parameters_(parameters.begin(), parameters.end()) {
    invalid_argument_unless(static_cast<index_t>(parameters.size()) == model.parameters(),
                            "hone::transformer::generator", "parameters", "has %zu numbers, the model has %td",
                            parameters.size(), model.parameters());
    const auto p = weights();
    const config& c = model.shape();
    const auto pack = [&](matrix_view<const T> w) {
      memory_.emplace_back(static_cast<std::size_t>(panels<T>::size(w.cols(), w.rows())));
      const panels<T> packed(memory_.back().data(), w.cols(), w.rows());
      packed.pack({w.data(), w.cols(), w.rows(), w.col_stride(), w.row_stride()});
      return packed;
    };
    using d = decoder<T>;
    for (index_t l = 0; l < c.n_layers; ++l)
      layers_.push_back({pack(p.matrix(d::wq, l)), pack(p.matrix(d::wk, l)), pack(p.matrix(d::wv, l)),
                         pack(p.matrix(d::wo, l)), pack(p.matrix(d::w1, l)), pack(p.matrix(d::w2, l)),
                         pack(p.matrix(d::w3, l))});
    classifier_.push_back(pack(p.matrix(d::wcls, 0)));
  }
  /// The model with the adapter merged into the snapshot: generation costs what it costs the base.
  generator(const adapted_decoder<T>& model, std::span<const std::type_identity_t<T>> adapter)
      : generator(model.base(), model.merged(adapter)) {}
  generator(const generator&) = delete;
  generator& operator=(const generator&) = delete;

  /// Goes on from every prompt. @param on_token on_token(sequence, token) as each is chosen, from the worker's thread.
  /// @throws std::invalid_argument, before anything runs, if a prompt is empty, longer than max_seq or has a token that
  ///         is not in the vocabulary, or an option is out of range; if the model is bidirectional or a
  ///         critic.
  /// @note Bitwise for any executor and any grouping of the prompts. 2 flops a parameter and token; one sequence alone
  ///       reads all weights for each token.
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

  /// Feeds @p tokens behind what @p cache holds and writes the logits of the last @p logits.rows() of them.
  /// @pre the cache has room; the tokens are in the vocabulary.
  void feed(std::span<const std::int32_t> tokens, kv_cache<T>& cache, matrix_view<T> logits) const {
    std::vector<row> rows;
    for (const std::int32_t token : tokens) rows.push_back({token, cache.length++, &cache});
    const matrix_view<const T> hidden = pass(rows);
    classify({hidden.data() + (hidden.rows() - logits.rows()) * hidden.cols(), logits.rows(), hidden.cols()}, logits);
  }

 private:
  struct layer_panels {
    panels<T> q, k, v, o, gate, down, up;
  };
  struct row {
    std::int32_t token;
    index_t position;
    kv_cache<T>* cache;
  };
  /// Memory of one thread's passes, kept between them.
  struct buffers {
    std::vector<T> x, normed, q, k, v, attended, gate, up, scores, rms;
  };
  static buffers& memory() {
    static thread_local buffers b;
    return b;
  }
  static matrix_view<T> sized(std::vector<T>& memory, index_t rows, index_t columns) {
    if (static_cast<index_t>(memory.size()) < rows * columns) memory.resize(static_cast<std::size_t>(rows * columns));
    return {memory.data(), rows, columns};
  }
  [[nodiscard]] auto weights() const { return model_->view(std::span<const T>(parameters_)); }

  /// The residual stream behind the last layer, for rows that each know their sequence; of one sequence in order.
  matrix_view<const T> pass(std::span<const row> rows) const {
    const config& c = model_->shape();
    const auto p = weights();
    using d = decoder<T>;
    const auto n = static_cast<index_t>(rows.size());
    buffers& b = memory();
    const auto x = sized(b.x, n, c.d_model), normed = sized(b.normed, n, c.d_model), q = sized(b.q, n, c.q_width());
    const auto k = sized(b.k, n, c.kv_width()), v = sized(b.v, n, c.kv_width());
    const auto attended = sized(b.attended, n, c.q_width()), gate = sized(b.gate, n, c.d_ff),
               up = sized(b.up, n, c.d_ff);
    const auto rms = sized(b.rms, n * c.n_heads, 1);
    const auto flat = [](const matrix_view<T>& m) { return vector_view<T>(m.data(), m.rows() * m.cols()); };
    const auto product = [&](role r, index_t layer, const matrix_view<T>& input, const panels<T>& w,
                             const matrix_view<T>& output) {
      multiply_rows<T>(input, w, output);
      if (const auto bias = p.bias(r, layer); bias.size() > 0)
        for (index_t t = 0; t < n; ++t) axpy(T{1}, bias, output.row(t));
    };
    const auto norm_heads = [&](role r, index_t layer, const matrix_view<T>& m) {
      const matrix_view<T> heads(m.data(), m.rows() * m.cols() / c.head_size(), c.head_size());
      rmsnorm_forward<T>(heads, p.vector(r, layer), c.norm_eps, rms.data(), heads);
    };
    for (index_t t = 0; t < n; ++t)
      copy(p.matrix(d::tok_emb, 0).row(rows[static_cast<std::size_t>(t)].token), x.row(t));
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      const layer_panels& w = layers_[static_cast<std::size_t>(layer)];
      rmsnorm_forward<T>(x, p.vector(d::att_norm, layer), c.norm_eps, rms.data(), normed);
      product(d::wq, layer, normed, w.q, q);
      product(d::wk, layer, normed, w.k, k);
      product(d::wv, layer, normed, w.v, v);
      if (c.qk_norm) {
        norm_heads(d::q_norm, layer, q);
        norm_heads(d::k_norm, layer, k);
      }
      for (index_t t = 0; t < n; ++t) {
        const row& r = rows[static_cast<std::size_t>(t)];
        model_->rotary().rotate({q.row(t).data(), 1, c.q_width()}, r.position, turn::forward);
        model_->rotary().rotate({k.row(t).data(), 1, c.kv_width()}, r.position, turn::forward);
        r.cache->put(layer, r.position, k.row(t), v.row(t));
      }
      for (index_t t = 0; t < n; ++t)
        attend(layer, rows[static_cast<std::size_t>(t)], q.row(t).data(), attended.row(t).data(), b.scores);
      product(d::wo, layer, attended, w.o, normed);
      axpy(T{1}, flat(normed), flat(x));
      rmsnorm_forward<T>(x, p.vector(d::ffn_norm, layer), c.norm_eps, rms.data(), normed);
      multiply_rows<T>(normed, w.gate, gate);
      multiply_rows<T>(normed, w.up, up);
      swiglu_forward<T>(flat(gate), flat(up), flat(gate));
      multiply_rows<T>(gate, w.down, normed);
      axpy(T{1}, flat(normed), flat(x));
    }
    return x;
  }

  /// All heads of one position, over the cache up to itself, as far back as the layer's window.
  void attend(index_t layer, const row& r, const T* q, T* out, std::vector<T>& memory) const {
    const config& c = model_->shape();
    const index_t size = c.head_size(), group = c.n_heads / c.n_kv_heads, keys = r.position + 1;
    const index_t window = c.window_of(layer), first = window > 0 ? (max)(keys - window, index_t{0}) : 0;
    const index_t stride = panels<T>::size(1, keys), begin = detail::pack_begin<T>(first);
    const auto scores = sized(memory, group, stride);
    using packs = simd::pack<T>;
    const packs scale(static_cast<T>(1 / std::sqrt(static_cast<double>(size))));
    for (index_t kv_head = 0; kv_head < c.n_kv_heads; ++kv_head) {
      const T* const heads = q + kv_head * group * size;
      const auto key_panels = r.cache->keys(layer, kv_head), value_panels = r.cache->values(layer);
      const index_t column = kv_head * size;
      for_each_tile_of_rows(0, group, [&]<int Rows>(index_t h, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
        for (index_t j = begin; j < keys; j += packs::lanes) {
          tile<T, Rows> sums;
          for (auto& sum : sums) sum = packs(0);
          multiply_tile(heads + h * size, size, 1, key_panels.at(0, j), size, sums);
          for (int i = 0; i < Rows; ++i) simd::store(&scores(h + i, j), sums[i]);
        }
      });
      for (index_t h = 0; h < group; ++h) {
        const auto s = scores.row(h);
        for (index_t i = begin; i < first; ++i) s[i] = -std::numeric_limits<T>::infinity();
        for (index_t i = keys; i < stride; ++i) s[i] = -std::numeric_limits<T>::infinity();
        detail::softmax_row(s.subvector(begin, stride - begin), scale);
      }
      for_each_tile_of_rows(0, group, [&]<int Rows>(index_t h, std::integral_constant<int, Rows>) HONE_INLINE_LAMBDA {
        for (index_t j = detail::pack_begin<T>(column); j < column + size; j += packs::lanes) {
          tile<T, Rows> sums;
          for (auto& sum : sums) sum = packs(0);
          multiply_tile<Rows <= 2   ? 4
                        : Rows == 3 ? 2
                                    : 1>(&scores(h, first), stride, 1, value_panels.at(first, j), keys - first, sums);
          const index_t from = (max)(j, column), to = (min)(j + packs::lanes, column + size);
          for (int i = 0; i < Rows; ++i) {
            T lanes[packs::lanes];  // those of a neighbouring head are left out
            simd::store(lanes, sums[i]);
            std::copy_n(lanes + (from - j), to - from, out + (kv_head * group + h + i) * size + (from - column));
          }
        }
      });
    }
  }

  /// As many sequences as read about as much of their caches as of the weights they share: more would drive each
  /// other's cache out of the processor's.
  [[nodiscard]] index_t sequences_together(const batch& prompts, const generation_options& options) const {
    const config& c = model_->shape();
    index_t longest = 1;
    for (index_t s = 0; s < prompts.sequences(); ++s) longest = (max)(longest, prompts.end(s) - prompts.begin(s));
    longest = (min)(longest + options.max_tokens, c.max_seq);
    return std::clamp(model_->parameters() / (c.n_layers * c.kv_width() * longest), index_t{2 * tile_rows},
                      index_t{8 * tile_rows});
  }

  void classify(matrix_view<const T> hidden, matrix_view<T> logits) const {
    buffers& b = memory();
    const auto normed = sized(b.normed, hidden.rows(), hidden.cols());
    rmsnorm_forward<T>(hidden, weights().vector(decoder<T>::final_norm, 0), model_->shape().norm_eps,
                       sized(b.rms, hidden.rows(), 1).data(), normed);
    multiply_rows<T>(normed, classifier_.front(), logits);
  }

  template <class F>
  void run(const batch& prompts, index_t first, index_t last, const generation_options& options,
           std::vector<generated>& results, F& on_token) const {
    const config& c = model_->shape();
    std::vector<kv_cache<T>> caches;
    std::vector<index_t> active;  // sequences that go on; rows of logits and of `next` are in this order
    std::vector<row> next;
    std::vector<T> logit_memory;
    std::vector<std::pair<double, std::int32_t>> scratch;
    caches.reserve(static_cast<std::size_t>(last - first));
    const auto choose = [&](index_t s, const vector_view<T>& logits) {
      generated& result = results[static_cast<std::size_t>(s)];
      kv_cache<T>& cache = caches[static_cast<std::size_t>(s - first)];
      if (static_cast<index_t>(result.tokens.size()) == options.max_tokens) return;
      const auto [token, log_p] =
          sample_token(logits, options.sampling, options.first_sequence + static_cast<std::uint32_t>(s),
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
      caches.emplace_back(c, (min)(c.max_seq, length + options.max_tokens));
      const auto logits = sized(logit_memory, 1, c.vocab);
      feed(prompts.tokens.subspan(static_cast<std::size_t>(prompts.begin(s)), static_cast<std::size_t>(length)),
           caches.back(), logits);
      choose(s, logits.row(0));
    }
    while (!next.empty()) {
      const std::vector<row> rows = std::move(next);
      const std::vector<index_t> sequences = std::move(active);
      next.clear();
      active.clear();
      const auto logits = sized(logit_memory, static_cast<index_t>(rows.size()), c.vocab);
      classify(pass(rows), logits);
      for (std::size_t i = 0; i < rows.size(); ++i) choose(sequences[i], logits.row(static_cast<index_t>(i)));
    }
  }

  void check(const batch& prompts, const generation_options& options) const {
    const char* function = "hone::transformer::generator";
    const config& c = model_->shape();
    validate(options.sampling);
    invalid_argument_unless(c.causal, function, "model", "is bidirectional");
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
  std::vector<T> parameters_;
  std::vector<std::vector<T>> memory_;
  std::vector<layer_panels> layers_;
  std::vector<panels<T>> classifier_;
};

}  // namespace hone::transformer
