// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/prompt_states.hpp"

#include <limits>

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;
using routing::last_state;
using routing::states_view;
using routing::token_pooling;

namespace {

/// Prompts of several microbatches of 60 rows, of no token, of one, and of as many as a model takes.
struct prompts_of {
  explicit prompts_of(const config& c) {
    for (const index_t size : {14, 1, 0, 25, 30, 60, 7, 3, 0, 52, 11, 40}) offsets.push_back(offsets.back() + size);
    for (index_t i = 0; i < offsets.back(); ++i) tokens.push_back(static_cast<std::int32_t>((i * i + 3 * i) % c.vocab));
  }
  std::vector<index_t> offsets = {0};
  std::vector<std::int32_t> tokens;

  [[nodiscard]] batch all() const { return {tokens, offsets}; }
};

/// Memory for states, in order, that begins as NaN.
template <class T>
struct states {
  states(const config& c, index_t prompts)
      : shape(c),
        values(static_cast<std::size_t>(prompts * (c.n_layers + 1) * c.d_model), std::numeric_limits<T>::quiet_NaN()),
        count(prompts) {}
  const config& shape;
  std::vector<T> values;
  index_t count;

  [[nodiscard]] states_view<T> view() { return {values.data(), count, shape.n_layers + 1, shape.d_model}; }
};

/// From the workspace that a decoder leaves of the same microbatches, a token at a time, the last layer first.
template <class T>
std::vector<T> by_token(const config& c, const std::vector<T>& parameters, const batch& b, token_pooling how,
                        last_state last) {
  const decoder<T> model(c);
  workspace<T> w(c, c.max_seq);
  states<T> out(c, b.sequences());
  const std::vector<index_t> borders = cut_microbatches(b.offsets, c.max_seq);
  REQUIRE(borders.size() > 4);
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    const batch_slice slice(b, borders[i], borders[i + 1]);
    model.forward(parameters, slice.batch(), w);
    for (index_t s = borders[i]; s < borders[i + 1]; ++s) {
      routing::token_features features(c.n_layers + 1, c.d_model, how);
      for (index_t layer = c.n_layers; layer >= 0; --layer)
        for (index_t t = b.begin(s); t < b.end(s); ++t) {
          auto rows = w.hidden(layer);
          if (layer == c.n_layers && last == last_state::after_norm) rows = w.features();
          features.add(layer, matrix_view<T>(&rows(t - slice.first_row(), 0), 1, c.d_model));
        }
      features.write(out.view().sample(s));
    }
  }
  return out.values;
}

/// From the definition, in double.
std::vector<double> naive(const config& c, const std::vector<double>& parameters, const batch& b, token_pooling how,
                          last_state last) {
  states<double> out(c, b.sequences());
  const double* weight = nullptr;
  for (const auto& t : tensor_table(c))
    if (t.name == "final_norm") weight = parameters.data() + t.offset;
  for (index_t s = 0; s < b.sequences(); ++s) {
    naive_decoder d(c, parameters, {b.tokens.begin() + b.begin(s), b.tokens.begin() + b.end(s)});
    for (auto& row : d.hidden.back()) {
      double squares = 0;
      for (const double x : row) squares += x * x;
      for (std::size_t j = 0; last == last_state::after_norm && j < row.size(); ++j)
        row[j] *= weight[j] / std::sqrt(squares / static_cast<double>(row.size()) + c.norm_eps);
    }
    for (index_t layer = 0; layer <= c.n_layers; ++layer)
      for (index_t j = 0; j < c.d_model; ++j) {
        const auto& rows = d.hidden[static_cast<std::size_t>(layer)];
        double sum = 0;
        for (const auto& row : rows)
          sum = how == token_pooling::last ? row[static_cast<std::size_t>(j)] : sum + row[static_cast<std::size_t>(j)];
        const bool divides = how == token_pooling::mean && !rows.empty();
        out.view().sample(s)(layer, j) = divides ? sum / static_cast<double>(rows.size()) : sum;
      }
  }
  return out.values;
}

template <class F>
void for_each_choice(F&& f) {
  for (const token_pooling how : {token_pooling::mean, token_pooling::last})
    for (const last_state last : {last_state::before_norm, last_state::after_norm}) f(how, last);
}

}  // namespace

TEMPLATE_TEST_CASE("prompt states: those of the decoder's workspace, to the bit, for any workers", "", float, double) {
  thread_pool pool(3);
  for (const config& c : all_models()) {
    const prompts_of prompts(c);
    const auto parameters = normals<TestType>(decoder<TestType>(c).parameters(), 1, 0.3);
    learner<TestType> net(c, parameters, {.rows = 12});
    for_each_choice([&](token_pooling how, last_state last) {
      const auto expected = by_token(c, parameters, prompts.all(), how, last);
      states<TestType> serially(c, prompts.all().sequences()), threaded(c, prompts.all().sequences());
      CHECK(pool_states(net, prompts.all(), how, last, serially.view()) == 0);
      CHECK(pool_states(net, prompts.all(), how, last, threaded.view(), pool) == 0);
      CHECK(serially.values == expected);
      CHECK(threaded.values == expected);
    });
  }
}

