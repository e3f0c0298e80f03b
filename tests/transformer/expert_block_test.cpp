// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/expert_block.hpp"

#include "hone/transformer/mlp_block.hpp"
#include "support/catch.hpp"
#include "transformer/block_support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

/// A block's share of a workspace.
struct memory_of {
  memory_of(const config& c, index_t rows) : take(rows) {
    kept = expert_block<double>::share_activations(c, take);
    passing = expert_block<double>::share_scratch(c, take);
    fill(vector_view<double>(passing.dlogits, rows * c.experts.count), 0.0);
  }
  arrays<double> take;
  expert_block<double>::activations kept;
  expert_block<double>::scratch passing;
};

expert_block<double> block_of(const one_layer& m) { return {m.c, 0}; }

config shape_of(const moe::router& router, index_t count = 4, index_t shared = 0) {
  config c{.d_model = 12,
           .d_ff = 7,
           .n_heads = 2,
           .n_kv_heads = 2,
           .vocab = 11,
           .max_seq = 60,
           .causal = !moe::sees_the_future(router)};
  c.experts = {.count = count, .d_ff = 7, .shared_d_ff = shared, .router = router};
  return c;
}

/// What leaves the block for the batch that enters @p m.
std::vector<double> output(one_layer& m, memory_of& s, const batch& b) {
  std::vector<double> y(m.x.size());
  block_of(m).forward(m.products(m.parameters), b, as_rows(std::as_const(m.x), 24), s.kept, s.passing, as_rows(y, 24));
  return y;
}
std::vector<double> output(one_layer& m) {
  memory_of s(m.c, 24);
  return output(m, s, m.tokens.all());
}

/// Routers of every kind, with capacities that drop, a batch as one pool, and a second expert at random.
std::vector<config> shapes() {
  using namespace moe;
  config biased = shape_of(loss_free(2), 5);
  biased.experts.selection_bias = true;
  return {shape_of(top_k_then_softmax(2)),
          shape_of(softmax_then_top_k(3), 4, 5),
          shape_of(expert_choice(2), 4, 6),
          shape_of(expert_choice_sigmoid(1)),
          shape_of(zhou_expert_choice(2, pool::batch), 3),
          shape_of(top_k_then_softmax(2, {1, 1}, drop_policy::position), 4, 3),
          shape_of(softmax_then_top_k(2, {3, 4}), 3),
          shape_of(switch_transformer({1, 1})),
          shape_of(gshard()),
          shape_of(sinkhorn_balanced(2)),
          shape_of(remoe()),
          shape_of(expert_threshold(2)),
          shape_of(expert_race(1)),
          shape_of(top_k_then_softmax(1), 1),
          biased};
}

}  // namespace

TEST_CASE("the expert block adds what the naive decoder adds") {
  for (const config& shape : expert_models()) {
    config first = shape;
    first.experts.every = 1;
    first.experts.dense = {};
    one_layer m(first, {role::wo, role::bo});
    require_naive(m, output(m));
  }
}

TEST_CASE("the expert block passes the gradient check, for its input and its parameters, by whatever router") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::wo, role::bo});
    m.x = normals<double>(24 * m.c.d_model, 7);  // equal rows would be ties
    check_gradients<memory_of>(
        m,
        [&](const auto& products, auto x, memory_of& s, auto y) {
          block_of(m).forward(products, m.tokens.all(), x, s.kept, s.passing, y);
        },
        [&](const auto& products, auto x, memory_of& s, auto dx) {
          fill(vector_view<double>(s.passing.dlogits, 24 * m.c.experts.count), 0.0);
          block_of(m).backward(products, m.tokens.all(), x, s.kept, s.passing, dx);
        });
  }
}

