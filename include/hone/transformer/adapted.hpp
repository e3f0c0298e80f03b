// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The decoder under a low-rank adapter: y = W x + bias + scale B (A x) on any of its matrices, W frozen. To a trainer
/// it is a model whose parameters are the adapter's: of W there is no gradient, neither the memory nor the products.
/// [Hu et al. 2021, LoRA, arXiv 2106.09685]
#pragma once
#include "hone/lora/adapter.hpp"
#include "hone/transformer/decoder.hpp"

#include <initializer_list>

namespace hone::transformer {

/// Sites on the matrices @p targets (wq, wk, wv, wo, w1, w2, w3, and wcls where it is not tied) of every layer, laid
/// out.
/// @throws std::invalid_argument if a target is no matrix of the model, or as `lora::lay_out`.
inline std::vector<lora::site> adapter_sites(const config& c, std::initializer_list<role> targets, index_t rank,
                                             double scale) {
  std::vector<lora::site> sites;
  const std::vector<tensor> table = tensor_table(c);
  for (const role target : targets) {
    const std::size_t before = sites.size();
    for (const tensor& t : table)
      if (t.place == target && (t.kind == tensor_kind::linear || t.kind == tensor_kind::classifier))
        sites.push_back({t.name, t.rows, t.cols, rank, scale});
    invalid_argument_unless(sites.size() > before, "hone::transformer::adapter_sites", "targets",
                            "number %d is no matrix of this model", static_cast<int>(target));
  }
  lora::lay_out(sites);
  return sites;
}

template <class T>
class adapted_decoder {
 public:
  /// @param base, parameters the frozen model; both must outlive this.
  /// @param sites named and sized as in base.table(); the adapter's buffer is laid out in their order.
  /// @throws std::invalid_argument if the parameters do not fit, or a site's name is no matrix of the model (nor is a
  ///         tied classifier), occurs twice, or has another size; as `lora::lay_out`.
  adapted_decoder(const decoder<T>& base, std::span<const std::type_identity_t<T>> parameters,
                  std::vector<lora::site> sites)
      : base_(&base), frozen_(parameters), sites_(std::move(sites)), parameters_(lora::lay_out(sites_)),
        site_of_(base.table().size(), -1), first_layer_(base.shape().n_layers) {
    const char* function = "hone::transformer::adapted_decoder";
    invalid_argument_unless(static_cast<index_t>(parameters.size()) == base.parameters(), function, "parameters",
                            "has %zu numbers, the model has %td", parameters.size(), base.parameters());
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      const lora::site& s = sites_[i];
      std::size_t at = 0;
      while (at < base.table().size() && base.table()[at].name != s.name) ++at;
      const bool found = at < base.table().size() && (base.table()[at].kind == tensor_kind::linear ||
                                                      base.table()[at].kind == tensor_kind::classifier);
      invalid_argument_unless(found, function, s.name.c_str(), "is no matrix of this model%s",
                              s.name == "wcls" ? ": its classifier is the embedding" : "");
      const tensor& t = base.table()[at];
      invalid_argument_unless(site_of_[at] < 0, function, s.name.c_str(), "has two adapters");
      invalid_argument_unless(s.outputs == t.rows && s.inputs == t.cols, function, s.name.c_str(),
                              "the adapter is for %td x %td, the matrix is %td x %td", s.outputs, s.inputs, t.rows,
                              t.cols);
      site_of_[at] = static_cast<index_t>(i);
      if (t.layer >= 0) first_layer_ = (min)(first_layer_, t.layer);
    }
  }

  [[nodiscard]] const decoder<T>& base() const { return *base_; }
  [[nodiscard]] const config& shape() const { return base_->shape(); }
  [[nodiscard]] const std::vector<lora::site>& sites() const { return sites_; }
  /// Numbers of the adapter.
  [[nodiscard]] index_t parameters() const { return parameters_; }

  /// As `decoder::forward`; @p observe sees outputs with the adapter's part. With B = 0, the base's bits.
  /// @throws std::invalid_argument also if the classifier has a site and @p w no logits.
  /// @note 2 rank (in + out) flops a site and row beside the base's.
  template <class Observe = no_observer>
  void forward(std::span<const T> adapter, const batch& b, workspace<T>& w, Observe&& observe = {}) const {
    const char* function = "hone::transformer::adapted_decoder::forward";
    base_->check(function, frozen_.size(), b, w);
    check(function, "adapter", adapter.size());
    const index_t classifier = base_->tensor_index(role::wcls, 0);
    invalid_argument_unless(w.has_logits() || site(classifier) == nullptr, function, "w",
                            "has no logits, the classifier an adapter");
    base_->run_forward(frozen_, b, w,
                       [&](role r, index_t layer, const matrix_view<const T>& x, const matrix_view<T>& y) {
                         base_->product(frozen_, r, layer, x, y);
                         const index_t tensor = base_->tensor_index(r, layer);
                         if (const lora::site* s = site(tensor)) {
                           const auto ax = scaled_inputs(*s, adapter, x, w);
                           detail::multiply_nt<T>(ax, s->b(adapter.data()), y, into::accumulate);
                         }
                         observe(tensor, x, y);
                       });
  }

