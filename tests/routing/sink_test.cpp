// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/sink.hpp"

#include "hone/core/philox.hpp"
#include "hone/core/random.hpp"
#include "hone/core/scalar.hpp"
#include "support/catch.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

template <class T>
constexpr number number_of = number::float32;
template <>
constexpr number number_of<float16> = number::float16;
template <>
constexpr number number_of<bfloat16> = number::bfloat16;

template <class T>
std::vector<T> drawn_states(index_t count, std::uint32_t stream) {
  std::vector<T> x;
  for (index_t i = 0; i < count; ++i)
    x.push_back(from_accumulator<T>(static_cast<float>(philox{3, stream}.normal(static_cast<std::uint64_t>(i)))));
  return x;
}

/// A router with its memory, of all states of a model unless told.
struct trial {
  trial(std::int32_t layers, std::int32_t width, std::vector<float> weights) : v(std::move(weights)), sums(at(layers)) {
    router = {v.data(), layers, width, 0.25, 0.5, 1, 0, layers};
  }
  static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] state_sink sink() { return {router, sums.data()}; }

  std::vector<float> v;
  std::vector<layer_sum> sums;
  folded_router router;
};

template <class T>
state_rows rows_of(const T* data, std::int64_t rows, std::int32_t width, std::ptrdiff_t stride) {
  return {data, rows, width, stride, number_of<T>};
}

}  // namespace

TEMPLATE_TEST_CASE("a sink has the logit of the definition, and the same bits however the rows come", "", float,
                   float16, bfloat16) {
  using T = TestType;
  for (const std::int32_t width : {1, 2, 15, 16, 17, 31, 32, 33, 100, 515}) {
    const std::int32_t layers = 3, tokens = 11, stride = width + 3;
    const auto states = drawn_states<T>(layers * tokens * stride, 1);
    trial t(layers, width, drawn_states<float>(layers * width, 2));
    double expected = t.router.bias;
    std::array<double, 3> parts = {};
    for (std::int32_t l = 0; l < layers; ++l) {
      double sum = 0;
      for (std::int32_t i = 0; i < tokens; ++i)
        for (std::int32_t j = 0; j < width; ++j)
          sum += static_cast<double>(t.v[trial::at(l * width + j)]) *
                 static_cast<double>(to_accumulator(states[trial::at((l * tokens + i) * stride + j)]));
      parts[trial::at(l)] = sum / tokens;
      expected += sum / tokens;
    }
    const auto from = [&](std::int32_t l, std::int32_t i) { return states.data() + (l * tokens + i) * stride; };
    state_sink whole = t.sink();
    for (std::int32_t l = 0; l < layers; ++l) whole.add(l, rows_of(from(l, 0), tokens, width, stride));
    REQUIRE(whole.why() == fault::none);
    CHECK(whole.tokens() == tokens);
    CHECK(whole.logit() == Approx(expected).margin(1e-12 * width));
    CHECK(whole.probability() == Approx(1 / (1 + std::exp(-expected))).margin(1e-12 * width));
    for (std::int32_t l = 0; l < layers; ++l) CHECK(whole.contribution(l) == Approx(parts[trial::at(l)]).margin(1e-12));
    const double logit = whole.logit();
    for (std::int32_t piece = 1; piece < tokens; ++piece) {
      state_sink pieces = t.sink();
      for (std::int32_t i = 0; i < tokens; i += piece)
        for (std::int32_t l = layers; l-- > 0;)
          pieces.add(l, rows_of(from(l, i), (min)(piece, tokens - i), width, stride));
      REQUIRE(pieces.logit() == logit);
    }
    t.router.tokens = token_pooling::last;
    state_sink last = t.sink();
    for (std::int32_t i = 0; i < tokens; i += 4)
      for (std::int32_t l = 0; l < layers; ++l) last.add(l, rows_of(from(l, i), (min)(4, tokens - i), width, stride));
    double of_last = t.router.bias;
    for (std::int32_t l = 0; l < layers; ++l)
      for (std::int32_t j = 0; j < width; ++j)
        of_last += static_cast<double>(t.v[trial::at(l * width + j)]) *
                   static_cast<double>(to_accumulator(from(l, tokens - 1)[j]));
    CHECK(last.logit() == Approx(of_last).margin(1e-12 * width));
    CHECK(last.tokens() == tokens);
  }
}

