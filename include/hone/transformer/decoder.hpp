// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bundled Llama-style decoder: for each layer  x += Wo attention(rmsnorm(x)),  x += W2 swiglu(rmsnorm(x));  then
/// logits = E rmsnorm(x) with E the embedding or a classifier of its own. The backward pass starts from whatever
/// gradients the caller has, on logits and on hidden states of any layer: it knows no loss.
#pragma once
#include "hone/transformer/attention.hpp"
#include "hone/transformer/config.hpp"
#include "hone/transformer/feed_forward.hpp"
#include "hone/transformer/linear.hpp"
#include "hone/transformer/normalization.hpp"
#include "hone/transformer/rotary.hpp"

#include <span>

namespace hone::transformer {

/// Sequences of tokens, one behind the other: sequence s is tokens [offsets[s], offsets[s + 1]), its first at position 0.
struct batch {
  std::span<const std::int32_t> tokens;
  std::span<const index_t> offsets;

  [[nodiscard]] index_t rows() const { return static_cast<index_t>(tokens.size()); }
  [[nodiscard]] index_t sequences() const { return static_cast<index_t>(offsets.size()) - 1; }
  [[nodiscard]] index_t begin(index_t s) const { return offsets[static_cast<std::size_t>(s)]; }
  [[nodiscard]] index_t end(index_t s) const { return offsets[static_cast<std::size_t>(s) + 1]; }
};

/// Every activation of one batch, in one allocation: what `forward` leaves for `backward` and for the caller to read.
/// About n_layers (4 d + 2 kv + 2 d_ff) + vocab numbers a row, d = d_model.
template <class T>
class workspace {
 public:
  /// @param rows the most rows of a batch.
  workspace(const config& c, index_t rows) : config_((validate(c), c)), capacity_(rows) {
    invalid_argument_unless(rows > 0, "hone::transformer::workspace", "rows", "must be positive, is %td", rows);
    storage_.resize(carve(nullptr));
    carve(storage_.data());
  }
  workspace(workspace&&) noexcept = default;
  workspace& operator=(workspace&&) noexcept = default;

  [[nodiscard]] index_t capacity() const { return capacity_; }
  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] const config& shape() const { return config_; }

  /// Logits of the last batch (rows x vocab). A loss may leave its gradient here: `backward` takes it as it is.
  [[nodiscard]] matrix_view<T> logits() { return view(logits_, config_.vocab); }
  /// The residual stream that enters layer @p layer (rows x d_model); layer = n_layers is what the final norm reads.
  [[nodiscard]] matrix_view<T> hidden(index_t layer) {
    invalid_argument_unless(layer >= 0 && layer <= config_.n_layers, "hone::transformer::workspace::hidden", "layer",
                            "must be in [0, %td], is %td", config_.n_layers, layer);
    return view(hidden_[static_cast<std::size_t>(layer)], config_.d_model);
  }
  /// The final norm's output (rows x d_model), which the logits are made from.
  [[nodiscard]] matrix_view<T> features() { return view(features_, config_.d_model); }

 private:
  template <class>
  friend class decoder;

  struct layer_activations {
    T *q, *k, *v, *attended, *log_normalizers, *middle, *gate, *up, *att_rms, *ffn_rms;
  };

