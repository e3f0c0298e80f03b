// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// RILA: LoRA that starts in the r output directions with most forget and least retain energy, and changes nothing yet.
/// From pooled outputs h of a layer (rows), C = E h h^T of either set:
///   D = (1 - beta) C_F - beta C_R,   Q = its r algebraically largest eigenvectors,   B = Q, A = Q^T W, W <- W - s B A
/// Q maximises tr(Q^T D Q) over orthonormal frames (Ky Fan). The retain basis P, for the orthogonal loss, is the
/// leading eigenvectors of C_R alone. [ReGLU 2026, arXiv 2604.17396; sustech-nlp/ReGLU, rila.py. The same construction
/// with the roles renamed is SC-LoRA, arXiv 2505.23724: `sc_lora`]
///
/// Three solvers, one result: `low_rank` never forms D: exact from the samples, 2 d m^2 flops for m of them; `dense`
/// forms and decomposes it, 9 d^3 twice; `iterative` applies it. Following the authors' code, moments are not centred,
/// nothing is divided by sqrt(s); its shift of both moments by 1e-4 moves eigenvalues and not Q (`epsilon`, 0 here); it
/// fills a deficient Q with whatever the solver returns, where here the rank is reported.
#pragma once
#include "hone/linalg/second_moments.hpp"
#include "hone/linalg/top_eigen.hpp"
#include "hone/lora/initialise.hpp"

namespace HONE_NAMESPACE::lora {

enum class rila_solver {
  automatic,  ///< low_rank for fewer samples than outputs; else dense up to 2048 outputs; else iterative
  low_rank,   ///< from samples only
  dense,
  iterative
};

struct rila_options {
  double beta = 0.7;         ///< weight of the retain energy, in [0, 1]; the authors: 0.7 on TOFU, 0.5 on WMDP
  index_t basis_rank = 128;  ///< the most directions of the retain basis; 0: none is computed
  double basis_energy = 1;   ///< as few of them as hold this share of tr(C_R) (an extension)
  double epsilon = 0;        ///< added to both moments' diagonals; the authors: 1e-4
  bool centred = false;      ///< covariances in place of second moments (an extension)
  bool shrink = false;       ///< return the effective rank's directions alone, in place of completing them to r
  rila_solver solver = rila_solver::automatic;
  linalg::top_eigen_options iteration = {};
};

/// The directions; a method for `initialise`.
struct rila_subspace {
  linalg::matrix directions = {};  ///< Q, outputs x r
  linalg::vector values = {};      ///< of D, descending; 0 (and epsilon's shift) for completed directions
  /// Directions with more forget than retain energy. Others complete Q: first from D's null space, in which neither set
  /// has energy, then those of the least negative eigenvalues.
  index_t effective_rank = 0;
  linalg::matrix basis = {};         ///< P, outputs x k; k is at most the rank of C_R
  linalg::vector basis_values = {};  ///< of C_R, descending
  double basis_share = 0;            ///< of tr(C_R), held by P
  double residual = 0;  ///< the certificate: the largest |D q - value q| over the largest |eigenvalue| of D seen
  rila_solver solver = rila_solver::automatic;  ///< the one that was used

  /// B = Q, A = Q^T W.
  /// @throws std::invalid_argument unless the site has as many outputs and the same rank.
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    invalid_argument_unless(directions.rows() == s.outputs && directions.cols() == s.rank, "hone::lora::rila",
                            s.name.c_str(), "%td directions of %td outputs, asked for %td of %td",
                            index_t{directions.cols()}, index_t{directions.rows()}, s.rank, s.outputs);
    constexpr index_t block = 64;
    proposal start{.b = directions, .a = linalg::matrix::Zero(s.rank, s.inputs), .compensate = true};
    for (index_t i = 0; i < s.outputs; i += block) {
      const index_t end = (min)(i + block, s.outputs);
      start.a.noalias() += directions.middleRows(i, end - i).transpose() * linalg::copy_rows(w, i, end);
    }
    return start;
  }
};

