// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a policy loss needs of rows of logits, and what becomes of its coefficients:
///   top_k_support    the reference's likeliest ids at each position, from its logits
///   measure          log pi(y), H, log M, ... of each row, from the policy's logits
///   write_gradient   the coefficients of `policy_loss` into dL/dlogits, in place
/// Logits are rows x vocabulary, row t the distribution that token t was drawn from; pi = softmax(logits /
/// temperature).
#pragma once
#include "hone/loss/largest.hpp"
#include "hone/policy/batch.hpp"

namespace HONE_NAMESPACE::policy {

/// S of each row: @c width ids a row, ascending, after the last one -1; beside each its reference probability.
struct support_view {
  std::span<const std::int32_t> ids = {};
  std::span<const double> probability = {};
  index_t width = 0;

  /// The members of row @p t.
  [[nodiscard]] std::span<const std::int32_t> of(std::size_t t) const {
    const auto row = ids.subspan(t * static_cast<std::size_t>(width), static_cast<std::size_t>(width));
    std::size_t n = 0;
    while (n < row.size() && row[n] >= 0) ++n;
    return row.first(n);
  }
  /// The reference's probabilities of its first @p count members.
  [[nodiscard]] std::span<const double> weights_of(std::size_t t, std::size_t count) const {
    return probability.subspan(t * static_cast<std::size_t>(width), count);
  }
  [[nodiscard]] double probability_of(std::size_t t, std::size_t member) const {
    return probability[t * static_cast<std::size_t>(width) + member];
  }
};

/// Memory of a `support_view`, for T rows of @c width ids.
struct support_output {
  std::span<std::int32_t> ids;    ///< T width
  std::span<double> probability;  ///< T width, 0 after the last member
  std::span<double> mass = {};    ///< T: Z, their sum; or none
};

struct support_options {
  bool keep_target = false;  ///< leaves the sampled token in S (an ablation; and the whole top-k for diagnostics)
  double temperature = 1;
};

namespace detail {

inline void check_support(const support_view& support, index_t rows, index_t vocab, const char* function) {
  invalid_argument_unless(support.width >= 0 && support.width <= vocab, function, "support",
                          "has %td ids a row, the vocabulary %td", support.width, vocab);
  const auto needed = static_cast<std::size_t>(support.width * rows);
  invalid_argument_unless(support.ids.size() == needed, function, "support", "has %zu ids, %td rows of %td need %zu",
                          support.ids.size(), rows, support.width, needed);
  invalid_argument_unless(support.probability.empty() || support.probability.size() == needed, function, "support",
                          "has %zu probabilities for %zu ids", support.probability.size(), needed);
}

/// Calls f(t, counts) for every row on the executor.
template <class F, executor E>
void for_each_row(index_t rows, label_view targets, F&& f, E& pool) {
  pool.parallel_for(rows, index_t{1}, [&](index_t begin, index_t end) {
    for (index_t t = begin; t < end; ++t)
      f(static_cast<std::size_t>(t), targets.empty() || targets[static_cast<std::size_t>(t)] >= 0);
  });
}

inline void sort_by_id(std::int32_t* ids, double* values, index_t n) {
  for (index_t i = 1; i < n; ++i) {
    const std::int32_t id = ids[i];
    const double value = values[i];
    index_t at = i;
    for (; at > 0 && ids[at - 1] > id; --at) {
      ids[at] = ids[at - 1];
      values[at] = values[at - 1];
    }
    ids[at] = id;
    values[at] = value;
  }
}

}  // namespace detail

/// The @p width likeliest ids of each row of the reference, without the sampled token unless it is to be kept: S, q on
/// it, and Z. Of equal logits the lowest id is taken first; absent ids (-inf) and NaN are not taken. A row that does
/// not count has no members, nor has one of absent ids alone; q and Z of a row with NaN or +inf are NaN.
/// @param reference (T x V); @param targets (T) in [0, V), or negative; @param width K in [0, V].
/// @throws std::invalid_argument if a size does not fit, K > V, a target is V or larger, or temperature not positive.
/// @note One read of each row, as `loss::summarize_largest`; O(V K) comparisons at worst; allocates nothing; bitwise
///       for any executor.
template <matrix_like W, executor E = const serial>
void top_k_support(const W& reference, label_view targets, index_t width, const support_output& out,
                   const support_options& options = {}, E&& pool = serial{}) {
  const char* function = "hone::policy::top_k_support";
  const auto ws = as_matrix(reference);
  loss::check_rows(ws.rows(), ws.cols(), targets, {.temperature = options.temperature}, function);
  detail::check_support({out.ids, out.probability, width}, ws.rows(), ws.cols(), function);
  invalid_argument_unless(out.probability.size() == out.ids.size(), function, "probability",
                          "has %zu elements, ids %zu", out.probability.size(), out.ids.size());
  detail::check_tokens(out.mass.size(), targets.size(), true, function, "mass");
  check_output(out.ids, function, "ids");
  check_output(out.probability, function, "probability");
  check_output(out.mass, function, "mass");
  constexpr double none = -std::numeric_limits<double>::infinity();
  detail::for_each_row(
      ws.rows(), targets,
      [&](std::size_t t, bool counts) {
        const auto w = ws.row(static_cast<index_t>(t));
        std::int32_t* ids = out.ids.data() + t * static_cast<std::size_t>(width);
        double* q = out.probability.data() + t * static_cast<std::size_t>(width);
        index_t n = 0;
        double mass = 0;
        if (counts) {
          const auto k = static_cast<std::size_t>(width);
          const auto [normalizer, found] = loss::summarize_largest(w, options.temperature, {ids, k}, {q, k});
          detail::sort_by_id(ids, q, found);
          for (index_t i = 0; i < found; ++i) {
            if ((ids[i] == targets[t] && !options.keep_target) || q[i] == none) continue;
            ids[n] = ids[i];
            q[n] = std::exp(normalizer.log_probability(q[i]));
            mass += q[n++];
          }
          if (mass > 1) mass = 1;  // by rounding
        }
        for (; n < width; ++n) {
          ids[n] = -1;
          q[n] = 0;
        }
        if (!out.mass.empty()) out.mass[t] = mass;
      },
      pool);
}

/// What `measure` is to write: T elements each, or none.
struct row_measures {
  std::span<double> log_probability = {};       ///< log pi(y), at most 0
  std::span<double> entropy = {};               ///< H
  std::span<double> top_mass = {};              ///< max pi
  std::span<double> log_mass = {};              ///< log sum_S pi, at most 0; -inf where S is empty
  std::span<double> reference_likelihood = {};  ///< sum_S q / Z log pi; 0 where Z = 0
  std::span<double> rare = {};                  ///< members of S with pi < `rare_probability`
};

inline constexpr double rare_probability = 1e-3;

/// The measures of each row, 0 where it does not count. Those of a row with NaN or +inf, or with absent ids (-inf)
/// alone, are NaN (its `rare` 0): `policy_loss` counts them.
/// @param logits (T x V); @param targets (T) in [0, V), or negative; @param support of the reference, if a measure
///        of S is wanted.
/// @throws std::invalid_argument if a size does not fit, a target is V or larger, or temperature is not positive.
/// @note One read of the logits; log M is a log-sum-exp of log pi, exact to rounding however small M is; allocates
///       nothing; bitwise for any executor, and for any rows beside it.
template <matrix_like Z, executor E = const serial>
void measure(const Z& logits, label_view targets, const support_view& support, const row_measures& out,
             double temperature = 1, E&& pool = serial{}) {
  const char* function = "hone::policy::measure";
  const auto zs = as_matrix(logits);
  loss::check_rows(zs.rows(), zs.cols(), targets, {.temperature = temperature}, function);
  const bool reads_support = !out.log_mass.empty() || !out.reference_likelihood.empty() || !out.rare.empty();
  if (reads_support) detail::check_support(support, zs.rows(), zs.cols(), function);
  invalid_argument_unless(out.reference_likelihood.empty() || support.probability.size() == support.ids.size(),
                          function, "support", "has no probabilities");
  const std::span<double> outputs[] = {out.log_probability,      out.entropy, out.top_mass, out.log_mass,
                                       out.reference_likelihood, out.rare};
  const char* names[] = {"log_probability", "entropy", "top_mass", "log_mass", "reference_likelihood", "rare"};
  for (int i = 0; i < 6; ++i) {
    detail::check_tokens(outputs[i].size(), targets.size(), true, function, names[i]);
    check_output(outputs[i], function, names[i]);
  }
  detail::for_each_row(
      zs.rows(), targets,
      [&](std::size_t t, bool counts) {
        double values[6] = {};
        if (counts) {
          const auto z = zs.row(static_cast<index_t>(t));
          const auto summary =
              out.entropy.empty() ? loss::summarize(z, temperature) : loss::summarize_entropy(z, temperature);
          const auto log_pi = [&](index_t v) {
            return summary.normalizer.log_probability(static_cast<double>(to_accumulator(z[v])));
          };
          values[0] = log_pi(static_cast<index_t>(targets[t]));
          values[1] = summary.entropy;
          values[2] = std::exp(-summary.normalizer.log_sum);
          if (reads_support) {
            const auto members = support.of(t);
            double top = -std::numeric_limits<double>::infinity(), sum = 0, mass = 0;
            for (const std::int32_t v : members) top = (max)(top, log_pi(v));
            for (std::size_t i = 0; i < members.size(); ++i) {
              const double x = log_pi(members[i]);
              if (x - top > -1e3) sum += std::exp(x - top);
              if (!out.reference_likelihood.empty()) {
                const double q = support.probability_of(t, i);
                mass += q;
                if (q > 0) values[4] += q * x;
              }
              values[5] += std::exp(x) < rare_probability;
            }
            const double log_sum = summary.normalizer.log_sum;
            values[3] = log_sum == log_sum ? (min)(top + std::log(sum), 0.0) : log_sum;
            if (mass > 0) values[4] /= mass;
          }
        }
        for (int i = 0; i < 6; ++i)
          if (!outputs[i].empty()) outputs[i][t] = values[i];
      },
      pool);
}

/// Writes dL/dlogits over the logits: a (1_y - pi) + b (pi 1_S - M pi) + c pi (log pi + H) + d (pi - q / Z 1_S) from
/// each row's terms (target, subset, entropy, forward_kl), zero where the row does not count or all its ids are absent.
/// @param terms (T), of `policy_loss`; @param support with probabilities if a forward_kl is not 0.
/// @throws std::invalid_argument as `measure`, or if a term needs a support that is not there.
/// @note Two reads (the second from cache) and one write of each row, as `loss::fused_gradient`; allocates nothing;
///       bitwise for any executor.
template <mutable_matrix Z, executor E = const serial>
void write_gradient(Z&& logits, label_view targets, std::span<const loss::row_terms> terms,
                    const support_view& support = {}, double temperature = 1, E&& pool = serial{}) {
  const char* function = "hone::policy::write_gradient";
  const auto zs = output_matrix(logits, function, "logits");
  using T = element_t<Z>;
  loss::check_rows(zs.rows(), zs.cols(), targets, {.temperature = temperature}, function);
  detail::check_tokens(terms.size(), targets.size(), false, function, "terms");
  bool reads_support = false, reads_reference = false;
  for (const auto& term : terms) {
    reads_support = reads_support || term.subset != 0 || term.forward_kl != 0;
    reads_reference = reads_reference || term.forward_kl != 0;
  }
  if (reads_support) detail::check_support(support, zs.rows(), zs.cols(), function);
  invalid_argument_unless(!reads_support || support.width > 0, function, "support", "is empty, a term has a subset");
  invalid_argument_unless(!reads_reference || support.probability.size() == support.ids.size(), function, "support",
                          "has no probabilities");
  detail::for_each_row(
      zs.rows(), targets,
      [&](std::size_t t, bool counts) {
        const auto z = zs.row(static_cast<index_t>(t));
        const loss::row_terms& row = terms[t];
        if (!counts) return fill(z, accumulator_t<T>{0});
        const auto members = row.subset != 0 || row.forward_kl != 0 ? support.of(t) : std::span<const std::int32_t>{};
        const auto weights = row.forward_kl != 0 ? support.weights_of(t, members.size()) : std::span<const double>{};
        const auto target = static_cast<index_t>(targets[t]);
        const auto terms_of_row = [&](const loss::row_summary&, double) { return row; };
        if (row.entropy == 0)
          loss::fused_gradient(z, temperature, target, members, terms_of_row, weights);
        else
          loss::fused_gradient<true>(z, temperature, target, members, terms_of_row, weights);
      },
      pool);
}

}  // namespace HONE_NAMESPACE::policy
