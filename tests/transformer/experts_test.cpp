// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/experts.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/moe/route.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

#include <map>

using namespace hone;
using namespace hone::transformer;

namespace {

/// A plan of random choices: each token has @p k experts, of which one in @p skew is sure to be expert 0.
template <class T>
moe::routing_plan<T> plan_of(index_t tokens, index_t experts, index_t k, double skew = 0) {
  auto logits = normals<T>(tokens * experts, 31);
  for (index_t t = 0; t < tokens; ++t) logits[static_cast<std::size_t>(t * experts)] += static_cast<T>(skew);
  moe::routing_plan<T> plan;
  moe::route_memory<T> memory;
  moe::route<T>(moe::softmax_then_top_k(k), {logits.data(), experts, tokens, 1, experts}, {}, plan, memory);
  return plan;
}

/// A plan with gates of 1.
moe::routing_plan<float> listed_plan(index_t tokens, std::vector<index_t> offsets, std::vector<std::int32_t> token) {
  moe::routing_plan<float> plan;
  plan.tokens = tokens;
  plan.experts = static_cast<index_t>(offsets.size()) - 1;
  plan.offsets = std::move(offsets);
  plan.token = std::move(token);
  plan.gate.assign(plan.token.size(), 1.0f);
  moe::transpose(plan);
  return plan;
}

template <class T>
struct fixture {
  explicit fixture(moe::routing_plan<T> p, index_t d_model = 19, index_t d_ff = 13)
      : plan(std::move(p)), c{.d_model = d_model,
                              .n_layers = 1,
                              .n_heads = 1,
                              .n_kv_heads = 1,
                              .vocab = 2,
                              .head_width = 2,
                              .experts = {.count = plan.experts, .d_ff = d_ff, .router = moe::softmax_then_top_k(1)}},
        layout(c), parameters(normals<T>(layout.size(), 1, 0.3)), x(normals<T>(plan.tokens * d_model, 2)),
        dy(normals<T>(plan.tokens * d_model, 3)) {}

  [[nodiscard]] frozen_products<T, parameter_views<const T>> products() { return {views, memory}; }

  moe::routing_plan<T> plan;
  config c;
  parameter_layout layout;
  std::vector<T> parameters, x, dy, memory;
  parameter_views<const T> views{layout, parameters.data()};

  struct result {
    std::vector<T> y, dx, dgates, gradient;
    friend bool operator==(const result&, const result&) = default;
  };
  template <class V>
  auto view(V& rows) const {
    return matrix_view<std::remove_pointer_t<decltype(rows.data())>>(rows.data(), plan.tokens, c.d_model);
  }
  /// Forward and backward pass on the calling thread; arrays begin as NaN.
  result serial_run() {
    result r = start();
    expert_memory<T> kept, work;
    poison(kept), poison(work);
    const index_t n = plan.tokens;
    expert_rows<T> rows = work.rows(n, c.d_model, c.experts.d_ff);
    const expert_rows<T> all = kept.rows(plan.size(), c.d_model, c.experts.d_ff);
    rows.gate = all.gate;
    rows.up = all.up;
    const trained_products<T> p{products(), {layout, r.gradient.data()}};
    experts_forward(p, 0, plan, view(std::as_const(x)), rows, view(r.y));
    experts_backward(p, 0, plan, view(std::as_const(x)), view(std::as_const(dy)), rows, r.dgates.data(), view(r.dx));
    return r;
  }
  template <class E>
  result run_on(E& pool) {
    result r = start();
    expert_memory<T> memory_of_slots;
    poison(memory_of_slots);
    const expert_rows<T> rows = memory_of_slots.rows(plan.size(), c.d_model, c.experts.d_ff);
    const trained_products<T> p{products(), {layout, r.gradient.data()}};
    experts_forward(p, 0, plan, view(std::as_const(x)), rows, view(r.y), pool);
    experts_backward(p, 0, plan, view(std::as_const(x)), view(std::as_const(dy)), rows, r.dgates.data(), view(r.dx),
                     pool);
    return r;
  }
  [[nodiscard]] result start() const {
    return {normals<T>(plan.tokens * c.d_model, 4), normals<T>(plan.tokens * c.d_model, 5),
            std::vector<T>(plan.token.size(), std::numeric_limits<T>::quiet_NaN()), normals<T>(layout.size(), 6)};
  }
  void poison(expert_memory<T>& m) const {
    m.memory.assign(static_cast<std::size_t>((plan.tokens + plan.size()) * (3 * c.d_model + 6 * c.experts.d_ff)),
                    std::numeric_limits<T>::quiet_NaN());
  }
};

}  // namespace

TEST_CASE("experts add the sum of their outputs with the gates, in double as the formula says") {
  fixture<double> f(plan_of<double>(23, 6, 3));
  const auto r = f.serial_run();
  auto expected = f.start().y;
  for (index_t e = 0; e < 6; ++e)
    for (index_t s = f.plan.offsets[static_cast<std::size_t>(e)]; s < f.plan.offsets[static_cast<std::size_t>(e) + 1];
         ++s) {
      const index_t t = f.plan.token[static_cast<std::size_t>(s)];
      std::vector<double> gated;
      for (index_t i = 0; i < f.c.experts.d_ff; ++i) {
        const double a = dot(f.views.matrix({role::w1, 0, e}).row(i), as_rows(f.x, 23).row(t)),
                     b = dot(f.views.matrix({role::w3, 0, e}).row(i), as_rows(f.x, 23).row(t));
        gated.push_back(a / (1 + std::exp(-a)) * b);
      }
      for (index_t j = 0; j < f.c.d_model; ++j)
        as_rows(expected, 23)(t, j) +=
            f.plan.gate[static_cast<std::size_t>(s)] * dot(f.views.matrix({role::w2, 0, e}).row(j), gated);
    }
  for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(r.y[i] == Approx(expected[i]).margin(1e-12));
}

