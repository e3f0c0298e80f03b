// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/model.hpp"

#include "hone/io/gguf_writer.hpp"
#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

TEST_CASE("a model is read from a folder, a GGUF file by its magic number, or a llama2.c checkpoint") {
  const auto folder = golden_file("families/qwen3"), gguf_file = golden_file("families/qwen3.gguf");
  const checkpoint m = read_model(folder);
  CHECK(m.parameters == read_hugging_face(folder).parameters);
  const scratch_folder scratch;
  std::filesystem::copy_file(gguf_file, scratch.path / "model.bin");
  CHECK(read_model(scratch.path / "model.bin").parameters == m.parameters);
  const transformer::config c{
      .d_model = 8, .d_ff = 4, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 5, .max_seq = 4};
  std::vector<float> elements(static_cast<std::size_t>(transformer::parameter_count(c)), 0.5f);
  write_llama2c(scratch.path / "story.gguf", c, elements);
  CHECK(read_model(scratch.path / "story.gguf").parameters == elements);
  CHECK(read_model(scratch.path / "story.gguf").config == c);
}

TEST_CASE("what is no model, or not there, is refused by its name") {
  const scratch_folder scratch;
  CHECK_THROWS_WITH(read_model(scratch.path / "absent.bin"), Catch::Contains("absent.bin: No such file"));
  CHECK_THROWS_WITH(read_model(scratch.path), Catch::Contains("config.json: No such file"));
  write_bytes(scratch.path / "short", to_bytes("abc"));
  CHECK_THROWS_WITH(read_model(scratch.path / "short"), Catch::Contains("short: at byte 3: too short"));
  write_bytes(scratch.path / "bad", to_bytes("GGUFabcd"));
  CHECK_THROWS_AS(read_model(scratch.path / "bad"), format_error);
}

TEST_CASE("the tokenizer that lies with a model: a folder's tokenizer.json, the metadata of a GGUF file") {
  const scratch_folder scratch;
  const std::vector<float> number = {1};
  const std::vector<tensor_source> tensors = {{"one", {1}, number}};
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {2, 3, 3};
  for (const char* piece : {"\xe2\x96\x81", "a", "b", "ab",
                            "\xe2\x96\x81"
                            "ab"}) {
    tokens.push_back(piece);
    types.push_back(1);
  }
  std::vector<float> scores(tokens.size(), 0.0f);
  scores[6] = -1, scores[7] = -2;
  gguf_metadata metadata = {
      {"tokenizer.ggml.model", std::string("llama")},        {"tokenizer.ggml.tokens", gguf_array(tokens)},
      {"tokenizer.ggml.scores", gguf_array(scores)},         {"tokenizer.ggml.token_type", gguf_array(types)},
      {"tokenizer.ggml.bos_token_id", std::uint32_t{1}},     {"tokenizer.ggml.eos_token_id", std::uint32_t{2}},
      {"tokenizer.ggml.unknown_token_id", std::uint32_t{0}}, {"tokenizer.ggml.add_bos_token", true}};
  const auto path = scratch.path / "m.gguf";
  write_gguf(path, metadata, tensors);
  const tokenizer t = read_model_tokenizer(path, 8);
  CHECK((t.bos() == 1 && t.eos() == 2 && t.vocab() == 8));
  CHECK(t.encode("ab") == std::vector<token_id>{1, 7});
  CHECK_THROWS_WITH(read_model_tokenizer(path, 7), Catch::Contains("a tokenizer of 8 tokens, the model has 7"));
  metadata[4].second = std::string("1");
  write_gguf(path, metadata, tensors);
  CHECK_THROWS_WITH(read_model_tokenizer(path, 8), Catch::Contains("tokenizer.ggml.bos_token_id: is no id"));
  metadata[2].second = 3.0f;
  write_gguf(path, metadata, tensors);
  CHECK_THROWS_WITH(read_model_tokenizer(path, 8), Catch::Contains("tokenizer.ggml.scores: is of another type"));
  write_bytes(scratch.path / "m.bin", to_bytes("abcdefg"));
  CHECK_THROWS_WITH(read_model_tokenizer(scratch.path / "m.bin", 8), Catch::Contains("has no tokenizer"));
  CHECK_THROWS_WITH(read_model_tokenizer(scratch.path, 8), Catch::Contains("tokenizer.json: No such file"));
}

TEST_CASE("a model is written as its name says, and read back") {
  const scratch_folder scratch;
  const transformer::config c{
      .d_model = 8, .d_ff = 4, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 5, .max_seq = 4};
  std::vector<float> numbers(static_cast<std::size_t>(transformer::parameter_count(c)), 0.5f);
  for (const char* name : {"story.bin", "folder"}) {
    write_model(scratch.path / name, c, numbers);
    CHECK(std::filesystem::is_directory(scratch.path / name) == (std::string(name) == "folder"));
    CHECK(read_model(scratch.path / name).parameters == numbers);
  }
}

TEST_CASE("the tokenizer of a model is the one that is named, or that lies with it") {
  const scratch_folder scratch;
  std::filesystem::copy_file(golden_file("qwen2.json"), scratch.path / "tokenizer.json");
  const index_t vocab = read_tokenizer(golden_file("qwen2.json")).vocab();
  CHECK(read_tokenizer(scratch.path, "", vocab).vocab() == vocab);
  CHECK(read_tokenizer(scratch.path, golden_file("llama2.json"), 1 << 20).encode("a b") ==
        read_tokenizer(golden_file("llama2.json")).encode("a b"));
  CHECK_THROWS_WITH(read_tokenizer(scratch.path, "", vocab - 1), Catch::Contains("the model has"));
  CHECK_THROWS_WITH(read_tokenizer(scratch.path, golden_file("qwen2.json"), vocab - 1),
                    Catch::Contains("the model has"));
}
