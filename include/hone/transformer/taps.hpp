// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Hidden states as they appear in a forward pass: rows of the residual stream, handed to a callable layer by layer
/// where they lie. Layers are numbered as gradients of taps are: 0 … n_layers is what enters a layer, `hidden(layer)`,
/// with n_layers what the final norm reads, and n_layers + 1 what it makes, `features()`.
#pragma once
#include "hone/core/view.hpp"
#include "hone/routing/sink.hpp"
#include "hone/transformer/batch.hpp"
#include "hone/transformer/config.hpp"

#include <concepts>
#include <span>
#include <type_traits>

namespace HONE_NAMESPACE::transformer {

/// Takes nothing, and costs nothing.
struct no_tap {
  template <class T>
  void operator()(index_t, const matrix_view<const T>&) const {}
};

/// Called with a layer in [0, n_layers + 1] and its rows (rows x d_model), which are there during the call.
template <class F, class T>
concept layer_tap = std::invocable<F&, index_t, const matrix_view<const T>&>;

template <class F>
inline constexpr bool taps_something = !std::is_same_v<std::remove_cvref_t<F>, no_tap>;

/// Hands the states of a pass to the sinks of a router: 0 … n_layers - 1 and, as the router was trained on, the last
/// one after the final norm or before it. A model of other layers or width is a fault of the sinks.
class state_tap {
 public:
  /// All rows are of one sequence. @p sink must outlive this.
  state_tap(const config& c, routing::state_sink& sink) : n_layers_(c.n_layers), sinks_(&sink, 1) {}
  /// A sink for each sequence of @p b; both must outlive this.
  /// @throws std::invalid_argument if there are more or fewer.
  state_tap(const config& c, std::span<routing::state_sink> sinks, const batch& b)
      : n_layers_(c.n_layers), sinks_(sinks), offsets_(b.offsets) {
    invalid_argument_unless(std::ssize(sinks) == b.sequences(), "hone::transformer::state_tap", "sinks",
                            "has %zu for %td sequences", sinks.size(), b.sequences());
  }

  void operator()(index_t layer, const matrix_view<const float>& rows) const {
    for (std::size_t s = 0; s < sinks_.size(); ++s) {
      if (sinks_[s].router().states != n_layers_ + 1) {
        sinks_[s].add(-1, {});  // of another model: no state of this one is meant
        continue;
      }
      const bool after = sinks_[s].router().last == routing::last_state::after_norm;
      if (layer >= n_layers_ && (layer > n_layers_) != after) continue;
      const index_t begin = offsets_.empty() ? 0 : offsets_[s], end = offsets_.empty() ? rows.rows() : offsets_[s + 1];
      sinks_[s].add(static_cast<std::int32_t>((min)(layer, n_layers_)),
                    {.data = rows.data() + begin * rows.row_stride(),
                     .rows = end - begin,
                     .width = static_cast<std::int32_t>(rows.cols()),
                     .stride = rows.row_stride(),
                     .type = routing::number::float32});
    }
  }

 private:
  index_t n_layers_;
  std::span<routing::state_sink> sinks_;
  std::span<const index_t> offsets_;
};

}  // namespace HONE_NAMESPACE::transformer
