// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The shape of the bundled Llama-style decoder, and where each tensor lies in its one parameter buffer.
#pragma once
#include "hone/core/contract.hpp"

#include <string>
#include <vector>

namespace hone::transformer {

/// Which two numbers of a head rotary position embedding turns together: (2i, 2i+1) or (i, i + head_size/2).
enum class rope_layout { interleaved, half };

/// Every field is a plain number, so that a configuration can be read from any file format.
struct config {
  index_t d_model = 64;
  index_t d_ff = 172;
  index_t n_layers = 5;
  index_t n_heads = 8;
  index_t n_kv_heads = 4;
  index_t vocab = 512;
  index_t max_seq = 512;
  double rope_base = 10000.0;
  double norm_eps = 1e-5;
  bool tie_embeddings = true;
  bool causal = true;
  rope_layout rope = rope_layout::interleaved;

  [[nodiscard]] constexpr index_t head_size() const { return d_model / n_heads; }
  [[nodiscard]] constexpr index_t kv_width() const { return n_kv_heads * head_size(); }

  friend bool operator==(const config&, const config&) = default;
};

/// Throws std::invalid_argument naming the field unless every size is positive (at most 2^31 - 1), the heads divide
/// d_model, the kv heads divide the heads, the head size is even, and rope_base and norm_eps are positive and finite.
inline void validate(const config& c) {
  const auto positive = [](index_t value, const char* field) {
    invalid_argument_unless(value > 0 && value <= 2147483647, "hone::transformer::validate", field,
                            "must be in [1, 2^31 - 1], is %td", value);
  };
  positive(c.d_model, "d_model");
  positive(c.d_ff, "d_ff");
  positive(c.n_layers, "n_layers");
  positive(c.n_heads, "n_heads");
  positive(c.n_kv_heads, "n_kv_heads");
  positive(c.vocab, "vocab");
  positive(c.max_seq, "max_seq");
  const char* function = "hone::transformer::validate";
  invalid_argument_unless(c.d_model % c.n_heads == 0, function, "n_heads", "%td does not divide d_model %td", c.n_heads,
                          c.d_model);
  invalid_argument_unless(c.n_heads % c.n_kv_heads == 0, function, "n_kv_heads", "%td does not divide n_heads %td",
                          c.n_kv_heads, c.n_heads);
  invalid_argument_unless(c.head_size() % 2 == 0, function, "d_model", "the head size %td is odd", c.head_size());
  invalid_argument_unless(c.rope_base > 0 && c.rope_base < 1e300, function, "rope_base", "must be positive, is %g",
                          c.rope_base);
  invalid_argument_unless(c.norm_eps > 0 && c.norm_eps < 1e300, function, "norm_eps", "must be positive, is %g",
                          c.norm_eps);
}

enum class tensor_kind { embedding, norm, linear, classifier };

/// One named tensor: @c rows x @c cols row-major numbers from @c offset on (a norm has rows = 1).
struct tensor {
  std::string name;
  tensor_kind kind;
  index_t layer;  ///< -1 outside the layers
  index_t rows;
  index_t cols;
  index_t offset;

  [[nodiscard]] constexpr index_t size() const { return rows * cols; }
};

/// The tensors of a model in buffer order: the order of a llama2.c v0 file (all layers of one kind side by side), so
/// that such a file is one read. Names: tok_emb, att_norm.0, wq.0, wk.0, wv.0, wo.0, ffn_norm.0, w1.0, w2.0, w3.0, …,
/// final_norm, and wcls when the classifier is not tied. Each layer's part is a tensor of its own.
/// @throws std::invalid_argument as `validate`.
inline std::vector<tensor> tensor_table(const config& c) {
  validate(c);
  std::vector<tensor> table;
  index_t offset = 0;
  const auto add = [&](std::string name, tensor_kind kind, index_t layer, index_t rows, index_t cols) {
    table.push_back({std::move(name), kind, layer, rows, cols, offset});
    offset += rows * cols;
  };
  const auto add_layers = [&](const char* name, tensor_kind kind, index_t rows, index_t cols) {
    for (index_t layer = 0; layer < c.n_layers; ++layer)
      add(std::string(name) + "." + std::to_string(layer), kind, layer, rows, cols);
  };
  add("tok_emb", tensor_kind::embedding, -1, c.vocab, c.d_model);
  add_layers("att_norm", tensor_kind::norm, 1, c.d_model);
  add_layers("wq", tensor_kind::linear, c.d_model, c.d_model);
  add_layers("wk", tensor_kind::linear, c.kv_width(), c.d_model);
  add_layers("wv", tensor_kind::linear, c.kv_width(), c.d_model);
  add_layers("wo", tensor_kind::linear, c.d_model, c.d_model);
  add_layers("ffn_norm", tensor_kind::norm, 1, c.d_model);
  add_layers("w1", tensor_kind::linear, c.d_ff, c.d_model);
  add_layers("w2", tensor_kind::linear, c.d_model, c.d_ff);
  add_layers("w3", tensor_kind::linear, c.d_ff, c.d_model);
  add("final_norm", tensor_kind::norm, -1, 1, c.d_model);
  if (!c.tie_embeddings) add("wcls", tensor_kind::classifier, -1, c.vocab, c.d_model);
  return table;
}

/// Numbers in the parameter buffer.
inline index_t parameter_count(const config& c) {
  const std::vector<tensor> table = tensor_table(c);
  return table.back().offset + table.back().size();
}

}  // namespace hone::transformer
