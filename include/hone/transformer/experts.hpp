// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The products of a layer's experts over a routing plan, and back:
///   y_t += sum_s g_s W2_e (silu(W1_e x_t) W3_e x_t)   over the slots s of token t, of expert e each, e ascending
/// The rows of an expert are gathered and go through its matrices together; none is added to fill a capacity. An expert
/// without tokens is passed over: its gradient stays as it was. Nothing here knows how tokens were routed.
///
/// On the calling thread they run with the products of any object of transformer/product.hpp, on an executor with
/// frozen or trained ones, and then with the same bits: those of a row do not depend on the rows beside it, so that
/// slots, and rows of W, can be dealt to workers evenly over all experts.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/moe/plan.hpp"
#include "hone/transformer/batch.hpp"
#include "hone/transformer/mlp_block.hpp"

#include <algorithm>
#include <utility>

namespace HONE_NAMESPACE::transformer {

/// Rows at experts: what enters and leaves them, and what is between.
template <class T>
struct expert_rows {
  matrix_view<T> gate, up;                  ///< (d_ff): what the forward pass leaves for the backward pass
  matrix_view<T> x, y;                      ///< (d_model): inputs; outputs, or the gradient of the inputs
  matrix_view<T> gated;                     ///< (d_ff)
  matrix_view<T> dy, weighted, dgate, dup;  ///< (d_model), (d_ff), (d_ff), (d_ff): in the backward pass