TEST_CASE("the folded probe of the reference vectors, R.4") {
  const std::array<double, 3> mean_weights = {0.2686636448, 0.1334144177, 0.5979219375};
  const std::array<float, 4> w = {0.3f, -0.2f, 0.5f, 0.1f};
  std::vector<float> v;
  for (const double weight : mean_weights)
    for (const float x : w) v.push_back(static_cast<float>(weight * static_cast<double>(x)));
  trial t(3, 4, v);
  t.router.bias = 0.05;
  t.router.threshold = 0.51;
  const std::vector<std::vector<float>> samples = {{0.5f, -1, 0.25f, 2, 1, 0, -0.5f, 0.75f, -0.25f, 1.5f, 0.5f, -1},
                                                   {-1, 0.5f, 1, 0, 0.25f, -0.75f, 1.25f, 0.5f, 2, 1, -1.5f, 0.25f}};
  const std::array<double, 2> logits = {0.1134923265, 0.0026147107}, p = {0.5283426658, 0.5006536773};
  const std::array<std::array<double, 3>, 2> u = {{{0.675, 0.125, -0.225}, {0.1, 0.9, -0.325}}};
  state_sink sink = t.sink();
  for (std::size_t n = 0; n < 2; ++n) {
    sink.reset();
    // Two tokens about the mean: what is pooled over tokens and then over layers is the same.
    for (std::int32_t l = 0; l < 3; ++l) {
      std::vector<float> rows(8);
      for (std::size_t j = 0; j < 4; ++j) {
        const float z = samples[n][4 * static_cast<std::size_t>(l) + j];
        rows[j] = z + 2;
        rows[4 + j] = z - 2;
      }
      sink.add(l, {rows.data(), 2, 4, 4, number::float32});
    }
    CHECK(sink.logit() == Approx(logits[n]).margin(1e-7));
    CHECK(sink.probability() == Approx(p[n]).margin(1e-7));
    for (std::size_t l = 0; l < 3; ++l)
      CHECK(sink.contribution(static_cast<std::int32_t>(l)) == Approx(mean_weights[l] * u[n][l]).margin(1e-7));
    CHECK(sink.decide() == (n == 0 ? decision::small_model : decision::large_model));
  }
}

TEST_CASE("calibration and threshold") {
  trial t(1, 1, {1});
  t.router.bias = 0;
  t.router.slope = 2;
  t.router.intercept = -1;
  for (const float z : {-800.0f, -3.0f, 0.0f, 0.5f, 3.0f, 800.0f}) {
    t.router.threshold = 0.5;
    state_sink sink = t.sink();
    sink.add(0, {&z, 1, 1, 1, number::float32});
    const double p = sink.probability();
    CHECK(p == Approx(1 / (1 + std::exp(1 - 2 * static_cast<double>(z)))).margin(1e-15));
    CHECK(sink.decide() == (z >= 0.5f ? decision::small_model : decision::large_model));
  }
  const float z = 0;
  for (const double threshold : {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()}) {
    t.router.threshold = threshold;
    state_sink sink = t.sink();
    sink.add(0, {&z, 1, 1, 1, number::float32});
    CHECK(sink.decide() == (threshold < 0 ? decision::small_model : decision::large_model));
  }
}

TEST_CASE("a router that reads some of the states passes over the others") {
  const std::array<std::int32_t, 2> read = {1, 4};
  trial t(2, 3, {1, 2, 3, -1, 0.5f, 2});
  t.router.states = 5;
  t.router.state_of = read.data();
  const std::array<float, 3> x = {0.5f, -1, 2}, other = {nan_value, 1, 1};
  state_sink sink = t.sink();
  sink.add(4, rows_of(x.data(), 1, 3, 3));
  sink.add(0, rows_of(other.data(), 1, 3, 3));
  CHECK(sink.why() == fault::missing_state);
  sink.add(1, rows_of(x.data(), 1, 3, 3));
  CHECK(sink.why() == fault::none);
  CHECK(sink.logit() == 0.25 + (0.5 - 2 + 6) + (-0.5 - 0.5 + 4));
}

TEMPLATE_TEST_CASE("every 16-bit number is the float that it stands for, or a fault", "", float16, bfloat16) {
  trial t(1, 1, {1});
  t.router.bias = 0;
  state_sink sink = t.sink();
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    TestType x;
    x.bits = static_cast<std::uint16_t>(bits);
    sink.reset();
    sink.add(0, rows_of(&x, 1, 1, 1));
    const float value = x;
    if (std::isfinite(value))
      REQUIRE(sink.logit() == static_cast<double>(value));
    else
      REQUIRE(sink.why() == fault::not_finite);
  }
}

TEST_CASE("NaN and infinity anywhere mean the large model, whatever the weights") {
  for (const std::int32_t width : {1, 16, 37})
    for (std::int32_t at = 0; at < width; ++at)
      for (const float bad : {infinity, -infinity, nan_value})
        for (const float weight : {0.0f, 1.0f, -1.0f}) {
          trial t(2, width, std::vector<float>(trial::at(2 * width), weight));
          std::vector<float> x(trial::at(3 * width), 1.0f);
          state_sink sink = t.sink();
          sink.add(0, rows_of(x.data(), 3, width, width));
          x[trial::at(width + at)] = bad;
          sink.add(1, rows_of(x.data(), 3, width, width));
          REQUIRE(sink.why() == fault::not_finite);
          REQUIRE(sink.decide() == decision::large_by_fault);
          REQUIRE(std::isnan(sink.probability()));
          REQUIRE(std::isnan(sink.logit()));
          sink.reset();
          REQUIRE(sink.why() == fault::no_tokens);
        }
  // Infinities of both signs do not cancel, and the largest numbers are no fault.
  trial t(1, 2, {1, 1});
  const std::array<float, 2> both = {infinity, -infinity};
  state_sink sink = t.sink();
  sink.add(0, rows_of(both.data(), 1, 2, 2));
  CHECK(sink.why() == fault::not_finite);
  const float most = (std::numeric_limits<float>::max)();
  trial large(1, 2, {most, most});
  const std::array<float, 2> largest = {most, most};
  state_sink of_large = large.sink();
  of_large.add(0, rows_of(largest.data(), 1, 2, 2));
  CHECK(of_large.probability() == 1);
  trial bad_weights(1, 2, {nan_value, 1});
  state_sink of_bad = bad_weights.sink();
  of_bad.add(0, rows_of(largest.data(), 1, 2, 2));
  CHECK(of_bad.why() == fault::not_finite);
}

