// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A masked-diffusion language model whose experts take more tokens at some steps of denoising than at others: trained
/// on a text or on sentences of a grammar, measured, compared with other routers at equal floating-point operations,
/// and asked to write. Without arguments, experts that choose against tokens that do.
#include "diffuse/retrofit.hpp"
#include "diffuse/run.hpp"
#include "diffuse/sample.hpp"
#include "support/sweep.hpp"

namespace {

using namespace diffuse;
using combination = program::combination<settings>;

/// The model that is made.
transformer::config shape_for(const settings& s, index_t vocab) {
  transformer::config c{.d_model = s.width,
                        .d_ff = s.expert_width,
                        .n_layers = s.layers,
                        .n_heads = s.heads,
                        .n_kv_heads = s.heads,
                        .vocab = vocab,
                        .max_seq = s.length,
                        .tie_embeddings = false,
                        .causal = false,
                        .mask_token = static_cast<std::int32_t>(vocab - 1),
                        .rope = transformer::rope_layout::half};
  c.experts = {.count = s.experts,
               .d_ff = s.expert_width,
               .shared_d_ff = s.shared * s.expert_width,
               .router = s.make_router(),
               .selection_bias = s.kind().has_bias};
  return c;
}

/// What a run is on: a text in tokens, and the model before its first step, which is made, or a folder's.
class place {
 public:
  /// @throws what readers of models, tokenizers and texts throw, and std::runtime_error if they do not fit together.
  explicit place(const settings& s) : settings_(s) {
    if (s.retrofit.empty()) {
      tokens_.emplace(s.text, s.tokenizer);
      shape_ = shape_for(s, tokens_->vocab());
    } else {
      io::checkpoint model = program::read_finite_model(s.retrofit);
      shape_ = std::move(model.config);
      parameters_ = std::move(model.parameters);
      if (s.mask_token) {
        program::require(*s.mask_token < shape_.vocab, "--mask-token %td: the vocabulary has %td", *s.mask_token,
                         shape_.vocab);
        shape_.mask_token = static_cast<std::int32_t>(*s.mask_token);
      }
      require_retrofits(s.retrofit, shape_);
      program::require(s.length <= shape_.max_seq, "--length %td: the model takes %td", s.length, shape_.max_seq);
      settings_ = on_model(s, shape_);
      tokens_.emplace(s.retrofit, s.tokenizer, shape_.vocab);
      program::require(!s.text.empty() || tokens_->encode(" the old fox") == std::vector<std::int32_t>{0, 8, 16},
                       "%s: its tokens are not the grammar's words: --text names what it is to learn from",
                       s.retrofit.c_str());
    }
    text_.emplace(read_corpus(s.text, *tokens_, s.length));
  }

  /// The options, those that the model has with them.
  [[nodiscard]] const settings& options() const { return settings_; }
  [[nodiscard]] const alphabet& tokens() const { return *tokens_; }
  [[nodiscard]] const corpus& text() const { return *text_; }
  [[nodiscard]] ground of(const settings& s) const {
    return {*text_, shape_.mask_token, shape_,
            parameters_.empty() ? transformer::initial_parameters<float>(shape_, seed_of(s.seed, stream::parameters))
                                : parameters_};
  }
  /// Says what will be held: parameters, moments, a gradient and those of the lanes; activations of the lanes. And
  /// what of the text is not learnt from, if that is more than a hundredth.
  void note() const {
    const auto f = [](index_t x) { return static_cast<double>(x); };
    const transformer::learner_options own;
    const double parameters = f(transformer::parameter_count(shape_)), lanes = f(own.lanes);
    const double a_layer = 8 * f(shape_.d_model) + f(shape_.experts.count) + 3 * f(shape_.experts.shared_d_ff) +
                           2 * f(shape_.experts.router.per_token * shape_.experts.d_ff);
    const double rows = f((std::max)(shape_.max_seq, own.rows));
    const double floats =
        (5 + lanes) * parameters + lanes * rows * (f(shape_.n_layers) * a_layer + 2 * f(shape_.vocab));
    std::fprintf(stderr, "%.2f million parameters, about %.0f MB of memory\n", parameters / 1e6, floats * 4 / 1e6);
    if (text_->left_out() > 0.01)
      std::fprintf(stderr, "%s: %.0f %% of its bytes are left out: the tokenizer has no token for them\n",
                   settings_.text.c_str(), 100 * text_->left_out());
  }

 private:
  settings settings_;
  std::optional<alphabet> tokens_;
  std::optional<corpus> text_;
  transformer::config shape_;
  std::vector<float> parameters_;
};

/// A run whose routers were swapped, if they are to be, and what that did; steps until the last one.
class story {
 public:
  /// @param stored where it goes on from, or none.
  story(const place& here, const settings& s, thread_pool& pool, bool table, const stored_run* stored)
      : begin_(here.of(s)), swapped_(s.retrofit.empty() ? swapped{begin_, {}} : swap_routers(begin_, s, pool)) {
    run_.emplace(swapped_.start, s, pool, table);
    if (!s.retrofit.empty()) divergence_ = divergence(begin_, swapped_.start, run_->exam().rows());
    if (stored != nullptr)
      stored->restore(run_->model(), run_->state());
    else
      run_->state() = swapped_.state;
  }
  story(const story&) = delete;
  story& operator=(const story&) = delete;

