// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/diffusion/sampler.hpp"

#include "diffusion/sampler_support.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <map>
#include <span>

using namespace hone;
using namespace hone::diffusion;

TEST_CASE("steps share places, the first ones take what is left over") {
  const auto plan = [](index_t n, index_t steps) {
    std::vector<index_t> all;
    for (index_t j = 0; j < steps; ++j) all.push_back(revealed_in_step(n, steps, j));
    return all;
  };
  CHECK(plan(10, 4) == std::vector<index_t>{3, 3, 2, 2});
  CHECK(plan(7, 3) == std::vector<index_t>{3, 2, 2});
  CHECK(plan(2, 4) == std::vector<index_t>{1, 1, 0, 0});
}

TEST_CASE("the end token last, with its value as it was") {
  const logit_rows z = {{0, 0, 0, 5, 0}, {2, 0, 0, 0, 0}, {1, 0, 0, 0, 0}};
  const auto confidences = [&] {
    std::vector<double> flat;
    for (const auto& row : z) flat.insert(flat.end(), row.begin(), row.end());
    std::vector<std::int32_t> canvas = masked(3);
    std::vector<candidate> memory;
    reveal({}, matrix_view<double>(flat.data(), 3, 5), canvas, mask, {.count = 3}, memory);
    return memory;
  }();
  CHECK(confidences[0].confidence == Approx(0.9801866627).epsilon(1e-9));
  CHECK(confidences[1].confidence == Approx(0.7112345942).epsilon(1e-9));
  CHECK(confidences[2].confidence == Approx(0.4753668864).epsilon(1e-9));
  const auto sequence = [&](sampler s) {
    std::vector<std::int32_t> canvas = masked(3);
    std::vector<std::size_t> places;
    for (int step = 0; step < 3; ++step) {
      const auto next = step_from(s, z, canvas);
      for (std::size_t i = 0; i < 3; ++i)
        if (next[i] != canvas[i]) places.push_back(i);
      canvas = next;
    }
    CHECK(canvas == std::vector<std::int32_t>{3, 0, 0});
    return places;
  };
  CHECK(sequence({}) == std::vector<std::size_t>{0, 1, 2});
  CHECK(sequence({.end_token = 3}) == std::vector<std::size_t>{1, 2, 0});
  CHECK(step_from({.by = order::threshold, .threshold = 0.1, .end_token = 3}, z, masked(3)) ==
        std::vector<std::int32_t>{mask, 0, 0});
  CHECK(step_from({.by = order::entropy_bound, .gamma = 9, .end_token = 3}, z, masked(3)) ==
        std::vector<std::int32_t>{mask, 0, 0});
  CHECK(step_from({.by = order::threshold, .threshold = 0.1, .end_token = 3}, z, {mask, 1, 1}) ==
        std::vector<std::int32_t>{3, 1, 1});
}

TEST_CASE("threshold and entropy bound reveal the published places") {
  const logit_rows likelihoods = {likely(.95), likely(.6), likely(.91), likely(.88)};
  CHECK(step_from({.by = order::threshold, .threshold = .9}, likelihoods, masked(4)) ==
        std::vector<std::int32_t>{0, mask, 0, mask});
  CHECK(step_from({.by = order::threshold, .threshold = .99}, likelihoods, masked(4)) ==
        std::vector<std::int32_t>{0, mask, mask, mask});
  const logit_rows certain(3, {0, -INFINITY, -1e4, -INFINITY, 0});  // exactly as likely as the threshold: enough
  CHECK(step_from({.by = order::threshold, .threshold = 1}, certain, masked(3)) == std::vector<std::int32_t>{0, 0, 0});
  const logit_rows entropies = {of_entropy(.30), of_entropy(.02), of_entropy(.69), of_entropy(.05), of_entropy(.04)};
  CHECK(step_from({.by = order::entropy_bound, .gamma = .1}, entropies, masked(5)) ==
        std::vector<std::int32_t>{mask, 0, mask, 0, 0});
  CHECK(step_from({.by = order::entropy_bound, .gamma = .12}, entropies, masked(5)) ==
        std::vector<std::int32_t>{0, 0, mask, 0, 0});
  CHECK(step_from({.by = order::entropy_bound, .gamma = 0}, entropies, masked(5)) ==
        std::vector<std::int32_t>{mask, 0, mask, mask, mask});
  CHECK(step_from({.by = order::entropy}, entropies, masked(5), {.count = 2}) ==
        std::vector<std::int32_t>{mask, 0, mask, mask, 0});
}

