// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/denoise.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

#include <vector>

using namespace hone;
using namespace hone::transformer;

namespace {

/// A model whose experts choose, with a mask; of blocks of 4, or of none.
config choosing(bool blocks) {
  config c = expert_models()[blocks ? 6 : 2];
  if (c.mask_token < 0) c.mask_token = 1;
  return c;
}
/// 12 tokens, the mask at the places @p masked.
std::vector<std::int32_t> canvas_of(const config& c, const std::vector<std::size_t>& masked) {
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 12; ++i) tokens.push_back(2 + i % 7);
  for (const std::size_t i : masked) tokens[i] = c.mask_token;
  return tokens;
}
/// Requires that the logits of a canvas under @p capacities are those of a forward pass with a capacity of @p expected.
void require_capacity(const std::vector<std::size_t>& masked, const ratio_capacities& capacities, index_t expected) {
  const config c = choosing(false);
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 1, 0.4);
  const denoiser<double> denoise(model, parameters);
  const auto canvas = canvas_of(c, masked);
  const std::vector<index_t> offsets = {0, 12}, positions = {0, 5, 11}, own = {expected}, other = {expected + 1};
  std::vector<double> z(static_cast<std::size_t>(3 * c.vocab));
  denoise.logits(canvas, positions, as_rows(z, 3), capacities);
  const auto apart = [&](const std::vector<index_t>& capacity) {
    workspace<double> w(c, 12);
    model.forward(parameters, {canvas, offsets, capacity}, w);
    double most = 0;
    for (index_t i = 0; i < 3; ++i)
      for (index_t v = 0; v < c.vocab; ++v)
        most = worst(most, std::abs(as_rows(z, 3)(i, v) - w.logits()(positions[static_cast<std::size_t>(i)], v)));
    return most;
  };
  CAPTURE(masked.size(), expected);
  CHECK(apart(own) < 1e-11);
  CHECK(apart(other) > 1e-6);
}

}  // namespace

TEST_CASE("capacities of a budget are those of the masks of the canvas, of none those of one") {
  const std::vector<index_t> budget = {5, 2, 7, 1, 1, 1, 1, 1, 1, 1, 1, 3};
  require_capacity({}, {.budget = budget}, 5);
  require_capacity({4}, {.budget = budget}, 5);
  require_capacity({4, 7}, {.budget = budget}, 2);
  require_capacity({0, 7, 11}, {.budget = budget}, 7);
}

TEST_CASE("capacities of a schedule are those of the ratio of masks, with its least, most and sigma") {
  const double ratio = 3.0 / 12;
  for (const double sigma : {0.1, 0.22, 0.5}) {
    const index_t k = moe::experts_per_token(moe::schedule::bell_gaussian, ratio, 0, 3, sigma);
    require_capacity({0, 7, 11}, {.by = moe::schedule::bell_gaussian, .most = 3, .sigma = sigma},
                     moe::capacity(12, k, 3));
  }
  CHECK(moe::experts_per_token(moe::schedule::bell_gaussian, ratio, 0, 3, 0.1) !=
        moe::experts_per_token(moe::schedule::bell_gaussian, ratio, 0, 3, 0.5));
  require_capacity({0, 7, 11}, {.by = moe::schedule::linear_reverse, .least = 2, .most = 2}, moe::capacity(12, 2, 3));
  require_capacity({0, 7, 11}, {.by = moe::schedule::linear, .least = 1, .most = 3},
                   moe::capacity(12, moe::experts_per_token(moe::schedule::linear, ratio, 1, 3), 3));
}

TEST_CASE("each block of a model that has blocks has the capacity of its own masks") {
  const config c = choosing(true);
  const decoder<double> model(c);
  const denoiser<double> denoise(model, normals<double>(model.parameters(), 1, 0.4));
  const std::vector<index_t> budget = {1, 2, 3, 4};
  const std::vector<std::int32_t> prompt = {2, 3, 4, 5};
  const std::vector<index_t> offsets = {0, 4};
  // A pass over both blocks, of no masks (as of one) and of four, then of the second block alone.
  const denoised made = denoise({prompt, offsets}, {.length = 4, .steps = 2, .capacities = {.budget = budget}})[0];
  CHECK(made.passes == 2);
  CHECK(made.rows == 8 + 4);
  CHECK(made.slot_count == c.experts.count * ((1 + 4) + 2));
}

TEST_CASE("the borders of what is denoised") {
  const config c = choosing(false);
  const decoder<float> model(c);
  const denoiser<float> denoise(model, normals<float>(model.parameters(), 1, 0.4));
  const std::vector<std::int32_t> tokens = {2, 3, 4, 5};
  const std::vector<index_t> all = {0, 4}, down = {0, 3, 2, 4}, late = {1, 4};
  const auto refused = [&](const std::vector<index_t>& offsets, const denoise_options& o, const char* part) {
    CHECK_THROWS_WITH(denoise({tokens, offsets}, o), Catch::Contains(part));
  };
  refused(down, {.length = 2, .steps = 2}, "prompt 1 has -1 tokens");
  refused(late, {.length = 2, .steps = 2}, "offsets must begin with 0");
  refused(all, {.length = 2, .steps = 2, .sampler = {.end_token = -2}}, "end_token: must be -1 or one of");
  refused(all, {.length = 2, .steps = 2, .capacities = {.least = -1, .most = 1}}, "least must be in [0, most]");
  refused(all, {.length = 2, .steps = 2, .guidance = std::nan("")}, "guidance: must be finite");
  refused(all, {.length = -1, .steps = 2}, "length: must be at least 1, is -1");
  CHECK(denoise({tokens, all}, {.length = 56, .steps = 1})[0].tokens.size() == 56);  // as long as the model takes
  const std::vector<index_t> first = {0}, below = {-1};
  std::vector<float> out(static_cast<std::size_t>(2 * c.vocab));
  CHECK_THROWS_WITH(denoise.logits(tokens, below, as_rows(out, 2)), Catch::Contains("out: is 2 x"));
  const matrix_view<float> row(out.data(), 1, c.vocab), apart(out.data(), 1, c.vocab, 2 * c.vocab, 2);
  CHECK_THROWS_WITH(denoise.logits(tokens, below, row), Catch::Contains("positions: -1, the canvas has 4"));
  CHECK_THROWS_WITH(denoise.logits(tokens, first, apart), Catch::Contains("with adjacent columns"));
}
