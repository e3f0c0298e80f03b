// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of routers: a safetensors file of one tensor, "v" (layers x width, float32), what each element of a state
/// counts, and the metadata
///   "format"  "hone router 1"
///   "router"  a JSON object: "model" (what `identify_model` says), "states" (blocks + 1), "layers" (the states that
///             the rows of v are for), "last_state" ("hugging_face": after the final norm, "vllm": before), "tokens"
///             ("mean", "last"), "chat_template" (whether prompts went through it), "bias", "slope", "intercept",
///             "thresholds" ([call rate, value], …) and "training_data" (a hash or name; may be empty)
/// Every field is needed and any other refused. A trained linear probe, whatever pooled its layers, is folded to this.
#pragma once
#include "hone/io/detail/state_names.hpp"
#include "hone/io/model_identity.hpp"
#include "hone/io/safetensors.hpp"
#include "hone/routing/sink.hpp"

namespace HONE_NAMESPACE::io {

/// Prompts whose probability is below @c value are called, at about @c call_rate of those that it was chosen on.
struct router_threshold {
  double call_rate;
  double value;
};

struct stored_router {
  std::string model = {};                 ///< hash of a `model_identity`
  std::int32_t states = 0;                ///< that the model has: its blocks + 1
  std::vector<std::int32_t> layers = {};  ///< states that are read, ascending: the rows of v
  routing::last_state last = routing::last_state::after_norm;
  routing::token_pooling tokens = routing::token_pooling::mean;
  bool chat_template = false;
  std::vector<float> v = {};  ///< layers x width, row-major
  double bias = 0;
  double slope = 1, intercept = 0;                ///< of the calibration
  std::vector<router_threshold> thresholds = {};  ///< at least one, of ascending call rates and values that do not fall
  std::string training_data = {};

  [[nodiscard]] std::int32_t width() const {
    return layers.empty() ? 0 : static_cast<std::int32_t>(v.size() / layers.size());
  }
  /// For a `state_sink`, at the threshold of the highest call rate up to @p call_rate, or else of the lowest. This must
  /// outlive it.
  /// @pre as `write_router` asks for.
  [[nodiscard]] routing::folded_router fold(double call_rate) const {
    const router_threshold* chosen = thresholds.data();
    for (const router_threshold& t : thresholds)
      if (t.call_rate <= call_rate) chosen = &t;
    return {.v = v.data(),
            .layers = static_cast<std::int32_t>(layers.size()),
            .width = width(),
            .bias = bias,
            .threshold = chosen->value,
            .slope = slope,
            .intercept = intercept,
            .states = states,
            .state_of = layers.data(),
            .tokens = tokens,
            .last = last};
  }
};

namespace detail {

inline constexpr const char* router_format = "hone router 1";

/// Why @p r is no router, or empty.
inline std::string router_flaw(const stored_router& r) {
  constexpr std::int32_t most_states = 1 << 20;
  if (r.model.size() != 64 || r.model.find_first_not_of("0123456789abcdef") != std::string::npos)
    return "\"model\" is not 64 hexadecimal digits";
  if (r.states < 1 || r.states > most_states) return "\"states\" must be in [1, 1048576]";
  if (r.layers.empty()) return "\"layers\" is empty";
  for (std::size_t i = 0; i < r.layers.size(); ++i)
    if (r.layers[i] < 0 || r.layers[i] >= r.states || (i > 0 && r.layers[i] <= r.layers[i - 1]))
      return "\"layers\" must ascend within [0, " + std::to_string(r.states - 1) + "]";
  if (r.v.empty() || r.v.size() % r.layers.size() != 0 || r.v.size() / r.layers.size() > most_states)
    return "v has " + std::to_string(r.v.size()) + " elements for " + std::to_string(r.layers.size()) + " layers";
  for (std::size_t i = 0; i < r.v.size(); ++i)
    if (!std::isfinite(r.v[i])) return "element " + std::to_string(i) + " of v is not finite";
  const std::pair<const char*, double> numbers[] = {{"bias", r.bias}, {"slope", r.slope}, {"intercept", r.intercept}};
  for (const auto& [name, x] : numbers)
    if (!std::isfinite(x)) return std::string("\"") + name + "\" is not finite";
  if (r.thresholds.empty()) return "\"thresholds\" is empty";
  for (std::size_t i = 0; i < r.thresholds.size(); ++i) {
    const router_threshold& t = r.thresholds[i];
    if (!(t.call_rate >= 0 && t.call_rate <= 1) || !std::isfinite(t.value))
      return "\"thresholds\": a call rate must be in [0, 1], a value finite";
    if (i > 0 && (t.call_rate <= r.thresholds[i - 1].call_rate || t.value < r.thresholds[i - 1].value))
      return "\"thresholds\": call rates must ascend, and values not fall";
  }
  return {};
}

/// Takes the fields of the metadata's object one by one.
class router_fields {
 public:
  router_fields(const std::string& text, const std::string& file) : file_(file) {
    try {
      fields_ = parse_json(text, file).root;
    } catch (const format_error& error) {
      fail(error.reason());
    }
    if (!fields_.is_object()) fail("is not an object");
  }
  [[noreturn]] void fail(const std::string& reason) const { throw format_error(file_, {}, "\"router\": " + reason); }

