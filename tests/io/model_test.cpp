// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/model.hpp"

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
  const transformer::config c{.d_model = 8, .d_ff = 4, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 5, .max_seq = 4};
  std::vector<float> numbers(static_cast<std::size_t>(transformer::parameter_count(c)), 0.5f);
  write_llama2c(scratch.path / "story.gguf", c, numbers);
  CHECK(read_model(scratch.path / "story.gguf").parameters == numbers);
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
