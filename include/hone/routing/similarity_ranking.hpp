// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// RouteLLM's similarity-weighted ranking [Ong et al. 2024, RouteLLM, arXiv 2406.18665, 4.2, and its code]: for each
/// query the models are rated anew, each known battle weighing the more the more its prompt is like the query,
///   w_i = 10 10^(cos_i / max_j cos_j)
/// and the score is the probability that the weak model wins, 1 / (1 + 10^((R_strong - R_weak) / 400)). The models are
/// first parted in tiers by their unweighted ratings, and battles are those of tiers.
///
/// Each fit is of a table of tiers: a query costs a product with the known embeddings, an exponential a battle, and a
/// fit of ten ratings, where the authors' logistic regression reads a row of the design for every battle. Where no
/// prompt is like the query (max cos <= 0) the formula turns round, and the unlike weigh most: there is no score then.
#pragma once
#include "hone/core/output.hpp"
#include "hone/core/packs.hpp"
#include "hone/core/simd_math.hpp"
#include "hone/routing/bradley_terry.hpp"
#include "hone/routing/detail/product_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <type_traits>
#include <vector>

namespace HONE_NAMESPACE::routing {

struct ranking_options {
  index_t tiers = 10;
  rating_options rating = {};
};

/// 10 10^(c / max c) of the cosines @p c, in their place. Returns the largest; where it is not positive, nothing is
/// done. @pre none is NaN.
template <class A>
A similarity_weights(std::span<A> c) {
  using packs = simd::pack<A>;
  const vector_view<A> x(c.data(), std::ssize(c));
  packs largest(-std::numeric_limits<A>::infinity());
  for (index_t i = 0; i < x.size(); i += packs::lanes)
    largest = (simd::max)(load_pack(x, i, x.size(), -std::numeric_limits<A>::infinity()), largest);
  const A top = simd::horizontal_max(largest);
  if (!(top > 0)) return top;
  // Divided first: a small maximum has no inverse.
  const packs log_10(static_cast<A>(std::numbers::ln10)), unit(top), ten(10);
  for (index_t i = 0; i < x.size(); i += packs::lanes)
    store_pack(x, i, x.size(), ten * simd::exp(log_10 * (load_pack(x, i, x.size()) / unit)));
  return top;
}

/// Known battles between models and the embeddings of their prompts (n x d), in memory of the caller's that must
/// outlive this. A prompt with an element that is not finite is left out, and counted; one of zeros has cosine 0.
template <scalar T>
class similarity_ranking {
 public:
  using A = accumulator_t<T>;

  /// @param battles (n) between models 0 … @p models - 1, the tiers of which follow from all battles, unweighted.
  /// @throws std::invalid_argument if the sizes differ, a model is none, an option is out of range, or the models have
  ///         no ratings: one has no battle, or some never lost to the others.
  /// @note One read of the embeddings; holds 40 bytes a battle.
  template <matrix_like X>
  similarity_ranking(const X& prompts, std::span<const battle> battles, index_t models,
                     const ranking_options& options = {})
      : x_(as_matrix(prompts)), rating_(options.rating), length_(detail::lengths_of(x_)) {
    const char* function = "hone::routing::similarity_ranking";
    invalid_argument_unless(std::ssize(battles) == x_.rows(), function, "battles", "has %zu elements, prompts %td rows",
                            battles.size(), x_.rows());
    win_table wins(models);
    for (std::size_t i = 0; i < battles.size(); ++i) {
      for (const index_t model : {battles[i].first, battles[i].second})
        invalid_argument_unless(model >= 0 && model < models, function, "battles", "element %zu is of model %td of %td",
                                i, model, models);
      wins.add(battles[i]);
    }
    const ratings all = fit_ratings(wins, options.rating);
    invalid_argument_unless(all.exist, function, "battles",
                            "have no ratings: some of %td models never lost to the others, or there are none", models);
    for (std::size_t m = 0; m < all.rating.size(); ++m)
      invalid_argument_unless(std::isfinite(all.rating[m]), function, "battles", "model %zu has none", m);
    tier_of_ = split_tiers(all.rating, options.tiers);
    tiers_ = (std::min)(options.tiers, models);
    for (std::size_t i = 0; i < battles.size(); ++i) {
      nonfinite_ += !std::isfinite(length_[i]);
      battles_.push_back({tier_of(battles[i].first), tier_of(battles[i].second), battles[i].outcome});
    }
  }

  [[nodiscard]] index_t width() const { return x_.cols(); }
  /// 0 the best.
  [[nodiscard]] index_t tier_of(index_t model) const { return tier_of_[static_cast<std::size_t>(model)]; }
  /// Prompts that are left out.
  [[nodiscard]] index_t nonfinite() const { return nonfinite_; }

