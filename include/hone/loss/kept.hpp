// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Log-probabilities over kept sets. A token that was drawn from a cut distribution (top-k, top-p, a grammar) comes
/// with the set S of ids that the cut left, and
///   log p_S(y) = z_y / temperature - log sum_{v in S} exp(z_v / temperature)
/// is what it was drawn with: the ordinary row of the logits of S alone. Gradients are 0 outside S; nobody writes -inf
/// into logits. Over the whole vocabulary every log-ratio would be off by the logarithm of the mass of S.
///   kept_log_likelihood   log p_S(y) of rows
///   kept_likelihood       -sum log p_S(y) and its gradient
///   with_kept             any function of a row, on the logits of S
/// [DeepSeek-AI 2025, DeepSeek-V3.2, arXiv 2512.02556, Sec. 3.1, keep sampling mask]
#pragma once
#include "hone/loss/batch.hpp"

namespace HONE_NAMESPACE::loss {

/// S of each row as engines hand it over: ids[offsets[t]] … ids[offsets[t + 1] - 1] ascend, each once. A row without
/// ids has no cut: S is the vocabulary.
struct kept_sets {
  label_view ids;                    ///< int32 or int64
  std::span<const index_t> offsets;  ///< rows + 1 borders from 0 to the number of ids

  [[nodiscard]] label_view of(index_t row) const {
    const auto t = static_cast<std::size_t>(row);
    return ids.subspan(static_cast<std::size_t>(offsets[t]), static_cast<std::size_t>(offsets[t + 1] - offsets[t]));
  }
};

namespace detail {

/// Where @p id lies among the ascending @p ids; their number if it is not one of them.
inline std::size_t place_of(std::int64_t id, label_view ids) {
  std::size_t first = 0, last = ids.size();
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    if (ids[middle] < id)
      first = middle + 1;
    else
      last = middle;
  }
  return first < ids.size() && ids[first] == id ? first : ids.size();
}

}  // namespace detail

/// @throws std::invalid_argument, in the name of @p function, unless the ids of every row ascend within [0, @p vocab),
///         and the label of every row that counts is one of its ids, if it has any.
inline void check_kept(const kept_sets& kept, label_view targets, index_t vocab, const char* function) {
  check_offsets(kept.offsets, static_cast<index_t>(kept.ids.size()), targets.size(), function);
  for (std::size_t t = 0; t < targets.size(); ++t) {
    const label_view ids = kept.of(static_cast<index_t>(t));
    std::int64_t before = -1;
    for (std::size_t i = 0; i < ids.size(); before = ids[i++])
      invalid_argument_unless(ids[i] > before && ids[i] < vocab, function, "kept",
                              "id %lld of row %zu must be above the one before it, %lld, and below %td",
                              static_cast<long long>(ids[i]), t, static_cast<long long>(before), vocab);
    invalid_argument_unless(ids.empty() || targets[t] < 0 || detail::place_of(targets[t], ids) < ids.size(), function,
                            "kept", "label %lld of row %zu is not kept", static_cast<long long>(targets[t]), t);
  }
}

/// f(row), row the logits of @p ids one after the other, of which f makes their gradient; then @p z has it where they
/// lay, and 0 elsewhere. No ids: f(z). Returns what f returns.
/// @pre the ids ascend within [0, V).
/// @note The row is made within z, so that nothing is allocated.
template <mutable_vector Z, class F>
auto with_kept(Z&& z, label_view ids, F&& f) {
  using T = element_t<Z>;
  const auto zs = output_vector(z, "hone::loss::with_kept", "z");
  if (ids.empty()) return f(zs);
  const auto id = [&](index_t i) { return static_cast<index_t>(ids[static_cast<std::size_t>(i)]); };
  const auto count = static_cast<index_t>(ids.size());
  for (index_t i = 0; i < count; ++i) zs[i] = zs[id(i)];
  const auto result = f(zs.subvector(0, count));
  // From the end: an id is never before its place, so that nothing is overwritten before it moves.
  index_t end = zs.size();
  const auto clear_after = [&](index_t at) {
    if (end > at + 1) fill(zs.subvector(at + 1, end - at - 1), accumulator_t<T>{0});
    end = at;
  };
  for (index_t i = count; i-- > 0;) {
    const T gradient = zs[i];
    clear_after(id(i));
    zs[id(i)] = gradient;
  }
  clear_after(-1);
  return result;
}

