// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What goes through the decoder: a batch of sequences, and the memory of its activations.
#pragma once
#include "hone/transformer/attention.hpp"
#include "hone/transformer/config.hpp"

#include <Eigen/Core>

#include <span>

namespace hone::transformer {

/// Sequences of tokens, one behind the other: sequence s is tokens [offsets[s], offsets[s + 1]), its first at position
/// 0.
struct batch {
  std::span<const std::int32_t> tokens;
  std::span<const index_t> offsets;

  [[nodiscard]] index_t rows() const { return static_cast<index_t>(tokens.size()); }
  [[nodiscard]] index_t sequences() const { return static_cast<index_t>(offsets.size()) - 1; }
  [[nodiscard]] index_t begin(index_t s) const { return offsets[static_cast<std::size_t>(s)]; }
  [[nodiscard]] index_t end(index_t s) const { return offsets[static_cast<std::size_t>(s) + 1]; }
};

/// Every activation of one batch, in one allocation: what `forward` leaves for `backward` and for the caller to read.
/// About n_layers (4 d + 2 kv + 2 d_ff) + outputs numbers a row, d = d_model; the outputs are for the logits.
template <class T>
class workspace {
 public:
  /// @param rows the most rows of a batch.
  /// @param has_logits without, the forward pass stops at `features`, for a `linear_loss` to go on from there.
  workspace(const config& c, index_t rows, bool has_logits = true)
      : config_((validate(c), c)), capacity_(rows), has_logits_(has_logits) {
    invalid_argument_unless(rows > 0, "hone::transformer::workspace", "rows", "must be positive, is %td", rows);
    storage_.resize(carve(nullptr));
    carve(storage_.data());
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
  template <class>
  friend class adapted_decoder;

  struct layer_activations {
    T *q, *k, *v, *attended, *log_normalizers, *middle, *gate, *up, *att_rms, *ffn_rms;
    T *q_raw, *k_raw, *q_rms, *k_rms;  // what the norms of queries and keys read, and made of it
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
    const auto take_if = [&](bool wanted, index_t columns) { return wanted ? take(columns) : nullptr; };
    hidden_.clear();
    layers_.clear();
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      hidden_.push_back(take(c.d_model));
      layers_.push_back({take(c.q_width()), take(c.kv_width()), take(c.kv_width()), take(c.q_width()), take(c.n_heads),
                         take(c.d_model), take(c.d_ff), take(c.d_ff), take(1), take(1), take_if(c.qk_norm, c.q_width()),
                         take_if(c.qk_norm, c.kv_width()), take_if(c.qk_norm, c.n_heads),
                         take_if(c.qk_norm, c.n_kv_heads)});
    }
    hidden_.push_back(take(c.d_model));
    final_rms_ = take(1);
    features_ = take(c.d_model);
    logits_ = take_if(has_logits_, c.output_width());
    for (T*& slice : wide_) slice = take((max)(c.d_ff, c.q_width()));
    for (T*& slice : narrow_) slice = take((max)(c.d_model, c.q_width()));
    for (T*& slice : kv_) slice = take(c.kv_width());
    for (T*& slice : low_rank_) slice = take(c.d_model);
    const index_t longest = (min)(capacity_, c.max_seq);
    scratch_ = take(attention_scratch<T>(longest, c.head_size()) / capacity_ + 1);
    return used;
  }

  [[nodiscard]] matrix_view<T> view(T* data, index_t columns) const { return {data, rows_, columns}; }

  config config_;
  index_t capacity_;
  bool has_logits_;
  index_t rows_ = 0;
  Eigen::Matrix<T, Eigen::Dynamic, 1> storage_;
  std::vector<T*> hidden_;
  std::vector<layer_activations> layers_;
  T *final_rms_, *features_, *logits_;
  T *wide_[3], *narrow_[3], *kv_[3], *low_rank_[2], *scratch_;  // scratch of both passes
};

}  // namespace hone::transformer
