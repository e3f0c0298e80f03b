// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How sure a model is of its next token, from one row of its logits z (V), p = softmax(z), p_1 and p_2 the largest:
///   maximum_probability  p_1; in logarithms log p_1, which does not saturate
///   sigmoid_maximum      sigmoid(z_1)                           `max_logits`         of RouterXBench, arXiv 2602.11877
///   certainty            1 - H / log V, H = -sum p log p        `entropy`
///   margin               p_1 - p_2                              `confidence_margin`
///   sigmoid_margin       sigmoid(z_1 - z_2)                     `logits_margin`
///   exp_variance         exp(-var), of the 10 largest logits    `top10_variance`; its direction is doubtful: a row of
///                        equal logits, which says nothing, scores highest
/// Larger is surer: the model is more likely right. A sigmoid near 1 and an exponential near 0 make ties of different
/// rows, so each score has its raw value beside it, in the same order, to be ranked by.
///
/// The authors' code computes these of the mean embedding layer, loaded in place of logits, and of the labels where a
/// file is missing; here they are of logits. It adds 1e-10 to p inside the logarithm; here H is exact.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/executor.hpp"
#include "hone/core/output.hpp"
#include "hone/core/packs.hpp"
#include "hone/core/sigmoid.hpp"
#include "hone/core/simd_math.hpp"

#include <cmath>
#include <limits>
#include <span>

namespace HONE_NAMESPACE::routing {

/// All NaN where a logit is NaN or +inf, of no logits, and where all are -inf. An id at -inf is absent: it has
/// probability 0, and counts in V.
struct logit_scores {
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();

  double maximum_probability = none;
  double log_probability = none;  ///< its logarithm
  double sigmoid_maximum = none;
  double maximum_logit = none;     ///< z_1
  double certainty = none;         ///< in [0, 1]; NaN where V = 1
  double negative_entropy = none;  ///< -H in nats
  double margin = none;
  double sigmoid_margin = none;
  double logit_margin = none;  ///< z_1 - z_2; infinite where all other ids are absent
  double exp_variance = none;
  double negative_variance = none;  ///< -var, with count - 1; NaN where fewer than 2 ids are present
  index_t nonfinite = 0;            ///< logits that are infinite or NaN
};

namespace detail {

/// The largest logits so far, in descending order.
struct largest_logits {
  static constexpr index_t capacity = 10;
  double logit[capacity];
  index_t count = 0;

  /// What a logit must be above to enter.
  [[nodiscard]] double least() const {
    return count < capacity ? -std::numeric_limits<double>::infinity() : logit[capacity - 1];
  }
  void insert(double x) {
    index_t at = count < capacity ? count++ : count - 1;
    for (; at > 0 && logit[at - 1] < x; --at) logit[at] = logit[at - 1];
    logit[at] = x;
  }
  [[nodiscard]] double variance() const {
    double mean = 0, squares = 0;
    for (index_t i = 0; i < count; ++i) mean += logit[i] / static_cast<double>(count);
    for (index_t i = 0; i < count; ++i) squares += (logit[i] - mean) * (logit[i] - mean);
    return count < 2 ? logit_scores::none : squares / static_cast<double>(count - 1);
  }
};

/// A row, tile by tile: each tile is read for its maximum, for its sums and, seldom, for its largest logits while it is
/// in the first cache.
template <class A>
struct row_reading {
  using packs = simd::pack<A>;
  static constexpr index_t tile = 1024;
  static constexpr A absent = -std::numeric_limits<A>::infinity();

  double top = static_cast<double>(absent);
  double sum = 0, weighted = 0;  // of e^x and x e^x, x = z - top
  largest_logits largest;
  index_t nonfinite = 0;

  template <scalar T>
  void add_tile(const vector_view<T>& z, index_t begin, index_t end) {
    const A tile_top = maximum(z, begin, end);
    raise(static_cast<double>(tile_top));
    const packs top_pack(top == static_cast<double>(absent) ? A{0} : static_cast<A>(top));
    packs sums(0), moments(0), plain(0);
    for_each_pack<packs::lanes>(
        begin, end,
        [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
          const packs logits = load_pack(z, i, bound, absent), x = logits - top_pack;
          const packs e = simd::exp_softmax(x);
          sums += e;
          moments += select(e == packs(0), packs(0), x * e);
          plain += logits;
        },
        z);
    // Counted only where some may be: an addition costs less.
    if (!simd::surely_finite(plain)) nonfinite += count_nonfinite(z.subvector(begin, end - begin));
    sum += static_cast<double>(simd::horizontal_sum(sums));
    weighted += static_cast<double>(simd::horizontal_sum(moments));
    if (static_cast<double>(tile_top) > largest.least()) collect(z, begin, end);
  }