namespace detail {

/// Eigenpairs of D, or of C_R, as far as they were asked for.
struct spectrum {
  linalg::vector values;
  linalg::matrix vectors;
  double norm = 0;
};

/// The @p rank best directions of a d x d matrix whose other eigenvalues are 0: positive ones, the null space, negative
/// ones.
/// @param vectors vectors(first, count) gives the eigenvectors of values [first, first + count).
template <class Vectors>
spectrum best_directions(const linalg::vector& values, Vectors&& vectors, index_t d, index_t rank) {
  spectrum result;
  result.norm = values.size() > 0 ? values.cwiseAbs().maxCoeff() : 0;
  const double floor = linalg::rank_tolerance * result.norm;
  index_t positive = 0, negative = 0;
  for (const double value : values) {
    positive += value > floor ? 1 : 0;
    negative += value < -floor ? 1 : 0;
  }
  result.values = linalg::vector::Zero(rank);
  result.values.head((min)(rank, positive)) = values.head((min)(rank, positive));
  if (rank <= positive) {
    result.vectors = vectors(0, rank);
    return result;
  }
  linalg::matrix all(d, positive + negative);
  all << vectors(0, positive), vectors(values.size() - negative, negative);
  const index_t empty = (min)(rank - positive, d - positive - negative), rest = rank - positive - empty;
  linalg::complete_orthonormal(all, positive + negative + empty);
  result.vectors.resize(d, rank);
  result.vectors << all.leftCols(positive), all.rightCols(empty), all.middleCols(positive, rest);
  result.values.tail(rest) = values.segment(values.size() - negative, rest);
  return result;
}

/// Cuts the eigenpairs of C_R to those that count and are wanted.
inline void take_basis(rila_subspace& result, const linalg::vector& values, auto&& vectors, double trace,
                       const rila_options& options, double tolerance) {
  index_t k = 0;
  double held = 0;
  while (k < (min)(options.basis_rank, index_t{values.size()}) && values(k) > tolerance * values(0) && values(k) > 0 &&
         !(held >= options.basis_energy * trace))
    held += values(k++);
  result.basis = vectors(0, k);
  result.basis_values = values.head(k);
  result.basis_share = trace > 0 ? (min)(held / trace, 1.0) : 0;
  linalg::canonical_signs(result.basis);
}

inline void check_rila(index_t forget, index_t retain, index_t outputs, index_t retain_outputs, index_t rank,
                       index_t nonfinite, const rila_options& o, const char* function) {
  invalid_argument_unless(forget > 0, function, "forget", "has no sample");
  invalid_argument_unless(retain > 0, function, "retain", "has no sample");
  invalid_argument_unless(outputs == retain_outputs, function, "retain", "has rows of %td elements, forget of %td",
                          retain_outputs, outputs);
  invalid_argument_unless(rank > 0 && rank <= outputs, function, "rank", "must be in [1, %td], the outputs, is %td",
                          outputs, rank);
  invalid_argument_unless(nonfinite == 0, function, "samples", "%td elements are not finite", nonfinite);
  invalid_argument_unless(o.beta >= 0 && o.beta <= 1, function, "beta", "must be in [0, 1], is %g", o.beta);
  invalid_argument_unless(o.epsilon >= 0 && o.epsilon < 1e300, function, "epsilon", "must not be negative, is %g",
                          o.epsilon);
  invalid_argument_unless(o.basis_rank >= 0, function, "basis_rank", "must not be negative, is %td", o.basis_rank);
  invalid_argument_unless(o.basis_energy > 0 && o.basis_energy <= 1, function, "basis_energy",
                          "must be in (0, 1], is %g", o.basis_energy);
}

/// Signs, shrinking and the certificate, the same for every solver.
template <class Apply>
void finish_rila(rila_subspace& result, spectrum&& best, Apply&& apply, double floor, const rila_options& options,
                 const char* function) {
  const index_t rank = best.values.size();
  while (result.effective_rank < rank && best.values(result.effective_rank) > floor * best.norm)
    ++result.effective_rank;
  index_t kept = rank;
  if (options.shrink) {
    kept = result.effective_rank;
    invalid_argument_unless(kept > 0, function, "shrink", "no direction has more forget than retain energy");
  }
  best.vectors.conservativeResize(Eigen::NoChange, kept);
  result.directions = std::move(best.vectors);
  result.values = best.values.head(kept);
  linalg::canonical_signs(result.directions);
  constexpr index_t block = 8;  // what is applied to them is held for as many
  for (index_t i = 0; i < kept && best.norm > 0; i += block) {
    const index_t count = (min)(block, kept - i);
    const linalg::matrix some = result.directions.middleCols(i, count);
    const linalg::matrix rest = apply(some) - some * result.values.segment(i, count).asDiagonal();
    result.residual = (max)(result.residual, rest.colwise().norm().maxCoeff() / best.norm);
  }
}

/// The eigenvalues in units of samples that were divided by @p unit, with epsilon's shift.
inline void put_units(rila_subspace& result, double unit, const rila_options& options) {
  result.values = result.values.array() * unit * unit + options.epsilon * (1 - 2 * options.beta);
  result.basis_values = result.basis_values.array() * unit * unit + options.epsilon;
}

struct two_moments {
  linalg::matrix forget, retain;
};

/// From C_F and C_R, which `apply` combines: dense or iterative.
template <class Apply, class ApplyRetain, class Dense>
rila_subspace solve_rila(Apply&& apply, ApplyRetain&& apply_retain, Dense&& dense, double retain_trace, index_t d,
                         index_t rank, const rila_options& options, const char* function) {
  rila_subspace result;
  const index_t wanted = (min)(options.basis_rank, d);
  const auto cut = [](const linalg::matrix& vectors) {
    return [&](index_t first, index_t count) -> linalg::matrix { return vectors.middleCols(first, count); };
  };
  if (options.solver == rila_solver::dense) {
    const two_moments c = dense();
    const linalg::eigenpairs e = linalg::dense_eigen((1 - options.beta) * c.forget - options.beta * c.retain);
    finish_rila(result, best_directions(e.values, cut(e.vectors), d, rank), apply, linalg::rank_tolerance, options,
                function);
    if (wanted == 0) return result;
    const linalg::eigenpairs r = linalg::dense_eigen(c.retain);
    take_basis(result, r.values, cut(r.vectors), retain_trace, options, linalg::rank_tolerance);
    return result;
  }
  auto e = linalg::top_eigen(apply, d, rank, options.iteration);
  finish_rila(result, {e.values, std::move(e.vectors), e.norm}, apply, options.iteration.tolerance, options, function);
  if (wanted == 0) return result;
  const auto r = linalg::top_eigen(apply_retain, d, wanted, options.iteration);
  take_basis(result, r.values, cut(r.vectors), retain_trace, options, options.iteration.tolerance);
  return result;
}

/// Samples as columns whose squares add up to a moment, K K^T = C, in blocks of them.
template <class T>
struct moment_columns {
  static constexpr index_t block = 32;
  matrix_view<T> samples;
  linalg::vector mean;  ///< 0 unless centred
  double factor;