  [[nodiscard]] run& steps() { return *run_; }
  [[nodiscard]] const transformer::config& shape() const { return swapped_.start.shape; }
  [[nodiscard]] nlohmann::json result() {
    nlohmann::json r = run_->result();
    if (divergence_) r["kl_at_swap"] = *divergence_;
    return r;
  }

 private:
  ground begin_;
  swapped swapped_;
  std::optional<run> run_;
  std::optional<double> divergence_;
};

/// One run, its table, and its files.
int one_run(settings s) {
  const place here(s);
  s = here.options();
  std::optional<stored_run> stored;
  if (!s.resume.empty()) {
    stored.emplace(s.resume);
    if (s.report_every == 0) s.report_every = stored->options().value("report_every", 0L);
  }
  const nlohmann::json options = describe(s);
  if (stored) {
    for (const auto& [key, value] : options.items())
      if (!stored->options().contains(key) || stored->options()[key] != value)
        throw std::runtime_error(s.resume + ": was made with " + key + " " +
                                 stored->options().value(key, nlohmann::json()).dump() + ", not " + value.dump());
    if (stored->text() != here.text().fingerprint())
      throw std::runtime_error(s.resume + ": was made with another text than " + s.text + " is now");
  }
  if (!s.save.empty()) program::require_holds(s.save, here.of(s).shape, here.of(s).parameters);
  here.note();
  thread_pool pool(s.threads);
  story of(here, s, pool, true, stored ? &*stored : nullptr);
  if (program::interrupted()) {
    std::fputs("interrupted before the routers were swapped: nothing to keep\n", stderr);
    return 130;
  }
  run& r = of.steps();
  r.go(options, s.retrofit.empty() ? s.router : "retrofit");
  if (program::interrupted()) {
    std::fprintf(stderr, "interrupted after step %ld: ", r.state().step);
    if (s.checkpoint.empty())
      std::fputs("no --checkpoint to go on from\n", stderr);
    else
      std::fprintf(stderr, "go on with --resume %s\n", s.checkpoint.c_str());
    std::fputs("measuring what was reached; again to end at once\n", stderr);
  }
  const nlohmann::json result = of.result();
  print_result(result);
  if (!s.save.empty()) {
    io::write_model(s.save, of.shape(), r.model().parameters());
    here.tokens().write(s.save);
  }
  program::write_json(s.json, {{"config", describe(s)}, {"runs", {result}}, {"interrupted", program::interrupted()}});
  return program::interrupted() ? 130 : 0;
}

/// Every combination of the sweep, over seeds, each from the same numbers of the same seed.
int many_runs(const settings& s, const std::vector<combination>& all) {
  for (const combination& c : all) {
    const place checked(c.options);
    if (&c == all.data()) checked.note();
  }
  thread_pool pool(s.threads);
  std::vector<arm> arms(all.size());
  std::vector<std::string> names;
  for (const combination& c : all) names.push_back(c.name.empty() ? s.retrofit.empty() ? s.router : s.care : c.name);
  nlohmann::json runs = nlohmann::json::array();
  for (std::size_t k = 0; k < s.seeds && !program::interrupted(); ++k) {
    std::vector<nlohmann::json> of_seed;
    for (std::size_t i = 0; i < all.size() && !program::interrupted(); ++i) {
      settings own = all[i].options;
      own.seed = s.seed + k;
      const place here(own);
      story of(here, here.options(), pool, false, nullptr);
      of.steps().go({}, program::text("%s, seed %llu", names[i].c_str(), static_cast<unsigned long long>(own.seed)));
      if (program::interrupted()) break;
      of_seed.push_back(of.result());
      of_seed.back()["sweep"] = all[i].values;
    }
    if (of_seed.size() < all.size()) {  // differences are of whole sets of runs
      for (const nlohmann::json& r : of_seed) runs.push_back(r);
      break;
    }
    double least = std::numeric_limits<double>::infinity();
    for (const auto& r : of_seed) least = (std::min)(least, r.at("flops").get<double>());
    for (std::size_t i = 0; i < all.size(); ++i) {
      of_seed[i]["loss_equal_flops"] = loss_at(of_seed[i].at("records"), least);
      arms[i].push_back(of_seed[i]);
      runs.push_back(of_seed[i]);
    }
  }
  const std::size_t whole = arms[0].size();
  const nlohmann::json rows = whole == 0 ? nlohmann::json::array() : compare(names, arms);
  if (whole > 0) print_comparison(program::sweep_title(s.sweep), rows, arms);
  const char* stopped = program::interrupted() ? ": interrupted" : "";
  if (whole > 1)
    std::printf("\nMeans and 95 %% intervals over %zu seeds%s.\n", whole, stopped);
  else
    std::printf("\n%s%s.\n", whole == 1 ? "Of one seed, without intervals" : "Of no seed all runs ended", stopped);
  program::write_json(s.json, {{"config", describe(s)},
                               {"sweep", s.sweep},
                               {"seeds", s.seeds},
                               {"comparison", rows},
                               {"runs", runs},
                               {"interrupted", program::interrupted()}});
  return program::interrupted() ? 130 : 0;
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