  /// The probability that @p weak beats @p strong on each of @p queries (q x d, computed in the prompts' accumulator
  /// type), into @p scores (q): larger, the weak model is more likely good enough. 1/2 for models of one tier. NaN of a
  /// query with an element that is not finite, one like no prompt, and where its weights leave no ratings; returns how
  /// many those are.
  /// @throws std::invalid_argument, before anything is written, if the sizes do not fit or a model is none.
  /// @note 2 q n d flops in Eigen's products, one read of the embeddings for each 64 queries; cosines and weights in
  ///       the accumulator type, sums and ratings in double. Allocates 64 cosines a battle and worker. Bitwise for any
  ///       executor, which shares out blocks of 64 queries; not guaranteed for another cut of the queries.
  template <matrix_like Q, executor E = const serial>
  index_t score(const Q& queries, index_t weak, index_t strong, std::span<double> scores, E&& pool = serial{}) const {
    const auto q = as_matrix(queries);
    static_assert(std::is_same_v<accumulator_t<element_t<Q>>, A>,
                  "hone::routing::similarity_ranking: queries and prompts compute in different types");
    const char* function = "hone::routing::similarity_ranking::score";
    invalid_argument_unless(q.cols() == width(), function, "queries", "have %td elements, prompts %td", q.cols(),
                            width());
    for (const index_t model : {weak, strong})
      invalid_argument_unless(model >= 0 && model < std::ssize(tier_of_), function, "weak, strong",
                              "must be in [0, %td), one is %td", std::ssize(tier_of_), model);
    invalid_argument_unless(std::ssize(scores) == q.rows(), function, "scores", "has %zu elements, queries %td rows",
                            scores.size(), q.rows());
    check_output(scores, function, "scores");
    pool.parallel_for((q.rows() + query_block - 1) / query_block, index_t{1}, [&](index_t begin, index_t end) {
      for (index_t b = begin; b < end; ++b) {
        const index_t first = b * query_block, count = (std::min)(query_block, q.rows() - first);
        score_block(matrix_view(&q(first, 0), count, q.cols(), q.row_stride(), q.col_stride()), tier_of(weak),
                    tier_of(strong), scores.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
      }
    });
    index_t none = 0;
    for (const double score : scores) none += std::isnan(score);
    return none;
  }

 private:
  static constexpr index_t query_block = 64;

  template <scalar U>
  void score_block(const matrix_view<U>& q, index_t weak, index_t strong, std::span<double> scores) const {
    const std::vector<double> lengths = detail::lengths_of(q);
    const std::size_t n = battles_.size();
    std::vector<A> cosines(n * scores.size());
    const auto scale = [&](index_t j) { return detail::inverse_length(length_[static_cast<std::size_t>(j)]); };
    detail::for_each_product_block<A>(x_, scale, detail::unit_columns<A>(q, lengths),
                                      [&](index_t begin, index_t height, const auto& products) {
                                        for (std::size_t i = 0; i < scores.size(); ++i)
                                          std::copy_n(products.data() + static_cast<index_t>(i) * detail::row_block,
                                                      height, cosines.data() + i * n + static_cast<std::size_t>(begin));
                                      });
    for (std::size_t i = 0; i < scores.size(); ++i) {
      scores[i] = std::numeric_limits<double>::quiet_NaN();
      const std::span<A> own(cosines.data() + i * n, n);
      // The cosine of zeros, which prompts that are left out have too, is never the largest where there is a score.
      if (!std::isfinite(lengths[i]) || !(similarity_weights(own) > 0)) continue;
      win_table wins(tiers_);
      for (std::size_t j = 0; j < n; ++j)
        if (std::isfinite(length_[j])) wins.add(battles_[j], static_cast<double>(own[j]));
      const ratings fitted = fit_ratings(wins, rating_);
      scores[i] = win_probability(fitted.rating[static_cast<std::size_t>(weak)],
                                  fitted.rating[static_cast<std::size_t>(strong)], rating_.scale);
    }
  }

  matrix_view<const T> x_;
  rating_options rating_;
  std::vector<double> length_;
  std::vector<index_t> tier_of_;
  index_t tiers_ = 0;
  std::vector<battle> battles_;  // of tiers
  index_t nonfinite_ = 0;
};
template <matrix_like X>
similarity_ranking(const X&, std::span<const battle>, index_t, const ranking_options& = {})
    -> similarity_ranking<element_t<X>>;

}  // namespace HONE_NAMESPACE::routing
