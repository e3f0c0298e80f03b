// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Runs side by side: every combination of some options' values, as a command line would give them.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/idle.hpp"

namespace program {

/// One option and the values that it is to have; after a colon, what else a value brings along ("ppo:gae-lambda=1").
struct axis {
  std::string option;
  std::vector<std::string> values;
};

/// @throws std::runtime_error unless @p text is "OPTION=VALUE,VALUE".
inline axis parse_axis(const std::string& text) {
  const auto equals = text.find('=');
  axis a{text.substr(0, equals), {}};
  if (equals != std::string::npos) a.values = CLI::detail::split(text.substr(equals + 1), ',');
  // The last of "1,2," is no value to split.
  if (a.values.empty() || text.ends_with(',') ||
      std::any_of(a.values.begin(), a.values.end(), [](const auto& v) { return v.empty(); }))
    throw std::runtime_error("--sweep \"" + text + "\": must be OPTION=VALUE,VALUE");
  return a;
}

/// A combination: the values, and the settings with them.
template <class Settings>
struct combination {
  std::string name;
  nlohmann::json values = nlohmann::json::object();
  Settings options;
  told_options told;
};

/// Gives an option a value, as the command line would. @throws std::runtime_error if it is one of @p fixed, which may
/// not differ between runs, or none, or does not take the value.
inline void assign(CLI::App& app, const std::string& name, const std::string& value,
                   const std::vector<const char*>& fixed) {
  CLI::Option* const option = name.empty() ? nullptr : app.get_option_no_throw("--" + name);
  const bool is_fixed = std::any_of(fixed.begin(), fixed.end(), [&](const char* f) { return name == f; });
  if (option == nullptr || is_fixed || name == "help")
    throw std::runtime_error("--sweep: \"" + name + "\" is no option that can be swept");
  option->clear();
  option->add_result(value);
  try {
    option->run_callback();
  } catch (const CLI::Error& error) {
    throw std::runtime_error(std::string("--sweep: ") + error.what());
  }
}

/// The options and values that @p text, one of an axis', brings along: "ppo:gae-lambda=1".
inline std::vector<axis> brought_by(const std::string& text) {
  std::vector<axis> result;
  const std::vector<std::string> parts = CLI::detail::split(text, ':');
  for (std::size_t p = 1; p < parts.size(); ++p) result.push_back(parse_axis(parts[p]));
  return result;
}

/// Whether both are one text, or one number.
inline bool same_value(const std::string& a, const std::string& b) {
  char *end_a = nullptr, *end_b = nullptr;
  const double x = std::strtod(a.c_str(), &end_a), y = std::strtod(b.c_str(), &end_b);
  return a == b || (*end_a == 0 && *end_b == 0 && x == y);
}

/// Refuses what would run under a name that is not its own: an option with two values at a time, or a value twice.
/// @throws std::runtime_error.
inline void require_one_value(const std::vector<axis>& axes, const told_options& told) {
  std::map<std::string, std::size_t> set_by;  // options by the axis that sets them
  const auto set = [&](const std::string& option, std::size_t by) {
    const auto [found, is_new] = set_by.emplace(option, by);
    if (!is_new && found->second != by) throw std::runtime_error("--sweep: sets --" + option + " twice");
  };
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto& [option, values] = axes[i];
    if (told.contains("--" + option))
      throw std::runtime_error("--" + option + " is told, and --sweep " + option + " gives it other values");
    if (set_by.contains(option)) throw std::runtime_error("--sweep: sets --" + option + " twice");
    set(option, i);
    for (std::size_t v = 0; v < values.size(); ++v) {
      if (std::any_of(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(v),
                      [&](const std::string& before) { return same_value(before, values[v]); }))
        throw std::runtime_error("--sweep " + option + ": has the value " + values[v] + " twice");
      std::vector<std::string> here = {option};
      for (const axis& beside : brought_by(values[v])) {
        if (std::find(here.begin(), here.end(), beside.option) != here.end())
          throw std::runtime_error("--sweep: sets --" + beside.option + " twice");
        here.push_back(beside.option);
        set(beside.option, i);
      }
    }
  }
}

/// Every combination of @p sweep, each "OPTION=VALUE,VALUE", the last axis fastest; one if nothing is swept.
/// @param s what the options of @p app write to: as it was, afterwards.
/// @param complete complete(const Settings&), called with each. @throws what it does, and as the options themselves.
template <class Settings, class F>
std::vector<combination<Settings>> combinations_of(CLI::App& app, Settings& s, const std::vector<std::string>& sweep,
                                                   const std::vector<const char*>& fixed, F&& complete) {
  const told_options told = told_on(app);
  std::vector<axis> axes;
  for (const std::string& text : sweep) axes.push_back(parse_axis(text));
  require_one_value(axes, told);
  const Settings given = s;
  std::size_t count = 1;
  for (const axis& a : axes) count *= a.values.size();
  std::vector<combination<Settings>> result;
  for (std::size_t i = 0; i < count; ++i) {
    combination<Settings> c;
    c.told = told;
    s = given;
    std::size_t rest = i, below = count;
    for (const axis& a : axes) {
      below /= a.values.size();
      const std::string& value = a.values[rest / below];
      rest %= below;
      assign(app, a.option, value.substr(0, value.find(':')), fixed);
      c.told["--" + a.option] = "";
      for (const axis& beside : brought_by(value)) {
        assign(app, beside.option, beside.values.front(), fixed);
        c.told["--" + beside.option] = value;
      }
      c.name += (c.name.empty() ? "" : " ") + value;
      c.values[a.option] = value;
    }
    c.options = s;
    complete(c.options);
    result.push_back(std::move(c));
  }
  s = given;
  return result;
}

/// The swept options, as the head of a table.
inline std::string sweep_title(const std::vector<std::string>& sweep) {
  std::string title;
  for (const std::string& text : sweep) {
    if (!title.empty()) title += ' ';
    title += text.substr(0, text.find('='));
  }
  return title;
}

}  // namespace program
