// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/vllm_states.hpp"

#include "hone/core/random.hpp"
#include "io/support.hpp"

#include <cmath>

using namespace hone;
using namespace hone::io;

namespace {

tensor_bytes ids(const std::vector<std::int64_t>& x) {
  return {"token_ids", "I64", "[" + std::to_string(x.size()) + "]", bytes_of(x)};
}
std::vector<float> counted(index_t n) {
  std::vector<float> x;
  for (index_t i = 0; i < n; ++i) x.push_back(static_cast<float>(i));
  return x;
}
tensor_bytes states(const std::string& shape, index_t n) {
  return {"hidden_states", "F32", shape, bytes_of(counted(n))};
}

float at(const state_dump& d, index_t layer, index_t t, index_t i) {
  const routing::state_rows x = d.rows(layer);
  float value;
  std::memcpy(&value, static_cast<const std::byte*>(x.data) + 4 * (t * x.stride + i), 4);
  return value;
}

std::string refusal(const byte_vector& bytes) {
  const auto error = format_error_of([&] { state_dump_of(parse_safetensors(bytes, "dump"), "dump"); });
  REQUIRE(error);
  CHECK(error->file() == "dump");
  return error->reason();
}

}  // namespace

TEST_CASE("the axes of a dump are told by the number of tokens, or by what the file says") {
  const auto read = [](const byte_vector& bytes) { return state_dump_of(parse_safetensors(bytes, "dump"), "dump"); };
  const byte_vector tokens_first = safetensors_of({ids({5, 6, 7}), states("[3,2,4]", 24)});
  const byte_vector layers_first = safetensors_of({ids({5, 6, 7}), states("[2,3,4]", 24)});
  const byte_vector either = safetensors_of({ids({5, 6}), states("[2,2,4]", 16)});
  const byte_vector stated = safetensors_of({ids({5, 6}), states("[2,2,4]", 16)}, R"({"axes":"layers,tokens,width"})");
  const state_dump a = read(tokens_first), b = read(layers_first), c = read(either), d = read(stated);
  CHECK(a.tokens == std::vector<std::int32_t>{5, 6, 7});
  for (index_t layer = 0; layer < 2; ++layer)
    for (index_t i = 0; i < 4; ++i) {
      for (index_t t = 0; t < 3; ++t) {
        CHECK(at(a, layer, t, i) == static_cast<float>((t * 2 + layer) * 4 + i));
        CHECK(at(b, layer, t, i) == static_cast<float>((layer * 3 + t) * 4 + i));
      }
      for (index_t t = 0; t < 2; ++t) {
        CHECK(at(c, layer, t, i) == static_cast<float>((t * 2 + layer) * 4 + i));
        CHECK(at(d, layer, t, i) == static_cast<float>((layer * 2 + t) * 4 + i));
      }
    }
  CHECK((a.layers == 2 && b.layers == 2 && c.layers == 2 && a.width == 4));
}

