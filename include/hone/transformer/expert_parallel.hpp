// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Experts that lie on several ranks. Of a layer's experts rank r owns part_of(experts, r, ranks), and it holds tokens
/// of its own, with a plan for them. The rows of its slots go to the owners, run through the experts there and come
/// back; only the owner gets gradients of an expert's matrices. An owner takes rows by ascending rank, then token: as
/// one process has them that holds the tokens of all ranks, in that order. All bits are those of that process.
///
/// No row is added to make parts equal, none is dropped; a rank without tokens, without experts or whose experts get no
/// row takes part in each exchange all the same. Memory grows as it must, and never shrinks.
#pragma once
#include "hone/distributed/communicator.hpp"
#include "hone/transformer/experts.hpp"

#include <algorithm>

namespace HONE_NAMESPACE::transformer {

/// Where the slots of this rank's plan go, and what comes to its experts.
template <class T>
struct expert_exchange {
  std::vector<index_t> from;      ///< ranks + 1: slots [from[r], from[r + 1]) are at experts of rank r
  std::vector<index_t> to;        ///< ranks + 1: of the rows that come, [to[s], to[s + 1]) are rank s's
  moe::routing_plan<T> incoming;  ///< those rows as tokens with one slot each, at experts of the whole layer
};

namespace detail {

/// @throws std::invalid_argument on every rank unless all have the same number of experts, the same width and type of
///         rows, and a plan with offsets of its slots.
template <class T, class C>
void agree_on_experts(const moe::routing_plan<T>& plan, index_t width, const char* function, C& comm) {
  constexpr std::size_t fields = 4;
  const bool fits = plan.experts >= 0 && !plan.offsets.empty() && plan.offsets.front() == 0 &&
                    static_cast<index_t>(plan.offsets.size()) == plan.experts + 1 &&
                    plan.offsets.back() == plan.size() && std::is_sorted(plan.offsets.begin(), plan.offsets.end());
  const index_t own[fields] = {plan.experts, width, static_cast<index_t>(scalar_format<T>), fits ? 1 : 0};
  constexpr const char* names[fields] = {"plan: experts", "width", "rows: format", "plan: offsets of its slots"};
  const auto ranks = static_cast<std::size_t>(comm.size());
  std::vector<index_t> said, all(fields * ranks);
  for (std::size_t r = 0; r < ranks; ++r) said.insert(said.end(), own, own + fields);
  comm.all_to_all(std::span<const index_t>(said), std::span(all));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const index_t expected = i % fields + 1 == fields ? 1 : all[i % fields];
    invalid_argument_unless(all[i] == expected, function, names[i % fields], "must be %td, on rank %zu is %td",
                            expected, i / fields, all[i]);
  }
}

/// @p y <- the rows that ranks have for this one, of which rank s sends [to[s], to[s + 1]).
template <class T, class C>
void exchange_rows(const matrix_view<const T>& x, std::span<const index_t> from, const matrix_view<T>& y,
                   std::span<const index_t> to, C& comm) {
  std::vector<index_t> cuts(from.begin(), from.end());
  cuts.insert(cuts.end(), to.begin(), to.end());
  for (index_t& cut : cuts) cut *= x.cols();
  const std::span<const index_t> all(cuts);
  comm.all_to_all(std::span<const T>(x.data(), static_cast<std::size_t>(x.rows() * x.cols())), all.first(from.size()),
                  std::span<T>(y.data(), static_cast<std::size_t>(y.rows() * y.cols())), all.subspan(from.size()));
}

}  // namespace detail

