// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Adapters of Hugging Face's PEFT: a folder of adapter_config.json and adapter_model.safetensors.
///   base_model.model.MODULE.lora_A.weight [rank, inputs], base_model.model.MODULE.lora_B.weight [outputs, rank]
///   y += alpha / rank B A x, with use_rslora alpha / sqrt(rank); rank and alpha may differ by module, by pattern
/// Rows of q and k are laid out for RoPE in halves. [huggingface/peft, tuners/lora/config.py, utils/save_and_load.py]
#pragma once
#include "hone/io/detail/adapter_parts.hpp"
#include "hone/io/json.hpp"
#include "hone/io/safetensors.hpp"
#include "hone/io/tensor_names.hpp"

#include <cmath>

namespace HONE_NAMESPACE::io {

/// What of adapter_config.json says how the tensors are meant.
struct peft_config {
  /// Numbers by module. A key is the module's name or, after a dot, its end; the first that fits counts.
  using pattern = std::vector<std::pair<std::string, double>>;

  index_t rank = 8;
  double alpha = 8;
  bool use_rslora = false;
  pattern rank_pattern, alpha_pattern;
  std::vector<std::string> target_modules;  ///< names or their ends; empty if a regular expression or a keyword
  std::string base_model;                   ///< a name or a path, where it is given

  /// Rank and scale of @p module, "model.layers.0.self_attn.q_proj", say.
  [[nodiscard]] double rank_of(std::string_view module) const {
    return find(rank_pattern, module, static_cast<double>(rank));
  }
  [[nodiscard]] double scale_of(std::string_view module) const {
    const double r = rank_of(module);
    return find(alpha_pattern, module, alpha) / (use_rslora ? std::sqrt(r) : r);
  }
  [[nodiscard]] bool targets(std::string_view module) const {
    return target_modules.empty() || std::any_of(target_modules.begin(), target_modules.end(),
                                                 [&](const std::string& key) { return fits(key, module); });
  }

