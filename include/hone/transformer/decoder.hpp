// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bundled decoder. For each layer, two blocks:
///   x += Wo attention(rmsnorm(x))
///   x += W2 swiglu(rmsnorm(x)),  or what a few of many experts make of rmsnorm(x)
/// then logits = E rmsnorm(x) with E the embedding or a classifier of its own. Llama, and what its relatives add:
/// biases (Qwen2), norms of queries and keys (Qwen3, OLMoE), attention in a window (Mistral), experts (Mixtral). The
/// backward pass starts from whatever gradients the caller has, on logits, on hidden states of any layer and on logits
/// of its router: it knows no loss.
#pragma once
#include "hone/transformer/taps.hpp"
#include "hone/transformer/workspace.hpp"

namespace HONE_NAMESPACE::transformer {

/// Where a gradient of the caller's comes in.
enum class tapped {
  hidden,        ///< `workspace::hidden(layer)` (rows x d_model); `features` where layer = n_layers + 1
  router_logits  ///< `workspace::router_logits(layer)` (rows x experts): that of a balance loss
};

template <class T>
struct tap_gradient {
  index_t layer;
  matrix_view<const T> gradient;
  tapped at = tapped::hidden;
};

/// @throws std::invalid_argument, naming @p function and @p argument, unless a model of shape @p c takes @p b.
inline void check_batch(const batch& b, const config& c, const char* function, const char* argument) {
  invalid_argument_unless(!b.offsets.empty() && b.offsets.front() == 0 && b.offsets.back() == b.rows(), function,
                          argument, "offsets must begin with 0 and end with the number of tokens, %td", b.rows());
  for (index_t s = 0; s < b.sequences(); ++s)
    invalid_argument_unless(b.end(s) >= b.begin(s) && b.end(s) - b.begin(s) <= c.max_seq, function, argument,
                            "sequence %td has %td tokens, the model takes %td", s, b.end(s) - b.begin(s), c.max_seq);
  invalid_argument_unless(b.capacities.empty() || static_cast<index_t>(b.capacities.size()) == b.sequences(), function,
                          argument, "has %zu capacities for %td sequences", b.capacities.size(), b.sequences());
  for (const index_t n : b.capacities)
    invalid_argument_unless(n >= 0, function, argument, "a capacity must not be negative, is %td", n);
  for (const std::int32_t token : b.tokens)
    invalid_argument_unless(token >= 0 && token < c.vocab, function, argument, "token %d, the vocabulary has %td",
                            token, c.vocab);
}

/// The model without its weights: parameters come with every call, as one span laid out by `tensor_table`. Const and
/// free of state, so that any number of threads may share it, each with a workspace of its own.
template <class T>
class decoder {
 public:
  /// @throws std::invalid_argument as `validate`.
  explicit decoder(const config& c) : config_(c), rotary_((validate(c), c)), layout_(c) {}

  [[nodiscard]] const config& shape() const { return config_; }
  [[nodiscard]] index_t parameters() const { return layout_.size(); }
  [[nodiscard]] const rotary_table<T>& rotary() const { return rotary_; }
  [[nodiscard]] const parameter_layout& layout() const { return layout_; }
  [[nodiscard]] const std::vector<tensor>& table() const { return layout_.table(); }
  /// Where `table` has it; -1 where the configuration does not. A tied classifier is the embedding.
  [[nodiscard]] index_t tensor_index(const tensor_id& id) const { return layout_.index(id); }

  /// Views of a buffer laid out by `tensor_table`; also a source of the parameters in it.
  /// @pre @p buffer has parameters() elements.
  template <class U>
  [[nodiscard]] parameter_views<U> view(std::span<U> buffer) const {
    return {layout_, buffer.data()};
  }

