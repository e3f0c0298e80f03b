// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Checkpoints of llama2.c: versions 0 and 1 read, version 0 written.
///   v0   7 int32 {dim, hidden, layers, heads, kv_heads, vocab (negative: untied classifier), sequence}, then float32:
///        the tensors in the order of `transformer::tensor_table`, with sequence * head_size elements of RoPE tables,
///        which are stored and ignored, before the classifier
///   v1   256 bytes: uint32 0x616b3432, int32 1, the 7 numbers (vocab positive), uint8 tied, zeros; then all norms,
///        the embedding, the matrices, the classifier; no tables
/// All little-endian. The size of the file is a function of the header and must hold exactly.
/// [karpathy/llama2.c, export.py and run.c]
#pragma once
#include "hone/io/checkpoint.hpp"
#include "hone/io/detail/config_names.hpp"

#include <cmath>
#include <cstdio>
#include <limits>

namespace HONE_NAMESPACE::io {

namespace detail {

inline constexpr std::uint32_t llama2c_magic = 0x616b3432;

/// Elements of the tensors, and of the tables of v0; in double, where no product of header fields overflows and every
/// count that a file or a vector can have is exact.
inline double llama2c_elements(const transformer::config& c, bool tables) {
  const auto f = [](index_t x) { return static_cast<double>(x); };
  const double attention = 2 * f(c.d_model) * (f(c.d_model) + f(c.kv_width()));
  const double feed_forward = 3 * f(c.d_model) * f(c.d_ff);
  return f(c.vocab) * f(c.d_model) * (c.tie_embeddings ? 1 : 2) +
         f(c.n_layers) * (2 * f(c.d_model) + attention + feed_forward) + f(c.d_model) +
         (tables ? f(c.max_seq) * f(c.head_size()) : 0);
}

/// The seven numbers at @p at; with @p signed_vocab a negative vocab_size says that the classifier is not tied.
inline transformer::config llama2c_config(std::span<const std::byte> bytes, std::size_t at, bool signed_vocab,
                                          const std::string& file) {
  constexpr const char* names[7] = {"dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
  constexpr std::size_t vocab = 5;
  std::int64_t field[7];
  for (std::size_t i = 0; i < 7; ++i) {
    const std::int64_t value = load_little_endian<std::int32_t>(bytes, at + 4 * i);
    field[i] = i == vocab && signed_vocab ? std::abs(value) : value;
    if (field[i] < 1 || field[i] > (std::numeric_limits<std::int32_t>::max)())
      throw format_error(file, {position::unit::byte, at + 4 * i},
                         names[i] + std::string(" is ") + std::to_string(value) + ", must be in [1, 2^31 - 1]");
  }
  const transformer::config c{.d_model = field[0],
                              .d_ff = field[1],
                              .n_layers = field[2],
                              .n_heads = field[3],
                              .n_kv_heads = field[4],
                              .vocab = field[vocab],
                              .max_seq = field[6],
                              .tie_embeddings = load_little_endian<std::int32_t>(bytes, at + 4 * vocab) > 0};
  try {
    transformer::validate(c);
  } catch (const std::invalid_argument& error) {
    throw format_error(file, {position::unit::byte, at}, config_reason(error, &config_name::llama2c));
  }
  return c;
}

}  // namespace detail

/// Parses a checkpoint of version 0 or 1; @p file is what errors call it.
/// @throws format_error, before anything is allocated, unless the header is sound and the size is the one it implies.
inline checkpoint parse_llama2c(std::span<const std::byte> bytes, const std::string& file) {
  const auto fail = [&](std::uint64_t at, const std::string& reason) {
    throw format_error(file, {position::unit::byte, at}, reason);
  };
  if (bytes.size() < 28) fail(bytes.size(), "too short for a llama2.c header of 28 bytes");
  const bool versioned = load_little_endian<std::uint32_t>(bytes, 0) == detail::llama2c_magic;
  const std::size_t header = versioned ? 256 : 28;
  if (bytes.size() < header) fail(bytes.size(), "too short for a version 1 header of 256 bytes");
  checkpoint result;
  if (versioned) {
    const auto version = load_little_endian<std::int32_t>(bytes, 4);
    if (version == 2) fail(4, "version 2 (int8 groups) is not read; export it as version 0 or 1");
    if (version != 1) fail(4, "unknown version " + std::to_string(version));
    result.config = detail::llama2c_config(bytes, 8, false, file);
    result.config.tie_embeddings = std::to_integer<int>(bytes[36]) != 0;
  } else {
    result.config = detail::llama2c_config(bytes, 0, true, file);
  }
  const transformer::config& c = result.config;
  const double expected = static_cast<double>(header) + 4 * detail::llama2c_elements(c, !versioned);
  if (static_cast<double>(bytes.size()) != expected) {
    char reason[128];
    std::snprintf(reason, sizeof reason, "the file has %zu bytes, its header asks for %.0f", bytes.size(), expected);
    fail(bytes.size(), reason);
  }
  const std::vector<transformer::tensor> table = transformer::tensor_table(c);
  result.parameters.resize(static_cast<std::size_t>(detail::parameters_of(table)));
  std::size_t at = header;
  const auto take = [&](const transformer::tensor& t) {
    for (index_t i = 0; i < t.size(); ++i, at += 4) {
      const auto value = load_little_endian<float>(bytes, at);
      if (!std::isfinite(value)) ++result.nonfinite;
      result.parameters[static_cast<std::size_t>(t.offset + i)] = value;
    }
  };
  const auto take_if = [&](auto&& wanted) {
    for (const transformer::tensor& t : table)
      if (wanted(t.kind)) take(t);
  };
  using enum transformer::tensor_kind;
  if (versioned) {
    take_if([](auto kind) { return kind == norm; });
    take_if([](auto kind) { return kind == embedding; });
    take_if([](auto kind) { return kind == linear; });
  } else {
    take_if([](auto kind) { return kind != classifier; });
    at += 4 * static_cast<std::size_t>(c.max_seq * c.head_size());
  }
  take_if([](auto kind) { return kind == classifier; });
  return result;
}

/// Reads a checkpoint of version 0 or 1. @throws std::system_error, format_error.
inline checkpoint read_llama2c(const std::filesystem::path& path) {
  return parse_llama2c(read_file(path), path.string());
}

/// The bytes of a version 0 checkpoint. The RoPE tables, which older readers use, are computed in float as the exporter
/// does; sin and cos of two libraries may differ in the last bit.
/// @throws std::invalid_argument if @p parameters does not fit @p c, or c has what the format cannot say: RoPE other
///         than base 10000 in interleaved layout and unscaled, a norm epsilon other than 1e-5, bidirectional attention,
///         a head size of its own, biases, norms of heads, a window, outputs other than the vocabulary.
inline std::vector<std::byte> format_llama2c(const transformer::config& c, std::span<const float> parameters) {
  const char* function = "hone::io::format_llama2c";
  transformer::validate(c);
  const transformer::config plain;
  invalid_argument_unless(c.scaling == plain.scaling, function, "c.scaling", "llama2.c does not scale RoPE");
  invalid_argument_unless(c.head_size() * c.n_heads == c.d_model, function, "c.head_width",
                          "llama2.c knows only d_model / n_heads");
  invalid_argument_unless(!c.qkv_bias && !c.output_bias, function, "c.qkv_bias, c.output_bias",
                          "llama2.c has no biases");
  invalid_argument_unless(c.qk_norm == transformer::query_key_norm::none, function, "c.qk_norm",
                          "llama2.c has no norms of heads");
  invalid_argument_unless(c.clip_qkv == 0, function, "c.clip_qkv", "llama2.c cuts no projections");
  invalid_argument_unless(c.experts.count == 0, function, "c.experts", "llama2.c has none");
  invalid_argument_unless(c.window == 0, function, "c.window", "llama2.c looks at all positions");
  invalid_argument_unless(c.output_width() == c.vocab, function, "c.outputs", "llama2.c's are the vocabulary");
  invalid_argument_unless(static_cast<double>(parameters.size()) == detail::llama2c_elements(c, false), function,
                          "parameters", "has %zu parameters, the model has %.0f", parameters.size(),
                          detail::llama2c_elements(c, false));
  invalid_argument_unless(c.rope == transformer::rope_layout::interleaved && c.rope_base == 10000.0, function, "c",
                          "llama2.c knows only interleaved RoPE of base 10000");
  invalid_argument_unless(c.norm_eps == 1e-5 && c.causal, function, "c",
                          "llama2.c knows only a norm epsilon of 1e-5 and causal attention");
  std::vector<std::byte> bytes;
  bytes.reserve(28 + 4 * static_cast<std::size_t>(detail::llama2c_elements(c, true)));
  for (const index_t field :
       {c.d_model, c.d_ff, c.n_layers, c.n_heads, c.n_kv_heads, c.tie_embeddings ? c.vocab : -c.vocab, c.max_seq})
    append_little_endian(bytes, static_cast<std::int32_t>(field));
  const std::size_t classifier = c.tie_embeddings ? 0 : static_cast<std::size_t>(c.vocab * c.d_model);
  for (const float value : parameters.first(parameters.size() - classifier)) append_little_endian(bytes, value);
  for (const bool sine : {false, true})
    for (index_t position = 0; position < c.max_seq; ++position)
      for (index_t i = 0; i < c.head_size(); i += 2) {
        const float exponent = static_cast<float>(i) / static_cast<float>(c.head_size());
        const float angle = static_cast<float>(position) * (1 / std::pow(10000.0f, exponent));
        append_little_endian(bytes, sine ? std::sin(angle) : std::cos(angle));
      }
  for (const float value : parameters.last(classifier)) append_little_endian(bytes, value);
  return bytes;
}

/// Writes a version 0 checkpoint; the file appears whole or not at all. @throws as format_llama2c, std::system_error.
inline void write_llama2c(const std::filesystem::path& path, const transformer::config& c,
                          std::span<const float> parameters) {
  const std::vector<std::byte> bytes = format_llama2c(c, parameters);
  atomic_file file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace HONE_NAMESPACE::io
