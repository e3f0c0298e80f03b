// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A run on disk: one safetensors file with parameters and moments and, in its metadata, the options, the step, and
/// what was counted so far. Random numbers are functions of the step, so that a run goes on from there with the bits of
/// one that was never interrupted.
#pragma once
#include "diffuse/measures.hpp"
#include "hone/io/safetensors.hpp"

namespace diffuse {

/// What a run is at besides its model.
struct progress_state {
  long step = 0;
  index_t executed = 0, padded = 0;  ///< slots of all layers, and rows of products as long for each expert
  double flops = 0;                  ///< of all steps
  double loss = 0;                   ///< sum over the steps since the last record
  long loss_steps = 0;
  nlohmann::json records = nlohmann::json::array();
  double seconds = 0;  ///< of steps, since the run began or went on from a checkpoint
};

namespace detail {

template <class F>
void for_each_tensor(learner& l, F&& f) {
  const auto all = l.all();
  f("parameters", all.trained);
  f("m", all.m);
  f("v", all.v);
}

}  // namespace detail

/// The time that steps took is no part of a run: its checkpoint is a function of what it was told.
inline nlohmann::json timeless(nlohmann::json records) {
  for (nlohmann::json& record : records) record["tokens_per_second"] = nullptr;
  return records;
}

/// @param text its fingerprint. @throws std::system_error.
inline void write_checkpoint(const std::string& file, const nlohmann::json& options, const std::string& text,
                             learner& l, const progress_state& state) {
  std::vector<io::tensor_source> tensors;
  detail::for_each_tensor(l, [&](const std::string& name, std::span<float> x) {
    tensors.push_back({name, {static_cast<index_t>(x.size())}, x});
  });
  const nlohmann::json about = {{"options", options},
                                {"text", text},
                                {"step", state.step},
                                {"updates", l.updates()},
                                {"executed", state.executed},
                                {"padded", state.padded},
                                {"flops", state.flops},
                                {"loss", state.loss},
                                {"loss_steps", state.loss_steps},
                                {"records", timeless(state.records)}};
  io::write_safetensors(file, tensors, {{"format", "pt"}, {"diffuse", about.dump()}});
}

/// What `write_checkpoint` wrote of a run.
class stored_run {
 public:
  /// @throws std::system_error, io::format_error, std::runtime_error naming the file if it is no checkpoint of a run.
  explicit stored_run(const std::string& file) : name_(file), file_(io::read_safetensors(file)) {
    const auto found = file_.metadata.find("diffuse");
    if (found != file_.metadata.end()) about_ = io::parse_json(found->second, file + ": metadata \"diffuse\"").root;
    if (!about_.is_object() || !about_.contains("options"))
      throw std::runtime_error(file + ": is no checkpoint of diffuse");
  }

  [[nodiscard]] const nlohmann::json& options() const { return about_["options"]; }
  /// The fingerprint of the text that it learnt from.
  [[nodiscard]] std::string text() const { return about_.value("text", std::string()); }

  /// Puts everything where it was. @throws std::runtime_error if a tensor is missing or has another size.
  void restore(learner& l, progress_state& state) const try {
    diffuse::detail::for_each_tensor(l, [&](const std::string& name, std::span<float> x) {
      const io::stored_tensor* t = io::find_tensor(file_.tensors, name);
      if (t == nullptr) throw std::runtime_error(name_ + ": has no tensor \"" + name + "\"");
      const std::vector<float> stored = io::elements_of(*t);
      if (stored.size() != x.size())
        throw std::runtime_error(name_ + ": tensor \"" + name + "\" has " + std::to_string(stored.size()) +
                                 " elements, the run " + std::to_string(x.size()));
      std::copy(stored.begin(), stored.end(), x.begin());
    });
    l.all().updates = about_.at("updates").get<index_t>();
    state = {.step = about_.at("step").get<long>(),
             .executed = about_.at("executed").get<index_t>(),
             .padded = about_.at("padded").get<index_t>(),
             .flops = about_.at("flops").get<double>(),
             .loss = about_.at("loss").get<double>(),
             .loss_steps = about_.at("loss_steps").get<long>(),
             .records = about_.at("records")};
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(name_ + ": " + error.what());
  }

 private:
  std::string name_;
  io::safetensors file_;
  nlohmann::json about_;
};

}  // namespace diffuse
