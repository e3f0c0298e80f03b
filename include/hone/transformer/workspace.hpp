// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The memory of a batch's activations.
#pragma once
#include "hone/transformer/attention_block.hpp"
#include "hone/transformer/batch.hpp"
#include "hone/transformer/expert_block.hpp"
#include "hone/transformer/mlp_block.hpp"

#include <Eigen/Core>

#include <utility>

namespace HONE_NAMESPACE::transformer {

/// Every activation of one batch, in one allocation: what `forward` leaves for `backward` and for the caller to read.
/// About n_layers (4 d + 2 kv + 2 d_ff) + outputs elements a row, d = d_model; the outputs are for the logits. Each
/// block says what its layer's share is; what passes need while they run is shared by all layers. A layer of experts
/// has 2 d_ff elements (of an expert) a slot, at first for per_token slots a row; it grows to the largest plan.
template <class T>
class workspace {
 public:
  /// @param rows the most rows of a batch.
  /// @param has_logits without, the forward pass stops at `features`, for a `linear_loss` to go on from there.
  /// @throws std::invalid_argument as `validate`, or unless rows > 0.
  workspace(const config& c, index_t rows, bool has_logits = true)
      : config_((validate(c), c)), capacity_(rows), has_logits_(has_logits) {
    invalid_argument_unless(rows > 0, "hone::transformer::workspace", "rows", "must be positive, is %td", rows);
    storage_.resize(carve(nullptr));
    carve(storage_.data());
    for (layer_activations& layer : layers_) layer.experts.reserve(c.experts, rows);
  }
  workspace(workspace&&) noexcept = default;
  workspace& operator=(workspace&&) noexcept = default;

  [[nodiscard]] index_t capacity() const { return capacity_; }
  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] const config& shape() const { return config_; }

  /// Logits of the last batch (rows x output_width(); 0 rows where there are none). A loss may leave its gradient here:
  /// `backward` takes it as it is.
  [[nodiscard]] matrix_view<T> logits() { return {logits_, has_logits_ ? rows_ : 0, config_.output_width()}; }
  [[nodiscard]] bool has_logits() const { return has_logits_; }
  /// The residual stream that enters layer @p layer (rows x d_model); layer = n_layers is what the final norm reads.
  /// @throws std::invalid_argument unless layer is in [0, n_layers].
  [[nodiscard]] matrix_view<T> hidden(index_t layer) {
    invalid_argument_unless(layer >= 0 && layer <= config_.n_layers, "hone::transformer::workspace::hidden", "layer",
                            "must be in [0, %td], is %td", config_.n_layers, layer);
    return view(layer < config_.n_layers ? layers_[static_cast<std::size_t>(layer)].input : output_, config_.d_model);
  }
  /// The final norm's output (rows x d_model), which the logits are made from.
  [[nodiscard]] matrix_view<T> features() { return view(features_, config_.d_model); }
  /// What the router of layer @p layer said of each row (rows x experts).
  /// @throws std::invalid_argument unless the layer has experts.
  [[nodiscard]] matrix_view<T> router_logits(index_t layer) {
    return view(sparse("hone::transformer::workspace::router_logits", layer).logits, config_.experts.count);
  }
  /// Which row went to which expert of layer @p layer, with which gate.
  /// @throws std::invalid_argument unless the layer has experts.
  [[nodiscard]] const moe::routing_plan<T>& plan(index_t layer) {
    return sparse("hone::transformer::workspace::plan", layer).plan;
  }

 private:
  template <class>
  friend class decoder;
  template <class>
  friend class adapted_decoder;

  struct layer_activations {
    T* input;  ///< the residual stream before each block
    typename attention_block<T>::activations attention;
    T* middle;
    typename mlp_block<T>::activations mlp;  ///< of a dense layer
    typename expert_block<T>::activations experts;
  };
  /// Of the decoder around the layers; the gradient of the residual stream goes through all blocks.
  struct own_scratch {
    T *gradient, *features_gradient;
  };
  /// Of an adapter: A x and the gradient at it.
  struct adapter_scratch {
    T *projected, *slope;
  };

  /// Deals out @p base, or, without one, counts what there is to deal.
  index_t carve(T* base) {
    const config& c = config_;
    index_t used = 0;
    const auto take = [&](index_t width) {
      T* slice = base == nullptr ? nullptr : base + used;
      constexpr index_t line = 64 / index_t{sizeof(T)};
      used += (capacity_ * width + line - 1) / line * line;
      return slice;
    };
    layers_.clear();
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      layer_activations& own = layers_.emplace_back();
      own.input = take(c.d_model);
      own.attention = attention_block<T>::share_activations(c, take);
      own.middle = take(c.d_model);
      if (c.sparse(layer))
        own.experts = expert_block<T>::share_activations(c, take);
      else
        own.mlp = mlp_block<T>::share_activations(c, take);
    }
    output_ = take(c.d_model);
    final_rms_ = take(1);
    features_ = take(c.d_model);
    logits_ = has_logits_ ? take(c.output_width()) : nullptr;
    own_ = {.gradient = take(c.d_model), .features_gradient = take(c.d_model)};
    adapter_ = {.projected = take(c.d_model), .slope = take(c.d_model)};
    const index_t before_blocks = used;  // one block runs at a time
    attention_ = attention_block<T>::share_scratch(c, capacity_, take);
    index_t most = std::exchange(used, before_blocks);
    mlp_ = mlp_block<T>::share_scratch(c, take);
    if (c.experts.count > 0) {
      most = (max)(most, std::exchange(used, before_blocks));
      experts_ = expert_block<T>::share_scratch(c, take);
    }
    return (max)(used, most);
  }

  typename expert_block<T>::activations& sparse(const char* function, index_t layer) {
    invalid_argument_unless(layer >= 0 && layer < config_.n_layers && config_.sparse(layer), function, "layer",
                            "%td has no experts", layer);
    return layers_[static_cast<std::size_t>(layer)].experts;
  }

  [[nodiscard]] matrix_view<T> view(T* data, index_t columns) const { return {data, rows_, columns}; }

  config config_;
  index_t capacity_;
  bool has_logits_;
  index_t rows_ = 0;
  Eigen::Matrix<T, Eigen::Dynamic, 1> storage_;
  std::vector<layer_activations> layers_;
  T *output_, *final_rms_, *features_, *logits_;
  own_scratch own_;
  adapter_scratch adapter_;
  typename attention_block<T>::scratch attention_;
  typename mlp_block<T>::scratch mlp_;
  typename expert_block<T>::scratch experts_;
  std::vector<T> converted_;  ///< blocks of weights that are not stored as T
};

}  // namespace HONE_NAMESPACE::transformer
