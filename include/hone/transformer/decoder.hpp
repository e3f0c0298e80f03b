// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bundled decoder: for each layer  x += Wo attention(rmsnorm(x)),  x += W2 swiglu(rmsnorm(x));  then
/// logits = E rmsnorm(x) with E the embedding or a classifier of its own. Llama, and what its relatives add: biases
/// (Qwen2), norms of each head of queries and keys (Qwen3), attention in a window (Mistral). The backward pass starts
/// from whatever gradients the caller has, on logits and on hidden states of any layer: it knows no loss.
#pragma once
#include "hone/transformer/feed_forward.hpp"
#include "hone/transformer/linear.hpp"
#include "hone/transformer/normalization.hpp"
#include "hone/transformer/rotary.hpp"
#include "hone/transformer/workspace.hpp"

namespace hone::transformer {

/// A gradient of the caller's on the hidden states `workspace::hidden(layer)` (rows x d_model); on `features` where
/// layer = n_layers + 1.
template <class T>
struct tap_gradient {
  index_t layer;
  matrix_view<const T> gradient;
};

/// Sees no product.
struct no_observer {
  template <class T>
  void operator()(index_t, const matrix_view<const T>&, const matrix_view<T>&) const {}
};

/// The model without its weights: parameters come with every call, as one span laid out by `tensor_table`. Const and
/// free of state, so that any number of threads may share it, each with a workspace of its own.
template <class T>
class decoder {
 public:
  using enum role;

  /// @throws std::invalid_argument as `validate`.
  explicit decoder(const config& c)
      : config_(c), rotary_((validate(c), c)), table_(tensor_table(c)),
        index_(static_cast<std::size_t>(roles * c.n_layers), -1) {
    for (std::size_t i = 0; i < table_.size(); ++i)
      index_[slot(table_[i].place, (max)(table_[i].layer, index_t{0}))] = static_cast<index_t>(i);
    if (c.tie_embeddings) index_[slot(wcls, 0)] = tensor_index(tok_emb, 0);
    parameters_ = table_.back().offset + table_.back().size();
  }

  [[nodiscard]] const config& shape() const { return config_; }
  [[nodiscard]] index_t parameters() const { return parameters_; }
  [[nodiscard]] const rotary_table<T>& rotary() const { return rotary_; }
  [[nodiscard]] const std::vector<tensor>& table() const { return table_; }
  /// Where `table` has it; -1 where the configuration does not. Outside the layers, @p layer is 0. A tied classifier is
  /// the embedding.
  [[nodiscard]] index_t tensor_index(role r, index_t layer) const { return index_[slot(r, layer)]; }

  /// Views of a buffer laid out by `tensor_table`.
  template <class U>
  struct tensors {
    const decoder& d;
    U* data;

    [[nodiscard]] matrix_view<U> matrix(role r, index_t layer) const {
      const tensor& t = d.table_[static_cast<std::size_t>(d.tensor_index(r, layer))];
      return {data + t.offset, t.rows, t.cols};
    }
    [[nodiscard]] vector_view<U> vector(role r, index_t layer) const { return matrix(r, layer).row(0); }
    /// The bias of a matrix; empty where it has none.
    [[nodiscard]] vector_view<U> bias(role r, index_t layer) const {
      const role b = r == wq ? bq : r == wk ? bk : r == wv ? bv : r == wo ? bo : r;
      return b == r || d.tensor_index(b, layer) < 0 ? vector_view<U>() : vector(b, layer);
    }
  };
  /// @pre @p buffer has parameters() numbers.
  template <class U>
  [[nodiscard]] tensors<U> view(std::span<U> buffer) const {
    return {*this, buffer.data()};
  }

