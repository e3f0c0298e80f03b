// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/config.hpp"

#include "support/catch.hpp"

#include <limits>

using namespace hone::transformer;
using hone::index_t;

TEST_CASE("stories260K has 260,032 parameters, side by side in file order") {
  const auto table = tensor_table({});
  CHECK(parameter_count({}) == 260032);
  index_t offset = 0;
  for (const tensor& t : table) {
    CHECK(t.offset == offset);
    offset += t.size();
  }
  CHECK(table.front().name == "tok_emb");
  CHECK(table[1].name == "att_norm.0");
  CHECK(table.back().name == "final_norm");
  CHECK(table.size() == 2 + 9 * 5);
}

TEST_CASE("an untied classifier comes last") {
  const config c{.tie_embeddings = false};
  CHECK(tensor_table(c).back().name == "wcls");
  CHECK(parameter_count(c) == 260032 + 512 * 64);
}

TEST_CASE("a classifier may have outputs of its own, if it is not the embedding") {
  const config critic{.tie_embeddings = false, .outputs = 1};
  CHECK(critic.output_width() == 1);
  CHECK(tensor_table(critic).back().rows == 1);
  CHECK(parameter_count(critic) == 260032 + 64);
  CHECK(config{}.output_width() == 512);
  CHECK_THROWS_WITH(validate({.outputs = 1}), Catch::Contains("outputs: a classifier that is the embedding"));
  CHECK_THROWS_WITH(validate({.tie_embeddings = false, .outputs = -1}),
                    Catch::Contains("outputs: must be in [0, 2^31"));
}

TEST_CASE("a shape that cannot be is refused by the name of its field") {
  CHECK_THROWS_WITH(validate({.n_layers = 0}), Catch::Contains("n_layers: must be in [1, 2^31 - 1], is 0"));
  CHECK_THROWS_WITH(validate({.vocab = -512}), Catch::Contains("vocab"));
  CHECK_THROWS_WITH(validate({.n_heads = 7}), Catch::Contains("7 does not divide d_model 64"));
  CHECK_THROWS_WITH(validate({.n_kv_heads = 3}), Catch::Contains("3 does not divide n_heads 8"));
  CHECK_THROWS_WITH(validate({.d_model = 24}), Catch::Contains("head size 3 is odd"));
  CHECK_THROWS_WITH(validate({.norm_eps = 0}), Catch::Contains("norm_eps"));
  CHECK_THROWS_WITH(validate({.rope_base = std::numeric_limits<double>::quiet_NaN()}), Catch::Contains("rope_base"));
  CHECK_THROWS_AS(validate({.d_model = index_t{1} << 40}), std::invalid_argument);
  CHECK_THROWS_WITH(validate({.head_width = -2}), Catch::Contains("head_width: must be in [0, 2^31 - 1], is -2"));
  CHECK_THROWS_WITH(validate({.head_width = 5}), Catch::Contains("head_width: the head size 5 is odd"));
  CHECK_THROWS_WITH(validate({.head_width = 2147483646}), Catch::Contains("n_heads * head_width"));
  CHECK_THROWS_WITH(validate({.window = -1}), Catch::Contains("window"));
  CHECK_THROWS_WITH(validate({.full_layers = -1}), Catch::Contains("full_layers"));
  CHECK_THROWS_WITH(validate({.causal = false, .window = 4}),
                    Catch::Contains("window: only a causal model has one, is 4"));
  CHECK_THROWS_WITH(validate({.causal = false, .block = -1}), Catch::Contains("block: must be in [0, 2^31 - 1]"));
  CHECK_THROWS_WITH(validate({.block = 4}), Catch::Contains("block: a causal model has none, is 4"));
  CHECK_THROWS_WITH(validate({.mask_token = 4}), Catch::Contains("mask_token: a causal model has none, is 4"));
  CHECK_THROWS_WITH(validate({.causal = false, .mask_token = 512}),
                    Catch::Contains("mask_token: must be -1 or one of 512 tokens, is 512"));
  CHECK_THROWS_WITH(validate({.causal = false, .mask_token = -2}), Catch::Contains("mask_token"));
  CHECK_NOTHROW(validate({.causal = false, .block = 4, .mask_token = 511}));
  using enum rope_scaling::method;
  CHECK_THROWS_WITH(validate({.scaling = {.how = linear, .factor = 0.5}}), Catch::Contains("scaling.factor"));
  CHECK_THROWS_WITH(validate({.scaling = {.how = llama3, .factor = std::numeric_limits<double>::infinity()}}),
                    Catch::Contains("scaling.factor"));
  CHECK_THROWS_WITH(validate({.scaling = {.how = llama3, .low_frequency = 0}}), Catch::Contains("low_frequency"));
  CHECK_THROWS_WITH(validate({.scaling = {.how = llama3, .low_frequency = 4}}), Catch::Contains("high_frequency"));
  CHECK_THROWS_WITH(validate({.scaling = {.how = llama3, .original_max_seq = 0}}), Catch::Contains("original_max_seq"));
  CHECK_NOTHROW(validate({.d_model = 50, .n_heads = 8, .head_width = 6}));
  constexpr index_t most = 2147483647;
  CHECK_THROWS_WITH(
      tensor_table(
          {.d_model = 2147483644, .d_ff = most, .n_layers = most, .n_heads = 1, .n_kv_heads = 1, .vocab = most}),
      Catch::Contains("c: has about"));
  CHECK_THROWS_WITH(tensor_table({.d_model = 2147483644,
                                  .n_layers = 4,
                                  .n_heads = 1,
                                  .n_kv_heads = 1,
                                  .head_width = 2,
                                  .experts = {.count = 2, .d_ff = 1, .shared_d_ff = most}}),
                    Catch::Contains("c: has about"));
}

