// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// llama.cpp's expert layer (ggml_mul_mat_id for W1, W3 and W2, SwiGLU, gates, sum) beside hone's, forward, on one
// thread, the same sizes as bench/transformer/experts_bench.cpp and equal loads, in turn in one program; medians. Exits
// with 1 if the outputs differ by more than 1e-4 of the largest. With ggml built (its CPU backend; static, no OpenMP):
//
//   g++ -std=c++20 -O3 -march=native -DNDEBUG -Iinclude -Ibench -I<ggml>/include $(pkg-config --cflags eigen3)
//     bench/peers/experts_ggml.cpp <build>/libggml-cpu.a <build>/libggml-base.a
//     -lbenchmark -pthread -ldl -o experts_ggml
#include "hone/core/random.hpp"
#include "hone/moe/route.hpp"
#include "hone/transformer/experts.hpp"
#include "support/roof.hpp"

#include <ggml-cpu.h>
#include <ggml.h>

#include <cmath>
#include <cstdio>

namespace {

using namespace hone;
using namespace hone::transformer;

constexpr index_t d = 256, width = 512, experts = 64, k = 4;

std::vector<float> normals(index_t n, std::uint32_t stream, double scale) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(philox{1, stream}.normal(i) * scale);
  return x;
}

}  // namespace

int main() {
  bool differs = false;
  const config shape{.d_model = d,
                     .n_layers = 1,
                     .n_heads = 1,
                     .n_kv_heads = 1,
                     .vocab = 1,
                     .experts = {.count = experts, .d_ff = width}};
  const parameter_layout layout(shape);
  const std::vector<float> parameters = normals(layout.size(), 2, 0.05);
  const parameter_views<const float> views{layout, parameters.data()};
  std::printf("rows an expert   ggml ms   hone ms   ratio   hone Gflop/s\n");
  for (const index_t rows : {16, 32, 64, 128}) {
    const index_t tokens = rows * experts / k;
    // Each token's experts in turn: equal loads.
    std::vector<float> logits = normals(tokens * experts, 5, 1);
    for (index_t t = 0; t < tokens; ++t)
      for (index_t j = 0; j < k; ++j) logits[static_cast<std::size_t>(t * experts + (t * k + j) % experts)] += 100;
    moe::routing_plan<float> plan;
    moe::route_memory<float> route_memory;
    moe::route<float>(moe::top_k_then_softmax(k), {logits.data(), experts, tokens, 1, experts}, {}, plan, route_memory);
    const std::vector<float> x = normals(tokens * d, 7, 1);

    const std::size_t bytes = std::size_t{16} << 20;
    const auto floats = static_cast<std::size_t>(3 * experts * d * width + tokens * (2 * d + k * (2 * d + 4 * width)));
    ggml_context* c = ggml_init({bytes + 8 * floats, nullptr, false});
    ggml_tensor* w[3];
    for (int i = 0; i < 3; ++i) {
      w[i] = ggml_new_tensor_3d(c, GGML_TYPE_F32, i == 2 ? width : d, i == 2 ? d : width, experts);
      const role which[] = {role::w1, role::w3, role::w2};
      for (index_t e = 0; e < experts; ++e)
        std::memcpy(static_cast<float*>(w[i]->data) + e * d * width, views.matrix({which[i], 0, e}).data(),
                    sizeof(float) * static_cast<std::size_t>(d * width));
    }
    ggml_tensor* in = ggml_new_tensor_3d(c, GGML_TYPE_F32, d, 1, tokens);
    ggml_tensor* ids = ggml_new_tensor_2d(c, GGML_TYPE_I32, k, tokens);
    ggml_tensor* gates = ggml_new_tensor_3d(c, GGML_TYPE_F32, 1, k, tokens);
    std::memcpy(in->data, x.data(), sizeof(float) * x.size());
    for (index_t e = 0; e < experts; ++e)
      for (index_t s = plan.offsets[static_cast<std::size_t>(e)]; s < plan.offsets[static_cast<std::size_t>(e) + 1];
           ++s) {
        const index_t t = plan.token[static_cast<std::size_t>(s)];
        index_t place = 0;  // of ascending experts
        while (plan.slot[static_cast<std::size_t>(plan.token_offsets[static_cast<std::size_t>(t)] + place)] != s)
          ++place;
        static_cast<std::int32_t*>(ids->data)[t * k + place] = static_cast<std::int32_t>(e);
        static_cast<float*>(gates->data)[t * k + place] = plan.gate[static_cast<std::size_t>(s)];
      }
    ggml_tensor* gate = ggml_mul_mat_id(c, w[0], in, ids);
    ggml_tensor* up = ggml_mul_mat_id(c, w[1], in, ids);
    ggml_tensor* down = ggml_mul_mat_id(c, w[2], ggml_swiglu_split(c, gate, up), ids);
    ggml_tensor* weighted = ggml_mul(c, down, gates);
    ggml_tensor* sum = nullptr;
    for (index_t j = 0; j < k; ++j) {
      ggml_tensor* one =
          ggml_view_2d(c, weighted, d, tokens, weighted->nb[2], static_cast<std::size_t>(j) * weighted->nb[1]);
      sum = sum == nullptr ? one : ggml_add(c, sum, one);
    }
    ggml_cgraph* graph = ggml_new_graph(c);
    ggml_build_forward_expand(graph, sum);

    std::vector<float> memory, y(x.size());
    expert_memory<float> rows_of_experts;
    const frozen_products<float, parameter_views<const float>> products{views, memory};
    const auto own = [&] {
      std::fill(y.begin(), y.end(), 0.0f);
      experts_forward(products, 0, plan, matrix_view<const float>(x.data(), tokens, d),
                      rows_of_experts.passing(plan, d, width), matrix_view<float>(y.data(), tokens, d));
    };
    std::vector<double> theirs, ours;
    for (int i = 0; i < 15; ++i) {
      theirs.push_back(seconds([&] { ggml_graph_compute_with_ctx(c, graph, 1); }));
      ours.push_back(seconds(own));
    }
    float largest = 0, error = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      largest = std::max(largest, std::abs(y[i]));
      error = std::max(error, std::abs(y[i] - static_cast<float*>(sum->data)[i]));
    }
    differs = differs || !(error <= 1e-4f * largest);
    const double flops = 6.0 * d * width * static_cast<double>(plan.size());
    std::printf("%14td %9.2f %9.2f %7.2f %14.1f\n", rows, 1e3 * median(theirs), 1e3 * median(ours),
                median(theirs) / median(ours), flops / median(ours) * 1e-9);
    ggml_free(c);
  }
  return differs;
}
