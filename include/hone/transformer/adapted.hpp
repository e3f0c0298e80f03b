// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The decoder under a low-rank adapter: y = W x + bias + scale B (A x) on any of its matrices, W frozen. To a trainer
/// it is a model whose parameters are the adapter's: of W there is no gradient, neither the memory nor the products. W
/// may stay where and as it is stored, in a mapped file, say: see transformer/source.hpp. Without sites it is a frozen
/// model, to evaluate. [Hu et al. 2021, LoRA, arXiv 2106.09685]
#pragma once
#include "hone/lora/adapter.hpp"
#include "hone/transformer/decoder.hpp"

#include <initializer_list>

namespace HONE_NAMESPACE::transformer {

/// Sites on the matrices @p targets (wq, wk, wv, wo, w1, w2, w3, router, shared_w1, …, and wcls where it is not tied)
/// of every layer, and of every expert in it, laid out.
/// @throws std::invalid_argument if a target is no matrix of the model, or as `lora::lay_out`.
inline std::vector<lora::site> adapter_sites(const config& c, std::initializer_list<role> targets, index_t rank,
                                             double scale) {
  std::vector<lora::site> sites;
  const std::vector<tensor> table = tensor_table(c);
  for (const role target : targets) {
    const std::size_t before = sites.size();
    for (const tensor& t : table)
      if (t.id.role == target && (t.kind == tensor_kind::linear || t.kind == tensor_kind::classifier))
        sites.push_back({t.name, t.rows, t.cols, rank, scale});
    invalid_argument_unless(sites.size() > before, "hone::transformer::adapter_sites", "targets",
                            "%s is no matrix of this model", role_names[static_cast<std::size_t>(target)]);
  }
  lora::lay_out(sites);
  return sites;
}

namespace detail {

/// Where the table of @p layout has the matrix that @p s adapts.
/// @throws std::invalid_argument, naming the site, if it is no matrix of the model (nor is a tied classifier), or has
///         another size.
inline index_t tensor_of_site(const parameter_layout& layout, const lora::site& s, const char* function) {
  const auto id = tensor_of(s.name);
  const index_t at = id ? layout.index(*id) : -1;
  const tensor* t = at < 0 ? nullptr : &layout[at];
  const bool found =
      t != nullptr && t->name == s.name && (t->kind == tensor_kind::linear || t->kind == tensor_kind::classifier);
  invalid_argument_unless(found, function, s.name.c_str(), "is no matrix of this model%s",
                          s.name == "wcls" ? ": its classifier is the embedding" : "");
  invalid_argument_unless(s.outputs == t->rows && s.inputs == t->cols, function, s.name.c_str(),
                          "the adapter is for %td x %td, the matrix is %td x %td", s.outputs, s.inputs, t->rows,
                          t->cols);
  return at;
}

}  // namespace detail

/// The weight that a site adapts, in a buffer laid out as model.table().
/// @throws std::invalid_argument if the site is no matrix of the model, or has another size, or the buffer does not
///         fit.
template <class T, class U>
matrix_view<U> site_weight(const decoder<T>& model, std::span<U> parameters, const lora::site& s) {
  const char* function = "hone::transformer::site_weight";
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == model.parameters(), function, "parameters",
                          "has %zu elements, the model has %td", parameters.size(), model.parameters());
  const tensor& t = model.layout()[detail::tensor_of_site(model.layout(), s, function)];
  return {parameters.data() + t.offset, t.rows, t.cols};
}

