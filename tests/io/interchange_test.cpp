// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Writes files for golden/check_written.py, which opens them with the formats' own libraries:
//   test_io '[interchange]'; python tests/io/golden/check_written.py hone-written
#include "hone/io/lora_gguf.hpp"
#include "hone/io/peft.hpp"
#include "hone/io/safetensors_shards.hpp"

#include "io/adapters.hpp"
#include "io/support.hpp"

using namespace hone::io;

TEST_CASE("files for the formats' own libraries", "[.interchange]") {
  const std::filesystem::path folder = "hone-written";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "sharded");
  std::vector<float> x(24), one = {7}, none;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) / 4 - 3;
  std::vector<tensor_source> tensors = {{"float32", {2, 3, 4}, x},
                                        {"float16", {4, 6}, x, hone::format::float16},
                                        {"bfloat16", {24}, x, hone::format::bfloat16},
                                        {"Größe \"q\"\n", {1}, one}};
  write_gguf(folder / "types.gguf",
             {{"general.architecture", std::string("llama")},
              {"u8", std::uint8_t{255}},
              {"i8", std::int8_t{-128}},
              {"u16", std::uint16_t{65535}},
              {"i16", std::int16_t{-5}},
              {"u32", std::uint32_t{7}},
              {"i32", std::int32_t{-7}},
              {"f32", 0.5f},
              {"yes", true},
              {"text", std::string("Größe")},
              {"u64", ~std::uint64_t{0}},
              {"i64", std::int64_t{-9}},
              {"f64", 0.1},
              {"general.alignment", std::uint32_t{64}},
              {"texts", gguf_array(std::vector<std::string>{"a", "", "bc"})},
              {"truths", gguf_array(std::vector<bool>{true, false})},
              {"reals", gguf_array(std::vector<double>{0.1, 2})}},
             tensors);
  tensors.push_back({"scalar", {}, one});
  tensors.push_back({"empty", {2, 0}, none});
  write_safetensors(folder / "types.safetensors", tensors, {{"format", "np"}, {"größe", "\"1\"\n"}});
  write_safetensors_folder(folder / "sharded", tensors, {{"format", "pt"}}, 100);
  hone::transformer::config c = small_model;
  c.rope = hone::transformer::rope_layout::interleaved;
  write_peft(folder / "peft", c, made_adapter());
  write_lora_gguf(folder / "lora.gguf", c, made_adapter());
  std::vector<std::vector<float>> deltas;
  std::vector<tensor_source> sources;
  const hone::lora::adapter<float> adapter = made_adapter();
  for (const hone::lora::site& s : adapter.sites) {
    const std::vector<double> delta = delta_of(s, adapter.parameters);
    deltas.emplace_back(delta.begin(), delta.end());
    sources.push_back({s.name, {s.outputs, s.inputs}, {}});
  }
  for (std::size_t i = 0; i < sources.size(); ++i) sources[i].elements = deltas[i];
  write_safetensors(folder / "deltas.safetensors", sources);
  CHECK(read_safetensors(folder / "deltas.safetensors").tensors.size() == 5);
}
