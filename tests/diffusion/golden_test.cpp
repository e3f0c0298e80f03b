// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LLaDA's and MDLM's own code on a toy model: golden/authors.py ran it, golden/authors.hpp has what it said.
#include "diffusion/golden/authors.hpp"

#include "hone/diffusion/bound.hpp"
#include "hone/diffusion/objective.hpp"
#include "hone/diffusion/sampler.hpp"
#include "hone/loss/likelihood.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>
#include <vector>

using namespace hone;
using namespace hone::diffusion;
using golden::ids;

namespace {

index_t length_of(const ids& x) { return static_cast<index_t>(x.size()); }

/// Logits (length x vocab) of a canvas, as in golden/authors.py.
std::vector<double> toy(const ids& x) {
  const auto modulo = [](long a, long b) { return (a % b + b) % b; };
  const auto n = static_cast<long>(x.size());
  std::vector<double> z;
  for (long i = 0; i < n; ++i)
    for (long v = 0; v < golden::vocab; ++v) {
      double own = static_cast<double>(modulo(7 * i + 13 * v + 5 * i * v, 23) - 11) / 8;
      for (long j = 0; j < n; ++j)
        own += static_cast<double>(modulo(3 * x[static_cast<std::size_t>(j)] + 11 * v + 17 * std::abs(i - j), 19) - 9) /
               64;
      z.push_back(v == golden::mask ? -40 : own);
    }
  return z;
}
matrix_view<double> as_rows(std::vector<double>& z) {
  return {z.data(), static_cast<index_t>(z.size()) / golden::vocab, golden::vocab};
}

/// With the first @p prompt tokens masked in a second pass.
std::vector<double> guided(const ids& x, std::size_t prompt, double weight) {
  std::vector<double> z = toy(x);
  if (weight == 0) return z;
  ids without = x;
  std::fill_n(without.begin(), prompt, golden::mask);
  std::vector<double> u = toy(without);
  guide(as_rows(z), as_rows(u), weight);
  return z;
}

ids joined(const std::vector<ids>& rows) {
  ids all;
  for (const ids& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

/// What hone's weights make of a batch, as a mean.
double loss_of(const golden::trained& own, weighting how, bool subs) {
  const ids clean = joined(own.clean), noised = joined(own.noised);
  std::vector<index_t> offsets = {0};
  std::vector<double> logits, weights(clean.size());
  std::vector<std::int32_t> labels(clean.size());
  std::vector<std::uint8_t> may;
  for (std::size_t s = 0; s < own.clean.size(); ++s) {
    offsets.push_back(offsets.back() + length_of(own.clean[s]));
    const auto z = toy(own.noised[s]);
    logits.insert(logits.end(), z.begin(), z.end());
    for (index_t t = 0; t < length_of(own.clean[s]); ++t) may.push_back(t >= own.prompt[s]);
  }
  const double divisor = row_weights(how,
                                     {.tokens = clean,
                                      .noised = noised,
                                      .offsets = offsets,
                                      .may = may,
                                      .values = own.probability,
                                      .mask_token = golden::mask},
                                     labels, weights);
  if (subs) exclude_mask(as_rows(logits), golden::mask);
  return loss::likelihood(as_rows(logits), labels, {.weights = weights}).sum / divisor;
}

}  // namespace

TEST_CASE("the likelihood of an answer is LLaDA's, draw by draw, and so are its counts of masks") {
  for (const golden::likelihood& own : golden::likelihoods) {
    const auto length = length_of(own.answer);
    ids clean = own.prompt;
    clean.insert(clean.end(), own.answer.begin(), own.answer.end());
    double sum = 0;
    index_t first = 0;
    for (std::size_t j = 0; j < own.noised.size(); ++j) {
      const auto count = static_cast<index_t>(std::count(own.noised[j].begin(), own.noised[j].end(), golden::mask));
      const auto in_batch = static_cast<index_t>(j) % own.batch;
      if (in_batch == 0) first = count;
      CHECK(count == llada_count(first, in_batch, own.batch, length));
      std::vector<double> z = guided(own.noised[j], own.prompt.size(), own.guidance);
      std::vector<std::int32_t> labels(clean.size());
      for (std::size_t i = 0; i < clean.size(); ++i) labels[i] = own.noised[j][i] == golden::mask ? clean[i] : -1;
      sum += loss::likelihood(as_rows(z), labels).mean() * static_cast<double>(length);
    }
    CHECK(-sum / static_cast<double>(own.noised.size()) == Approx(own.value).epsilon(1e-6));
  }
}

TEST_CASE("losses of training and fine-tuning are LLaDA's") {
  CHECK(loss_of(golden::llada_losses[0], weighting::inverse, false) ==
        Approx(golden::llada_losses[0].loss).epsilon(1e-6));
  CHECK(loss_of(golden::llada_losses[1], weighting::answer, false) ==
        Approx(golden::llada_losses[1].loss).epsilon(1e-6));
}

TEST_CASE("the loss of training is MDLM's, and its times are one in each part") {
  for (const golden::trained& own : golden::mdlm_losses) {
    CHECK(loss_of(own, weighting::inverse, true) == Approx(own.loss).epsilon(1e-5));
    const auto n = static_cast<double>(own.probability.size());
    for (std::size_t j = 0; j < own.probability.size(); ++j) {
      const double u = (own.probability[j] - 1e-3) / (1 - 1e-3) * n - static_cast<double>(j);
      CHECK((u >= 0 && u < 1));
      CHECK((1 - 1e-3) * time_of(times::stratified, u, static_cast<index_t>(j), static_cast<index_t>(n)) + 1e-3 ==
            Approx(own.probability[j]).epsilon(1e-12));
    }
  }
}

TEST_CASE("decoding goes through LLaDA's canvases") {
  for (const golden::decoded& own : golden::decodings) {
    const auto start = length_of(own.prompt);
    const index_t blocks = own.length / own.block, steps = own.steps / blocks;
    ids canvas = own.canvases.front();
    for (std::size_t step = 0; step + 1 < own.canvases.size(); ++step) {
      const auto j = static_cast<index_t>(step);
      const index_t first = start + j / steps * own.block;
      std::vector<double> z = guided(canvas, own.prompt.size(), own.guidance);
      std::vector<candidate> memory;
      reveal({.by = order::confidence}, matrix_view<double>(z.data() + first * golden::vocab, own.block, golden::vocab),
             std::span(canvas).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(own.block)),
             golden::mask, {.first_position = first, .count = revealed_in_step(own.block, steps, j % steps)}, memory);
      CHECK(canvas == own.canvases[step + 1]);
    }
    CHECK(std::find(canvas.begin(), canvas.end(), golden::mask) == canvas.end());
  }
}

TEST_CASE("ancestral steps have MDLM's chances, cached or not") {
  constexpr int trials = 20000;
  for (const golden::ancestral& own : golden::ancestral_steps) {
    const std::size_t n = own.chances[0].size();
    std::vector<std::vector<double>> seen(n, std::vector<double>(golden::vocab));
    std::vector<double> rows;
    std::vector<index_t> positions;
    const auto z = toy(own.canvas);
    for (std::size_t i = 0; i < own.canvas.size(); ++i) {
      if (own.canvas[i] != golden::mask) continue;
      positions.push_back(static_cast<index_t>(i));
      rows.insert(rows.end(), z.begin() + static_cast<std::ptrdiff_t>(i) * golden::vocab,
                  z.begin() + static_cast<std::ptrdiff_t>(i + 1) * golden::vocab);
    }
    REQUIRE(positions.size() == n);
    std::vector<candidate> memory;
    for (std::uint32_t s = 0; s < trials; ++s) {
      ids masks(n, golden::mask);
      reveal({.by = order::ancestral, .sampling = {.temperature = 1, .seed = 3}}, as_rows(rows), masks, golden::mask,
             {.sequence = s, .positions = positions, .from = own.from, .to = own.to}, memory);
      for (std::size_t i = 0; i < n; ++i) seen[i][static_cast<std::size_t>(masks[i])] += 1.0 / trials;
    }
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t v = 0; v < static_cast<std::size_t>(golden::vocab); ++v) {
        const double p = own.chances[0][i][v];
        CHECK(p == Approx(own.chances[1][i][v]).epsilon(1e-4));
        CHECK(std::abs(seen[i][v] - p) < 4.5 * std::sqrt(p * (1 - p) / trials));
      }
  }
}
