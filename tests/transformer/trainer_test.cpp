// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/trainer.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/rmu.hpp"
#include "support/catch.hpp"
#include "transformer/corpus.hpp"
#include "transformer/support.hpp"

#include <utility>

using namespace hone;
using namespace hone::transformer;

TEST_CASE("microbatches are runs of whole sequences that fit") {
  const std::vector<index_t> offsets = {0, 4, 8, 9, 9, 17, 20};
  CHECK(cut_microbatches(offsets, 8) == std::vector<index_t>{0, 2, 4, 5, 6});
  CHECK(cut_microbatches(offsets, 100) == std::vector<index_t>{0, 6});
  CHECK(cut_microbatches(std::vector<index_t>{0}, 8) == std::vector<index_t>{0});
  CHECK_THROWS_WITH(cut_microbatches(offsets, 7), Catch::Contains("sequence 4 has 8 tokens"));
}

TEST_CASE("loss and gradient are those of one batch, and the same bits for 1, 2, 3 and 7 workers") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.3);
  const corpus data(c.vocab);
  const batch all{data.tokens, data.offsets};
  const auto loss = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(data.targets));
  };
  const auto n = static_cast<std::size_t>(model.parameters());
  std::vector<float> expected(n, 1.0f), whole(n, 1.0f);
  gradient_lanes<float> lanes(model, 12, 3);
  const auto sum = accumulate_gradient(model, parameters, all, loss, lanes, expected);
  for (const index_t workers : {1, 2, 3, 7}) {
    thread_pool pool(workers);
    std::vector<float> again(n, 1.0f);
    const auto total = accumulate_gradient(model, parameters, all, loss, lanes, again, pool);
    CHECK(total.sum == sum.sum);
    CHECK(total.count == sum.count);
    CHECK(again == expected);
    CHECK(evaluate(model, parameters, all, loss, lanes, pool).sum == sum.sum);
  }
  workspace<float> w(c, all.rows());
  model.forward(parameters, all, w);
  const auto once = loss::likelihood(w.logits(), data.targets);
  model.backward(parameters, all, w, whole);
  CHECK(sum.sum == Approx(once.sum).epsilon(1e-6));
  CHECK(sum.count == once.count);
  for (std::size_t i = 0; i < n; ++i) REQUIRE(expected[i] == Approx(whole[i]).epsilon(1e-4).margin(1e-4));
}

TEST_CASE("lanes of several processes, summed in their tree, have the bits of one process") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 2, 0.3);
  const corpus data(c.vocab);
  const batch all{data.tokens, data.offsets};
  const auto loss = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(data.targets));
  };
  const auto share = [&](index_t part, index_t parts, std::vector<float>& gradient) {
    gradient_lanes<float> lanes(model, 10, 4, part, parts);
    CHECK(lanes.size() == 4 * (part + 1) / parts - 4 * part / parts);
    gradient.assign(parameters.size(), 0.0f);
    return accumulate_gradient(model, parameters, all, loss, lanes, gradient).sum;
  };
  std::vector<float> whole, sum, other;
  const double expected = share(0, 1, whole);
  const double halves = share(0, 2, sum) + share(1, 2, other);
  axpy(1.0f, other, sum);
  CHECK(sum == whole);
  CHECK(halves == expected);
  const double first = share(0, 3, sum) + share(1, 3, other);  // one lane, one, and two
  axpy(1.0f, other, sum);
  CHECK(first + share(2, 3, other) == expected);
  axpy(1.0f, other, sum);
  CHECK(sum == whole);
}

TEST_CASE("a loss on hidden states alone: RMU at a layer leaves what lies above it untouched") {
  const config c = small_models()[0];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 2, 0.3);
  const corpus data(c.vocab);
  std::vector<double> u(static_cast<std::size_t>(c.d_model)), gradient(parameters.size(), 0.0);
  loss::steering_direction(u, philox{1});
  gradient_lanes<double> lanes(model, 10, 2);
  const auto rmu = [&](microbatch<double>& part) {
    part.logits_have_gradient = false;
    return loss::rmu_forget(part.tap(1), part.rows_of<std::int32_t>(data.targets), u, 3);
  };
  accumulate_gradient(model, parameters, {data.tokens, data.offsets}, rmu, lanes, gradient);
  for (const tensor& t : tensor_table(c)) {
    const bool below = t.id.layer == 0 || t.kind == tensor_kind::embedding;
    CHECK((squared_norm(std::span(gradient).subspan(static_cast<std::size_t>(t.offset),
                                                    static_cast<std::size_t>(t.size()))) > 0) == below);
  }
  CHECK(gradient_error(parameters, gradient, [&](const std::vector<double>& p) {
          return evaluate(model, p, {data.tokens, data.offsets}, rmu, lanes).sum;
        }) < 1e-6);
}

