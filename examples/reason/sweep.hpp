// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Runs side by side: every combination of some options' values, over seeds, each from the same taught model.
#pragma once
#include "reason/idle.hpp"
#include "reason/run.hpp"
#include "support/table.hpp"

namespace reason {

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
  if (a.values.empty() || std::any_of(a.values.begin(), a.values.end(), [](const auto& v) { return v.empty(); }))
    throw std::runtime_error("--sweep \"" + text + "\": must be OPTION=VALUE,VALUE");
  return a;
}

/// A combination: the values, and the settings with them.
struct combination {
  std::string name;
  nlohmann::json values = nlohmann::json::object();
  settings options;
  told_options told;
};

/// Gives an option a value, as the command line would. @throws std::runtime_error if it is none that may differ between
/// runs, or does not take the value.
inline void assign(CLI::App& app, const std::string& name, const std::string& value) {
  CLI::Option* const option = name.empty() ? nullptr : app.get_option_no_throw("--" + name);
  for (const char* fixed : {"sweep", "seed", "seeds", "json", "threads", "checkpoint", "checkpoint-every", "resume",
                            "save", "help", "model", "tokenizer", "prompts"})
    if (option == nullptr || name == fixed)
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

/// Every combination, the last axis fastest; one if nothing is swept.
/// @param s what the options of @p app write to: as it was, afterwards.
/// @throws as the options themselves, `complete` and `refuse_idle`.
inline std::vector<combination> combinations_of(CLI::App& app, settings& s) {
  const told_options told = program::told_on(app);
  std::vector<axis> axes;
  for (const std::string& text : s.sweep) axes.push_back(parse_axis(text));
  require_one_value(axes, told);
  const settings given = s;
  std::size_t count = 1;
  for (const axis& a : axes) count *= a.values.size();
  std::vector<combination> result;
  for (std::size_t i = 0; i < count; ++i) {
    combination c;
    c.told = told;
    s = given;
    std::size_t rest = i, below = count;
    for (const axis& a : axes) {
      below /= a.values.size();
      const std::string& value = a.values[rest / below];
      rest %= below;
      assign(app, a.option, value.substr(0, value.find(':')));
      c.told["--" + a.option] = "";
      for (const axis& beside : brought_by(value)) {
        assign(app, beside.option, beside.values.front());
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
  refuse_idle(result);
  return result;
}

/// Runs of one combination over seeds.
struct row {
  std::vector<double> pass_1, in_time, ahead, pass_8, pass_all, coverage, entropy, kl, generated, seconds, variance,
      expected, active, brier, calibration;
};

/// pass@1 of a run's probes at @p seconds of its own time, between two probes by a straight line.
inline double pass_at_time(const nlohmann::json& records, double seconds) {
  double before_time = 0, before = 0;
  for (const auto& r : records) {
    const double time = r.at("cpu_seconds"), pass = r.at("pass_1");
    if (time >= seconds)
      return time > before_time ? before + (pass - before) * (seconds - before_time) / (time - before_time) : pass;
    before_time = time;
    before = pass;
  }
  return before;
}

/// The mean of a column of a run's records, where it is a number.
inline double mean_of_records(const nlohmann::json& records, const char* key) {
  double sum = 0, count = 0;
  for (const auto& r : records)
    if (r.contains(key) && r.at(key).is_number()) {
      sum += r.at(key).get<double>();
      ++count;
    }
  return count > 0 ? sum / count : 0;
}

inline void print_rows(const std::string& title, const std::vector<combination>& all, const std::vector<row>& rows,
                       std::size_t samples) {
  std::size_t width = title.size();
  for (const auto& c : all) width = (std::max)(width, c.name.size());
  const int w = static_cast<int>(width);
  const auto mean = [](const std::vector<double>& x) { return statistics::estimate_mean(x).mean; };
  const auto pair = [](const std::vector<double>& x) { return program::mean_and_margin(x, 3); };
  const auto head = [&](auto... names) {
    std::printf("\n%-*s", w, title.c_str());
    (std::printf(" %12s", std::string(names).c_str()), ...);
    std::printf("\n");
  };
  const auto line = [&](std::size_t i, auto... cells) {
    std::printf("%-*s", w, all[i].name.c_str());
    (std::printf(" %s", program::right(cells, 12).c_str()), ...);
    std::printf("\n");
  };
  const auto each = [&](auto&& f) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (!rows[i].pass_1.empty()) f(i, rows[i]);
  };
  head("pass@1", "in equal time", "pass@8", "pass@" + std::to_string(samples), "coverage");
  each([&](std::size_t i, const row& r) {
    line(i, pair(r.pass_1), pair(r.in_time), pair(r.pass_8), pair(r.pass_all), pair(r.coverage));
  });
  head("entropy", "KL", "active", "tokens", "cpu s");
  each([&](std::size_t i, const row& r) {
    line(i, pair(r.entropy), pair(r.kl), pair(r.active), program::text("%.0f", mean(r.generated)),
         program::text("%.1f", mean(r.seconds)));
  });
  head("Var[A]", "p (1 - p)", "Brier", "calibration", "over first");
  each([&](std::size_t i, const row& r) {
    const bool critic = !r.brier.empty();
    line(i, pair(r.variance), pair(r.expected), critic ? pair(r.brier) : "-", critic ? pair(r.calibration) : "-",
         program::text("%+.3f", mean(r.ahead)) + program::margin(r.ahead, 3));
  });
}

}  // namespace reason
