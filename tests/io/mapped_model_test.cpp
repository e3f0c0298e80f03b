// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/mapped_model.hpp"

#include "hone/loss/likelihood.hpp"
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/generate.hpp"

#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

/// Whether the source shows what reading the model gives, stored as @p stored.
void require_same(const mapped_model& mapped, const checkpoint& read, format stored) {
  REQUIRE(mapped.shape() == read.config);
  for (const transformer::tensor& t : transformer::tensor_table(read.config)) {
    CAPTURE(t.name);
    const transformer::stored_matrix m = mapped(t.id);
    CHECK(m.stored() == stored);
    m.visit(
        [](const auto& view) { CHECK(reinterpret_cast<std::uintptr_t>(view.data()) % sizeof(view.data()[0]) == 0); });
    std::vector<float> values(static_cast<std::size_t>(t.size()));
    REQUIRE((m.rows() == t.rows && m.cols() == t.cols));
    m.read(0, 0, matrix_view<float>(values.data(), t.rows, t.cols));
    CHECK(std::equal(values.begin(), values.end(), read.parameters.begin() + t.offset));
  }
  CHECK(mapped({transformer::role::wcls}).rows() == read.config.vocab);
}

}  // namespace

TEST_CASE("a mapped folder shows, in the file's type, what reading it gives") {
  for (const char* name :
       {"llama", "llama3", "qwen2", "qwen3", "mistral", "mixtral", "olmoe_cut", "qwen3_moe_mixed", "llada_moe"}) {
    const checkpoint read = read_hugging_face(golden_file("families") / name);
    for (const format stored : {format::bfloat16, format::float16, format::float32}) {
      const scratch_folder scratch;
      write_hugging_face(scratch.path, read.config, read.parameters, stored);  // rounds
      require_same(map_model(scratch.path), read_hugging_face(scratch.path), stored);
    }
  }
}

TEST_CASE("GGUF files too, of mixed types; what is quantized cannot be used where it lies") {
  for (const char* name : {"llama3.gguf", "qwen2.gguf", "qwen3.gguf", "mixtral.gguf", "olmoe.gguf", "qwen3_moe.gguf"}) {
    const auto path = golden_file("families") / name;
    const checkpoint read = read_gguf_model(path);
    const mapped_model mapped = map_model(path);
    CHECK(mapped.shape() == read.config);
    for (const transformer::tensor& t : transformer::tensor_table(read.config)) {
      const transformer::stored_matrix m = mapped(t.id);
      const bool small = t.rows == 1 || t.id.role == transformer::role::router;
      CHECK(m.stored() == (small ? format::float32 : format::bfloat16));
      std::vector<float> values(static_cast<std::size_t>(t.size()));
      m.read(0, 0, matrix_view<float>(values.data(), t.rows, t.cols));
      CHECK(std::equal(values.begin(), values.end(), read.parameters.begin() + t.offset));
    }
  }
  gguf file = read_gguf(golden_file("families/qwen3.gguf"));
  const transformer::config c = read_gguf_model(golden_file("families/qwen3.gguf")).config;
  const element_type blocks{"Q8_0", element_kind::q8_0, 32, 272};
  file.tensors.back().type = &blocks;
  const auto map = [&] { return mapped_model(c, file.tensors, {}, "f", gguf_tensor, io::detail::gguf_extra); };
  CHECK_THROWS_WITH(map(),
                    Catch::Contains("\"" + file.tensors.back().name + "\": is of type Q8_0, which cannot be used"));
}

TEST_CASE("a tensor that is not aligned to its type is copied") {
  const checkpoint read = read_hugging_face(golden_file("families/llama"));
  for (const format stored : {format::bfloat16, format::float32})
    for (const std::size_t shift : {1u, 2u, 4u, 8u}) {  // more blanks in the header
      const scratch_folder scratch;
      write_hugging_face(scratch.path, read.config, read.parameters, stored);
      byte_vector bytes = read_file(scratch.path / "model.safetensors");
      const auto header = load_little_endian<std::uint64_t>(bytes, 0);
      byte_vector moved = to_bytes(std::string(8, '\0'));
      for (std::size_t i = 0; i < 8; ++i) moved[i] = static_cast<std::byte>((header + shift) >> (8 * i));
      const auto data = bytes.begin() + 8 + static_cast<std::ptrdiff_t>(header);
      moved.insert(moved.end(), bytes.begin() + 8, data);
      moved.insert(moved.end(), shift, std::byte{' '});
      moved.insert(moved.end(), data, bytes.end());
      write_bytes(scratch.path / "model.safetensors", moved);
      require_same(map_model(scratch.path), read_hugging_face(scratch.path), stored);
    }
}

