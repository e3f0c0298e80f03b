// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/lora_gguf.hpp"

#include "io/adapters.hpp"
#include "io/support.hpp"

using namespace hone::io;
using hone::index_t;
using hone::transformer::rope_layout;

namespace {

hone::transformer::config model(rope_layout rope) {
  hone::transformer::config c = small_model;
  c.rope = rope;
  return c;
}

const gguf_metadata sound = {{"general.type", std::string("adapter")},
                             {"general.architecture", std::string("llama")},
                             {"adapter.type", std::string("lora")},
                             {"adapter.lora.alpha", 4.0f}};

/// The error of an adapter of blk.0.attn_q and further tensors.
std::optional<format_error> error_of(const std::vector<std::pair<std::string, std::vector<index_t>>>& more,
                                     const gguf_metadata& metadata = sound, std::string_view architecture = "llama",
                                     const hone::transformer::config& c = small_model) {
  const scratch_folder folder;
  const std::vector<float> elements(1000, 1.0f);
  std::vector<tensor_source> tensors;
  std::vector<std::pair<std::string, std::vector<index_t>>> all = {{"blk.0.attn_q.weight.lora_a", {2, 8}},
                                                                   {"blk.0.attn_q.weight.lora_b", {8, 2}}};
  all.insert(all.end(), more.begin(), more.end());
  for (const auto& [name, shape] : all) {
    std::size_t count = 1;
    for (const index_t n : shape) count *= static_cast<std::size_t>(n);
    tensors.push_back({name, shape, std::span(elements).first(count)});
  }
  const auto path = folder.path / "file.gguf";
  write_gguf(path, metadata, tensors);
  const auto error = format_error_of([&] { read_lora_gguf(path, c, architecture); });
  if (error && !more.empty()) {
    const gguf file = read_gguf(path);
    bool named = false;
    for (const auto& [name, shape] : more)
      named = named || (error->where().at == find_tensor(file.tensors, name)->offset &&
                        error->reason().starts_with("tensor \"" + name + "\""));
    CHECK(named);
  }
  return error;
}

}  // namespace

TEST_CASE("lora gguf: an adapter that llama.cpp's converter laid out") {
  for (const rope_layout rope : {rope_layout::interleaved, rope_layout::half}) {
    const stored_adapter read = read_lora_gguf(golden_file("lora.gguf"), model(rope));
    REQUIRE(read.adapter.sites.size() == 4);
    CHECK(read.adapter.sites[0].name == "wq.0");
    CHECK(read.adapter.sites[1].name == "wk.0");
    CHECK(read.adapter.sites[2].name == "w2.1");
    CHECK(read.adapter.sites[3].name == "wcls");
    CHECK(read.adapter.sites[0].scale == 1.5);
    CHECK(read.adapter.sites[2].scale == 0.75);
    CHECK(read.adapter.sites[3].scale == 3.0);
    for (const hone::lora::site& s : read.adapter.sites) {
      const auto a = s.a(read.adapter.parameters.data());
      const auto b = s.b(read.adapter.parameters.data());
      for (index_t i = 0; i < s.rank; ++i)
        for (index_t j = 0; j < s.inputs; ++j) CHECK(a(i, j) == static_cast<float>(i * s.inputs + j));
      const bool turned =
          rope == rope_layout::interleaved && s.name[0] == 'w' && (s.name[1] == 'q' || s.name[1] == 'k');
      for (index_t i = 0; i < s.outputs; ++i)
        for (index_t j = 0; j < s.rank; ++j) {
          const index_t from = turned ? i / 4 * 4 + i % 2 * 2 + i / 2 % 2 : i;  // the half-split row, heads of 4
          CHECK(b(i, j) == static_cast<float>(from * s.rank + j));
        }
    }
  }
}

