// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/routing_statistics.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "transformer/corpus.hpp"
#include "transformer/masked_models.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

struct routed {
  explicit routed(const moe::router& r, bool biased = false)
      : shape(two_way_model(r, biased)), model(shape), parameters(normals<float>(model.parameters(), 1, 0.3)) {}

  /// Counts of one pass in microbatches of @p rows rows, in as many lanes as the learner has or @p counted.
  template <class E = serial>
  std::vector<layer_routing> pass(index_t rows, index_t lanes_count, E&& pool = {}, index_t counted = -1) {
    gradient_lanes<float> lanes(model, rows, lanes_count);
    routing_statistics seen(shape, counted >= 0 ? counted : lanes_count);
    evaluate(
        model, parameters, batch{data.tokens, data.offsets},
        [&](microbatch<float>& part) {
          seen.add(part, part.rows_of<std::int32_t>(data.targets));
          return loss::loss_sum{};
        },
        lanes, pool);
    return seen.layers();
  }

  config shape;
  decoder<float> model;
  std::vector<float> parameters;
  corpus data{11};
};

}  // namespace

TEST_CASE("routing statistics: all slots of all tokens, whatever the cut and the workers") {
  for (const moe::router& r : {moe::expert_choice(2), moe::top_k_then_softmax(2)}) {
    routed m(r);
    thread_pool pool(3);
    const auto whole = m.pass(200, 1), cut = m.pass(12, 3, pool);
    REQUIRE(whole.size() == 2);  // layers 0 and 2: layer 1 is dense
    CHECK(whole[1].layer == 2);
    CHECK(executed_slots(whole) == executed_slots(cut));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      CHECK(whole[i].load.taken == cut[i].load.taken);
      CHECK(whole[i].chosen == cut[i].chosen);
      CHECK(whole[i].tokens().executed == whole[i].load.total());
      CHECK(whole[i].tokens().tokens == static_cast<index_t>(m.data.tokens.size()));
      CHECK(cut[i].masked.executed == whole[i].masked.executed);
      CHECK(cut[i].others.uncovered == whole[i].others.uncovered);
      CHECK(whole[i].masked.tokens ==
            std::count_if(m.data.targets.begin(), m.data.targets.end(), [](std::int32_t t) { return t >= 0; }));
    }
    if (r.chosen == moe::selection::row_top) CHECK(whole[0].load.total() == 2 * std::ssize(m.data.tokens));
  }
}

TEST_CASE("routing statistics: biases move towards even loads, and thresholds to their cutoffs") {
  routed m(moe::loss_free(2), true);
  const auto bias = [&](index_t layer) {
    return m.model.view(std::span<float>(m.parameters)).vector({role::selection_bias, layer});
  };
  for (index_t e = 0; e < 4; ++e) bias(0)[e] = bias(2)[e] = 0;
  const auto before = m.parameters;
  const auto seen = m.pass(200, 1);
  update_biases(m.model, std::span<float>(m.parameters), seen, 0.5);
  const double mean = static_cast<double>(seen[0].load.total()) / 4;
  for (index_t e = 0; e < 4; ++e) {
    const auto n = static_cast<double>(seen[0].chosen[static_cast<std::size_t>(e)]);
    CHECK(bias(0)[e] == (n < mean ? 0.5f : n > mean ? -0.5f : 0.0f));
  }
  std::size_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] != m.parameters[i];
  CHECK(changed <= 8);

  routed t(moe::expert_threshold(2), true);
  const auto threshold = [&](index_t e) {
    return -t.model.view(std::span<float>(t.parameters)).vector({role::selection_bias, 2})[e];
  };
  for (index_t e = 0; e < 4; ++e) t.model.view(std::span<float>(t.parameters)).vector({role::selection_bias, 2})[e] = 0;
  const auto first = t.pass(200, 1);
  follow_thresholds(t.model, std::span<float>(t.parameters), first, 0.25);
  for (index_t e = 0; e < 4; ++e)
    CHECK(threshold(e) == Approx(0.75 * first[1].cutoffs[static_cast<std::size_t>(e)]).epsilon(1e-6));
  for (int step = 0; step < 40; ++step) follow_thresholds(t.model, std::span<float>(t.parameters), t.pass(200, 1), 0);
  const auto last = t.pass(200, 1);  // of the last layer: what enters the first does not move
  CHECK(static_cast<double>(last[0].load.total()) ==
        Approx(2.0 * static_cast<double>(t.data.tokens.size())).epsilon(0.05));
}

