// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The shape of the bundled decoder (Llama, Qwen2, Qwen3, Mistral; with experts Mixtral, OLMoE, Qwen3-MoE, LLaDA-MoE),
/// and where each tensor lies in its one parameter buffer.
#pragma once
#include "hone/moe/router.hpp"

#include <algorithm>
#include <charconv>
#include <compare>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// Which two elements of a head rotary position embedding turns together: (2i, 2i+1) or (i, i + head_size/2).
enum class rope_layout { interleaved, half };

/// Rotary embedding for longer contexts than a model was first trained on: its frequencies f, made slower.
///   linear   f / factor
///   llama3   f / factor where f turns less than low_frequency times within original_max_seq positions, f where it
///            turns more than high_frequency times, and between them a mixture of both, linear in the turns
struct rope_scaling {
  enum class method { none, linear, llama3 } how = method::none;
  double factor = 1;
  double low_frequency = 1;
  double high_frequency = 4;
  index_t original_max_seq = 8192;

  friend bool operator==(const rope_scaling&, const rope_scaling&) = default;
};

/// What RMSNorm of queries and keys, before they are turned, goes over: each head, with the same weights for all, or
/// all heads together, with weights for every element.
enum class query_key_norm { none, heads, whole };

/// Layers whose feed-forward half is experts that a router chooses between. Layer i is one where i + 1 is a multiple of
/// @c every, but not if it is in @c dense.
struct expert_layers {
  index_t count = 0;        ///< experts; 0: all layers are dense
  index_t d_ff = 0;         ///< width of an expert
  index_t shared_d_ff = 0;  ///< of one more, through which all rows go, without a gate; 0: none
  moe::router router = moe::top_k_then_softmax(2);
  bool selection_bias = false;   ///< a bias an expert that the ranking adds and the gates leave out
  bool sees_the_future = false;  ///< says that a causal model may have a router that does
  index_t every = 1;
  std::vector<index_t> dense = {};

  friend bool operator==(const expert_layers&, const expert_layers&) = default;
};

/// The shape of a decoder; `validate` says what fits together.
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
  /// Of a model that is not causal: a position looks at those of its own block, of so many positions, and of the blocks
  /// before it; 0: at all of them.
  index_t block = 0;
  std::int32_t mask_token = -1;  ///< stands for a token that a model that is not causal is to predict; -1: none does
  rope_layout rope = rope_layout::interleaved;
  rope_scaling scaling = {};
  index_t head_width = 0;    ///< elements of a head; 0: d_model / n_heads
  bool qkv_bias = false;     ///< on the queries, keys and values
  bool output_bias = false;  ///< on the attention's output
  query_key_norm qk_norm = query_key_norm::none;
  double clip_qkv = 0;  ///< queries, keys and values are cut to [-clip_qkv, clip_qkv] before they are turned; 0: not
  index_t window = 0;   ///< a query looks at itself and the window - 1 positions before it; 0: at all of them
  index_t full_layers = 0;  ///< the first layers that look at all positions whatever the window
  index_t outputs = 0;      ///< of an untied classifier: 1 makes a critic; 0: the vocabulary
  expert_layers experts = {};

  [[nodiscard]] constexpr index_t head_size() const { return head_width > 0 ? head_width : d_model / n_heads; }
  [[nodiscard]] constexpr index_t q_width() const { return n_heads * head_size(); }
  [[nodiscard]] constexpr index_t kv_width() const { return n_kv_heads * head_size(); }
  [[nodiscard]] constexpr index_t window_of(index_t layer) const { return layer < full_layers ? 0 : window; }
  /// Elements of the norm of queries or keys that have @p width together.
  [[nodiscard]] constexpr index_t qk_norm_size(index_t width) const {
    return qk_norm == query_key_norm::whole ? width : head_size();
  }
  /// Whether the layer's feed-forward half is experts.
  [[nodiscard]] bool sparse(index_t layer) const {
    return experts.count > 0 && (layer + 1) % experts.every == 0 &&
           std::find(experts.dense.begin(), experts.dense.end(), layer) == experts.dense.end();
  }
  /// Elements of a row of logits.
  [[nodiscard]] constexpr index_t output_width() const { return outputs > 0 ? outputs : vocab; }

  friend bool operator==(const config&, const config&) = default;
};