TEST_CASE("a head size of its own, biases and norms of heads are tensors after their matrices") {
  const config c{.d_model = 10,
                 .d_ff = 6,
                 .n_layers = 2,
                 .n_heads = 4,
                 .n_kv_heads = 2,
                 .vocab = 7,
                 .head_width = 8,
                 .qkv_bias = true,
                 .output_bias = true,
                 .qk_norm = query_key_norm::heads};
  std::string names;
  index_t offset = 0;
  for (const tensor& t : tensor_table(c)) {
    CHECK(t.offset == offset);
    offset += t.size();
    if (t.id.layer == 1) names += t.name + " " + std::to_string(t.rows) + "x" + std::to_string(t.cols) + "\n";
  }
  CHECK(names ==
        "att_norm.1 1x10\nwq.1 32x10\nbq.1 1x32\nq_norm.1 1x8\nwk.1 16x10\nbk.1 1x16\nk_norm.1 1x8\nwv.1 16x10\n"
        "bv.1 1x16\nwo.1 10x32\nbo.1 1x10\nffn_norm.1 1x10\nw1.1 6x10\nw2.1 10x6\nw3.1 6x10\n");
  CHECK(parameter_count(c) == offset);
  CHECK((c.window_of(0) == 0 && config{.window = 4, .full_layers = 1}.window_of(0) == 0 &&
         config{.window = 4, .full_layers = 1}.window_of(1) == 4));
}

TEST_CASE("a tensor's name says which it is, and the other way round; experts have a number more") {
  config c = {
      .n_layers = 12, .tie_embeddings = false, .qkv_bias = true, .output_bias = true, .qk_norm = query_key_norm::heads};
  const auto table = tensor_table(c);
  for (std::size_t i = 0; i < table.size(); ++i) {
    CAPTURE(table[i].name);
    CHECK(table[i].name == name_of(table[i].id));
    CHECK(tensor_of(table[i].name) == table[i].id);
    CHECK((i == 0 || table[i - 1].id < table[i].id));
  }
  CHECK(name_of({role::w1, 3, 5}) == "w1.3.5");
  CHECK(tensor_of("w1.3.5") == tensor_id{role::w1, 3, 5});
  CHECK(tensor_of("w1.0.0") == tensor_id{role::w1, 0, 0});
  for (const char* name : {"", ".", "w1", "w1.", "w1.x", "w1.-1", "w1.+1", "w1.01", "w1.1.", "w1.1.2.3", "w1.1x",
                           "w4.0", "tok_emb.0", "wcls.1", ".0", "w1.99999999999999999999"}) {
    CAPTURE(name);
    CHECK(!tensor_of(name));
  }
  CHECK(bias_of(role::wk) == role::bk);
  CHECK(bias_of(role::w1) == role::w1);
}