  /// As `decoder::backward`, with dL/dadapter: dA += scale B^T dy^T x, dB += scale dy^T (A x)^T. Goes down to the
  /// lowest layer that has a site.
  /// @note About 2 flops a parameter of the base and row, and twice the forward pass's for the sites.
  void backward(std::span<const T> adapter, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                std::span<const tap_gradient<T>> taps, std::span<T> gradient) const {
    const char* function = "hone::transformer::adapted_decoder::backward";
    base_->check(function, frozen_.size(), b, w);
    base_->check_backward(function, b, w, dlogits, taps);
    check(function, "adapter", adapter.size());
    check(function, "gradient", gradient.size());
    base_->run_backward(frozen_, b, w, dlogits, taps, adapter_gradient{*this, adapter, gradient, w});
  }

  /// As above, with a gradient on the logits alone.
  void backward(std::span<const T> adapter, const batch& b, workspace<T>& w, std::span<T> gradient) const {
    backward(adapter, b, w, w.logits(), {}, gradient);
  }

  /// The base's parameters with every W + scale B A in its place: a plain model, to generate from or to save.
  /// @throws std::invalid_argument if @p adapter does not fit.
  [[nodiscard]] std::vector<T> merged(std::span<const std::type_identity_t<T>> adapter) const {
    check("hone::transformer::adapted_decoder::merged", "adapter", adapter.size());
    std::vector<T> result(frozen_.begin(), frozen_.end()), scaled;
    for (std::size_t i = 0; i < site_of_.size(); ++i) {
      const lora::site* s = site(static_cast<index_t>(i));
      if (s == nullptr) continue;
      const tensor& t = base_->table()[i];
      const auto b = s->b(adapter.data());
      scaled.assign(b.data(), b.data() + b.rows() * b.cols());
      for (T& x : scaled) x *= static_cast<T>(s->scale);
      detail::multiply_nn<T>({scaled.data(), b.rows(), b.cols()}, s->a(adapter.data()),
                             {result.data() + t.offset, t.rows, t.cols}, into::accumulate);
    }
    return result;
  }

 private:
  /// What the backward pass of the base calls.
  struct adapter_gradient {
    const adapted_decoder& d;
    std::span<const T> adapter;
    std::span<T> gradient;
    workspace<T>& w;

    void input(role r, index_t layer, const matrix_view<const T>& dy, const matrix_view<T>& dx, into how) const {
      linear_backward_input<T>(dy, d.base_->view(d.frozen_).matrix(r, layer), dx, how);
      if (const lora::site* s = d.site(d.base_->tensor_index(r, layer))) {
        const auto slope = w.view(w.low_rank_[1], s->rank);
        detail::multiply_nn<T>(dy, s->b(adapter.data()), slope, into::overwrite);
        scale(s->scale, slope);
        detail::multiply_nn<T>(slope, s->a(adapter.data()), dx, into::accumulate);
      }
    }
    /// Behind `input` of the same product, whose slope at A x it finds.
    void weight(role r, index_t layer, const matrix_view<const T>& dy, const matrix_view<const T>& x) const {
      if (const lora::site* s = d.site(d.base_->tensor_index(r, layer))) {
        detail::multiply_tn<T>(w.view(w.low_rank_[1], s->rank), x, s->a(gradient.data()), into::accumulate);
        detail::multiply_tn<T>(dy, scaled_inputs(*s, adapter, x, w), s->b(gradient.data()), into::accumulate);
      }
    }
    [[nodiscard]] vector_view<T> norm(role, index_t) const { return {}; }
    [[nodiscard]] index_t first_layer() const { return d.first_layer_; }
    void embedding(const batch&, const matrix_view<T>&) const {}
  };

  [[nodiscard]] const lora::site* site(index_t tensor) const {
    const index_t i = site_of_[static_cast<std::size_t>(tensor)];
    return i < 0 ? nullptr : &sites_[static_cast<std::size_t>(i)];
  }
  static void scale(double factor, const matrix_view<T>& m) {
    for (index_t i = 0; i < m.rows() * m.cols(); ++i) m.data()[i] *= static_cast<T>(factor);
  }
  /// scale x A^T, in the workspace.
  static matrix_view<T> scaled_inputs(const lora::site& s, std::span<const T> adapter, const matrix_view<const T>& x,
                                      workspace<T>& w) {
    const auto ax = w.view(w.low_rank_[0], s.rank);
    detail::multiply_nt<T>(x, s.a(adapter.data()), ax, into::overwrite);
    scale(s.scale, ax);
    return ax;
  }
  void check(const char* function, const char* argument, std::size_t size) const {
    invalid_argument_unless(static_cast<index_t>(size) == parameters_, function, argument,
                            "has %zu numbers, the adapter has %td", size, parameters_);
  }

  const decoder<T>* base_;
  std::span<const T> frozen_;
  std::vector<lora::site> sites_;
  index_t parameters_;
  std::vector<index_t> site_of_;
  index_t first_layer_;
};

}  // namespace hone::transformer