TEST_CASE("confidence, margin, and confidence after the temperature, rank differently") {
  const logit_rows z = {{3, 1.6, 1.6, 1.6, 1.6, 0}, {3, 2.4, -4, -4, -4, 0}};
  const auto first = [&](const sampler& s) {
    logit_rows wide = z;
    std::vector<double> flat;
    for (const auto& row : wide) flat.insert(flat.end(), row.begin(), row.end());
    std::vector<std::int32_t> canvas(2, 5);
    std::vector<candidate> memory;
    reveal(s, matrix_view<double>(flat.data(), 2, 6), canvas, 5, {.count = 1}, memory);
    return memory;
  };
  const auto before = first({});
  CHECK(before[0].place == 1);
  CHECK(before[0].confidence == Approx(0.6445179026).epsilon(1e-9));
  CHECK(before[1].confidence == Approx(0.5034263561).epsilon(1e-9));
  sampler after{.sampling = {.temperature = 0.25}, .after_temperature = true};
  after.sampling.seed = 1;
  const auto cold = first(after);
  for (const candidate& c : cold)
    if (c.token == 0) CHECK(c.confidence == Approx(c.place == 0 ? 0.9854241433 : 0.9168273035).epsilon(1e-9));
  CHECK(first({.by = order::margin})[0].place == 0);  // 0.38 against 0.29
  const double p = 0.5034263561, q = p * std::exp(-1.4);
  CHECK(first({.by = order::margin})[0].confidence == Approx(p - q).epsilon(1e-8));
  // After top p alone the likeliest of the second row is certain.
  CHECK(first({.sampling = {.top_p = 0.6}, .after_temperature = true})[0].confidence == Approx(1).epsilon(1e-12));
  CHECK(first({.sampling = {.top_k = 1}, .after_temperature = true})[1].confidence == Approx(1).epsilon(1e-12));
}

TEST_CASE("where two are the likeliest there is no margin, wherever they stand") {
  const logit_rows tied = {{2, 2, 0, 0, 0}, {0, 2, 0, 2, 0}, {2, 0, 2, 2, 0}, {0.1, 0, 0, 0, 0}};
  for (const bool after : {false, true}) {
    std::vector<double> flat;
    for (const auto& row : tied) flat.insert(flat.end(), row.begin(), row.end());
    std::vector<std::int32_t> canvas = masked(4);
    std::vector<candidate> found;
    reveal({.by = order::margin, .after_temperature = after}, matrix_view<double>(flat.data(), 4, 5), canvas, mask, {},
           found);
    CHECK((found[0].place == 3 && found[0].confidence > 0.02));
    for (std::size_t i = 1; i < 4; ++i)
      CHECK((found[i].place == static_cast<index_t>(i) - 1 && found[i].confidence == 0));
  }
}

