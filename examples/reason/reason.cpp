// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A small model that learns to reason: it is taught noisy traces of a task whose answers can be checked, and then
/// learns from nothing but whether its own answers are right. Without arguments, three ways to do that from the same
/// start, at equal numbers of generated tokens.
#include "reason/bandit_story.hpp"
#include "reason/questions.hpp"
#include "reason/sweep.hpp"
#include "support/tasks/make_task.hpp"

namespace {

using namespace reason;

/// What the options that the taught model depends on say.
std::string taught_by(const settings& s) {
  const nlohmann::json all = describe(s);
  nlohmann::json part;
  for (const char* key : {"task", "horizon", "error", "moduli", "aliasing", "sft_steps", "sft_batch", "sft_rate",
                          "seed", "width", "layers", "heads", "model", "prompts", "form", "held_out"})
    if (all.contains(key)) part[key] = all.at(key);
  return part.dump();
}

/// What a run needs of somebody's files, or of nobody's.
class place {
 public:
  /// @throws what `make_task`, the readers of models and `questions` throw.
  explicit place(const settings& s) {
    if (!s.on_files()) {
      task_ = make_task(s.task, s.options);
      stored_shape_ = shape_ = shape_for(*task_, s.width, s.layers, s.heads);
      require_support(s);
      if (!s.save.empty())
        program::require_holds(s.save, shape_,
                               transformer::initial_parameters<float>(shape_, seed_of(s.seed, stream::parameters)));
      return;
    }
    io::checkpoint stored = program::read_finite_model(s.model);
    stored_shape_ = shape_ = stored.config;
    parameters_ = std::move(stored.parameters);
    const bool beside = s.tokenizer.empty();
    tokenizer_.emplace(program::read_tokenizer(s.model, s.tokenizer, shape_.vocab));
    auto own = std::make_unique<questions>(io::read_prompts(s.prompts), *tokenizer_, beside ? s.model : s.tokenizer,
                                           s.form, s.held_out, s.longest, shape_.max_seq);
    for (index_t i = 0; i < s.held_out; ++i) held_out_.push_back(own->numbered(static_cast<std::size_t>(i)));
    // Activations and angles are as long as the context: no longer than what can come.
    shape_.max_seq = (std::min)(shape_.max_seq, own->longest_prompt() + own->longest_response());
    require_support(s);
    program::require_holds(s.save, stored_shape_, parameters_);
    task_ = std::move(own);
  }
  /// Says where responses end before --longest.
  void note_context() const {
    const index_t asked = task_->longest_prompt() + task_->longest_response();
    if (asked > shape_.max_seq)
      std::fprintf(stderr,
                   "note: with a prompt of %td tokens, --longest %td does not fit the model's context of %td: "
                   "responses end there\n",
                   task_->longest_prompt(), task_->longest_response(), shape_.max_seq);
  }

  /// The model's shape in a file.
  [[nodiscard]] const transformer::config& stored_shape() const { return stored_shape_; }
  [[nodiscard]] ground of(const settings& s) const {
    if (s.on_files()) return {*task_, held_out_, shape_, parameters_};
    return {*task_, draw_problems(*task_, seed_of(s.seed, stream::held_out), 0, s.held_out), shape_,
            transformer::initial_parameters<float>(shape_, seed_of(s.seed, stream::parameters))};
  }

 private:
  void require_support(const settings& s) const {
    const index_t width = recipe_of(s.algorithm).needs.support;
    program::require(width <= shape_.vocab, "--anchor-k %td: the vocabulary has %td", width, shape_.vocab);
  }

