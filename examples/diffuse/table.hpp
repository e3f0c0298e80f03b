// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `diffuse` prints of a run, and of several side by side: means, and differences to the first of them, seed by
/// seed.
#pragma once
#include <nlohmann/json.hpp>

#include "hone/statistics/intervals.hpp"
#include "support/table.hpp"

namespace diffuse {

inline double mean_of(const nlohmann::json& list) {
  double sum = 0;
  for (const auto& x : list) sum += x.get<double>() / static_cast<double>(list.size());
  return sum;
}

/// A finite number, or "-".
inline std::string cell(const nlohmann::json& x, int width, int digits) {
  const bool finite = x.is_number() && std::isfinite(x.get<double>());
  return finite ? program::text("%*.*f", width, digits, x.get<double>()) : program::text("%*s", width, "-");
}

inline void print_header() {
  std::printf("%7s %7s %7s %7s %7s %7s %7s %9s %6s %8s\n", "step", "loss", "0-25%", "25-50%", "50-75%", "75-100%",
              "max/avg", "uncovered", "slots", "tokens/s");
}
inline void print_record(const nlohmann::json& r) {
  std::printf("%7ld %s", r.at("step").get<long>(), cell(r.at("loss"), 7, 3).c_str());
  for (const auto& bin : r.at("loss_by_ratio")) std::printf(" %s", cell(bin, 7, 3).c_str());
  std::printf(" %s %s %s %s\n", cell(r.at("load_max_over_mean"), 7, 2).c_str(),
              cell(mean_of(r.at("uncovered")), 9, 3).c_str(), cell(r.at("slots_per_token"), 6, 2).c_str(),
              cell(r.at("tokens_per_second"), 8, 0).c_str());
  std::fflush(stdout);
}

inline void print_result(const nlohmann::json& r) {
  const auto& bound = r.at("bound");
  std::printf("\nbound on the likelihood: %s nats a token, standard error %s, perplexity %s\n",
              cell(bound.at("nats_per_token"), 0, 4).c_str(), cell(bound.at("standard_error"), 0, 4).c_str(),
              cell(bound.at("perplexity"), 0, 2).c_str());
  if (bound.at("nonfinite") > 0)
    std::printf("not finite under %ld of its %ld masks\n", bound.at("nonfinite").get<long>(),
                bound.at("draws").get<long>());
  if (r.contains("entropy"))
    std::printf("the source itself: %.4f nats a token of the same sentences\n", r.at("entropy").get<double>());
  if (r.contains("kl_at_swap"))
    std::printf("at the swap of routers: KL of %s nats a masked place from the model as it was\n",
                cell(r.at("kl_at_swap"), 0, 4).c_str());
  std::printf("executed: %.3e floating-point operations, %.3f slots a token and layer, %.3f if all were as long\n",
              r.at("flops").get<double>(), r.at("slots_per_token").get<double>(),
              r.at("padded_slots_per_token").get<double>());
  if (r.at("counterfactual").empty()) return;
  std::printf("\nat other capacities, with these weights\n%14s %8s %8s %8s %8s %8s\n", "experts/token", "loss", "0-25%",
              "25-50%", "50-75%", "75-100%");
  for (const auto& c : r.at("counterfactual")) {
    std::printf("%14.2f %s", c.at("experts_per_token").get<double>(), cell(c.at("loss"), 8, 4).c_str());
    for (const auto& bin : c.at("loss_by_ratio")) std::printf(" %s", cell(bin, 8, 4).c_str());
    std::printf("\n");
  }
}

/// The loss of a run's records where it had executed @p flops, between two by a straight line.
inline double loss_at(const nlohmann::json& records, double flops) {
  double before_flops = 0, before = records.front().at("loss");
  for (const auto& r : records) {
    const double at = r.at("flops"), loss = r.at("loss");
    if (at >= flops)
      return at > before_flops ? before + (loss - before) * (flops - before_flops) / (at - before_flops) : loss;
    before_flops = at;
    before = loss;
  }
  return before;
}

/// One number of a run, by name; where it is null, as of a bin of no sequence, it is NaN.
struct measure {
  const char* name;
  const char* place;  ///< in the run's JSON

