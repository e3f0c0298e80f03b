// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "diffuse/measures.hpp"

#include "diffuse/table.hpp"
#include "support/catch.hpp"

using namespace diffuse;

TEST_CASE("measures: losses fall into bins of the share that is masked, closed at one") {
  CHECK(bin_of(1, 64) == 0);
  CHECK(bin_of(15, 64) == 0);
  CHECK(bin_of(16, 64) == 1);
  CHECK(bin_of(32, 64) == 2);
  CHECK(bin_of(48, 64) == 3);
  CHECK(bin_of(64, 64) == 3);
  const std::vector<double> losses = {1, 2, 4, 8, 16};
  const std::vector<index_t> masked = {1, 2, 5, 5, 8};
  const loss_by_ratio r = split(losses, masked, 8);
  CHECK(r.all == Approx(6.2));
  CHECK(r.bins[0] == 1);
  CHECK(r.bins[1] == 2);
  CHECK(r.bins[2] == 6);
  CHECK(r.bins[3] == 16);
  CHECK(std::isnan(split({}, {}, 8).bins[2]));
}

TEST_CASE("measures: every share of masks is held out as often") {
  CHECK(even_counts(4, 8) == std::vector<index_t>{2, 4, 6, 8});
  CHECK(even_counts(1, 8) == std::vector<index_t>{5});
  std::array<int, 4> bins{};
  for (const index_t n : even_counts(128, 64)) {
    CHECK((n >= 1 && n <= 64));
    ++bins[bin_of(n, 64)];
  }
  CHECK(bins == std::array<int, 4>{30, 32, 32, 34});  // n = 16 is a quarter, and 64 belongs to the last
}

TEST_CASE("measures: learning efficiency is the slope of the logarithm") {
  nlohmann::json records = nlohmann::json::array();
  for (int step = 0; step <= 1000; step += 100) {
    const double t = step;
    // What comes before a fifth of the steps does not count.
    records.push_back(
        {{"step", step},
         {"loss_by_ratio",
          {step < 200 ? 9.0 : 3 * std::exp(-2e-3 * t), 2 * std::exp(-1e-3 * t), 1.5, std::exp(1e-4 * t)}}});
  }
  const nlohmann::json eta = learning_efficiency(records, 1000);
  CHECK(eta[0].get<double>() == Approx(2));
  CHECK(eta[1].get<double>() == Approx(1));
  CHECK(eta[2].get<double>() == Approx(0).margin(1e-12));
  CHECK(eta[3].get<double>() == Approx(-0.1));
  records.erase(records.begin() + 5, records.end());
  CHECK(learning_efficiency(records, 1000)[0].is_null());
}

TEST_CASE("table: differences are between runs of one seed, and losses at equal operations lie on lines") {
  const auto run = [](double loss) {
    return nlohmann::json{{"loss", loss},
                          {"loss_equal_flops", loss},
                          {"bound", {{"nats_per_token", loss + 1}}},
                          {"loss_by_ratio", {loss, loss, loss, nullptr}}};
  };
  const nlohmann::json rows = compare({"a", "b"}, {{run(1), run(2), run(3)}, {run(1.5), run(2.5), run(3.6)}});
  CHECK(rows[0]["loss"]["mean"].get<double>() == Approx(2));
  CHECK(rows[0]["loss"]["over_first"].get<double>() == 0);
  CHECK(rows[1]["loss"]["over_first"].get<double>() == Approx(1.6 / 3));
  const double deviation = std::sqrt((2 * std::pow(0.5 - 1.6 / 3, 2) + std::pow(0.6 - 1.6 / 3, 2)) / 2);
  CHECK(rows[1]["loss"]["over_first_margin"].get<double>() == Approx(4.302653 * deviation / std::sqrt(3.0)));
  CHECK(rows[1]["bound"]["mean"].get<double>() == Approx(7.6 / 3 + 1));
  CHECK(std::isnan(rows[1]["75-100%"]["mean"].get<double>()));

  const nlohmann::json records = {
      {{"flops", 0.0}, {"loss", 4.0}}, {{"flops", 10.0}, {"loss", 2.0}}, {{"flops", 20.0}, {"loss", 1.0}}};
  CHECK(loss_at(records, 5) == Approx(3));
  CHECK(loss_at(records, 20) == Approx(1));
  CHECK(loss_at(records, 30) == Approx(1));
}

TEST_CASE("table: what is no finite number is a dash, read from a file or not") {
  CHECK(cell(1.25, 6, 1) == "   1.2");
  for (const nlohmann::json& x : {nlohmann::json(NAN), nlohmann::json(INFINITY), nlohmann::json()})
    CHECK(cell(x, 3, 1) == "  -");
}

TEST_CASE("settings: a router's capacities, and a budget that keeps the mean") {
  settings s;
  s.router = "token_choice";
  s.capacity_factor = 1.25;
  CHECK(s.make_router().capacity_numerator == 5);
  CHECK(s.make_router().capacity_denominator == 4);
  CHECK(s.budget(64).empty());
  s.router = "switch";
  s.capacity_factor = {};
  CHECK(s.make_router() == moe::switch_transformer());
  s.router = "expert_choice";
  for (const auto& schedule : schedules) {
    s.schedule = schedule.name;
    const std::vector<index_t> budget = s.budget(64);
    const index_t sum = std::accumulate(budget.begin(), budget.end(), budget.front());  // none masked becomes one
    CHECK((sum > 8 * 65 - 2 && sum <= 8 * 65));
  }
  s.schedule = "static";
  CHECK(s.budget(50) == std::vector<index_t>(50, 6));  // 6.25: no step at some number of masks
  s.schedule = "linear_reverse";
  CHECK(s.budget_of(64, s.k, s.experts) == s.budget(64));  // a saved model writes with what it was trained with
  CHECK(s.budget(64).front() == 14);
  CHECK(s.budget(64).back() == 2);
}