TEMPLATE_TEST_CASE("what ranks after temperature and cuts is of the distribution that was drawn from", "", double,
                   float, float16, bfloat16) {
  using T = TestType;
  constexpr std::int32_t last = 7;
  std::vector<T> z;
  for (int i = 0; i < 24; ++i)
    z.push_back(from_accumulator<T>(
        static_cast<accumulator_t<T>>(i % 8 == 5 ? -INFINITY : (i < 8 ? 900 : 1) * std::sin(2.3 * i + 0.4))));
  const auto logit = [&](std::size_t i) { return static_cast<double>(to_accumulator(z[i])); };
  for (const double temperature : {0.0, 1e-300, 1e-40, 1e-6, 0.01, 0.7, 1.0, 30.0, 1e6, 1e299})
    for (const index_t top_k : {0, 1, 3, 9})
      for (const double top_p : {1.0, 0.8, 1e-9})
        for (const order by : {order::confidence, order::margin, order::entropy, order::entropy_bound}) {
          CAPTURE(temperature, top_k, top_p, static_cast<int>(by));
          const sampler s{.by = by,
                          .sampling = {.temperature = temperature, .top_k = top_k, .top_p = top_p, .seed = 3},
                          .after_temperature = true};
          std::vector<T> own = z;
          std::vector<std::int32_t> canvas(3, last);
          std::vector<candidate> found;
          reveal(s, matrix_view<T>(own.data(), 3, 8), canvas, last, {.count = 3}, found);
          REQUIRE(found.size() == 3);
          for (const candidate& c : found) {
            const auto row = static_cast<std::size_t>(c.place) * 8;
            std::vector<std::pair<double, std::int32_t>> p;  // best first
            double sum = 0;
            for (std::size_t v = 0; v < 7; ++v) p.emplace_back(logit(row + v), -static_cast<std::int32_t>(v));
            std::sort(p.rbegin(), p.rend());
            const double best = p[0].first;
            for (auto& [x, v] : p) x = std::exp((x - best) / (temperature > 0 ? temperature : 1));
            if (top_k > 0 && top_k < 7) p.resize(static_cast<std::size_t>(top_k));
            for (const auto& [x, v] : p) sum += x;
            std::size_t kept = 0;
            double nucleus = 0;
            while (kept < p.size() && (kept == 0 || nucleus < top_p * sum)) nucleus += p[kept++].first;
            p.resize(kept);
            double entropy = 0, drawn = 0;
            for (const auto& [x, v] : p) {
              if (x > 0) entropy -= x / nucleus * std::log(x / nucleus);
              if (-v == c.token) drawn = x / nucleus;
            }
            CHECK(drawn > 0);
            const double margin = (p[0].first - (kept > 1 ? p[1].first : 0)) / nucleus;
            const double expected = by == order::confidence ? drawn : by == order::margin ? margin : -entropy;
            CHECK(c.confidence == Approx(expected).epsilon(1e-9).margin(1e-12));
          }
          for (std::size_t i = 0; i < z.size(); ++i)
            if (i % 8 != 7) CHECK(own[i] == z[i]);
        }
}

TEST_CASE("in ancestral steps, too, the end token waits for others that stay") {
  const logit_rows z = {{0, 0, 0, 50, 0}, {50, 0, 0, 0, 0}, {0, 50, 0, 0, 0}};
  index_t ends = 0, waited = 0, others = 0;
  for (std::uint32_t step = 0; step < 400; ++step) {
    const reveal_step at{.step = step, .from = 1, .to = 0.4};
    const auto plain = step_from({.by = order::ancestral}, z, masked(3), at);
    const auto made = step_from({.by = order::ancestral, .end_token = 3}, z, masked(3), at);
    CHECK(std::equal(made.begin() + 1, made.end(), plain.begin() + 1));  // others come by chance alone
    const bool left = plain[1] == mask || plain[2] == mask;
    CHECK(made[0] == (left ? mask : plain[0]));
    ends += made[0] == 3;
    waited += left && plain[0] == 3;
    others += !left;
  }
  CHECK((ends > 50 && waited > 50 && others > ends));
  CHECK(step_from({.by = order::ancestral, .end_token = 3}, z, masked(3), {.from = 0.4, .to = 0}) ==
        std::vector<std::int32_t>{3, 0, 1});
}