TEST_CASE("prompt states: those of the definition, a prompt after the other") {
  for (const config& c : all_models()) {
    const prompts_of prompts(c);
    const auto parameters = normals<double>(decoder<double>(c).parameters(), 1, 0.3);
    learner<double> net(c, parameters);
    for_each_choice([&](token_pooling how, last_state last) {
      const auto expected = naive(c, parameters, prompts.all(), how, last);
      states<double> out(c, prompts.all().sequences());
      pool_states(net, prompts.all(), how, last, out.view());
      double error = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) error = worst(error, std::abs(out.values[i] - expected[i]));
      CHECK(error < 1e-10);
    });
  }
}

TEST_CASE("prompt states: an adapter's, and those of a learner's own part") {
  const config c = small_models()[1];
  const prompts_of prompts(c);
  const auto parameters = normals<float>(decoder<float>(c).parameters(), 1, 0.3);
  const auto sites = adapter_sites(c, {role::wq, role::w2}, 2, 2.0);
  const decoder<float> model(c);
  const adapted_decoder<float> adapted(model, parameters, sites);
  const auto adapter = normals<float>(adapted.parameters(), 4, 0.3);
  const index_t count = prompts.all().sequences();
  states<float> plain(c, count), out(c, count), merged(c, count);

  learner<float> net(c, parameters, {.rows = 12});
  pool_states(net, prompts.all(), token_pooling::mean, last_state::after_norm, plain.view());
  net.adapt(parameters, sites, adapter);
  pool_states(net, prompts.all(), token_pooling::mean, last_state::after_norm, out.view());
  learner<float> other(c, adapted.merged(adapter));
  pool_states(other, prompts.all(), token_pooling::mean, last_state::after_norm, merged.view());
  double error = 0, moved = 0;
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    error = worst(error, std::abs(static_cast<double>(out.values[i] - merged.values[i])));
    moved = worst(moved, std::abs(static_cast<double>(out.values[i] - plain.values[i])));
  }
  CHECK(error < 1e-5);
  CHECK(moved > 1e-2);

  std::vector<index_t> written(out.values.size());
  for (const index_t part : {0, 1}) {
    learner<float> half(c, parameters, {.rows = 12, .part = part, .parts = 2});
    states<float> own(c, count);
    CHECK(pool_states(half, prompts.all(), token_pooling::mean, last_state::after_norm, own.view()) == 0);
    index_t rows = 0;
    for (std::size_t i = 0; i < own.values.size(); ++i)
      if (!std::isnan(own.values[i])) {
        CHECK(own.values[i] == plain.values[i]);
        ++written[i], ++rows;
      }
    CHECK(rows > 0);
  }
  CHECK(written == std::vector<index_t>(written.size(), 1));
}

TEST_CASE("prompt states: outputs of any strides, and nothing between their elements") {
  const config c = small_models()[0];
  const prompts_of prompts(c);
  const index_t count = prompts.all().sequences(), states_of_model = c.n_layers + 1;
  learner<float> net(c, normals<float>(decoder<float>(c).parameters(), 1, 0.3));
  states<float> expected(c, count);
  pool_states(net, prompts.all(), token_pooling::mean, last_state::before_norm, expected.view());
  // Layers outermost, then elements, then prompts, every third element, backwards.
  std::vector<float> memory(static_cast<std::size_t>(3 * count * states_of_model * c.d_model), -7);
  const states_view<float> strided(memory.data() + std::ssize(memory) - 1, count, states_of_model, c.d_model, -3,
                                   -3 * count * c.d_model, -3 * count);
  pool_states(net, prompts.all(), token_pooling::mean, last_state::before_norm, strided);
  for (index_t s = 0; s < count; ++s)
    for (index_t layer = 0; layer < states_of_model; ++layer)
      for (index_t j = 0; j < c.d_model; ++j) CHECK(strided.sample(s)(layer, j) == expected.view().sample(s)(layer, j));
  index_t between = 0;
  for (const float x : memory) between += x == -7;
  CHECK(between == 2 * count * states_of_model * c.d_model);
}

