// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The hidden states of many prompts, each pooled over its tokens, as one safetensors file: "hidden_states" [N, L, d]
/// of float32, float16 or bfloat16, and "ids" [N], int32 or int64, where rows are not in the order of another file's
/// lines. Metadata, where it is there, says what the states are: "last_state" ("hugging_face": after the final norm,
/// "vllm": before) and "tokens" ("mean", "last"). They stay where the file is mapped.
#pragma once
#include "hone/io/router.hpp"
#include "hone/routing/features.hpp"

#include <bit>
#include <cstring>
#include <optional>

namespace HONE_NAMESPACE::io {

struct pooled_states {
  safetensors file;  ///< which the states lie in
  std::string name;
  std::vector<std::string> ids;  ///< N, in decimal digits, as those of `routing_label`; none: rows are numbered
  index_t samples = 0, layers = 0, width = 0;
  std::optional<routing::last_state> last = {};
  std::optional<routing::token_pooling> tokens = {};
  std::vector<std::byte> aligned = {};  ///< a copy, of a file whose states do not begin where their type can

  /// f(routing::states_view<const T>), T what is stored; this must outlive the view.
  template <class F>
  decltype(auto) with(F&& f) const {
    const stored_tensor& states = *find_tensor(file.tensors, "hidden_states");
    const std::byte* const data = aligned.empty() ? states.bytes.data() : aligned.data();
    const auto view = [&]<class T>(const T* first) {
      return f(routing::states_view<const T>(first, samples, layers, width));
    };
    switch (states.type->kind) {
      case element_kind::float16: return view(reinterpret_cast<const float16*>(data));
      case element_kind::bfloat16: return view(reinterpret_cast<const bfloat16*>(data));
      default: return view(reinterpret_cast<const float*>(data));
    }
  }
};

/// The states of a parsed file, which errors call @p name; other tensors and metadata are passed over.
/// @throws format_error with the reason unless they are as above, of at least one row, layer and element, and no id is
///         there twice.
inline pooled_states pooled_states_of(safetensors file, const std::string& name) {
  static_assert(std::endian::native == std::endian::little, "files are little-endian");
  const auto fail = [&](const std::string& reason) { throw format_error(name, {}, reason); };
  const stored_tensor *states = find_tensor(file.tensors, "hidden_states"), *ids = find_tensor(file.tensors, "ids");
  if (states == nullptr) fail("there is no tensor \"hidden_states\"");
  if (states->shape.size() != 3)
    detail::fail(*states, "has " + std::to_string(states->shape.size()) + " axes, must be samples x layers x width");
  const element_kind kind = states->type->kind;
  if (kind != element_kind::float32 && kind != element_kind::float16 && kind != element_kind::bfloat16)
    detail::fail(*states, std::string("is of type ") + states->type->name + ", must be F32, F16 or BF16");
  if (states->size() == 0) detail::fail(*states, "has an empty axis");
  pooled_states result;
  result.samples = states->shape[0], result.layers = states->shape[1], result.width = states->shape[2];
  if (ids != nullptr) {
    if (ids->type->kind != element_kind::int32 && ids->type->kind != element_kind::int64)
      detail::fail(*ids, std::string("is of type ") + ids->type->name + ", must be I32 or I64");
    if (ids->shape.size() != 1 || ids->size() != result.samples)
      detail::fail(*ids, "must be [" + std::to_string(result.samples) + "], one for each row of the states");
    std::map<std::string, std::size_t> rows;
    for (index_t i = 0; i < result.samples; ++i) {
      std::int64_t id = 0;
      if (ids->type->kind == element_kind::int64) {
        std::memcpy(&id, ids->bytes.data() + 8 * i, sizeof id);
      } else {
        std::int32_t narrow = 0;
        std::memcpy(&narrow, ids->bytes.data() + 4 * i, sizeof narrow);
        id = narrow;
      }
      result.ids.push_back(std::to_string(id));
      const auto [at, fresh] = rows.emplace(result.ids.back(), result.ids.size() - 1);
      if (!fresh)
        detail::fail(*ids, "has " + at->first + " in rows " + std::to_string(at->second) + " and " + std::to_string(i));
    }
  }
  const auto choose = [&]<class Choice>(const char* key, const auto& names, std::optional<Choice>& chosen) {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) return;
    const auto* const at = std::find(std::begin(names), std::end(names), found->second);
    if (at == std::end(names)) fail("\"" + std::string(key) + "\" is \"" + short_text(found->second) + "\"");
    chosen = static_cast<Choice>(at - std::begin(names));
  };
  choose("last_state", detail::last_state_names, result.last);
  choose("tokens", detail::token_pooling_names, result.tokens);
  const std::size_t size = kind == element_kind::float32 ? 4 : 2;
  if (reinterpret_cast<std::uintptr_t>(states->bytes.data()) % size != 0)
    result.aligned.assign(states->bytes.begin(), states->bytes.end());
  result.name = name;
  result.file = std::move(file);
  return result;
}

/// @throws std::system_error; format_error as `read_safetensors`, `pooled_states_of`.
/// @note Maps the file: nothing is read but its header and the ids; states that do not begin where their type can are
///       copied.
inline pooled_states read_pooled_states(const std::filesystem::path& path) {
  return pooled_states_of(read_safetensors(path), path.string());
}

}  // namespace HONE_NAMESPACE::io