TEST_CASE("layers of experts have a router and a matrix an expert, dense ones what they had") {
  config c{.d_model = 10,
           .d_ff = 6,
           .n_layers = 4,
           .n_heads = 5,
           .n_kv_heads = 1,
           .vocab = 7,
           .qk_norm = query_key_norm::whole,
           .experts = {.count = 3, .d_ff = 4, .shared_d_ff = 8, .selection_bias = true, .every = 2, .dense = {1}}};
  CHECK((!c.sparse(0) && !c.sparse(1) && !c.sparse(2) && c.sparse(3)));
  std::string names[2];
  index_t offset = 0;
  for (const tensor& t : tensor_table(c)) {
    CHECK(t.offset == offset);
    CHECK(tensor_of(t.name) == t.id);
    offset += t.size();
    if (t.id.layer == 1 || t.id.layer == 3)
      names[t.id.layer / 2] += t.name + " " + std::to_string(t.rows) + "x" + std::to_string(t.cols) + "\n";
  }
  CHECK(parameter_count(c) == offset);
  const auto attention = [](const std::string& l) {
    return "att_norm." + l + " 1x10\nwq." + l + " 10x10\nq_norm." + l + " 1x10\nwk." + l + " 2x10\nk_norm." + l +
           " 1x2\nwv." + l + " 2x10\nwo." + l + " 10x10\nffn_norm." + l + " 1x10\n";
  };
  CHECK(names[0] == attention("1") + "w1.1 6x10\nw2.1 10x6\nw3.1 6x10\n");
  CHECK(names[1] == attention("3") +
                        "router.3 3x10\nselection_bias.3 1x3\nw1.3.0 4x10\nw1.3.1 4x10\nw1.3.2 4x10\nw2.3.0 10x4\n"
                        "w2.3.1 10x4\nw2.3.2 10x4\nw3.3.0 4x10\nw3.3.1 4x10\nw3.3.2 4x10\nshared_w1.3 8x10\n"
                        "shared_w2.3 10x8\nshared_w3.3 8x10\n");
  const auto refused = [&](auto change, const char* part) {
    config other = c;
    change(other);
    CAPTURE(part);
    CHECK_THROWS_WITH(validate(other), Catch::Contains(part));
  };
  refused([](config& o) { o.experts.d_ff = 0; }, "experts.d_ff: must be in [1");
  refused([](config& o) { o.experts.count = -1; }, "experts.count: must be in [0");
  refused([](config& o) { o.experts.shared_d_ff = -1; }, "experts.shared_d_ff: must be in [0");
  refused([](config& o) { o.experts.every = 0; }, "experts.every: must be in [1");
  refused([](config& o) { o.experts.dense = {4}; }, "experts.dense: layer 4, the model has 4");
  refused([](config& o) { o.experts.dense = {-1}; }, "experts.dense: layer -1");
  refused([](config& o) { o.experts.router.per_token = 4; }, "experts.router: 4 experts a token, there are 3");
  refused([](config& o) { o.experts.router = hone::moe::expert_choice(1); },
          "sees tokens that a causal model is to predict");
  refused([](config& o) { o.clip_qkv = -1; }, "clip_qkv: must be finite");
  c.experts.router = hone::moe::expert_choice(1);
  c.experts.sees_the_future = true;
  CHECK_NOTHROW(validate(c));
  c.experts.sees_the_future = c.causal = false;
  CHECK_NOTHROW(validate(c));
  c.block = 2;  // experts then choose within a block
  CHECK_NOTHROW(validate(c));
  for (const auto& router :
       {hone::moe::expert_choice(1, hone::moe::pool::batch), hone::moe::expert_race(1, hone::moe::pool::batch),
        hone::moe::sinkhorn_balanced(1), hone::moe::softmax_then_top_k(1, {1, 1})}) {
    c.experts.router = router;
    CHECK_THROWS_WITH(validate(c), Catch::Contains("experts.router: sees blocks that come later"));
  }
  c.experts.router = hone::moe::softmax_then_top_k(1);
  CHECK_NOTHROW(validate(c));
}