TEST_CASE("a dump that is none is refused with the reason") {
  CHECK(refusal(safetensors_of({states("[3,2,4]", 24)})) == "there is no tensor \"token_ids\"");
  CHECK(refusal(safetensors_of({ids({1, 2, 3})})) == "there is no tensor \"hidden_states\"");
  const auto has = [](const byte_vector& bytes, const char* text) {
    CHECK(refusal(bytes).find(text) != std::string::npos);
  };
  has(safetensors_of({ids({1, 2, 3, 4}), states("[3,2,4]", 24)}), "neither is 4");
  has(safetensors_of({ids({1, 2, 3}), states("[6,4]", 24)}), "2 axes, must have 3");
  has(safetensors_of({ids({}), states("[0,2,4]", 0)}), "no tokens");
  has(safetensors_of({ids({1, 2, 3}), states("[3,0,4]", 0)}), "empty axis");
  has(safetensors_of({ids({1, 2, 3}), states("[3,4,0]", 0)}), "empty axis");
  has(safetensors_of({ids({1, -2, 3}), states("[3,2,4]", 24)}), "no token");
  has(safetensors_of({ids({1, 2147483648, 3}), states("[3,2,4]", 24)}), "no token");
  has(safetensors_of({{"token_ids", "F32", "[3]", bytes_of(counted(3))}, states("[3,2,4]", 24)}), "must be I32 or I64");
  has(safetensors_of({ids({1}), {"hidden_states", "F64", "[1,1,1]", bytes_of(std::vector<double>{1})}}),
      "F32, F16 or BF16");
  has(safetensors_of({ids({1, 2, 3}), states("[3,2,4]", 24)}, R"({"axes":"layers,tokens,width"})"), "as the file says");
  has(safetensors_of({ids({1, 2, 3}), states("[3,2,4]", 24)}, R"({"axes":"tlw"})"), "\"axes\"");
  const byte_vector whole = safetensors_of({ids({1, 2, 3}), states("[3,2,4]", 24)});
  for (std::size_t size = 0; size < whole.size(); ++size)
    REQUIRE(format_error_of([&] { state_dump_of(parse_safetensors(std::span(whole).first(size), "dump"), "dump"); }));
}

