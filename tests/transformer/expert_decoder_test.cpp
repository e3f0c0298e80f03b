// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decoder with layers of experts, and what goes on around it. Logits, gradients, adapters, sources and generation
// of such models are tested where those of dense ones are.
#include "hone/core/thread_pool.hpp"
#include "hone/moe/balance.hpp"
#include "hone/transformer/adapter_statistics.hpp"
#include "hone/transformer/critic.hpp"
#include "hone/transformer/generate.hpp"
#include "hone/transformer/learner.hpp"
#include "support/catch.hpp"
#include "transformer/corpus.hpp"
#include "transformer/support.hpp"

#include <map>

using namespace hone;
using namespace hone::transformer;

TEST_CASE("loss and gradient of a model with experts have the same bits for 1 to 7 workers, router taps included") {
  for (const std::size_t which : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
    const config c = expert_models()[which];
    const decoder<float> model(c);
    const auto parameters = normals<float>(model.parameters(), 1, 0.3);
    const corpus data(c.vocab);
    std::vector<index_t> loads(data.offsets.size());  // of expert 0 in the last layer, from each microbatch on
    const auto loss = [&](microbatch<float>& part) {
      const auto slope = part.router_tap(c.n_layers - 1);
      const auto logits = part.activations.router_logits(c.n_layers - 1);
      for (index_t t = 0; t < slope.rows(); ++t)
        for (index_t e = 0; e < slope.cols(); ++e) slope(t, e) = 0.1f * logits(t, e);
      loads[static_cast<std::size_t>(part.first_sequence)] = part.activations.plan(c.n_layers - 1).load(0);
      return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(data.targets));
    };
    const auto n = static_cast<std::size_t>(model.parameters());
    std::vector<float> expected(n, 1.0f);
    gradient_lanes<float> lanes(model, 12, 7);
    const auto sum = accumulate_gradient(model, parameters, data.all(), loss, lanes, expected);
    if (moe::sees_the_future(c.experts.router)) {  // the experts took what the batch says
      index_t taken = 0, allowed = 0;
      for (const index_t load : loads) taken += load;
      for (std::size_t s = 0; s < data.capacities.size(); ++s)
        allowed += (std::min)(data.capacities[s], data.offsets[s + 1] - data.offsets[s]);
      CHECK(taken == allowed);
    }
    for (const index_t workers : {2, 3, 5, 7}) {
      thread_pool pool(workers);
      std::vector<float> again(n, 1.0f);
      CHECK(accumulate_gradient(model, parameters, data.all(), loss, lanes, again, pool).sum == sum.sum);
      CHECK(again == expected);
    }
  }
}

TEST_CASE("docs: a model with experts learns, with a loss on its router's logits and capacities of the batch") {
  const corpus data(16);
  const std::vector<std::int32_t>&tokens = data.tokens, &targets = data.targets;
  const std::vector<index_t>&offsets = data.offsets, &capacities = data.capacities;
  config shape{.d_model = 16, .d_ff = 24, .n_layers = 2, .n_heads = 2, .n_kv_heads = 2, .vocab = 16, .max_seq = 16};
  shape.causal = false;
  shape.experts = {.count = 8, .d_ff = 12, .shared_d_ff = 12, .router = moe::expert_choice(2), .dense = {0}};
  learner<float> l(shape, initial_parameters<float>(shape, 1));
  const auto by_expert = [](auto m) {
    return decltype(m)(m.data(), m.cols(), m.rows(), m.col_stride(), m.row_stride());
  };
  const auto loss = [&](microbatch<float>& part) {
    const auto logits = part.activations.router_logits(1);  // (rows x experts); the plan is activations.plan(1)
    moe::z_loss(by_expert(logits), by_expert(part.router_tap(1)), {.scale = 1e-3 / 100});  // over the batch's tokens
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(targets), {.scale = 1e-2});
  };
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    const auto [sum, length] = l.learn({tokens, offsets, capacities}, loss, {.rate = 1e-2});
    (step == 0 ? first : last) = sum.mean();
  }
  CHECK(last < 0.8 * first);
}

