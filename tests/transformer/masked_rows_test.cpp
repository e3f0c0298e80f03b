// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/masked_rows.hpp"

#include "support/catch.hpp"
#include "transformer/corpus.hpp"

using namespace hone;
using namespace hone::transformer;
using diffusion::weighting;

namespace {
constexpr std::int32_t mask = 30;
constexpr index_t vocab = 30;
}  // namespace

TEST_CASE("masked rows: labels where a mask is, weights by the exact ratio, and a capacity of each count") {
  const corpus data(vocab);
  const std::vector<index_t> budget = {7, 5, 3};
  const masked_rows r = mask_by_time(data.all(), {.mask_token = mask, .budget = budget, .seed = 3, .step = 5});
  CHECK(r.offsets == data.offsets);
  CHECK(r.divisor == static_cast<double>(data.tokens.size()));
  CHECK(r.sequences() == 23);
  double weights = 0;
  for (index_t s = 0; s < r.sequences(); ++s) {
    const auto at = static_cast<std::size_t>(s);
    index_t masked = 0;
    const index_t length = data.offsets[at + 1] - data.offsets[at];
    for (index_t i = data.offsets[at]; i < data.offsets[at + 1]; ++i) {
      const auto row = static_cast<std::size_t>(i);
      if (r.noised[row] == mask) {
        ++masked;
        CHECK(r.labels[row] == data.tokens[row]);
      } else {
        CHECK(r.noised[row] == data.tokens[row]);
        CHECK(r.labels[row] == -1);
        CHECK(r.weights[row] == 0);
      }
      weights += r.weights[row];
    }
    CHECK(masked == r.counts[at]);
    CHECK(masked >= 1);
    CHECK(masked <= length);
    CHECK(r.capacities[at] == budget[static_cast<std::size_t>((std::min)(masked, index_t{3}) - 1)]);
  }
  CHECK(weights == Approx(r.divisor));  // a sequence weighs its length, whatever is masked of it
}

TEST_CASE("masked rows: draws are those of (seed, step) alone, and no budget is no capacity") {
  const corpus data(vocab);
  const auto of = [&](std::uint64_t seed, std::uint32_t step) {
    return mask_by_time(data.all(), {.mask_token = mask, .seed = seed, .step = step});
  };
  CHECK(of(1, 2).noised == of(1, 2).noised);
  CHECK(of(1, 2).noised != of(1, 3).noised);
  CHECK(of(1, 2).noised != of(2, 2).noised);
  CHECK(of(1, 2).capacities.empty());
  CHECK(of(1, 2).batch().capacities.empty());
}

TEST_CASE("masked rows: parts of a batch have the masks of the whole") {
  const corpus data(vocab);
  const batch all = data.all();
  const std::vector<index_t> budget = {7, 5, 3}, counts(23, 2);
  for (const auto times :
       {diffusion::times::independent, diffusion::times::stratified, diffusion::times::shared_offset}) {
    const noise_options how{.mask_token = mask, .times = times, .budget = budget, .seed = 3, .step = 5};
    const masked_rows whole = mask_by_time(all, how), counted = mask_by_count(all, counts, how);
    masked_rows joined, joined_counts;
    for (const auto& [first, last] : {std::pair<index_t, index_t>{0, 7}, {7, 8}, {8, 23}}) {
      const batch_slice part(all, first, last);
      noise_options own = how;
      own.first_sequence = static_cast<std::uint32_t>(first);
      own.batch = 23;
      const auto add = [](masked_rows& to, const masked_rows& r) {
        to.noised.insert(to.noised.end(), r.noised.begin(), r.noised.end());
        to.weights.insert(to.weights.end(), r.weights.begin(), r.weights.end());
        to.capacities.insert(to.capacities.end(), r.capacities.begin(), r.capacities.end());
        to.divisor += r.divisor;
      };
      add(joined, mask_by_time(part.batch(), own));
      add(joined_counts,
          mask_by_count(part.batch(), std::span(counts).first(static_cast<std::size_t>(last - first)), own));
    }
    CHECK(joined.noised == whole.noised);
    CHECK(joined.weights == whole.weights);
    CHECK(joined.capacities == whole.capacities);
    CHECK(joined.divisor == whole.divisor);
    CHECK(joined_counts.noised == counted.noised);
  }
  noise_options own{.mask_token = mask, .first_sequence = 7};
  CHECK_THROWS_WITH(mask_by_time(batch_slice(all, 7, 8).batch(), own), Catch::Contains("batch: must say of how many"));
}

