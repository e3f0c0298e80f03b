// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Times of sequences and masks at them. Every draw is addressed by (seed, step, sequence, position), so that neither
/// batching nor threads change what is masked. A sequence's number is that in the whole batch of the step.
///   independent    t_j = u_j
///   stratified     t_j = (u_j / n + j / n) mod 1, one in each n-th part    [Sahoo et al. 2024, MDLM, 2406.07524]
///   shared_offset  t_j = (u + j / n) mod 1, one draw for all
#pragma once
#include "hone/core/output.hpp"
#include "hone/core/philox.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::diffusion {

enum class times { independent, stratified, shared_offset };

/// Where draws come from.
struct draw_address {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t first_sequence = 0;  ///< the number of the first sequence, where a batch is drawn in parts
};

namespace detail {

inline std::uint64_t place(std::uint32_t sequence, index_t position) {
  return (std::uint64_t{sequence} << 32) | static_cast<std::uint32_t>(position);
}
/// Draws at one place: the mask, a time, what is one of a kind in a sequence.
enum draw : std::uint32_t { masked, time, once };

}  // namespace detail

/// The j-th of @p n times, of a draw @p u in [0, 1).
inline double time_of(times how, double u, index_t j, index_t n) {
  const auto of = static_cast<double>(n), at = static_cast<double>(j);
  const double t = how == times::independent ? u : how == times::stratified ? (u + at) / of : u + at / of;
  return t >= 1 ? t - 1 : t;
}

/// A time t in [least, 1) for each of @p out.size() sequences, a part of @p batch sequences (0: all): the drawn one
/// times 1 - least, plus least. Strata are those of the whole batch: whoever draws a part says how many it has.
/// @throws std::invalid_argument unless 0 <= least < 1 and the part lies in the batch.
/// @note A draw a sequence; allocates nothing.
inline void draw_times(times how, std::span<double> out, const draw_address& address, double least = 0,
                       index_t batch = 0) {
  const char* function = "hone::diffusion::draw_times";
  const auto own = static_cast<index_t>(out.size());
  const index_t n = batch > 0 ? batch : index_t{address.first_sequence} + own;
  invalid_argument_unless(least >= 0 && least < 1, function, "least", "must be in [0, 1), is %g", least);
  invalid_argument_unless(how == times::independent || batch > 0 || address.first_sequence == 0, function, "batch",
                          "must say of how many sequences this part, which begins with %u, is", address.first_sequence);
  invalid_argument_unless(index_t{address.first_sequence} + own <= n, function, "batch",
                          "has %td sequences, the part ends with %td", n, index_t{address.first_sequence} + own);
  check_output(out, function, "out");
  const philox random{address.seed, address.step};
  for (index_t i = 0; i < own; ++i) {
    const auto j = address.first_sequence + static_cast<std::uint32_t>(i);
    const std::uint32_t drawn_by = how == times::shared_offset ? 0 : j;
    const double t = time_of(how, random.uniform(detail::place(drawn_by, 0), detail::time), j, n);
    out[static_cast<std::size_t>(i)] = (1 - least) * t + least;
  }
}

/// What a mask does to a batch of sequences, one after the other.
struct mask_options {
  std::int32_t mask_token = -1;            ///< to be set: no token of the text
  std::span<const std::uint8_t> may = {};  ///< a token each: 0 is never masked (a prompt, padding); empty: all may be
  bool at_least_one = false;               ///< of a sequence with none, one at random of those that may be [EC-DLM]
  draw_address address = {};
};

namespace detail {

inline void check_offsets(const char* function, std::span<const index_t> offsets, std::size_t tokens) {
  invalid_argument_unless(!offsets.empty() && offsets.front() == 0 && offsets.back() == static_cast<index_t>(tokens),
                          function, "offsets", "must begin with 0 and end with the number of tokens, %zu", tokens);
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
    invalid_argument_unless(offsets[s] <= offsets[s + 1], function, "offsets", "sequence %zu ends before it begins", s);
}

inline void check_masking(const char* function, std::span<const std::int32_t> tokens, std::span<const index_t> offsets,
                          const mask_options& options, std::span<const std::int32_t> noised,
                          std::span<const index_t> counts) {
  const std::size_t n = tokens.size();
  check_offsets(function, offsets, n);
  invalid_argument_unless(options.may.empty() || options.may.size() == n, function, "may",
                          "has %zu elements for %zu tokens", options.may.size(), n);
  invalid_argument_unless(options.mask_token >= 0, function, "mask_token", "must not be negative, is %d",
                          options.mask_token);
  invalid_argument_unless(noised.size() == n, function, "noised", "has %zu elements for %zu tokens", noised.size(), n);
  invalid_argument_unless(counts.size() + 1 == offsets.size(), function, "counts", "has %zu elements for %zu sequences",
                          counts.size(), offsets.size() - 1);
}

/// The positions of sequence @p s that may be masked.
inline std::vector<index_t> maskable(std::span<const index_t> offsets, std::size_t s, const mask_options& options) {
  std::vector<index_t> rows;
  for (index_t i = offsets[s]; i < offsets[s + 1]; ++i)
    if (options.may.empty() || options.may[static_cast<std::size_t>(i)] != 0) rows.push_back(i);
  return rows;
}

}  // namespace detail

