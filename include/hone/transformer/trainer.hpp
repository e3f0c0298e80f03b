// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The gradient of a loss over many sequences, by any number of workers, with the same bits. The sequences are cut into
/// microbatches by their lengths alone; microbatch i belongs to lane i mod L, each lane adds up its gradients in order
/// in a buffer of its own, and the lanes are added in a fixed tree. Workers only decide who computes a lane when.
#pragma once
#include "hone/loss/batch.hpp"
#include "hone/transformer/decoder.hpp"

namespace HONE_NAMESPACE::transformer {

/// A model that can be trained: `decoder`, or `adapted_decoder`, whose parameters are those of its adapter.
template <class M, class T>
concept trainable = requires(const M& m, std::span<const T> p, std::span<T> g, const batch& b, workspace<T>& w,
                             matrix_view<const T> dlogits, std::span<const tap_gradient<T>> taps) {
  { m.shape() } -> std::convertible_to<const config&>;
  { m.parameters() } -> std::convertible_to<index_t>;
  m.forward(p, b, w);
  m.backward(p, b, w, dlogits, taps, g);
};

/// What a loss is handed: the activations of a few sequences of the batch, after their forward pass.
template <class T>
struct microbatch {
  batch tokens;            ///< these sequences alone
  index_t first_sequence;  ///< where they begin in the whole batch
  index_t first_row;
  index_t lane;  ///< in [0, size()) of its lanes; parts of one lane never run at the same time
  workspace<T>& activations;
  bool logits_have_gradient = true;      ///< false: only taps do, and the classifier is passed over
  std::vector<tap_gradient<T>> taps{};   ///< gradients on hidden states and router logits
  std::vector<std::vector<T>> memory{};  ///< that the taps may lie in

  /// The part of @p x, one element a row of the whole batch, that belongs here.
  template <class X>
  [[nodiscard]] std::span<const X> rows_of(std::span<const X> x) const {
    return x.subspan(static_cast<std::size_t>(first_row), static_cast<std::size_t>(tokens.rows()));
  }
  /// A copy of hidden states, for a loss to turn into their gradient; `taps` are handed this layer with it.
  [[nodiscard]] matrix_view<T> tap(index_t layer) {
    const auto h = activations.hidden(layer);
    memory.emplace_back(h.data(), h.data() + h.rows() * h.cols());
    const matrix_view<T> copied(memory.back().data(), h.rows(), h.cols());
    taps.push_back({layer, copied});
    return copied;
  }
  /// Zeros, for balance losses to add the gradient of a layer's router logits to; `taps` are handed this layer with it.
  [[nodiscard]] matrix_view<T> router_tap(index_t layer) {
    const auto logits = activations.router_logits(layer);
    memory.emplace_back(static_cast<std::size_t>(logits.rows() * logits.cols()));
    const matrix_view<T> zeros(memory.back().data(), logits.rows(), logits.cols());
    taps.push_back({layer, zeros, tapped::router_logits});
    return zeros;
  }
};

/// Borders of runs of whole sequences of at most @p rows rows each: microbatch i has sequences [border[i],
/// border[i+1]).
/// @throws std::invalid_argument if a sequence has more than @p rows tokens.
inline std::vector<index_t> cut_microbatches(std::span<const index_t> offsets, index_t rows) {
  std::vector<index_t> borders = {0};
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
    invalid_argument_unless(offsets[s + 1] - offsets[s] <= rows, "hone::transformer::cut_microbatches", "offsets",
                            "sequence %zu has %td tokens, a microbatch %td rows", s, offsets[s + 1] - offsets[s], rows);
    if (offsets[s + 1] - offsets[static_cast<std::size_t>(borders.back())] > rows)
      borders.push_back(static_cast<index_t>(s));
  }
  if (offsets.size() > 1) borders.push_back(static_cast<index_t>(offsets.size()) - 1);
  return borders;
}