  /// Deals out @p base, or, without one, counts what there is to deal.
  index_t carve(T* base) {
    const config& c = config_;
    index_t used = 0;
    const auto take = [&](index_t columns) {
      T* slice = base == nullptr ? nullptr : base + used;
      constexpr index_t line = 64 / index_t{sizeof(T)};
      used += (capacity_ * columns + line - 1) / line * line;
      return slice;
    };
    hidden_.clear();
    layers_.clear();
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      hidden_.push_back(take(c.d_model));
      layers_.push_back({take(c.d_model), take(c.kv_width()), take(c.kv_width()), take(c.d_model), take(c.n_heads),
                         take(c.d_model), take(c.d_ff), take(c.d_ff), take(1), take(1)});
    }
    hidden_.push_back(take(c.d_model));
    final_rms_ = take(1);
    features_ = take(c.d_model);
    logits_ = take(c.vocab);
    for (T*& slice : wide_) slice = take(c.d_ff);
    for (T*& slice : narrow_) slice = take(c.d_model);
    for (T*& slice : kv_) slice = take(c.kv_width());
    const index_t longest = (min)(capacity_, c.max_seq);
    scratch_ = take(attention_scratch<T>(longest, c.head_size()) / capacity_ + 1);
    return used;
  }

  [[nodiscard]] matrix_view<T> view(T* data, index_t columns) const { return {data, rows_, columns}; }

  config config_;
  index_t capacity_;
  index_t rows_ = 0;
  Eigen::Matrix<T, Eigen::Dynamic, 1> storage_;
  std::vector<T*> hidden_;
  std::vector<layer_activations> layers_;
  T *final_rms_, *features_, *logits_;
  T *wide_[3], *narrow_[3], *kv_[2], *scratch_;  // scratch of both passes
};

/// A gradient of the caller's on the hidden states `workspace::hidden(layer)` (rows x d_model).
template <class T>
struct tap_gradient {
  index_t layer;
  matrix_view<const T> gradient;
};

/// The model without its weights: parameters come with every call, as one span laid out by `tensor_table`. Const and
/// free of state, so that any number of threads may share it, each with a workspace of its own.
template <class T>
class decoder {
 public:
  /// @throws std::invalid_argument as `validate`.
  explicit decoder(const config& c) : config_(c), rotary_((validate(c), c)) {
    for (const tensor& t : tensor_table(c)) {
      offsets_.push_back(t.offset);
      parameters_ = t.offset + t.size();
    }
  }

  [[nodiscard]] const config& shape() const { return config_; }
  [[nodiscard]] index_t parameters() const { return parameters_; }
  [[nodiscard]] const rotary_table<T>& rotary() const { return rotary_; }

  /// The kinds of tensors in the order of `tensor_table`, which lists every layer of one before the next.
  enum kind { att_norm, wq, wk, wv, wo, ffn_norm, w1, w2, w3, final_norm };

  /// Named views of a buffer laid out by `tensor_table`.
  template <class U>
  struct tensors {
    const decoder& d;
    U* data;

    [[nodiscard]] matrix_view<U> embedding() const { return {data, d.config_.vocab, d.config_.d_model}; }
    [[nodiscard]] matrix_view<U> classifier() const {
      return d.config_.tie_embeddings ? embedding()
                                      : matrix_view<U>{data + d.offsets_.back(), d.config_.vocab, d.config_.d_model};
    }
    [[nodiscard]] vector_view<U> vector(kind k, index_t layer) const { return {at(k, layer), d.config_.d_model}; }
    [[nodiscard]] matrix_view<U> matrix(kind k, index_t layer) const {
      const config& c = d.config_;
      const index_t rows = k == wk || k == wv ? c.kv_width() : k == w1 || k == w3 ? c.d_ff : c.d_model;
      return {at(k, layer), rows, k == w2 ? c.d_ff : c.d_model};
    }
    [[nodiscard]] U* at(kind k, index_t layer) const {
      return data + d.offsets_[static_cast<std::size_t>(1 + index_t{k} * d.config_.n_layers + layer)];
    }
  };
  /// @pre @p buffer has parameters() numbers.
  template <class U>
  [[nodiscard]] tensors<U> view(std::span<U> buffer) const {
    return {*this, buffer.data()};
  }

