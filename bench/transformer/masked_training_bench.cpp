// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Training steps of masked-diffusion models with experts. The roof is a step, of the same batch and in turn with it,
/// of the dense decoder whose feed-forward layers are as wide as all experts that a token has, times the share of the
/// floating-point operations that were executed (transformer/flops.hpp; the router's product is the difference).
#include "hone/core/thread_pool.hpp"
#include "hone/transformer/flops.hpp"
#include "hone/transformer/masked_training.hpp"
#include "support/roof.hpp"

namespace {

using namespace hone;
using namespace hone::transformer;

/// @param microbatch rows that go through the model together: an expert has an eighth of them.
void step(benchmark::State& state, const config& sparse, index_t microbatch, index_t workers,
          const router_losses& losses) {
  const index_t length = 128, sequences = 32;
  const index_t k = sparse.experts.router.per_token;
  config dense = sparse;
  dense.d_ff = k * sparse.experts.d_ff + sparse.experts.shared_d_ff;
  dense.experts = {};
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  for (index_t s = 0; s < sequences; ++s) {
    for (index_t t = 0; t < length; ++t)
      tokens.push_back(static_cast<std::int32_t>((s * 7919 + t * 104729) % (sparse.vocab - 1)));
    offsets.push_back(std::ssize(tokens));
  }
  thread_pool pool(workers);
  const learner_options options{.rows = microbatch};
  learner<float> of_experts(sparse, initial_parameters<float>(sparse, 1), options);
  learner<float> of_one(dense, initial_parameters<float>(dense, 1), options);
  std::uint32_t at = 0;
  index_t executed = 0;
  record r;
  for (auto _ : state) {
    const masked_rows rows =
        mask_by_time({tokens, offsets}, {.mask_token = sparse.mask_token, .seed = 3, .step = at++});
    routing_statistics seen(sparse);
    const double time =
        seconds([&] { learn_masked(of_experts, rows, losses, {.rate = 1e-3, .clip = 1}, &seen, pool); });
    executed = executed_slots(seen.layers());
    const double share = forward_flops(sparse, offsets, executed) / forward_flops(dense, offsets);
    r.add(state, time,
          share * seconds([&] { learn_masked(of_one, rows, {}, {.rate = 1e-3, .clip = 1}, nullptr, pool); }));
  }
  r.report(state, 3 * forward_flops(sparse, offsets, executed), "flop");
}

config shape(index_t width, index_t expert_width, index_t layers, const moe::router& router) {
  config c{.d_model = width,
           .d_ff = expert_width,
           .n_layers = layers,
           .n_heads = width / 32,
           .n_kv_heads = width / 32,
           .vocab = 512,
           .max_seq = 512,
           .causal = false,
           .mask_token = 511};
  c.experts = {.count = 16, .d_ff = expert_width, .shared_d_ff = expert_width, .router = router};
  return c;
}

const bool registered = [] {
  const struct {
    const char* name;
    moe::router router;
    router_losses losses;
  } kinds[] = {{"expert_choice", moe::expert_choice(2), {.coverage = 0.01, .z = 1e-3}},
               {"token_choice", moe::top_k_then_softmax(2), {.balance = 0.01, .z = 1e-3}}};
  const struct {
    const char* name;
    index_t width, expert_width, layers;
  } sizes[] = {{"1M", 64, 64, 4}, {"5M", 128, 128, 4}, {"20M", 256, 256, 4}};
  for (const auto& kind : kinds)
    for (const auto& size : sizes)
      for (const index_t microbatch : {256, 512, 2048})
        for (const index_t workers : {1, 2})
          benchmark::RegisterBenchmark((std::string("masked_training/") + kind.name + "/" + size.name +
                                        "/rows:" + std::to_string(microbatch) + "/workers:" + std::to_string(workers))
                                           .c_str(),
                                       [=](benchmark::State& state) {
                                         step(state, shape(size.width, size.expert_width, size.layers, kind.router),
                                              microbatch, workers, kind.losses);
                                       })
              ->UseManualTime()
              ->MinTime(1.0);
  return true;
}();
}  // namespace