  /// Fills @p w: logits (if it has any), hidden states, and what `backward` needs.
  /// @param observe observe(tensor_id, inputs (rows x in), outputs (rows x out)) after every product W x + bias, in the
  ///        order of the pass: the statistics that initialisers of adapters collect.
  /// @param tap tap(layer, rows) as each hidden state appears, as transformer/taps.hpp says.
  /// @throws std::invalid_argument, before anything is written, if the parameters or the workspace do not fit, a
  ///         sequence is longer than max_seq, a token is not in the vocabulary, or capacities are negative or not one a
  ///         sequence; later, as `moe::route`, if the bias of a selection is NaN or infinity.
  /// @note About 2 flops a row and parameter, of experts those that the row goes to. Deterministic; the bits of a row
  ///       may depend on the other rows of its batch through the blocking of the matrix products. Single-threaded.
  template <class Observe = no_observer, layer_tap<T> Tap = no_tap>
  void forward(std::span<const T> parameters, const batch& b, workspace<T>& w, Observe&& observe = {},
               Tap&& tap = {}) const {
    check("hone::transformer::decoder::forward", parameters.size(), b, w);
    const auto views = view(parameters);
    const frozen_products<T, parameter_views<const T>> products{views, w.converted_};
    run_forward(observed<T>(products, observe), b, w, tap);
  }

  /// Adds dL/dparameters to @p gradient, for the batch that @p w holds from `forward` with the same parameters.
  /// @param dlogits (rows x output_width()), usually w.logits() after a loss; may be empty (0 rows) where only taps
  ///        have one.
  /// @param taps gradients on hidden states, added to the residual stream where that state entered its layer, on
  ///        features (layer n_layers + 1), where a `linear_loss` has done the classifier, and on router logits,
  ///        added to those of the gates.
  /// @throws std::invalid_argument, before anything is written, if something does not fit.
  /// @note About twice the flops of `forward`. Leaves hidden states and logits as they are: a second backward of the
  ///       same forward is allowed. Deterministic. Single-threaded.
  void backward(std::span<const T> parameters, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                std::span<const tap_gradient<T>> taps, std::span<T> gradient) const {
    const char* function = "hone::transformer::decoder::backward";
    check(function, parameters.size(), b, w);
    check_backward(function, b, w, dlogits, taps);
    invalid_argument_unless(static_cast<index_t>(gradient.size()) == this->parameters(), function, "gradient",
                            "has %zu elements, the model has %td", gradient.size(), this->parameters());
    const auto views = view(parameters);
    run_backward(trained_products<T>{{views, w.converted_}, view(gradient)}, b, w, dlogits, taps);
  }

  /// As above, with a gradient on the logits alone.
  void backward(std::span<const T> parameters, const batch& b, workspace<T>& w, std::span<T> gradient) const {
    backward(parameters, b, w, w.logits(), {}, gradient);
  }

 private:
  template <class>
  friend class adapted_decoder;
  template <class>
  friend class generator;
  template <class>
  friend class denoiser;

  [[nodiscard]] attention_block<T> attention(index_t layer) const { return {config_, layer, rotary_}; }
  [[nodiscard]] mlp_block<T> mlp(index_t layer) const { return {config_, layer}; }
  [[nodiscard]] expert_block<T> experts(index_t layer) const { return {config_, layer}; }

  /// The forward pass with the products of @p p, as transformer/product.hpp says.
  template <class Products, class Tap>
  void run_forward(const Products& p, const batch& b, workspace<T>& w, Tap& tap) const {
    const config& c = config_;
    w.rows_ = b.rows();
    p.embed(b.tokens, w.hidden(0));
    tap(index_t{0}, matrix_view<const T>(w.hidden(0)));
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      auto& a = w.layers_[static_cast<std::size_t>(layer)];
      const auto middle = w.view(a.middle, c.d_model);
      attention(layer).forward(p, b.offsets, w.hidden(layer), a.attention, w.attention_, middle);
      if (c.sparse(layer))
        experts(layer).forward(p, b, middle, a.experts, w.experts_, w.hidden(layer + 1));
      else
        mlp(layer).forward(p, middle, a.mlp, w.mlp_, w.hidden(layer + 1));
      tap(layer + 1, matrix_view<const T>(w.hidden(layer + 1)));
    }
    rmsnorm_forward<T>(w.hidden(c.n_layers), p.vector({role::final_norm}), c.norm_eps, w.final_rms_, w.features());
    tap(c.n_layers + 1, matrix_view<const T>(w.features()));
    if (w.has_logits()) p.forward({role::wcls}, w.features(), w.logits());
  }