  nlohmann::json take(const char* name) {
    const auto found = fields_.find(name);
    if (found == fields_.end()) fail(std::string("has no \"") + name + "\"");
    nlohmann::json value = std::move(*found);
    fields_.erase(found);
    return value;
  }
  std::string text(const char* name) {
    const nlohmann::json value = take(name);
    if (!value.is_string()) fail(std::string("\"") + name + "\" is not a string");
    return value.get<std::string>();
  }
  double real(const char* name) { return real(take(name), name); }
  double real(const nlohmann::json& value, const char* name) const {
    if (!value.is_number()) fail(std::string("\"") + name + "\" is not a number");
    return value.get<double>();
  }
  std::int32_t whole(const nlohmann::json& value, const char* name) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > 2147483647u)
      fail(std::string("\"") + name + "\" is not a whole number in [0, 2^31 - 1]");
    return static_cast<std::int32_t>(value.get<std::uint64_t>());
  }
  bool boolean(const char* name) {
    const nlohmann::json value = take(name);
    if (!value.is_boolean()) fail(std::string("\"") + name + "\" is not true or false");
    return value.get<bool>();
  }
  /// The number of the field's name in @p names.
  template <std::size_t Count>
  std::size_t choice(const char* name, const char* const (&names)[Count]) {
    const std::string value = text(name);
    for (std::size_t i = 0; i < Count; ++i)
      if (value == names[i]) return i;
    fail(std::string("\"") + name + "\" is \"" + short_text(value) + "\"");
  }
  nlohmann::json array(const char* name) {
    nlohmann::json value = take(name);
    if (!value.is_array()) fail(std::string("\"") + name + "\" is not an array");
    return value;
  }
  void done() const {
    if (!fields_.empty()) fail("has an unknown field \"" + short_text(fields_.begin().key()) + "\"");
  }

 private:
  const std::string& file_;
  nlohmann::json fields_;
};

}  // namespace detail