  moment_columns(matrix_view<T> x, bool centred)
      : samples(x), mean(linalg::vector::Zero(x.cols())), factor(1 / std::sqrt(static_cast<double>(x.rows()))) {
    if (!centred) return;
    linalg::vector sum = mean;
    for_blocks([&](index_t, const linalg::matrix& rows) { sum += rows.colwise().sum().transpose(); });
    mean = factor * sum;  // of rows that hold the factor once already
  }
  void write(auto&& k) const {
    for_blocks([&](index_t i, const linalg::matrix& rows) { k.middleCols(i, rows.rows()) = rows.transpose(); });
  }
  /// K K^T x.
  [[nodiscard]] linalg::matrix times(const linalg::matrix& x) const {
    linalg::matrix y = linalg::matrix::Zero(x.rows(), x.cols());
    for_blocks([&](index_t, const linalg::matrix& rows) { y.noalias() += rows.transpose() * (rows * x).eval(); });
    return y;
  }

 private:
  void for_blocks(auto&& body) const {
    for (index_t i = 0; i < samples.rows(); i += block) {
      linalg::matrix rows = linalg::copy_rows(samples, i, (min)(i + block, samples.rows()), factor);
      rows.rowwise() -= mean.transpose() * factor;
      body(i, rows);
    }
  }
};

inline rila_solver choose_solver(rila_solver asked, bool fewer_samples, index_t outputs) {
  if (asked != rila_solver::automatic) return asked;
  return fewer_samples ? rila_solver::low_rank : outputs <= 2048 ? rila_solver::dense : rila_solver::iterative;
}

}  // namespace detail