TEST_CASE("prompt states: no prompts, prompts of no tokens, and states that are not finite") {
  const config c = small_models()[0];
  auto parameters = normals<float>(decoder<float>(c).parameters(), 1, 0.3);
  learner<float> net(c, parameters);
  const std::vector<index_t> none = {0}, empty = {0, 0, 0};
  CHECK(pool_states(net, {{}, none}, token_pooling::mean, last_state::after_norm,
                    states_view<float>(nullptr, 0, c.n_layers + 1, c.d_model)) == 0);
  states<float> zeros(c, 2);
  pool_states(net, {{}, empty}, token_pooling::last, last_state::after_norm, zeros.view());
  CHECK(zeros.values == std::vector<float>(zeros.values.size(), 0));

  // Of the token 1 alone, from its embedding on.
  const decoder<float> model(c);
  for (const tensor& t : model.table())
    if (t.name == "tok_emb") parameters[static_cast<std::size_t>(t.offset + c.d_model)] = std::nanf("");
  learner<float> bad(c, parameters);
  const std::vector<std::int32_t> tokens = {2, 1, 1, 2, 2};
  const std::vector<index_t> offsets = {0, 2, 3, 5};
  states<float> out(c, 3);
  const index_t nonfinite =
      pool_states(bad, {tokens, offsets}, token_pooling::mean, last_state::after_norm, out.view());
  CHECK(nonfinite == 2 * (1 + c.n_layers * c.d_model));
  index_t found = 0;
  for (const float x : out.values) found += std::isnan(x);
  CHECK(found == nonfinite);
}

TEST_CASE("prompt states: what does not fit is refused before anything is written") {
  const config c = small_models()[0];
  const prompts_of prompts(c);
  const index_t count = prompts.all().sequences(), layers = c.n_layers + 1, width = c.d_model;
  learner<float> net(c, normals<float>(decoder<float>(c).parameters(), 1, 0.3));
  states<float> out(c, count);
  float* const data = out.values.data();
  const auto refused = [&](const batch& b, const states_view<float>& view, const std::string& reason) {
    CHECK_THROWS_WITH(pool_states(net, b, token_pooling::mean, last_state::after_norm, view),
                      "hone::transformer::pool_states: " + reason);
    for (const float x : out.values) REQUIRE(std::isnan(x));
  };
  refused(prompts.all(), {data, count - 1, layers, width}, "out: is 11 x 3 x 12, expected 12 x 3 x 12");
  refused(prompts.all(), {data, count, layers - 1, width}, "out: is 12 x 2 x 12, expected 12 x 3 x 12");
  refused(prompts.all(), {data, count, layers, width - 1}, "out: is 12 x 3 x 11, expected 12 x 3 x 12");
  refused(prompts.all(), {nullptr, count, layers, width}, "out: is 3 x 12 and has no memory");
  const std::string shared = ": an output has no two elements in one place";
  refused(prompts.all(), {data, count, layers, width, 0, width}, "out: is 12 x 3 with strides 0 and 12" + shared);
  refused(prompts.all(), {data, count, layers, width, layers * width, 0},
          "out: is 3 x 12 with strides 0 and 1" + shared);
  refused(prompts.all(), {data, count, layers, width, layers * width, width, 0},
          "out: is 3 x 12 with strides 12 and 0" + shared);
  refused(prompts.all(), {data, count, layers, width, 5, count * width},
          "out: is 12 x 12 with strides 5 and 1" + shared);

  refused({}, {data, 0, layers, width}, "prompts: offsets must begin with 0 and end with the number of tokens, 0");
  const std::vector<index_t> beyond = {0, 300}, down = {0, 14, 1, 243}, from = {1, 243};
  refused({prompts.tokens, beyond}, {data, 1, layers, width},
          "prompts: offsets must begin with 0 and end with the number of tokens, 243");
  refused({prompts.tokens, from}, {data, 1, layers, width},
          "prompts: offsets must begin with 0 and end with the number of tokens, 243");
  refused({prompts.tokens, down}, {data, 3, layers, width}, "prompts: sequence 1 has -13 tokens, the model takes 60");
  std::vector<std::int32_t> other = prompts.tokens;
  other.back() = static_cast<std::int32_t>(c.vocab);  // of the last microbatch
  refused({other, prompts.offsets}, out.view(), "prompts: token 11, the vocabulary has 11");
  const std::vector<index_t> whole = {0, 243};
  refused({prompts.tokens, whole}, {data, 1, layers, width}, "prompts: sequence 0 has 243 tokens, the model takes 60");
}

TEST_CASE("docs: the states of prompts") {
  const config shape = small_models()[0];
  const prompts_of made(shape);
  const batch prompts = made.all();
  learner<float> net(shape, initial_parameters<float>(shape, 1));
  thread_pool pool(2);
  const index_t states = shape.n_layers + 1;
  std::vector<float> memory(static_cast<std::size_t>(prompts.sequences() * states * shape.d_model));
  const routing::states_view<float> pooled(memory.data(), prompts.sequences(), states, shape.d_model);
  pool_states(net, prompts, routing::token_pooling::mean, routing::last_state::after_norm, pooled, pool);
  CHECK(pooled.sample(0)(states - 1, 0) != 0);
}