 private:
  static bool fits(std::string_view key, std::string_view module) {
    if (key.starts_with('^')) return module == key.substr(1);
    return module.ends_with(key) && (module.size() == key.size() || module[module.size() - key.size() - 1] == '.');
  }
  static double find(const pattern& numbers, std::string_view module, double otherwise) {
    for (const auto& [key, value] : numbers)
      if (fits(key, module)) return value;
    return otherwise;
  }
};

/// Parses adapter_config.json; @p file is what errors call it. Fields that only training needs are passed over.
/// @throws format_error with the byte, if the text is not of that form; and naming the field, if it asks for what an
///         adapter of linear maps cannot be: another type than LORA, biases, DoRA, trained modules or tokens beside it,
///         matrices that are stored transposed, layers that repeat, initial values that changed the base model, a
///         pattern that is more than a name.
inline peft_config parse_peft_config(std::string_view text, const std::string& file) {
  const json_document document = parse_json(text, file);
  const nlohmann::json& root = document.root;
  const auto fail = [&](std::string_view key, const std::string& reason) {
    throw format_error(file, document.where(key), reason);
  };
  if (!root.is_object()) fail("", "the configuration is not a JSON object");
  const auto field = [&](const char* key) {
    const auto found = root.find(key);
    return found == root.end() || found->is_null() ? nullptr : &*found;
  };
  const auto quoted = [](std::string_view key) { return "\"" + std::string(key) + "\""; };
  const auto positive = [&](const std::string& where, const std::string& name, const nlohmann::json& value,
                            bool whole) {
    const double number = value.is_number() ? value.template get<double>() : 0;
    if (!(number > 0 && number <= 1e9) || (whole && !value.is_number_unsigned()))
      fail(where, name + (whole ? " is not a positive whole number" : " is not a positive number"));
    return number;
  };

  const nlohmann::json* type = field("peft_type");
  if (type == nullptr || *type != "LORA") fail("peft_type", "\"peft_type\" is not \"LORA\"");
  for (const char* key : {"use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora", "modules_to_save",
                          "layer_replication", "trainable_token_indices", "target_parameters",
                          "alora_invocation_tokens", "arrow_config", "kasa_config", "monteclora_config"})
    if (const nlohmann::json* value = field(key);
        value != nullptr && *value != false && !(value->is_structured() && value->empty()))
      fail(key, quoted(key) + " is not supported");
  if (const nlohmann::json* bias = field("bias"); bias != nullptr && *bias != "none")
    fail("bias", "\"bias\" other than \"none\" is not supported");
  if (const nlohmann::json* initial = field("init_lora_weights"); initial != nullptr && initial->is_string()) {
    const auto& name = initial->template get_ref<const std::string&>();
    for (const char* changes : {"pissa", "olora", "corda", "loftq", "lora_ga", "milora"})
      if (name.starts_with(changes)) fail("init_lora_weights", quoted(name) + " changed the base model's weights");
  }

  peft_config config;
  for (const char* key : {"r", "lora_alpha"})
    if (field(key) == nullptr) fail("", "no field " + quoted(key));
  config.rank = static_cast<index_t>(positive("r", quoted("r"), root["r"], true));
  config.alpha = positive("lora_alpha", quoted("lora_alpha"), root["lora_alpha"], false);
  if (const nlohmann::json* value = field("use_rslora")) {
    if (!value->is_boolean()) fail("use_rslora", "\"use_rslora\" is not true or false");
    config.use_rslora = value->template get<bool>();
  }
  const auto pattern = [&](const char* name, bool whole) {
    std::vector<std::pair<std::uint64_t, std::pair<std::string, double>>> by_place;
    const nlohmann::json* value = field(name);
    if (value != nullptr && !value->is_object()) fail(name, quoted(name) + " is not an object");
    if (value != nullptr)
      for (const auto& [key, number] : value->items()) {
        const std::string where = std::string(name) + "/" + key, both = quoted(name) + ": " + quoted(key);
        std::string plain;
        for (std::size_t i = 0; i < key.size(); ++i) {
          if (key.compare(i, 2, "\\.") == 0) continue;  // an escaped dot is a dot
          if (std::string_view("\\*+?[](){}|$").find(key[i]) != std::string_view::npos || (key[i] == '^' && i > 0))
            fail(where, both + " is more than a name");
          plain += key[i];
        }
        by_place.push_back({document.where(where).at, {plain, positive(where, both, number, whole)}});
      }
    std::sort(by_place.begin(), by_place.end());
    peft_config::pattern numbers;
    for (auto& entry : by_place) numbers.push_back(std::move(entry.second));
    return numbers;
  };
  config.rank_pattern = pattern("rank_pattern", true);
  config.alpha_pattern = pattern("alpha_pattern", false);
  if (const nlohmann::json* value = field("target_modules"); value != nullptr && value->is_array()) {
    for (const nlohmann::json& name : *value) {
      if (!name.is_string()) fail("target_modules", "\"target_modules\" holds something other than strings");
      config.target_modules.push_back(name.template get<std::string>());
    }
  } else if (value != nullptr && !value->is_string()) {
    fail("target_modules", "\"target_modules\" is neither an array nor a string");
  }
  if (const nlohmann::json* value = field("base_model_name_or_path"); value != nullptr && value->is_string())
    config.base_model = value->template get<std::string>();
  return config;
}

inline constexpr const char* peft_config_name = "adapter_config.json";
inline constexpr const char* peft_tensors_name = "adapter_model.safetensors";

/// Reads a folder's adapter for a model of configuration @p c. Where its RoPE is interleaved, rows of B are moved.
/// @throws std::system_error; format_error as `parse_peft_config`, `read_safetensors`, and naming the tensor, if it is
///         none of the kind above, of no linear map of the model or one that target_modules leaves out, its other half
///         is missing, or its shape is not the one that rank and model ask for. The copy of the base model's classifier
///         that PEFT saves beside an adapter of it is passed over.
inline stored_adapter read_peft(const std::filesystem::path& folder, const transformer::config& c) {
  constexpr std::uint64_t most = std::uint64_t{1} << 20;
  const std::filesystem::path config_path = folder / peft_config_name;
  const std::vector<std::byte> text = read_file(config_path, most);
  const peft_config config = parse_peft_config(text_of(text), config_path.string());
  const safetensors file = read_safetensors(folder / peft_tensors_name);
  const std::vector<transformer::tensor> table = transformer::tensor_table(c);
  detail::adapter_pairs pairs;
  for (const stored_tensor& t : file.tensors) {
    std::string_view module = t.name;
    constexpr std::string_view before = "base_model.model.", a = ".lora_A.weight", b = ".lora_B.weight";
    constexpr std::string_view base = ".base_layer.weight";
    const bool is_a = module.ends_with(a), is_base = module.ends_with(base);
    if (!module.starts_with(before) || (!is_a && !is_base && !module.ends_with(b)))
      detail::fail(t, "is not called base_model.model.MODULE.lora_A.weight or .lora_B.weight");
    module.remove_prefix(before.size());
    module.remove_suffix((std::min)(is_base ? base.size() : a.size(), module.size()));
    const auto id = hugging_face_tensor_id(module);
    const auto matrix = std::find_if(table.begin(), table.end(), [&](const auto& m) { return m.id == id; });
    if (matrix == table.end() || hugging_face_name(*id, expert_names_of(c)) != module)
      detail::fail(t, "the model has no module \"" + std::string(module) + "\" of its own");
    if (is_base) {  // PEFT puts a copy of the classifier beside its adapter
      if (t.shape != std::vector<index_t>{matrix->rows, matrix->cols})
        detail::fail(t, "is " + detail::shape_of(t) + ", not of the model's shape");
      continue;
    }
    if (!config.targets(module)) detail::fail(t, "\"target_modules\" leave it out");
    const double rank = config.rank_of(module);
    const std::size_t rank_axis = is_a ? 0 : 1;
    if (t.shape.size() != 2 || static_cast<double>(t.shape[rank_axis]) != rank)
      detail::fail(t, "is " + detail::shape_of(t) + ", its configured rank is " +
                          std::to_string(static_cast<std::uint64_t>(rank)));
    detail::adapter_pair& pair = pairs[*id];
    (is_a ? pair.a : pair.b) = &t;
    pair.scale = config.scale_of(module);
  }
  return detail::assemble(c, table, pairs, transformer::rope_layout::half);
}

struct peft_options {
  std::string base_model;           ///< where PEFT finds the model that is adapted: a name or a path
  format stored = format::float32;  ///< float32, float16 or bfloat16
};

/// Writes an adapter of a model of configuration @p c as PEFT does: to adapter_model.safetensors and, last,
/// adapter_config.json in @p folder, which is made where it is not there. Rank and alpha of the first site are in
/// the configuration, those of sites that differ in its patterns; alpha = scale * rank is rounded, so that a scale may
/// come back with another last bit.
/// @throws std::invalid_argument, before anything is written, if a site is not a linear map of the model with its
///         shape, its elements are not there, or base_model is not UTF-8; std::system_error.
inline void write_peft(const std::filesystem::path& folder, const transformer::config& c,
                       const lora::adapter<float>& adapter, const peft_options& options = {}) {
  const char* function = "hone::io::write_peft";
  detail::disassembled elements(c, adapter, transformer::rope_layout::half, function);
  detail::json_string(options.base_model, function);
  const auto alpha_of = [](const lora::site& s) {
    const double rank = static_cast<double>(s.rank), alpha = s.scale * rank, whole = std::round(alpha);
    return whole / rank == s.scale ? whole : alpha;  // 16 / 3 * 3 may not be 16
  };
  const auto number = [](double x) -> nlohmann::json {
    if (std::round(x) == x && x < 1e9) return static_cast<std::int64_t>(x);
    return x;
  };
  const auto module_of = [names = expert_names_of(c)](const transformer::tensor_id& id) {
    return hugging_face_name(id, names);
  };
  const auto end_of = [](const std::string& module) { return module.substr(module.rfind('.') + 1); };
  const lora::site& first = adapter.sites.front();
  nlohmann::json ranks = nlohmann::json::object(), alphas = ranks;
  std::map<std::string, std::vector<std::string>> modules;  // by the end of their names
  std::vector<tensor_source> tensors;
  for (std::size_t i = 0; i < adapter.sites.size(); ++i) {
    const lora::site& s = adapter.sites[i];
    const std::string module = module_of(*transformer::tensor_of(s.name));
    const std::string pattern = module.starts_with("model.") ? module.substr(6) : module;  // as all versions match it
    modules[end_of(module)].push_back(module);
    if (s.rank != first.rank) ranks[pattern] = s.rank;
    if (alpha_of(s) != alpha_of(first)) alphas[pattern] = number(alpha_of(s));
    tensors.push_back(
        {"base_model.model." + module + ".lora_A.weight", {s.rank, s.inputs}, elements.a(i), options.stored});
    tensors.push_back(
        {"base_model.model." + module + ".lora_B.weight", {s.outputs, s.rank}, elements.b(i), options.stored});
  }
  std::map<std::string, std::size_t> all;
  for (const transformer::tensor& t : transformer::tensor_table(c))
    if (t.kind == transformer::tensor_kind::linear) ++all[end_of(module_of(t.id))];
  std::vector<std::string> targets;
  for (const auto& [end, names] : modules)  // PEFT adapts every module of such an end: so only where that is meant
    if (names.size() == all[end])
      targets.push_back(end);
    else
      targets.insert(targets.end(), names.begin(), names.end());
  const nlohmann::json config = {{"peft_type", "LORA"},
                                 {"task_type", "CAUSAL_LM"},
                                 {"base_model_name_or_path", options.base_model},
                                 {"r", first.rank},
                                 {"lora_alpha", number(alpha_of(first))},
                                 {"rank_pattern", ranks},
                                 {"alpha_pattern", alphas},
                                 {"target_modules", targets},
                                 {"lora_dropout", 0.0},
                                 {"bias", "none"},
                                 {"fan_in_fan_out", false},
                                 {"modules_to_save", nullptr},
                                 {"use_rslora", false},
                                 {"use_dora", false},
                                 {"inference_mode", true}};
  std::filesystem::create_directories(folder);
  write_safetensors(folder / peft_tensors_name, tensors, {{"format", "pt"}});
  atomic_file file(folder / peft_config_name);
  file.write(config.dump(2) + "\n");
  file.commit();
}

}  // namespace HONE_NAMESPACE::io
