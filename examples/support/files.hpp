// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The files of a program: the model that it reads, what it writes, and a look beforehand whether it can.
#pragma once
#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "hone/io/file.hpp"
#include "hone/io/model.hpp"
#include "support/program.hpp"
#include "support/seems.hpp"

namespace program {

inline constexpr const char* unknown_character = "\xef\xbf\xbd";  ///< U+FFFD

/// @throws what `io::read_model` throws, with what the file seems to be where it is no model, or std::runtime_error
///         if a parameter is not finite.
inline hone::io::checkpoint read_finite_model(const std::string& path) {
  hone::io::checkpoint model = saying_what_it_seems(path, "model", [&] { return hone::io::read_model(path); });
  if (model.nonfinite > 0)
    throw std::runtime_error(path + ": " + std::to_string(model.nonfinite) + " parameters are not finite");
  return model;
}

/// The tokenizer in @p file or, if that is empty, the one that lies with the @p model, of @p vocab tokens.
/// @throws what `io::read_tokenizer` throws, with what the file seems to be where it is no tokenizer.
inline hone::io::tokenizer read_tokenizer(const std::string& model, const std::string& file, hone::index_t vocab) {
  if (!file.empty())
    return saying_what_it_seems(file, "tokenizer", [&] { return hone::io::read_tokenizer(file, vocab); });
  try {
    return hone::io::read_model_tokenizer(model, vocab);
  } catch (const std::exception& error) {
    throw std::runtime_error(std::string(error.what()) + " (--tokenizer names another)");
  }
}

/// Adds the text of @p id to @p text: U+FFFD beyond the tokenizer's, as the vocabulary of a model is often padded.
inline void append_text(const hone::io::tokenizer& t, hone::io::token_id id, hone::io::tokenizer::decoder_state& state,
                        std::string& text) {
  if (id < t.vocab())
    t.decode(id, true, state, text);
  else
    text += unknown_character;
}

/// The text of @p ids, as `append_text` has it.
inline std::string text_of(const hone::io::tokenizer& t, std::span<const hone::io::token_id> ids) {
  std::string text;
  hone::io::tokenizer::decoder_state state;
  for (const hone::io::token_id id : ids) append_text(t, id, state, text);
  return text;
}

/// @throws std::runtime_error where there can be none.
inline void require_tokenizer(const std::string& model, const std::string& file) {
  if (file.empty() && model.ends_with(".bin"))
    throw std::runtime_error(model + ": a checkpoint of llama2.c brings no tokenizer along, name one by --tokenizer");
}

/// Writes @p result as the whole of @p file; to nowhere if that is empty. What is no UTF-8 becomes U+FFFD.
inline void write_json(const std::string& file, const nlohmann::json& result) {
  if (file.empty()) return;
  hone::io::atomic_file out(file);
  out.write(result.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  out.commit();
}

/// @p path, which need not be there, without links, dots and a slash at its end.
inline std::filesystem::path whole(const std::string& path) {
  std::error_code ignored;
  // Absolute first: of a path whose first part is not there nothing would be resolved.
  const auto found = std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  return found.has_filename() ? found : found.parent_path();
}

/// Whether both name one file or folder, which need not be there.
inline bool same_file(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return !a.empty() && !b.empty() && (a == b || whole(a) == whole(b) || std::filesystem::equivalent(a, b, ignored));
}

/// Whether @p path, which need not be there, lies in @p folder, however deep.
inline bool lies_in(const std::string& path, const std::string& folder) {
  if (path.empty() || folder.empty()) return false;
  const auto inner = std::filesystem::absolute(whole(path)), outer = std::filesystem::absolute(whole(folder));
  return std::mismatch(inner.begin(), inner.end(), outer.begin(), outer.end()).second == outer.end();
}

/// Where an option lets something be written.
struct output {
  const char* option;
  std::string path;
  std::string file_ending = "";                                           ///< anything else is a folder
  std::vector<std::string> files = {"config.json", "model.safetensors"};  ///< that are written to the folder

  [[nodiscard]] bool is_file() const { return path.ends_with(file_ending); }
};

/// Makes a file in the folder @p path, which need not be there, and takes everything away again.
/// @throws std::system_error if that fails.
inline void try_folder(const std::filesystem::path& path) {
  std::error_code error;
  const auto full = std::filesystem::absolute(path, error);
  std::vector<std::filesystem::path> made;  // the deepest first
  for (auto at = full; !at.empty() && !std::filesystem::exists(at, error) && at != at.root_path();
       at = at.parent_path())
    made.push_back(at);
  error.clear();
  std::filesystem::create_directories(full, error);
  if (!error && !std::filesystem::is_directory(full, error)) error = std::make_error_code(std::errc::not_a_directory);
  const std::error_code failed = error;
  std::string reason;
  if (!failed) try {
      hone::io::atomic_file{full / "probe"};
    } catch (const std::system_error& refused) {
      reason = refused.code().message();
    }
  for (const auto& folder : made) std::filesystem::remove(folder, error);
  if (failed) throw std::system_error(failed, path.string() + ": cannot create");
  if (!reason.empty()) throw std::runtime_error(path.string() + ": cannot create files in it: " + reason);
}

/// Refuses a folder that has files besides those that are written to it: what is left of another model would lie beside
/// this one. @throws std::runtime_error.
inline void require_own_folder(const output& o) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(o.path, ignored)) {
    const std::string name = entry.path().filename().string();
    if (std::find(o.files.begin(), o.files.end(), name) == o.files.end())
      throw std::runtime_error(std::string(o.option) + " " + o.path + " has " + name +
                               ", which would stay beside what is saved: name another folder, or empty it");
  }
}