TEST_CASE("masked rows: 1 / t where that is the weight") {
  const std::vector<std::int32_t> tokens(4000, 1);
  const std::vector<index_t> offsets = {0, 1000, 2000, 3000, 4000};
  const masked_rows r = mask_by_time(
      {tokens, offsets}, {.mask_token = mask, .weighting = weighting::inverse, .least_time = 1e-3, .seed = 4});
  for (index_t s = 0; s < 4; ++s) {
    const auto begin = static_cast<std::size_t>(s * 1000);
    double weight = 0;
    for (std::size_t i = begin; i < begin + 1000; ++i) weight = (std::max)(weight, r.weights[i]);
    const double t = 1 / weight, share = static_cast<double>(r.counts[static_cast<std::size_t>(s)]) / 1000;
    CHECK(share == Approx(t).margin(5 * std::sqrt(t * (1 - t) / 1000)));
    CHECK(static_cast<index_t>(t * 4) == s);  // times are stratified
  }
}

TEST_CASE("masked rows: a loss of 1 / t weights is unbiased, in short sequences too") {
  const std::vector<std::int32_t> tokens(60000, 1);
  for (const index_t length : {1, 2, 3}) {
    std::vector<index_t> offsets;
    for (index_t at = 0; at <= std::ssize(tokens); at += length) offsets.push_back(at);
    for (const auto how : {weighting::inverse, weighting::answer, weighting::exact_ratio}) {
      CAPTURE(length, static_cast<int>(how));
      const masked_rows r =
          mask_by_time({tokens, offsets}, {.mask_token = mask, .weighting = how, .least_time = 0.05, .seed = 6});
      double sum = 0, squares = 0, empty = 0;  // of a cross-entropy that is 1 everywhere: so is the loss
      for (const double w : r.weights) sum += w, squares += w * w;
      for (const index_t n : r.counts) empty += n == 0;
      CHECK(sum / r.divisor == Approx(1).margin(5 * std::sqrt(squares) / r.divisor));
      CHECK((empty > 0) == (how != weighting::exact_ratio));
    }
  }
}

TEST_CASE("masked rows: so many of each sequence, of what may be masked") {
  const corpus data(vocab);
  std::vector<std::uint8_t> may(data.tokens.size(), 1);
  for (std::size_t i = 0; i < may.size(); i += 2) may[i] = 0;
  std::vector<index_t> counts(23);
  for (std::size_t s = 0; s < counts.size(); ++s) counts[s] = static_cast<index_t>(s % 4);
  const masked_rows r = mask_by_count(data.all(), counts, {.mask_token = mask, .may = may});
  for (std::size_t s = 0; s < counts.size(); ++s) {
    index_t masked = 0, maskable = 0;
    for (index_t i = data.offsets[s]; i < data.offsets[s + 1]; ++i) {
      masked += r.noised[static_cast<std::size_t>(i)] == mask;
      maskable += may[static_cast<std::size_t>(i)];
      if (may[static_cast<std::size_t>(i)] == 0) CHECK(r.labels[static_cast<std::size_t>(i)] == -1);
    }
    CHECK(masked == (std::min)(counts[s], maskable));
    CHECK(r.counts[s] == masked);
  }
}

TEST_CASE("masked rows: weights count what may be masked alone") {
  const corpus data(vocab);
  std::vector<std::uint8_t> may(data.tokens.size(), 1);
  for (std::size_t i = 0; i < may.size(); i += 2) may[i] = 0;
  const masked_rows r = mask_by_time(data.all(), {.mask_token = mask, .may = may, .seed = 5});
  for (std::size_t s = 0; s + 1 < data.offsets.size(); ++s) {
    double maskable = 0, masked = 0;
    for (auto i = static_cast<std::size_t>(data.offsets[s]); i < static_cast<std::size_t>(data.offsets[s + 1]); ++i) {
      maskable += may[i];
      masked += r.noised[i] == mask;
    }
    for (auto i = static_cast<std::size_t>(data.offsets[s]); i < static_cast<std::size_t>(data.offsets[s + 1]); ++i)
      CHECK(r.weights[i] == (r.noised[i] == mask ? Approx(maskable / masked) : Approx(0)));
  }
}