/// The directions of rank @p rank from pooled outputs of either set, @p forget and @p retain (samples x outputs, any
/// strides and storage).
/// @throws std::invalid_argument if a set has no sample, widths differ, rank is not in [1, outputs], an element is not
///         finite, an option is out of range, or nothing is left to shrink to.
/// @note Holds the samples in double, once, whichever solver. Deterministic; in double throughout.
template <matrix_like F, matrix_like R>
rila_subspace find_rila_subspace(const F& forget, const R& retain, index_t rank, rila_options options = {}) {
  const char* function = "hone::lora::find_rila_subspace";
  const auto f = as_matrix(forget);
  const auto r = as_matrix(retain);
  detail::check_rila(f.rows(), r.rows(), f.cols(), r.cols(), rank,
                     linalg::count_nonfinite(f) + linalg::count_nonfinite(r), options, function);
  const index_t d = f.cols(), m = f.rows() + r.rows();
  options.solver = detail::choose_solver(options.solver, m < d, d);
  // Retain samples first: their factor is then the corner of the factor of all.
  detail::moment_columns retain_columns(r, options.centred), forget_columns(f, options.centred);
  linalg::matrix k(d, m);
  auto kr = k.leftCols(r.rows()), kf = k.rightCols(f.rows());
  retain_columns.write(kr);
  forget_columns.write(kf);
  const double largest = k.cwiseAbs().maxCoeff();
  if (largest > 0) {  // so that no square over- or underflows
    k /= largest;
    retain_columns.factor /= largest;
    forget_columns.factor /= largest;
  }
  const double retain_trace = kr.squaredNorm();
  rila_subspace result;
  if (options.solver == rila_solver::low_rank) {
    const linalg::low_rank_eigen<> factors(std::move(k));
    const auto vectors_of = [&](const linalg::eigenpairs& e) {
      return [&](index_t first, index_t count) { return factors.vectors(e, first, count); };
    };
    const auto apply = [&](const linalg::matrix& x) -> linalg::matrix {  // from the samples: what it certifies is gone
      return (1 - options.beta) * forget_columns.times(x) - options.beta * retain_columns.times(x);
    };
    {
      linalg::vector weights = linalg::vector::Constant(m, -options.beta);
      weights.tail(f.rows()).setConstant(1 - options.beta);
      const linalg::eigenpairs e = factors.decompose(weights);
      detail::finish_rila(result, detail::best_directions(e.values, vectors_of(e), d, rank), apply,
                          linalg::rank_tolerance, options, function);
    }
    if (options.basis_rank > 0) {
      const linalg::eigenpairs retained = factors.decompose(linalg::vector::Ones(r.rows()));
      detail::take_basis(result, retained.values, vectors_of(retained), retain_trace, options, linalg::rank_tolerance);
    }
  } else {
    const auto apply_retain = [&](const linalg::matrix& x) -> linalg::matrix {
      return kr * (kr.transpose() * x).eval();
    };
    const auto apply = [&](const linalg::matrix& x) -> linalg::matrix {
      return (1 - options.beta) * (kf * (kf.transpose() * x).eval()) - options.beta * apply_retain(x);
    };
    const auto moments = [&] { return detail::two_moments{kf * kf.transpose(), kr * kr.transpose()}; };
    result = detail::solve_rila(apply, apply_retain, moments, retain_trace, d, rank, options, function);
  }
  result.solver = options.solver;
  detail::put_units(result, largest, options);
  return result;
}