TEST_CASE("experts pass the gradient check: inputs, gates and every matrix, all added to what was there") {
  fixture<double> f(plan_of<double>(11, 5, 2));
  const auto r = f.serial_run(), before = f.start();
  const auto loss = [&] {
    const auto y = f.serial_run().y;
    return dot(y, f.dy);
  };
  const auto error = [&](std::vector<double>& at, std::vector<double> gradient, const std::vector<double>& start) {
    for (std::size_t i = 0; i < start.size(); ++i) gradient[i] -= start[i];
    const std::vector<double> old = at;
    const double worst_error = gradient_error(old, gradient, [&](const std::vector<double>& x) {
      at = x;
      return loss();
    });
    at = old;
    return worst_error;
  };
  CHECK(error(f.x, r.dx, before.dx) < 1e-7);
  CHECK(error(f.plan.gate, r.dgates, {}) < 1e-7);
  f.views.data = f.parameters.data();
  std::vector<double> gradient = r.gradient;
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= before.gradient[i];
  CHECK(gradient_error(f.parameters, gradient, [&](const std::vector<double>& p) {
          f.views.data = p.data();
          return loss();
        }) < 1e-7);
}

TEMPLATE_TEST_CASE("on any number of workers experts have the bits of one thread", "", double, float) {
  using T = TestType;
  for (const double skew : {0.0, 3.0}) {
    fixture<T> f(plan_of<T>(70, 7, 2, skew), 37, 21);
    const auto expected = f.serial_run();
    serial alone;
    CHECK(f.run_on(alone) == expected);
    for (const index_t workers : {2, 3, 5, 7}) {
      thread_pool pool(workers);
      CHECK(f.run_on(pool) == expected);
    }
  }
}

TEST_CASE("an expert without tokens is passed over: its gradient stays, also where the memory was used before") {
  fixture<float> f(plan_of<float>(9, 3, 3));
  CHECK(f.serial_run().gradient != f.start().gradient);
  // Expert 1 has nobody.
  f.plan = listed_plan(9, {0, 4, 4, 9}, {0, 2, 5, 7, 1, 3, 4, 6, 8});
  thread_pool pool(3);
  const auto r = f.serial_run();
  CHECK(f.run_on(pool) == r);
  const auto before = f.start().gradient;
  for (const tensor& t : f.layout.table())
    for (index_t i = t.offset; i < t.offset + t.size(); ++i) {
      const bool same = r.gradient[static_cast<std::size_t>(i)] == before[static_cast<std::size_t>(i)];
      if (t.id.expert == 1) REQUIRE(same);
      if (t.id.expert == 0 && t.id.role == role::w2) REQUIRE(!same);
    }
  // Nobody anywhere, and no tokens at all.
  f.plan = listed_plan(9, {0, 0, 0, 0}, {});
  CHECK(f.run_on(pool) == f.start());
  CHECK(f.serial_run() == f.start());
  fixture<float> none(listed_plan(0, {0, 0, 0}, {}));
  CHECK(none.run_on(pool) == none.start());
}

TEST_CASE("each product of an expert is made once, with all its rows") {
  fixture<float> f(plan_of<float>(40, 4, 2));
  std::map<tensor_id, index_t> rows;
  const auto observe = [&](const tensor_id& id, const auto& x, const auto& y) {
    CHECK(x.rows() == y.rows());
    CHECK(rows.emplace(id, x.rows()).second);
  };
  const auto p = f.products();
  expert_memory<float> memory;
  auto y = f.start().y;
  experts_forward(observed<float>(p, observe), 0, f.plan, as_rows(std::as_const(f.x), 40),
                  memory.rows(f.plan.size(), f.c.d_model, f.c.experts.d_ff), as_rows(y, 40));
  CHECK(rows.size() == 12);
  for (index_t e = 0; e < 4; ++e)
    for (const role r : {role::w1, role::w2, role::w3}) CHECK(rows[{r, 0, e}] == f.plan.load(e));
}

TEST_CASE("slots are dealt evenly over all experts, each once") {
  const auto check = [](const moe::routing_plan<float>& plan, double allowed) {
    for (index_t parts = 1; parts <= 16; ++parts) {
      index_t next = 0, most = 0;
      for (index_t i = 0; i < parts; ++i) {
        index_t own = 0;
        deal_slots(plan, i, parts, [&](index_t e, index_t first, index_t count) {
          CHECK(first == next);
          CHECK(count > 0);
          CHECK(first >= plan.offsets[static_cast<std::size_t>(e)]);
          CHECK(first + count <= plan.offsets[static_cast<std::size_t>(e) + 1]);
          next += count;
          own += count;
        });
        most = (std::max)(most, own);
      }
      CHECK(next == plan.size());
      CHECK(static_cast<double>(most * parts) <= allowed * static_cast<double>(plan.size()));
    }
  };
  // Equal loads of 16 rows at 64 experts; and token choice whose largest load is 4 times the mean.
  std::vector<index_t> offsets;
  std::vector<std::int32_t> token;
  for (index_t e = 0; e <= 64; ++e) offsets.push_back(16 * e);
  for (std::int32_t s = 0; s < 1024; ++s) token.push_back(s / 16 % 16 * 16 + s % 16);
  const auto equal = listed_plan(256, offsets, token);
  check(equal, 1.05);
  const auto skewed = plan_of<float>(256, 64, 4, 1.5);
  index_t largest = 0;
  for (index_t e = 0; e < 64; ++e) largest = (std::max)(largest, skewed.load(e));
  CHECK(largest >= 64);
  check(skewed, 1.15);
}
