// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The experiment on made-up facts: a small model is taught 200 facts about 40 authors and forgets those about four of
/// them, each way until they are as unlikely as facts that it was never taught.
#pragma once
#include "support/table.hpp"
#include "unlearn/authors.hpp"
#include "unlearn/report_card.hpp"

#include <map>

namespace unlearn {

/// Facts and the shape of the model that learns them.
struct classroom {
  curriculum lessons;
  transformer::config shape;
};

inline classroom make_classroom(std::uint64_t seed) {
  constexpr std::size_t forgotten = 4, kept = 36, never_taught = 4, facts_each = 5;
  const auto pairs = authors::facts(forgotten + kept + never_taught, seed);
  const authors::dictionary dictionary(pairs);
  classroom room{{},
                 {.d_model = 64,
                  .d_ff = 172,
                  .n_layers = 3,
                  .n_heads = 4,
                  .n_kv_heads = 2,
                  .vocab = dictionary.size(),
                  .max_seq = 32}};
  curriculum& c = room.lessons;
  const auto ids = [dictionary](const std::string& text) { return dictionary.ids(text); };
  c.codec.question = c.codec.answer = ids;
  c.codec.text = [dictionary](const std::vector<std::int32_t>& tokens) { return dictionary.text(tokens); };
  const auto about = [&](std::size_t first, std::size_t count) {
    const auto begin = pairs.begin() + static_cast<std::ptrdiff_t>(first * facts_each);
    return io::encode_pairs({begin, begin + static_cast<std::ptrdiff_t>(count * facts_each)}, c.codec,
                            room.shape.max_seq);
  };
  c.forget = about(0, forgotten);
  c.retain = about(forgotten, kept);
  c.holdout = about(forgotten + kept, never_taught);
  c.refusals = {c.codec.whole_answer(authors::refusal)};
  return room;
}

/// The runs of one way with one weight, over seeds.
struct cell {
  std::vector<double> steps, retain, retain_match, forget_match, cosine, conflict, least_kept;
  bool finished = true;  ///< every run forgot in the steps that it had