/// Masks each token that may be with the probability of its sequence.
/// @param probabilities one a sequence, in [0, 1]. @param noised (tokens) receives the tokens, or the mask in their
///        place; it may be the memory of @p tokens. @param counts one a sequence, receives how many are masked.
/// @throws std::invalid_argument, before anything is written, if a size does not fit, a probability is not in [0, 1] or
///         the mask is negative.
/// @note A draw a token; allocates a list of a sequence's tokens.
inline void mask_at(std::span<const std::int32_t> tokens, std::span<const index_t> offsets,
                    std::span<const double> probabilities, const mask_options& options, std::span<std::int32_t> noised,
                    std::span<index_t> counts) {
  const char* function = "hone::diffusion::mask_at";
  detail::check_masking(function, tokens, offsets, options, noised, counts);
  invalid_argument_unless(probabilities.size() == counts.size(), function, "probabilities",
                          "has %zu elements for %zu sequences", probabilities.size(), counts.size());
  for (const double p : probabilities)
    invalid_argument_unless(p >= 0 && p <= 1, function, "probabilities", "must be in [0, 1], one is %g", p);
  const philox random{options.address.seed, options.address.step};
  if (noised.data() != tokens.data()) std::copy(tokens.begin(), tokens.end(), noised.begin());
  for (std::size_t s = 0; s < counts.size(); ++s) {
    const auto sequence = options.address.first_sequence + static_cast<std::uint32_t>(s);
    counts[s] = 0;
    const std::vector<index_t> rows = detail::maskable(offsets, s, options);
    const auto mask = [&](index_t row) {
      noised[static_cast<std::size_t>(row)] = options.mask_token;
      ++counts[s];
    };
    for (const index_t row : rows)
      if (random.uniform(detail::place(sequence, row - offsets[s]), detail::masked) < probabilities[s]) mask(row);
    if (options.at_least_one && counts[s] == 0 && !rows.empty()) {
      const double u = random.uniform(detail::place(sequence, 0), detail::once);
      mask(rows[static_cast<std::size_t>(u * static_cast<double>(rows.size()))]);
    }
  }
}

/// Masks exactly @p counts[s] tokens of each sequence, every set of as many as likely; cut to how many may be.
/// @throws std::invalid_argument as `mask_at`, or if a count is negative.
/// @note A draw a token; allocates a list of a sequence's tokens.
inline void mask_exactly(std::span<const std::int32_t> tokens, std::span<const index_t> offsets,
                         std::span<index_t> counts, const mask_options& options, std::span<std::int32_t> noised) {
  const char* function = "hone::diffusion::mask_exactly";
  detail::check_masking(function, tokens, offsets, options, noised, counts);
  for (const index_t n : counts)
    invalid_argument_unless(n >= 0, function, "counts", "must not be negative, one is %td", n);
  const philox random{options.address.seed, options.address.step};
  if (noised.data() != tokens.data()) std::copy(tokens.begin(), tokens.end(), noised.begin());
  for (std::size_t s = 0; s < counts.size(); ++s) {
    const auto sequence = options.address.first_sequence + static_cast<std::uint32_t>(s);
    std::vector<std::pair<double, index_t>> order;
    for (const index_t row : detail::maskable(offsets, s, options))
      order.emplace_back(random.uniform(detail::place(sequence, row - offsets[s]), detail::masked), row);
    counts[s] = (min)(counts[s], static_cast<index_t>(order.size()));
    std::nth_element(order.begin(), order.begin() + counts[s], order.end());
    for (index_t i = 0; i < counts[s]; ++i)
      noised[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].second)] = options.mask_token;
  }
}

}  // namespace HONE_NAMESPACE::diffusion
