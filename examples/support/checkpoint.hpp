// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A run on disk: one safetensors file with its tensors and, in the metadata under the program's name, the options, the
/// step, and whatever else it has to go on from. A file is a function of what the run was told: times are left out.
#pragma once
#include <cstdio>
#include <span>

#include "hone/io/safetensors.hpp"
#include "support/program.hpp"

namespace program {

/// A tensor of a run, of one dimension.
struct run_tensor {
  std::string name;
  std::span<float> elements;
};

/// The @p records with null for what each says of time under @p key.
inline nlohmann::json timeless(nlohmann::json records, const char* key) {
  for (nlohmann::json& record : records) record[key] = nullptr;
  return records;
}

/// @param about has "options". @throws std::system_error.
inline void write_run(const std::string& file, const char* program, const nlohmann::json& about,
                      const std::vector<run_tensor>& tensors) {
  std::vector<hone::io::tensor_source> sources;
  for (const run_tensor& t : tensors)
    sources.push_back({t.name, {static_cast<hone::index_t>(t.elements.size())}, t.elements});
  hone::io::write_safetensors(file, sources, {{"format", "pt"}, {program, about.dump()}});
}

/// What `write_run` wrote of a run.
class run_file {
 public:
  /// @throws std::system_error, io::format_error, std::runtime_error naming the file if it is none of @p program.
  run_file(const std::string& file, const char* program) : name_(file), file_(hone::io::read_safetensors(file)) {
    const auto found = file_.metadata.find(program);
    if (found != file_.metadata.end())
      about_ = hone::io::parse_json(found->second, file + ": metadata \"" + program + "\"").root;
    if (!about_.is_object() || !about_.contains("options"))
      throw std::runtime_error(file + ": is no checkpoint of " + program);
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const nlohmann::json& options() const { return about_["options"]; }
  /// What the metadata says, as read(about) takes it.
  /// @throws std::runtime_error if something that is read is missing, or of another kind.
  template <class F>
  auto read(F&& f) const try {
    return f(about_);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(name_ + ": " + error.what());
  }
  /// @throws std::runtime_error if there is none of that name.
  [[nodiscard]] std::vector<float> elements_of(const std::string& tensor) const {
    const hone::io::stored_tensor* t = hone::io::find_tensor(file_.tensors, tensor);
    if (t == nullptr) throw std::runtime_error(name_ + ": has no tensor \"" + tensor + "\"");
    return hone::io::elements_of(*t);
  }
  /// Puts the tensors where they were. @throws std::runtime_error if one is missing or has another size.
  void restore(const std::vector<run_tensor>& tensors) const {
    for (const run_tensor& t : tensors) {
      const std::vector<float> stored = elements_of(t.name);
      if (stored.size() != t.elements.size())
        throw std::runtime_error(name_ + ": tensor \"" + t.name + "\" has " + std::to_string(stored.size()) +
                                 " elements, the run " + std::to_string(t.elements.size()));
      std::copy(stored.begin(), stored.end(), t.elements.begin());
    }
  }

 private:
  std::string name_;
  hone::io::safetensors file_;
  nlohmann::json about_;
};

/// @param free options that may be others. @throws std::runtime_error unless @p stored was made with @p options.
inline void require_same_options(const run_file& stored, const nlohmann::json& options,
                                 const std::vector<std::string>& free = {}) {
  const nlohmann::json& own = stored.options();
  for (const auto& [key, value] : options.items())
    if (std::find(free.begin(), free.end(), key) == free.end() && (!own.contains(key) || own[key] != value))
      throw std::runtime_error(stored.name() + ": was made with " + key + " " +
                               own.value(key, nlohmann::json()).dump() + ", not " + value.dump());
}

/// After Ctrl-C, on stderr.
inline void say_where_to_go_on(long step, const std::string& checkpoint) {
  std::fprintf(stderr, "interrupted after step %ld: ", step);
  if (checkpoint.empty())
    std::fputs("no --checkpoint to go on from\n", stderr);
  else
    std::fprintf(stderr, "go on with --resume %s\n", checkpoint.c_str());
}

}  // namespace program
