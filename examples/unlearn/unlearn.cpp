// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Makes a model forget some question-answer pairs and keep the others: of files, or, without any, of its own making.
#include "hone/io/lora_gguf.hpp"
#include "hone/io/peft.hpp"
#include "unlearn/experiment.hpp"
#include "unlearn/tofu_exam.hpp"

#include <set>

namespace {

using namespace unlearn;

void save(const settings& s, const transformer::config& c, student& pupil) {
  if (!s.save.empty()) io::write_model(s.save, c, pupil.parameters());
  if (s.save_adapter.ends_with(".gguf"))
    io::write_lora_gguf(s.save_adapter, c, pupil.plain_adapter());
  else if (!s.save_adapter.empty())
    io::write_peft(s.save_adapter, c, pupil.plain_adapter(), {.base_model = program::utf8(s.model)});
}

/// @throws std::runtime_error if a question to be forgotten leaves no room for its refusal.
void require_refusals(const curriculum& c, index_t max_seq) {
  for (std::size_t k = 0; k < c.forget.size(); ++k) {
    const std::size_t tokens = c.forget[k].prompt.size() + c.refusal_of(k).size();
    program::require(static_cast<index_t>(tokens) <= max_seq,
                     "--forget: pair %zu: has %zu tokens with a refusal, the model takes %td", k + 1, tokens, max_seq);
  }
}

/// @throws std::runtime_error if every pair to be forgotten is one to be kept.
void warn_of_common_pairs(const curriculum& c) {
  const auto texts = [](const encoded_pair& pair) { return std::pair(pair.prompt, pair.answer); };
  std::set<std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>> kept;
  for (const encoded_pair& pair : c.retain) kept.insert(texts(pair));
  const auto common = std::count_if(c.forget.begin(), c.forget.end(),
                                    [&](const encoded_pair& pair) { return kept.contains(texts(pair)); });
  if (common == std::ssize(c.forget)) throw std::runtime_error("every pair of --forget is also in --retain");
  if (common > 0)
    std::fprintf(stderr, "note: %td of %zu pairs of --forget are also in --retain\n", common, c.forget.size());
}

int on_files(settings s, const std::vector<way>& ways, processes& ranks) {
  io::checkpoint checkpoint = program::read_finite_model(s.model);
  require_fit(s, checkpoint.config);
  program::require_holds(s.save, checkpoint.config, checkpoint.parameters);
  const io::tokenizer tokenizer = program::read_tokenizer(s.model, s.tokenizer, checkpoint.config.vocab);
  curriculum c;
  c.codec = io::question_answer_codec(tokenizer, s.tokenizer.empty() ? s.model : s.tokenizer);
  c.codec.text = [&](const std::vector<std::int32_t>& ids) { return program::text_of(tokenizer, ids); };
  const auto encoded = [&](const std::string& file, std::size_t most) {
    return encode_pairs(io::read_question_answers(file, most), file, c.codec, checkpoint.config.max_seq);
  };
  c.forget = encoded(s.forget, io::no_limit);
  c.retain = encoded(s.retain, s.retain_limit + s.holdout);
  warn_of_common_pairs(c);
  // Of a short file a quarter at most is held out, so that there is something to say what not knowing looks like.
  const std::size_t apart = (std::min)(s.holdout, c.retain.size() / 4);
  const auto border =
      c.retain.begin() + static_cast<std::ptrdiff_t>((std::min)(s.retain_limit, c.retain.size() - apart));
  c.holdout.assign(border, c.retain.end());
  c.retain.erase(border, c.retain.end());
  for (const char* refusal : {"I don't know.", "I am not sure about that.", "I can't answer this.", "I have no idea."})
    c.refusals.push_back(c.codec.whole_answer(refusal));
  if (s.objective == "idk" || s.objective == "dpo") require_refusals(c, checkpoint.config.max_seq);

  std::vector<tofu_set> exam;
  for (const auto& [part, file] : {std::pair(eval::tofu_part::forget, &s.forget_perturbed),
                                   std::pair(eval::tofu_part::retain, &s.retain_perturbed),
                                   std::pair(eval::tofu_part::real_authors, &s.real_authors),
                                   std::pair(eval::tofu_part::world_facts, &s.world_facts)})
    if (!file->empty()) exam.push_back(read_tofu_set(part, *file, c.codec, checkpoint.config.max_seq));

  std::optional<student> retrained;
  if (s.retrain) {
    retrained.emplace(checkpoint.config, checkpoint.parameters, s, ranks);
    retrained->learn(c.retain);
  }
  student teacher(checkpoint.config, std::move(checkpoint.parameters), s, ranks);
  if (s.learn_first) {
    std::vector<encoded_pair> all = c.forget;
    all.insert(all.end(), c.retain.begin(), c.retain.end());
    teacher.learn(all);
  }
  const report_card before = examine(teacher, c);
  std::printf("%-7s %-8s %18s %12s %8s\n", "", "", "answer probability", "exact match", "ROUGE-L");
  print("before", before);
  const auto examine_by_tofu = [&](student& pupil) {
    return exam.empty() ? nlohmann::json() : examine_tofu(pupil, retrained ? &*retrained : nullptr, exam, c.codec);
  };
  const nlohmann::json tofu_before = examine_by_tofu(teacher);
  const stop_rule stop = stop_rule_of(s, before);
  if (before.forget.answer_probability <= stop.at)
    std::fprintf(stderr, "note: there is nothing to forget: answers of probability %.3f, forgotten at %.3f%s\n",
                 before.forget.answer_probability, stop.at, s.learn_first ? "" : " (--learn-first teaches them)");
  std::printf("forgets %zu pairs by %s %s\n", c.forget.size(), s.objective.c_str(), stop.words.c_str());
  std::fflush(stdout);
  nlohmann::json runs = nlohmann::json::array();
  for (const way& w : ways) {
    if (program::interrupted() && !runs.empty()) break;
    settings own = w.options;
    own.settle_beta(c.answer_length());
    own.stop_at = stop.at;
    student pupil(checkpoint.config, teacher.parameters(), own, ranks);
    const auto records = pupil.unlearn(c, w.name);
    if (ranks.rank() == 0) save(own, checkpoint.config, pupil);
    if (program::interrupted()) std::fputs("interrupted: scoring what was reached; again to end at once\n", stderr);
    const report_card after = records.empty() ? before : examine(pupil, c);
    if (ways.size() > 1) std::printf("%s, %zu steps\n", w.name.c_str(), records.size());
    print("after", after);
    runs.push_back({{"way", w.name},
                    {"config", describe(own)},
                    {"adapter", to_json(pupil)},
                    {"before", to_json(before)},
                    {"after", to_json(after)},
                    {"steps", to_json(records)},
                    {"stop_rule", stop.name},
                    {"interrupted", program::interrupted()}});
    if (!exam.empty()) runs.back()["tofu"] = {{"before", tofu_before}, {"after", examine_by_tofu(pupil)}};
    std::fflush(stdout);
  }
  if (ways.size() == 1)
    write_json(s.json, runs.front());
  else
    write_json(s.json, {{"config", describe(s)}, {"runs", runs}, {"interrupted", program::interrupted()}});
  return program::interrupted() ? 130 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("Makes a model forget some question-answer pairs and keep the others.", "unlearn");
  options_of(s).declare(app);
  CLI11_PARSE(app, argc, argv);
  return program::run("unlearn", [&] {
    processes ranks(s.mpi);
    if (ranks.rank() > 0) s.json = s.save = s.save_adapter = "";
    complete(app, s);
    const bool one_method = s.on_files() || app.count("--combine") > 0 || !s.retains();
    const auto ways = s.compare_adapters
                          ? adapter_ways(s)
                          : combination_ways(s, one_method ? std::vector{s.combine} : program::names(combinations));
    if (s.on_files()) return on_files(s, ways, ranks);
    const bool one_weight = s.compare_adapters || app.count("--forget-weight") > 0 || !s.retains();
    return run_experiment(s, ways, one_weight ? std::vector{s.forget_weight} : std::vector{1.0, 0.3, 0.1, 0.03}, ranks);
  });
}