  std::optional<io::tokenizer> tokenizer_;
  std::unique_ptr<task> task_;
  std::vector<problem> held_out_;
  transformer::config shape_, stored_shape_;
  std::vector<float> parameters_;
};

nlohmann::json result_of(const settings& s, run& r, const nlohmann::json& after) {
  const progress_state& state = r.state();
  return {{"config", describe(s)},
          {"before", state.before},
          {"after", after},
          {"records", state.records},
          {"generated", r.model().generated()},
          {"cpu_seconds", state.cpu_seconds}};
}

void warn_of_silent_anchor(const settings& s) {
  if (!policy::fires_at_start(recipe_of(s.algorithm)))
    std::fputs("note: at these --anchor-lambda and --anchor-beta no punished token has a gradient at the start\n",
               stderr);
}

/// One run, its table, and its files.
int one_run(settings s) {
  thread_pool pool(s.threads);
  const place here(s);
  const ground g = here.of(s);
  std::optional<program::run_file> stored;
  if (!s.resume.empty()) {
    stored.emplace(s.resume, "reason");
    if (s.report_every == 0) s.report_every = stored->options().value("report_every", 0L);
  }
  const nlohmann::json options = describe(s);
  here.note_context();
  if (stored) program::require_same_options(*stored, options, {"steps", "tokens"});
  warn_of_silent_anchor(s);
  const std::vector<float> taught = stored ? stored->elements_of("reference") : teach(g, s, pool);
  if (program::interrupted()) {
    std::fputs("interrupted during the supervised start: nothing to keep\n", stderr);
    return 130;
  }
  run r(g, s, taught, pool, true);
  if (stored) restore(*stored, r.model(), r.state());
  r.go(options, s.algorithm.name);
  if (program::interrupted()) {
    program::say_where_to_go_on(r.state().step, s.checkpoint);
    if (!r.begun()) return 130;
    std::fputs("scoring what was reached; again to end at once\n", stderr);
  }
  const nlohmann::json after = r.full_exam();
  print_exams(r.state().before, after, g.held_out.size(), s.samples);
  if (!s.save.empty()) io::write_model(s.save, here.stored_shape(), r.model().policy().parameters());
  nlohmann::json result = result_of(s, r, after);
  result["interrupted"] = program::interrupted();
  program::write_json(s.json, result);
  return program::interrupted() ? 130 : 0;
}

/// Every combination of the sweep, over seeds.
int many_runs(const settings& s, const std::vector<combination>& all) {
  std::vector<row> rows(all.size());
  nlohmann::json runs = nlohmann::json::array();
  for (const combination& c : all) {
    const place checked(c.options);
    checked.note_context();
    warn_of_silent_anchor(c.options);
  }
  thread_pool pool(s.threads);
  for (std::size_t k = 0; k < s.seeds && !program::interrupted(); ++k) {
    std::map<std::string, std::vector<float>> taught;
    std::map<std::string, std::vector<std::pair<std::size_t, nlohmann::json>>> finished;  // by what they began from
    for (std::size_t i = 0; i < all.size() && !program::interrupted(); ++i) {
      settings own = all[i].options;
      own.seed = s.seed + k;
      const place here(own);
      const ground g = here.of(own);
      const std::string key = taught_by(own);
      if (!taught.contains(key)) taught[key] = teach(g, own, pool);
      if (program::interrupted()) break;
      run r(g, own, taught.at(key), pool, false);
      r.go({}, program::text("%s, seed %llu", all[i].name.c_str(), static_cast<unsigned long long>(own.seed)));
      if (program::interrupted()) break;
      nlohmann::json result = result_of(own, r, r.full_exam());
      result["sweep"] = all[i].values;
      finished[key].emplace_back(i, result);
      runs.push_back(std::move(result));
    }
    for (const auto& [key, together] : finished) {
      double least = std::numeric_limits<double>::infinity();
      for (const auto& [i, result] : together) least = (std::min)(least, result.at("cpu_seconds").get<double>());
      for (const auto& [i, result] : together) {
        const nlohmann::json &after = result.at("after"), &records = result.at("records");
        row& to = rows[i];
        to.pass_1.push_back(after.at("pass_1"));
        to.in_time.push_back(pass_at_time(records, least));
        const double first = together.front().second.at("after").at("pass_1");
        to.ahead.push_back(after.at("pass_1").get<double>() - first);
        to.pass_8.push_back(after.at("pass_8"));
        to.pass_all.push_back(after.at("pass_all"));
        to.coverage.push_back(after.at("coverage"));
        to.entropy.push_back(after.at("entropy"));
        to.kl.push_back(after.at("kl"));
        to.generated.push_back(result.at("generated"));
        to.seconds.push_back(result.at("cpu_seconds"));
        to.active.push_back(mean_of_records(records, "negative_active"));
        to.variance.push_back(mean_of_records(records, "advantage_variance"));
        to.expected.push_back(mean_of_records(records, "success_variance"));
        if (!after.contains("critic")) continue;
        to.brier.push_back(after.at("critic").at("brier"));
        to.calibration.push_back(after.at("critic").at("calibration_error"));
      }
    }
  }
  if (!runs.empty()) print_rows(program::sweep_title(s.sweep), all, rows, static_cast<std::size_t>(s.samples));
  if (program::interrupted())
    std::printf("\nInterrupted: %zu of %zu runs ended%s.\n", runs.size(), all.size() * s.seeds,
                runs.empty() ? "" : ", the means are theirs");
  else
    std::printf("\nMeans and 95 %% intervals over %zu seeds.\n", s.seeds);
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"seeds", s.seeds},
                               {"runs", runs},
                               {"interrupted", program::interrupted()}});
  return program::interrupted() ? 130 : 0;
}

/// The cases of the bandit: the table, or what the options say.
int bandit_cases(const settings& s, const std::vector<combination>& all) {
  const auto how = [](const combination& c) {
    const settings& own = c.options;
    const auto given = [&](const char* option) { return c.told.contains(option); };
    bandit_settings b{
        .group = own.group_size, .collapse = own.collapse, .identifiable = own.identifiable, .seed = own.seed};
    if (given("--batch")) b.responses = own.batch;
    if (given("--minibatches")) b.minibatches = own.minibatches;
    if (given("--steps")) b.steps = own.steps;
    if (given("--rate")) b.rate = own.rate;
    if (given("--critic-rate")) b.critic_rate = own.critic_rate;
    return b;
  };
  const told_options& told = all.front().told;
  bandit_story_settings story{.cases = {}, .seeds = told.contains("--seeds") ? s.seeds : 5, .threads = s.threads};
  if (s.sweep.empty() && !told.contains("--algorithm"))
    story.cases = bandit_table(how(all.front()));
  else
    for (const combination& c : all)
      story.cases.push_back({c.name.empty() ? s.algorithm.name : c.name, c.options.algorithm, how(c)});
  nlohmann::json result;
  const int status = bandit_story(story, &result);
  result["seeds"] = story.seeds;
  result["interrupted"] = program::interrupted();
  program::write_json(s.json, result);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("A small model learns to reason from rewards that can be checked.", "reason");
  options_of(s).declare(app);
  CLI11_PARSE(app, argc, argv);
  return program::run("reason", [&] {
    const auto given = [&](const char* option) { return app.count(option) > 0; };
    if (!given("--task") && !given("--algorithm") && !given("--sweep") && !given("--resume") && !given("--model")) {
      s.sweep = {"algorithm=sppo,ppo,grpo"};
      if (!given("--seeds")) s.seeds = 3;
    }
    complete(s);
    const std::vector<combination> all = combinations_of(app, s);
    if (s.task == "bandit") return bandit_cases(s, all);
    return s.sweep.empty() && s.seeds == 1 ? one_run(s) : many_runs(s, all);
  });
}
