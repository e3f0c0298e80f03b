// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Two models that are made, routers of the small one, what they are worth, and lines that they send to either model.
#pragma once
#include "route/answered.hpp"
#include "route/report.hpp"
#include "route/serve.hpp"
#include "route/words_tokenizer.hpp"
#include "support/sweep.hpp"

namespace route {

using combination = program::combination<settings>;

/// What the models and the answers depend on.
inline std::string made_by(const settings& s) {
  const nlohmann::json all = describe(s);
  nlohmann::json part;
  for (const char* key : {"width", "large_width", "model_layers", "heads", "steps", "large_steps", "teach_rate",
                          "prompts", "test", "tokens", "seed"})
    part[key] = all.at(key);
  return part.dump();
}

/// Two models, the prompts that routers learn from and those that judge them.
struct world {
  model_pair models;
  answered learn, test;
  split rows;
};

inline world make_world(const mixture& t, const settings& s, thread_pool& pool) {
  world w{.models = teach_pair(t, s, pool), .learn = {}, .test = {}, .rows = {}};
  if (program::interrupted()) return w;
  const std::uint64_t seed = seed_of(s.seed, stream::prompts);
  std::set<std::vector<std::int32_t>> seen;  // no prompt is learnt from and judged by
  w.test = answer_all(t, w.models, draw_domains(t, seed, s.test, true, seen), s, pool);
  w.learn = answer_all(t, w.models, draw_domains(t, seed, s.prompts, false, seen), s, pool);
  std::vector<std::size_t> rows(w.learn.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  w.rows = split_of(std::move(rows), {seed_of(s.seed, stream::split), 0});
  return w;
}

inline double mean_where(const std::vector<double>& x, const std::vector<index_t>& domain_of, std::size_t d) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (domain_of[i] == static_cast<index_t>(d)) sum += x[i], ++count;
  return sum / count;
}

inline nlohmann::json models_of(const world& w) {
  nlohmann::json result = {{"small", {{"parameters", w.models.small->parameters().size()}}},
                           {"large", {{"parameters", w.models.large->parameters().size()}}}};
  for (std::size_t d = 0; d < domains().size(); ++d) {
    result["small"]["right"][domains()[d].name] = mean_where(w.test.weak, w.test.domain_of, d);
    result["large"]["right"][domains()[d].name] = mean_where(w.test.strong, w.test.domain_of, d);
  }
  return result;
}

inline void print_models(const nlohmann::json& models) {
  std::printf("%-24s", "right answers");
  for (const domain& d : domains()) std::printf("  %14s", d.name);
  for (const char* which : {"small", "large"}) {
    std::printf("\n%s of %-*zu", which, 15, models.at(which).at("parameters").get<std::size_t>());
    for (const domain& d : domains()) std::printf("  %14.3f", models.at(which).at("right").at(d.name).get<double>());
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// A router judged on the test prompts, from its scores there and the line that makes them probabilities.
inline nlohmann::json judged(const world& w, const std::vector<double>& scores, const statistics::platt_scaling& line) {
  std::vector<double> p;
  for (const double x : scores) p.push_back(line(x));
  return judge({.weak = w.test.weak, .strong = w.test.strong, .scores = scores, .labels = w.test.weak}, p,
               w.test.domain_of);
}

/// The router of the world's small model as a file.
inline io::stored_router file_of(const world& w, const trained_router& r, const settings& s,
                                 program::stoppable_pool& pool) {
  std::vector<double> p;
  for (const double x : logits_of(r, w.learn.view(), pool)) p.push_back(r.calibration(x));
  std::vector<std::int32_t> all(static_cast<std::size_t>(w.learn.layers));
  std::iota(all.begin(), all.end(), 0);
  const network& net = *w.models.small;
  return stored_of(r, io::identify_model(net.shape(), net.parameters()).hash, net.shape().n_layers, all,
                   routing::last_state::after_norm, s.pooled_tokens(), false, thresholds_of(p, w.rows.choose),
                   "tasks of route, seed " + std::to_string(s.seed));
}

/// Lines of words, answered by the model that the router chooses.
inline void answer_lines(const mixture& t, const world& w, const io::stored_router& router, const settings& s) {
  const network &small = *w.models.small, &large = *w.models.large;
  const double rate = call_rate_of(router, s.call_rate);
  gate at(router, s.call_rate, small.model(), small.parameters());
  std::fprintf(stderr,
               "Prompts of words, a line each, such as \"%s\"; the large model answers below p = %.3f, %g of them.\n",
               t.text(t.draw_of(0, 1, 1).prompt).c_str(), at.sink().router().threshold, rate);
  for_each_line([&](const std::string& line) {
    std::vector<std::int32_t> prompt;
    for (const std::string& word : CLI::detail::split(line, ' ')) {
      if (word.empty()) continue;
      const auto found = std::find(t.words().begin(), t.words().end(), word);
      if (found == t.words().end()) {
        std::printf("\"%s\" is no word of the tasks\n", program::one_line(word).c_str());
        return;
      }
      prompt.push_back(static_cast<std::int32_t>(found - t.words().begin()));
    }
    at.read(prompt);
    if (prompt.empty() || std::ssize(prompt) >= small.shape().max_seq) {
      std::printf("%zu words, the models take 1 to %td\n", prompt.size(), small.shape().max_seq - 1);
      return;
    }
    const bool here = at.sink().decide() == routing::decision::small_model;
    const network& chosen = here ? small : large;
    transformer::token_rows rows;
    rows.add(prompt);
    const std::int32_t stop = t.stop();
    const transformer::generator<float> generate(chosen.model(), chosen.parameters());
    const auto said = generate(
        rows.batch(), {.max_tokens = t.longest_response(), .stop = {&stop, 1}, .sampling = {.temperature = 0}});
    std::printf("%s, p = %.3f: %s\n", here ? "small" : "large", at.sink().probability(),
                t.text(said[0].tokens).c_str());
  });
}

/// All routers of one seed, in the order of @p all, then the free scores; empty after Ctrl-C. What the first one was
/// made on goes to @p first, and the router's file, if it is the only one and folds, to @p stored.
inline std::vector<nlohmann::json> run_seed(const mixture& t, const std::vector<combination>& all, std::uint64_t seed,
                                            thread_pool& pool, std::optional<world>& first,
                                            std::optional<io::stored_router>& stored) try {
  program::stoppable_pool stops(pool.concurrency());
  std::map<std::string, world> worlds;
  std::vector<nlohmann::json> results;
  std::string first_key;
  for (const combination& c : all) {
    settings own = c.options;
    own.seed = seed;
    const std::string key = made_by(own);
    if (!worlds.contains(key)) {
      worlds.emplace(key, make_world(t, own, pool));
      if (program::interrupted()) return {};
      print_models(models_of(worlds.at(key)));
    }
    if (first_key.empty()) first_key = key;
    const world& w = worlds.at(key);
    const trained_router r = train_router(own, w.learn.view(), w.learn.weak, w.rows, stops);
    nlohmann::json result = judged(w, logits_of(r, w.test.view(), stops), r.calibration);
    result.update(about(r));
    result.update({{"config", describe(own)}, {"seed", seed}, {"sweep", c.values}, {"models", models_of(w)}});
    results.push_back(std::move(result));
    if (all.size() == 1 && own.folds() && r.calibration.slope > 0) stored.emplace(file_of(w, r, own, stops));
  }
  world& w = worlds.at(first_key);
  if (worlds.size() == 1)
    for (std::size_t i = 0; i < w.test.free_scores.size(); ++i) {
      const free_score& score = w.test.free_scores[i];
      const auto line = calibrated(w.learn.free_scores[i].of, w.learn.weak, w.rows.choose);
      nlohmann::json result = judged(w, score.of, line);
      result.update({{"seed", seed}, {"free", score.name}, {"calibrated", line.slope > 0}});
      results.push_back(std::move(result));
    }
  first = std::move(w);
  return results;
} catch (const program::stopped_by_user&) {
  return {};
}

/// The models that are made, and every router on them, over seeds.
inline int story(const settings& s, const std::vector<combination>& all) {
  const mixture t;
  thread_pool pool(s.threads);
  std::vector<arm> arms;
  for (const combination& c : all) arms.push_back({c.name.empty() ? "router" : c.name, {}});
  nlohmann::json runs = nlohmann::json::array();
  std::optional<world> of_first_seed;
  std::optional<io::stored_router> router;
  for (std::size_t k = 0; k < s.seeds && !program::interrupted(); ++k) {
    std::optional<world> made;
    std::optional<io::stored_router> stored;
    const std::vector<nlohmann::json> results = run_seed(t, all, s.seed + k, pool, made, stored);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (i == arms.size()) arms.push_back({results[i].at("free"), {}});
      arms[i].runs.push_back(results[i]);
      runs.push_back(results[i]);
    }
    if (k > 0) continue;
    of_first_seed = std::move(made);
    router = std::move(stored);
  }
  const bool whole = !arms[0].runs.empty();
  if (whole) print_arms(arms);
  if (program::interrupted())
    std::printf("\nInterrupted: %zu of %zu seeds ended.\n", arms[0].runs.size(), s.seeds);
  else if (s.seeds > 1)
    std::printf("\nMeans and 95 %% intervals over %zu seeds; * of those that have the figure.\n", s.seeds);
  std::fflush(stdout);
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"seeds", s.seeds},
                               {"comparison", whole ? compare(arms) : nlohmann::json::array()},
                               {"runs", runs},
                               {"interrupted", program::interrupted()}});
  if (program::interrupted()) return 130;
  const network& small = *of_first_seed->models.small;
  if (!s.save_model.empty()) {
    io::write_model(s.save_model, small.shape(), small.parameters());
    write_words_tokenizer(s.save_model, t.words());
  }
  if (!s.save.empty()) {
    require_rising(router.has_value());
    io::write_router(s.save, *router);
    if (s.save_model.empty())
      std::fputs("note: the router's model is gone with this run: --save-model keeps it\n", stderr);
  }
  if (s.answers() && router)
    answer_lines(t, *of_first_seed, *router, s);
  else
    std::fputs("no lines are answered: that takes one run of one router that folds and tells prompts apart\n", stderr);
  return program::interrupted() ? 130 : 0;
}

}  // namespace route