TEST_CASE("the mask is never a candidate, ties go to the lower place") {
  const logit_rows z(3, {0, 0, 0, 0, 100});
  CHECK(step_from({}, z, masked(3), {.count = 2}) == std::vector<std::int32_t>{0, 0, mask});
  for (std::uint32_t step = 0; step < 50; ++step)
    for (const std::int32_t token :
         step_from({.by = order::random, .sampling = {.temperature = 2}}, z, masked(3), {.step = step, .count = 3}))
      CHECK(token != mask);
  CHECK(step_from({}, z, {1, 1, 1}, {.count = 2}) == std::vector<std::int32_t>{1, 1, 1});
  CHECK(step_from({}, z, {1, mask, 1}, {.count = 0}) == std::vector<std::int32_t>{1, mask, 1});
}

TEST_CASE("draws are those of step, sequence and position, and have the model's frequencies") {
  const logit_rows z = {{std::log(.5), std::log(.3), std::log(.2), -INFINITY, 0}, {0, 0, -INFINITY, -INFINITY, 0}};
  for (const order by : {order::ancestral, order::random}) {
    sampler s{.by = by, .sampling = {.temperature = 1, .seed = 4}};
    std::map<std::vector<std::int32_t>, double> seen;
    constexpr int trials = 20000;
    for (std::uint32_t step = 0; step < trials; ++step)
      seen[step_from(s, z, masked(2), {.sequence = 3, .step = step, .count = 1, .from = 0.8, .to = 0.6})] +=
          1.0 / trials;
    std::map<std::vector<std::int32_t>, double> expected;
    const double first[] = {.5, .3, .2}, second[] = {.5, .5}, chance = by == order::ancestral ? .25 : .5;
    for (std::int32_t a = 0; a <= 3; ++a)
      for (std::int32_t b = 0; b <= 2; ++b) {
        const bool one = a < 3, two = b < 2;
        const double pa = one ? first[a] : 1, pb = two ? second[b] : 1;
        if (by == order::ancestral)
          expected[{one ? a : mask, two ? b : mask}] =
              pa * pb * (one ? chance : 1 - chance) * (two ? chance : 1 - chance);
        else if (one != two)
          expected[{one ? a : mask, two ? b : mask}] = pa * pb * chance;
      }
    CHECK(seen.size() == expected.size());
    for (const auto& [canvas, p] : expected) CHECK(std::abs(seen[canvas] - p) < 4 * std::sqrt(p * (1 - p) / trials));
    const reveal_step at{.sequence = 1, .step = 9, .count = 1, .from = 1, .to = 0.5};
    CHECK(step_from(s, z, masked(2), at) == step_from(s, z, masked(2), at));
  }
  // One place at its position, whatever the block it is in.
  sampler s{.sampling = {.temperature = 1, .seed = 4}};
  for (index_t position = 0; position < 20; ++position) {
    const auto both = step_from(s, {z[0], z[0]}, masked(2), {.first_position = position, .count = 2});
    CHECK(step_from(s, {z[0]}, masked(1), {.first_position = position + 1, .count = 1})[0] == both[1]);
  }
}

TEST_CASE("ancestral reveals all at time 0") {
  const logit_rows z(5, {1, 0, 0, 0, 0});
  for (std::uint32_t step = 0; step < 20; ++step)
    CHECK(step_from({.by = order::ancestral}, z, masked(5), {.step = step, .from = 0.1, .to = 0}) ==
          std::vector<std::int32_t>(5, 0));
}

