// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// RouteLLM's matrix factorisation [Ong et al. 2024, RouteLLM, arXiv 2406.18665, 4.2, and its code]: how well model m
/// answers a prompt with embedding e (d),
///   delta(m, e) = c . (p_m / |p_m| o T e)      P (M x r) models, T (r x d), c (r), no biases
///   P(a beats b) = sigmoid(delta(a, e) - delta(b, e))
/// fitted to comparisons by the mean of -log P(winner beats loser), with normal noise on the embeddings.
///
/// For two models the score is linear in the embedding, (T^T (c o (p_a / |p_a| - p_b / |p_b|))) . e: `pair_direction`
/// is this one vector, d products a prompt where the parts take r (d + 2).
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/random.hpp"
#include "hone/core/sigmoid.hpp"
#include "hone/routing/detail/training.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// M models in r factors, for embeddings of d elements.
template <std::floating_point A = float>
struct matrix_factorization {
  index_t models = 0;
  index_t rank = 0;
  index_t width = 0;
  std::vector<A> parameters;  ///< P by rows, then T by rows, then c

  [[nodiscard]] index_t size() const { return models * rank + rank * width + rank; }
  [[nodiscard]] const A* factors() const { return parameters.data(); }
  [[nodiscard]] const A* projection() const { return parameters.data() + models * rank; }
  [[nodiscard]] const A* classifier() const { return projection() + rank * width; }
};

/// The models that a prompt's answers were compared of, and the prompt's row in the embeddings. Ties are left out, as
/// in the authors' training.
struct comparison {
  index_t winner = 0;
  index_t loser = 0;
  index_t prompt = 0;
};

/// Sums and counts, to be divided by the caller.
struct comparison_loss {
  double sum = 0;         ///< of -log P(winner beats loser)
  index_t count = 0;      ///< comparisons
  index_t nonfinite = 0;  ///< comparisons left out, whose prompt's embedding has an element that is not finite
};

/// Normal noise of deviation @c scale on the elements of the embeddings: draw @c draw of index (i width + j) for
/// element j of comparison i of all, so that a batch may be cut anywhere.
struct embedding_noise {
  double scale = 0;
  philox random = {};
  std::uint32_t draw = 0;
};

struct factorization_options {
  index_t rank = 128;
  double noise = 0.05;  ///< the paper's and the code's default; the code's example trains with 0.1
  double rate = 3e-4;   ///< of Adam
  double l2 = 1e-5;     ///< times the parameters, added to the gradient before Adam's moments, as PyTorch's Adam
  index_t batch = 64;
  index_t epochs = 100;
  std::uint64_t seed = 42;
};

template <std::floating_point A = float>
struct factorization_training {
  matrix_factorization<A> model;
  std::vector<double> losses;  ///< the mean of each epoch, as it went, with noise
  index_t nonfinite = 0;       ///< comparisons left out
};

namespace detail {

/// What |p| is taken to be at least, PyTorch's.
inline constexpr double least_length = 1e-12;

template <class A>
void check_factorization(const matrix_factorization<A>& model, const char* function) {
  invalid_argument_unless(
      model.models >= 0 && model.rank > 0 && model.width >= 0 && std::ssize(model.parameters) == model.size(), function,
      "model", "of %td models, %td factors and %td elements has %zu parameters", model.models, model.rank, model.width,
      model.parameters.size());
}

template <class A>
std::vector<A> unit_factors(const matrix_factorization<A>& model, index_t m, double& inverse_length) {
  const std::span<const A> own(model.factors() + m * model.rank, static_cast<std::size_t>(model.rank));
  inverse_length = 1 / (std::max)(std::sqrt(squared_norm(own)), least_length);
  std::vector<A> unit;
  for (const A x : own) unit.push_back(static_cast<A>(static_cast<double>(x) * inverse_length));
  return unit;
}

}  // namespace detail