TEST_CASE("what is missing or does not fit means the large model, with the reason") {
  trial t(2, 2, {1, 1, 1, 1});
  const std::array<float, 4> x = {1, 2, 3, 4};
  const auto rows = [&](std::int64_t count) { return rows_of(x.data(), count, 2, 2); };
  const auto fails = [&](fault expected, auto&& f) {
    state_sink sink = t.sink();
    f(sink);
    CHECK(sink.why() == expected);
    CHECK(sink.decide() == decision::large_by_fault);
    CHECK(std::isnan(sink.probability()));
    CHECK(sink.tokens() == 0);
    // What comes after does not heal it.
    if (expected == fault::no_such_state || expected == fault::bad_rows || expected == fault::not_finite) {
      sink.add(0, rows(1));
      sink.add(1, rows(1));
      CHECK(sink.why() == expected);
    }
  };
  fails(fault::no_tokens, [](state_sink&) {});
  fails(fault::no_tokens, [&](state_sink& s) { s.add(0, rows(0)), s.add(1, {nullptr, 0, 0, 0, number::float32}); });
  fails(fault::missing_state, [&](state_sink& s) { s.add(1, rows(2)); });
  fails(fault::unequal_tokens, [&](state_sink& s) { s.add(0, rows(2)), s.add(1, rows(1)); });
  fails(fault::no_such_state, [&](state_sink& s) { s.add(-1, rows(1)); });
  fails(fault::no_such_state, [&](state_sink& s) { s.add(2, rows(1)); });
  fails(fault::bad_rows, [&](state_sink& s) { s.add(0, rows_of<float>(nullptr, 1, 2, 2)); });
  fails(fault::bad_rows, [&](state_sink& s) { s.add(0, rows(-1)); });
  fails(fault::bad_rows, [&](state_sink& s) { s.add(0, rows_of(x.data(), 1, 3, 3)); });
  fails(fault::bad_rows, [&](state_sink& s) { s.add(0, rows_of(x.data(), 2, 2, 1)); });
  fails(fault::bad_rows, [&](state_sink& s) { s.add(0, {x.data(), 1, 2, 2, static_cast<number>(9)}); });
}

TEST_CASE("a router that is none means the large model") {
  const std::array<float, 2> x = {1, 2};
  const double bad = std::numeric_limits<double>::quiet_NaN(), endless = std::numeric_limits<double>::infinity();
  const auto refused = [&](auto&& change) {
    trial t(2, 2, {1, 1, 1, 1});
    layer_sum* memory = t.sums.data();
    change(t.router, memory);
    state_sink sink(t.router, memory);
    sink.add(0, rows_of(x.data(), 1, 2, 2));
    sink.add(1, rows_of(x.data(), 1, 2, 2));
    CHECK(sink.why() == fault::bad_router);
    CHECK(sink.decide() == decision::large_by_fault);
  };
  refused([](folded_router& r, layer_sum*&) { r.v = nullptr; });
  refused([](folded_router&, layer_sum*& memory) { memory = nullptr; });
  refused([](folded_router& r, layer_sum*&) { r.layers = 0; });
  refused([](folded_router& r, layer_sum*&) { r.width = -1; });
  refused([](folded_router& r, layer_sum*&) { r.states = 1; });
  refused([&](folded_router& r, layer_sum*&) { r.bias = endless; });
  refused([&](folded_router& r, layer_sum*&) { r.slope = bad; });
  refused([&](folded_router& r, layer_sum*&) { r.intercept = bad; });
  refused([&](folded_router& r, layer_sum*&) { r.threshold = bad; });
  static constexpr std::array<std::int32_t, 2> down = {1, 0}, twice = {0, 0}, high = {0, 2}, low = {-1, 0};
  for (const auto& list : {&down, &twice, &high, &low})
    refused([&](folded_router& r, layer_sum*&) { r.state_of = list->data(); });
}

TEST_CASE("a fault of a sink has a sentence") {
  CHECK(std::string(routing::text_of(fault::none)).empty());
  for (int i = 1; i <= static_cast<int>(fault::not_finite); ++i)
    CHECK(std::string(routing::text_of(static_cast<fault>(i))).size() > 5);
}