/// Throws std::invalid_argument naming the field unless every size is positive (at most 2^31 - 1), the heads divide
/// d_model where it gives the head size, the kv heads divide the heads, the head size is even, numbers of RoPE and
/// norm_eps are positive and finite, its scaling does not make rotation faster, only a causal model has a window, only
/// one that is not has blocks or a mask, which is of its vocabulary, only an untied classifier has outputs of its own,
/// and experts have a width, a router that `moe::validate` takes, that asks for at most as many experts a token as
/// there are and that, unless it is said to, does not see the future of a causal model, or blocks to come of a model
/// that has blocks, and layers that the model has.
inline void validate(const config& c) {
  const char* function = "hone::transformer::validate";
  const auto between = [&](index_t value, index_t least, const char* field) {
    invalid_argument_unless(value >= least && value <= 2147483647, function, field,
                            "must be in [%td, 2^31 - 1], is %td", least, value);
  };
  const auto positive = [&](double value, const char* field) {
    invalid_argument_unless(value > 0 && value < 1e300, function, field, "must be positive, is %g", value);
  };
  between(c.d_model, 1, "d_model");
  between(c.d_ff, 1, "d_ff");
  between(c.n_layers, 1, "n_layers");
  between(c.n_heads, 1, "n_heads");
  between(c.n_kv_heads, 1, "n_kv_heads");
  between(c.vocab, 1, "vocab");
  between(c.max_seq, 1, "max_seq");
  between(c.block, 0, "block");
  between(c.head_width, 0, "head_width");
  between(c.window, 0, "window");
  between(c.full_layers, 0, "full_layers");
  between(c.outputs, 0, "outputs");
  invalid_argument_unless(c.head_width > 0 || c.d_model % c.n_heads == 0, function, "n_heads",
                          "%td does not divide d_model %td", c.n_heads, c.d_model);
  invalid_argument_unless(c.n_heads % c.n_kv_heads == 0, function, "n_kv_heads", "%td does not divide n_heads %td",
                          c.n_kv_heads, c.n_heads);
  invalid_argument_unless(c.head_size() % 2 == 0, function, c.head_width > 0 ? "head_width" : "d_model",
                          "the head size %td is odd", c.head_size());
  between(c.q_width(), 1, "n_heads * head_width");
  positive(c.rope_base, "rope_base");
  positive(c.norm_eps, "norm_eps");
  if (c.scaling.how != rope_scaling::method::none) {
    invalid_argument_unless(c.scaling.factor >= 1 && c.scaling.factor < 1e300, function, "scaling.factor",
                            "must be at least 1, is %g", c.scaling.factor);
  }
  if (c.scaling.how == rope_scaling::method::llama3) {
    positive(c.scaling.low_frequency, "scaling.low_frequency");
    invalid_argument_unless(c.scaling.high_frequency > c.scaling.low_frequency && c.scaling.high_frequency < 1e300,
                            function, "scaling.high_frequency", "must be above the low one, %g, is %g",
                            c.scaling.low_frequency, c.scaling.high_frequency);
    between(c.scaling.original_max_seq, 1, "scaling.original_max_seq");
  }
  invalid_argument_unless(c.causal || c.window == 0, function, "window", "only a causal model has one, is %td",
                          c.window);
  invalid_argument_unless(!c.causal || c.block == 0, function, "block", "a causal model has none, is %td", c.block);
  invalid_argument_unless(c.mask_token >= -1 && c.mask_token < c.vocab, function, "mask_token",
                          "must be -1 or one of %td tokens, is %d", c.vocab, c.mask_token);
  invalid_argument_unless(!c.causal || c.mask_token == -1, function, "mask_token", "a causal model has none, is %d",
                          c.mask_token);
  invalid_argument_unless(!c.tie_embeddings || c.outputs == 0, function, "outputs",
                          "a classifier that is the embedding has none of its own, is %td", c.outputs);
  invalid_argument_unless(c.clip_qkv >= 0 && c.clip_qkv < 1e300, function, "clip_qkv",
                          "must be finite and not negative, is %g", c.clip_qkv);
  const expert_layers& e = c.experts;
  between(e.count, 0, "experts.count");
  if (e.count == 0) return;
  between(e.d_ff, 1, "experts.d_ff");
  between(e.shared_d_ff, 0, "experts.shared_d_ff");
  between(e.every, 1, "experts.every");
  for (const index_t layer : e.dense)
    invalid_argument_unless(layer >= 0 && layer < c.n_layers, function, "experts.dense", "layer %td, the model has %td",
                            layer, c.n_layers);
  moe::validate(e.router);
  invalid_argument_unless(e.router.per_token <= e.count, function, "experts.router",
                          "%td experts a token, there are %td", e.router.per_token, e.count);
  invalid_argument_unless(
      !c.causal || e.sees_the_future || !moe::sees_the_future(e.router), function, "experts.router",
      "sees tokens that a causal model is to predict: sees_the_future allows it, and a capacity that drops "
      "by drop_policy::position does not");
  // Where a sequence is the pool, a block of it is.
  invalid_argument_unless(
      c.block == 0 || e.sees_the_future || e.router.over == moe::pool::sequence || !moe::sees_the_future(e.router),
      function, "experts.router",
      "sees blocks that come later: moe::pool::sequence keeps it to a token's own block, sees_the_future allows it");
}

