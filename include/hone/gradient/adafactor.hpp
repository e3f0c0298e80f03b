// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Adafactor: AdamW's step with the second moments of a matrix kept as one number a row and one a column. For step t =
/// 1, 2, … of a rows x cols gradient G, with b = 1 - t^-0.8,
///   R_i <- b R_i + (1 - b) mean_j (G_ij^2 + e1)      C_j <- b C_j + (1 - b) mean_i (G_ij^2 + e1)
///   U_ij = G_ij / sqrt(R_i C_j / mean R)             U <- U / max(1, rms(U) / clip)
///   P <- P - a U - a decay P                         a = rate max(e2, rms(P)),   rate = min(0.01, 1 / sqrt(t))
/// [Shazeer, Stern 2018, Adafactor, arXiv 1804.04235, Alg. 4; no first moment, as the paper's default]. A vector is a
/// matrix of one row: its second moments are then not factored at all (Alg. 5).
/// torch.optim.Adafactor has the same b (beta2_decay = -0.8), but P <- (1 - lr weight_decay) P, a decay that neither
/// rms(P) nor 1 / sqrt(t) scales, and e1 is a floor under the moments, in float 1.2e-7.
///
/// A factored step is no sink of one pass: all of G must be seen before the first element moves, and again for rms(U).
/// So the combined gradient is made two or three times, block by block in cache, and never written: it is asked for by
/// a callable.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/gradient/with_copy.hpp"

#include <cmath>
#include <vector>

