// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A router's sink behind llama.cpp's eval callback beside the same behind the bundled model's tap, on a model of 25M
// random parameters that hone writes as GGUF: the probabilities, whole and in micro-batches of 16 tokens, what happens
// if outputs are not asked for, and how long the prompt takes without and with the callback. Exits with 1 if a
// probability differs by more than 1e-4 or a fault is not seen. Tried with llama.cpp c392e50 (February 2025), built
// static, without OpenMP:
//
//   g++ -std=c++20 -O3 -march=native -DNDEBUG -Iinclude -Ibench -I<llama.cpp>/include -I<llama.cpp>/ggml/include
//     $(pkg-config --cflags eigen3) bench/peers/sink_llama.cpp <build>/src/libllama.a <build>/ggml/src/libggml.a
//     <build>/ggml/src/libggml-cpu.a <build>/ggml/src/libggml-base.a -lbenchmark -pthread -ldl -o sink_llama
#include "hone/core/random.hpp"
#include "hone/io/gguf_model_writer.hpp"
#include "hone/transformer/generate.hpp"
#include "support/roof.hpp"

#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace {

using namespace hone;
using namespace hone::transformer;

constexpr std::int32_t blocks = 8, width = 512, tokens = 64;

/// What the callback is given.
struct prompt_tap {
  routing::state_sink* sink;  ///< nullptr: nothing is tapped
  std::int64_t asked = 0;
};

std::int32_t state_of(const char* name) {
  if (std::strcmp(name, "inp_embd") == 0) return 0;
  if (std::strcmp(name, "result_norm") == 0) return blocks;
  int block = 0;
  return std::sscanf(name, "l_out-%d", &block) == 1 && block + 1 < blocks ? block + 1 : -1;
}

bool tap(ggml_tensor* t, bool ask, void* user_data) {
  auto& own = *static_cast<prompt_tap*>(user_data);
  const std::int32_t state = own.sink == nullptr ? -1 : state_of(t->name);
  if (ask) return state >= 0;
  ++own.asked;
  if (t->type != GGML_TYPE_F32 || !ggml_backend_buffer_is_host(t->buffer)) std::abort();  // a device: fetch it first
  own.sink->add(state, {t->data, t->ne[1], static_cast<std::int32_t>(t->ne[0]),
                        static_cast<std::ptrdiff_t>(t->nb[1] / sizeof(float)), routing::number::float32});
  return true;
}

}  // namespace

int main() {
  const config shape{
      .d_model = width, .d_ff = 1376, .n_layers = blocks, .n_heads = 8, .n_kv_heads = 8, .vocab = 512, .max_seq = 256};
  const decoder<float> model(shape);
  std::vector<float> parameters(static_cast<std::size_t>(model.parameters()));
  for (const tensor& t : model.table())
    for (index_t i = 0; i < t.size(); ++i)
      parameters[static_cast<std::size_t>(t.offset + i)] =
          t.kind == tensor_kind::norm
              ? 1 + 0.1f * static_cast<float>(philox{1}.normal(static_cast<std::uint64_t>(t.offset + i)))
              : 0.04f * static_cast<float>(philox{1}.normal(static_cast<std::uint64_t>(t.offset + i)));
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "hone_sink_llama.gguf";
  io::write_gguf_model(path, shape, parameters);

  std::vector<float> v;
  for (index_t i = 0; i < (blocks + 1) * width; ++i)
    v.push_back(0.01f * static_cast<float>(philox{2}.normal(static_cast<std::uint64_t>(i))));
  routing::layer_sum sums[blocks + 1];
  routing::state_sink sink({v.data(), blocks + 1, width, 0.1, 0.5, 1, 0, blocks + 1}, sums);
  std::vector<std::int32_t> prompt;
  for (std::int32_t i = 0; i < tokens; ++i) prompt.push_back((i * 7919 + 13) % 512);

  const generator<float> generate(model, parameters);
  kv_cache<float> cache(shape, tokens);
  generate.feed(prompt, cache, {nullptr, 0, shape.vocab}, state_tap(shape, sink));
  const double own = sink.probability();
  std::printf("parameters %td, tokens %d\nhone's tap          p = %.8f\n", model.parameters(), tokens, own);

  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model* theirs = llama_model_load_from_file(path.c_str(), llama_model_default_params());
  if (theirs == nullptr) return 1;
  bool wrong = false;
  const auto decode = [&](prompt_tap& taps, std::uint32_t micro_batch, bool all_outputs) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_ubatch = micro_batch;
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.cb_eval = tap;
    params.cb_eval_user_data = &taps;
    llama_context* context = llama_init_from_model(theirs, params);
    llama_batch batch = llama_batch_init(tokens, 0, 1);
    batch.n_tokens = tokens;
    for (std::int32_t i = 0; i < tokens; ++i) {
      batch.token[i] = prompt[static_cast<std::size_t>(i)];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = all_outputs || i + 1 == tokens;
    }
    const double time = seconds([&] { wrong = llama_decode(context, batch) != 0 || wrong; });
    llama_batch_free(batch);
    llama_free(context);
    return time;
  };
  for (const std::uint32_t micro_batch : {64u, 16u}) {
    sink.reset();
    prompt_tap taps{&sink};
    decode(taps, micro_batch, true);
    std::printf("llama.cpp, %2u a time p = %.8f   difference %.1e   nodes %lld   %s\n", micro_batch, sink.probability(),
                std::abs(sink.probability() - own), static_cast<long long>(taps.asked), routing::text_of(sink.why()));
    wrong = wrong || !(std::abs(sink.probability() - own) <= 1e-4);
  }
  sink.reset();
  prompt_tap taps{&sink};
  decode(taps, 64, false);
  std::printf("the last token's output alone: %s\n", routing::text_of(sink.why()));
  wrong = wrong || sink.why() != routing::fault::unequal_tokens || sink.decide() != routing::decision::large_by_fault;

  std::vector<double> plain, tapped, outputs;
  for (int i = 0; i < 15; ++i) {
    prompt_tap none{nullptr};
    plain.push_back(decode(none, 64, false));
    outputs.push_back(decode(none, 64, true));
    sink.reset();
    tapped.push_back(decode(taps, 64, true));
  }
  std::printf("prompt, ms: %.2f; with all outputs %.2f; and tapped %.2f\n", 1e3 * median(plain), 1e3 * median(outputs),
              1e3 * median(tapped));
  llama_model_free(theirs);
  std::filesystem::remove(path);
  return wrong;
}