TEST_CASE("a batch that is refused in its middle leaves nothing in the lanes") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.3);
  corpus data(c.vocab);
  const batch all{data.tokens, data.offsets};
  const auto loss = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(data.targets));
  };
  std::vector<float> expected(static_cast<std::size_t>(model.parameters())), gradient = expected;
  gradient_lanes<float> lanes(model, 12, 2);
  accumulate_gradient(model, parameters, all, loss, lanes, expected);
  const std::int32_t token = std::exchange(data.tokens.back(), 99);
  CHECK_THROWS_AS(accumulate_gradient(model, parameters, all, loss, lanes, gradient), std::invalid_argument);
  CHECK(gradient == std::vector<float>(gradient.size()));
  data.tokens.back() = token;
  accumulate_gradient(model, parameters, all, loss, lanes, gradient);
  CHECK(gradient == expected);
}

TEST_CASE("a model learns what it is shown") {
  const config c{.d_model = 16, .d_ff = 32, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 12, .max_seq = 8};
  const decoder<float> model(c);
  auto p = normals<float>(model.parameters(), 3, 0.1);
  std::vector<float> g(p.size()), m(p.size(), 0.0f), v(p.size(), 0.0f);
  const std::vector<std::int32_t> tokens = {1, 5, 2, 9, 10, 6, 3, 8}, targets = {5, 2, 9, 4, 6, 3, 8, 7};
  const std::vector<index_t> offsets = {0, 4, 8};
  gradient_lanes<float> lanes(model, 4, 2);
  double last = 0;
  const auto likelihood = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(targets), {.scale = 1.0 / 8});
  };
  for (index_t step = 1; step <= 150; ++step) {
    fill(g, 0.0f);
    last = accumulate_gradient(model, p, {tokens, offsets}, likelihood, lanes, g).mean();
    gradient::weighted_sum({1.0}, gradient::tasks(g), gradient::adamw(p, m, v, step, {.learning_rate = 1e-2}));
  }
  CHECK(last < 0.05);
}

TEST_CASE("lanes and gradients that do not fit are refused") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  CHECK_THROWS_WITH(gradient_lanes<float>(model, 8, 0), Catch::Contains("lanes"));
  CHECK_THROWS_WITH(gradient_lanes<float>(model, 8, 4, 0, 5), Catch::Contains("parts"));
  CHECK_THROWS_WITH(gradient_lanes<float>(model, 8, 4, 2, 2), Catch::Contains("part"));
  CHECK_THROWS_WITH(gradient_lanes<float>(model, 8, -1), Catch::Contains("lanes: must be positive, is -1"));
  CHECK_THROWS_WITH(gradient_lanes<float>(model, 8, 4, 0, 0), Catch::Contains("parts: must be in [1, 4], is 0"));
  CHECK_THROWS_WITH(gradient_lanes<float>(model, 8, 4, -1, 2), Catch::Contains("part: must be in [0, 2), is -1"));
  CHECK((gradient_lanes<float>(model, 8).size() == 4 && gradient_lanes<float>(model, 8, 4, 3, 4).size() == 1));
  CHECK(gradient_lanes<float>(model, 8).rows() == 8);
  gradient_lanes<float> lanes(model, 8, 1);
  std::vector<float> p(static_cast<std::size_t>(model.parameters())), g(3);
  const std::vector<std::int32_t> tokens(9, 1);
  const std::vector<index_t> offsets = {0, 9};
  const auto nothing = [](microbatch<float>&) { return loss::loss_sum{}; };
  CHECK_THROWS_WITH(accumulate_gradient(model, p, {tokens, offsets}, nothing, lanes, g), Catch::Contains("gradient"));
  const std::span<float> nowhere(static_cast<float*>(nullptr), p.size());
  CHECK_THROWS_WITH(accumulate_gradient(model, p, {tokens, offsets}, nothing, lanes, nowhere),
                    Catch::Contains("gradient: has"));
  g = p;
  CHECK_THROWS_WITH(accumulate_gradient(model, p, {tokens, offsets}, nothing, lanes, g), Catch::Contains("9 tokens"));
}
