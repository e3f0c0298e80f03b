// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From rows of logits at masked places to tokens revealed: one step of decoding, which knows no model. A masked place
/// gets a candidate, its likeliest token or one drawn, and an order says which candidates stay:
///   ancestral      each with chance (t - s) / t, from time t to s             [Sahoo et al. 2024, 2406.07524]
///   random         n places at random
///   confidence     the n whose candidate is likeliest                        [Nie et al. 2025, 2502.09992]
///   margin         the n where p of the likeliest is furthest above the next
///   entropy        the n of least entropy
///   threshold      every one at least that likely, and the likeliest always         [Fast-dLLM, 2505.22618]
///   entropy_bound  the longest run by rising entropy with sum H - max H <= gamma    [2505.24857]
/// Ties go to the lower place. Revealed tokens are never masked again; the mask itself is never a candidate.
#pragma once
#include "hone/diffusion/masking.hpp"
#include "hone/diffusion/objective.hpp"
#include "hone/loss/sampling.hpp"

namespace HONE_NAMESPACE::diffusion {

enum class order { ancestral, random, confidence, margin, entropy, threshold, entropy_bound };

struct sampler {
  order by = order::confidence;
  loss::sampling_options sampling = {};  ///< temperature 0: the likeliest; its seed is that of all draws
  /// Confidence, margin and entropy of the distribution that candidates are drawn from, after temperature, top k and
  /// top p, as Dream has them; else of the model's own.
  bool after_temperature = false;
  double threshold = 0.9;       ///< in [0, 1]
  double gamma = 0.1;           ///< at least 0, nats
  std::int32_t end_token = -1;  ///< comes last: its places wait while there are others (ancestral: others that stay)
};

/// @throws std::invalid_argument, naming the member, as `loss::validate`, or unless threshold and gamma are in range.
inline void validate(const sampler& s) {
  const char* function = "hone::diffusion::sampler";
  loss::validate(s.sampling);
  invalid_argument_unless(s.threshold >= 0 && s.threshold <= 1, function, "threshold", "must be in [0, 1], is %g",
                          s.threshold);
  invalid_argument_unless(s.gamma >= 0 && s.gamma < 1e300, function, "gamma", "must be finite and at least 0, is %g",
                          s.gamma);
}

/// How many of @p masked places step @p step of @p steps reveals: as many each, the first ones one more.
/// @pre 0 <= step < steps.
inline index_t revealed_in_step(index_t masked, index_t steps, index_t step) {
  return masked / steps + (step < masked % steps ? 1 : 0);
}

/// Classifier-free guidance: @p conditional becomes unconditional + (weight + 1) (conditional - unconditional); where
/// both are equal it stays, so that what is absent (-inf) in both remains so.
/// @throws std::invalid_argument, before anything is written, if the shapes differ or the weight is not finite.
/// @note One pass over both; allocates nothing.
template <mutable_matrix Z, matrix_like U>
void guide(Z&& conditional, const U& unconditional, double weight) {
  const char* function = "hone::diffusion::guide";
  const auto z = output_matrix(conditional, function, "conditional");
  const auto u = as_matrix(unconditional);
  using T = element_t<Z>;
  using A = accumulator_t<T>;
  invalid_argument_unless(z.rows() == u.rows() && z.cols() == u.cols(), function, "unconditional",
                          "is %td x %td, must be %td x %td", u.rows(), u.cols(), z.rows(), z.cols());
  invalid_argument_unless(std::abs(weight) < 1e300, function, "weight", "must be finite, is %g", weight);
  for (index_t i = 0; i < z.rows(); ++i)
    for (index_t j = 0; j < z.cols(); ++j) {
      const A own = to_accumulator(z(i, j)), other = static_cast<A>(to_accumulator(u(i, j)));
      if (own != other) z(i, j) = from_accumulator<T>(other + static_cast<A>(weight + 1) * (own - other));
    }
}

/// One step at one sequence.
struct reveal_step {
  std::uint32_t sequence = 0, step = 0;     ///< that address the draws; step counts through all blocks
  index_t first_position = 0;               ///< of the places, in the sequence
  std::span<const index_t> positions = {};  ///< of each place, where they do not follow each other; empty: they do
  index_t count = 1;                        ///< n, of the orders that have one
  double from = 1, to = 0;                  ///< t and s, of `ancestral`
};

/// A masked place and what could stand there.
struct candidate {
  index_t place;  ///< row of the logits
  std::int32_t token;
  double confidence;  ///< what the order ranks by, higher first, entropies negated; the draw of an ancestral step
};

namespace detail {

/// What an order ranks a candidate by.
/// @param kept probabilities and ids of the distribution that it comes of, to any sum.
inline double rank_of(order by, std::span<const std::pair<double, std::int32_t>> kept, std::int32_t token) {
  double sum = 0, own = 0, first = 0, second = 0;
  for (const auto& [p, v] : kept) {
    sum += p;
    if (v == token) own = p;
    second = (max)(second, (min)(first, p));
    first = (max)(first, p);
  }
  if (by == order::margin) return (first - second) / sum;
  if (by != order::entropy && by != order::entropy_bound) return own / sum;
  double negated_entropy = 0;
  for (const auto& [p, v] : kept) negated_entropy += p / sum * std::log(p / sum);
  return negated_entropy;
}

/// p of the likeliest id less p of the next one.
template <vector_like Z>
double margin_of(const Z& logits) {
  const auto z = as_vector(logits);
  const auto normalizer = loss::summarize(z).normalizer;
  double first = -std::numeric_limits<double>::infinity(), second = first;
  for (index_t v = 0; v < z.size(); ++v) {
    const auto x = static_cast<double>(to_accumulator(z[v]));
    if (x > first)
      second = first, first = x;
    else if (x > second)
      second = x;
  }
  return std::exp(normalizer.log_probability(first)) - std::exp(normalizer.log_probability(second));
}

/// What each masked place would become, in order of places.
template <scalar T>
void find_candidates(const sampler& s, const matrix_view<T>& logits, std::span<const std::int32_t> canvas,
                     std::int32_t mask_token, const reveal_step& at, std::vector<candidate>& found) {
  found.clear();
  std::vector<std::pair<double, std::int32_t>> scratch;
  loss::sampling_options drawn_from = s.sampling;  // greedy candidates are the likeliest at temperature 1
  if (drawn_from.temperature == 0) drawn_from.temperature = 1;
  const philox random{s.sampling.seed, at.step};
  for (index_t i = 0; i < logits.rows(); ++i) {
    if (canvas[static_cast<std::size_t>(i)] != mask_token) continue;
    const index_t position = at.positions.empty() ? at.first_position + i : at.positions[static_cast<std::size_t>(i)];
    const auto z = logits.row(i);
    const std::int32_t token =
        loss::sample_token(z, s.sampling, at.sequence, static_cast<std::uint32_t>(position), scratch, at.step).token;
    double confidence = 0;
    const bool random_order = s.by == order::random || s.by == order::ancestral;
    if (random_order) {
      confidence = random.uniform(place(at.sequence, position), once);
    } else if (s.after_temperature) {
      if (s.sampling.temperature == 0) loss::sample_token(z, drawn_from, 0, 0, scratch);
      confidence = rank_of(s.by, scratch, token);  // of what the draw left there
    } else if (s.by == order::entropy || s.by == order::entropy_bound) {
      confidence = -loss::summarize_entropy(z).entropy;
    } else if (s.by == order::margin) {
      confidence = margin_of(z);
    } else {
      confidence = std::exp(loss::log_probability(z, token));
    }
    found.push_back({i, token, confidence});
  }
}

}  // namespace detail

/// Reveals tokens of @p canvas in place and returns how many; 0 where none is masked.
/// @param logits (places x V) of the canvas's places, any strides; the mask's column becomes -inf.
/// @param canvas (places) tokens, or the mask.
/// @param memory grows as it must; holds the candidates, best first.
/// @throws std::invalid_argument as `validate`, before anything is written; if a size does not fit, the mask is not in
///         the vocabulary, the end token is neither -1 nor another of it, count is negative, or times do not fall from
///         (0, 1] to [0, from); later, with the canvas as it was, as `loss::sample_token`, if a row has no
///         distribution.
/// @note A few reads of each masked row; allocates up to V pairs where rows are drawn from or cut. Serial; every draw
///       is addressed by (seed, step, sequence, position).
template <mutable_matrix Z>
index_t reveal(const sampler& s, Z&& logits, std::span<std::int32_t> canvas, std::int32_t mask_token,
               const reveal_step& at, std::vector<candidate>& memory) {
  const char* function = "hone::diffusion::reveal";
  validate(s);
  const auto z = output_matrix(logits, function, "logits");
  invalid_argument_unless(static_cast<index_t>(canvas.size()) == z.rows(), function, "canvas",
                          "has %zu places, logits %td rows", canvas.size(), z.rows());
  invalid_argument_unless(mask_token >= 0 && mask_token < z.cols(), function, "mask_token",
                          "is %d, the logits have %td columns", mask_token, z.cols());
  invalid_argument_unless(s.end_token >= -1 && s.end_token < z.cols() && s.end_token != mask_token, function,
                          "end_token", "must be -1 or one of %td tokens and not the mask, is %d", z.cols(),
                          s.end_token);
  invalid_argument_unless(z.cols() >= 2, function, "logits", "have %td columns: nothing but the mask", z.cols());
  invalid_argument_unless(at.positions.empty() || at.positions.size() == canvas.size(), function, "positions",
                          "has %zu elements for %zu places", at.positions.size(), canvas.size());
  invalid_argument_unless(at.count >= 0, function, "count", "must not be negative, is %td", at.count);
  if (s.by == order::ancestral)
    invalid_argument_unless(at.from > 0 && at.from <= 1 && at.to >= 0 && at.to < at.from, function, "to",
                            "times must fall within [0, 1], from %g to %g", at.from, at.to);
  exclude_mask(z, mask_token);
  detail::find_candidates(s, z, canvas, mask_token, at, memory);
  const auto is_end = [&](const candidate& c) { return c.token == s.end_token; };
  std::stable_sort(memory.begin(), memory.end(), [&](const candidate& a, const candidate& b) {
    if (is_end(a) != is_end(b)) return is_end(b);
    return a.confidence > b.confidence;
  });
  std::size_t taken = 0;
  switch (s.by) {
    case order::ancestral: {
      const double chance = (at.from - at.to) / at.from;
      const auto unlucky = [&](const candidate& c) { return c.confidence >= chance; };
      const bool others_left =
          std::any_of(memory.begin(), memory.end(), [&](const candidate& c) { return unlucky(c) && !is_end(c); });
      const auto stays = [&](const candidate& c) { return unlucky(c) || (others_left && is_end(c)); };
      std::stable_partition(memory.begin(), memory.end(), [&](const candidate& c) { return !stays(c); });
      while (taken < memory.size() && !stays(memory[taken])) ++taken;
      break;
    }
    case order::threshold:
      while (taken < memory.size() &&
             (taken == 0 || (memory[taken].confidence >= s.threshold && is_end(memory[taken]) == is_end(memory[0]))))
        ++taken;
      break;
    case order::entropy_bound: {
      // By rising entropy, so that the largest is always the last one's.
      double before = 0;
      while (taken < memory.size() && before <= s.gamma && is_end(memory[taken]) == is_end(memory[0]))
        before -= memory[taken++].confidence;
      break;
    }
    default: taken = (std::min)(memory.size(), static_cast<std::size_t>(at.count));
  }
  for (std::size_t i = 0; i < taken; ++i) canvas[static_cast<std::size_t>(memory[i].place)] = memory[i].token;
  return static_cast<index_t>(taken);
}

}  // namespace HONE_NAMESPACE::diffusion