enum class tensor_kind { embedding, norm, linear, bias, classifier };

/// What a tensor does, in the order of `tensor_table`.
enum class role {
  tok_emb,
  att_norm,
  wq,
  bq,
  q_norm,
  wk,
  bk,
  k_norm,
  wv,
  bv,
  wo,
  bo,
  ffn_norm,
  router,
  selection_bias,
  w1,
  w2,
  w3,
  shared_w1,
  shared_w2,
  shared_w3,
  final_norm,
  wcls
};
inline constexpr const char* role_names[] = {
    "tok_emb",   "att_norm",   "wq",       "bq",     "q_norm",         "wk", "bk", "k_norm", "wv",        "bv",
    "wo",        "bo",         "ffn_norm", "router", "selection_bias", "w1", "w2", "w3",     "shared_w1", "shared_w2",
    "shared_w3", "final_norm", "wcls"};
inline constexpr index_t roles = static_cast<index_t>(role::wcls) + 1;
static_assert(std::size(role_names) == std::size_t{roles});

/// The bias that a matrix has where the configuration asks for one; the role itself where there is never one.
constexpr role bias_of(role matrix) {
  using enum role;
  return matrix == wq ? bq : matrix == wk ? bk : matrix == wv ? bv : matrix == wo ? bo : matrix;
}

/// Which tensor of a model: what products, observers, adapters and files name it by. Ordered as `tensor_table` is.
struct tensor_id {
  transformer::role role;
  index_t layer = -1;   ///< -1 outside the layers
  index_t expert = -1;  ///< -1 where a layer has one such tensor, which all rows go through

  friend constexpr auto operator<=>(const tensor_id&, const tensor_id&) = default;
};

/// "tok_emb", "wq.3"; "w1.3.5" of expert 5.
inline std::string name_of(const tensor_id& id) {
  std::string name = role_names[static_cast<std::size_t>(id.role)];
  for (const index_t number : {id.layer, id.expert})
    if (number >= 0) (name += '.') += std::to_string(number);
  return name;
}

/// The tensor that `name_of` calls @p name; none where no tensor could be called so.
inline std::optional<tensor_id> tensor_of(std::string_view name) {
  index_t numbers[2] = {-1, -1};
  const std::string_view first = name.substr(0, name.find('.'));
  std::string_view rest = name.substr(first.size());
  for (index_t& number : numbers) {
    if (rest.empty()) break;
    const char* const end = rest.data() + rest.size();
    const auto [stopped, error] = std::from_chars(rest.data() + 1, end, number);
    const bool canonical = rest.size() > 1 && (rest[1] != '0' || stopped == rest.data() + 2);
    if (error != std::errc() || number < 0 || !canonical) return {};
    rest = {stopped, static_cast<std::size_t>(end - stopped)};
    if (!rest.empty() && rest[0] != '.') return {};
  }
  if (!rest.empty()) return {};
  for (std::size_t r = 0; r < std::size(role_names); ++r) {
    const auto found = static_cast<role>(r);
    const bool outside = found == role::tok_emb || found == role::final_norm || found == role::wcls;
    if (first == role_names[r] && outside == (numbers[0] < 0)) return tensor_id{found, numbers[0], numbers[1]};
  }
  return {};
}

/// One named tensor: @c rows x @c cols row-major elements from @c offset on (a norm and a bias have rows = 1).
struct tensor {
  std::string name;  ///< as `name_of`
  tensor_kind kind;
  tensor_id id;
  index_t rows;
  index_t cols;
  index_t offset;

  [[nodiscard]] constexpr index_t size() const { return rows * cols; }
};