TEST_CASE("every size and number of a shape has its borders") {
  struct bounded {
    index_t config::* at;
    index_t least;
    const char* name;
  };
  for (const bounded& b : std::vector<bounded>{{&config::d_model, 1, "d_model"},
                                               {&config::d_ff, 1, "d_ff"},
                                               {&config::n_layers, 1, "n_layers"},
                                               {&config::n_heads, 1, "n_heads"},
                                               {&config::n_kv_heads, 1, "n_kv_heads"},
                                               {&config::vocab, 1, "vocab"},
                                               {&config::max_seq, 1, "max_seq"},
                                               {&config::block, 0, "block"},
                                               {&config::head_width, 0, "head_width"},
                                               {&config::window, 0, "window"},
                                               {&config::full_layers, 0, "full_layers"},
                                               {&config::outputs, 0, "outputs"}})
    for (const index_t value : {b.least - 1, index_t{2147483648}}) {
      config c{.tie_embeddings = false, .causal = b.at != &config::block};
      c.*b.at = value;
      CHECK_THROWS_WITH(validate(c), Catch::Contains(std::string(b.name) + ": must be in [" + std::to_string(b.least) +
                                                     ", 2^31 - 1], is " + std::to_string(value)));
    }
  constexpr index_t most = 2147483647;
  CHECK_NOTHROW(validate({.d_ff = most, .n_layers = most, .vocab = most, .max_seq = most, .window = most}));
  CHECK_NOTHROW(validate({.tie_embeddings = false, .full_layers = most, .outputs = most}));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -1.0, nan, infinity}) {
    CHECK_THROWS_WITH(validate({.rope_base = bad}), Catch::Contains("rope_base: must be positive"));
    CHECK_THROWS_WITH(validate({.norm_eps = bad}), Catch::Contains("norm_eps: must be positive"));
  }
  CHECK_NOTHROW(validate({.rope_base = 1e299, .norm_eps = 1e-299}));
  for (const double bad : {-1e-9, nan, infinity})
    CHECK_THROWS_WITH(validate({.clip_qkv = bad}), Catch::Contains("clip_qkv: must be finite and not negative"));
  using enum rope_scaling::method;
  CHECK_NOTHROW(validate({.scaling = {.how = linear, .factor = 1}}));
  CHECK_THROWS_WITH(validate({.scaling = {.how = linear, .factor = nan}}), Catch::Contains("scaling.factor"));
  for (const double bad : {nan, infinity}) {
    CHECK_THROWS_WITH(validate({.scaling = {.how = llama3, .low_frequency = bad}}), Catch::Contains("low_frequency"));
    CHECK_THROWS_WITH(validate({.scaling = {.how = llama3, .high_frequency = bad}}), Catch::Contains("high_frequency"));
  }
  CHECK_NOTHROW(validate({.scaling = {.how = none, .factor = nan, .low_frequency = nan, .original_max_seq = 0}}));
  CHECK_NOTHROW(validate({.causal = false, .mask_token = 0}));
  config c{.causal = false, .block = 2, .experts = {.count = 2, .d_ff = 1}};
  c.experts.router = hone::moe::expert_choice(2, hone::moe::pool::batch);  // as many a token as there are
  c.experts.sees_the_future = true;
  CHECK_NOTHROW(validate(c));
}

TEST_CASE("the parameters of a model that is too large are told: of every part") {
  // In units of 2^58 = d_model 2^28: 2 of the embedding, 1 of outputs, 2 (2 + 1) of the attention, 3 of W1 to W3.
  config c{.d_model = 1 << 30,
           .d_ff = 1 << 28,
           .n_layers = 1,
           .n_heads = 1 << 28,
           .n_kv_heads = 1 << 27,
           .vocab = 1 << 29,
           .tie_embeddings = false,
           .head_width = 2,
           .outputs = 1 << 28};
  CHECK_THROWS_WITH(tensor_table(c), Catch::Contains("c: has about 3.45876e+18 parameters"));
  c.experts = {.count = 2, .d_ff = 1 << 27, .shared_d_ff = 1 << 27};  // 4.5 more
  CHECK_THROWS_WITH(tensor_table(c), Catch::Contains("c: has about 4.7558e+18 parameters"));
  c.n_layers = 2;
  CHECK_THROWS_WITH(tensor_table(c), Catch::Contains("c: has about 8.64691e+18 parameters"));
}