TEST_CASE("guidance is between and beyond both models") {
  std::vector<float> own = {1, 2, 3, 4}, other = {0, 2, 1, 8};
  guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 2, 2), 0.5);
  CHECK(own == std::vector<float>{1.5, 2, 4, 2});
  own = {1, 2, 3, 4};
  guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 2, 2), 0);
  CHECK(own == std::vector<float>{1, 2, 3, 4});
  guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 2, 2), -1);
  CHECK(own == other);
  // What is absent in both, as tokens that are never to be said, is absent in the mixture.
  own = {-INFINITY, 1, -INFINITY, 2}, other = {-INFINITY, 3, -INFINITY, 2};
  guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 2, 2), 2);
  CHECK(own == std::vector<float>{-INFINITY, -3, -INFINITY, 2});
  own = {1, 2, 3, 4}, other = {0, 2, 1, 8};
  CHECK_THROWS_WITH(guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 1, 4), 1),
                    Catch::Contains("unconditional: is 1 x 4, must be 2 x 2"));
  for (const double bad : {double(NAN), 1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH(guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 2, 2), bad),
                      Catch::StartsWith("hone::diffusion::guide: weight: must be finite"));
  CHECK_THROWS_WITH(guide(matrix_view<float>(own.data(), 2, 2), matrix_view<const float>(other.data(), 2, 1), 1),
                    Catch::Contains("unconditional: is 2 x 1"));
  CHECK_THROWS_WITH(guide(matrix_view<float>(own.data(), 2, 1), matrix_view<const float>(other.data(), 4, 1), 1),
                    Catch::Contains("unconditional: is 4 x 1"));
  CHECK(own == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("guidance of every row and column, with strides of both, and in 16 bits") {
  std::vector<double> own(24, 9), other(12);
  for (std::size_t i = 0; i < 12; ++i)
    own[2 * i] = std::sin(1.0 + static_cast<double>(i)), other[i] = std::cos(2.0 * static_cast<double>(i));
  const auto before = own;
  guide(matrix_view<double>(own.data(), 3, 4, 8, 2), matrix_view<const double>(other.data(), 3, 4, 1, 3), 1.5);
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 4; ++j) {
      const double c = before[8 * i + 2 * j], u = other[i + 3 * j];
      CHECK(own[8 * i + 2 * j] == Approx(u + 2.5 * (c - u)).epsilon(1e-14));
      CHECK(own[8 * i + 2 * j + 1] == 9);
    }
  std::vector<bfloat16> half = {bfloat16(1.0f), bfloat16(-2.0f)}, zero = {bfloat16(0.5f), bfloat16(0.0f)};
  guide(matrix_view<bfloat16>(half.data(), 1, 2), matrix_view<const bfloat16>(zero.data(), 1, 2), 1);
  CHECK((to_accumulator(half[0]) == 1.5f && to_accumulator(half[1]) == -4.0f));
}

TEST_CASE("the mask may be the first id, the end token the last, one column beside it the only token") {
  std::vector<double> z = {9, 1, 2, 9, 3, 1};
  std::vector<std::int32_t> canvas = {0, 0};
  std::vector<candidate> memory;
  CHECK(reveal({.end_token = 2}, matrix_view<double>(z.data(), 2, 3), canvas, 0, {.count = 2}, memory) == 2);
  CHECK(canvas == std::vector<std::int32_t>{2, 1});
  canvas = {0, 0};
  CHECK(reveal({.end_token = 2}, matrix_view<double>(z.data(), 2, 3), canvas, 0, {.count = 1}, memory) == 1);
  CHECK(canvas == std::vector<std::int32_t>{0, 1});
  canvas = {0};
  CHECK(reveal({}, matrix_view<double>(z.data(), 1, 2), canvas, 0, {}, memory) == 1);
  CHECK(canvas[0] == 1);
  CHECK(reveal({.threshold = 0}, matrix_view<double>(z.data(), 1, 2), canvas, 0, {}, memory) == 0);
  CHECK(memory.empty());
  CHECK_THROWS_WITH(reveal({}, matrix_view<double>(z.data(), 1, 1), canvas, 0, {}, memory),
                    Catch::Contains("logits: have 1 columns: nothing but the mask"));
  CHECK_THROWS_WITH(reveal({}, matrix_view<double>(z.data(), 1, 2), canvas, -1, {}, memory),
                    Catch::Contains("mask_token: is -1, the logits have 2 columns"));
}

