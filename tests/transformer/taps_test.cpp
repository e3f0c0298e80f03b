// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/taps.hpp"

#include "hone/transformer/generate.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

#include <array>
#include <vector>

using namespace hone;
using namespace hone::transformer;

namespace {

/// Copies of what a tap was handed, a vector a layer, rows one after the other.
template <class T>
struct recorded {
  std::vector<std::vector<T>> layers;
  std::vector<index_t> order;

  void operator()(index_t layer, const matrix_view<const T>& rows) {
    order.push_back(layer);
    if (std::ssize(layers) <= layer) layers.resize(static_cast<std::size_t>(layer) + 1);
    auto& to = layers[static_cast<std::size_t>(layer)];
    for (index_t t = 0; t < rows.rows(); ++t)
      for (index_t i = 0; i < rows.cols(); ++i) to.push_back(rows(t, i));
  }
};

template <class T>
std::vector<T> copied(const matrix_view<T>& rows) {
  return {rows.data(), rows.data() + rows.rows() * rows.cols()};
}

/// A router of all states of @p c with weights that are drawn.
struct router_of {
  explicit router_of(const config& c, routing::last_state last = routing::last_state::after_norm)
      : v(normals<float>((c.n_layers + 1) * c.d_model, 9, 0.3)), sums(static_cast<std::size_t>(c.n_layers + 1)) {
    const auto states = static_cast<std::int32_t>(c.n_layers + 1);
    router = {v.data(), states, static_cast<std::int32_t>(c.d_model), 0.1, 0.5, 1, 0, states};
    router.last = last;
  }
  std::vector<float> v;
  std::vector<routing::layer_sum> sums;
  routing::folded_router router;
};

}  // namespace

TEMPLATE_TEST_CASE("a tap of the decoder is handed each hidden state, and changes nothing", "", float, double) {
  using T = TestType;
  for (const config& c : all_models()) {
    const decoder<T> model(c);
    const auto parameters = normals<T>(model.parameters(), 1, 0.4);
    const sequences s(c);
    workspace<T> plain(c, 24), tapped_pass(c, 24);
    model.forward(parameters, s.all(), plain);
    recorded<T> tap;
    model.forward(parameters, s.all(), tapped_pass, no_observer{}, tap);
    CHECK(copied(plain.logits()) == copied(tapped_pass.logits()));
    REQUIRE(std::ssize(tap.order) == c.n_layers + 2);
    for (index_t layer = 0; layer <= c.n_layers + 1; ++layer) {
      CHECK(tap.order[static_cast<std::size_t>(layer)] == layer);
      const auto expected = layer <= c.n_layers ? copied(plain.hidden(layer)) : copied(plain.features());
      CHECK(tap.layers[static_cast<std::size_t>(layer)] == expected);
    }
    // The frozen model under an adapter of no sites.
    const adapted_decoder<T> frozen(model, parameters, {});
    recorded<T> of_frozen;
    frozen.forward({}, s.all(), tapped_pass, no_observer{}, of_frozen);
    CHECK(of_frozen.layers == tap.layers);
  }
}

TEMPLATE_TEST_CASE("a tap of the generator has the decoder's states, the same bits however the tokens are fed", "",
                   float, double) {
  using T = TestType;
  for (const config& c : all_models()) {
    if (!c.causal) continue;
    const decoder<T> model(c);
    const auto parameters = normals<T>(model.parameters(), 1, 0.4);
    const generator<T> generate(model, parameters);
    std::vector<std::int32_t> tokens;
    for (index_t i = 0; i < 29; ++i) tokens.push_back(static_cast<std::int32_t>((i * 7 + 3) % c.vocab));
    const std::vector<index_t> offsets = {0, 29};
    workspace<T> w(c, 29);
    recorded<T> of_decoder;
    model.forward(parameters, {tokens, offsets}, w, no_observer{}, of_decoder);

    std::vector<T> untapped(static_cast<std::size_t>(29 * c.vocab)), logits(untapped.size());
    kv_cache<T> first(c, 29), whole(c, 29), parts(c, 29);
    generate.feed(tokens, first, as_rows(untapped, 29));
    recorded<T> at_once, in_parts;
    generate.feed(tokens, whole, as_rows(logits, 29), at_once);
    CHECK(logits == untapped);
    for (std::size_t done = 0; done < 29;) {
      const std::size_t count = (std::min)(done % 5 + 1, 29 - done);
      generate.feed(std::span(tokens).subspan(done, count), parts, {logits.data(), 0, c.vocab}, in_parts);
      done += count;
    }
    CHECK(at_once.layers == in_parts.layers);
    REQUIRE(at_once.layers.size() == of_decoder.layers.size());
    const double tolerance = std::is_same_v<T, double> ? 1e-11 : 5e-4;
    for (std::size_t layer = 0; layer < at_once.layers.size(); ++layer)
      for (std::size_t i = 0; i < at_once.layers[layer].size(); ++i)
        REQUIRE(static_cast<double>(at_once.layers[layer][i]) ==
                Approx(static_cast<double>(of_decoder.layers[layer][i])).margin(tolerance));
  }
}