/// The same from streamed moments of either set, dense or iterative. Holds both d x d moments.
/// @throws std::invalid_argument as above, and for the low-rank solver, which needs samples.
template <class A, executor E = const serial>
rila_subspace find_rila_subspace(const linalg::second_moments<A>& forget, const linalg::second_moments<A>& retain,
                                 index_t rank, rila_options options = {}, E&& pool = serial{}) {
  const char* function = "hone::lora::find_rila_subspace";
  detail::check_rila(forget.count(), retain.count(), forget.width(), retain.width(), rank,
                     forget.nonfinite() + retain.nonfinite(), options, function);
  options.solver = detail::choose_solver(options.solver, false, forget.width());
  invalid_argument_unless(options.solver != rila_solver::low_rank, function, "solver",
                          "low_rank needs samples, not moments");
  const linalg::matrix f = forget.mean(options.centred, pool), r = retain.mean(options.centred, pool);
  // Columns in pieces of a fixed number, so that the executor changes no bit.
  const auto times = [&](const linalg::matrix& c, const linalg::matrix& x) {
    constexpr index_t piece = 16;
    linalg::matrix y(x.rows(), x.cols());
    pool.parallel_for((x.cols() + piece - 1) / piece, 1, [&](index_t begin, index_t end) {
      for (index_t k = begin; k < end; ++k) {
        const index_t first = k * piece, count = (min)(piece, index_t{x.cols()} - first);
        y.middleCols(first, count).noalias() = c * x.middleCols(first, count);
      }
    });
    return y;
  };
  const auto apply = [&](const linalg::matrix& x) -> linalg::matrix {
    return (1 - options.beta) * times(f, x) - options.beta * times(r, x);
  };
  const auto apply_retain = [&](const linalg::matrix& x) -> linalg::matrix { return times(r, x); };
  rila_subspace result = detail::solve_rila(
      apply, apply_retain, [&] { return detail::two_moments{f, r}; }, r.trace(), forget.width(), rank, options,
      function);
  result.solver = options.solver;
  detail::put_units(result, 1, options);
  return result;
}

/// What `rila` did.
struct rila_report {
  rila_subspace subspace;
  initialisation start;
};

/// Finds the directions of the site's rank from @p forget and @p retain (samples x outputs) or their moments, starts
/// the site's adapter in @p parameters there, and compensates @p weight. With `shrink`, @p s.rank falls to the
/// effective rank; what the site no longer uses of @p parameters is set to 0.
/// @throws std::invalid_argument as `find_rila_subspace` and `initialise`; nothing is written then.
template <class F, class R, mutable_matrix W, mutable_vector P, executor E = const serial>
rila_report rila(const F& forget, const R& retain, W&& weight, site& s, P&& parameters,
                 const rila_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::lora::rila";
  detail::check_site(s, function);
  auto* elements = detail::buffer_of(parameters, s, function);
  rila_report report;
  if constexpr (matrix_like<F>)
    report.subspace = find_rila_subspace(forget, retain, s.rank, options);
  else
    report.subspace = find_rila_subspace(forget, retain, s.rank, options, pool);
  site shrunk = s;
  shrunk.rank = report.subspace.directions.cols();
  report.start = initialise(report.subspace, weight, shrunk, parameters, pool);
  fill(vector_view(elements + shrunk.offset + shrunk.size(), s.size() - shrunk.size()), accumulator_t<element_t<P>>{0});
  s.rank = shrunk.rank;
  return report;
}

/// SC-LoRA: RILA by another name: adapts to @p adapted, keeps away from @p preserved. [SC-LoRA 2025, arXiv 2505.23724]
template <class F, class R, mutable_matrix W, mutable_vector P, executor E = const serial>
rila_report sc_lora(const F& adapted, const R& preserved, W&& weight, site& s, P&& parameters,
                    const rila_options& options = {}, E&& pool = serial{}) {
  return rila(adapted, preserved, weight, s, parameters, options, pool);
}

}  // namespace HONE_NAMESPACE::lora