 private:
  /// NaNs are passed over.
  template <scalar T>
  HONE_INLINE A maximum(const vector_view<T>& z, index_t begin, index_t end) const {
    packs high[4] = {packs(absent), packs(absent), packs(absent), packs(absent)};  // one alone would wait for itself
    index_t i = begin;
    if (z.contiguous())
      for (; end - i >= 4 * packs::lanes; i += 4 * packs::lanes)
        for (int k = 0; k < 4; ++k) high[k] = (simd::max)(load_pack(z, i + k * packs::lanes, whole_pack{}), high[k]);
    for (; i < end; i += packs::lanes) high[0] = (simd::max)(load_pack(z, i, end, absent), high[0]);
    return simd::horizontal_max((simd::max)((simd::max)(high[0], high[1]), (simd::max)(high[2], high[3])));
  }
  void raise(double to) {
    if (!(to > top)) return;
    const double factor = std::exp(top - to);  // 0 from -inf, where the sums are 0 or NaN
    weighted = factor * (factor == 0 ? weighted : weighted + (top - to) * sum);
    sum *= factor;
    top = to;
  }
  template <scalar T>
  void collect(const vector_view<T>& z, index_t begin, index_t end) {
    constexpr index_t group = 8 * packs::lanes;
    const auto above = [&](const packs& x) { return simd::bits(x > packs(static_cast<A>(largest.least()))) != 0; };
    for (index_t first = begin; first < end; first += group) {
      const index_t last = (min)(first + group, end);
      packs high(absent);
      for (index_t i = first; i < last; i += packs::lanes) high = (simd::max)(load_pack(z, i, last, absent), high);
      if (!above(high)) continue;
      for (index_t i = first; i < last; i += packs::lanes) {
        const packs x = load_pack(z, i, last, absent);
        if (!above(x)) continue;
        A values[packs::lanes];
        simd::store(values, x);
        for (const A value : values)
          if (static_cast<double>(value) > largest.least()) largest.insert(static_cast<double>(value));
      }
    }
  }
};

}  // namespace detail

/// The scores of the row @p z (V logits, any storage type and stride).
/// @note One read of z; exponentials and sums of a tile of 1024 in its accumulator type, the rest in double. Allocates
///       nothing; the same bits on every machine that has the same exponentials, whatever the strides.
template <vector_like Z>
logit_scores score_logits(const Z& z) {
  const auto zs = as_vector(z);
  using reading_type = detail::row_reading<accumulator_t<element_t<Z>>>;
  reading_type reading;
  for (index_t begin = 0; begin < zs.size(); begin += reading_type::tile)
    reading.add_tile(zs, begin, (min)(begin + reading_type::tile, zs.size()));
  logit_scores scores{.nonfinite = reading.nonfinite};
  const double sum = reading.sum;
  if (!(sum > 0)) return scores;
  const detail::largest_logits& largest = reading.largest;
  const double entropy = std::log(sum) - reading.weighted / sum;
  const double share = 1 - entropy / std::log(static_cast<double>(zs.size()));
  scores.maximum_probability = 1 / sum;
  scores.log_probability = -std::log(sum);
  scores.maximum_logit = largest.logit[0];
  scores.sigmoid_maximum = sigmoid(largest.logit[0]);
  scores.negative_entropy = entropy > 0 ? -entropy : 0;
  scores.certainty = zs.size() < 2 ? logit_scores::none : share < 0 ? 0 : share > 1 ? 1 : share;
  if (zs.size() > 1) {
    scores.logit_margin =
        largest.count > 1 ? largest.logit[0] - largest.logit[1] : std::numeric_limits<double>::infinity();
    scores.sigmoid_margin = sigmoid(scores.logit_margin);
    scores.margin = -std::expm1(-scores.logit_margin) / sum;
  }
  scores.negative_variance = -largest.variance();
  scores.exp_variance = std::exp(scores.negative_variance);
  return scores;
}

/// `score_logits` of every row of @p logits (n x V) into @p scores (n).
/// @throws std::invalid_argument unless @p scores has n elements.
/// @note One read of the logits; allocates nothing; bitwise for any executor.
template <matrix_like Z, executor E = const serial>
void score_logits(const Z& logits, std::span<logit_scores> scores, E&& pool = serial{}) {
  const auto zs = as_matrix(logits);
  const char* function = "hone::routing::score_logits";
  invalid_argument_unless(std::ssize(scores) == zs.rows(), function, "scores", "has %zu elements, logits %td rows",
                          scores.size(), zs.rows());
  check_output(scores, function, "scores");
  pool.parallel_for(zs.rows(), index_t{1}, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) scores[static_cast<std::size_t>(i)] = score_logits(zs.row(i));
  });
}

}  // namespace HONE_NAMESPACE::routing
