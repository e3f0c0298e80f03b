// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Adapters of llama.cpp: a GGUF file of general.type "adapter", adapter.type "lora", general.architecture that of the
/// model, adapter.lora.alpha (f32), and for each matrix its name with .lora_a [rank, inputs], .lora_b [outputs, rank]:
///   y += alpha / rank B A x, and B A x where alpha is 0 or absent
/// Those of a matrix of all experts of a layer are one tensor, blk.3.ffn_gate_exps.weight.lora_a [experts, rank,
/// inputs]. Rows of q and k are laid out as the architecture has them. [ggml-org/llama.cpp, src/llama-adapter.cpp,
/// src/llama-graph.cpp, build_lora_mm_id; convert_lora_to_gguf.py]
#pragma once
#include "hone/io/detail/adapter_parts.hpp"
#include "hone/io/gguf_experts.hpp"
#include "hone/io/gguf_writer.hpp"

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
  const index_t experts = c.experts.count;
  const std::vector<stored_tensor> tensors = experts > 0 ? split_experts(file.tensors, experts) : file.tensors;
  for (const stored_tensor& t : tensors) {
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
/// times rank of a site; the B of other sites are multiplied by theirs over it. Of an expert's matrix all experts of
/// the layer must be adapted, with one rank.
/// @param stored float32, float16 or bfloat16.
/// @throws std::invalid_argument, before anything is written, as `gguf_rope_layout`, and if a site is not a linear map
///         of the model with its shape, its elements are not there, or it is of some experts alone; std::system_error.
inline void write_lora_gguf(const std::filesystem::path& path, const transformer::config& c,
                            const lora::adapter<float>& adapter, std::string_view architecture = "llama",
                            format stored = format::float32) {
  detail::disassembled elements(c, adapter, gguf_rope_layout(architecture), "hone::io::write_lora_gguf");
  const auto alpha_of = [](const lora::site& s) { return s.scale * static_cast<double>(s.rank); };
  double alpha = 0;
  for (const lora::site& s : adapter.sites) alpha = (std::max)(alpha, alpha_of(s));
  std::vector<tensor_source> tensors;
  std::map<transformer::tensor_id, std::size_t> experts;  // their sites
  for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
    const lora::site& s = adapter.sites[i];
    const double factor = alpha_of(s) / alpha;
    if (factor < 1 - 1e-7)  // not for a rounding of the scale
      for (float& b : elements.b(i)) b = static_cast<float>(factor * static_cast<double>(b));
    if (const auto id = transformer::tensor_of(s.name); id->expert >= 0) {
      experts.emplace(*id, i);
      continue;
    }
    const std::string name = gguf_name(s.name) + ".weight";
    tensors.push_back({name + ".lora_a", {s.rank, s.inputs}, elements.a(i), stored});
    tensors.push_back({name + ".lora_b", {s.outputs, s.rank}, elements.b(i), stored});
  }
  std::vector<std::vector<float>> stacked;
  for (auto next = experts.begin(); next != experts.end();) {
    const auto [first, i] = *next;
    const lora::site& s = adapter.sites[i];
    std::vector<float> a, b;
    index_t count = 0;
    for (; next != experts.end() && next->first.role == first.role && next->first.layer == first.layer;
         ++next, ++count) {
      const auto append = [](std::vector<float>& to, std::span<const float> from) {
        to.insert(to.end(), from.begin(), from.end());
      };
      const lora::site& other = adapter.sites[next->second];
      invalid_argument_unless(other.rank == s.rank, "hone::io::write_lora_gguf", other.name.c_str(),
                              "has rank %td, \"%s\" has %td: one tensor is to hold both", other.rank, s.name.c_str(),
                              s.rank);
      append(a, elements.a(next->second));
      append(b, elements.b(next->second));
    }
    invalid_argument_unless(count == c.experts.count, "hone::io::write_lora_gguf", s.name.c_str(),
                            "is of %td of the %td experts: one tensor is to hold all", count, c.experts.count);
    const std::string name = gguf_experts_name(first.role, first.layer) + ".weight";
    tensors.push_back({name + ".lora_a", {count, s.rank, s.inputs}, stacked.emplace_back(std::move(a)), stored});
    tensors.push_back({name + ".lora_b", {count, s.outputs, s.rank}, stacked.emplace_back(std::move(b)), stored});
  }
  write_gguf(path,
             {{"general.type", std::string("adapter")},
              {"general.architecture", std::string(architecture)},
              {"adapter.type", std::string("lora")},
              {"adapter.lora.alpha", static_cast<float>(alpha)}},
             tensors);
}

}  // namespace HONE_NAMESPACE::io