TEST_CASE("a slice of a batch has its own capacities") {
  const corpus data(11);
  const batch_slice slice(data.all(), 3, 7);
  const batch own = slice.batch();
  REQUIRE(own.capacities.size() == 4);
  for (std::size_t s = 0; s < 4; ++s) CHECK(own.capacities[s] == data.capacities[s + 3]);
  CHECK(batch_slice(batch{data.tokens, data.offsets}, 3, 7).batch().capacities.empty());
}

TEST_CASE("an observer sees each product of each expert once, with the rows of its plan, and the router's") {
  for (const config& c : expert_models()) {
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 1, 0.4);
    const sequences s(c);
    workspace<double> w(c, 24);
    std::map<tensor_id, index_t> rows;
    model.forward(parameters, s.all(), w, [&](const tensor_id& id, const auto& x, const auto& y) {
      CHECK((x.cols() == model.layout()[model.tensor_index(id)].cols && y.rows() == x.rows()));
      CHECK(rows.emplace(id, x.rows()).second);
    });
    for (const tensor& t : model.table()) {
      if (t.kind != tensor_kind::linear) continue;
      CHECK(rows[t.id] == (t.id.expert < 0 ? 24 : w.plan(t.id.layer).load(t.id.expert)));
    }
  }
}

TEST_CASE("an expert without tokens gets gradient 0, also after a step that filled the same memory") {
  config c = expert_models()[0];
  c.experts.every = 1;
  c.experts.router = moe::softmax_then_top_k(1);
  const decoder<double> model(c);
  auto parameters = normals<double>(model.parameters(), 1, 0.4);
  const sequences s(c);
  workspace<double> w(c, 24);
  const auto gradient = [&](const std::vector<double>& p) {
    model.forward(p, s.all(), w);
    loss::likelihood(w.logits(), s.targets);
    std::vector<double> g(p.size(), 0.0);
    model.backward(p, s.all(), w, g);
    return g;
  };
  gradient(parameters);
  // Equal logits: all choose the first expert.
  for (const tensor& t : model.table())
    if (t.id.role == role::router) std::fill_n(parameters.begin() + t.offset, t.size(), 0.0);
  const auto g = gradient(parameters);
  CHECK(w.plan(0).load(0) == 24);
  for (const tensor& t : model.table()) {
    const auto own = std::span(g).subspan(static_cast<std::size_t>(t.offset), static_cast<std::size_t>(t.size()));
    if (t.id.expert > 0) CHECK(std::all_of(own.begin(), own.end(), [](double x) { return x == 0; }));
    if (t.id.expert == 0) CHECK(squared_norm(own) > 0);
  }
}

TEST_CASE("a batch without rows passes a model with experts") {
  for (const config& c : expert_models()) {
    const decoder<float> model(c);
    const auto parameters = normals<float>(model.parameters(), 1, 0.4);
    const std::vector<index_t> offsets = {0, 0};
    workspace<float> w(c, 3);
    model.forward(parameters, {{}, offsets}, w);
    std::vector<float> g(parameters.size(), 0.0f);
    model.backward(parameters, {{}, offsets}, w, g);
    CHECK(g == std::vector<float>(g.size(), 0.0f));
  }
}

TEST_CASE("a plan with more slots than the workspace began with makes it grow, and stays right") {
  config c = expert_models()[2];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 3, 0.3);
  const std::vector<std::int32_t> tokens = {1, 2, 3, 4};
  const std::vector<index_t> offsets = {0, 1, 2, 4}, capacities = {9, 9, 9};  // every expert takes every token
  workspace<double> w(c, 4);
  const batch b{tokens, offsets, capacities};
  model.forward(parameters, b, w);
  CHECK(w.plan(0).size() == 4 * c.experts.count);
  for (index_t s = 0; s < 3; ++s) {
    const batch_slice own(b, s, s + 1);
    workspace<double> alone(c, 4);
    model.forward(parameters, own.batch(), alone);
    for (index_t t = 0; t < own.rows(); ++t)
      for (index_t v = 0; v < c.vocab; ++v)
        REQUIRE(alone.logits()(t, v) == Approx(w.logits()(own.first_row() + t, v)).margin(1e-12));
  }
}

