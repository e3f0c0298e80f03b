// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A run on disk: one safetensors file with the parameters and moments of policy and critic, the reference, and, in its
/// metadata, the options, the step, and what was seen so far. Random numbers are functions of the step, so that a run
/// goes on from there with the bits of one that was never interrupted.
#pragma once
#include "hone/io/safetensors.hpp"
#include "reason/agent.hpp"

namespace reason {

/// What a run is at besides its networks.
struct progress_state {
  long step = 0;
  step_sums seen;         ///< since the last record
  nlohmann::json before;  ///< the exam before the first step
  nlohmann::json records = nlohmann::json::array();
  double cpu_seconds = 0;  ///< of processor time in the steps since the run began, or went on from a checkpoint
};

namespace detail {

/// The tensors of a run by name, policy first.
template <class F>
void for_each_tensor(agent& a, F&& f) {
  const auto network = [&](const std::string& name, reason::network& net) {
    const auto all = net.all();
    f(name, all.trained);
    f(name + ".m", all.m);
    f(name + ".v", all.v);
  };
  network("policy", a.policy());
  if (a.value() != nullptr) network("critic", a.value()->net());
  f("reference", a.policy().all().reference);
}

}  // namespace detail

/// The time that steps took is no part of a run: its checkpoint is a function of what it was told.
inline nlohmann::json timeless(nlohmann::json records) {
  for (nlohmann::json& record : records) record["cpu_seconds"] = nullptr;
  return records;
}

/// @throws std::system_error.
inline void write_checkpoint(const std::string& file, const nlohmann::json& options, agent& a,
                             const progress_state& state) {
  std::vector<io::tensor_source> tensors;
  detail::for_each_tensor(a, [&](const std::string& name, std::span<float> x) {
    tensors.push_back({name, {static_cast<index_t>(x.size())}, x});
  });
  const nlohmann::json about = {
      {"options", options},
      {"step", state.step},
      {"generated", a.generated()},
      {"updates", {a.policy().updates(), a.value() != nullptr ? a.value()->net().updates() : 0}},
      {"seen", state.seen},
      {"before", state.before},
      {"records", timeless(state.records)}};
  io::write_safetensors(file, tensors, {{"format", "pt"}, {"reason", about.dump()}});
}

/// What `write_checkpoint` wrote of a run, before its networks are made.
class stored_run {
 public:
  /// @throws std::system_error, io::format_error, std::runtime_error naming the file if it is no checkpoint of a run.
  explicit stored_run(const std::string& file) : name_(file), file_(io::read_safetensors(file)) {
    const auto found = file_.metadata.find("reason");
    if (found != file_.metadata.end()) about_ = io::parse_json(found->second, file + ": metadata \"reason\"").root;
    if (!about_.is_object() || !about_.contains("options"))
      throw std::runtime_error(file + ": is no checkpoint of reason");
  }

  [[nodiscard]] const nlohmann::json& options() const { return about_["options"]; }
  [[nodiscard]] std::vector<float> numbers(const std::string& tensor) const {
    const io::stored_tensor* t = io::find_tensor(file_.tensors, tensor);
    if (t == nullptr) throw std::runtime_error(name_ + ": has no tensor \"" + tensor + "\"");
    return io::elements_of(*t);
  }

  /// Puts everything where it was.
  /// @throws std::runtime_error if a tensor is missing or has another size.
  void restore(agent& a, progress_state& state) const try {
    reason::detail::for_each_tensor(a, [&](const std::string& name, std::span<float> x) {
      const std::vector<float> stored = numbers(name);
      if (stored.size() != x.size())
        throw std::runtime_error(name_ + ": tensor \"" + name + "\" has " + std::to_string(stored.size()) +
                                 " elements, the run " + std::to_string(x.size()));
      std::copy(stored.begin(), stored.end(), x.begin());
    });
    a.set_generated(about_.at("generated").get<index_t>());
    a.policy().all().updates = about_.at("updates").at(0).get<index_t>();
    if (a.value() != nullptr) a.value()->net().all().updates = about_.at("updates").at(1).get<index_t>();
    state = {about_.at("step").get<long>(), about_.at("seen").get<step_sums>(), about_.at("before"),
             about_.at("records")};
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(name_ + ": " + error.what());
  }

 private:
  std::string name_;
  io::safetensors file_;
  nlohmann::json about_;
};

}  // namespace reason