  void add(const std::vector<step_record>& records, const report_card& after, double stop_at) {
    double cosine_sum = 0, conflict_sum = 0, least = 1;
    for (const step_record& r : records) {
      cosine_sum += r.report.cosine(0, 1);
      conflict_sum += r.report.conflict_share();
      least = (std::min)(least, r.report.combined_cosine(1));
    }
    const auto count = static_cast<double>(records.size());
    steps.push_back(count);
    retain.push_back(after.retain.answer_probability);
    retain_match.push_back(after.retain.exact_match);
    forget_match.push_back(after.forget.exact_match);
    cosine.push_back(cosine_sum / count);
    conflict.push_back(conflict_sum / count);
    least_kept.push_back(least);
    finished = finished && records.back().forget_probability <= stop_at;
  }
};

/// Ways by weights.
using results = std::map<std::string, std::map<double, cell, std::greater<>>>;

inline void print(const results& all, const std::vector<way>& ways, const std::vector<double>& weights,
                  long most_steps) {
  const auto table = [&](const char* title, auto&& text_of) {
    std::printf("\n%s\n%-18s", title, "forget weight");
    for (const double weight : weights) std::printf(" %14g", weight);
    std::printf("\n");
    for (const way& w : ways) {
      if (!all.contains(w.name)) continue;
      std::printf("%-18s", w.name.c_str());
      for (const auto& [weight, runs] : all.at(w.name)) std::printf(" %s", program::right(text_of(runs), 14).c_str());
      std::printf("\n");
    }
  };
  const std::string not_forgotten = program::text("not in %ld", most_steps);
  const auto mean = [](const std::vector<double>& x) { return statistics::estimate_mean(x).mean; };
  const auto pair = [](const std::vector<double>& x) { return program::mean_and_margin(x, 2); };
  table("Probability of the answers kept, and steps until the others were forgotten", [&](const cell& runs) {
    return runs.finished ? pair(runs.retain) + program::text(" %3.0f", mean(runs.steps)) : not_forgotten;
  });
  table("Share of the answers kept word for word",
        [&](const cell& runs) { return runs.finished ? pair(runs.retain_match) : not_forgotten; });
  table("Mean cosine of the two gradients, and the least of the step with what is kept",
        [&](const cell& runs) { return program::text("%+.2f %+.2f", mean(runs.cosine), mean(runs.least_kept)); });
}

inline int run_experiment(const settings& s, const std::vector<way>& ways, const std::vector<double>& weights,
                          processes& ranks) {
  require_fit(s, make_classroom(s.seed).shape);
  results all;
  std::string cut;  // the run that Ctrl-C ended
  nlohmann::json runs = nlohmann::json::array();
  for (std::size_t i = 0; i < s.seeds && !program::interrupted(); ++i) {
    const std::uint64_t seed = s.seed + i;
    const auto [c, shape] = make_classroom(seed);
    settings teaching = s;
    teaching.seed = seed;
    student teacher(shape, transformer::initial_parameters<float>(shape, seed), teaching, ranks);
    std::vector<encoded_pair> taught = c.forget;
    taught.insert(taught.end(), c.retain.begin(), c.retain.end());
    teacher.learn(taught);
    if (program::interrupted()) break;
    const report_card before = examine(teacher, c);
    const stop_rule stop = stop_rule_of(s, before);
    std::printf(
        "seed %llu: a model of %zu parameters knows %zu made-up facts (probability %.2f, exact match %.2f) and\n"
        "forgets %zu by %s %s\n",
        static_cast<unsigned long long>(seed), teacher.parameters().size(), taught.size(),
        before.retain.answer_probability, before.retain.exact_match, c.forget.size(), s.objective.c_str(),
        stop.words.c_str());
    std::fflush(stdout);
    for (const way& w : ways)
      for (const double weight : weights) {
        if (program::interrupted()) break;
        settings own = w.options;
        own.seed = seed;
        own.stop_at = stop.at;
        own.forget_weight = weight;
        own.settle_beta(c.answer_length());
        student pupil(shape, teacher.parameters(), own, ranks);
        const std::string title =
            program::text("%s %g, seed %llu", w.name.c_str(), weight, static_cast<unsigned long long>(seed));
        const auto records = pupil.unlearn(c, title);
        if (program::interrupted()) {
          cut = title;
          break;
        }
        const report_card after = examine(pupil, c);
        all[w.name][weight].add(records, after, stop.at);
        runs.push_back({{"way", w.name},
                        {"config", describe(own)},
                        {"adapter", to_json(pupil)},
                        {"before", to_json(before)},
                        {"after", to_json(after)},
                        {"steps", to_json(records)},
                        {"stop_rule", stop.name},
                        {"interrupted", false}});
      }
  }
  nlohmann::json config = describe(s);
  std::vector<std::string> compared;
  for (const way& w : ways) compared.push_back(w.name);
  config.update({{"ways", compared}, {"forget_weight", weights}, {"seeds", s.seeds}});
  write_json(s.json, {{"config", config},
                      {"runs", runs},
                      {"interrupted", program::interrupted()},
                      {"cut", cut.empty() ? nlohmann::json() : nlohmann::json(cut)}});
  if (!runs.empty()) print(all, ways, weights, s.steps);
  if (program::interrupted())
    std::printf("\nInterrupted in %s: %zu of %zu runs ended%s.\n",
                cut.empty() ? "the teaching" : (cut + ", which is left out").c_str(), runs.size(),
                s.seeds * ways.size() * weights.size(), runs.empty() ? "" : ", the means are theirs");
  else
    std::printf("\nMeans and 95 %% intervals over %zu seeds.\n", s.seeds);
  return program::interrupted() ? 130 : 0;
}

}  // namespace unlearn