/// Finds out what comes to this rank's experts: @p e, whose incoming plan has gates of 1.
/// @param plan of this rank's tokens among all experts of the layer. @param width elements of a row.
/// @throws std::invalid_argument on every rank unless all have plans of as many experts, rows of as many elements of
///         one type, and offsets that are those of the slots; on this rank, if 2^31 rows or more come to it.
/// @note Two exchanges of a few indices and of a load an expert.
template <class T, distributed::exchanger<index_t> C>
void plan_exchange(const moe::routing_plan<T>& plan, index_t width, expert_exchange<T>& e, C&& comm) {
  const char* function = "hone::transformer::plan_exchange";
  detail::agree_on_experts(plan, width, function, comm);
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  const index_t ranks = comm.size();
  const auto [first, last] = part_of(plan.experts, comm.rank(), ranks);
  const index_t own = last - first;
  std::vector<index_t> owners{0}, came{0}, loads;
  e.from.assign(1, 0);
  for (index_t r = 0; r < ranks; ++r) {
    owners.push_back(part_of(plan.experts, r, ranks).second);
    came.push_back(came.back() + own);
    e.from.push_back(plan.offsets[at(owners.back())]);
  }
  for (index_t i = 0; i < plan.experts; ++i) loads.push_back(plan.load(i));
  std::vector<index_t> load(at(ranks * own));  // by rank, then expert
  comm.all_to_all(std::span<const index_t>(loads), std::span<const index_t>(owners), std::span(load),
                  std::span<const index_t>(came));

  moe::routing_plan<T>& in = e.incoming;
  in.experts = plan.experts;
  in.offsets.assign(at(plan.experts) + 1, 0);
  e.to.assign(1, 0);
  std::vector<index_t> next(load.size());  // row of each rank and expert
  for (index_t s = 0, row = 0; s < ranks; ++s) {
    for (index_t i = 0; i < own; ++i) {
      next[at(s * own + i)] = row;
      row += load[at(s * own + i)];
      in.offsets[at(first + i) + 1] += load[at(s * own + i)];
    }
    e.to.push_back(row);
  }
  for (index_t i = 0; i < plan.experts; ++i) in.offsets[at(i) + 1] += in.offsets[at(i)];
  in.tokens = e.to.back();
  invalid_argument_unless(in.tokens <= 2147483647, function, "plan", "%td rows come to this rank", in.tokens);
  in.token.resize(at(in.tokens));
  in.gate.assign(at(in.tokens), T{1});
  std::size_t slot = 0;
  for (index_t i = 0; i < own; ++i)
    for (index_t s = 0; s < ranks; ++s)
      for (index_t k = 0; k < load[at(s * own + i)]; ++k)
        in.token[slot++] = static_cast<std::int32_t>(next[at(s * own + i)] + k);
  moe::transpose(in);
}

/// @p received (a row each that comes, by rank) <- what the ranks have in @p slot_rows (a row a slot of their plans).
/// @pre Both contiguous, as wide as each other.
template <class T, distributed::exchanger<T> C>
void send_to_owners(const expert_exchange<T>& e, matrix_view<const std::type_identity_t<T>> slot_rows,
                    const matrix_view<T>& received, C&& comm) {
  detail::exchange_rows<T>(slot_rows, e.from, received, e.to, comm);
}

/// The way back of `send_to_owners`.
template <class T, distributed::exchanger<T> C>
void send_back(const expert_exchange<T>& e, matrix_view<const std::type_identity_t<T>> received,
               const matrix_view<T>& slot_rows, C&& comm) {
  detail::exchange_rows<T>(received, e.to, slot_rows, e.from, comm);
}

/// What the forward pass leaves for the backward pass, of one layer.
template <class T>
struct exchanged_experts {
  expert_exchange<T> exchange;
  std::vector<T> x, gate, up;  ///< of the rows that came: (d_model), (d_ff), (d_ff)
};

/// What a pass needs while it runs; any layer may use it next.
template <class T>
struct exchange_memory {
  std::vector<T> slot_rows, answers, dy;  ///< (d_model): rows of slots, of what came
  std::vector<T> gates, dgates;           ///< of what came, by row and by slot
  std::vector<T> rows;                    ///< between: (3 d_model + 4 d_ff)

  /// @param kept whose gate and up @p count rows have.
  expert_rows<T> at_experts(exchanged_experts<T>& kept, index_t count, index_t d_model, index_t d_ff) {
    T* next = detail::sized(rows, count, 3 * d_model + 4 * d_ff).data();
    const auto take = [&](index_t width) {
      return matrix_view<T>(std::exchange(next, next + count * width), count, width);
    };
    return {.gate = detail::sized(kept.gate, count, d_ff),
            .up = detail::sized(kept.up, count, d_ff),
            .x = take(d_model),
            .y = take(d_model),
            .gated = take(d_ff),
            .dy = take(d_model),
            .weighted = take(d_ff),
            .dgate = take(d_ff),
            .dup = take(d_ff)};
  }
};