TEST_CASE("a step of what does not fit is refused, with the canvas as it was") {
  const logit_rows z = {{0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}};
  const auto refused = [&](const sampler& s, const reveal_step& at, const char* part, const logit_rows& logits) {
    std::vector<double> flat;
    for (const auto& row : logits) flat.insert(flat.end(), row.begin(), row.end());
    std::vector<std::int32_t> canvas = masked(2);
    std::vector<candidate> memory;
    CAPTURE(part);
    const matrix_view<double> view(flat.data(), static_cast<index_t>(logits.size()),
                                   static_cast<index_t>(logits[0].size()));
    CHECK_THROWS_WITH(reveal(s, view, canvas, mask, at, memory), Catch::Contains(part));
    CHECK(canvas == masked(2));
  };
  refused({.threshold = 1.5}, {}, "threshold: must be in [0, 1]", z);
  refused({.threshold = NAN}, {}, "threshold", z);
  refused({.gamma = -1}, {}, "gamma: must be finite", z);
  for (const double bad : {-1e-9, 1.0000001}) refused({.threshold = bad}, {}, "sampler: threshold", z);
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) refused({.gamma = bad}, {}, "gamma", z);
  refused({.sampling = {.top_p = 0}}, {}, "top_p", z);
  refused({.by = order::ancestral}, {.from = 1.0000001, .to = 0}, "times must fall", z);
  refused({.by = order::ancestral}, {.from = 0, .to = 0}, "times must fall", z);
  refused({.by = order::ancestral}, {.from = NAN, .to = 0}, "times must fall", z);
  refused({.by = order::ancestral}, {.from = 0.5, .to = NAN}, "times must fall", z);
  refused({.by = order::ancestral}, {.from = 0.5, .to = -1e-9}, "times must fall", z);
  refused({.sampling = {.temperature = -1}}, {}, "temperature", z);
  refused({.end_token = 5}, {}, "end_token: must be -1 or one of 5 tokens and not the mask, is 5", z);
  refused({.end_token = mask}, {}, "end_token: must be -1", z);
  refused({.end_token = -2}, {}, "end_token: must be -1", z);
  refused({}, {.count = -1}, "count: must not be negative", z);
  refused({.by = order::ancestral}, {.from = 0.5, .to = 0.5}, "times must fall", z);
  refused({.by = order::ancestral}, {.from = 1.5, .to = 0.5}, "times must fall", z);
  refused({.by = order::ancestral}, {.from = 0.5, .to = -0.5}, "times must fall", z);
  refused({}, {}, "canvas: has 2 places, logits 1 rows", {z[0]});
  refused({}, {}, "mask_token: is 4, the logits have 4 columns", {{0, 0, 0, 0}, {0, 0, 0, 0}});
  refused({}, {}, "have no distribution", {{0, 0, 0, 0, 0}, {0, NAN, 0, 0, 0}});
  refused({}, {}, "have no distribution", {{0, 0, 0, 0, 0}, {-INFINITY, -INFINITY, -INFINITY, -INFINITY, 0}});
}

TEST_CASE("places that do not follow each other have the draws of their positions") {
  const logit_rows z = {{0, 1, 0, 1, 0}, {1, 0, 1, 0, 0}, {0, 0, 1, 1, 0}};
  const sampler s{.sampling = {.temperature = 1, .seed = 8}};
  for (std::uint32_t step = 0; step < 30; ++step) {
    const auto all = step_from(s, z, masked(3), {.step = step, .first_position = 4, .count = 3});
    const std::vector<index_t> positions = {4, 6};
    const auto two = step_from(s, {z[0], z[2]}, masked(2), {.step = step, .positions = positions, .count = 2});
    CHECK(two == std::vector<std::int32_t>{all[0], all[2]});
  }
  const std::vector<index_t> one = {4};
  CHECK_THROWS_WITH(step_from(s, z, masked(3), {.positions = one}),
                    Catch::Contains("positions: has 1 elements for 3 places"));
}