  /// @p count rows from @p slot on of what is kept, from @p row on of the others.
  [[nodiscard]] expert_rows part(index_t slot, index_t row, index_t count) const {
    const auto of = [count](const matrix_view<T>& m, index_t first) {
      return matrix_view<T>(m.data() + first * m.cols(), count, m.cols());
    };
    return {of(gate, slot), of(up, slot),      of(x, row),     of(y, row),  of(gated, row),
            of(dy, row),    of(weighted, row), of(dgate, row), of(dup, row)};
  }
};

namespace detail {

constexpr gated_products products_of(index_t layer, index_t expert) {
  return {{role::w1, layer, expert}, {role::w2, layer, expert}, {role::w3, layer, expert}};
}

}  // namespace detail

/// y = W2 (silu(W1 x) W3 x) with the matrices of @p expert, for the rows of @p r.
/// @note 6 d_model d_ff flops a row.
template <class T, class Products>
void expert_forward(const Products& p, index_t layer, index_t expert, const expert_rows<T>& r) {
  detail::products_of(layer, expert).template forward<Products, T>(p, r.x, r.gate, r.up, r.gated, r.y);
}

/// @param r with the x, gate and up of the forward pass and the gradient dy of what the rows were added to; y receives
///        that of x. @param gates of the rows. @param dgates receives the gradients of these, <dy, output>.
/// @note 12 d_model d_ff flops a row, or 6 where the matrices are frozen.
template <class T, class Products>
void expert_backward(const Products& p, index_t layer, index_t expert, const expert_rows<T>& r, const T* gates,
                     T* dgates) {
  const auto weigh = [gates](const matrix_view<T>& from, const matrix_view<T>& to) {
    for (index_t i = 0; i < from.rows(); ++i)
      for (index_t j = 0; j < from.cols(); ++j) to(i, j) = gates[i] * from(i, j);
  };
  swiglu_forward<T>(detail::flat(r.gate), detail::flat(r.up), detail::flat(r.gated));
  // The gates go with W2's inputs: what comes back has none yet, and with the inputs gives the gates' own gradient.
  weigh(r.gated, r.weighted);
  const gated_products own = detail::products_of(layer, expert);
  p.backward(own.w2, r.dy, r.weighted, r.dup, into::overwrite);
  for (index_t i = 0; i < r.dup.rows(); ++i) dgates[i] = static_cast<T>(dot(r.dup.row(i), r.gated.row(i)));
  weigh(r.dup, r.dup);
  own.template backward_inputs<Products, T>(p, r.x, r.gate, r.up, r.dgate, r.dup, r.y);
}

namespace detail {

/// The rows of @p from that slots from @p first on have.
template <class T>
void gather(const moe::routing_plan<T>& plan, index_t first, const matrix_view<const T>& from,
            const matrix_view<T>& to) {
  for (index_t i = 0; i < to.rows(); ++i) copy(from.row(plan.token[static_cast<std::size_t>(first + i)]), to.row(i));
}

}  // namespace detail

/// Adds to @p y (tokens x d_model) what the experts make of @p x (tokens x d_model).
/// @param r gate and up of all slots, or, where no backward pass follows, of the largest load; the others of the
///        largest load, of which those of the backward pass may be empty.
/// @note Serial; allocates nothing.
template <class T, class Products>
void experts_forward(const Products& p, index_t layer, const moe::routing_plan<T>& plan,
                     matrix_view<const std::type_identity_t<T>> x, const expert_rows<T>& r, const matrix_view<T>& y) {
  const bool kept = r.gate.rows() >= plan.size();
  for (index_t e = 0; e < plan.experts; ++e) {
    const index_t first = plan.offsets[static_cast<std::size_t>(e)], count = plan.load(e);
    if (count == 0) continue;
    const expert_rows<T> own = r.part(kept ? first : 0, 0, count);
    detail::gather<T>(plan, first, x, own.x);
    expert_forward(p, layer, e, own);
    for (index_t i = 0; i < count; ++i) {
      const auto slot = static_cast<std::size_t>(first + i);
      axpy(plan.gate[slot], own.y.row(i), y.row(plan.token[slot]));
    }
  }
}

/// @param x, r as of the forward pass. @param dy (tokens x d_model) the gradient of y. @param dgates receives those of
///        the plan's gates. @param dx (tokens x d_model) is added to.
/// @note Serial; allocates nothing.
template <class T, class Products>
void experts_backward(const Products& p, index_t layer, const moe::routing_plan<T>& plan,
                      matrix_view<const std::type_identity_t<T>> x, matrix_view<const std::type_identity_t<T>> dy,
                      const expert_rows<T>& r, T* dgates, const matrix_view<T>& dx) {
  for (index_t e = 0; e < plan.experts; ++e) {
    const index_t first = plan.offsets[static_cast<std::size_t>(e)], count = plan.load(e);
    if (count == 0) continue;
    const expert_rows<T> own = r.part(first, 0, count);
    detail::gather<T>(plan, first, x, own.x);
    detail::gather<T>(plan, first, dy, own.dy);
    expert_backward(p, layer, e, own, plan.gate.data() + first, dgates + first);
    for (index_t i = 0; i < count; ++i)
      axpy(T{1}, own.y.row(i), dx.row(plan.token[static_cast<std::size_t>(first + i)]));
  }
}

/// Part @p i of @p parts of a plan's slots: f(expert, first, count) for each expert that has slots in it, @p first of
/// all slots. A slot is the same work in any expert: no part has more than one slot more than another.
template <class T, class F>
void deal_slots(const moe::routing_plan<T>& plan, index_t i, index_t parts, F&& f) {
  const auto [begin, end] = part_of(plan.size(), i, parts);
  const auto& offsets = plan.offsets;
  auto e = std::upper_bound(offsets.begin(), offsets.end(), begin) - offsets.begin() - 1;
  for (index_t first = begin; first < end; ++e) {
    const index_t last = (min)(offsets[static_cast<std::size_t>(e) + 1], end);
    if (first < last) f(static_cast<index_t>(e), first, last - first);
    first = last;
  }
}

/// The rows of all slots, for what runs on an executor, or those of one expert after another; grows as it must, and
/// never shrinks.
template <class T>
struct expert_memory {
  std::vector<T> memory;

  /// For a serial forward pass of @p plan with nothing kept: of the largest load.
  expert_rows<T> passing(const moe::routing_plan<T>& plan, index_t d_model, index_t d_ff) {
    index_t most = 0;
    for (index_t e = 0; e < plan.experts; ++e) most = (max)(most, plan.load(e));
    T* next = detail::sized(memory, most, 2 * d_model + 3 * d_ff).data();
    const auto take = [&](index_t width) {
      return matrix_view<T>(std::exchange(next, next + most * width), most, width);
    };
    return {take(d_ff), take(d_ff), take(d_model), take(d_model), take(d_ff), {}, {}, {}, {}};
  }
  /// @param slot_count, d_model, d_ff of the rows.
  expert_rows<T> rows(index_t slot_count, index_t d_model, index_t d_ff) {
    T* next = detail::sized(memory, slot_count, 3 * d_model + 6 * d_ff).data();
    const auto take = [&](index_t width) {
      return matrix_view<T>(std::exchange(next, next + slot_count * width), slot_count, width);
    };
    return {take(d_ff),    take(d_ff), take(d_model), take(d_model), take(d_ff),
            take(d_model), take(d_ff), take(d_ff),    take(d_ff)};
  }
};

namespace detail {

/// f(i, parts) for parts of the work, a few a worker: one that the system does not let run leaves some to the others.
template <class F>
void for_each_part(executor_reference pool, F&& f) {
  const index_t parts = 4 * pool.concurrency();
  pool.parallel_for(parts, 1, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) f(i, parts);
  });
}