  /// Fills @p w: logits, hidden states, and what `backward` needs.
  /// @throws std::invalid_argument, before anything is written, if the parameters or the workspace do not fit, a
  ///         sequence is longer than max_seq, or a token is not in the vocabulary.
  /// @note About 2 flops a parameter and row. Deterministic; the bits of a row may depend on the other rows of its
  ///       batch through the blocking of the matrix products. Single-threaded.
  void forward(std::span<const T> parameters, const batch& b, workspace<T>& w) const {
    check("hone::transformer::decoder::forward", parameters.size(), b, w);
    const config& c = config_;
    w.rows_ = b.rows();
    const auto p = view(parameters);
    const auto x0 = w.hidden(0);
    for (index_t t = 0; t < b.rows(); ++t)
      copy(p.embedding().row(b.tokens[static_cast<std::size_t>(t)]), x0.row(t));

    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      const auto& a = w.layers_[static_cast<std::size_t>(layer)];
      const auto x = w.hidden(layer), next = w.hidden(layer + 1);
      const auto normed = w.view(w.narrow_[0], c.d_model);
      const auto q = w.view(a.q, c.d_model), k = w.view(a.k, c.kv_width()), v = w.view(a.v, c.kv_width());
      rmsnorm_forward<T>(x, p.vector(att_norm, layer), c.norm_eps, a.att_rms, normed);
      linear_forward<T>(normed, p.matrix(wq, layer), q);
      linear_forward<T>(normed, p.matrix(wk, layer), k);
      linear_forward<T>(normed, p.matrix(wv, layer), v);
      const auto attended = w.view(a.attended, c.d_model);
      for (index_t s = 0; s < b.sequences(); ++s) {
        const auto rows = [&](const auto& m) { return rows_of(m, b.begin(s), b.end(s)); };
        rotary_.rotate(rows(q), 0, turn::forward);
        rotary_.rotate(rows(k), 0, turn::forward);
        attention_forward<T>({rows(q), rows(k), rows(v), c.head_size(), c.causal}, rows(attended),
                             rows(w.view(a.log_normalizers, c.n_heads)), w.scratch_);
      }
      const auto middle = w.view(a.middle, c.d_model);
      linear_forward<T>(attended, p.matrix(wo, layer), middle);
      axpy(T{1}, flat(x), flat(middle));

      const auto gate = w.view(a.gate, c.d_ff), up = w.view(a.up, c.d_ff), gated = w.view(w.wide_[0], c.d_ff);
      rmsnorm_forward<T>(middle, p.vector(ffn_norm, layer), c.norm_eps, a.ffn_rms, normed);
      linear_forward<T>(normed, p.matrix(w1, layer), gate);
      linear_forward<T>(normed, p.matrix(w3, layer), up);
      swiglu_forward<T>(flat(gate), flat(up), flat(gated));
      linear_forward<T>(gated, p.matrix(w2, layer), next);
      axpy(T{1}, flat(middle), flat(next));
    }
    rmsnorm_forward<T>(w.hidden(c.n_layers), p.vector(final_norm, 0), c.norm_eps, w.final_rms_, w.features());
    linear_forward<T>(w.features(), p.classifier(), w.logits());
  }

  /// Adds dL/dparameters to @p gradient, for the batch that @p w holds from `forward` with the same parameters.
  /// @param dlogits (rows x vocab), usually w.logits() after a loss; may be empty (0 rows) where only taps have one.
  /// @param taps gradients on hidden states, added to the residual stream where that state entered its layer.
  /// @throws std::invalid_argument, before anything is written, if something does not fit.
  /// @note About 4 flops a parameter and row. Leaves hidden states and logits as they are: a second backward of the same
  ///       forward is allowed. Deterministic. Single-threaded.
  void backward(std::span<const T> parameters, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                std::span<const tap_gradient<T>> taps, std::span<T> gradient) const {
    const char* function = "hone::transformer::decoder::backward";
    check(function, parameters.size(), b, w);
    const config& c = config_;
    check_backward(function, b, w, dlogits, taps, gradient.size());
    const auto p = view(parameters);
    const auto g = view(gradient);
    const auto dx = w.view(w.narrow_[0], c.d_model), normed = w.view(w.narrow_[1], c.d_model);
    const auto dnormed = w.view(w.narrow_[2], c.d_model);
    fill(flat(dx), T{0});
    const auto inject = [&](index_t layer) {
      for (const auto& tap : taps)
        if (tap.layer == layer)
          for (index_t t = 0; t < b.rows(); ++t) axpy(T{1}, tap.gradient.row(t), dx.row(t));
    };
    if (dlogits.rows() > 0) {
      linear_backward_weight<T>(dlogits, w.features(), g.classifier());
      linear_backward_input<T>(dlogits, p.classifier(), dnormed, into::overwrite);
      rmsnorm_backward<T>(w.hidden(c.n_layers), p.vector(final_norm, 0), w.final_rms_, dnormed, dx,
                          g.vector(final_norm, 0));
    }
    inject(c.n_layers);

    for (index_t layer = c.n_layers; layer-- > 0;) {
      const auto& a = w.layers_[static_cast<std::size_t>(layer)];
      const auto middle = w.view(a.middle, c.d_model);
      const auto gate = w.view(a.gate, c.d_ff), up = w.view(a.up, c.d_ff);
      const auto gated = w.view(w.wide_[0], c.d_ff), dgate = w.view(w.wide_[1], c.d_ff);
      const auto dup = w.view(w.wide_[2], c.d_ff);
      linear_backward_input<T>(dx, p.matrix(w2, layer), gated, into::overwrite);
      swiglu_backward<T>(flat(gate), flat(up), flat(gated), flat(dgate), flat(dup));
      linear_backward_weight<T>(dx, gated, g.matrix(w2, layer));
      rmsnorm_apply<T>(middle, p.vector(ffn_norm, layer), a.ffn_rms, normed);
      linear_backward_weight<T>(dgate, normed, g.matrix(w1, layer));
      linear_backward_weight<T>(dup, normed, g.matrix(w3, layer));
      linear_backward_input<T>(dgate, p.matrix(w1, layer), dnormed, into::overwrite);
      linear_backward_input<T>(dup, p.matrix(w3, layer), dnormed, into::accumulate);
      rmsnorm_backward<T>(middle, p.vector(ffn_norm, layer), a.ffn_rms, dnormed, dx, g.vector(ffn_norm, layer));

      const auto x = w.hidden(layer);
      const auto q = w.view(a.q, c.d_model), k = w.view(a.k, c.kv_width()), v = w.view(a.v, c.kv_width());
      const auto attended = w.view(a.attended, c.d_model), dattended = dnormed;
      const auto dq = w.view(w.wide_[0], c.d_model), dk = w.view(w.kv_[0], c.kv_width());
      const auto dv = w.view(w.kv_[1], c.kv_width());
      linear_backward_weight<T>(dx, attended, g.matrix(wo, layer));
      linear_backward_input<T>(dx, p.matrix(wo, layer), dattended, into::overwrite);
      for (index_t s = 0; s < b.sequences(); ++s) {
        const auto rows = [&](const auto& m) { return rows_of(m, b.begin(s), b.end(s)); };
        attention_backward<T>({rows(q), rows(k), rows(v), c.head_size(), c.causal}, rows(attended),
                              rows(w.view(a.log_normalizers, c.n_heads)), rows(dattended), rows(dq), rows(dk), rows(dv),
                              w.scratch_);
        rotary_.rotate(rows(dq), 0, turn::back);
        rotary_.rotate(rows(dk), 0, turn::back);
      }
      rmsnorm_apply<T>(x, p.vector(att_norm, layer), a.att_rms, normed);
      linear_backward_weight<T>(dq, normed, g.matrix(wq, layer));
      linear_backward_weight<T>(dk, normed, g.matrix(wk, layer));
      linear_backward_weight<T>(dv, normed, g.matrix(wv, layer));
      linear_backward_input<T>(dq, p.matrix(wq, layer), dnormed, into::overwrite);
      linear_backward_input<T>(dk, p.matrix(wk, layer), dnormed, into::accumulate);
      linear_backward_input<T>(dv, p.matrix(wv, layer), dnormed, into::accumulate);
      rmsnorm_backward<T>(x, p.vector(att_norm, layer), a.att_rms, dnormed, dx, g.vector(att_norm, layer));
      inject(layer);
    }
    for (index_t t = 0; t < b.rows(); ++t)
      axpy(T{1}, dx.row(t), g.embedding().row(b.tokens[static_cast<std::size_t>(t)]));
  }

  /// As above, with a gradient on the logits alone.
  void backward(std::span<const T> parameters, const batch& b, workspace<T>& w, std::span<T> gradient) const {
    backward(parameters, b, w, w.logits(), {}, gradient);
  }

 private:
  template <class U>
  static matrix_view<U> rows_of(const matrix_view<U>& m, index_t begin, index_t end) {
    return {m.data() + begin * m.row_stride(), end - begin, m.cols(), m.row_stride(), index_t{1}};
  }
  static vector_view<T> flat(const matrix_view<T>& m) { return {m.data(), m.rows() * m.cols()}; }

  void check(const char* function, std::size_t parameters, const batch& b, const workspace<T>& w) const {
    invalid_argument_unless(static_cast<index_t>(parameters) == parameters_, function, "parameters",
                            "has %zu numbers, the model has %td", parameters, parameters_);
    invalid_argument_unless(w.shape() == config_, function, "w", "was made for a model of another shape");
    invalid_argument_unless(b.rows() <= w.capacity(), function, "b", "has %td rows, the workspace holds %td", b.rows(),
                            w.capacity());
    invalid_argument_unless(!b.offsets.empty() && b.offsets.front() == 0 && b.offsets.back() == b.rows(), function,
                            "b", "offsets must begin with 0 and end with the number of tokens, %td", b.rows());
    for (index_t s = 0; s < b.sequences(); ++s)
      invalid_argument_unless(b.end(s) >= b.begin(s) && b.end(s) - b.begin(s) <= config_.max_seq, function, "b",
                              "sequence %td has %td tokens, the model takes %td", s, b.end(s) - b.begin(s),
                              config_.max_seq);
    for (const std::int32_t token : b.tokens)
      invalid_argument_unless(token >= 0 && token < config_.vocab, function, "b", "token %d, the vocabulary has %td",
                              token, config_.vocab);
  }

  void check_backward(const char* function, const batch& b, const workspace<T>& w, const matrix_view<const T>& dlogits,
                      std::span<const tap_gradient<T>> taps, std::size_t gradient) const {
    invalid_argument_unless(static_cast<index_t>(gradient) == parameters_, function, "gradient",
                            "has %zu numbers, the model has %td", gradient, parameters_);
    invalid_argument_unless(b.rows() == w.rows(), function, "b", "has %td rows, the workspace holds a batch of %td",
                            b.rows(), w.rows());
    const index_t rows = dlogits.rows();
    invalid_argument_unless(rows == 0 || (rows == b.rows() && dlogits.cols() == config_.vocab &&
                                          dlogits.col_stride() == 1),
                            function, "dlogits", "is %td x %td, must be %td x %td with adjacent columns", rows,
                            dlogits.cols(), b.rows(), config_.vocab);
    for (const auto& tap : taps)
      invalid_argument_unless(tap.layer >= 0 && tap.layer <= config_.n_layers && tap.gradient.rows() == b.rows() &&
                                  tap.gradient.cols() == config_.d_model,
                              function, "taps", "layer %td: is %td x %td, must be %td x %td of a layer in [0, %td]",
                              tap.layer, tap.gradient.rows(), tap.gradient.cols(), b.rows(), config_.d_model,
                              config_.n_layers);
  }

  config config_;
  rotary_table<T> rotary_;
  std::vector<index_t> offsets_;
  index_t parameters_ = 0;
};

}  // namespace hone::transformer