template <class T>
class adapted_decoder {
 public:
  /// @param base the frozen model, @param source its parameters; both, and what the source shows, must outlive this.
  /// @param sites named and sized as in base.table(); the adapter's buffer is laid out in their order.
  /// @throws std::invalid_argument as `frozen_parameters`, or if a site's name is no matrix of the model (nor is a tied
  ///         classifier), occurs twice, or has another size; as `lora::lay_out`.
  template <parameter_source S>
  adapted_decoder(const decoder<T>& base, const S& source, std::vector<lora::site> sites)
      : base_(&base), frozen_(base.layout(), source), sites_(std::move(sites)), parameters_(lora::lay_out(sites_)),
        site_of_(base.table().size(), -1), first_layer_(base.shape().n_layers) {
    const char* function = "hone::transformer::adapted_decoder";
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      const index_t at = detail::tensor_of_site(base.layout(), sites_[i], function);
      index_t& site = site_of_[static_cast<std::size_t>(at)];
      invalid_argument_unless(site < 0, function, sites_[i].name.c_str(), "has two adapters");
      site = static_cast<index_t>(i);
      const index_t layer = base.layout()[at].id.layer;
      if (layer >= 0) first_layer_ = (min)(first_layer_, layer);
    }
  }
  /// As above, of parameters in one span, laid out by `tensor_table`, which must outlive this.
  adapted_decoder(const decoder<T>& base, std::span<const std::type_identity_t<T>> parameters,
                  std::vector<lora::site> sites)
      : adapted_decoder(base, base.view(checked(base, parameters)), std::move(sites)) {}

  [[nodiscard]] const decoder<T>& base() const { return *base_; }
  [[nodiscard]] const config& shape() const { return base_->shape(); }
  [[nodiscard]] const frozen_parameters<T>& frozen() const { return frozen_; }
  [[nodiscard]] const std::vector<lora::site>& sites() const { return sites_; }
  /// Where `sites` has that of a tensor of the table, or nullptr.
  [[nodiscard]] const lora::site* site(index_t tensor) const {
    const index_t i = site_of_[static_cast<std::size_t>(tensor)];
    return i < 0 ? nullptr : &sites_[static_cast<std::size_t>(i)];
  }
  /// Elements of the adapter.
  [[nodiscard]] index_t parameters() const { return parameters_; }

  /// As `decoder::forward`; @p observe and @p tap see outputs with the adapter's part. With B = 0, the base's bits.
  /// @throws std::invalid_argument also if the classifier has a site and @p w no logits.
  /// @note 2 rank (in + out) flops a site and row beside the base's.
  template <class Observe = no_observer, layer_tap<T> Tap = no_tap>
  void forward(std::span<const T> adapter, const batch& b, workspace<T>& w, Observe&& observe = {},
               Tap&& tap = {}) const {
    const char* function = "hone::transformer::adapted_decoder::forward";
    base_->check(function, b, w);
    check(function, "adapter", adapter.size());
    invalid_argument_unless(w.has_logits() || site(base_->tensor_index({role::wcls})) == nullptr, function, "w",
                            "has no logits, the classifier an adapter");
    const products p{*this, {frozen_, w.converted_}, adapter, {}, w};
    base_->run_forward(observed<T>(p, observe), b, w, tap);
  }

  /// As `decoder::backward`, with dL/dadapter: dA += scale B^T dy^T x, dB += scale dy^T (A x)^T. Goes down to the
  /// lowest layer that has a site.
  /// @throws std::invalid_argument as `decoder::backward`.
  /// @note About 2 flops a parameter of the base and row, and twice the forward pass's for the sites.
  void backward(std::span<const T> adapter, const batch& b, workspace<T>& w, matrix_view<const T> dlogits,
                std::span<const tap_gradient<T>> taps, std::span<T> gradient) const {
    const char* function = "hone::transformer::adapted_decoder::backward";
    base_->check(function, b, w);
    base_->check_backward(function, b, w, dlogits, taps);
    check(function, "adapter", adapter.size());
    check(function, "gradient", gradient.size());
    check_output(gradient, function, "gradient");
    base_->run_backward(products{*this, {frozen_, w.converted_}, adapter, gradient, w}, b, w, dlogits, taps,
                        first_layer_);
  }

  /// As above, with a gradient on the logits alone.
  void backward(std::span<const T> adapter, const batch& b, workspace<T>& w, std::span<T> gradient) const {
    backward(adapter, b, w, w.logits(), {}, gradient);
  }

  /// One tensor of the base, with scale B A added where it has a site. @param to as large as in the table.
  /// @pre @p tensor is in the table, @p adapter and @p to fit.
  /// @throws std::invalid_argument unless each element of @p to has memory of its own.
  /// @note One pass; of a site 2 rank flops an element in T, and a copy of B. Serial, the same bits on every call.
  void merge(index_t tensor, std::span<const std::type_identity_t<T>> adapter, const matrix_view<T>& to) const {
    check_output(to, "hone::transformer::adapted_decoder::merge", "to");
    frozen_.at(tensor).read(0, 0, to);
    const lora::site* s = site(tensor);
    if (s == nullptr) return;
    const auto b = s->b(adapter.data());
    std::vector<T> scaled(b.data(), b.data() + b.rows() * b.cols());
    for (T& x : scaled) x *= static_cast<T>(s->scale);
    detail::multiply_nn<T>({scaled.data(), b.rows(), b.cols()}, s->a(adapter.data()), to, into::accumulate);
  }

  /// The base's parameters with every W + scale B A in its place: a plain model in T, to save.
  /// @throws std::invalid_argument if @p adapter does not fit.
  [[nodiscard]] std::vector<T> merged(std::span<const std::type_identity_t<T>> adapter) const {
    check("hone::transformer::adapted_decoder::merged", "adapter", adapter.size());
    std::vector<T> result(static_cast<std::size_t>(base_->parameters()));
    for (std::size_t i = 0; i < site_of_.size(); ++i) {
      const tensor& t = base_->table()[i];
      merge(static_cast<index_t>(i), adapter, {result.data() + t.offset, t.rows, t.cols});
    }
    return result;
  }

 private:
  /// Those of the base, and of each site.
  struct products {
    const adapted_decoder& d;
    frozen_products<T, frozen_parameters<T>> base;
    std::span<const T> adapter;
    std::span<T> gradient;
    workspace<T>& w;

    void forward(const tensor_id& id, const matrix_view<const T>& x, const matrix_view<T>& y) const {
      base.forward(id, x, y);
      if (const lora::site* s = d.site(d.base_->tensor_index(id)))
        detail::multiply_nt<T>(scaled_inputs(*s, x), s->b(adapter.data()), y, into::accumulate);
    }
    [[nodiscard]] vector_view<const T> vector(const tensor_id& id) const { return base.vector(id); }
    void embed(std::span<const std::int32_t> tokens, const matrix_view<T>& x) const { base.embed(tokens, x); }
    void backward(const tensor_id& id, const matrix_view<const T>& dy, const matrix_view<const T>& x,
                  const matrix_view<T>& dx, into how) const {
      base.backward(id, dy, x, dx, how);
      const lora::site* s = d.site(d.base_->tensor_index(id));
      if (s == nullptr) return;
      const matrix_view<T> slope(w.adapter_.slope, dy.rows(), s->rank);
      detail::multiply_nn<T>(dy, s->b(adapter.data()), slope, into::overwrite);
      scale(s->scale, slope);
      detail::multiply_nn<T>(slope, s->a(adapter.data()), dx, into::accumulate);
      detail::multiply_tn<T>(slope, x, s->a(gradient.data()), into::accumulate);
      detail::multiply_tn<T>(dy, scaled_inputs(*s, x), s->b(gradient.data()), into::accumulate);
    }
    void norm_backward(const tensor_id& id, const matrix_view<const T>& x, const T* inverse_rms,
                       const matrix_view<const T>& dy, const matrix_view<T>& dx) const {
      base.norm_backward(id, x, inverse_rms, dy, dx);
    }
    void embed_backward(std::span<const std::int32_t>, const matrix_view<const T>&) const {}

   private:
    /// scale x A^T, in the workspace.
    [[nodiscard]] matrix_view<T> scaled_inputs(const lora::site& s, const matrix_view<const T>& x) const {
      const matrix_view<T> ax(w.adapter_.projected, x.rows(), s.rank);
      detail::multiply_nt<T>(x, s.a(adapter.data()), ax, into::overwrite);
      scale(s.scale, ax);
      return ax;
    }
    static void scale(double factor, const matrix_view<T>& m) {
      for (index_t i = 0; i < m.rows() * m.cols(); ++i) m.data()[i] *= static_cast<T>(factor);
    }
  };

  static std::span<const T> checked(const decoder<T>& base, std::span<const T> parameters) {
    invalid_argument_unless(static_cast<index_t>(parameters.size()) == base.parameters(),
                            "hone::transformer::adapted_decoder", "parameters", "has %zu elements, the model has %td",
                            parameters.size(), base.parameters());
    return parameters;
  }
  void check(const char* function, const char* argument, std::size_t size) const {
    invalid_argument_unless(static_cast<index_t>(size) == parameters_, function, argument,
                            "has %zu elements, the adapter has %td", size, parameters_);
  }

  const decoder<T>* base_;
  frozen_parameters<T> frozen_;
  std::vector<lora::site> sites_;
  index_t parameters_;
  std::vector<index_t> site_of_;
  index_t first_layer_;
};

}  // namespace HONE_NAMESPACE::transformer