/// to_t += sum_s gates_s rows_s over the slots of each token, in ascending expert; without gates, 1.
template <class T>
void combine(const moe::routing_plan<T>& plan, const matrix_view<T>& rows, const T* gates, const matrix_view<T>& to,
             executor_reference pool) {
  pool.parallel_for(plan.tokens, 16, [&](index_t begin, index_t end) {
    for (index_t t = begin; t < end; ++t)
      for (index_t k = plan.token_offsets[static_cast<std::size_t>(t)];
           k < plan.token_offsets[static_cast<std::size_t>(t) + 1]; ++k) {
        const index_t slot = plan.slot[static_cast<std::size_t>(k)];
        axpy(gates == nullptr ? T{1} : gates[slot], rows.row(slot), to.row(t));
      }
  });
}

}  // namespace detail

/// `experts_forward` on an executor, with its bits.
/// @param p products that several threads may call: those of parameters in T, or packed ones.
/// @param r all of it of all slots. @note A read and a write of the outputs of all slots more.
template <class T, class Products, executor E>
void experts_forward(const Products& p, index_t layer, const moe::routing_plan<T>& plan,
                     matrix_view<const std::type_identity_t<T>> x, const expert_rows<T>& r, const matrix_view<T>& y,
                     E&& pool) {
  detail::for_each_part(pool, [&](index_t i, index_t parts) {
    deal_slots(plan, i, parts, [&](index_t e, index_t first, index_t count) {
      const expert_rows<T> own = r.part(first, first, count);
      detail::gather<T>(plan, first, x, own.x);
      expert_forward(p, layer, e, own);
    });
  });
  detail::combine(plan, r.y, plan.gate.data(), y, pool);
}

/// `experts_backward` on an executor, with its bits: first what goes on, dealt by slots, then the gradients of W, by
/// rows of W.
template <class T, executor E>
void experts_backward(const trained_products<T>& p, index_t layer, const moe::routing_plan<T>& plan,
                      matrix_view<const std::type_identity_t<T>> x, matrix_view<const std::type_identity_t<T>> dy,
                      const expert_rows<T>& r, T* dgates, const matrix_view<T>& dx, E&& pool) {
  detail::for_each_part(pool, [&](index_t i, index_t parts) {
    deal_slots(plan, i, parts, [&](index_t e, index_t first, index_t count) {
      const expert_rows<T> own = r.part(first, first, count);
      detail::gather<T>(plan, first, x, own.x);
      detail::gather<T>(plan, first, dy, own.dy);
      expert_backward(p.read, layer, e, own, plan.gate.data() + first, dgates + first);
    });
  });
  detail::for_each_part(pool, [&](index_t i, index_t parts) {
    deal_slots(plan, i, parts, [&](index_t e, index_t first, index_t count) {
      const index_t begin = plan.offsets[static_cast<std::size_t>(e)], load = plan.load(e);
      const expert_rows<T> all = r.part(begin, begin, load);
      const auto add = [&](role which, const matrix_view<T>& slope, const matrix_view<T>& inputs) {
        const auto dw = p.gradient.matrix({which, layer, e});
        const index_t row = dw.rows() * (first - begin) / load, end = dw.rows() * (first + count - begin) / load;
        few_rows_backward_weight<T>(detail::columns_of(slope, row, end - row), inputs,
                                    matrix_view<T>(dw.row(row).data(), end - row, dw.cols()));
      };
      add(role::w2, all.dy, all.weighted);
      add(role::w1, all.dgate, all.x);
      add(role::w3, all.dup, all.x);
    });
  });
  detail::combine<T>(plan, r.y, nullptr, dx, pool);
}

}  // namespace HONE_NAMESPACE::transformer
