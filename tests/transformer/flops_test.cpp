// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/flops.hpp"

#include "hone/transformer/decoder.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEST_CASE("the counted operations are those of the products that an observer sees, and of attention") {
  std::vector<config> models = small_models();
  models.push_back(
      {.d_model = 12,
       .d_ff = 10,
       .n_layers = 3,
       .n_heads = 3,
       .n_kv_heads = 3,
       .vocab = 13,
       .max_seq = 60,
       .tie_embeddings = false,
       .causal = false,
       .experts = {.count = 5, .d_ff = 7, .shared_d_ff = 6, .router = moe::expert_choice(2), .dense = {1}}});
  for (const config& c : models) {
    const decoder<float> model(c);
    const auto parameters = normals<float>(model.parameters(), 1, 0.3);
    const sequences s(c);
    workspace<float> w(c, 24);
    double products = 0, experts = 0;
    model.forward(parameters, s.all(), w, [&](const tensor_id& id, const auto& x, const auto& y) {
      const auto own = 2.0 * static_cast<double>(x.rows() * x.cols() * y.cols());
      (id.expert >= 0 ? experts : products) += own;
    });
    index_t executed = 0;
    for (index_t layer = 0; layer < c.n_layers; ++layer)
      if (c.sparse(layer)) executed += w.plan(layer).size();
    index_t pairs = 0;  // of a query and a key that it looks at
    for (index_t layer = 0; layer < c.n_layers; ++layer)
      for (const index_t length : {14, 1, 0, 9})
        for (index_t t = 0; t < length; ++t)
          for (index_t key = 0; key < length; ++key)
            pairs += c.causal       ? key <= t && (c.window_of(layer) == 0 || key > t - c.window_of(layer))
                     : c.block == 0 ? 1
                                    : key / c.block <= t / c.block;
    const double attention = 4.0 * static_cast<double>(c.q_width() * pairs);
    CHECK(forward_flops(c, s.offsets, executed) == Approx(products + experts + attention));
    CHECK(forward_flops(c, s.offsets) == Approx(products + attention));
  }
  CHECK(forward_flops(models[0], {}) == 0);
}
