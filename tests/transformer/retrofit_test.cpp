// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/retrofit.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

#include <limits>
#include <vector>

using namespace hone;
using namespace hone::transformer;

namespace {

config token_choice(const moe::router& router) {
  config c{.d_model = 12, .d_ff = 8, .n_layers = 3, .n_heads = 2, .n_kv_heads = 2, .vocab = 13, .max_seq = 60};
  c.causal = false;
  c.experts = {.count = 4, .d_ff = 6, .router = router, .dense = {0}};
  return c;
}

double divergence(const std::vector<double>& before, const std::vector<double>& after, index_t rows,
                  const std::vector<std::int32_t>& targets) {
  const auto log_softmax = [&](const std::vector<double>& z, index_t t, index_t v) {
    double sum = 0;
    for (index_t i = 0; i < as_rows(z, rows).cols(); ++i) sum += std::exp(as_rows(z, rows)(t, i));
    return as_rows(z, rows)(t, v) - std::log(sum);
  };
  double sum = 0;
  for (index_t t = 0; t < rows; ++t)
    for (index_t v = 0; targets[static_cast<std::size_t>(t)] >= 0 && v < as_rows(before, rows).cols(); ++v)
      sum += std::exp(log_softmax(before, t, v)) * (log_softmax(before, t, v) - log_softmax(after, t, v));
  return sum;
}

}  // namespace

TEST_CASE("a retrofit keeps all parameters and changes who chooses; the change is measured") {
  for (const moe::router& router : {moe::top_k_then_softmax(1), moe::softmax_then_top_k(1)}) {
    const config from = token_choice(router), to = experts_choose(from), careless = experts_choose(from, false);
    CHECK(to.experts.router == moe::experts_choose(router));
    CHECK(!careless.experts.router.best_if_none);
    const decoder<double> before(from), after(to), uncovered(careless);
    CHECK(before.parameters() == after.parameters());
    const auto parameters = normals<double>(before.parameters(), 1, 0.5);
    const sequences s(from);
    workspace<double> w(from, 24), v(to, 24), u(careless, 24);
    const retrofit_change change = measure_retrofit(before, parameters, w, after, parameters, v, s.all(), s.targets);
    CHECK(change.uncovered == std::vector<index_t>(3, 0));
    before.forward(parameters, s.all(), w);
    after.forward(parameters, s.all(), v);
    const std::vector<double> old(w.logits().data(), w.logits().data() + 24 * 13),
        now(v.logits().data(), v.logits().data() + 24 * 13);
    CHECK(change.divergence.sum == Approx(divergence(old, now, 24, s.targets)).epsilon(1e-9));
    CHECK(change.divergence.sum > 0.01);
    index_t expected = 0;
    for (const index_t layer : {1, 2}) expected += v.plan(layer).size();
    CHECK(change.slot_count == expected);
    const retrofit_change worse = measure_retrofit(before, parameters, w, uncovered, parameters, u, s.all(), s.targets);
    CHECK((worse.uncovered[0] == 0 && worse.uncovered[1] > 0));
    CHECK(change.slot_count - worse.slot_count == worse.uncovered[1] + v.plan(2).size() - u.plan(2).size());
    // What experts take of each sequence, rounded to the nearest, is what a token had.
    const auto capacities = nearest_capacities(to, s.offsets);
    CHECK(capacities == std::vector<index_t>{4, 1, 0, 2});  // 14, 1, 0 and 9 tokens, of 4 experts with one a token
    config blocks = to;
    blocks.block = 8;  // of each whole block, or of a sequence that is shorter
    CHECK(nearest_capacities(blocks, s.offsets) == std::vector<index_t>{2, 1, 0, 2});
    measure_retrofit(before, parameters, w, uncovered, parameters, u, {s.tokens, s.offsets, capacities});
    CHECK(u.plan(1).load(0) == 7);
  }
}

TEST_CASE("where nothing changes hands nothing is lost") {
  config from = token_choice(moe::top_k_then_softmax(4));  // of 4: all of them
  const config to = experts_choose(from);
  const decoder<double> before(from), after(to);
  const auto parameters = normals<double>(before.parameters(), 1, 0.5);
  const sequences s(from);
  workspace<double> w(from, 24), v(to, 24);
  CHECK(measure_retrofit(before, parameters, w, after, parameters, v, s.all()).divergence.sum ==
        Approx(0).margin(1e-12));
}

