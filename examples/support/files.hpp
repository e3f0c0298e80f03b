// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The files of a program: the model that it reads, what it writes, and a look beforehand whether it can.
#pragma once
#include <filesystem>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "hone/io/file.hpp"
#include "hone/io/model.hpp"

namespace program {

/// @throws what `io::read_model` throws, or std::runtime_error if a parameter is not finite.
inline hone::io::checkpoint read_finite_model(const std::string& path) {
  hone::io::checkpoint model = hone::io::read_model(path);
  if (model.nonfinite > 0)
    throw std::runtime_error(path + ": " + std::to_string(model.nonfinite) + " parameters are not finite");
  return model;
}

/// @throws std::runtime_error where there can be none.
inline void require_tokenizer(const std::string& model, const std::string& file) {
  if (file.empty() && model.ends_with(".bin"))
    throw std::runtime_error("--tokenizer: a checkpoint of llama2.c brings none along");
}

/// Writes @p result as the whole of @p file; to nowhere if that is empty.
inline void write_json(const std::string& file, const nlohmann::json& result) {
  if (file.empty()) return;
  hone::io::atomic_file out(file);
  out.write(result.dump(1) + "\n");
  out.commit();
}

/// Where an option lets something be written.
struct output {
  const char* option;
  std::string path;
  std::string file_ending = "";  ///< anything else is a folder
};

/// Refuses what would only fail once it is written. @throws std::runtime_error, std::system_error.
inline void require_outputs(const std::vector<output>& all, const std::vector<std::string>& inputs = {}) {
  for (const output& one : all)
    for (const std::string& input : inputs)
      if (!input.empty() && one.path == input)
        throw std::runtime_error(std::string(one.option) + " names a file that is to be read");
  for (const output& one : all)
    for (const output& other : all)
      if (&one < &other && !one.path.empty() && one.path == other.path)
        throw std::runtime_error(std::string(one.option) + " and " + other.option + " name the same file");
  for (const bool folders : {false, true})
    for (const output& o : all) {
      if (o.path.empty() || o.path.ends_with(o.file_ending) == folders) continue;
      if (folders)
        std::filesystem::create_directories(o.path);
      else
        hone::io::atomic_file{o.path};
    }
}

}  // namespace program