  /// Fills @p w: logits (if it has any), hidden states, and what `backward` needs.
  /// @param observe observe(index into the table, inputs (rows x in), outputs (rows x out)) after every product W x +
  ///        bias, in the order of the pass: the statistics that initialisers of adapters collect.
  /// @throws std::invalid_argument, before anything is written, if the parameters or the workspace do not fit, a
  ///         sequence is longer than max_seq, or a token is not in the vocabulary.
  /// @note About 2 flops a parameter and row. Deterministic; the bits of a row may depend on the other rows of its
  ///       batch through the blocking of the matrix products. Single-threaded.
  template <class Observe = no_observer>
  void forward(std::span<const T> parameters, const batch& b, workspace<T>& w, Observe&& observe = {}) const {
    check("hone::transformer::decoder::forward", parameters.size(), b, w);
    run_forward(parameters, b, w, [&](role r, index_t layer, const matrix_view<const T>& x, const matrix_view<T>& y) {
      product(parameters, r, layer, x, y);
      observe(tensor_index(r, layer), x, y);
    });
  }

  /// Adds dL/dparameters to @p gradient, for the batch that @p w holds from `forward` with the same parameters.
  /// @param dlogits (rows x output_width()), usually w.logits() after a loss; may be empty (0 rows) where only taps
  ///        have one.
  /// @param taps gradients on hidden states, added to the residual stream where that state entered its layer, and on
  ///        features (layer n_layers + 1), where a `linear_loss` has done the classifier.
  /// @throws std::invalid_argument, before anything is written, if something does not fit.
  /// @note About 4 flops a parameter and row. Leaves hidden states and logits as they are: a second backward of the
  ///       same forward is allowed. Deterministic. Single-threaded.
  void backward(std::span<const T> parameters, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                std::span<const tap_gradient<T>> taps, std::span<T> gradient) const {
    const char* function = "hone::transformer::decoder::backward";
    check(function, parameters.size(), b, w);
    check_backward(function, b, w, dlogits, taps);
    invalid_argument_unless(static_cast<index_t>(gradient.size()) == parameters_, function, "gradient",
                            "has %zu numbers, the model has %td", gradient.size(), parameters_);
    run_backward(parameters, b, w, dlogits, taps, full_gradient{view(parameters), view(gradient)});
  }

  /// As above, with a gradient on the logits alone.
  void backward(std::span<const T> parameters, const batch& b, workspace<T>& w, std::span<T> gradient) const {
    backward(parameters, b, w, w.logits(), {}, gradient);
  }

 private:
  template <class>
  friend class adapted_decoder;

  [[nodiscard]] std::size_t slot(role r, index_t layer) const {
    return static_cast<std::size_t>(static_cast<index_t>(r) * config_.n_layers + layer);
  }

  /// y = x W^T + bias
  void product(std::span<const T> parameters, role r, index_t layer, const matrix_view<const T>& x,
               const matrix_view<T>& y) const {
    const auto p = view(parameters);
    linear_forward<T>(x, p.matrix(r, layer), y);
    if (const auto bias = p.bias(r, layer); bias.size() > 0)
      for (index_t t = 0; t < y.rows(); ++t) axpy(T{1}, bias, y.row(t));
  }