TEST_CASE("lora gguf: what was written changes the weights as before, whatever the layouts of RoPE") {
  const scratch_folder folder;
  const auto path = folder.path / "file.gguf";
  const hone::lora::adapter<float> adapter = made_adapter();
  for (const rope_layout rope : {rope_layout::interleaved, rope_layout::half})
    for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
      write_lora_gguf(path, model(rope), adapter, architecture);
      const stored_adapter read = read_lora_gguf(path, model(rope), architecture);
      REQUIRE(read.adapter.sites.size() == adapter.sites.size());
      for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
        CAPTURE(adapter.sites[i].name);
        CHECK(read.adapter.sites[i].name == adapter.sites[i].name);
        CHECK(read.adapter.sites[i].rank == adapter.sites[i].rank);
        const auto before = delta_of(adapter.sites[i], adapter.parameters);
        const auto after = delta_of(read.adapter.sites[i], read.adapter.parameters);
        for (std::size_t k = 0; k < before.size(); ++k) CHECK(after[k] == Approx(before[k]).epsilon(1e-6).margin(1e-4));
      }
    }
}

TEST_CASE("lora gguf: with one scale times rank no number is changed, and the file says what llama.cpp asks for") {
  const scratch_folder folder;
  const auto path = folder.path / "file.gguf";
  hone::lora::adapter<float> adapter = made_adapter();
  for (hone::lora::site& s : adapter.sites) s.scale = 16.0 / static_cast<double>(s.rank);
  write_lora_gguf(path, model(rope_layout::interleaved), adapter);
  const stored_adapter read = read_lora_gguf(path, model(rope_layout::interleaved));
  CHECK(read.adapter.parameters == adapter.parameters);
  for (std::size_t i = 0; i < adapter.sites.size(); ++i) CHECK(read.adapter.sites[i].scale == adapter.sites[i].scale);
  const gguf file = read_gguf(path);
  CHECK(*file.text("general.type") == "adapter");
  CHECK(*file.text("general.architecture") == "llama");
  CHECK(*file.text("adapter.type") == "lora");
  CHECK(file.real("adapter.lora.alpha") == 16.0);
  CHECK(find_tensor(file.tensors, "blk.0.attn_k.weight.lora_a")->shape == std::vector<index_t>{3, 8});
  CHECK(find_tensor(file.tensors, "blk.0.attn_k.weight.lora_b")->shape == std::vector<index_t>{4, 3});
  CHECK(find_tensor(file.tensors, "output.weight.lora_b")->shape == std::vector<index_t>{5, 1});
  write_lora_gguf(path, model(rope_layout::interleaved), adapter, "llama", hone::format::float16);
  CHECK(std::string(read_gguf(path).tensors.front().type->name) == "F16");
}

TEST_CASE("lora gguf: an alpha of 0, or none, is a scale of 1") {
  const scratch_folder folder;
  const std::vector<float> elements(16, 1.0f);
  for (const bool absent : {false, true}) {
    gguf_metadata metadata = sound;
    if (absent)
      metadata.pop_back();
    else
      metadata.back().second = 0.0f;
    write_gguf(folder.path / "file", metadata,
               std::vector<tensor_source>{{"blk.0.attn_q.weight.lora_a", {2, 8}, elements},
                                          {"blk.0.attn_q.weight.lora_b", {8, 2}, elements}});
    CHECK(read_lora_gguf(folder.path / "file", small_model).adapter.sites.at(0).scale == 1);
  }
}

TEST_CASE("lora gguf: metadata of another kind of file are refused") {
  CHECK(!error_of({}));
  const auto with = [](std::size_t pair, std::optional<gguf_value> value) {
    gguf_metadata metadata = sound;
    if (value)
      metadata[pair].second = *value;
    else
      metadata.erase(metadata.begin() + static_cast<std::ptrdiff_t>(pair));
    return error_of({}, metadata)->reason();
  };
  CHECK(with(0, std::nullopt) == "general.type is not there, must be \"adapter\"");
  CHECK(with(0, std::string("model")) == "general.type is \"model\", must be \"adapter\"");
  CHECK(with(0, std::uint32_t{1}) == "general.type is not there, must be \"adapter\"");
  CHECK(with(1, std::string("qwen2")) == "general.architecture is \"qwen2\", must be \"llama\"");
  CHECK(with(2, std::string("control")) == "adapter.type is \"control\", must be \"lora\"");
  CHECK(with(3, std::uint32_t{4}) == "adapter.lora.alpha is not of type f32");
  CHECK(with(3, -4.0f) == "tensor \"blk.0.attn_q.weight.lora_a\": its scale is -2");
  CHECK(with(3, std::numeric_limits<float>::infinity()) == "tensor \"blk.0.attn_q.weight.lora_a\": its scale is inf");
  CHECK(with(3, std::numeric_limits<float>::quiet_NaN()) == "tensor \"blk.0.attn_q.weight.lora_a\": its scale is nan");
  gguf_metadata tokens = sound;
  tokens.emplace_back("adapter.alora.invocation_tokens", gguf_array(std::vector<std::uint32_t>{1}));
  CHECK(error_of({}, tokens)->reason() == "an adapter of invocation tokens is not supported");
  CHECK_THROWS_WITH(error_of({}, sound, "gpt2"), Catch::Contains("\"gpt2\" is not one of llama, qwen2, qwen3"));
}

