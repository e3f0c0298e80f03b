// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/correction.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

const std::vector<double> old = {-1, -2, -3, -1, -1, -2}, sampler = {-2, -2.5, -2, -1.1, -9, -1.9};
const std::vector<index_t> offsets = {0, 3, 3, 6};
const std::vector<std::int32_t> targets = {0, 0, 0, 0, -1, 0};

std::vector<double> weights(const sampler_correction& method, correction_sum* sum = nullptr) {
  std::vector<double> out(6, 9.0);
  thread_pool pool(2);
  const auto result = correct_sampler(method, old, sampler, offsets, targets, out, pool);
  if (sum != nullptr) *sum = result;
  return out;
}

}  // namespace

TEST_CASE("factors of tokens, responses and their means, truncated, masked and rejected") {
  const double a = std::exp(1.0), b = std::exp(0.5), c = std::exp(-1.0), d = std::exp(0.1), e = std::exp(-0.1);
  const auto close = [](const std::vector<double>& x, const std::vector<double>& y) {
    for (std::size_t i = 0; i < 6; ++i) CHECK(x[i] == Approx(y[i]).epsilon(1e-13).margin(1e-300));
  };
  using enum correction_kind;
  using enum correction_level;
  correction_sum sum;
  close(weights({}, &sum), {2, b, c, d, 0, e});
  CHECK(sum.tokens == 5);
  CHECK(sum.corrected == 1);
  CHECK(sum.weight == Approx(2 + b + c + d + e));
  close(weights({.kind = mask, .low = 0.5, .high = 5}, &sum), {a, b, 0, d, 0, e});
  CHECK(sum.corrected == 1);
  close(weights({.kind = reject, .low = 0.5, .high = 2}), {0, 1, 0, 1, 0, 1});
  const double s = std::exp(0.5), g = std::exp(0.5 / 3);
  close(weights({.level = sequence}), {s, s, s, 1, 0, 1});
  close(weights({.level = sequence, .high = 1.5}, &sum), {1.5, 1.5, 1.5, 1, 0, 1});
  CHECK(sum.corrected == 3);
  close(weights({.kind = mask, .level = geometric, .high = 5}), {g, g, g, 1, 0, 1});
  close(weights({.kind = reject, .level = geometric, .low = 0.99, .high = 1.01}), {0, 0, 0, 1, 0, 1});
  // A mean is over the tokens that count: three of these four.
  std::vector<double> out(6, 9.0);
  const std::vector<index_t> uneven = {0, 2, 6};
  thread_pool pool(2);
  correct_sampler({.kind = mask, .level = geometric, .high = 5}, old, sampler, uneven, targets, out, pool);
  const double first = std::exp(1.5 / 2), second = std::exp(-1.0 / 3);
  close(out, {first, first, second, second, 0, second});
}

TEST_CASE("equal programs need no correction; NaN is counted, far ratios are clamped") {
  std::vector<double> out(6);
  for (const auto kind : {correction_kind::truncate, correction_kind::mask, correction_kind::reject})
    for (const auto level : {correction_level::token, correction_level::sequence, correction_level::geometric}) {
      correct_sampler({kind, level, 0.5, 2}, old, old, offsets, {}, out);
      CHECK(out == std::vector<double>(6, 1.0));
      const std::vector<double> broken = {NAN, -1, -1, -1, -1, -1};
      const auto sum = correct_sampler({kind, level, 0.5, 2}, broken, old, offsets, {}, out);
      CHECK(sum.nonfinite == (level == correction_level::token ? 1 : 3));
    }
  const std::vector<double> far = {-900, -1, -1, -1, -1, -1};
  correct_sampler({.high = 1e300}, old, far, offsets, {}, out);
  CHECK(out[0] == Approx(std::exp(20.0)));
}

TEST_CASE("corrections that do not fit are refused") {
  std::vector<double> out(6), three(3);
  CHECK_THROWS_WITH(correct_sampler({}, old, three, offsets, {}, out), Catch::Contains("sampler"));
  CHECK_THROWS_WITH(correct_sampler({}, old, sampler, offsets, {}, three), Catch::Contains("weight"));
  CHECK_THROWS_WITH(correct_sampler({}, old, {}, offsets, {}, out), Catch::Contains("sampler: has 0 tokens"));
  CHECK_THROWS_WITH(correct_sampler({}, old, sampler, offsets, {}, {}), Catch::Contains("weight: has 0 tokens"));
  CHECK_THROWS_WITH(correct_sampler({}, old, sampler, std::vector<index_t>{0, 3, 5}, {}, out),
                    Catch::StartsWith("hone::policy::correct_sampler: offsets"));
  CHECK_THROWS_WITH(correct_sampler({}, old, sampler, offsets, std::vector<std::int32_t>{1}, out),
                    Catch::Contains("targets: has 1 tokens"));
  CHECK_THROWS_WITH(correct_sampler({.low = -0.1}, old, sampler, offsets, {}, out), Catch::Contains("low"));
  CHECK_THROWS_WITH(correct_sampler({.high = -1}, old, sampler, offsets, {}, out), Catch::Contains("low"));
  CHECK_NOTHROW(sampler_correction{.low = 2, .high = 2}.check());
  CHECK_NOTHROW(sampler_correction{.low = 0, .high = 1e-9}.check());
  CHECK_THROWS_WITH(correct_sampler({.low = 3, .high = 2}, old, sampler, offsets, {}, out), Catch::Contains("low"));
  CHECK_THROWS_WITH(correct_sampler({.high = 0}, old, sampler, offsets, {}, out), Catch::Contains("high"));
  CHECK_THROWS_WITH(correct_sampler({.high = NAN}, old, sampler, offsets, {}, out), Catch::Contains("low"));
}

TEST_CASE("a ratio on its bound is no correction; one token, and a response without any") {
  CHECK((sampler_correction{.kind = correction_kind::mask, .low = 0.5, .high = 2}(2) == 2));
  CHECK((sampler_correction{.kind = correction_kind::mask, .low = 0.5, .high = 2}(0.5) == 0.5));
  CHECK((sampler_correction{.kind = correction_kind::reject, .low = 0.5, .high = 2}(2) == 1));
  CHECK((sampler_correction{.kind = correction_kind::reject, .low = 0.5, .high = 2}(0.5) == 1));
  CHECK((sampler_correction{.low = 0.5, .high = 2}(0.25) == 0.25));
  const std::vector<double> p = {-1, -1, -1}, q = {-1, -2, -1};
  std::vector<double> out(3);
  const std::vector<index_t> each = {0, 1, 2, 3};
  const std::vector<std::int32_t> second = {-1, 0, -1};
  for (const auto level : {correction_level::token, correction_level::sequence, correction_level::geometric}) {
    const auto sum = correct_sampler({.level = level, .high = 100}, p, q, each, second, out);
    CHECK((sum.tokens == 1 && sum.corrected == 0 && sum.nonfinite == 0));
    CHECK((out[0] == 0 && out[2] == 0));
    CHECK(out[1] == Approx(std::exp(1.0)).epsilon(1e-14));
    for (const auto kind : {correction_kind::truncate, correction_kind::mask, correction_kind::reject})
      CHECK(correct_sampler({kind, level, 1, 1}, p, p, each, {}, out).corrected == 0);  // both bounds are the ratio
  }
  CHECK(correct_sampler({.low = 0.5, .high = 9}, q, p, each, {}, out).corrected == 0);  // truncation has no lower one
  CHECK(correct_sampler({.kind = correction_kind::mask, .low = 0.5, .high = 9}, q, p, each, {}, out).corrected == 1);
}