TEST_CASE("the last state of a dump is normed token by token before it is pooled, or refused") {
  // Two tokens, weights (1, 2), eps 0: the means before and after the norm, which the norm of the mean is not.
  const std::vector<float> values = {3, 4, 8, -6}, weight = {1, 2};
  const byte_vector bytes = safetensors_of({ids({1, 2}), {"hidden_states", "F32", "[2,1,2]", bytes_of(values)}});
  const state_dump dump = state_dump_of(parse_safetensors(bytes, "dump"), "dump");
  std::vector<float> out(2);
  const matrix_view<float> row(out.data(), 1, 2);
  CHECK(pool_states(dump, {.states = 1, .last = routing::last_state::before_norm}, routing::token_pooling::mean, row) ==
        0);
  CHECK(out == std::vector<float>{5.5f, -1});
  const wanted_states after{.states = 1, .norm = final_norm{weight, 0}};
  pool_states(dump, after, routing::token_pooling::mean, row);
  CHECK(out[0] == Approx(0.98994949).margin(1e-6));
  CHECK(out[1] == Approx(0.28284271).margin(1e-6));
  pool_states(dump, after, routing::token_pooling::last, row);
  CHECK(out[0] == Approx(8 / std::sqrt(50.0)).margin(1e-6));
  const auto error = format_error_of([&] { pool_states(dump, {.states = 1}, routing::token_pooling::mean, row); });
  REQUIRE(error);
  CHECK(error->reason() == "its last state is before the model's final norm, and is needed after it");
  // A dump that says that it was normed is not normed again.
  const auto with = [&](const char* last) {
    return state_dump_of(
        parse_safetensors(safetensors_of({ids({1, 2}), {"hidden_states", "F32", "[2,1,2]", bytes_of(values)}},
                                         std::string(R"({"last_state":")") + last + R"("})"),
                          "dump"),
        "dump");
  };
  pool_states(with("hugging_face"), after, routing::token_pooling::mean, row);
  CHECK(out == std::vector<float>{5.5f, -1});
  pool_states(with("vllm"), after, routing::token_pooling::mean, row);
  CHECK(out[0] == Approx(0.98994949).margin(1e-6));
  const auto normed = format_error_of([&] {
    pool_states(with("hugging_face"), {.states = 1, .last = routing::last_state::before_norm},
                routing::token_pooling::mean, row);
  });
  REQUIRE(normed);
  CHECK(normed->reason() == "its last state is after the model's final norm, and is needed before it");
  CHECK(format_error_of([&] { with("openai"); })->reason().find("\"openai\"") != std::string::npos);
  // R.4's two tokens.
  const std::vector<float> other = {2, 1, -1, 7}, half = {1, 0.5f};
  const byte_vector second = safetensors_of({ids({1, 2}), {"hidden_states", "F32", "[2,1,2]", bytes_of(other)}});
  pool_states(state_dump_of(parse_safetensors(second, "dump"), "dump"), {.states = 1, .norm = final_norm{half, 0}},
              routing::token_pooling::mean, row);
  CHECK(out[0] == Approx(0.5324555320).margin(1e-6));
  CHECK(out[1] == Approx(0.5081138830).margin(1e-6));
}

TEST_CASE("a dump of a long prompt has the sink's logit, in every type and order, in pieces") {
  constexpr index_t tokens = 131, layers = 3, width = 5;
  std::vector<std::int64_t> list;
  for (index_t t = 0; t < tokens; ++t) list.push_back(t);
  std::vector<float> x, weight = {1, 2, 0.5f, -1, 3};
  for (index_t i = 0; i < tokens * layers * width; ++i)
    x.push_back(std::round(static_cast<float>(philox{5}.normal(static_cast<std::uint64_t>(i))) * 16) / 16);
  std::vector<float> v;
  for (index_t i = 0; i < layers * width; ++i)
    v.push_back(static_cast<float>(philox{6}.normal(static_cast<std::uint64_t>(i))));
  double expected = 0;
  for (index_t l = 0; l < layers; ++l)
    for (index_t t = 0; t < tokens; ++t) {
      double squares = 0;
      for (index_t i = 0; i < width; ++i)
        squares += std::pow(x[static_cast<std::size_t>((t * layers + l) * width + i)], 2);
      const double r = l + 1 == layers ? 1 / std::sqrt(squares / width + 1e-5) : 1;
      for (index_t i = 0; i < width; ++i)
        expected += x[static_cast<std::size_t>((t * layers + l) * width + i)] * r *
                    (l + 1 == layers ? weight[static_cast<std::size_t>(i)] : 1.0f) *
                    v[static_cast<std::size_t>(l * width + i)] / static_cast<double>(tokens);
    }
  const auto check = [&]<class T>(T, const char* type, bool layers_first) {
    std::vector<T> stored(x.size());
    for (index_t t = 0; t < tokens; ++t)
      for (index_t l = 0; l < layers; ++l)
        for (index_t i = 0; i < width; ++i)
          stored[static_cast<std::size_t>(((layers_first ? l * tokens + t : t * layers + l)) * width + i)] =
              from_accumulator<T>(x[static_cast<std::size_t>((t * layers + l) * width + i)]);
    const std::string shape = layers_first ? "[3,131,5]" : "[131,3,5]";
    const byte_vector bytes = safetensors_of({ids(list), {"hidden_states", type, shape, bytes_of(stored)}});
    const state_dump dump = state_dump_of(parse_safetensors(bytes, "dump"), "dump");
    std::vector<routing::layer_sum> sums(layers);
    routing::state_sink sink({v.data(), layers, width, 0, 0.5, 1, 0, layers}, sums.data());
    const wanted_states want{.states = layers, .norm = final_norm{weight, 1e-5}};
    for_each_state(dump, want, [&](std::int32_t state, const routing::state_rows& rows) { sink.add(state, rows); });
    CHECK(sink.why() == routing::fault::none);
    CHECK(sink.logit() == Approx(expected).margin(1e-5));
    std::vector<float> pooled(layers * width);
    CHECK(pool_states(dump, want, routing::token_pooling::mean, {pooled.data(), layers, width}) == 0);
    double folded = 0;
    for (std::size_t i = 0; i < pooled.size(); ++i)
      folded += static_cast<double>(pooled[i]) * static_cast<double>(v[i]);
    CHECK(folded == Approx(expected).margin(1e-5));
  };
  for (const bool layers_first : {false, true}) {
    check(float{}, "F32", layers_first);
    check(float16{}, "F16", layers_first);
    check(bfloat16{}, "BF16", layers_first);
  }
}

TEST_CASE("a dump that does not fit what is wanted is refused, and NaN is counted") {
  const byte_vector bytes = safetensors_of({ids({1, 2, 3}), states("[3,2,4]", 24)});
  const state_dump dump = state_dump_of(parse_safetensors(bytes, "dump"), "dump");
  std::vector<float> out(8), weight(3);
  const auto refused = [&](const wanted_states& want) {
    const auto error =
        format_error_of([&] { pool_states(dump, want, routing::token_pooling::mean, {out.data(), 2, 4}); });
    REQUIRE(error);
    return error->reason();
  };
  CHECK(refused({.states = 3}) == "has 2 layers, 3 are expected");
  const std::vector<std::int32_t> beyond = {1, 5}, some = {1, 3};
  CHECK(refused({.states = 5, .of = beyond}) == "state 5 of a model that has 5");
  CHECK(refused({.states = 2, .norm = final_norm{weight, 1e-5}}) == "is of width 4, the model's norm of 3");
  CHECK(pool_states(dump, {.states = 5, .of = some}, routing::token_pooling::mean, {out.data(), 2, 4}) == 0);
  CHECK(out == std::vector<float>{8, 9, 10, 11, 12, 13, 14, 15});
  CHECK_THROWS_AS(pool_states(dump, {.states = 5, .of = some}, routing::token_pooling::mean, {out.data(), 1, 4}),
                  std::invalid_argument);
  std::vector<float> x = counted(24);
  x[9] = std::nanf("");
  const byte_vector bad = safetensors_of({ids({1, 2, 3}), {"hidden_states", "F32", "[3,2,4]", bytes_of(x)}});
  CHECK(pool_states(state_dump_of(parse_safetensors(bad, "dump"), "dump"), {.states = 5, .of = some},
                    routing::token_pooling::mean, {out.data(), 2, 4}) == 1);
}

TEST_CASE("a dump's tokens may be of 32 bits, and its axes what the file says they are") {
  const std::vector<std::int32_t> narrow = {5, 2147483647};
  const tensor_bytes list{"token_ids", "I32", "[2]", bytes_of(narrow)};
  const auto read = [&](const char* axes) {
    return state_dump_of(
        parse_safetensors(safetensors_of({list, states("[2,2,4]", 16)}, std::string(R"({"axes":")") + axes + R"("})"),
                          "dump"),
        "dump");
  };
  CHECK(read("tokens,layers,width").tokens == narrow);
  CHECK_FALSE(read("tokens,layers,width").layers_first);
  CHECK(read("layers,tokens,width").layers_first);
}

TEST_CASE("states of a dump in an order of their own, the last one normed wherever it is, and pooled over the pieces") {
  constexpr index_t tokens = 131, width = 3;
  std::vector<std::int64_t> list(tokens, 7);
  const byte_vector bytes = safetensors_of({ids(list), states("[131,2,3]", tokens * 2 * width)});
  const state_dump dump = state_dump_of(parse_safetensors(bytes, "dump"), "dump");
  const std::vector<std::int32_t> order = {3, 1}, below = {-1, 1};
  const std::vector<float> weight = {1, 2, 3};
  const wanted_states want{.states = 4, .of = order, .norm = final_norm{weight, 0.5}};
  std::vector<float> out(2 * 4, -1);
  CHECK(pool_states(dump, want, routing::token_pooling::last, {out.data(), 2, width, 4, 1}) == 0);
  const double x[] = {780, 781, 782};  // of token 130, layer 0
  double squares = 0;
  for (const double v : x) squares += v * v / 3;
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(out[i] == Approx(x[i] * static_cast<double>(weight[i]) / std::sqrt(squares + 0.5)).epsilon(1e-6));
    CHECK(out[4 + i] == 783 + static_cast<float>(i));
  }
  CHECK((out[3] == -1 && out[7] == -1));
  CHECK_THROWS_WITH(pool_states(dump, {.states = 4, .of = below}, routing::token_pooling::mean, {out.data(), 2, width}),
                    Catch::Contains("state -1 of a model that has 4"));
}
