// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which prompts a small model may answer, seen from its hidden states while it reads them. Without arguments two models
/// are taught three tasks, routers of every pooling learn where the small one fails, and tables say what each is worth,
/// in the domains that it was trained on and in others. On an engine's states, a router for that engine; with a router,
/// decisions for lines of standard input.
#include "route/answered.hpp"
#include "route/report.hpp"
#include "route/router.hpp"
#include "route/serve.hpp"
#include "route/stored.hpp"
#include "support/sweep.hpp"
#include "support/words_tokenizer.hpp"

namespace {

using namespace route;
using combination = program::combination<settings>;

/// What the models and the answers depend on.
std::string made_by(const settings& s) {
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

world make_world(const mixture& t, const settings& s, thread_pool& pool) {
  world w{.models = teach_pair(t, s, pool), .learn = {}, .test = {}, .rows = {}};
  if (program::interrupted()) return w;
  const std::uint64_t seed = seed_of(s.seed, stream::prompts);
  w.test = answer_all(t, w.models, draw_domains(t, seed, 0, s.test, true), s, pool);
  w.learn = answer_all(t, w.models, draw_domains(t, seed, s.test, s.prompts, false), s, pool);
  std::vector<std::size_t> rows(w.learn.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  w.rows = split_of(std::move(rows), {seed_of(s.seed, stream::split), 0});
  return w;
}

double mean_where(const std::vector<double>& x, const std::vector<index_t>& domain_of, std::size_t d) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (domain_of[i] == static_cast<index_t>(d)) sum += x[i], ++count;
  return sum / count;
}

nlohmann::json models_of(const world& w) {
  nlohmann::json result = {{"small", {{"parameters", w.models.small->parameters().size()}}},
                           {"large", {{"parameters", w.models.large->parameters().size()}}}};
  for (std::size_t d = 0; d < domains().size(); ++d) {
    result["small"]["right"][domains()[d].name] = mean_where(w.test.weak, w.test.domain_of, d);
    result["large"]["right"][domains()[d].name] = mean_where(w.test.strong, w.test.domain_of, d);
  }
  return result;
}

void print_models(const nlohmann::json& models) {
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
nlohmann::json judged(const world& w, const std::vector<double>& scores, const statistics::platt_scaling& line) {
  std::vector<double> p;
  for (const double x : scores) p.push_back(line(x));
  return judge({.weak = w.test.weak, .strong = w.test.strong, .scores = scores, .labels = w.test.weak}, p,
               w.test.domain_of);
}

nlohmann::json epochs_of(const trained_router& r) {
  const auto& t = r.training;
  return {{"epochs", t.epochs.size()},
          {"best_epoch", t.best},
          {"validation_loss", t.best < 0 ? std::nan("") : t.epochs[static_cast<std::size_t>(t.best)].validation}};
}

/// The router of the world's small model as a file.
io::stored_router file_of(const world& w, const trained_router& r, const settings& s, thread_pool& pool) {
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
void answer_lines(const mixture& t, const world& w, const io::stored_router& router, const settings& s) {
  const network &small = *w.models.small, &large = *w.models.large;
  gate at(router, s.call_rate, small.model(), small.parameters());
  std::fprintf(stderr, "Prompts of words, a line each, such as \"%s\"; the large model answers below p = %.3f.\n",
               t.text(t.draw_of(0, 1, 1).prompt).c_str(), at.sink().router().threshold);
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

/// The models that are made, and every router on them, over seeds.
int story(const settings& s, const std::vector<combination>& all) {
  const mixture t;
  thread_pool pool(s.threads);
  std::vector<arm> arms;
  for (const combination& c : all) arms.push_back({c.name.empty() ? "router" : c.name, {}});
  nlohmann::json runs = nlohmann::json::array();
  std::optional<world> last;
  std::optional<io::stored_router> stored;
  for (std::size_t k = 0; k < s.seeds && !program::interrupted(); ++k) {
    std::map<std::string, world> worlds;
    std::vector<nlohmann::json> of_seed;
    std::vector<free_score> free;
    for (const combination& c : all) {
      settings own = c.options;
      own.seed = s.seed + k;
      const std::string key = made_by(own);
      if (!worlds.contains(key)) {
        worlds.emplace(key, make_world(t, own, pool));
        if (program::interrupted()) break;
        if (all.size() == 1 || worlds.size() == 1) print_models(models_of(worlds.at(key)));
      }
      const world& w = worlds.at(key);
      const trained_router r = train_router(own, w.learn.view(), w.learn.weak, w.rows, pool);
      nlohmann::json result = judged(w, logits_of(r, w.test.view(), pool), r.calibration);
      result.update(epochs_of(r));
      result["layers"] = layers_of(r);
      result["config"] = describe(own);
      result["seed"] = own.seed;
      result["sweep"] = c.values;
      result["models"] = models_of(w);
      of_seed.push_back(std::move(result));
      if (all.size() == 1 && k == 0 && own.folds()) stored.emplace(file_of(w, r, own, pool));
    }
    if (of_seed.size() < all.size()) break;
    for (std::size_t i = 0; i < all.size(); ++i) arms[i].runs.push_back(of_seed[i]);
    for (auto& result : of_seed) runs.push_back(std::move(result));
    world& w = worlds.begin()->second;
    for (std::size_t i = 0; i < w.test.free_scores.size(); ++i) {
      const free_score& score = w.test.free_scores[i];
      if (k == 0) arms.push_back({score.name, {}});
      nlohmann::json result = judged(w, score.of, calibrated(w.learn.free_scores[i].of, w.learn.weak, w.rows.choose));
      result["seed"] = s.seed + k;
      result["free"] = score.name;
      arms[all.size() + i].runs.push_back(result);
      runs.push_back(std::move(result));
    }
    if (k == 0) last = std::move(w);
  }
  const bool whole = !arms[0].runs.empty();
  if (whole) print_arms(arms);
  if (program::interrupted())
    std::printf("\nInterrupted: %zu of %zu seeds ended.\n", arms[0].runs.size(), s.seeds);
  else if (s.seeds > 1)
    std::printf("\nMeans and 95 %% intervals over %zu seeds.\n", s.seeds);
  std::fflush(stdout);
  if (!program::interrupted()) {
    if (!s.save_model.empty()) {
      io::write_model(s.save_model, last->models.small->shape(), last->models.small->parameters());
      if (!s.save_model.ends_with(".bin")) program::write_words_tokenizer(s.save_model, t.words());
    }
    if (!s.save.empty()) io::write_router(s.save, *stored);
  }
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"seeds", s.seeds},
                               {"comparison", whole ? compare(arms) : nlohmann::json::array()},
                               {"runs", runs},
                               {"interrupted", program::interrupted()}});
  if (program::interrupted()) return 130;
  if (stored && s.seeds == 1) answer_lines(t, *last, *stored, s);
  return program::interrupted() ? 130 : 0;
}

/// A router from an engine's states, judged on the prompts that were held out.
int from_states(const settings& s, const std::vector<combination>& all) {
  const std::vector<io::routing_label> labels = io::read_routing_labels(s.labels);
  std::optional<io::model_identity> model;
  if (!s.model.empty()) model = io::identify_model(s.model);
  const stored_states states = read_states(s, model, labels);
  if (program::interrupted()) return 130;
  if (states.unlabelled > 0)
    std::fprintf(stderr, "%zu prompts have states and no label: they are left out\n", states.unlabelled);
  std::vector<double> weak, strong;
  for (const io::routing_label& l : labels) {
    weak.push_back(l.weak);
    strong.push_back(l.strong);
  }
  const auto graded = [](double x) { return x != 0 && x != 1; };
  const bool compares =
      std::any_of(weak.begin(), weak.end(), graded) || std::any_of(strong.begin(), strong.end(), graded);
  const std::vector<double> right = compares ? routing::weak_suffices(weak, strong) : weak;
  // Of the file's rows: a prompt without a label is in no split.
  const auto samples = states.with([](const auto& view) { return static_cast<std::size_t>(view.samples()); });
  std::vector<double> label_of(samples, 0.0);
  std::vector<std::size_t> label_at(samples, 0), rows = states.rows;
  for (std::size_t i = 0; i < rows.size(); ++i) label_of[rows[i]] = right[i], label_at[rows[i]] = i;
  const hone::philox random{seed_of(s.seed, stream::split), 1};
  hone::shuffle(rows, [&](std::size_t i) { return random.uniform(i); });
  const auto held = static_cast<std::size_t>(s.held_out * static_cast<double>(rows.size()));
  program::require(held >= 2 && rows.size() - held >= 10,
                   "%s: %zu prompts are too few: 10 to learn from and 2 to be judged by", s.labels.c_str(),
                   rows.size());
  const std::vector<std::size_t> judges(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(held));
  const split parts =
      split_of({rows.begin() + static_cast<std::ptrdiff_t>(held), rows.end()}, {seed_of(s.seed, stream::split), 0});
  thread_pool pool(s.threads);
  nlohmann::json results = nlohmann::json::array();
  std::printf("%zu prompts to learn from, %zu to choose by, %zu to judge by; label: the small model is %s\n",
              parts.learn.size(), parts.choose.size(), judges.size(), compares ? "no worse" : "right");
  for (const combination& c : all) {
    const trained_router r =
        states.with([&](const auto& view) { return train_router(c.options, view, label_of, parts, pool); });
    const std::vector<double> logits = states.with([&](const auto& view) { return logits_of(r, view, pool); });
    std::vector<double> p(logits.size());
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = r.calibration(logits[i]);
    program::routed routed;
    for (const std::size_t row : judges) {
      routed.weak.push_back(weak[label_at[row]]);
      routed.strong.push_back(strong[label_at[row]]);
      routed.scores.push_back(p[row]);
      routed.labels.push_back(label_of[row]);
    }
    std::vector<program::router_figure> measured;
    try {
      measured = program::measure_router(routed, {}, {});
    } catch (const program::stopped_by_user&) {
      std::fputs("route: interrupted, nothing is written\n", stderr);
      return 130;
    }
    std::printf("\n%s\n", c.name.empty() ? "router" : c.name.c_str());
    program::print_figures(measured);
    nlohmann::json result = {{"config", describe(c.options)},
                             {"sweep", c.values},
                             {"layers", layers_of(r)},
                             {"curve", program::points_of(routing::curve(routed.weak, routed.strong, routed.scores))}};
    result.update(epochs_of(r));
    program::add_figures(result, measured);
    results.push_back(std::move(result));
    if (s.save.empty()) continue;
    std::vector<std::int32_t> state_of = s.state_of;
    if (state_of.empty()) {
      state_of.resize(static_cast<std::size_t>(states.layers));
      std::iota(state_of.begin(), state_of.end(), 0);
    }
    io::write_router(
        s.save, stored_of(r, model->hash, model->config.n_layers, state_of, states.last, states.tokens, s.chat_template,
                          thresholds_of(p, parts.choose), std::filesystem::path(s.states).filename().string()));
  }
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"prompts", labels.size()},
                               {"unlabelled", states.unlabelled},
                               {"label", compares ? "small no worse" : "small right"},
                               {"runs", results}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("Which prompts a small model may answer, seen from its hidden states.", "route");
  options_of(s).declare(app);
  CLI11_PARSE(app, argc, argv);
  return program::run("route", [&] {
    if (argc == 1) {
      s.sweep = {
          "pooling=mean,dirichlet,dirichlet:draws=8,dirichlet:noise=delta,dirichlet:kl=0.01,softmax,max,last,fixed,"
          "chain"};
      s.seeds = 3;
    }
    const std::vector<combination> all = program::combinations_of(
        app, s, s.sweep,
        {"sweep", "seed", "seeds", "json", "threads", "save", "save-model", "states", "labels", "convention", "layers",
         "held-out", "chat-template", "router", "model", "tokenizer", "form", "call-rate", "accept-copy"},
        complete);
    program::refuse_idle(all, [](const combination& c) { return program::idle_options(wants_of(c.options)); });
    if (s.serves()) return serve(s);
    return s.on_files() ? from_states(s, all) : story(s, all);
  });
}