TEST_CASE("experts of a model with blocks choose in each block, and capacities are those of a block of the sequence") {
  config shape = shape_of(moe::expert_choice(2));
  shape.block = 6;
  one_layer m(shape, {});
  m.x = normals<double>(24 * m.c.d_model, 7);
  memory_of s(m.c, 24);
  const std::vector<index_t> capacities = {2, 3, 1, 4};
  const auto all = m.tokens.all();  // of 14, 1, 0 and 9 tokens: blocks of 6, 6, 2; 1; none; 6, 3
  const index_t expected[] = {2, 2, 2, 1, 4, 3}, ends[] = {6, 12, 14, 15, 21, 24};
  const auto y = output(m, s, {all.tokens, all.offsets, capacities});
  for (index_t e = 0; e < 4; ++e) {
    index_t slot = s.kept.plan.offsets[static_cast<std::size_t>(e)];
    for (std::size_t b = 0; b < 6; ++b) {
      index_t taken = 0;
      for (; slot < s.kept.plan.offsets[static_cast<std::size_t>(e) + 1] &&
             s.kept.plan.token[static_cast<std::size_t>(slot)] < ends[b];
           ++slot)
        ++taken;
      CHECK(taken == expected[b]);
    }
  }
  // A change in a block changes nothing before it.
  for (index_t i = 0; i < m.c.d_model; ++i) as_rows(m.x, 24)(13, i) += 1;
  const auto other = output(m, s, {all.tokens, all.offsets, capacities});
  for (index_t t = 0; t < 12; ++t)
    for (index_t i = 0; i < m.c.d_model; ++i) REQUIRE(as_rows(other, 24)(t, i) == as_rows(y, 24)(t, i));
}

TEST_CASE("capacities drop tokens, and those with no expert pass the block unchanged") {
  one_layer m(shape_of(moe::softmax_then_top_k(1, {1, 4}, moe::drop_policy::position)), {});
  memory_of s(m.c, 24);
  const auto y = output(m, s, m.tokens.all());
  CHECK(s.kept.plan.dropped.size() == 24 - s.kept.plan.token.size());
  index_t unchanged = 0;
  for (index_t t = 0; t < 24; ++t)
    if (s.kept.plan.experts_of(t) == 0) {
      ++unchanged;
      for (index_t i = 0; i < m.c.d_model; ++i) REQUIRE(as_rows(y, 24)(t, i) == as_rows(m.x, 24)(t, i));
    }
  CHECK(unchanged == static_cast<index_t>(s.kept.plan.dropped.size()));
  CHECK(unchanged > 0);
}

TEST_CASE("one expert that everybody has is the dense layer; so are equal experts whose gates sum to 1") {
  for (const index_t count : {1, 4}) {
    config dense = shape_of({}, 0);
    dense.n_layers = 1;
    const config sparse = shape_of(moe::top_k_then_softmax((std::min)(count, index_t{3})), count);
    one_layer m(sparse, {}), d(dense, {});
    for (const role r : {role::w1, role::w2, role::w3, role::ffn_norm})
      for (index_t e = 0; e < count; ++e) {
        const tensor& from = d.model.layout()[d.model.tensor_index({r, 0})];
        const tensor& to = m.model.layout()[m.model.tensor_index({r, 0, r == role::ffn_norm ? -1 : e})];
        std::copy_n(d.parameters.begin() + from.offset, from.size(), m.parameters.begin() + to.offset);
      }
    m.x = d.x;
    const auto y = output(m);
    std::vector<double> expected(y.size());
    arrays<double> take(24);
    const auto kept = mlp_block<double>::share_activations(dense, take);
    const auto passing = mlp_block<double>::share_scratch(dense, take);
    mlp_block<double>(d.c, 0).forward(d.products(d.parameters), as_rows(std::as_const(d.x), 24), kept, passing,
                                      as_rows(expected, 24));
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == Approx(expected[i]).margin(1e-12));
  }
}