  /// The forward pass with @p linear(role, layer, x, y) for each of its products.
  template <class Linear>
  void run_forward(std::span<const T> parameters, const batch& b, workspace<T>& w, Linear&& linear) const {
    const config& c = config_;
    w.rows_ = b.rows();
    const auto p = view(parameters);
    const auto x0 = w.hidden(0);
    for (index_t t = 0; t < b.rows(); ++t)
      copy(p.matrix(tok_emb, 0).row(b.tokens[static_cast<std::size_t>(t)]), x0.row(t));

    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      const auto& a = w.layers_[static_cast<std::size_t>(layer)];
      const auto x = w.hidden(layer), next = w.hidden(layer + 1);
      const auto normed = w.view(w.narrow_[0], c.d_model);
      const auto q = w.view(a.q, c.q_width()), k = w.view(a.k, c.kv_width()), v = w.view(a.v, c.kv_width());
      rmsnorm_forward<T>(x, p.vector(att_norm, layer), c.norm_eps, a.att_rms, normed);
      const auto q_product = c.qk_norm ? w.view(a.q_raw, c.q_width()) : q;
      const auto k_product = c.qk_norm ? w.view(a.k_raw, c.kv_width()) : k;
      linear(wq, layer, normed, q_product);
      linear(wk, layer, normed, k_product);
      linear(wv, layer, normed, v);
      if (c.qk_norm) {
        rmsnorm_forward<T>(heads(q_product), p.vector(q_norm, layer), c.norm_eps, a.q_rms, heads(q));
        rmsnorm_forward<T>(heads(k_product), p.vector(k_norm, layer), c.norm_eps, a.k_rms, heads(k));
      }
      const auto attended = w.view(a.attended, c.q_width());
      for (index_t s = 0; s < b.sequences(); ++s) {
        const auto rows = [&](const auto& m) { return rows_of(m, b.begin(s), b.end(s)); };
        rotary_.rotate(rows(q), 0, turn::forward);
        rotary_.rotate(rows(k), 0, turn::forward);
        attention_forward<T>({rows(q), rows(k), rows(v), c.head_size(), c.causal, c.window_of(layer)}, rows(attended),
                             rows(w.view(a.log_normalizers, c.n_heads)), w.scratch_);
      }
      const auto middle = w.view(a.middle, c.d_model);
      linear(wo, layer, attended, middle);
      axpy(T{1}, flat(x), flat(middle));

      const auto gate = w.view(a.gate, c.d_ff), up = w.view(a.up, c.d_ff), gated = w.view(w.wide_[0], c.d_ff);
      rmsnorm_forward<T>(middle, p.vector(ffn_norm, layer), c.norm_eps, a.ffn_rms, normed);
      linear(w1, layer, normed, gate);
      linear(w3, layer, normed, up);
      swiglu_forward<T>(flat(gate), flat(up), flat(gated));
      linear(w2, layer, gated, next);
      axpy(T{1}, flat(middle), flat(next));
    }
    rmsnorm_forward<T>(w.hidden(c.n_layers), p.vector(final_norm, 0), c.norm_eps, w.final_rms_, w.features());
    if (w.has_logits()) linear(wcls, 0, w.features(), w.logits());
  }

  /// Where the backward pass leaves the gradient of every parameter.
  struct full_gradient {
    tensors<const T> p;
    tensors<T> g;

    void input(role r, index_t layer, const matrix_view<const T>& dy, const matrix_view<T>& dx, into how) const {
      linear_backward_input<T>(dy, p.matrix(r, layer), dx, how);
    }
    void weight(role r, index_t layer, const matrix_view<const T>& dy, const matrix_view<const T>& x) const {
      linear_backward_weight<T>(dy, x, g.matrix(r, layer));
      if (const auto bias = g.bias(r, layer); bias.size() > 0)
        for (index_t t = 0; t < dy.rows(); ++t) axpy(T{1}, dy.row(t), bias);
    }
    [[nodiscard]] vector_view<T> norm(role r, index_t layer) const { return g.vector(r, layer); }
    [[nodiscard]] index_t first_layer() const { return 0; }
    void embedding(const batch& b, const matrix_view<T>& dx) const {
      for (index_t t = 0; t < b.rows(); ++t)
        axpy(T{1}, dx.row(t), g.matrix(tok_emb, 0).row(b.tokens[static_cast<std::size_t>(t)]));
    }
  };