  /// The backward pass, down to layer @p first and, where that is 0, to the embedding.
  template <class Products>
  void run_backward(const Products& p, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                    std::span<const tap_gradient<T>> taps, index_t first = 0) const {
    const config& c = config_;
    const auto dx = w.view(w.own_.gradient, c.d_model), dfeatures = w.view(w.own_.features_gradient, c.d_model);
    fill(detail::flat(dx), T{0});
    const auto inject = [&](index_t layer, const matrix_view<T>& to, tapped at = tapped::hidden) {
      for (const auto& own : taps)
        if (own.layer == layer && own.at == at)
          for (index_t t = 0; t < b.rows(); ++t) axpy(T{1}, own.gradient.row(t), to.row(t));
    };
    const index_t features = c.n_layers + 1;
    bool has_features = dlogits.rows() > 0;
    for (const auto& own : taps) has_features = has_features || own.layer == features;
    if (has_features) {
      if (dlogits.rows() > 0)
        p.backward({role::wcls}, dlogits, w.features(), dfeatures, into::overwrite);
      else
        fill(detail::flat(dfeatures), T{0});
      inject(features, dfeatures);
      p.norm_backward({role::final_norm}, w.hidden(c.n_layers), w.final_rms_, dfeatures, dx);
    }
    inject(c.n_layers, dx);
    for (index_t layer = c.n_layers; layer-- > first;) {
      auto& a = w.layers_[static_cast<std::size_t>(layer)];
      if (c.sparse(layer)) {
        const auto drouter = w.view(w.experts_.dlogits, c.experts.count);
        fill(detail::flat(drouter), T{0});
        inject(layer, drouter, tapped::router_logits);
        experts(layer).backward(p, b, w.view(a.middle, c.d_model), a.experts, w.experts_, dx);
      } else {
        mlp(layer).backward(p, w.view(a.middle, c.d_model), a.mlp, w.mlp_, dx);
      }
      attention(layer).backward(p, b.offsets, w.hidden(layer), a.attention, w.attention_, dx);
      inject(layer, dx);
    }
    p.embed_backward(b.tokens, dx);
  }

  void check(const char* function, std::size_t parameters, const batch& b, const workspace<T>& w) const {
    invalid_argument_unless(static_cast<index_t>(parameters) == this->parameters(), function, "parameters",
                            "has %zu elements, the model has %td", parameters, this->parameters());
    check(function, b, w);
  }
  void check(const char* function, const batch& b, const workspace<T>& w) const {
    invalid_argument_unless(w.shape() == config_, function, "w", "was made for a model of another shape");
    invalid_argument_unless(b.rows() <= w.capacity(), function, "b", "has %td rows, the workspace holds %td", b.rows(),
                            w.capacity());
    check_batch(b, config_, function, "b");
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
    for (const auto& own : taps) {
      const bool router = own.at == tapped::router_logits;
      const index_t last = router ? config_.n_layers - 1 : config_.n_layers + 1;
      invalid_argument_unless(own.layer >= 0 && own.layer <= last && (!router || config_.sparse(own.layer)), function,
                              "taps", "%s %td, must be of a layer in [0, %td]%s", router ? "router logits" : "layer",
                              own.layer, last, router ? " that has experts" : "");
      const index_t width = router ? config_.experts.count : config_.d_model;
      invalid_argument_unless(own.gradient.rows() == b.rows() && own.gradient.cols() == width, function, "taps",
                              "layer %td: is %td x %td, must be %td x %td", own.layer, own.gradient.rows(),
                              own.gradient.cols(), b.rows(), width);
    }
  }

  config config_;
  rotary_table<T> rotary_;
  parameter_layout layout_;
};

}  // namespace HONE_NAMESPACE::transformer
