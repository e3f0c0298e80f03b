// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Options that were told and change nothing: programs refuse them, as somebody who tells one expects that it does.
#pragma once
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace program {

/// What was told, by option: nothing for one of the command line, else the value of a sweep that brought it along.
using told_options = std::map<std::string, std::string>;

inline told_options told_on(const CLI::App& app) {
  told_options told;
  for (const CLI::Option* option : app.get_options())
    if (option->count() > 0) told[option->get_name()] = "";
  return told;
}

/// Some options, what they want, and whether it is there.
struct want {
  const char* what;
  bool there;
  std::vector<const char*> options;
};

/// Those that want what is not there, told or not, by what they want.
inline std::map<std::string, const char*> idle_options(const std::vector<want>& wants) {
  std::map<std::string, const char*> idle;
  for (const want& w : wants)
    if (!w.there)
      for (const char* option : w.options) idle.emplace(option, w.what);
  return idle;
}

/// Refuses what was told and changes nothing in any of @p runs that it was told for; each has told_options `told`.
/// @param idle_in what is idle in a run, as `idle_options` gives it. @throws std::runtime_error.
template <class Runs, class F>
void refuse_idle(const Runs& runs, F&& idle_in) {
  std::map<std::pair<std::string, std::string>, const char*> idle;  // an option by its source; null: it does something
  for (const auto& run : runs) {
    const std::map<std::string, const char*> here = idle_in(run);
    for (const auto& told : run.told) {
      const auto found = here.find(told.first);
      if (found == here.end())
        idle[told] = nullptr;
      else
        idle.emplace(told, found->second);
    }
  }
  for (const auto& [told, what] : idle)
    if (what)
      throw std::runtime_error((told.second.empty() ? "" : "--sweep " + told.second + ": ") + told.first +
                               " changes nothing without " + what);
}

/// The same for one run, of what was told on a command line.
inline void refuse_idle_on(const CLI::App& app, const std::vector<want>& wants) {
  const struct {
    told_options told;
  } runs[] = {{told_on(app)}};
  refuse_idle(runs, [&](const auto&) { return idle_options(wants); });
}

}  // namespace program