/// Refuses a @p path of --save whose format cannot hold this model, before it is trained.
/// @throws std::runtime_error.
inline void require_holds(const std::string& path, const hone::transformer::config& c,
                          std::span<const float> parameters) try {
  if (path.empty()) return;
  if (path.ends_with(".bin"))
    (void)hone::io::format_llama2c(c, parameters);
  else
    (void)hone::io::format_config_json(c);
} catch (const std::invalid_argument& error) {
  throw std::runtime_error("--save " + path + ": " + reason_of(error));
}

/// Refuses what would only fail once it is written, or would write over what is read; leaves nothing behind.
/// @throws std::runtime_error, std::system_error.
inline void require_outputs(const std::vector<output>& all, const std::vector<std::string>& inputs = {}) {
  std::error_code ignored;
  for (const output& one : all) {
    if (one.path == "-")
      throw std::runtime_error(std::string(one.option) + " - is not standard output; a file of that name is ./-");
    for (const std::string& input : inputs) {
      if (same_file(one.path, input))
        throw std::runtime_error(std::string(one.option) + " names a file that is to be read");
      if (std::filesystem::is_directory(input, ignored) && lies_in(one.path, input))
        throw std::runtime_error(std::string(one.option) + " " + one.path + " lies in " + input +
                                 ", which is to be read");
      if (!one.is_file() && lies_in(input, one.path))
        throw std::runtime_error(std::string(one.option) + " " + one.path + " holds " + input +
                                 ", which is to be read");
    }
    for (const output& other : all) {
      if (&one < &other && same_file(one.path, other.path))
        throw std::runtime_error(std::string(one.option) + " and " + other.option + " name the same file");
      if (&one != &other && !other.is_file() && lies_in(one.path, other.path))
        throw std::runtime_error(std::string(one.option) + " " + one.path + " lies in the folder of " + other.option);
    }
  }
  for (const output& o : all) {
    if (o.path.empty()) continue;
    for (const char* ending : {".bin", ".gguf", ".json", ".pt", ".safetensors"})
      if (!o.is_file() && o.path.ends_with(ending))
        throw std::runtime_error(std::string(o.option) + " " + o.path + ": what does not end in " + o.file_ending +
                                 " becomes a folder, and is not to end in " + ending);
    if (o.is_file())
      hone::io::atomic_file{o.path};
    else
      require_own_folder(o), try_folder(o.path);
  }
}

}  // namespace program