TEST_CASE("routing statistics: rows of products as long as the longest are those of all lanes") {
  routed m(moe::top_k_then_softmax(2));
  gradient_lanes<float> lanes(m.model, 12, 3);
  routing_statistics seen(m.shape, 3);
  moe::expert_load by_hand;
  index_t parts = 0;
  evaluate(
      m.model, m.parameters, batch{m.data.tokens, m.data.offsets},
      [&](microbatch<float>& part) {
        seen.add(part, part.rows_of<std::int32_t>(m.data.targets));
        by_hand.add(part.activations.plan(2));
        ++parts;
        return loss::loss_sum{};
      },
      lanes, serial{});
  CHECK(parts > 3);
  CHECK(by_hand.padded_rows > by_hand.total());
  CHECK(seen.layers()[1].load.padded_rows == by_hand.padded_rows);
}

TEST_CASE("routing statistics: lanes are those of the learner") {
  const config c = two_way_model(moe::expert_choice(2));
  CHECK_THROWS_WITH(routing_statistics(c, 0), Catch::Contains("lanes: must be at least 1, is 0"));
  routed m(moe::expert_choice(2));
  CHECK_THROWS_WITH(m.pass(12, 3, serial{}, 2), Catch::Contains("is of lane 2, there are 2"));
}

TEST_CASE("routing statistics: biases are of a model that has them") {
  routed m(moe::top_k_then_softmax(2));
  CHECK_THROWS_WITH(update_biases(m.model, std::span<float>(m.parameters), {}), Catch::Contains("no bias"));
  CHECK_THROWS_WITH(follow_thresholds(m.model, std::span<float>(m.parameters), {}, 0.9), Catch::Contains("no bias"));
}

TEST_CASE("routing statistics: drops and cutoffs are summed over microbatches and lanes") {
  routed d(moe::softmax_then_top_k(2, {1, 1}));
  for (const layer_routing& l : d.pass(12, 3)) {  // a capacity is of a microbatch
    CHECK(l.load.dropped > 0);
    CHECK(std::accumulate(l.chosen.begin(), l.chosen.end(), index_t{0}) == l.load.total() + l.load.dropped);
    CHECK(l.tokens().executed == l.load.total());
  }
  routed t(moe::expert_threshold(2), true);
  gradient_lanes<float> lanes(t.model, 12, 3);
  routing_statistics seen(t.shape, 3);
  std::vector<double> sums(4), own(4);
  index_t parts = 0;
  evaluate(
      t.model, t.parameters, batch{t.data.tokens, t.data.offsets},
      [&](microbatch<float>& part) {
        seen.add(part, part.rows_of<std::int32_t>(t.data.targets));
        moe::column_thresholds(by_expert(part.activations.router_logits(2)), 2, own);
        for (std::size_t e = 0; e < 4; ++e) sums[e] += own[e];
        ++parts;
        return loss::loss_sum{};
      },
      lanes, serial{});
  const auto layers = seen.layers();
  CHECK((layers[1].cutoff_count == parts && parts > 3));
  const auto bias = t.model.view(std::span<float>(t.parameters)).vector({role::selection_bias, 2});
  for (index_t e = 0; e < 4; ++e) bias[e] = static_cast<float>(e);
  follow_thresholds(t.model, std::span<float>(t.parameters), layers, 0.25);
  for (index_t e = 0; e < 4; ++e) {
    const double sum = sums[static_cast<std::size_t>(e)];
    CHECK(layers[1].cutoffs[static_cast<std::size_t>(e)] == Approx(sum).epsilon(1e-9));
    CHECK(bias[e] == Approx(0.25 * static_cast<double>(e) - 0.75 * sum / static_cast<double>(parts)).epsilon(1e-5));
  }
}

TEST_CASE(
    "routing statistics: biases move by the rate, which has the published default, centred where it is asked for") {
  routed m(moe::loss_free(2), true);
  auto seen = m.pass(200, 1);
  for (layer_routing& l : seen) l.chosen = {9, 1, 1, 1};
  const auto moved = [&](auto&&... how) {
    std::vector<float> p = m.parameters;
    const auto bias = m.model.view(std::span<float>(p)).vector({role::selection_bias, 2});
    for (index_t e = 0; e < 4; ++e) bias[e] = static_cast<float>(2 * e);
    update_biases(m.model, std::span<float>(p), seen, how...);
    return std::vector<float>{bias[0], bias[1] - 2, bias[2] - 4, bias[3] - 6};
  };
  double largest = 0;
  for (const float x : moved()) largest = worst(largest, std::abs(static_cast<double>(x)));
  CHECK(largest == Approx(1e-3).epsilon(1e-3));
  const auto plain = moved(0.5), centred = moved(0.5, true);
  CHECK(std::accumulate(plain.begin(), plain.end(), 0.0f) == Approx(1));
  CHECK(std::accumulate(centred.begin(), centred.end(), 0.0f) == Approx(0).margin(1e-5));
}
