// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The hidden states of a prompt as vLLM dumps them (`extract_hidden_states`), a safetensors file a request:
/// "token_ids" [T] and "hidden_states" [T, L, d]. Documentation once had the axes the other way round: [L, T, d] is
/// read, too, told by T. Where both fit, the metadata's "axes" ("tokens,layers,width" or "layers,tokens,width") says
/// which, or else it is the first. vLLM's last state lies before the model's final norm, unless "last_state" in the
/// metadata is "hugging_face".
/// [vllm-project/vllm #33736; vllm-project.github.io #184]
#pragma once
#include "hone/io/detail/state_names.hpp"
#include "hone/io/safetensors.hpp"
#include "hone/routing/sink.hpp"
#include "hone/transformer/normalization.hpp"

#include <optional>

namespace HONE_NAMESPACE::io {

struct state_dump {
  safetensors file;  ///< which the states lie in
  std::string name;
  std::vector<std::int32_t> tokens;
  index_t layers = 0, width = 0;
  bool layers_first = false;
  routing::number type = routing::number::float32;
  routing::last_state last = routing::last_state::before_norm;
  const std::byte* states = nullptr;

  /// The rows of a layer, where they lie. @pre layer in [0, layers).
  [[nodiscard]] routing::state_rows rows(index_t layer) const {
    const auto count = std::ssize(tokens);
    const index_t size = type == routing::number::float32 ? 4 : 2;
    return {states + size * width * (layers_first ? layer * count : layer), count, static_cast<std::int32_t>(width),
            layers_first ? width : layers * width, type};
  }
};

/// The states of a parsed file, which errors call @p name; tensors other than the two are passed over.
/// @throws format_error with the reason unless they are as above, of float32, float16 or bfloat16, of at least one
///         token, which are whole numbers in [0, 2^31).
/// @note Copies the tokens; the states stay where they are.
inline state_dump state_dump_of(safetensors file, const std::string& name) {
  static_assert(std::endian::native == std::endian::little, "files are little-endian");
  const auto need = [&](const char* tensor, std::size_t axes) -> const stored_tensor& {
    const stored_tensor* found = find_tensor(file.tensors, tensor);
    if (found == nullptr) throw format_error(name, {}, std::string("there is no tensor \"") + tensor + "\"");
    if (found->shape.size() != axes)
      detail::fail(*found, "has " + std::to_string(found->shape.size()) + " axes, must have " + std::to_string(axes));
    return *found;
  };
  state_dump dump;
  const stored_tensor &ids = need("token_ids", 1), &states = need("hidden_states", 3);
  if (ids.type->kind != element_kind::int32 && ids.type->kind != element_kind::int64)
    detail::fail(ids, std::string("is of type ") + ids.type->name + ", must be I32 or I64");
  if (ids.size() == 0) detail::fail(ids, "no tokens");
  for (const double id : elements_of<double>(ids)) {
    if (!(id >= 0 && id < 2147483648.0)) detail::fail(ids, "holds " + short_text(id) + ", no token");
    dump.tokens.push_back(static_cast<std::int32_t>(id));
  }
  switch (states.type->kind) {
    case element_kind::float32: dump.type = routing::number::float32; break;
    case element_kind::float16: dump.type = routing::number::float16; break;
    case element_kind::bfloat16: dump.type = routing::number::bfloat16; break;
    default: detail::fail(states, std::string("is of type ") + states.type->name + ", must be F32, F16 or BF16");
  }
  const index_t count = ids.size(), first = states.shape[0], second = states.shape[1];
  if (first != count && second != count)
    detail::fail(states, "has axes of " + std::to_string(first) + " and " + std::to_string(second) + ", neither is " +
                             std::to_string(count) + ", the number of tokens");
  dump.layers_first = first != count;
  if (const auto axes = file.metadata.find("axes"); axes != file.metadata.end()) {
    const bool stated = axes->second == "layers,tokens,width";
    if (!stated && axes->second != "tokens,layers,width")
      throw format_error(name, {}, "\"axes\" is \"" + short_text(axes->second) + "\"");
    if ((stated ? second : first) != count)
      detail::fail(states, "its axes are not \"" + axes->second + "\", as the file says");
    dump.layers_first = stated;
  }
  if (const auto last = file.metadata.find("last_state"); last != file.metadata.end()) {
    if (last->second == detail::last_state_names[0])
      dump.last = routing::last_state::after_norm;
    else if (last->second != detail::last_state_names[1])
      throw format_error(name, {}, "\"last_state\" is \"" + short_text(last->second) + "\"");
  }
  dump.layers = dump.layers_first ? first : second;
  dump.width = states.shape[2];
  if (dump.layers == 0 || dump.width == 0 || dump.width > 2147483647) detail::fail(states, "has an empty axis");
  dump.states = states.bytes.data();
  dump.name = name;
  dump.file = std::move(file);
  return dump;
}

/// @throws std::system_error; format_error as `read_safetensors`, `state_dump_of`.
inline state_dump read_state_dump(const std::filesystem::path& path) {
  return state_dump_of(read_safetensors(path), path.string());
}

/// The model's own final norm.
struct final_norm {
  std::span<const float> weight;
  double epsilon;
};

/// What is to be made of a dump.
struct wanted_states {
  std::int32_t states;                    ///< that the model has: its blocks + 1
  std::span<const std::int32_t> of = {};  ///< which state each layer of the dump is; empty: 0, 1, …
  routing::last_state last = routing::last_state::after_norm;
  std::optional<final_norm> norm = {};  ///< converts vLLM's last state into the one after the norm
};

/// Calls @p f(state, routing::state_rows) with the states of @p d, in order; the last one, where it is wanted after the
/// norm, normed token by token, in pieces. (The norm of a mean is another vector.)
/// @throws format_error, before anything is handed over, if the dump has another number of layers, a state that the
///         model does not have, or needs a norm that is not there or of another width.
template <class F>
void for_each_state(const state_dump& d, const wanted_states& want, F&& f) {
  const auto fail = [&](const std::string& reason) { throw format_error(d.name, {}, reason); };
  const index_t expected = want.of.empty() ? index_t{want.states} : std::ssize(want.of);
  if (d.layers != expected)
    fail("has " + std::to_string(d.layers) + " layers, " + std::to_string(expected) + " are expected");
  const auto state = [&](index_t layer) {
    return want.of.empty() ? static_cast<std::int32_t>(layer) : want.of[static_cast<std::size_t>(layer)];
  };
  const auto converts = [&](index_t layer) { return state(layer) == want.states - 1 && want.last != d.last; };
  for (index_t layer = 0; layer < d.layers; ++layer) {
    if (state(layer) < 0 || state(layer) >= want.states)
      fail("state " + std::to_string(state(layer)) + " of a model that has " + std::to_string(want.states));
    if (!converts(layer)) continue;
    if (d.last == routing::last_state::after_norm)
      fail("its last state is after the model's final norm, and is needed before it");
    if (!want.norm) fail("its last state is before the model's final norm, and is needed after it");
    if (std::ssize(want.norm->weight) != d.width)
      fail("is of width " + std::to_string(d.width) + ", the model's norm of " +
           std::to_string(want.norm->weight.size()));
  }
  for (index_t layer = 0; layer < d.layers; ++layer) {
    const routing::state_rows all = d.rows(layer);
    if (!converts(layer)) {
      f(state(layer), all);
      continue;
    }
    constexpr index_t most = 64;
    std::vector<float> rows(static_cast<std::size_t>(most * d.width)), rms(most);
    const index_t size = all.type == routing::number::float32 ? 4 : 2;
    for (index_t t = 0; t < all.rows; t += most) {
      const index_t count = (min)(most, all.rows - t);
      for (index_t i = 0; i < count; ++i) {
        const auto* from = static_cast<const std::byte*>(all.data) + (t + i) * all.stride * size;
        const std::span<const std::byte> bytes(from, static_cast<std::size_t>(d.width * size));
        float* const to = rows.data() + i * d.width;
        if (all.type == routing::number::float32)
          detail::copy_as<float>(bytes, to);
        else if (all.type == routing::number::float16)
          detail::copy_as<float16>(bytes, to);
        else
          detail::copy_as<bfloat16>(bytes, to);
      }
      const matrix_view<float> piece(rows.data(), count, d.width);
      transformer::rmsnorm_forward<float>(piece, {want.norm->weight.data(), d.width}, want.norm->epsilon, rms.data(),
                                          piece);
      f(state(layer), routing::state_rows{rows.data(), count, all.width, d.width, routing::number::float32});
    }
  }
}

/// Pools the states of @p d over tokens into @p out (layers x width), in double, rounded once: a row of a training set.
/// Returns how many of its elements are infinite or NaN.
/// @throws std::invalid_argument unless @p out has the dump's size and may be written; as `for_each_state`.
inline index_t pool_states(const state_dump& d, const wanted_states& want, routing::token_pooling how,
                           matrix_view<float> out) {
  const char* function = "hone::io::pool_states";
  invalid_argument_unless(out.rows() == d.layers && out.cols() == d.width, function, "out",
                          "is %td x %td, must be %td x %td", out.rows(), out.cols(), d.layers, d.width);
  check_output(out, function, "out");
  std::vector<double> sums(static_cast<std::size_t>(d.width));
  index_t nonfinite = 0, layer = 0;
  std::int64_t done = 0;
  for_each_state(d, want, [&](std::int32_t, const routing::state_rows& x) {
    const auto element = [&](std::int64_t t, index_t i) {
      const auto* from = static_cast<const std::byte*>(x.data);
      if (x.type == routing::number::float32) {
        float value;
        std::memcpy(&value, from + 4 * (t * x.stride + i), sizeof value);
        return value;
      }
      std::uint16_t bits;
      std::memcpy(&bits, from + 2 * (t * x.stride + i), sizeof bits);
      return x.type == routing::number::float16 ? to_accumulator(std::bit_cast<float16>(bits))
                                                : to_accumulator(std::bit_cast<bfloat16>(bits));
    };
    if (done == 0) std::fill(sums.begin(), sums.end(), 0.0);
    for (std::int64_t t = how == routing::token_pooling::last ? x.rows - 1 : 0; t < x.rows; ++t)
      for (index_t i = 0; i < d.width; ++i) {
        double& sum = sums[static_cast<std::size_t>(i)];
        const auto value = static_cast<double>(element(t, i));
        sum = how == routing::token_pooling::last ? value : sum + value;
      }
    done += x.rows;
    if (done < std::ssize(d.tokens)) return;
    for (index_t i = 0; i < d.width; ++i) {
      const double scale = how == routing::token_pooling::last ? 1 : static_cast<double>(done);
      out(layer, i) = static_cast<float>(sums[static_cast<std::size_t>(i)] / scale);
      nonfinite += !std::isfinite(out(layer, i));
    }
    ++layer;
    done = 0;
  });
  return nonfinite;
}

}  // namespace HONE_NAMESPACE::io