/// P drawn standard normal, T and c uniform in +-1 / sqrt(d) and +-1 / sqrt(r): PyTorch's, from addressed draws.
/// @throws std::invalid_argument unless models >= 0, rank and width > 0.
template <std::floating_point A = float>
matrix_factorization<A> initialise_factorization(index_t models, index_t rank, index_t width, std::uint64_t seed) {
  const char* function = "hone::routing::initialise_factorization";
  invalid_argument_unless(models >= 0, function, "models", "must not be negative, is %td", models);
  invalid_argument_unless(rank > 0, function, "rank", "must be positive, is %td", rank);
  invalid_argument_unless(width > 0, function, "width", "must be positive, is %td", width);
  matrix_factorization<A> model{models, rank, width, {}};
  const philox random{seed, 1};
  for (index_t i = 0; i < model.size(); ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const double bound = 1 / std::sqrt(static_cast<double>(i < (models + width) * rank ? width : rank));
    model.parameters.push_back(
        static_cast<A>(i < models * rank ? random.normal(at) : bound * (2 * random.uniform(at) - 1)));
  }
  return model;
}

/// The sum of the losses of comparisons [@p first, @p last) of @p order, indices into @p all, and its gradient times
/// @p scale, which is added to @p gradient (as many as parameters, or none for the loss alone).
/// @param embeddings (prompts x d), any strides and storage type that computes in A
/// @throws std::invalid_argument, before anything is written, if sizes do not fit or an index is out of range.
/// @note 4 r d flops a comparison in Eigen's products, 2 without a gradient; a normal draw an element with noise.
///       Allocates 2 d + 4 r elements a comparison. Bitwise for any executor, which shares out slices of T.
template <std::floating_point A, matrix_like X, executor E = const serial>
comparison_loss measure_factorization(const matrix_factorization<A>& model, const X& embeddings,
                                      std::span<const comparison> all, std::span<const std::size_t> order,
                                      const embedding_noise& noise, std::span<A> gradient, double scale,
                                      E&& pool = serial{}) {
  const char* function = "hone::routing::measure_factorization";
  const auto x = as_matrix(embeddings);
  static_assert(std::is_same_v<accumulator_t<element_t<X>>, A>,
                "hone::routing::measure_factorization: embeddings and parameters compute in different types");
  detail::check_factorization(model, function);
  invalid_argument_unless(x.cols() == model.width, function, "embeddings", "have %td elements, expected %td", x.cols(),
                          model.width);
  invalid_argument_unless(gradient.empty() || gradient.size() == model.parameters.size(), function, "gradient",
                          "has %zu elements, expected %zu", gradient.size(), model.parameters.size());
  check_output(gradient, function, "gradient");
  for (const std::size_t i : order) {
    invalid_argument_unless(i < all.size(), function, "order", "has index %zu of %zu", i, all.size());
    const comparison& c = all[i];
    for (const index_t m : {c.winner, c.loser})
      invalid_argument_unless(m >= 0 && m < model.models, function, "comparisons", "element %zu is of model %td of %td",
                              i, m, model.models);
    invalid_argument_unless(c.prompt >= 0 && c.prompt < x.rows(), function, "comparisons",
                            "element %zu is of prompt %td of %td", i, c.prompt, x.rows());
  }
  comparison_loss result;
  std::vector<std::size_t> kept;
  for (const std::size_t i : order)
    if (count_nonfinite(x.row(all[i].prompt)) == 0) kept.push_back(i);
  result.nonfinite = std::ssize(order) - std::ssize(kept);
  result.count = std::ssize(kept);
  if (kept.empty()) return result;
  const index_t count = result.count, r = model.rank, d = model.width;
  detail::dense<A> e(d, count), h(r, count);
  pool.parallel_for(count, index_t{1}, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const std::size_t at = kept[static_cast<std::size_t>(i)];
      detail::scale_into(x.row(all[at].prompt), 1, e.data() + i * d);
      if (noise.scale == 0) continue;
      for (index_t j = 0; j < d; ++j) {
        const auto index =
            static_cast<std::uint64_t>(at) * static_cast<std::uint64_t>(d) + static_cast<std::uint64_t>(j);
        e(j, i) += static_cast<A>(noise.scale * noise.random.normal(index, noise.draw));
      }
    }
  });
  const detail::row_major<const A> t(model.projection(), r, d);
  detail::for_each_slice(r, pool, [&](index_t begin, index_t rows) {
    h.middleRows(begin, rows).noalias() = t.middleRows(begin, rows) * e;
  });
  const A* c = model.classifier();
  A* const dp = gradient.data();
  A* const dc = gradient.empty() ? nullptr : gradient.data() + (model.models + d) * r;
  std::vector<double> classifier_slope(static_cast<std::size_t>(r)), won_slope(classifier_slope),
      lost_slope(classifier_slope);
  for (index_t i = 0; i < count; ++i) {
    const comparison& pair = all[kept[static_cast<std::size_t>(i)]];
    double won_inverse, lost_inverse, logit = 0;
    const std::vector<A> won = detail::unit_factors(model, pair.winner, won_inverse);
    const std::vector<A> lost = detail::unit_factors(model, pair.loser, lost_inverse);
    for (index_t f = 0; f < r; ++f) {
      const auto k = static_cast<std::size_t>(f);
      logit += static_cast<double>(c[f]) * static_cast<double>(won[k] - lost[k]) * static_cast<double>(h(f, i));
    }
    result.sum -= log_sigmoid(logit);
    if (gradient.empty()) continue;
    const double slope = -scale * sigmoid(-logit);
    double won_along = 0, lost_along = 0;
    for (index_t f = 0; f < r; ++f) {
      const auto k = static_cast<std::size_t>(f);
      const double along = slope * static_cast<double>(h(f, i)), difference = static_cast<double>(won[k] - lost[k]);
      classifier_slope[k] += along * difference;
      won_slope[k] = along * static_cast<double>(c[f]);  // by p_won / |p_won|, and minus that by the other's
      won_along += won_slope[k] * static_cast<double>(won[k]);
      lost_along += won_slope[k] * static_cast<double>(lost[k]);
      h(f, i) = static_cast<A>(slope * static_cast<double>(c[f]) * difference);
    }
    // A length below the least is a constant.
    if (won_inverse * detail::least_length >= 1) won_along = 0;
    if (lost_inverse * detail::least_length >= 1) lost_along = 0;
    for (index_t f = 0; f < r; ++f) {
      const auto k = static_cast<std::size_t>(f);
      dp[pair.winner * r + f] += static_cast<A>(won_inverse * (won_slope[k] - won_along * static_cast<double>(won[k])));
      dp[pair.loser * r + f] -=
          static_cast<A>(lost_inverse * (won_slope[k] - lost_along * static_cast<double>(lost[k])));
    }
  }
  if (gradient.empty()) return result;
  for (index_t f = 0; f < r; ++f) dc[f] += static_cast<A>(classifier_slope[static_cast<std::size_t>(f)]);
  const detail::row_major<A> dt(dp + model.models * r, r, d);
  detail::for_each_slice(r, pool, [&](index_t begin, index_t rows) {
    auto own = dt;
    own.middleRows(begin, rows).noalias() += h.middleRows(begin, rows) * e.transpose();
  });
  return result;
}

