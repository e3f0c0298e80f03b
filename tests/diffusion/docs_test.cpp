// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/diffusion.md shows.
#include "hone/diffusion/objective.hpp"
#include "hone/diffusion/sampler.hpp"
#include "hone/loss/likelihood.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::diffusion;

TEST_CASE("docs: a loss and a step of sampling") {
  std::vector<float> z(8 * 11);
  for (std::size_t i = 0; i < z.size(); ++i) z[i] = static_cast<float>(i % 7);
  const matrix_view<float> logits(z.data(), 8, 11);
  const std::vector<std::int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  const std::vector<index_t> offsets = {0, 5, 8};  // two sequences
  constexpr std::int32_t mask = 10;
  std::vector<double> t(2), weights(8);
  std::vector<std::int32_t> noised(8), labels(8);
  std::vector<index_t> counts(2);
  draw_times(times::stratified, t, {.seed = 7, .step = 100});
  mask_at(tokens, offsets, t, {.mask_token = mask, .at_least_one = true, .address = {7, 100}}, noised, counts);
  const double divisor =
      row_weights(weighting::exact_ratio, {.tokens = tokens, .noised = noised, .offsets = offsets, .mask_token = mask},
                  labels, weights);
  // … the model's logits of `noised`, 8 x 11, then their gradient in their place:
  const loss::loss_sum sum = loss::likelihood(logits, labels, {.scale = 1 / divisor, .weights = weights});
  CHECK(divisor == 8);
  CHECK(sum.count == counts[0] + counts[1]);

  std::vector<float> sure(3 * 11);
  sure[2] = 9;
  const matrix_view<float> rows(sure.data(), 3, 11);
  std::vector<candidate> candidates;
  std::vector<std::int32_t> canvas = {mask, 1, mask};
  const index_t revealed =
      reveal({.by = order::threshold, .threshold = 0.9}, rows, canvas, mask, {.step = 0}, candidates);
  CHECK(revealed == 1);
  CHECK(canvas == std::vector<std::int32_t>{2, 1, mask});
}