  /// The backward pass, down to layer to.first_layer(). For each product to.input(role, layer, dy, dx, how) and behind
  /// it, before that of another, to.weight(role, layer, dy, x); to.norm(role, layer) is the gradient of a norm's
  /// weights, empty for none; to.embedding(b, dx) comes last.
  template <class To>
  void run_backward(std::span<const T> parameters, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                    std::span<const tap_gradient<T>> taps, const To& to) const {
    const config& c = config_;
    const auto p = view(parameters);
    const auto dx = w.view(w.narrow_[0], c.d_model), normed = w.view(w.narrow_[1], c.d_model);
    const auto dnormed = w.view(w.narrow_[2], c.d_model);
    fill(flat(dx), T{0});
    const auto inject = [&](index_t layer, const matrix_view<T>& at) {
      for (const auto& tap : taps)
        if (tap.layer == layer)
          for (index_t t = 0; t < b.rows(); ++t) axpy(T{1}, tap.gradient.row(t), at.row(t));
    };
    const auto linear = [&](role r, index_t layer, const matrix_view<const T>& dy, const matrix_view<const T>& input,
                            const matrix_view<T>& dinput, into how) {
      to.input(r, layer, dy, dinput, how);
      to.weight(r, layer, dy, input);
    };
    const index_t features = c.n_layers + 1;
    bool has_features = dlogits.rows() > 0;
    for (const auto& tap : taps) has_features = has_features || tap.layer == features;
    if (has_features) {
      if (dlogits.rows() > 0)
        linear(wcls, 0, dlogits, w.features(), dnormed, into::overwrite);
      else
        fill(flat(dnormed), T{0});
      inject(features, dnormed);
      rmsnorm_backward<T>(w.hidden(c.n_layers), p.vector(final_norm, 0), w.final_rms_, dnormed, dx,
                          to.norm(final_norm, 0));
    }
    inject(c.n_layers, dx);

    for (index_t layer = c.n_layers; layer-- > to.first_layer();) {
      const auto& a = w.layers_[static_cast<std::size_t>(layer)];
      const auto middle = w.view(a.middle, c.d_model);
      const auto gate = w.view(a.gate, c.d_ff), up = w.view(a.up, c.d_ff);
      const auto gated = w.view(w.wide_[0], c.d_ff), dgate = w.view(w.wide_[1], c.d_ff);
      const auto dup = w.view(w.wide_[2], c.d_ff);
      to.input(w2, layer, dx, gated, into::overwrite);
      swiglu_backward<T>(flat(gate), flat(up), flat(gated), flat(dgate), flat(dup));
      to.weight(w2, layer, dx, gated);
      rmsnorm_apply<T>(middle, p.vector(ffn_norm, layer), a.ffn_rms, normed);
      linear(w1, layer, dgate, normed, dnormed, into::overwrite);
      linear(w3, layer, dup, normed, dnormed, into::accumulate);
      rmsnorm_backward<T>(middle, p.vector(ffn_norm, layer), a.ffn_rms, dnormed, dx, to.norm(ffn_norm, layer));

      const auto x = w.hidden(layer);
      const auto q = w.view(a.q, c.q_width()), k = w.view(a.k, c.kv_width()), v = w.view(a.v, c.kv_width());
      const auto attended = w.view(a.attended, c.q_width()), dattended = w.view(w.narrow_[2], c.q_width());
      auto dq = w.view(w.wide_[0], c.q_width()), dk = w.view(w.kv_[0], c.kv_width());
      const auto dv = w.view(w.kv_[1], c.kv_width());
      linear(wo, layer, dx, attended, dattended, into::overwrite);
      for (index_t s = 0; s < b.sequences(); ++s) {
        const auto rows = [&](const auto& m) { return rows_of(m, b.begin(s), b.end(s)); };
        attention_backward<T>({rows(q), rows(k), rows(v), c.head_size(), c.causal, c.window_of(layer)}, rows(attended),
                              rows(w.view(a.log_normalizers, c.n_heads)), rows(dattended), rows(dq), rows(dk), rows(dv),
                              w.scratch_);
        rotary_.rotate(rows(dq), 0, turn::back);
        rotary_.rotate(rows(dk), 0, turn::back);
      }
      if (c.qk_norm) {
        const auto behind = [&](role r, T* raw, const T* rms, const matrix_view<T>& dy, const matrix_view<T>& draw) {
          fill(flat(draw), T{0});
          rmsnorm_backward<T>(heads(w.view(raw, dy.cols())), p.vector(r, layer), rms, heads(dy), heads(draw),
                              to.norm(r, layer));
          return draw;
        };
        dq = behind(q_norm, a.q_raw, a.q_rms, dq, w.view(w.wide_[1], c.q_width()));
        dk = behind(k_norm, a.k_raw, a.k_rms, dk, w.view(w.kv_[2], c.kv_width()));
      }
      rmsnorm_apply<T>(x, p.vector(att_norm, layer), a.att_rms, normed);
      linear(wq, layer, dq, normed, dnormed, into::overwrite);
      linear(wk, layer, dk, normed, dnormed, into::accumulate);
      linear(wv, layer, dv, normed, dnormed, into::accumulate);
      rmsnorm_backward<T>(x, p.vector(att_norm, layer), a.att_rms, dnormed, dx, to.norm(att_norm, layer));
      inject(layer, dx);
    }
    to.embedding(b, dx);
  }