/// Fits a model of @p models models to @p comparisons of answers to prompts with @p embeddings (prompts x d): Adam on
/// means over batches of every epoch's own order. Comparisons with a prompt that is not finite are left out and
/// counted.
/// @throws std::invalid_argument, as `measure_factorization`, or if an option is out of range.
/// @note Each epoch 6 r d flops and a normal draw an element a comparison. The parameters, their gradient and two
///       moments. Bitwise for any executor.
template <matrix_like X, executor E = const serial>
auto train_factorization(const X& embeddings, std::span<const comparison> comparisons, index_t models,
                         const factorization_options& options = {}, E&& pool = serial{}) {
  using A = accumulator_t<element_t<X>>;
  const char* function = "hone::routing::train_factorization";
  const auto x = as_matrix(embeddings);
  detail::check_epochs(options, function);
  invalid_argument_unless(options.noise >= 0 && options.noise < 1e30, function, "noise",
                          "must be finite and at least 0, is %g", options.noise);
  invalid_argument_unless(options.l2 >= 0 && options.l2 < 1e30, function, "l2", "must be finite and at least 0, is %g",
                          options.l2);
  factorization_training<A> result{.model = initialise_factorization<A>(models, options.rank, x.cols(), options.seed),
                                   .losses = {}};
  std::vector<comparison> kept;
  std::vector<std::size_t> samples;  // 0, 1, ...
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const index_t prompt = comparisons[i].prompt;
    invalid_argument_unless(prompt >= 0 && prompt < x.rows(), function, "comparisons",
                            "element %zu is of prompt %td of %td", i, prompt, x.rows());
    if (count_nonfinite(x.row(prompt)) > 0) continue;
    samples.push_back(kept.size());
    kept.push_back(comparisons[i]);
  }
  result.nonfinite = std::ssize(comparisons) - std::ssize(kept);
  if (kept.empty()) return result;
  result.losses =
      detail::train_epochs(result.model.parameters, samples, options, pool,
                           [&](std::uint32_t epoch, std::span<const std::size_t> batch, std::span<A> gradient) {
                             axpy(static_cast<A>(options.l2), result.model.parameters, gradient, pool);
                             const embedding_noise noise{options.noise, {options.seed, 3}, epoch};
                             const double scale = 1 / static_cast<double>(batch.size());
                             return measure_factorization(result.model, x, std::span<const comparison>(kept), batch,
                                                          noise, gradient, scale, pool)
                                 .sum;
                           });
  return result;
}