TEST_CASE("experts that choose take of each sequence what the batch says, or the sum where the batch is the pool") {
  const std::vector<index_t> capacities = {3, 1, 2, 20};  // of sequences of 14, 1, 0 and 9 tokens
  {
    one_layer m(shape_of(moe::expert_choice(1)), {});
    memory_of s(m.c, 24);
    batch b = m.tokens.all();
    b.capacities = capacities;
    output(m, s, b);
    for (index_t e = 0; e < 4; ++e) CHECK(s.kept.plan.load(e) == 3 + 1 + 0 + 9);
  }
  {
    one_layer m(shape_of(moe::expert_choice(1, moe::pool::batch)), {});
    memory_of s(m.c, 24);
    batch b = m.tokens.all();
    const std::vector<index_t> few = {3, 1, 0, 4};
    b.capacities = few;
    output(m, s, b);
    for (index_t e = 0; e < 4; ++e) CHECK(s.kept.plan.load(e) == 8);
  }
  {  // tokens that choose have none
    one_layer m(shape_of(moe::top_k_then_softmax(2)), {});
    memory_of s(m.c, 24);
    batch b = m.tokens.all();
    b.capacities = capacities;
    CHECK(output(m, s, b) == output(m));
  }
}

TEST_CASE("rows of the expert block alone are those of the batch, without drops, to rounding") {
  using namespace moe;
  for (const config& shape :
       {shape_of(top_k_then_softmax(2)), shape_of(softmax_then_top_k(3), 4, 5), shape_of(remoe())}) {
    one_layer m(shape, {});
    const auto y = output(m);
    std::vector<double> rows = m.x;
    expert_block<double>::row_memory memory;
    const auto p = m.products(m.parameters);
    for (index_t first = 0; first < 24;) {  // one row, then more and more
      const index_t count = (std::min)(first / 3 + 1, 24 - first);
      block_of(m).forward_rows(p, matrix_view<double>(rows.data() + first * m.c.d_model, count, m.c.d_model), memory);
      first += count;
    }
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(rows[i] == Approx(y[i]).margin(1e-13));
  }
  for (const router& r : {gshard({1, 2}), switch_transformer({1, 4}), softmax_then_top_k(2, {1, 2})}) {
    const router alone = expert_block<double>::row_router(shape_of(r));
    CHECK(!sees_the_future(alone));
    one_layer m(shape_of(r), {}), free(shape_of(alone), {});
    free.parameters = m.parameters;
    std::vector<double> rows = m.x;
    expert_block<double>::row_memory memory;
    block_of(m).forward_rows(m.products(m.parameters), as_rows(rows, 24), memory);
    const auto y = output(free);
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(rows[i] == Approx(y[i]).margin(1e-13));
  }
  CHECK(sees_the_future(expert_block<double>::row_router(shape_of(expert_choice(1)))));
  CHECK(sees_the_future(expert_block<double>::row_router(shape_of(sinkhorn_balanced(1)))));
}

TEST_CASE("a router that sees the future of a causal model is refused, unless the model says that it may") {
  config c = shape_of(moe::expert_choice(1));
  c.causal = true;
  c.experts.sees_the_future = true;
  one_layer m(c, {});
  output(m);
  m.c.experts.sees_the_future = false;
  CHECK_THROWS_WITH(output(m), Catch::Contains("sees tokens that a causal model is to predict"));
}

TEST_CASE("an expert block's share: norm, logits and the shared gate; two expert widths a slot") {
  const config c = expert_models()[1];
  index_t kept = 0, passing = 0;
  const auto count = [](index_t& sum) {
    return [&sum](index_t width) { return sum += width, static_cast<float*>(nullptr); };
  };
  expert_block<float>::share_activations(c, count(kept));
  expert_block<float>::share_scratch(c, count(passing));
  CHECK(kept == 1 + c.experts.count + 2 * c.experts.shared_d_ff);
  CHECK(passing == 5 * c.d_model + c.experts.count + 3 * c.experts.shared_d_ff + 4 * c.experts.d_ff);
  std::vector<float> logits(40);
  expert_block<float>::activations a;
  a.reserve(c.experts, 10);
  CHECK(a.gate.empty());  // not of this layer
  a.logits = logits.data();
  a.reserve(c.experts, 10);
  CHECK(a.gate.size() == static_cast<std::size_t>(10 * 3 * 17));
  CHECK(a.up.size() == a.gate.size());
}