TEST_CASE("what does not fit a model with experts is refused") {
  using Catch::Contains;
  const config c = expert_models()[0];  // layer 1 has experts
  const decoder<double> model(c);
  auto parameters = normals<double>(model.parameters(), 1, 0.4);
  const sequences s(c);
  workspace<double> w(c, 24);
  CHECK_THROWS_WITH(w.router_logits(0), Contains("layer: 0 has no experts"));
  CHECK_THROWS_WITH(w.plan(2), Contains("layer: 2 has no experts"));
  model.forward(parameters, s.all(), w);
  CHECK((w.router_logits(1).rows() == 24 && w.router_logits(1).cols() == 5));
  const auto narrow = normals<double>(24 * 4, 2), right = normals<double>(24 * 5, 2);
  const auto backward = [&](const tap_gradient<double>& tap) {
    model.backward(parameters, s.all(), w, w.logits(), std::span(&tap, 1), parameters);
  };
  CHECK_THROWS_WITH(backward({1, as_rows(narrow, 24), tapped::router_logits}), Contains("taps: layer 1: is 24 x 4"));
  CHECK_THROWS_WITH(backward({0, as_rows(right, 24), tapped::router_logits}), Contains("taps: router logits 0"));
  CHECK_THROWS_WITH(backward({2, as_rows(right, 24), tapped::router_logits}), Contains("taps: router logits 2"));
  batch b = s.all();
  const std::vector<index_t> few = {1, 2}, negative = {1, 2, -1, 3};
  b.capacities = few;
  CHECK_THROWS_WITH(model.forward(parameters, b, w), Contains("2 capacities for 4 sequences"));
  b.capacities = negative;
  CHECK_THROWS_WITH(model.forward(parameters, b, w), Contains("must not be negative, is -1"));
}

TEST_CASE("sites of a role are a matrix an expert; the router has one too") {
  const config c = expert_models()[0];
  const auto sites = adapter_sites(c, {role::w1, role::router}, 2, 1.0);
  REQUIRE(sites.size() == 1 + 5 + 1);
  CHECK((sites[0].name == "w1.0" && sites[1].name == "w1.1.0" && sites[5].name == "w1.1.4"));
  CHECK((sites[5].outputs == 7 && sites[5].inputs == 12));
  CHECK((sites[6].name == "router.1" && sites[6].outputs == 5));
  const decoder<double> model(c);
  CHECK_THROWS_WITH(adapted_decoder<double>(model, normals<double>(model.parameters(), 1), {{"w1.1.5", 7, 12, 2, 1.0}}),
                    Catch::Contains("w1.1.5: is no matrix"));
  CHECK_THROWS_WITH(adapted_decoder<double>(model, normals<double>(model.parameters(), 1), {{"w1.1", 7, 12, 2, 1.0}}),
                    Catch::Contains("w1.1: is no matrix"));
}

TEST_CASE("statistics of an expert's site: its tokens' inputs, a sum a sequence, zero where it had none") {
  const config c = expert_models()[0];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 1, 0.4);
  const sequences s(c);
  const auto sites = adapter_sites(c, {role::w3, role::w2}, 2, 1.0);
  const auto seen = observe_sites(model, parameters, sites, s.all());
  index_t rows = 0, empty = 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto x = seen.inputs[i].view(), y = seen.outputs[i].view();
    REQUIRE((x.cols() == sites[i].inputs && y.cols() == sites[i].outputs && y.rows() == 4));
    const auto w = site_weight(model, std::span(parameters), sites[i]);
    if (sites[i].name.starts_with("w3.1.")) rows += x.rows();
    for (index_t j = 0; j < y.cols(); ++j) {
      double all = 0, pooled = 0;
      for (index_t t = 0; t < x.rows(); ++t) all += dot(x.row(t), w.row(j));
      for (index_t b = 0; b < 4; ++b) pooled += y(b, j);
      CHECK(pooled == Approx(all).margin(1e-12));
    }
    CHECK(squared_norm(y.row(2)) == 0);  // a sequence of no tokens
    empty += squared_norm(y.row(1)) == 0;
  }
  CHECK(rows == 24 * 2);
  CHECK(empty == 2 * 3);  // the sequence of one token has two of five experts
}