TEST_CASE("masked rows: what does not fit is refused") {
  {
    const std::vector<std::int32_t> with_mask = {1, mask, 2};
    const std::vector<index_t> one = {0, 3};
    const std::vector<std::uint8_t> others = {1, 0, 1};
    const batch b{with_mask, one};
    CHECK_THROWS_WITH(mask_by_time(b, {.mask_token = mask}),
                      Catch::Contains("clean: token 1, which may be masked, is the"));
    CHECK_THROWS_WITH(mask_by_count(b, std::vector<index_t>{1}, {.mask_token = mask}),
                      Catch::Contains("clean: token 1, which may be masked, is the mask itself"));
    CHECK(mask_by_count(b, std::vector<index_t>{2}, {.mask_token = mask, .may = others}).labels ==
          std::vector<std::int32_t>{1, -1, 2});
  }
  const corpus data(vocab);
  CHECK_THROWS_WITH(mask_by_time({}, {.mask_token = mask}), Catch::Contains("clean: has no offsets"));
  CHECK_THROWS_WITH(mask_by_time(data.all(), {}), Catch::Contains("mask_token"));
  CHECK_THROWS_WITH(mask_by_time(data.all(), {.mask_token = mask, .least_time = 1}), Catch::Contains("least"));
  const std::vector<index_t> two = {1, 1};
  CHECK_THROWS_WITH(mask_by_count(data.all(), two, {.mask_token = mask}), Catch::Contains("counts"));
  CHECK_THROWS_WITH(mask_by_count({}, {}, {.mask_token = mask}), Catch::Contains("clean: has no offsets"));
}

TEST_CASE("masked rows: draws of a count are those of (seed, step, sequence), times those of their kind") {
  const corpus data(vocab);
  const std::vector<index_t> counts(23, 1);
  std::vector<std::vector<std::int32_t>> seen;
  const auto is_new = [&](const masked_rows& r) {
    CHECK(std::find(seen.begin(), seen.end(), r.noised) == seen.end());
    seen.push_back(r.noised);
  };
  is_new(mask_by_count(data.all(), counts, {.mask_token = mask}));
  is_new(mask_by_count(data.all(), counts, {.mask_token = mask, .seed = 1}));
  is_new(mask_by_count(data.all(), counts, {.mask_token = mask, .step = 1}));
  is_new(mask_by_count(data.all(), counts, {.mask_token = mask, .first_sequence = 1}));
  for (const auto times :
       {diffusion::times::independent, diffusion::times::stratified, diffusion::times::shared_offset}) {
    is_new(mask_by_time(data.all(), {.mask_token = mask, .times = times}));
    is_new(mask_by_time(data.all(), {.mask_token = mask, .times = times, .first_sequence = 7, .batch = 30}));
  }
  is_new(mask_by_time(data.all(), {.mask_token = mask, .least_time = 0.9}));
  // What is counted is weighted by its exact ratio, whatever the options say.
  const masked_rows plain = mask_by_count(data.all(), counts, {.mask_token = mask});
  const masked_rows other =
      mask_by_count(data.all(), counts, {.mask_token = mask, .weighting = weighting::inverse, .least_time = 0.5});
  CHECK(other.weights == plain.weights);
  CHECK(other.divisor == plain.divisor);
}

TEST_CASE("masked rows: capacities of nothing masked are those of one, of more than the budget knows its last") {
  const corpus data(vocab);
  const std::vector<index_t> budget = {7, 5, 3};
  std::vector<index_t> counts(23, 0);
  counts[8] = 2, counts[17] = 3, counts[7] = 4, counts[6] = 1;
  const masked_rows r = mask_by_count(data.all(), counts, {.mask_token = mask, .budget = budget});
  for (std::size_t s = 0; s < 23; ++s) CHECK(r.capacities[s] == (s == 8 ? 5 : s == 17 || s == 7 ? 3 : 7));
  const std::vector<std::uint8_t> few(3, 1);
  CHECK_THROWS_WITH(mask_by_time(data.all(), {.mask_token = mask, .may = few}), Catch::Contains("may: has 3 elements"));
  CHECK_THROWS_WITH(mask_by_count(data.all(), counts, {.mask_token = mask, .may = few}),
                    Catch::Contains("may: has 3 elements"));
}
