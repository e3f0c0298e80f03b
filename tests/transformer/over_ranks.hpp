// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What experts on several ranks must do, whatever carries the communicator.
#pragma once
#include "hone/transformer/expert_parallel.hpp"

#include "distributed/support.hpp"
#include "transformer/support.hpp"

namespace over_ranks {

using namespace hone;
using namespace hone::transformer;
using ranks::require;

/// How often a token goes to an expert.
struct habits {
  index_t tokens, experts;
  double chance = 0.4;
  index_t idle = -1;  ///< an expert that nobody goes to
};

/// The plan of tokens [first, last) of all, whatever else is in it.
template <class T>
moe::routing_plan<T> plan_of(const habits& h, index_t first, index_t last) {
  moe::routing_plan<T> plan;
  plan.tokens = last - first;
  plan.experts = h.experts;
  plan.offsets = {0};
  const philox chosen{.seed = 3}, gate{.seed = 4};
  for (index_t e = 0; e < h.experts; ++e) {
    for (index_t t = first; t < last; ++t) {
      const auto at = static_cast<std::uint64_t>(t * h.experts + e);
      if (e == h.idle || chosen.uniform(at) >= h.chance) continue;
      plan.token.push_back(static_cast<std::int32_t>(t - first));
      plan.gate.push_back(static_cast<T>(gate.uniform(at)));
    }
    plan.offsets.push_back(plan.size());
  }
  moe::transpose(plan);
  return plan;
}

/// Where each rank's tokens begin: as many each, all on one rank, some ranks without any.
inline std::vector<std::vector<index_t>> cuts(index_t tokens, index_t size) {
  std::vector<index_t> even{0}, first{0}, last(static_cast<std::size_t>(size), 0), uneven{0};
  last.push_back(tokens);
  for (index_t r = 0; r < size; ++r) {
    even.push_back(part_of(tokens, r, size).second);
    first.push_back(tokens);
    uneven.push_back(r + 1 == size ? tokens : tokens / 5 * ((r + 1) / 2));
  }
  return {even, first, last, uneven};
}

/// Rows go to the owner by expert, then rank, then token, and come back to their slots.
template <class C>
void check_exchange(const habits& h, C& comm) {
  for (const auto& cut : cuts(h.tokens, comm.size())) {
    const auto begin = [&](index_t r) { return cut[static_cast<std::size_t>(r)]; };
    const index_t first = begin(comm.rank());
    const auto plan = plan_of<double>(h, first, begin(comm.rank() + 1));
    expert_exchange<double> e;
    plan_exchange(plan, 3, e, comm);
    // A row says its expert, token and gate.
    const auto rows = [&](const moe::routing_plan<double>& p, index_t token0, index_t expert0, index_t expert1) {
      std::vector<double> values;
      for (index_t expert = expert0; expert < expert1; ++expert)
        for (index_t s = p.offsets[static_cast<std::size_t>(expert)];
             s < p.offsets[static_cast<std::size_t>(expert) + 1]; ++s)
          values.insert(values.end(), {static_cast<double>(expert),
                                       static_cast<double>(token0 + p.token[static_cast<std::size_t>(s)]),
                                       p.gate[static_cast<std::size_t>(s)]});
      return values;
    };
    const std::vector<double> sent = rows(plan, first, 0, h.experts);
    std::vector<double> came(static_cast<std::size_t>(3 * e.incoming.tokens)), back(sent.size());
    const auto view = [](auto& x) { return matrix_view(x.data(), static_cast<index_t>(x.size() / 3), 3); };
    send_to_owners(e, view(sent), view(came), comm);
    const auto [own, end] = part_of(h.experts, comm.rank(), comm.size());
    std::vector<double> in_order, expected = rows(plan_of<double>(h, 0, h.tokens), 0, own, end);
    const auto& in = e.incoming;
    for (index_t expert = 0; expert < h.experts; ++expert)
      require((expert >= own && expert < end) || in.load(expert) == 0, "another rank's expert");
    for (const std::int32_t t : in.token)
      in_order.insert(in_order.end(), came.begin() + 3 * t, came.begin() + 3 * t + 3);
    require(in_order == expected, "what comes is not what one process has");
    require(in.size() == in.tokens && static_cast<index_t>(in.slot.size()) == in.tokens, "incoming plan");
    for (index_t t = 0; t < in.tokens; ++t)
      require(in.experts_of(t) == 1 && in.token[static_cast<std::size_t>(in.slot[static_cast<std::size_t>(t)])] == t &&
                  in.gate[static_cast<std::size_t>(t)] == 1,
              "incoming slots");
    send_back(e, view(came), view(back), comm);
    require(back == sent, "what comes back");
  }
}

/// A layer's experts over all tokens in one process.
template <class T>
struct one_layer {
  habits h;
  index_t d = 19, d_ff = 13;
  config c{.d_model = d,
           .n_layers = 1,
           .n_heads = 1,
           .n_kv_heads = 1,
           .vocab = 2,
           .head_width = 2,
           .experts = {.count = h.experts, .d_ff = d_ff, .router = moe::softmax_then_top_k(1)}};
  parameter_layout layout{c};
  std::vector<T> parameters = normals<T>(layout.size(), 1, 0.3), x = normals<T>(h.tokens * d, 2, 1.0),
                 dy = normals<T>(h.tokens * d, 3, 1.0), memory = {};
  std::vector<T> y = normals<T>(h.tokens * d, 4, 1.0), dx = normals<T>(h.tokens * d, 5, 1.0),
                 gradient = normals<T>(layout.size(), 6, 1.0);
  moe::routing_plan<T> plan = plan_of<T>(h, 0, h.tokens);
  std::vector<T> dgates = std::vector<T>(plan.token.size());
  parameter_views<const T> views{layout, parameters.data()};