TEST_CASE("lora gguf: tensors that do not fit are refused with their names") {
  const auto reason = [](const std::vector<std::pair<std::string, std::vector<index_t>>>& more) {
    const std::string text = error_of(more)->reason();
    return text.substr(text.find("\": ") + 3);
  };
  CHECK(!error_of({{"blk.0.attn_norm.weight", {8}}, {"output_norm.weight", {8}}}));
  CHECK(reason({{"blk.0.attn_k.weight.lora_a", {2, 8}}}) == "its other half is not there");
  CHECK(reason({{"blk.0.attn_k.weight.lora_b", {4, 2}}}) == "its other half is not there");
  CHECK(reason({{"blk.0.attn_k.weight", {4, 8}}}) == "is not called MATRIX.weight.lora_a or .lora_b");
  CHECK(reason({{"blk.0.attn_k.bias.lora_a", {4}}}) == "is not called MATRIX.weight.lora_a or .lora_b");
  CHECK(reason({{"blk.0.attn_k.weight.lora_c", {4}}}) == "is not called MATRIX.weight.lora_a or .lora_b");
  CHECK(reason({{"blk.0.attn_x.weight.lora_a", {2, 8}}}) == "the model has no tensor \"blk.0.attn_x.weight\"");
  CHECK(reason({{"blk.2.attn_k.weight.lora_a", {2, 8}}}) == "the model has no matrix \"wk.2\" of its own");
  CHECK(reason({{"token_embd.weight.lora_a", {5, 2}}, {"token_embd.weight.lora_b", {8, 2}}}) ==
        "only linear maps are adapted");
  CHECK(reason({{"blk.0.attn_k.weight.lora_a", {2, 9}}, {"blk.0.attn_k.weight.lora_b", {4, 2}}}) ==
        "is 2 x 9, must be rank x 8");
  CHECK(reason({{"blk.0.attn_k.weight.lora_a", {2, 8}}, {"blk.0.attn_k.weight.lora_b", {5, 2}}}) ==
        "is 5 x 2, must be 4 x 2");
  CHECK(reason({{"blk.0.attn_k.weight.lora_a", {2, 8}}, {"blk.0.attn_k.weight.lora_b", {4, 3}}}) ==
        "is 4 x 3, must be 4 x 2");
  CHECK(reason({{"blk.0.attn_k.weight.lora_a", {8}}, {"blk.0.attn_k.weight.lora_b", {4, 2}}}) ==
        "is 8, must be rank x 8");
  CHECK(reason({{"blk.0.attn_k.weight.lora_a", {5, 8}}, {"blk.0.attn_k.weight.lora_b", {4, 5}}}) ==
        "rank 5 of a matrix of 4 x 8: must be in [1, the smaller side]");
  CHECK(!error_of({{"blk.0.attn_k.weight.lora_a", {4, 8}}, {"blk.0.attn_k.weight.lora_b", {4, 4}}}));
  hone::transformer::config tied = small_model;
  tied.tie_embeddings = true;
  CHECK(
      error_of({{"output.weight.lora_a", {2, 8}}, {"output.weight.lora_b", {5, 2}}}, sound, "llama", tied)->reason() ==
      "tensor \"output.weight.lora_a\": the model has no matrix \"wcls\" of its own");
}

