// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/identify_model.hpp"

#include "hone/core/random.hpp"
#include "hone/io/gguf_model_writer.hpp"
#include "io/support.hpp"

#include <set>

using namespace hone;
using namespace hone::io;

namespace {

const transformer::config shape = {
    .d_model = 8, .d_ff = 12, .n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .vocab = 10, .tie_embeddings = false};

std::vector<float> drawn(const transformer::config& c) {
  std::vector<float> x(static_cast<std::size_t>(io::detail::parameters_of(transformer::tensor_table(c))));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(philox{4}.normal(i));
  return x;
}

}  // namespace

TEST_CASE("an identity is that of a file's own bytes") {
  const scratch_folder folder;
  const std::vector<float> parameters = drawn(shape);
  write_llama2c(folder.path / "m.bin", shape, parameters);
  CHECK(identify_model(folder.path / "m.bin").hash == identify_model(shape, parameters).hash);
  std::set<std::string> hashes;
  for (const format stored : {format::float32, format::bfloat16}) {
    const auto name = stored == format::float32 ? "f32" : "bf16";
    write_hugging_face(folder.path / name, shape, parameters, stored);
    const model_identity of_folder = identify_model(folder.path / name);
    CHECK(of_folder.config.n_layers == 2);
    hashes.insert(of_folder.hash);
    // In shards it is the same model.
    const std::string shards = std::string(name) + "_shards";
    write_hugging_face(folder.path / shards, shape, parameters, stored, 900);
    CHECK(identify_model(folder.path / shards).hash == of_folder.hash);
    write_gguf_model(folder.path / (std::string(name) + ".gguf"), shape, parameters, stored);
    hashes.insert(identify_model(folder.path / (std::string(name) + ".gguf")).hash);
  }
  CHECK(hashes.size() == 4);
  CHECK_THROWS_AS(identify_model(folder.path / "none"), std::system_error);
  write_bytes(folder.path / "short", to_bytes("GGU"));
  CHECK_THROWS_WITH(identify_model(folder.path / "short"), Catch::Contains("at byte 3: too short"));
}

TEST_CASE("identities of models of every family") {
  std::set<std::string> hashes;
  for (const char* name : {"llama", "llama3", "qwen2", "qwen3", "mixtral", "olmoe", "qwen3_moe"})
    CHECK(hashes.insert(identify_model(golden_file("families") / name).hash).second);
}
