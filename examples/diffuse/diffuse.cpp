// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A masked-diffusion language model whose experts take more tokens at some steps of denoising than at others: trained
/// on a text or on sentences of a grammar, measured, compared with other routers at equal floating-point operations,
/// and asked to write. Without arguments, experts that choose against tokens that do.
#include <set>

#include "diffuse/run.hpp"
#include "diffuse/sample.hpp"
#include "support/sweep.hpp"

namespace {

using namespace diffuse;
using combination = program::combination<settings>;

/// One run, its table, and its files.
int one_run(const settings& told) {
  std::optional<program::run_file> stored;
  settings given = told;
  if (!told.resume.empty()) {
    stored.emplace(told.resume, "diffuse");
    if (told.report_every == 0) given.report_every = stored->options().value("report_every", 0L);
  }
  const setup here(given);
  const settings& s = here.options();
  const nlohmann::json options = describe(s);
  if (stored) {
    program::require_same_options(*stored, options);
    program::require(stored->read([](const nlohmann::json& about) { return about.value("text", std::string()); }) ==
                         here.text().fingerprint(),
                     "%s: was made with another text than %s is now", s.resume.c_str(), s.text.c_str());
  }
  here.note_memory();
  for (const std::string& line : here.notes()) std::fprintf(stderr, "note: %s\n", line.c_str());
  thread_pool pool(s.threads);
  run r(here, pool, true, stored ? &*stored : nullptr);
  r.go(options, s.retrofit.empty() ? s.router : "retrofit");
  if (!r.failure().empty()) throw std::runtime_error(r.failure());
  const int status = r.complete() ? 0 : 130;
  if (status != 0) {
    program::say_where_to_go_on(r.state().step, s.checkpoint);
    std::fputs("measuring what was reached; again to end at once\n", stderr);
  }
  const nlohmann::json result = r.result();
  print_result(result);
  program::write_json(s.json, {{"config", options}, {"runs", {result}}, {"interrupted", status != 0}});
  if (s.save.empty()) return status;
  if (r.leads()) {
    std::fprintf(stderr, "%s is not written: tokens still choose, led by biases\n", s.save.c_str());
    return status;
  }
  io::write_model(s.save, r.model().shape(), r.model().parameters());
  here.tokens().write(s.save);
  return status;
}

/// Every combination of the sweep, over seeds, each from the same numbers of the same seed.
int many_runs(const settings& s, const std::vector<combination>& all) {
  std::set<std::string> said;
  for (const combination& c : all) {
    const setup checked(c.options);
    if (&c == all.data()) checked.note_memory();
    for (const std::string& line : checked.notes())
      if (said.insert(line).second) std::fprintf(stderr, "note: %s\n", line.c_str());
  }
  thread_pool pool(s.threads);
  std::vector<arm> arms(all.size());
  std::vector<std::string> names;
  for (const combination& c : all) names.push_back(c.name.empty() ? s.retrofit.empty() ? s.router : s.care : c.name);
  nlohmann::json runs = nlohmann::json::array();
  std::set<std::size_t> failed;  // arms of which a run did
  bool interrupted = false;
  for (std::size_t k = 0; k < s.seeds && !interrupted; ++k) {
    std::vector<nlohmann::json> of_seed;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < all.size() && !interrupted; ++i) {
      settings own = all[i].options;
      own.seed = s.seed + k;
      const setup here(own);
      run r(here, pool, false);
      const std::string title =
          program::text("%s, seed %llu", names[i].c_str(), static_cast<unsigned long long>(own.seed));
      if (!program::interrupted()) r.go({}, title);
      if (!r.failure().empty()) {
        std::fprintf(stderr, "%s: %s\n", title.c_str(), r.failure().c_str());
        failed.insert(i);
      } else if (!r.complete()) {
        interrupted = true;
        break;
      }
      of_seed.push_back(r.complete() ? r.result() : r.so_far());
      of_seed.back()["sweep"] = all[i].values;
      if (r.complete()) least = (std::min)(least, r.state().flops);
    }
    const bool whole = of_seed.size() == all.size();  // differences are of whole sets of runs
    for (std::size_t i = 0; i < of_seed.size(); ++i) {
      if (whole && !of_seed[i].contains("failure")) {
        of_seed[i]["loss_equal_flops"] = loss_at(of_seed[i].at("records"), least);
        arms[i].push_back(of_seed[i]);
      }
      runs.push_back(of_seed[i]);
    }
  }
  for (auto i = failed.rbegin(); i != failed.rend(); ++i) {
    arms.erase(arms.begin() + static_cast<std::ptrdiff_t>(*i));
    names.erase(names.begin() + static_cast<std::ptrdiff_t>(*i));
  }
  const std::size_t whole = arms.empty() ? 0 : arms[0].size();
  const nlohmann::json rows = whole == 0 ? nlohmann::json::array() : compare(names, arms);
  if (whole > 0) print_comparison(program::sweep_title(s.sweep), rows, arms);
  const char* stopped = interrupted ? ": interrupted" : "";
  if (whole > 1)
    std::printf("\nMeans and 95 %% intervals over %zu seeds%s.\n", whole, stopped);
  else
    std::printf("\n%s%s.\n", whole == 1 ? "Of one seed, without intervals" : "Of no seed all runs ended", stopped);
  if (!failed.empty()) std::printf("Left out: %zu of %zu, of which a run failed.\n", failed.size(), all.size());
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"seeds", s.seeds},
                               {"comparison", rows},
                               {"runs", runs},
                               {"interrupted", interrupted}});
  return interrupted ? 130 : failed.size() == all.size() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("A diffusion language model whose experts follow the denoising step.", "diffuse");
  options_of(s).declare(app);
  CLI11_PARSE(app, argc, argv);
  return program::run("diffuse", [&] {
    const auto given = [&](const char* option) { return app.count(option) > 0; };
    if (argc == 1) {
      s.sweep = {"router=expert_choice,token_choice"};
      s.seeds = 3;
    }
    const std::vector<combination> all = program::combinations_of(
        app, s, s.sweep,
        {"sweep", "seed", "seeds", "json", "threads", "checkpoint", "checkpoint-every", "resume", "save", "text",
         "tokenizer", "length", "sample", "retrofit", "mask-token", "held-out", "bound-draws", "report-every"},
        complete);
    program::refuse_idle(all, [](const combination& c) { return program::idle_options(wants_of(c.options)); });
    if (!s.sample.empty()) return write_text(s, given("--length"));
    return s.sweep.empty() && s.seeds == 1 ? one_run(s) : many_runs(s, all);
  });
}