/// log p_S(y) of each row into @p out (rows), at most 0, and 0 where ignored; the sum is that of -log p_S(y). Nothing
/// else is written.
/// @param logits (rows x V); @param targets (rows) in S, or negative: ignored.
/// @throws std::invalid_argument as `log_likelihood`, if ids do not ascend within [0, V), or if a label is not kept: it
///         cannot have been drawn.
/// @note Reads no other logits than those of S. Rows whose own are not finite (NaN, +inf, all -inf; y at -inf) are
///       counted. Allocates nothing; bitwise for any executor; the bits of `log_likelihood` where S is the vocabulary.
///       Weights multiply the sum, not @p out.
template <matrix_like Z, mutable_vector Out, executor E = const serial>
loss_sum kept_log_likelihood(const Z& logits, label_view targets, const kept_sets& kept, Out&& out,
                             const row_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::loss::kept_log_likelihood";
  const auto zs = as_matrix(logits);
  const auto outs = output_vector(out, function, "out");
  check_rows(zs.rows(), zs.cols(), targets, options, function);
  check_kept(kept, targets, zs.cols(), function);
  invalid_argument_unless(outs.size() == zs.rows(), function, "out", "has %td elements, logits has %td rows",
                          outs.size(), zs.rows());
  using A = accumulator_t<element_t<Z>>;
  using O = element_t<Out>;
  return detail::sum_rows(
      zs.rows(), targets,
      [&](index_t row, index_t target) {
        const auto z = zs.row(row);
        const label_view ids = kept.of(row);
        double log_p;
        if (ids.empty()) {
          log_p = log_probability(z, target, options.temperature);
        } else {
          detail::row_sums<A, false> sums{options.temperature};
          detail::for_each_tile(static_cast<index_t>(ids.size()), [&](index_t begin, index_t end) {
            alignas(64) A logits_of[detail::tile];
            for (index_t i = begin; i < end; ++i)
              logits_of[i - begin] = to_accumulator(z[static_cast<index_t>(ids[static_cast<std::size_t>(i)])]);
            const vector_view<A> part(logits_of, end - begin);
            sums.add(part, 0, part.size(), detail::tile_max(part, 0, part.size()));
          });
          log_p = sums.summary().normalizer.log_probability(static_cast<double>(to_accumulator(z[target])));
        }
        outs[row] = from_accumulator<O>(static_cast<accumulator_t<O>>(log_p));
        return detail::weighted(detail::weight_of(options, row), -log_p);
      },
      [&](index_t row) { outs[row] = from_accumulator<O>(0); }, pool);
}

/// -sum log p_S(y); the logits become its gradient w (p_S - 1_y) / temperature, 0 outside S and on ignored rows. In a
/// policy's loss over kept sets -w is `row_terms::target`.
/// Arguments and errors are those of `kept_log_likelihood`; nothing is written when it throws.
/// @note One write of each row, and the work of `likelihood` on rows of S alone, whose bits these are where S is the
///       vocabulary. Allocates nothing; bitwise for any executor.
template <mutable_matrix Z, executor E = const serial>
loss_sum kept_likelihood(Z&& logits, label_view targets, const kept_sets& kept, const row_options& options = {},
                         E&& pool = serial{}) {
  const char* function = "hone::loss::kept_likelihood";
  const auto zs = output_matrix(logits, function, "logits");
  check_rows(zs.rows(), zs.cols(), targets, options, function);
  check_kept(kept, targets, zs.cols(), function);
  return detail::sum_gradient_rows(
      zs, targets,
      [&](index_t row, index_t target) {
        const label_view ids = kept.of(row);
        const double weight = detail::weight_of(options, row);
        const auto terms = [&](const row_summary&, double) { return row_terms{.target = -options.scale * weight}; };
        const index_t place = ids.empty() ? target : static_cast<index_t>(detail::place_of(target, ids));
        return detail::weighted(weight, -with_kept(zs.row(row), ids, [&](const auto& z) {
                                  return fused_gradient(z, options.temperature, place, {}, terms);
                                }));
      },
      pool);
}

}  // namespace HONE_NAMESPACE::loss