TEST_CASE("a model in double is shown in double") {
  const checkpoint read = read_hugging_face(golden_file("families/llama"));
  const scratch_folder scratch;
  write_hugging_face(scratch.path, read.config, read.parameters);
  const safetensors file = read_safetensors(scratch.path / "model.safetensors");
  const element_type f64{"F64", element_kind::float64, 1, 64};
  std::vector<stored_tensor> tensors = file.tensors;
  std::vector<std::vector<double>> values(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    values[i].resize(static_cast<std::size_t>(tensors[i].size()));
    copy_elements(tensors[i], std::span(values[i]));
    for (double& x : values[i]) x += 1e-12;  // more digits than a float has
    tensors[i].type = &f64;
    tensors[i].bytes = std::as_bytes(std::span(values[i]));
  }
  const mapped_model mapped(read.config, tensors, {}, "f", hugging_face_tensor(read.config),
                            io::detail::hugging_face_extra(read.config));
  const transformer::stored_matrix m = mapped({transformer::role::wq, 0});
  CHECK(m.stored() == format::float64);
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [](const stored_tensor& t) {
                                 return t.name.find("layers.0.self_attn.q_proj.weight") != std::string::npos;
                               }) -
                  tensors.begin();
  REQUIRE(at < std::ssize(tensors));
  CHECK(m.as<double>()(0, 1) == values[static_cast<std::size_t>(at)][1]);
}

TEST_CASE("docs: an adapter, and text, over a base that stays in its file") {
  const std::filesystem::path folder = golden_file("families/qwen3");
  const std::vector<std::int32_t> tokens = {1, 5, 9, 2, 11, 15, 3, 3, 7}, targets = {5, 9, 2, 11, 15, 3, 3, 7, 1};
  const std::vector<index_t> offsets = {0, 9};
  const io::mapped_model base = io::map_model(folder);
  const transformer::decoder<float> model(base.shape());
  const transformer::adapted_decoder<float> adapted(
      model, base, transformer::adapter_sites(base.shape(), {transformer::role::wq, transformer::role::w2}, 4, 2.0));
  std::vector<float> adapter(static_cast<std::size_t>(adapted.parameters()), 0.01f), gradient(adapter.size());
  transformer::workspace<float> w(base.shape(), 9);
  adapted.forward(adapter, {tokens, offsets}, w);
  loss::likelihood(w.logits(), targets);
  adapted.backward(adapter, {tokens, offsets}, w, gradient);
  const transformer::generator<float> generate(adapted, adapter);

  const checkpoint read = read_hugging_face(folder);
  const transformer::adapted_decoder<float> over_floats(model, read.parameters, adapted.sites());
  std::vector<float> expected(adapter.size());
  over_floats.forward(adapter, {tokens, offsets}, w);
  loss::likelihood(w.logits(), targets);
  over_floats.backward(adapter, {tokens, offsets}, w, expected);
  CHECK(gradient == expected);
  CHECK(generate({tokens, offsets}, {.max_tokens = 5})[0].tokens.size() == 5);
}

TEST_CASE("what is no such model is refused, by its name") {
  const scratch_folder scratch;
  CHECK_THROWS_WITH(map_model(scratch.path), Catch::Contains("config.json: No such file"));
  const checkpoint read = read_hugging_face(golden_file("families/llama"));
  write_hugging_face(scratch.path, read.config, read.parameters, format::float16);
  byte_vector text = read_file(scratch.path / "config.json");
  std::string config = to_text(text);
  const auto at = config.find("num_hidden_layers");
  REQUIRE(at != std::string::npos);
  const auto digit = config.find_first_of("0123456789", at);
  config[digit] = static_cast<char>(config[digit] + 1);
  write_bytes(scratch.path / "config.json", to_bytes(config));
  CHECK_THROWS_WITH(map_model(scratch.path), Catch::Contains("there is no tensor"));
}