TEST_CASE("biases lead to where experts have equal shares, and begin with nothing") {
  const config from = token_choice(moe::top_k_then_softmax(1)), to = with_selection_bias(from);
  const decoder<double> plain(from), biased(to);
  const auto parameters = normals<double>(plain.parameters(), 1, 0.5);
  auto own = with_selection_bias<double>(from, parameters);
  CHECK(static_cast<index_t>(own.size()) == biased.parameters());
  CHECK(biased.parameters() - plain.parameters() == 2 * 4);
  const sequences s(from);
  workspace<double> w(from, 24), v(to, 24);
  plain.forward(parameters, s.all(), w);
  const auto spread = [&] {
    biased.forward(own, s.all(), v);
    index_t most = 0;
    for (index_t e = 0; e < 4; ++e) most = (std::max)(most, v.plan(1).load(e));
    return most;
  };
  const index_t at_first = spread();
  for (index_t t = 0; t < 24; ++t)
    for (index_t i = 0; i < 13; ++i) REQUIRE(v.logits()(t, i) == w.logits()(t, i));
  set_homotopy_bias<double>(biased, own, s.all(), v, 0);
  for (index_t e = 0; e < 4; ++e)
    CHECK(biased.view(std::span<const double>(own)).vector({role::selection_bias, 1})[e] == 0);
  set_homotopy_bias<double>(biased, own, s.all(), v, 1);
  std::vector<double> mu(4), logits;
  for (index_t e = 0; e < 4; ++e)
    for (index_t t = 0; t < 24; ++t) logits.push_back(v.router_logits(1)(t, e));
  moe::column_thresholds(as_rows(logits, 4), 1, mu);
  for (index_t e = 0; e < 4; ++e)
    CHECK(biased.view(std::span<const double>(own)).vector({role::selection_bias, 1})[e] ==
          -mu[static_cast<std::size_t>(e)]);
  CHECK(spread() < at_first);
  // A model that has biases keeps them.
  CHECK(with_selection_bias<double>(to, own) == own);
  // Without them, it is what it was; one that has some keeps them.
  CHECK(without_selection_bias<double>(from, own) == parameters);
  CHECK(without_selection_bias<double>(to, own) == own);
  CHECK_THROWS_WITH(without_selection_bias<double>(from, parameters), Catch::Contains("parameters: has"));
}

TEST_CASE("what cannot be retrofitted is refused in one line") {
  config dense = token_choice(moe::top_k_then_softmax(2));
  dense.experts = {};
  CHECK_THROWS_WITH(experts_choose(dense), Catch::Contains("c: is dense: it has no experts"));
  CHECK_THROWS_WITH(with_selection_bias(dense), Catch::Contains("c: is dense"));
  config causal = token_choice(moe::top_k_then_softmax(2));
  causal.causal = true;
  CHECK_THROWS_WITH(experts_choose(causal), Catch::Contains("c: is causal"));
  const config done = experts_choose(token_choice(moe::top_k_then_softmax(2)));
  CHECK_THROWS_WITH(experts_choose(done), Catch::Contains("is a router by which tokens choose"));
  const decoder<double> model(done);
  std::vector<double> parameters(static_cast<std::size_t>(model.parameters()));
  const sequences s(done);
  workspace<double> w(done, 24);
  CHECK_THROWS_WITH(set_homotopy_bias<double>(model, parameters, s.all(), w, 1),
                    Catch::Contains("model: has no biases"));
  const config with = with_selection_bias(done);
  const decoder<double> biased(with);
  std::vector<double> more(static_cast<std::size_t>(biased.parameters()));
  workspace<double> v(with, 24);
  for (const double alpha : {-0.5, 1.5, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH(set_homotopy_bias<double>(biased, more, s.all(), v, alpha), Catch::Contains("alpha: must be in"));
  CHECK_THROWS_WITH(with_selection_bias<double>(done, more), Catch::Contains("parameters: has"));
}

TEST_CASE("docs: tokens choose, then experts do") {
  const config shape = token_choice(moe::softmax_then_top_k(2));
  const decoder<float> model(shape);
  const auto parameters = normals<float>(model.parameters(), 1, 0.5);
  const sequences s(shape);
  const std::span<const std::int32_t> tokens = s.tokens;
  const std::span<const index_t> offsets = s.offsets;
  const config chosen = experts_choose(shape);  // the same parameters, another router
  const decoder<float> swapped(chosen);
  const auto capacities = nearest_capacities(chosen, offsets);
  workspace<float> before(shape, 24), after(chosen, 24);
  const retrofit_change change =
      measure_retrofit(model, parameters, before, swapped, parameters, after, {tokens, offsets, capacities});
  // change.divergence.mean(): nats a row; change.uncovered: tokens of each layer without an expert
  CHECK((change.divergence.count == 24 && change.divergence.mean() > 0));
}