  template <class U>
  static matrix_view<U> rows_of(const matrix_view<U>& m, index_t begin, index_t end) {
    return {m.data() + begin * m.row_stride(), end - begin, m.cols(), m.row_stride(), index_t{1}};
  }
  static vector_view<T> flat(const matrix_view<T>& m) { return {m.data(), m.rows() * m.cols()}; }
  /// Each head a row.
  [[nodiscard]] matrix_view<T> heads(const matrix_view<T>& m) const {
    return {m.data(), m.rows() * m.cols() / config_.head_size(), config_.head_size()};
  }

  void check(const char* function, std::size_t parameters, const batch& b, const workspace<T>& w) const {
    invalid_argument_unless(static_cast<index_t>(parameters) == parameters_, function, "parameters",
                            "has %zu numbers, the model has %td", parameters, parameters_);
    invalid_argument_unless(w.shape() == config_, function, "w", "was made for a model of another shape");
    invalid_argument_unless(b.rows() <= w.capacity(), function, "b", "has %td rows, the workspace holds %td", b.rows(),
                            w.capacity());
    invalid_argument_unless(!b.offsets.empty() && b.offsets.front() == 0 && b.offsets.back() == b.rows(), function, "b",
                            "offsets must begin with 0 and end with the number of tokens, %td", b.rows());
    for (index_t s = 0; s < b.sequences(); ++s)
      invalid_argument_unless(b.end(s) >= b.begin(s) && b.end(s) - b.begin(s) <= config_.max_seq, function, "b",
                              "sequence %td has %td tokens, the model takes %td", s, b.end(s) - b.begin(s),
                              config_.max_seq);
    for (const std::int32_t token : b.tokens)
      invalid_argument_unless(token >= 0 && token < config_.vocab, function, "b", "token %d, the vocabulary has %td",
                              token, config_.vocab);
  }

  void check_backward(const char* function, const batch& b, const workspace<T>& w, const matrix_view<const T>& dlogits,
                      std::span<const tap_gradient<T>> taps) const {
    invalid_argument_unless(b.rows() == w.rows(), function, "b", "has %td rows, the workspace holds a batch of %td",
                            b.rows(), w.rows());
    const index_t rows = dlogits.rows();
    invalid_argument_unless(
        rows == 0 || (rows == b.rows() && dlogits.cols() == config_.output_width() && dlogits.col_stride() == 1),
        function, "dlogits", "is %td x %td, must be %td x %td with adjacent columns", rows, dlogits.cols(), b.rows(),
        config_.output_width());
    for (const auto& tap : taps)
      invalid_argument_unless(tap.layer >= 0 && tap.layer <= config_.n_layers + 1 && tap.gradient.rows() == b.rows() &&
                                  tap.gradient.cols() == config_.d_model,
                              function, "taps", "layer %td: is %td x %td, must be %td x %td of a layer in [0, %td]",
                              tap.layer, tap.gradient.rows(), tap.gradient.cols(), b.rows(), config_.d_model,
                              config_.n_layers + 1);
  }

  config config_;
  rotary_table<T> rotary_;
  std::vector<tensor> table_;
  std::vector<index_t> index_;
  index_t parameters_ = 0;
};

}  // namespace hone::transformer
