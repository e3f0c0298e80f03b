// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which model hidden states are of: SHA-256 over the shape and over the tensors that the states depend on, which is
/// all but a classifier of its own, in the bytes that their file has. A copy in another type or layout is another
/// model: its states differ by rounding, and whether that matters only its user can say.
#pragma once
#include "hone/io/checkpoint.hpp"
#include "hone/io/sha256.hpp"

namespace HONE_NAMESPACE::io {

struct model_identity {
  std::string hash;  ///< 64 hexadecimal digits
  transformer::config config;
};

namespace detail {

/// What of a configuration decides states. max_seq and the classifier do not.
inline std::string state_text(const transformer::config& c) {
  const auto of = [](auto choice) { return static_cast<double>(choice); };
  const transformer::rope_scaling& s = c.scaling;
  std::vector<double> numbers = {of(c.d_model),
                                 of(c.d_ff),
                                 of(c.n_layers),
                                 of(c.n_heads),
                                 of(c.n_kv_heads),
                                 of(c.vocab),
                                 of(c.head_size()),
                                 of(c.block),
                                 of(c.window),
                                 of(c.full_layers),
                                 c.rope_base,
                                 c.norm_eps,
                                 c.clip_qkv,
                                 of(c.causal),
                                 of(c.rope),
                                 of(c.qk_norm),
                                 of(c.qkv_bias),
                                 of(c.output_bias),
                                 of(s.how),
                                 s.factor,
                                 s.low_frequency,
                                 s.high_frequency,
                                 of(s.original_max_seq),
                                 of(c.experts.count)};
  if (const transformer::expert_layers& e = c.experts; e.count > 0) {
    const moe::router& r = e.router;
    for (const double x :
         {of(e.d_ff), of(e.shared_d_ff), of(e.every), of(e.selection_bias), of(r.over), of(r.ranked_by), of(r.chosen),
          of(r.gate), of(r.renormalised), of(r.per_token), of(r.capacity_numerator), of(r.capacity_denominator),
          of(r.dropped), of(r.second_at_random), of(r.best_if_none)})
      numbers.push_back(x);
    for (const index_t layer : e.dense) numbers.push_back(of(layer));
  }
  std::string text = "hone states 1";
  for (const double x : numbers) {
    char digits[24];
    std::snprintf(digits, sizeof digits, " %016llx", std::bit_cast<unsigned long long>(x));
    text += digits;
  }
  return text;
}

/// @param of of(tensor, i) adds the bytes of tensor i of the table, and what says their type.
template <class Of>
model_identity identity_of(const transformer::config& c, const std::vector<transformer::tensor>& table, Of&& of) {
  sha256 hash;
  hash.add(state_text(c));
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].id.role == transformer::role::wcls) continue;
    for (const std::string& part : {table[i].name, std::to_string(table[i].rows), std::to_string(table[i].cols)}) {
      hash.add(" ");
      hash.add(part);
    }
    hash.add(" ");
    of(hash, i);
  }
  return {hash.digits(), c};
}

}  // namespace detail

/// Of parameters in memory, laid out by `tensor_table`: that of a checkpoint of llama2.c, too.
/// @throws std::invalid_argument if they do not fit @p c.
inline model_identity identify_model(const transformer::config& c, std::span<const float> parameters) {
  const auto table = transformer::tensor_table(c);
  const index_t count = detail::parameters_of(table);
  invalid_argument_unless(static_cast<index_t>(parameters.size()) == count, "hone::io::identify_model", "parameters",
                          "has %zu elements, the model has %td", parameters.size(), count);
  static_assert(std::endian::native == std::endian::little, "files are little-endian");
  return detail::identity_of(c, table, [&](sha256& hash, std::size_t i) {
    hash.add("F32\n");
    hash.add(std::as_bytes(
        parameters.subspan(static_cast<std::size_t>(table[i].offset), static_cast<std::size_t>(table[i].size()))));
  });
}

}  // namespace HONE_NAMESPACE::io
