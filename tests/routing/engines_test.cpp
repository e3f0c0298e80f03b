// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What docs/engines.md says of a router's sink behind other programs' callbacks, on tensors of ggml's shape and a
/// callback of gemma.cpp's. bench/peers/sink_llama.cpp runs the first behind llama.cpp itself.
#include "hone/routing/sink.hpp"
#include "support/catch.hpp"

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

struct ggml_tensor {
  std::int64_t ne[4];
  std::size_t nb[4];
  void* data;
  const char* name;
};

namespace routing = hone::routing;

struct prompt_tap {
  routing::state_sink sink;
  int blocks;
};

/// The state that a node of llama.cpp's graph is, or -1.
std::int32_t state_of(const char* name, int blocks) {
  if (std::strcmp(name, "inp_embd") == 0) return 0;
  if (std::strcmp(name, "result_norm") == 0) return blocks;  // of a router whose last state is before: l_out-<blocks-1>
  int block = 0;
  return std::sscanf(name, "l_out-%d", &block) == 1 && block + 1 < blocks ? block + 1 : -1;
}

/// llama_context_params::cb_eval; user_data is a prompt_tap.
bool tap(ggml_tensor* t, bool ask, void* user_data) {
  auto& own = *static_cast<prompt_tap*>(user_data);
  const std::int32_t state = state_of(t->name, own.blocks);
  if (ask) return state >= 0;  // the scheduler stops after these nodes only
  own.sink.add(state, {t->data, t->ne[1], static_cast<std::int32_t>(t->ne[0]),
                       static_cast<std::ptrdiff_t>(t->nb[1] / sizeof(float)), routing::number::float32});
  return true;
}

}  // namespace

TEST_CASE("a sink behind llama.cpp's callback") {
  const std::vector<float> v = {1, 2, 3, 4, 5, 6};
  std::vector<routing::layer_sum> sums(3);
  prompt_tap own{{{v.data(), 3, 2, 0, 0.5, 1, 0, 3}, sums.data()}, 2};
  std::vector<float> rows = {1, 2, 3, 4};
  for (const char* name : {"inp_embd", "attn_norm-0", "l_out-0", "l_out-1", "result_norm"}) {
    ggml_tensor t{{2, 2, 1, 1}, {4, 8, 16, 16}, rows.data(), name};
    if (tap(&t, true, &own)) tap(&t, false, &own);
  }
  CHECK(own.sink.why() == routing::fault::none);
  CHECK(own.sink.logit() == (2 + 2 * 3) + (3 * 2 + 4 * 3) + (5 * 2 + 6 * 3));
  own.sink.reset();
  for (const char* name : {"inp_embd", "l_out-0", "result_norm"}) {  // of which the last has the output rows alone
    ggml_tensor t{{2, std::strcmp(name, "result_norm") == 0 ? 1 : 2, 1, 1}, {4, 8, 16, 16}, rows.data(), name};
    if (tap(&t, true, &own)) tap(&t, false, &own);
  }
  CHECK(own.sink.why() == routing::fault::unequal_tokens);
  CHECK(own.sink.decide() == routing::decision::large_by_fault);
}

TEST_CASE("a sink behind gemma.cpp's LayersOutputFunc") {
  const std::vector<float> v = {1, 2, 3, 4};
  const std::int32_t blocks[] = {1, 2};  // the embedding is not handed over
  std::vector<routing::layer_sum> sums(2);
  routing::folded_router router{v.data(), 2, 2, 0, 0.5, 1, 0, 3, blocks};
  router.last = routing::last_state::before_norm;
  routing::state_sink sink(router, sums.data());
  const std::function<void(size_t, size_t, const std::string&, int, const float*, size_t)> layers_output =
      [&sink](size_t, size_t, const std::string& name, int layer, const float* x, size_t size) {
        const auto width = static_cast<std::int32_t>(size);
        if (name == "blocks") sink.add(layer + 1, {x, 1, width, width, routing::number::float32});
      };
  const std::vector<float> x = {1, 2};
  for (size_t position = 0; position < 3; ++position) {
    const float token = 7;
    layers_output(0, position, "tokens", -1, &token, 1);
    for (int layer = 0; layer < 2; ++layer) layers_output(0, position, "blocks", layer, x.data(), 2);
    layers_output(0, position, "final_norm", -1, x.data(), 2);
  }
  CHECK(sink.why() == routing::fault::none);
  CHECK(sink.tokens() == 3);
  CHECK(sink.logit() == 5 + 11);
}