  [[nodiscard]] double of(const nlohmann::json& run) const {
    const nlohmann::json& found = run.at(nlohmann::json::json_pointer(place));
    return found.is_number() ? found.get<double>() : NAN;
  }
};
inline constexpr measure compared[] = {{"loss", "/loss"},
                                       {"loss_equal_flops", "/loss_equal_flops"},
                                       {"bound", "/bound/nats_per_token"},
                                       {"0-25%", "/loss_by_ratio/0"},
                                       {"25-50%", "/loss_by_ratio/1"},
                                       {"50-75%", "/loss_by_ratio/2"},
                                       {"75-100%", "/loss_by_ratio/3"}};

/// Runs of one arm, over seeds.
using arm = std::vector<nlohmann::json>;

/// What @p all say of each measure, and their differences to the first arm's run of the same seed.
inline nlohmann::json compare(const std::vector<std::string>& names, const std::vector<arm>& all) {
  nlohmann::json result = nlohmann::json::array();
  for (std::size_t i = 0; i < all.size(); ++i) {
    nlohmann::json row = {{"arm", names[i]}, {"seeds", all[i].size()}};
    for (const measure& m : compared) {
      std::vector<double> own, ahead;
      for (std::size_t k = 0; k < all[i].size(); ++k) {
        own.push_back(m.of(all[i][k]));
        if (k < all[0].size()) ahead.push_back(own.back() - m.of(all[0][k]));
      }
      const auto mean = hone::statistics::estimate_mean(own), difference = hone::statistics::estimate_mean(ahead);
      row[m.name] = {{"mean", mean.mean},
                     {"margin", hone::statistics::student_margin(mean)},
                     {"over_first", difference.mean},
                     {"over_first_margin", hone::statistics::student_margin(difference)}};
    }
    result.push_back(std::move(row));
  }
  return result;
}

inline void print_comparison(const std::string& title, const nlohmann::json& rows, const std::vector<arm>& all) {
  std::size_t width = title.size();
  for (const auto& row : rows) width = (std::max)(width, row.at("arm").get<std::string>().size());
  const int w = static_cast<int>(width);
  const auto both = [](const nlohmann::json& j, const char* mean, const char* margin, const char* format) {
    const std::string first = program::text(format, j.at(mean).is_number() ? j.at(mean).get<double>() : NAN);
    const bool has_margin = j.at(margin).is_number() && std::isfinite(j.at(margin).get<double>());
    return has_margin ? first + program::text("±%.3f", j.at(margin).get<double>()) : first;
  };
  const auto name = [&](const auto& text) { std::printf("%-*s", w, std::string(text).c_str()); };
  std::printf("\n");
  name(title);
  for (const char* head : {"loss", "over first", "equal FLOPs", "over first", "bound"}) std::printf(" %13s", head);
  std::printf("\n");
  for (const auto& row : rows) {
    name(row.at("arm"));
    for (const char* key : {"loss", "loss_equal_flops"}) {
      std::printf(" %s", program::right(both(row.at(key), "mean", "margin", "%.3f"), 13).c_str());
      std::printf(" %s", program::right(both(row.at(key), "over_first", "over_first_margin", "%+.3f"), 13).c_str());
    }
    std::printf(" %s\n", program::right(both(row.at("bound"), "mean", "margin", "%.3f"), 13).c_str());
  }
  std::printf("\n");
  name("over first, by what is masked");
  std::printf("\n");
  name("");
  for (const char* head : {"0-25%", "25-50%", "50-75%", "75-100%"}) std::printf(" %13s", head);
  std::printf("\n");
  for (const auto& row : rows) {
    name(row.at("arm"));
    for (const char* key : {"0-25%", "25-50%", "50-75%", "75-100%"})
      std::printf(" %s", program::right(both(row.at(key), "over_first", "over_first_margin", "%+.3f"), 13).c_str());
    std::printf("\n");
  }
  std::printf("\n");
  name("");
  for (const char* head : {"max/avg", "uncovered", "dropped", "slots", "padded", "GFLOP", "tokens/s"})
    std::printf(" %9s", head);
  std::printf("\n");
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].empty()) continue;
    name(rows[i].at("arm"));
    const auto mean = [&](auto&& of) {
      double sum = 0;
      for (const auto& r : all[i]) sum += of(r) / static_cast<double>(all[i].size());
      return sum;
    };
    const auto plain = [&](const char* key) {
      return mean([&](const nlohmann::json& r) { return r.at(key).template get<double>(); });
    };
    std::printf(" %9.2f %9.3f %9.3f %9.3f %9.3f %9.1f %9.0f\n", plain("load_max_over_mean"),
                mean([](const nlohmann::json& r) { return mean_of(r.at("uncovered")); }), plain("dropped"),
                plain("slots_per_token"), plain("padded_slots_per_token"), plain("flops") / 1e9,
                plain("tokens_per_second"));
  }
}

}  // namespace diffuse
