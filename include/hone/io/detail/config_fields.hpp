// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The fields of a config.json, each checked as it is read.
#pragma once
#include "hone/io/json.hpp"

#include <algorithm>
#include <optional>

namespace HONE_NAMESPACE::io::detail {

/// Fields of a configuration, by their path ("rope_scaling.factor"), which errors name.
class config_fields {
 public:
  config_fields(const json_document& document, const std::string& file) : document_(document), file_(file) {}

  [[noreturn]] void fail(const std::string& path, const std::string& reason) const {
    std::string key = path;
    std::replace(key.begin(), key.end(), '.', '/');
    throw format_error(file_, document_.where(key), path.empty() ? reason : "\"" + path + "\": " + reason);
  }
  /// nullptr where it is missing or null.
  [[nodiscard]] const nlohmann::json* find(const std::string& path) const {
    const nlohmann::json* value = &document_.root;
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t dot = (std::min)(path.find('.', at), path.size());
      if (!value->is_object()) return nullptr;
      const auto found = value->find(path.substr(at, dot - at));
      if (found == value->end() || found->is_null()) return nullptr;
      value = &*found;
      at = dot + 1;
    }
    return value;
  }
  [[nodiscard]] bool has(const std::string& key) const { return document_.root.contains(key); }

  [[nodiscard]] index_t whole(const std::string& path, std::optional<index_t> otherwise = {}) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise ? *otherwise : missing(path);
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > 2147483647)
      fail(path, (value->is_number() ? value->dump() + " " : "") + "is not a whole number in [0, 2^31 - 1]");
    return static_cast<index_t>(value->get<std::uint64_t>());
  }
  [[nodiscard]] double real(const std::string& path, std::optional<double> otherwise = {}) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise ? *otherwise : static_cast<double>(missing(path));
    if (!value->is_number()) fail(path, "is not a number");
    return value->get<double>();
  }
  [[nodiscard]] bool boolean(const std::string& path, bool otherwise = false) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) fail(path, "is not true or false");
    return value->get<bool>();
  }
  /// Empty where it is missing or null.
  [[nodiscard]] std::vector<index_t> wholes(const std::string& path) const {
    std::vector<index_t> numbers;
    const nlohmann::json* value = find(path);
    if (value != nullptr && !value->is_array()) fail(path, "is not a list");
    if (value != nullptr)
      for (const nlohmann::json& number : *value) {
        if (!number.is_number_unsigned() || number.get<std::uint64_t>() > 2147483647)
          fail(path, "holds something other than whole numbers in [0, 2^31 - 1]");
        numbers.push_back(static_cast<index_t>(number.get<std::uint64_t>()));
      }
    return numbers;
  }
  [[nodiscard]] std::string text(const std::string& path, const std::string& otherwise) const {
    const nlohmann::json* value = find(path);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) fail(path, "is not a string");
    return value->get<std::string>();
  }

 private:
  [[noreturn]] index_t missing(const std::string& path) const { fail(path, "is missing"); }

  const json_document& document_;
  const std::string& file_;
};

}  // namespace HONE_NAMESPACE::io::detail