/// The router of a parsed file, which errors call @p file.
/// @throws format_error with the reason unless it is as above, all of it.
inline stored_router router_of(const safetensors& in, const std::string& file) {
  const auto fail = [&](const std::string& reason) { throw format_error(file, {}, reason); };
  const auto format = in.metadata.find("format"), text = in.metadata.find("router");
  if (format == in.metadata.end() || !format->second.starts_with("hone router")) fail("is no router");
  if (format->second != detail::router_format)
    fail("is of the format \"" + short_text(format->second) + "\", only \"" + detail::router_format + "\" is read");
  if (text == in.metadata.end()) fail("has no \"router\" in its metadata");
  if (in.metadata.size() > 2) fail("has unknown metadata");
  detail::router_fields fields(text->second, file);
  stored_router r;
  r.model = fields.text("model");
  r.states = fields.whole(fields.take("states"), "states");
  for (const nlohmann::json& layer : fields.array("layers")) r.layers.push_back(fields.whole(layer, "layers"));
  r.last = static_cast<routing::last_state>(fields.choice("last_state", detail::last_state_names));
  r.tokens = static_cast<routing::token_pooling>(fields.choice("tokens", detail::token_pooling_names));
  r.chat_template = fields.boolean("chat_template");
  r.bias = fields.real("bias");
  r.slope = fields.real("slope");
  r.intercept = fields.real("intercept");
  for (const nlohmann::json& pair : fields.array("thresholds")) {
    if (!pair.is_array() || pair.size() != 2) fields.fail("\"thresholds\" holds something other than pairs");
    r.thresholds.push_back({fields.real(pair[0], "thresholds"), fields.real(pair[1], "thresholds")});
  }
  r.training_data = fields.text("training_data");
  fields.done();
  const stored_tensor* v = find_tensor(in.tensors, "v");
  if (v == nullptr) fail("there is no tensor \"v\"");
  if (in.tensors.size() > 1) fail("has tensors other than \"v\"");
  if (v->type->kind != element_kind::float32) detail::fail(*v, std::string("is of type ") + v->type->name);
  if (v->shape.size() != 2 || v->shape[0] != std::ssize(r.layers))
    detail::fail(*v, "is not " + std::to_string(r.layers.size()) + " rows, one for each of \"layers\"");
  r.v = elements_of(*v);
  if (const std::string flaw = detail::router_flaw(r); !flaw.empty()) fail(flaw);
  return r;
}

/// @throws std::system_error; format_error as `read_safetensors`, `router_of`.
inline stored_router read_router(const std::filesystem::path& path) {
  return router_of(read_safetensors(path), path.string());
}

/// Writes @p r; the file appears whole or not at all.
/// @throws std::invalid_argument, before anything is written, unless it is what `read_router` reads; std::system_error.
inline void write_router(const std::filesystem::path& path, const stored_router& r) {
  const std::string flaw = detail::router_flaw(r);
  invalid_argument_unless(flaw.empty(), "hone::io::write_router", "r", "%s", flaw.c_str());
  nlohmann::json thresholds = nlohmann::json::array();
  for (const router_threshold& t : r.thresholds) thresholds.push_back({t.call_rate, t.value});
  const nlohmann::json fields = {
      {"model", r.model},
      {"states", r.states},
      {"layers", r.layers},
      {"last_state", detail::last_state_names[static_cast<std::size_t>(r.last)]},
      {"tokens", detail::token_pooling_names[static_cast<std::size_t>(r.tokens)]},
      {"chat_template", r.chat_template},
      {"bias", r.bias},
      {"slope", r.slope},
      {"intercept", r.intercept},
      {"thresholds", thresholds},
      {"training_data", nlohmann::json::parse(detail::json_string(r.training_data, "hone::io::write_router"))}};
  const std::vector<tensor_source> tensors = {{"v", {std::ssize(r.layers), r.width()}, r.v, format::float32}};
  write_safetensors(path, tensors, {{"format", detail::router_format}, {"router", fields.dump()}});
}

/// Whether a copy of the model in another type or layout may be served by the same router. Its states differ by
/// rounding: measure what that does to the decisions.
enum class copies { refused, accepted };

/// Refuses a model that @p r, from @p file, was not trained on.
/// @throws format_error that names the file and both models unless hash, states and width are the router's; of a copy
///         that is accepted the hash may be another.
inline void require_model(const stored_router& r, const std::string& file, const model_identity& model,
                          copies other = copies::refused) {
  const auto fail = [&](const std::string& reason) { throw format_error(file, {}, reason); };
  if (r.states != model.config.n_layers + 1 || r.width() != model.config.d_model)
    fail("is for a model of " + std::to_string(r.states - 1) + " blocks of width " + std::to_string(r.width()) +
         ", this one has " + std::to_string(model.config.n_layers) + " of width " +
         std::to_string(model.config.d_model));
  if (r.model != model.hash && other == copies::refused)
    fail("was trained on the model " + r.model.substr(0, 12) + "..., this one is " + model.hash.substr(0, 12) + "...");
}

}  // namespace HONE_NAMESPACE::io
