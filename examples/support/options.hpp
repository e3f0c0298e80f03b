// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A program's options as one table: a row names the field that it writes, says what --help prints, what is allowed,
/// and whether the JSON of a result has it.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "support/numbers.hpp"

namespace program {

/// @p text with U+FFFD for what is no UTF-8, as file names need not be but JSON is.
inline std::string utf8(const std::string& text) {
  return nlohmann::json::parse(nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

struct option {
  std::string names;  ///< "--model,--checkpoint": the JSON has the first one, "model"
  std::string group;
  std::function<CLI::Option*(CLI::App&)> add;
  std::function<nlohmann::json()> value;
  bool is_reported = true;
  std::optional<CLI::Validator> allowed = {};
  std::optional<std::string> default_text = {};
  std::vector<std::string> needed = {};

  /// What --help says of the default, where the field's value says nothing.
  option& shown(std::string text) {
    default_text = std::move(text);
    return *this;
  }
  /// Other options that it is told with.
  option& needs(std::vector<std::string> others) {
    needed = std::move(others);
    return *this;
  }
  option& reported(bool is) {
    is_reported = is;
    return *this;
  }
  [[nodiscard]] std::string first_name() const { return names.substr(0, names.find(',')); }
  [[nodiscard]] std::string key() const {
    std::string result = first_name().substr(2);
    for (char& c : result) c = c == '-' ? '_' : c;
    return result;
  }
};

/// What a field is, or may hold.
template <class T>
struct element_of {
  using type = T;
};
template <class T>
struct element_of<std::optional<T>> : element_of<T> {};
template <class T>
struct element_of<std::vector<T>> : element_of<T> {};

/// The rows of one object's fields, which must outlive them.
class options {
 public:
  /// The rows from here on are of this group.
  void group(std::string name, bool reported = true) {
    group_ = std::move(name);
    reported_ = reported;
  }

  template <class T>
  option& operator()(const char* names, T& field, const std::string& help, std::optional<CLI::Validator> allowed = {}) {
    option& row = add(names, [&field, names, help](CLI::App& app) {
      if constexpr (std::is_same_v<T, bool>) {
        return app.add_flag(names, field, help);
      } else {
        CLI::Option* const made = app.add_option(names, field, help)->capture_default_str();
        using element = typename element_of<T>::type;
        if constexpr (std::is_arithmetic_v<element>) made->transform(number<element>());
        if constexpr (std::is_arithmetic_v<element> && requires { field.push_back({}); }) made->delimiter(',');
        return made;
      }
    });
    row.value = [&field] { return json_of(field); };
    row.allowed = std::move(allowed);
    if constexpr (std::is_same_v<T, std::string>)  // an empty one is a variable that is not set
      if (!row.allowed)
        row.allowed = CLI::Validator([](std::string& text) { return text.empty() ? "is empty" : ""; }, "");
    return row;
  }
  /// One whose values have names. @p field an E, or an optional one.
  template <class T, class E>
  option& choice(const char* names, T& field, const std::map<std::string, E>& table, const char* help) {
    option& row = add(names, [&field, &table, names, help](CLI::App& app) {
      const auto value_of = [&table](std::string& text) {
        std::string known;
        for (const auto& [name, named] : table) {
          if (CLI::detail::to_lower(text) == name) {
            text = std::to_string(static_cast<int>(named));
            return std::string();
          }
          known += (known.empty() ? "" : ", ") + name;
        }
        return text + " is none of " + known;
      };
      return app.add_option(names, field, help)->transform(CLI::Validator(value_of, ""));
    });
    row.value = [&field, &table] {
      const std::optional<E> value = field;
      for (const auto& [name, named] : table)
        if (value == named) return nlohmann::json(name);
      return nlohmann::json();
    };
    return row;
  }

  void declare(CLI::App& app) const {
    for (const option& row : rows_) {
      CLI::Option* const made = row.add(app);
      if (!row.group.empty()) made->group(row.group);
      if (row.allowed) made->check(*row.allowed);
      if (row.default_text) made->default_str(*row.default_text);
    }
    for (const option& row : rows_)
      for (const std::string& other : row.needed) app.get_option(row.first_name())->needs(app.get_option(other));
  }
  /// The reported ones, by name.
  [[nodiscard]] nlohmann::json report() const {
    nlohmann::json result;
    for (const option& row : rows_)
      if (row.is_reported) result[row.key()] = row.value();
    return result;
  }

 private:
  option& add(const char* names, std::function<CLI::Option*(CLI::App&)> how) {
    return rows_.emplace_back(
        option{.names = names, .group = group_, .add = std::move(how), .value = {}, .is_reported = reported_});
  }
  template <class T>
  static nlohmann::json json_of(const T& value) {
    if constexpr (std::is_same_v<T, std::string>)
      return utf8(value);
    else
      return value;
  }
  template <class T>
  static nlohmann::json json_of(const std::optional<T>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  }

  std::vector<option> rows_;
  std::string group_;
  bool reported_ = true;
};

/// The named rows of an array of them, for an option that is one of their names.
template <class Row, std::size_t N>
std::vector<std::string> names(const Row (&table)[N]) {
  std::vector<std::string> result;
  for (const Row& row : table) result.emplace_back(row.name);
  return result;
}
/// The row called @p name, which is one of them.
template <class Row, std::size_t N>
const Row& find(const Row (&table)[N], const std::string& name) {
  const Row* row = table;
  while (name != row->name) ++row;
  return *row;
}

}  // namespace program