/// The tensors of a model in buffer order: the order of a llama2.c v0 file (all layers of one kind side by side), so
/// that such a file is one read. Names: tok_emb, att_norm.0, wq.0, wk.0, wv.0, wo.0, ffn_norm.0, w1.0, w2.0, w3.0, …,
/// final_norm, and wcls when the classifier is not tied. Each layer's part is a tensor of its own. What a configuration
/// has beyond that comes after its matrix: bq.0, q_norm.0, bk.0, k_norm.0, bv.0, bo.0. A layer of experts has router.0
/// (a row an expert) before its matrices, w1.0.0, w1.0.1, … of each expert, and shared_w1.0, … after them.
/// @throws std::invalid_argument as `validate`, or if the model has more than 10^18 parameters.
inline std::vector<tensor> tensor_table(const config& c) {
  validate(c);
  const auto f = [](index_t x) { return static_cast<double>(x); };  // products of sizes overflow an index
  const double feed_forward = f(c.d_ff) + f(c.experts.shared_d_ff) + f(c.experts.count) * f(c.experts.d_ff);
  const double a_layer = 2 * f(c.q_width() + c.kv_width()) + 3 * feed_forward;
  const double parameters = f(c.d_model) * (f(c.vocab) + f(c.output_width()) + f(c.n_layers) * a_layer);
  invalid_argument_unless(parameters < 1e18, "hone::transformer::tensor_table", "c", "has about %g parameters",
                          parameters);
  std::vector<tensor> table;
  index_t offset = 0;
  const auto add = [&](role r, tensor_kind kind, index_t layer, index_t rows, index_t cols, index_t expert = -1) {
    const tensor_id id{r, layer, expert};
    table.push_back({name_of(id), kind, id, rows, cols, offset});
    offset += rows * cols;
  };
  const auto add_layers = [&](bool present, role r, tensor_kind kind, index_t rows, index_t cols) {
    for (index_t layer = 0; present && layer < c.n_layers; ++layer) add(r, kind, layer, rows, cols);
  };
  const expert_layers& experts = c.experts;
  const auto add_sparse = [&](bool present, role r, tensor_kind kind, index_t rows, index_t cols) {
    for (index_t layer = 0; present && layer < c.n_layers; ++layer)
      if (c.sparse(layer)) add(r, kind, layer, rows, cols);
  };
  const auto add_feed_forward = [&](role r, bool out) {  // W2 goes out, back to d_model
    const auto sized = [&](index_t layer, index_t width, index_t expert) {
      add(r, tensor_kind::linear, layer, out ? c.d_model : width, out ? width : c.d_model, expert);
    };
    for (index_t layer = 0; layer < c.n_layers; ++layer) {
      if (!c.sparse(layer)) sized(layer, c.d_ff, -1);
      for (index_t e = 0; c.sparse(layer) && e < experts.count; ++e) sized(layer, experts.d_ff, e);
    }
  };
  using enum tensor_kind;
  using enum role;
  add(tok_emb, embedding, -1, c.vocab, c.d_model);
  add_layers(true, att_norm, norm, 1, c.d_model);
  add_layers(true, wq, linear, c.q_width(), c.d_model);
  add_layers(c.qkv_bias, bq, bias, 1, c.q_width());
  const bool normed = c.qk_norm != query_key_norm::none;
  add_layers(normed, q_norm, norm, 1, c.qk_norm_size(c.q_width()));
  add_layers(true, wk, linear, c.kv_width(), c.d_model);
  add_layers(c.qkv_bias, bk, bias, 1, c.kv_width());
  add_layers(normed, k_norm, norm, 1, c.qk_norm_size(c.kv_width()));
  add_layers(true, wv, linear, c.kv_width(), c.d_model);
  add_layers(c.qkv_bias, bv, bias, 1, c.kv_width());
  add_layers(true, wo, linear, c.d_model, c.q_width());
  add_layers(c.output_bias, bo, bias, 1, c.d_model);
  add_layers(true, ffn_norm, norm, 1, c.d_model);
  add_sparse(true, router, linear, experts.count, c.d_model);
  add_sparse(experts.selection_bias, selection_bias, bias, 1, experts.count);
  add_feed_forward(w1, false);
  add_feed_forward(w2, true);
  add_feed_forward(w3, false);
  const bool shared = experts.shared_d_ff > 0;
  add_sparse(shared, shared_w1, linear, experts.shared_d_ff, c.d_model);
  add_sparse(shared, shared_w2, linear, c.d_model, experts.shared_d_ff);
  add_sparse(shared, shared_w3, linear, experts.shared_d_ff, c.d_model);
  add(final_norm, norm, -1, 1, c.d_model);
  if (!c.tie_embeddings) add(wcls, classifier, -1, c.output_width(), c.d_model);
  return table;
}

/// Elements of the parameter buffer.
inline index_t parameter_count(const config& c) {
  const std::vector<tensor> table = tensor_table(c);
  return table.back().offset + table.back().size();
}

}  // namespace HONE_NAMESPACE::transformer