namespace detail {

/// Memory for @p count rows to which adding x leaves the bits of x, of either zero too.
template <class T>
matrix_view<T> nothing(std::vector<T>& memory, index_t count, index_t width) {
  const matrix_view<T> rows = sized(memory, count, width);
  fill(flat(rows), -T{0});
  return rows;
}

template <class... E>
executor_reference pool_of(E&... pool) {
  static constexpr serial alone;
  if constexpr (sizeof...(E) == 0)
    return alone;
  else
    return (pool, ...);
}

}  // namespace detail

/// `experts_forward` where each rank brings tokens of its own.
/// @param p is asked for the matrices of this rank's experts only. @param pool none, or one, as `experts_forward`.
/// @throws std::invalid_argument as `plan_exchange`.
/// @note A row there and back for each slot, beside `plan_exchange`.
template <class T, class Products, class C, class... E>
  requires(distributed::exchanger<C, index_t> && distributed::exchanger<C, T> && sizeof...(E) <= 1)
void experts_forward_over_ranks(const Products& p, index_t layer, const moe::routing_plan<T>& plan,
                                matrix_view<const std::type_identity_t<T>> x, index_t d_ff, exchanged_experts<T>& kept,
                                exchange_memory<T>& m, const matrix_view<T>& y, C&& comm, E&&... pool) {
  const index_t d = x.cols();
  plan_exchange(plan, d, kept.exchange, comm);
  const moe::routing_plan<T>& in = kept.exchange.incoming;
  const matrix_view<T> slot_rows = detail::sized(m.slot_rows, plan.size(), d),
                       came = detail::sized(kept.x, in.tokens, d);
  detail::gather<T>(plan, 0, x, slot_rows);
  send_to_owners(kept.exchange, slot_rows, came, comm);
  const matrix_view<T> answers = detail::nothing(m.answers, in.tokens, d);
  experts_forward(p, layer, in, came, m.at_experts(kept, in.tokens, d, d_ff), answers, pool...);
  send_back(kept.exchange, answers, slot_rows, comm);
  detail::combine(plan, slot_rows, plan.gate.data(), y, detail::pool_of(pool...));
}

/// `experts_backward` where each rank brings tokens of its own: @p dgates and @p dx are of these, the gradients of
/// matrices of this rank's experts over the tokens of all.
/// @param plan, kept as of the forward pass. @param p, pool as `experts_backward`; of its own experts only.
/// @note A row and a gate there and back for each slot.
template <class T, class Products, class C, class... E>
  requires(distributed::exchanger<C, T> && sizeof...(E) <= 1)
void experts_backward_over_ranks(const Products& p, index_t layer, const moe::routing_plan<T>& plan,
                                 matrix_view<const std::type_identity_t<T>> dy, index_t d_ff,
                                 exchanged_experts<T>& kept, exchange_memory<T>& m, T* dgates, const matrix_view<T>& dx,
                                 C&& comm, E&&... pool) {
  const index_t d = dy.cols();
  moe::routing_plan<T>& in = kept.exchange.incoming;
  const matrix_view<T> slot_rows = detail::sized(m.slot_rows, plan.size(), d), came = detail::sized(m.dy, in.tokens, d);
  const matrix_view<T> gates = detail::sized(m.gates, in.tokens, 1), slopes = detail::sized(m.dgates, in.tokens, 1);
  detail::gather<T>(plan, 0, dy, slot_rows);
  send_to_owners(kept.exchange, slot_rows, came, comm);
  send_to_owners(kept.exchange, {plan.gate.data(), plan.size(), 1}, gates, comm);
  for (index_t s = 0; s < in.tokens; ++s)
    in.gate[static_cast<std::size_t>(s)] = gates(in.token[static_cast<std::size_t>(s)], 0);
  const matrix_view<T> answers = detail::nothing(m.answers, in.tokens, d);
  experts_backward(p, layer, in, detail::sized(kept.x, in.tokens, d), came, m.at_experts(kept, in.tokens, d, d_ff),
                   slopes.data(), answers, pool...);
  for (index_t s = 0; s < in.tokens; ++s) gates(in.token[static_cast<std::size_t>(s)], 0) = slopes(s, 0);
  send_back(kept.exchange, gates, matrix_view<T>(dgates, plan.size(), 1), comm);
  send_back(kept.exchange, answers, slot_rows, comm);
  detail::combine<T>(plan, slot_rows, nullptr, dx, detail::pool_of(pool...));
}

}  // namespace HONE_NAMESPACE::transformer