/// Memory for `accumulate_gradient`: L workspaces and gradients, or the share of them that one process of several
/// holds.
template <class T>
class gradient_lanes {
 public:
  /// @param rows of the largest microbatch: 128 to 256 keep a layer's activations in a second-level cache.
  /// @param lanes L, the most workers that can take part. Results depend on rows and L, not on the workers.
  /// @param part, parts this process is number @p part of so many, each of which hands in the same batches and does the
  ///        microbatches of its own lanes. Gradients and losses summed over them in a tree that halves as this one does
  ///        (`distributed::sum_over_ranks`) have the bits of one process if parts is a power of two that divides L.
  /// @throws std::invalid_argument unless lanes > 0 and 0 <= part < parts <= lanes.
  template <trainable<T> M>
  gradient_lanes(const M& model, index_t rows, index_t lanes = 4, index_t part = 0, index_t parts = 1)
      : rows_(rows), all_(lanes), first_(lanes * part / (max)(parts, index_t{1})) {
    const char* function = "hone::transformer::gradient_lanes";
    invalid_argument_unless(lanes > 0, function, "lanes", "must be positive, is %td", lanes);
    invalid_argument_unless(parts >= 1 && parts <= lanes, function, "parts", "must be in [1, %td], is %td", lanes,
                            parts);
    invalid_argument_unless(part >= 0 && part < parts, function, "part", "must be in [0, %td), is %td", parts, part);
    for (index_t i = first_; i < lanes * (part + 1) / parts; ++i)
      lane_.push_back(
          {workspace<T>(model.shape(), rows), std::vector<T>(static_cast<std::size_t>(model.parameters()))});
  }

  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] index_t size() const { return static_cast<index_t>(lane_.size()); }

  /// Runs the forward pass of every microbatch of @p b and hands it to @p f, with its lane's gradient:
  /// f(microbatch<T>&, std::span<T>) -> loss_sum. The sums are added in the tree of the lanes.
  template <trainable<T> M, class F, executor E>
  loss::loss_sum run(const M& model, std::span<const T> parameters, const batch& b, F&& f, E& pool) {
    const std::vector<index_t> borders = cut_microbatches(b.offsets, rows_);
    const auto count = static_cast<index_t>(borders.size()) - 1;
    std::vector<loss::loss_sum> sums(lane_.size());
    pool.parallel_for((min)(count, size()), index_t{1}, [&](index_t first, index_t last) {
      std::vector<index_t> offsets;
      for (index_t i = first; i < last; ++i) {
        auto& [activations, gradient] = lane_[static_cast<std::size_t>(i)];
        for (index_t j = first_ + i; j < count; j += all_) {
          const index_t begin = borders[static_cast<std::size_t>(j)], end = borders[static_cast<std::size_t>(j) + 1];
          const index_t row = b.begin(begin);
          offsets.clear();
          for (index_t s = begin; s <= end; ++s) offsets.push_back(b.offsets[static_cast<std::size_t>(s)] - row);
          microbatch<T> part{{b.tokens.subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(offsets.back())),
                              offsets, transformer::rows_of(b.capacities, begin, end - begin)},
                             begin,
                             row,
                             i,
                             activations};
          model.forward(parameters, part.tokens, activations);
          sums[static_cast<std::size_t>(i)] += f(part, std::span<T>(gradient));
        }
      }
    });
    return add(sums);
  }

  /// Makes the lanes zero where a pass before threw and left in them what it had.
  void start() {
    for (lane& l : lane_)
      if (!zero_) fill(l.gradient, T{0});
    zero_ = false;
  }

  /// gradient += the sum of the first @p count lanes, which become zero again.
  template <executor E>
  void reduce(index_t count, std::span<T> gradient, E& pool) {
    using packs = simd::pack<T>;
    const auto out = as_vector(gradient);
    for_each_block<T>(out.size(), pool, [&](index_t i, auto) HONE_INLINE_LAMBDA {
      // A pack at a time keeps the tree in registers: ((0+1)+(2+3))+…
      store_pack(out, i, out.size(), load_pack(out, i, out.size()) + sum_lanes<packs>(0, count, i, out.size()));
    });
    zero_ = true;
  }

 private:
  struct lane {
    workspace<T> activations;
    std::vector<T> gradient;
  };

  static loss::loss_sum add(std::span<const loss::loss_sum> sums) {
    if (sums.size() == 1) return sums[0];
    const std::size_t half = (sums.size() + 1) / 2;
    loss::loss_sum total = add(sums.first(half));
    return total += add(sums.subspan(half));
  }

  template <class Packs>
  Packs sum_lanes(index_t first, index_t count, index_t i, index_t end) {
    if (count == 1) {
      const auto g = as_vector(lane_[static_cast<std::size_t>(first)].gradient);
      const Packs value = load_pack(g, i, end);
      store_pack(g, i, end, Packs(0));
      return value;
    }
    const index_t half = (count + 1) / 2;
    return sum_lanes<Packs>(first, half, i, end) + sum_lanes<Packs>(first + half, count - half, i, end);
  }

  index_t rows_, all_, first_;
  std::vector<lane> lane_;
  bool zero_ = true;
};

/// Adds the gradient of a loss over the batch @p b to @p gradient and returns the loss.
/// @param loss loss(microbatch<T>&) -> loss_sum: reads part.activations.logits() or hidden states and leaves the
///        gradient in the logits, in part.taps, or both. Called from several threads at once, for different parts.
/// @throws std::invalid_argument if something does not fit; @p gradient is then as it was.
/// @note The same bits for any executor. About 6 flops a parameter and row, under an adapter about 4.
template <class T, trainable<T> M, class Loss, executor E = const serial>
loss::loss_sum accumulate_gradient(const M& model, std::span<const std::type_identity_t<T>> parameters, const batch& b,
                                   Loss&& loss, gradient_lanes<T>& lanes, std::span<std::type_identity_t<T>> gradient,
                                   E&& pool = serial{}) {
  invalid_argument_unless(static_cast<index_t>(gradient.size()) == model.parameters(),
                          "hone::transformer::accumulate_gradient", "gradient", "has %zu parameters, the model has %td",
                          gradient.size(), model.parameters());
  check_output(gradient, "hone::transformer::accumulate_gradient", "gradient");
  lanes.start();
  const auto total = lanes.run(
      model, parameters, b,
      [&](microbatch<T>& part, std::span<T> own) {
        const loss::loss_sum sum = loss(part);
        const auto logits = part.activations.logits();
        model.backward(parameters, part.tokens, part.activations,
                       part.logits_have_gradient ? matrix_view<const T>(logits) : matrix_view<const T>(), part.taps,
                       own);
        return sum;
      },
      pool);
  lanes.reduce(lanes.size(), gradient, pool);
  return total;
}

/// The forward half of `accumulate_gradient`: @p f(microbatch<T>&) -> loss_sum for every part, no gradient.
template <class T, trainable<T> M, class F, executor E = const serial>
loss::loss_sum evaluate(const M& model, std::span<const std::type_identity_t<T>> parameters, const batch& b, F&& f,
                        gradient_lanes<T>& lanes, E&& pool = serial{}) {
  return lanes.run(model, parameters, b, [&](microbatch<T>& part, std::span<T>) { return f(part); }, pool);
}

}  // namespace HONE_NAMESPACE::transformer