/// The vector (d) whose product with an embedding is the logit of the probability that model @p a beats model @p b.
/// @throws std::invalid_argument if a model is none.
template <std::floating_point A>
std::vector<A> pair_direction(const matrix_factorization<A>& model, index_t a, index_t b) {
  const char* function = "hone::routing::pair_direction";
  detail::check_factorization(model, function);
  for (const index_t m : {a, b})
    invalid_argument_unless(m >= 0 && m < model.models, function, "a, b", "must be in [0, %td), one is %td",
                            model.models, m);
  double inverse;
  const std::vector<A> ours = detail::unit_factors(model, a, inverse), theirs = detail::unit_factors(model, b, inverse);
  std::vector<A> direction(static_cast<std::size_t>(model.width));
  for (index_t f = 0; f < model.rank; ++f) {
    const auto k = static_cast<std::size_t>(f);
    axpy(model.classifier()[f] * (ours[k] - theirs[k]),
         vector_view<const A>(model.projection() + f * model.width, model.width), direction);
  }
  return direction;
}

/// sigmoid(direction . e) of each of @p embeddings (q x d) into @p scores (q). With `pair_direction(model, weak,
/// strong)`: the probability that the weak model wins; larger, it is more likely good enough. NaN of an embedding with
/// an element that is not finite; returns how many.
/// @throws std::invalid_argument, before anything is written, if the sizes do not fit.
/// @note One read of the embeddings; allocates nothing; bitwise for any executor.
template <matrix_like X, vector_like D, executor E = const serial>
index_t score_pairs(const X& embeddings, const D& direction, std::span<double> scores, E&& pool = serial{}) {
  const char* function = "hone::routing::score_pairs";
  const auto x = as_matrix(embeddings);
  const auto w = as_vector(direction);
  invalid_argument_unless(w.size() == x.cols(), function, "direction", "has %td elements, embeddings %td", w.size(),
                          x.cols());
  invalid_argument_unless(std::ssize(scores) == x.rows(), function, "scores", "has %zu elements, embeddings %td rows",
                          scores.size(), x.rows());
  check_output(scores, function, "scores");
  pool.parallel_for(x.rows(), index_t{16}, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const bool finite = count_nonfinite(x.row(i)) == 0;
      scores[static_cast<std::size_t>(i)] =
          finite ? sigmoid(dot(x.row(i), w)) : std::numeric_limits<double>::quiet_NaN();
    }
  });
  index_t none = 0;
  for (const double score : scores) none += std::isnan(score);
  return none;
}

}  // namespace HONE_NAMESPACE::routing
