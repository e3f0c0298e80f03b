// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the config.json of a masked-diffusion model says beyond the fields of Transformers, of type "hone": no program
/// that does not know the type takes it for a causal model. Every field of a configuration that is not causal is there.
#pragma once
#include "hone/io/detail/config_fields.hpp"
#include "hone/transformer/config.hpp"

#include <iterator>
#include <string>

namespace HONE_NAMESPACE::io::detail {

inline constexpr const char *own_type = "hone", *own_architecture = "HoneMaskedDiffusion";

/// Values of enumerations by their names, in order.
inline constexpr const char *norm_names[] = {"none", "heads", "whole"}, *pool_names[] = {"sequence", "batch"},
                            *ranking_names[] = {"logit", "softmax", "sigmoid", "sinkhorn"},
                            *selection_names[] = {"column_top", "row_top", "global_top", "threshold"},
                            *gate_names[] = {"softmax", "sigmoid", "relu"},
                            *drop_names[] = {"gate", "position", "choice"};

template <class Enum, std::size_t Count>
void read_name(const config_fields& in, const std::string& path, const char* const (&names)[Count], Enum& value) {
  const std::string text = in.text(path, "");
  std::string all;
  for (std::size_t i = 0; i < Count; ++i) {
    if (text == names[i]) {
      value = static_cast<Enum>(i);
      return;
    }
    all += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  in.fail(path, "\"" + text + "\" is not one of " + all);
}

inline moe::router read_router(const config_fields& in, const std::string& path) {
  moe::router r;
  read_name(in, path + ".pool", pool_names, r.over);
  read_name(in, path + ".ranked_by", ranking_names, r.ranked_by);
  read_name(in, path + ".chosen", selection_names, r.chosen);
  read_name(in, path + ".gate", gate_names, r.gate);
  read_name(in, path + ".dropped", drop_names, r.dropped);
  r.renormalised = in.boolean(path + ".renormalised");
  r.per_token = in.whole(path + ".per_token");
  r.capacity_numerator = in.whole(path + ".capacity_numerator", 0);
  r.capacity_denominator = in.whole(path + ".capacity_denominator", 1);
  r.second_at_random = in.boolean(path + ".second_at_random");
  r.best_if_none = in.boolean(path + ".best_if_none");
  return r;
}

inline nlohmann::json written_router(const moe::router& r) {
  nlohmann::json j;
  j["pool"] = pool_names[static_cast<std::size_t>(r.over)];
  j["ranked_by"] = ranking_names[static_cast<std::size_t>(r.ranked_by)];
  j["chosen"] = selection_names[static_cast<std::size_t>(r.chosen)];
  j["gate"] = gate_names[static_cast<std::size_t>(r.gate)];
  j["renormalised"] = r.renormalised;
  j["per_token"] = r.per_token;
  j["capacity_numerator"] = r.capacity_numerator;
  j["capacity_denominator"] = r.capacity_denominator;
  j["dropped"] = drop_names[static_cast<std::size_t>(r.dropped)];
  j["second_at_random"] = r.second_at_random;
  j["best_if_none"] = r.best_if_none;
  return j;
}

/// The mask of a model that is not causal; none where the field is missing.
inline void read_mask_token(const config_fields& in, transformer::config& c) {
  if (in.find("mask_token_id") != nullptr) c.mask_token = static_cast<std::int32_t>(in.whole("mask_token_id"));
}

inline void read_own(const config_fields& in, transformer::config& c) {
  if (in.boolean("is_causal", true)) in.fail("is_causal", "must be false in a model of this type");
  c.causal = false;
  c.block = in.whole("block_length", 0);
  c.qkv_bias = in.boolean("qkv_bias");
  c.output_bias = in.boolean("output_bias");
  read_name(in, "qk_norm", norm_names, c.qk_norm);
  c.clip_qkv = in.real("clip_qkv", 0.0);
  if (in.find("experts") == nullptr) return;
  transformer::expert_layers& e = c.experts;
  e.count = in.whole("experts.count");
  e.d_ff = in.whole("experts.intermediate_size");
  e.shared_d_ff = in.whole("experts.shared_intermediate_size", 0);
  e.selection_bias = in.boolean("experts.selection_bias");
  e.sees_the_future = in.boolean("experts.sees_the_future");
  e.every = in.whole("experts.every", 1);
  e.dense = in.wholes("experts.dense");
  e.router = read_router(in, "experts.router");
}

/// Adds the fields to those of all models.
inline void write_own(const transformer::config& c, nlohmann::json& j) {
  const transformer::expert_layers& e = c.experts;
  j["is_causal"] = false;
  j["block_length"] = c.block;
  j["qkv_bias"] = c.qkv_bias;
  j["output_bias"] = c.output_bias;
  j["qk_norm"] = norm_names[static_cast<std::size_t>(c.qk_norm)];
  j["clip_qkv"] = c.clip_qkv;
  if (e.count == 0) return;
  nlohmann::json& experts = j["experts"];
  experts["count"] = e.count;
  experts["intermediate_size"] = e.d_ff;
  experts["shared_intermediate_size"] = e.shared_d_ff;
  experts["selection_bias"] = e.selection_bias;
  experts["sees_the_future"] = e.sees_the_future;
  experts["every"] = e.every;
  experts["dense"] = e.dense;
  experts["router"] = written_router(e.router);
}

}  // namespace HONE_NAMESPACE::io::detail
