// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Adapters of llama.cpp: a GGUF file of general.type "adapter", adapter.type "lora", general.architecture that of the
/// model, adapter.lora.alpha (f32), and for each matrix its name with .lora_a [rank, inputs], .lora_b [outputs, rank]:
///   y += alpha / rank B A x, and B A x where alpha is 0 or absent
/// Rows of q and k are laid out as the architecture has them. [ggml-org/llama.cpp, src/llama-adapter.cpp,
/// convert_lora_to_gguf.py]
#pragma once
#include "hone/io/detail/adapter_parts.hpp"
#include "hone/io/gguf_writer.hpp"
#include "hone/io/tensor_names.hpp"

namespace HONE_NAMESPACE::io {

namespace detail {

inline stored_adapter lora_of(const gguf& file, const std::string& name, const transformer::config& c,
                              std::string_view architecture) {
  const transformer::rope_layout stored = gguf_rope_layout(architecture);
  const auto fail = [&](const std::string& reason) { throw format_error(name, {}, reason); };
  const auto expect = [&](const char* key, std::string_view value) {
    const std::string* text = file.text(key);
    if (text == nullptr || *text != value)
      fail(std::string(key) + " is " + (text == nullptr ? "not there" : "\"" + *text + "\"") + ", must be \"" +
           std::string(value) + "\"");
  };
  expect("general.type", "adapter");
  expect("general.architecture", architecture);
  expect("adapter.type", "lora");
  if (file.find("adapter.alora.invocation_tokens") != nullptr) fail("an adapter of invocation tokens is not supported");
  double alpha = 0;
  if (const gguf_value* value = file.find("adapter.lora.alpha")) {
    if (!std::holds_alternative<float>(*value)) fail("adapter.lora.alpha is not of type f32");
    alpha = std::get<float>(*value);
  }
  adapter_pairs pairs;
  for (const stored_tensor& t : file.tensors) {
    std::string_view base = t.name;
    if (base.ends_with("_norm.weight")) continue;  // as llama.cpp does
    const bool is_a = base.ends_with(".weight.lora_a");
    if (!is_a && !base.ends_with(".weight.lora_b")) detail::fail(t, "is not called MATRIX.weight.lora_a or .lora_b");
    base.remove_suffix(std::string_view(".weight.lora_a").size());
    const auto id = gguf_tensor_id(base);
    if (!id) detail::fail(t, "the model has no tensor \"" + std::string(base) + ".weight\"");
    adapter_pair& pair = pairs[*id];
    (is_a ? pair.a : pair.b) = &t;
    if (is_a) pair.scale = alpha == 0 || t.shape.empty() ? 1 : alpha / static_cast<double>(t.shape.front());
  }
  return assemble(c, transformer::tensor_table(c), pairs, stored);
}

}  // namespace detail

/// Reads an adapter for a model of configuration @p c, whose architecture llama.cpp calls @p architecture. Where RoPE
/// is laid out otherwise in @p c, rows of B are moved.
/// @throws std::system_error; std::invalid_argument as `gguf_rope_layout`; format_error as `read_gguf`, if the metadata
///         are not those of such an adapter, and naming the tensor, if it is called otherwise, of no linear map of the
///         model (an embedding, say), its other half is missing, or a shape does not fit. Tensors of norms are passed
///         over.
inline stored_adapter read_lora_gguf(const std::filesystem::path& path, const transformer::config& c,
                                     std::string_view architecture = "llama") {
  return detail::lora_of(read_gguf(path), path.string(), c, architecture);
}

/// Writes an adapter of a model of configuration @p c as llama.cpp reads it. The file has one alpha, the largest scale
/// times rank of a site; the B of other sites are multiplied by theirs over it.
/// @param stored float32, float16 or bfloat16.
/// @throws std::invalid_argument, before anything is written, as `gguf_rope_layout`, and if a site is not a linear map
///         of the model with its shape, or its elements are not there; std::system_error.
inline void write_lora_gguf(const std::filesystem::path& path, const transformer::config& c,
                            const lora::adapter<float>& adapter, std::string_view architecture = "llama",
                            format stored = format::float32) {
  detail::disassembled elements(c, adapter, gguf_rope_layout(architecture), "hone::io::write_lora_gguf");
  const auto alpha_of = [](const lora::site& s) { return s.scale * static_cast<double>(s.rank); };
  double alpha = 0;
  for (const lora::site& s : adapter.sites) alpha = (std::max)(alpha, alpha_of(s));
  std::vector<tensor_source> tensors;
  for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
    const lora::site& s = adapter.sites[i];
    const double factor = alpha_of(s) / alpha;
    if (factor < 1 - 1e-7)  // not for a rounding of the scale
      for (float& b : elements.b(i)) b = static_cast<float>(factor * static_cast<double>(b));
    const std::string name = gguf_name(s.name) + ".weight";
    tensors.push_back({name + ".lora_a", {s.rank, s.inputs}, elements.a(i), stored});
    tensors.push_back({name + ".lora_b", {s.outputs, s.rank}, elements.b(i), stored});
  }
  write_gguf(path,
             {{"general.type", std::string("adapter")},
              {"general.architecture", std::string(architecture)},
              {"adapter.type", std::string("lora")},
              {"adapter.lora.alpha", static_cast<float>(alpha)}},
             tensors);
}

}  // namespace HONE_NAMESPACE::io