  explicit one_layer(const habits& chosen) : h(chosen) {}
  one_layer(const one_layer&) = delete;

  [[nodiscard]] trained_products<T> products(std::vector<T>& g) { return {{views, memory}, {layout, g.data()}}; }
  void run() {
    expert_memory<T> all;
    const expert_rows<T> rows = all.rows((max)(plan.size(), h.tokens), d, d_ff);
    const auto p = products(gradient);
    const auto view = [&](auto& m) { return matrix_view(m.data(), h.tokens, d); };
    experts_forward(p, 0, plan, view(x), rows, view(y));
    experts_backward(p, 0, plan, view(x), view(dy), rows, dgates.data(), view(dx));
  }
};

/// Outputs, gradients and what is left alone have the bits of one process; @p pool none, or one.
template <class T, class C, class... E>
void check_bits(const habits& h, C& comm, E&... pool) {
  one_layer<T> expected(h), own(h);
  expected.run();
  const index_t d = own.d;
  exchanged_experts<T> kept;
  exchange_memory<T> memory;
  for (const auto& cut : cuts(h.tokens, comm.size())) {
    const index_t first = cut[static_cast<std::size_t>(comm.rank())],
                  n = cut[static_cast<std::size_t>(comm.rank()) + 1] - first;
    const auto plan = plan_of<T>(h, first, first + n);
    const auto part = [&](std::vector<T>& all) { return matrix_view<T>(all.data() + first * d, n, d); };
    std::vector<T> y = own.y, dx = own.dx, dgates(plan.token.size()), gradient = own.gradient;
    const auto p = own.products(gradient);
    // Memory is what an earlier step left.
    for (auto* m : {&kept.x, &kept.gate, &kept.up, &memory.slot_rows, &memory.answers, &memory.dy, &memory.gates,
                    &memory.dgates, &memory.rows})
      std::fill(m->begin(), m->end(), std::numeric_limits<T>::quiet_NaN());
    experts_forward_over_ranks(p, 0, plan, part(own.x), own.d_ff, kept, memory, part(y), comm, pool...);
    std::fill(memory.rows.begin(), memory.rows.end(), std::numeric_limits<T>::quiet_NaN());  // another layer's
    experts_backward_over_ranks(p, 0, plan, part(own.dy), own.d_ff, kept, memory, dgates.data(), part(dx), comm,
                                pool...);
    const auto same = [&](const matrix_view<T>& a, const matrix_view<T>& b) {
      const auto all = [](const matrix_view<T>& m) {
        return std::span<const T>(m.data(), static_cast<std::size_t>(m.rows() * m.cols()));
      };
      return ranks::same_bits<T>(all(a), all(b));
    };
    require(same(part(y), part(expected.y)), "y");
    require(same(part(dx), part(expected.dx)), "dx");
    std::vector<T> slopes;
    for (std::size_t s = 0; s < expected.plan.token.size(); ++s)
      if (const index_t t = expected.plan.token[s]; t >= first && t < first + n) slopes.push_back(expected.dgates[s]);
    require(ranks::same_bits<T>(dgates, slopes), "dgates");
    const auto [begin, end] = part_of(h.experts, comm.rank(), comm.size());
    for (index_t e = 0; e < h.experts; ++e)
      for (const role which : {role::w1, role::w2, role::w3}) {
        auto& wanted = e >= begin && e < end ? expected.gradient : own.gradient;
        require(same(parameter_views<T>{own.layout, gradient.data()}.matrix({which, 0, e}),
                     parameter_views<T>{own.layout, wanted.data()}.matrix({which, 0, e})),
                "gradient of an expert");
      }
  }
}

template <class T, class C>
void check_experts(C& comm) {
  for (const habits& h : {habits{40, 7}, habits{40, 8, 0.2}, habits{23, 2, 0.5, 1}, habits{9, 1, 1.0}, habits{0, 5},
                          habits{31, 3, 0.0}, habits{64, 12, 0.9}}) {
    check_exchange(h, comm);
    check_bits<T>(h, comm);
  }
}

/// What one rank has otherwise is refused on all.
template <class C>
void check_refusals(C& comm) {
  const bool last = comm.rank() == comm.size() - 1, alone = comm.size() == 1;
  const auto refused = [&](const moe::routing_plan<float>& plan, index_t width) {
    expert_exchange<float> e;
    return ranks::refused([&] { plan_exchange(plan, width, e, comm); }) == 1;
  };
  const auto plan = plan_of<float>({12, 4}, 0, 12);
  require(!refused(plan, 8), "refused");
  require(refused(last ? plan_of<float>({12, 5}, 0, 12) : plan, 8) != alone, "another number of experts");
  require(refused(plan, last ? 9 : 8) != alone, "another width");
  auto bad = plan;
  bad.token.pop_back();
  require(refused(last ? bad : plan, 8), "a slot without offset");
  bad = plan;
  bad.offsets.clear();
  require(refused(last ? bad : plan, 8), "no offsets");
  bad = plan;
  std::swap(bad.offsets[1], bad.offsets[3]);
  require(refused(last ? bad : plan, 8), "offsets that fall");
}

}  // namespace over_ranks