TEST_CASE("what a sequence says with experts does not depend on its neighbours; experts that choose are refused") {
  for (const std::size_t which : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    const config c = expert_models()[which];
    const decoder<float> model(c);
    const auto parameters = normals<float>(model.parameters(), 2, 0.5);
    const generator<float> generate(model, parameters);
    std::vector<std::int32_t> tokens;
    std::vector<index_t> offsets = {0};
    for (index_t s = 0; s < 9; ++s) {
      for (index_t t = 0; t <= s % 4; ++t) tokens.push_back(static_cast<std::int32_t>((s + t) % c.vocab));
      offsets.push_back(static_cast<index_t>(tokens.size()));
    }
    const generation_options options{.max_tokens = 15, .sampling = {.temperature = 1, .seed = 3}};
    thread_pool pool(3);
    const auto together = generate({tokens, offsets}, options, pool);
    for (std::size_t s = 0; s < 9; ++s) {
      const batch_slice own({tokens, offsets}, static_cast<index_t>(s), static_cast<index_t>(s) + 1);
      auto alone = options;
      alone.first_sequence = static_cast<std::uint32_t>(s);
      const auto result = generate(own.batch(), alone);
      REQUIRE(result[0].tokens == together[s].tokens);
      REQUIRE(result[0].log_probabilities == together[s].log_probabilities);
    }
  }
  config c = expert_models()[0];
  c.experts.router = moe::expert_choice(2);
  c.experts.sees_the_future = true;
  const decoder<float> model(c);
  const generator<float> generate(model, normals<float>(model.parameters(), 1));
  const std::vector<std::int32_t> tokens = {1};
  const std::vector<index_t> offsets = {0, 1};
  CHECK_THROWS_WITH(generate({tokens, offsets}), Catch::Contains("experts that choose among tokens to come"));
}

TEST_CASE("weight decay leaves the bias of a router's selection alone") {
  const config c = expert_models()[1];
  auto parameters = normals<double>(parameter_count(c), 1, 0.4);
  learner<double> l(c, parameters);
  const sequences s(c);
  for (int i = 0; i < 3; ++i)
    l.learn(s.all(),
            [&](microbatch<double>& part) {
              return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(s.targets));
            },
            {.rate = 1e-2, .weight_decay = 0.5});
  index_t biases = 0;
  for (const tensor& t : l.model().table())
    for (index_t i = t.offset; i < t.offset + t.size(); ++i) {
      const bool same = l.parameters()[static_cast<std::size_t>(i)] == parameters[static_cast<std::size_t>(i)];
      CHECK(same == (t.id.role == role::selection_bias));
      biases += t.id.role == role::selection_bias;
    }
  CHECK(biases == 4);
}

TEST_CASE("a learner trains an adapter on router and experts, and its merged model says the same") {
  const config c = expert_models()[1];
  const auto parameters = normals<double>(parameter_count(c), 1, 0.4);
  learner<double> l(c, parameters);
  auto sites = adapter_sites(c, {role::w1, role::w2, role::router, role::wq}, 2, 1.0);
  const auto size = lora::lay_out(sites);
  l.adapt(parameters, sites, normals<double>(size, 5, 0.2));
  const sequences s(c);
  const auto loss = [&](microbatch<double>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(s.targets));
  };
  const double before = l.learn(s.all(), loss, {.rate = 1e-2}).loss.sum;
  for (int i = 0; i < 20; ++i) l.learn(s.all(), loss, {.rate = 1e-2});
  const double after = l.evaluate(s.all(), loss).sum;
  CHECK(after < before);
  CHECK(l.evaluate(std::span<const double>(l.merged()), s.all(), loss).sum == Approx(after).epsilon(1e-9));
}

TEST_CASE("a critic of a policy with experts has narrower ones, in the layers that it has") {
  config c = expert_models()[1];
  c.n_layers = 4;
  c.experts.dense = {0, 3};
  const config critic = critic_shape(c, 0.5);
  validate(critic);
  CHECK((critic.n_layers == 2 && critic.experts.d_ff == 9 && critic.experts.shared_d_ff == 3));
  CHECK(critic.experts.dense == std::vector<index_t>{0});
  CHECK((critic.sparse(1) && !critic.sparse(0)));
}