TEST_CASE("lora gguf: an adapter that is not of the model is refused before there is a file") {
  const scratch_folder folder;
  hone::lora::adapter<float> adapter = made_adapter();
  CHECK_THROWS_AS(write_lora_gguf(folder.path / "a", small_model, adapter, "gpt2"), std::invalid_argument);
  adapter.sites[0].name = "tok_emb";
  CHECK_THROWS_AS(write_lora_gguf(folder.path / "a", small_model, adapter), std::invalid_argument);
  adapter = made_adapter();
  adapter.sites[1].offset = -1;
  CHECK_THROWS_WITH(write_lora_gguf(folder.path / "a", small_model, adapter),
                    Catch::Contains("wk.0: lies outside of the"));
  adapter = made_adapter();
  adapter.sites[0] = {"att_norm.0", 1, 8, 1, 2.0};
  CHECK_THROWS_WITH(write_lora_gguf(folder.path / "a", small_model, adapter),
                    Catch::Contains("att_norm.0: is not a linear map"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("lora gguf: experts of a matrix are one tensor, cut up when it is read") {
  const hone::transformer::config c = small_experts(hone::transformer::query_key_norm::heads);
  hone::lora::adapter<float> adapter = made_expert_adapter(false);
  for (hone::lora::site& s : adapter.sites) s.scale = 4.0 / static_cast<double>(s.rank);
  const scratch_folder folder;
  const auto path = folder.path / "file.gguf";
  write_lora_gguf(path, c, adapter, "qwen3moe");
  const gguf file = read_gguf(path);
  CHECK(file.tensors.size() == 8);
  CHECK(find_tensor(file.tensors, "blk.1.ffn_gate_inp.weight.lora_b")->shape == std::vector<index_t>{3, 1});
  const stored_tensor* a = find_tensor(file.tensors, "blk.1.ffn_down_exps.weight.lora_a");
  REQUIRE((a != nullptr && a->shape == std::vector<index_t>{3, 2, 6}));
  CHECK(find_tensor(file.tensors, "blk.1.ffn_down_exps.weight.lora_b")->shape == std::vector<index_t>{3, 8, 2});
  const hone::matrix_view<const float> second = adapter.sites[4].a(adapter.parameters.data());
  CHECK(adapter.sites[4].name == "w2.1.1");
  const std::vector<float> stacked = elements_of(*a);
  CHECK(std::equal(second.data(), second.data() + 12, stacked.begin() + 12));
  const stored_adapter read = read_lora_gguf(path, c, "qwen3moe");
  REQUIRE(read.adapter.sites.size() == adapter.sites.size());
  for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
    const auto same = std::find_if(read.adapter.sites.begin(), read.adapter.sites.end(),
                                   [&](const auto& s) { return s.name == adapter.sites[i].name; });
    REQUIRE(same != read.adapter.sites.end());
    CHECK(same->scale == adapter.sites[i].scale);
    CHECK(delta_of(*same, read.adapter.parameters) == delta_of(adapter.sites[i], adapter.parameters));
  }
}

TEST_CASE("lora gguf: some experts alone, of other ranks or in a tensor of other than so many, are refused by name") {
  const hone::transformer::config c = small_experts(hone::transformer::query_key_norm::none);
  const scratch_folder folder;
  const auto path = folder.path / "file.gguf";
  CHECK_THROWS_WITH(write_lora_gguf(path, c, made_expert_adapter(true)),
                    Catch::Contains("w1.0.2: is of 1 of the 3 experts"));
  hone::lora::adapter<float> adapter = made_expert_adapter(false);
  adapter.sites[5].rank = 1;
  CHECK_THROWS_WITH(write_lora_gguf(path, c, adapter), Catch::Contains("w2.1.2: has rank 1, \"w2.1.0\" has 2"));
  CHECK(folder.entries() == 0);
  CHECK(error_of({{"blk.1.ffn_up_exps.weight.lora_a", {2, 2, 8}}}, sound, "llama", c)->reason() ==
        "tensor \"blk.1.ffn_up_exps.weight.lora_a\": does not have three axes, the first of them of 3 experts");
  CHECK(error_of({{"blk.1.ffn_up_exps.weight.lora_a", {3, 2, 8}}}, sound, "llama")->reason() ==
        "tensor \"blk.1.ffn_up_exps.weight.lora_a\": the model has no tensor \"blk.1.ffn_up_exps.weight\"");
}