TEST_CASE("a sink behind a tap has the probability of the states, of each sequence of a batch") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.4);
  const sequences s(c);
  workspace<float> w(c, 24);
  for (const std::size_t first : {0u, 1u}) {  // routers of both conventions in one batch
    constexpr routing::last_state conventions[] = {routing::last_state::after_norm, routing::last_state::before_norm};
    std::vector<router_of> routers;
    for (std::size_t q = 0; q < 4; ++q) routers.emplace_back(c, conventions[(first + q) % 2]);
    std::vector<routing::state_sink> sinks;
    for (router_of& r : routers) {
      r.router.v = r.v.data();
      sinks.emplace_back(r.router, r.sums.data());
    }
    model.forward(parameters, s.all(), w, no_observer{}, state_tap(c, sinks, s.all()));
    for (std::size_t q = 0; q < 4; ++q) {
      const index_t begin = s.offsets[q], end = s.offsets[q + 1];
      if (begin == end) {
        CHECK(sinks[q].why() == routing::fault::no_tokens);
        CHECK(sinks[q].decide() == routing::decision::large_by_fault);
        continue;
      }
      double expected = 0.1;
      const routing::last_state last = routers[q].router.last;
      for (index_t l = 0; l <= c.n_layers; ++l) {
        const bool features = l == c.n_layers && last == routing::last_state::after_norm;
        const auto rows = features ? w.features() : w.hidden(l);
        for (index_t t = begin; t < end; ++t)
          for (index_t i = 0; i < c.d_model; ++i)
            expected += static_cast<double>(rows(t, i)) *
                        static_cast<double>(routers[q].v[static_cast<std::size_t>(l * c.d_model + i)]) /
                        static_cast<double>(end - begin);
      }
      CHECK(sinks[q].logit() == Approx(expected).margin(1e-10));
      // The generator's rows are multiplied in another order.
      router_of alone(c, last);
      routing::state_sink sink(alone.router, alone.sums.data());
      kv_cache<float> cache(c, end - begin);
      const generator<float> generate(model, parameters);
      generate.feed(std::span(s.tokens).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
                    cache, {nullptr, 0, c.vocab}, state_tap(c, sink));
      CHECK(sink.logit() == Approx(expected).margin(1e-4));
    }
  }
}

TEST_CASE("a model that is not the router's is a fault of the sink") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.4);
  const sequences s(c);
  workspace<float> w(c, 24);
  const auto faults = [&](const config& other) {
    router_of r(other);
    routing::state_sink sink(r.router, r.sums.data());
    model.forward(parameters, s.all(), w, no_observer{}, state_tap(c, sink));
    CHECK(sink.decide() == routing::decision::large_by_fault);
    return sink.why();
  };
  config other = c;
  other.n_layers = c.n_layers + 1;
  CHECK(faults(other) == routing::fault::no_such_state);
  other.n_layers = c.n_layers - 1;
  CHECK(faults(other) == routing::fault::no_such_state);
  other = c;
  other.d_model = c.d_model + 2;
  CHECK(faults(other) == routing::fault::bad_rows);

  router_of r(c);
  routing::folded_router first_of_more = r.router;  // reads states that this model has, of a deeper one
  first_of_more.states += 27;
  routing::state_sink deeper(first_of_more, r.sums.data());
  model.forward(parameters, s.all(), w, no_observer{}, state_tap(c, deeper));
  CHECK(deeper.why() == routing::fault::no_such_state);
  std::vector<routing::state_sink> one(1, routing::state_sink(r.router, r.sums.data()));
  CHECK_THROWS_AS(state_tap(c, one, s.all()), std::invalid_argument);
}

TEST_CASE("docs: taps") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.4);
  const std::vector<std::int32_t> prompt = {1, 2, 3};
  router_of own(c);
  const routing::folded_router router = own.router;
  std::vector<routing::layer_sum> sums(static_cast<std::size_t>(router.layers));
  std::vector<float> logits(static_cast<std::size_t>(c.vocab));
  const generator<float> generate(model, parameters);
  kv_cache<float> cache(c, c.max_seq);
  routing::state_sink sink(router, sums.data());
  generate.feed(prompt, cache, {logits.data(), 1, c.vocab}, state_tap(c, sink));
  const bool answer_here = sink.decide() == routing::decision::small_model;

  workspace<float> w(c, 3);
  const std::vector<index_t> offsets = {0, 3};
  std::vector<double> lengths;
  model.forward(parameters, {prompt, offsets}, w, no_observer{},
                [&](index_t, const matrix_view<const float>& rows) { lengths.push_back(squared_norm(rows.row(0))); });
  CHECK(std::ssize(lengths) == c.n_layers + 2);
  CHECK(answer_here == (sink.probability() >= 0.5));
}
