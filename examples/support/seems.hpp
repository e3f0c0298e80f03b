// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a file seems to be, for those who gave it for something else.
#pragma once
#include <filesystem>
#include <stdexcept>
#include <string>

#include "hone/io/mapped_file.hpp"
#include "hone/io/model.hpp"

namespace program {

namespace detail {

template <class F>
bool reads(F&& f) {
  try {
    f();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace detail

struct kind_of_file {
  std::string words;     ///< empty: of no known kind, or not to be read
  std::string serves{};  ///< "model" or "tokenizer", which it can be given for
};

inline kind_of_file what_it_seems(const std::filesystem::path& path) try {
  using namespace hone::io;
  if (std::filesystem::is_directory(path))
    return std::filesystem::exists(path / config_json_name) ? kind_of_file{"a Hugging Face folder", "model"}
                                                            : kind_of_file{"a folder without a config.json"};
  const mapped_file file(path);
  const std::string_view text = text_of(file.bytes());
  if (text.starts_with("GGUF")) return {"a GGUF file", "model"};
  if (text.starts_with("PK\x03\x04")) return {"a PyTorch or zip file"};
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && (text[begin] == '{' || text[begin] == '[')) {
    if (detail::reads([&] { parse_tokenizer_json(text, ""); })) return {"a tokenizer.json", "tokenizer"};
    if (detail::reads([&] { parse_json(text, ""); })) return {"a JSON file"};
    if (detail::reads([&] { parse_json(text.substr(0, text.find('\n')), ""); })) return {"JSON lines"};
    return {};
  }
  if (detail::reads([&] { parse_safetensors(file.bytes(), ""); }))
    return {"a safetensors file: a model is the folder that it lies in"};
  if (detail::reads([&] { parse_tokenizer_bin(file.bytes(), {}, ""); }))
    return {"a tokenizer.bin of llama2.c", "tokenizer"};
  if (detail::reads([&] { parse_llama2c(file.bytes(), ""); })) return {"a checkpoint of llama2.c", "model"};
  return {};
} catch (const std::exception&) {
  return {};
}

/// What @p read returns. @throws what it throws, with what @p path seems to be, if that is no @p wanted.
template <class F>
auto saying_what_it_seems(const std::string& path, const std::string& wanted, F&& read) {
  try {
    return read();
  } catch (const std::exception& error) {
    const kind_of_file seems = what_it_seems(path);
    if (seems.words.empty() || seems.serves == wanted) throw;
    throw std::runtime_error(std::string(error.what()) + "; no " + wanted + ", it seems to be " + seems.words);
  }
}

}  // namespace program
