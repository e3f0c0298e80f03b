// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which prompts a small model may answer, seen from its hidden states while it reads them. Without arguments two
/// models are taught three tasks, routers of every pooling learn where the small one fails, and tables say what each is
/// worth, in the domains that it was trained on and in others. On an engine's states, a router for that engine; with a
/// router, decisions for lines of standard input.
#include "route/stored.hpp"
#include "route/story.hpp"

namespace {

using namespace route;

/// A router from an engine's states, judged on the prompts that were held out.
int from_states(const settings& s, const std::vector<combination>& all) try {
  const std::vector<io::routing_label> labels = io::read_routing_labels(s.labels);
  std::optional<io::model_identity> model;
  if (!s.model.empty()) model = io::identify_model(s.model);
  const stored_states states = read_states(s, model, labels);
  for (const combination& c : all) row_of_layer(c.options, states);
  if (program::interrupted()) throw program::stopped_by_user{};
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
  if (states.unlabelled > 0)
    std::fprintf(stderr, "%zu prompts have states and no label: they are left out\n", states.unlabelled);
  const std::vector<std::size_t> judges(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(held));
  const split parts =
      split_of({rows.begin() + static_cast<std::ptrdiff_t>(held), rows.end()}, {seed_of(s.seed, stream::split), 0});
  program::stoppable_pool pool(s.threads);
  nlohmann::json results = nlohmann::json::array();
  std::printf("%zu prompts to learn from, %zu to choose by, %zu to judge by; label: the small model is %s\n",
              parts.learn.size(), parts.choose.size(), judges.size(), compares ? "no worse" : "right");
  std::vector<std::int32_t> state_of = s.state_of;
  if (state_of.empty()) {
    state_of.resize(static_cast<std::size_t>(states.layers));
    std::iota(state_of.begin(), state_of.end(), 0);
  }
  std::optional<io::stored_router> router;
  for (const combination& c : all) {
    settings own = c.options;
    own.layer = row_of_layer(own, states);
    const trained_router r =
        states.with([&](const auto& view) { return train_router(own, view, label_of, parts, pool); });
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
    const std::vector<program::router_figure> measured = program::measure_router(routed, {}, {}, pool);
    std::printf("\n%s\n", c.name.empty() ? "router" : c.name.c_str());
    program::print_figures(measured);
    if (r.calibration.slope == 0) std::puts("  (scores that do not rise with the labels: p is their mean)");
    nlohmann::json result = {{"config", describe(c.options)},
                             {"sweep", c.values},
                             {"curve", program::points_of(routing::curve(routed.weak, routed.strong, routed.scores))}};
    result.update(about(r));
    program::add_figures(result, measured);
    results.push_back(std::move(result));
    if (!s.save.empty())
      router = stored_of(r, model->hash, model->config.n_layers, state_of, states.last, states.tokens, s.chat_template,
                         thresholds_of(p, parts.choose), std::filesystem::path(s.states).filename().string());
  }
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"prompts", labels.size()},
                               {"unlabelled", states.unlabelled},
                               {"label", compares ? "small no worse" : "small right"},
                               {"runs", results}});
  if (router) io::write_router(s.save, *router);
  return 0;
} catch (const program::stopped_by_user&) {
  std::fputs("route: interrupted, nothing is written\n", stderr);
  return 130;
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
    if (s.on_files()) return from_states(s, all);
    return story(s, all);
  });
}