namespace HONE_NAMESPACE::gradient {

struct adafactor_options {
  double learning_rate = 0;  ///< 0: the paper's min(0.01, 1 / sqrt(t))
  double decay_exponent = 0.8;
  double epsilon1 = 1e-30;
  double epsilon2 = 1e-3;
  double clip_threshold = 1;  ///< 0: no clipping by rms(U), one pass less
  double weight_decay = 0;
  bool scale_by_parameter = true;  ///< false: a = rate
};

struct adafactor_report {
  double update_rms = 0;  ///< rms(U) before clipping; 0 if clip_threshold is 0
  double step_size = 0;   ///< a, with the clipping in it
};

/// The Adafactor step number @p t (from 1) on @p p (rows x cols), parameters or `with_copy(parameters, copy)`, with
/// second moments @p row (rows) and @p col (cols), zero before the first step and in the accumulator type of p.
/// @param pass pass(begin, count, sink) hands elements [begin, begin + count) of the combined gradient, rows laid end
///        to end, to sink(i, block), i counted from begin: `weighted_sum(w, g.slice(begin, count), sink)` with a Gram
///        method's weights, or `combine(sago{}, g.slice(begin, count), sink)`. Called for runs of whole rows, from any
///        thread of @p pool, the same elements at each call.
/// @throws std::invalid_argument if the sizes differ, two of row, col, p and the copy are the same memory, t < 1, or an
///         option is out of range.
/// @note Bytes a float parameter after two gradients: 8 + 4 (statistics and rms(P)) + 8 (rms(U)) + 8 + 8 (step) = 36,
///       or 28 without clipping, a 16-bit copy 2 more; AdamW moves 32 and keeps 8 where this keeps next to none.
///       Allocates 17 cols doubles at most. At most 16 workers: rows are cut into 16 runs whatever the executor, which
///       makes it bitwise for any.
template <detail::parameter_matrix P, mutable_vector R, mutable_vector C, class Pass, executor E = const serial>
adafactor_report adafactor(P&& p, R&& row, C&& col, index_t t, Pass&& pass, const adafactor_options& options = {},
                           E&& pool = serial{}) {
  const char* function = "hone::gradient::adafactor";
  using A = accumulator_t<detail::parameter_t<P>>;
  using packs = simd::pack<A>;
  const auto opened = detail::open_parameters(p, function);
  const auto ps = opened.parameters;
  const auto rs = output_vector(row, function, "row");
  const auto cs = output_vector(col, function, "col");
  static_assert(std::is_same_v<A, element_t<R>> && std::is_same_v<A, element_t<C>>,
                "hone::gradient::adafactor: the moments are in the accumulator type of the parameters");
  invalid_argument_unless(rs.size() == ps.rows(), function, "row", "has %td elements, p has %td rows", rs.size(),
                          ps.rows());
  invalid_argument_unless(cs.size() == ps.cols(), function, "col", "has %td elements, p has %td columns", cs.size(),
                          ps.cols());
  check_apart(cs, rs, function, "col", "row");
  if (ps.rows() > 0) {
    check_apart(rs, ps.row(0), function, "row", "p");
    check_apart(cs, ps.row(0), function, "col", "p");
  }
  invalid_argument_unless(t >= 1, function, "t", "steps are counted from 1, is %td", t);
  const auto in_range = [&](double value, const char* name) {
    invalid_argument_unless(value >= 0 && value < 1e300, function, name, "must be finite and not negative, is %g",
                            value);
  };
  in_range(options.learning_rate, "learning_rate");
  in_range(options.decay_exponent, "decay_exponent");
  in_range(options.epsilon2, "epsilon2");
  in_range(options.clip_threshold, "clip_threshold");
  in_range(options.weight_decay, "weight_decay");
  invalid_argument_unless(options.epsilon1 < 1e300 && static_cast<A>(options.epsilon1) > 0, function, "epsilon1",
                          "must be positive and finite, is %g", options.epsilon1);
  adafactor_report report;
  const index_t rows = ps.rows(), cols = ps.cols();
  if (rows == 0 || cols == 0) return report;

  const index_t runs = (min)(rows, index_t{16}), size = (rows + runs - 1) / runs;
  const double n = static_cast<double>(rows) * static_cast<double>(cols);
  std::vector<double> columns(static_cast<std::size_t>(runs * cols));
  double sums[16] = {}, parameters[16] = {};
  // segment(run, i, j, block) for every piece of a row that lies in a block.
  const auto sweep = [&](auto&& segment) {
    pool.parallel_for(runs, index_t{1}, [&](index_t first, index_t last) {
      for (index_t run = first; run < last; ++run) {
        const index_t begin = (min)(run * size, rows) * cols, end = (min)((run + 1) * size, rows) * cols;
        if (begin == end) continue;
        pass(begin, end - begin, [&](index_t offset, vector_view<const A> block) {
          for (index_t done = 0; done < block.size();) {
            const index_t i = (begin + offset + done) / cols, j = (begin + offset + done) % cols;
            const index_t count = (min)(cols - j, block.size() - done);
            segment(run, i, j, block.subvector(done, count));
            done += count;
          }
        });
      }
    });
  };
  const auto add = [](const double(&x)[16]) {
    double total = 0;
    for (const double y : x) total += y;
    return total;
  };

  const double kept = 1 - std::pow(static_cast<double>(t), -options.decay_exponent);
  const double new_share = (1 - kept) / static_cast<double>(cols);
  sweep([&](index_t run, index_t i, index_t j, const vector_view<const A>& g) {
    double* column = columns.data() + run * cols + j;
    lane_sum squares, values;
    const auto old = ps.row(i).subvector(j, g.size());
    for_each_pack<packs::lanes>(
        0, g.size(),
        [&](index_t k, auto bound) HONE_INLINE_LAMBDA {
          const packs x = load_pack(g, k, bound);
          squares.add_product(x, x);
          if (options.scale_by_parameter) {
            const packs y = load_pack(old, k, bound);
            values.add_product(y, y);
          }
        },
        g, old);
    for (index_t k = 0; k < g.size(); ++k) column[k] += static_cast<double>(g[k]) * static_cast<double>(g[k]);
    parameters[run] += values.total();
    if (j == 0) rs[i] = static_cast<A>(kept * static_cast<double>(rs[i]) + (1 - kept) * options.epsilon1);
    rs[i] = static_cast<A>(static_cast<double>(rs[i]) + new_share * squares.total());
  });
  double mean_row = 0;
  for (index_t i = 0; i < rows; ++i) mean_row += static_cast<double>(rs[i]) / static_cast<double>(rows);
  std::vector<A> inverse(static_cast<std::size_t>(cols));
  for (index_t j = 0; j < cols; ++j) {
    double sum = 0;
    for (index_t run = 0; run < runs; ++run) sum += columns[static_cast<std::size_t>(run * cols + j)];
    const double mean = sum / static_cast<double>(rows) + options.epsilon1;
    cs[j] = static_cast<A>(kept * static_cast<double>(cs[j]) + (1 - kept) * mean);
    inverse[static_cast<std::size_t>(j)] = static_cast<A>(1 / std::sqrt(static_cast<double>(cs[j])));
  }
  const vector_view<const A> inverses(inverse.data(), cols);
  const auto row_factor = [&](index_t i) {
    return static_cast<A>(1 / std::sqrt(static_cast<double>(rs[i]) / mean_row));
  };

  const double rate =
      options.learning_rate > 0 ? options.learning_rate : (min)(0.01, 1 / std::sqrt(static_cast<double>(t)));
  const double a = rate * (options.scale_by_parameter ? (max)(options.epsilon2, std::sqrt(add(parameters) / n)) : 1);
  report.step_size = a;
  if (options.clip_threshold > 0) {
    sweep([&](index_t run, index_t i, index_t j, const vector_view<const A>& g) {
      const packs factor(row_factor(i));
      const auto inverse_columns = inverses.subvector(j, g.size());
      lane_sum squares;
      for_each_pack<packs::lanes>(
          0, g.size(),
          [&](index_t k, auto bound) HONE_INLINE_LAMBDA {
            const packs u = load_pack(g, k, bound) * factor * load_pack(inverse_columns, k, bound);
            squares.add_product(u, u);
          },
          g, inverse_columns);
      sums[run] += squares.total();
    });
    report.update_rms = std::sqrt(add(sums) / n);
    report.step_size = a / (max)(1.0, report.update_rms / options.clip_threshold);
  }
  const packs step(static_cast<A>(report.step_size)), decay(static_cast<A>(a * options.weight_decay));
  sweep([&](index_t, index_t i, index_t j, const vector_view<const A>& g) {
    const packs factor = step * packs(row_factor(i));
    const auto inverse_columns = inverses.subvector(j, g.size());
    const auto target = ps.row(i).subvector(j, g.size());
    const auto move = [&](const auto&... copies) HONE_INLINE_LAMBDA {
      for_each_pack<packs::lanes>(
          0, g.size(),
          [&](index_t k, auto bound) HONE_INLINE_LAMBDA {
            const packs old = load_pack(target, k, bound);
            const packs u = load_pack(g, k, bound) * factor * load_pack(inverse_columns, k, bound);
            const packs moved = old - u - decay * old;
            store_pack(target, k, bound, moved);
            (store_pack(copies, k, bound, moved), ...);
          },
          g, inverse_columns, target, copies...);
    };
    if constexpr (std::is_same_v<std::remove_const_t<decltype(opened.copy)>, detail::no_copy>)
      move();
    else
      move(opened.copy.row(i).subvector(j, g.size()));
  });
  return report;
}

}  // namespace HONE_NAMESPACE::gradient
