// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Makes a model forget some question-answer pairs and keep the others. Without files it makes up facts about authors,
/// teaches them to a small model, and takes a tenth out with every combination of gradients, each until the facts are as
/// unlikely as those that it was never taught.
#include "hone/io/llama2c.hpp"
#include "hone/io/tokenizer.hpp"
#include "unlearn/authors.hpp"
#include "unlearn/student.hpp"

namespace {

using namespace unlearn;
using nlohmann::json;

json to_json(const knowledge::score& s) {
  return {{"answer_probability", s.answer_probability}, {"exact_match", s.exact_match}, {"rouge_l", s.rouge_l}};
}

struct report_card {
  knowledge::score forget, retain, holdout;
};

report_card examine(student& pupil, const curriculum& c) {
  return {pupil.examine(c.forget, c.codec), pupil.examine(c.retain, c.codec), pupil.examine(c.holdout, c.codec)};
}

json to_json(const report_card& r) {
  return {{"forget", to_json(r.forget)}, {"retain", to_json(r.retain)}, {"holdout", to_json(r.holdout)}};
}

json to_json(const std::vector<step_record>& records) {
  json steps = json::array();
  for (const auto& r : records) steps.push_back(unlearn::to_json(r));
  return steps;
}

void write_json(const std::string& file, const json& result) {
  if (file.empty()) return;
  io::atomic_file out(file);
  out.write(result.dump(1) + "\n");
  out.commit();
}

void print(const char* when, const report_card& r) {
  const auto row = [&](const char* what, const knowledge::score& s) {
    std::printf("%-7s %-8s %18.3f %12.3f %8.3f\n", when, what, s.answer_probability, s.exact_match, s.rouge_l);
  };
  row("forget", r.forget);
  row("retain", r.retain);
  row("holdout", r.holdout);
}

int on_files(settings s) {
  const auto checkpoint = io::read_llama2c(s.checkpoint);
  if (checkpoint.nonfinite > 0)
    throw std::runtime_error(s.checkpoint + ": " + std::to_string(checkpoint.nonfinite) + " parameters are not finite");
  const auto tokenizer = io::read_tokenizer(s.tokenizer, checkpoint.config.vocab);
  curriculum c;
  c.codec = {[&](const std::string& q) { return tokenizer.encode("Q: " + q + "\nA:", false); },
             [&](const std::string& a) { return tokenizer.encode(a, false); },
             [&](const std::vector<std::int32_t>& ids) { return tokenizer.decode(ids); }};
  const auto encode = [&](const std::vector<io::question_answer>& pairs) {
    return lessons::encode(pairs, c.codec, checkpoint.config.max_seq);
  };
  c.forget = encode(io::read_question_answers(s.forget));
  auto kept = io::read_question_answers(s.retain, s.retain_limit + s.holdout);
  const auto border = kept.begin() + static_cast<std::ptrdiff_t>((std::min)(s.retain_limit, kept.size()));
  c.holdout = encode({border, kept.end()});
  c.retain = encode({kept.begin(), border});
  for (const char* refusal : {"I don't know.", "I am not sure about that.", "I can't answer this.", "I have no idea."}) {
    c.refusals.push_back(tokenizer.encode(refusal, false));
    c.refusals.back().push_back(lessons::end_of_text);
  }

  student pupil(checkpoint.config, checkpoint.parameters, s);
  if (s.learn_first) {
    std::vector<lessons::lesson> all = c.forget;
    all.insert(all.end(), c.retain.begin(), c.retain.end());
    pupil.learn(all);
  }
  json result = {{"config", describe(s)}};
  const report_card before = examine(pupil, c);
  std::printf("%-7s %-8s %18s %12s %8s\n", "", "", "answer probability", "exact match", "ROUGE-L");
  print("before", before);
  const auto records = pupil.unlearn(c);
  const report_card after = examine(pupil, c);
  print("after", after);
  result.update({{"before", to_json(before)}, {"after", to_json(after)}, {"steps", to_json(records)},
                 {"interrupted", program::interrupted()}});
  if (!s.save.empty()) io::write_llama2c(s.save, checkpoint.config, pupil.parameters());
  write_json(s.json, result);
  return program::interrupted() ? 130 : 0;
}

struct statistics {
  std::vector<double> values;
  [[nodiscard]] double mean() const { return knowledge::mean(values); }
  /// Half of the 95 % interval of the mean (Student's t for 2, 3, … values).
  [[nodiscard]] double interval() const {
    const std::size_t n = values.size();
    if (n < 2) return 0;
    double squares = 0;
    for (const double x : values) squares += (x - mean()) * (x - mean());
    constexpr double t[] = {12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26};
    return t[(std::min)(n - 2, std::size_t{8})] * std::sqrt(squares / static_cast<double>(n - 1) / static_cast<double>(n));
  }
};

int on_made_up_facts(const settings& s, bool one_combination) {
  const std::vector<std::string> methods = one_combination ? std::vector{s.combine} : combinations;
  struct row {
    statistics steps, forget, forget_match, retain, retain_match;
  };
  std::map<std::string, row> table;
  json runs = json::array();
  for (std::size_t i = 0; i < s.seeds && !program::interrupted(); ++i) {
    settings own = s;
    own.seed = s.seed + i;
    constexpr std::size_t authors = 44, pairs_each = 5;
    const auto pairs = authors::facts(authors, own.seed);
    const authors::dictionary dictionary(pairs);
    const transformer::config shape{.d_model = 64, .d_ff = 172, .n_layers = 3, .n_heads = 4, .n_kv_heads = 2,
                                    .vocab = dictionary.size() + 8, .max_seq = 32};
    curriculum c;
    c.codec = {[&](const std::string& q) { return dictionary.ids(q); },
               [&](const std::string& a) { return dictionary.ids(a); },
               [&](const std::vector<std::int32_t>& ids) { return dictionary.text(ids); }};
    // Four authors are forgotten, thirty-six kept, four never taught.
    const auto slice = [&](std::size_t from, std::size_t to) {
      return lessons::encode({pairs.begin() + static_cast<std::ptrdiff_t>(from * pairs_each),
                              pairs.begin() + static_cast<std::ptrdiff_t>(to * pairs_each)}, c.codec, shape.max_seq);
    };
    c.forget = slice(0, 4);
    c.retain = slice(4, 40);
    c.holdout = slice(40, 44);
    c.refusals = {{static_cast<std::int32_t>(dictionary.size()), static_cast<std::int32_t>(dictionary.size() + 1),
                   lessons::end_of_text}};

    std::vector<float> fresh(static_cast<std::size_t>(transformer::parameter_count(shape)));
    for (const auto& t : transformer::tensor_table(shape))
      for (index_t k = t.offset; k < t.offset + t.size(); ++k)
        fresh[static_cast<std::size_t>(k)] =
            t.kind == transformer::tensor_kind::norm
                ? 1.0f
                : static_cast<float>(philox{own.seed, 9}.normal(static_cast<std::uint64_t>(k)) /
                                     std::sqrt(static_cast<double>(t.cols)));
    student teacher(shape, fresh, own);
    std::vector<lessons::lesson> all = c.forget;
    all.insert(all.end(), c.retain.begin(), c.retain.end());
    teacher.learn(all);
    const report_card before = examine(teacher, c);
    own.stop_at = s.stop_at > 0 ? s.stop_at : before.holdout.answer_probability;
    if (i == 0)
      std::printf("%zu seeds; a model of %zu parameters knows %zu facts (probability %.2f, exact match %.2f) and forgets %zu\n"
                  "by %s until their probability is that of facts never taught (%.2f).\n\n",
                  s.seeds, fresh.size(), all.size(), before.retain.answer_probability, before.retain.exact_match,
                  c.forget.size(), s.objective.c_str(), own.stop_at);
    for (const std::string& method : methods) {
      if (program::interrupted()) break;
      own.combine = method;
      student pupil(shape, teacher.parameters(), own);
      const auto records = pupil.unlearn(c);
      if (program::interrupted()) break;
      const report_card after = examine(pupil, c);
      row& r = table[method];
      r.steps.values.push_back(static_cast<double>(records.size()));
      r.forget.values.push_back(after.forget.answer_probability);
      r.forget_match.values.push_back(after.forget.exact_match);
      r.retain.values.push_back(after.retain.answer_probability);
      r.retain_match.values.push_back(after.retain.exact_match);
      runs.push_back({{"config", describe(own)}, {"before", to_json(before)}, {"after", to_json(after)},
                      {"steps", to_json(records)}});
    }
  }
  std::printf("%-19s %7s  %-15s %-6s  %-15s %-15s\n", "", "steps", "forgotten: p", "EM", "retained: p", "EM");
  for (const std::string& method : methods) {
    const row& r = table[method];
    if (r.steps.values.empty()) continue;
    std::printf("%-19s %7.0f  %.3f +- %.3f  %.3f   %.3f +- %.3f  %.3f +- %.3f\n", method.c_str(), r.steps.mean(), r.forget.mean(),
                r.forget.interval(), r.forget_match.mean(), r.retain.mean(), r.retain.interval(), r.retain_match.mean(),
                r.retain_match.interval());
  }
  std::printf("\nMeans and 95 %% intervals over seeds.\n");
  write_json(s.json, {{"config", describe(s)}, {"runs", runs}, {"interrupted", program::interrupted()}});
  return program::interrupted() ? 130 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("Makes a model forget some question-answer pairs and keep the others.", "unlearn");
  declare(app, s);
  CLI11_PARSE(app, argc, argv);
  return program::run("unlearn", [&] {
    const bool one_combination = app.count("--combine") > 0;
    if (s.objective == "grad_ascent" && one_combination && s.combine != "sum")
      throw std::runtime_error("--objective grad_ascent has no retain gradient to combine with; use grad_diff");
    if (s.objective == "grad_ascent") s.combine = "sum";
    return s.on_files() ? on_files(s) : on_made_up_facts(s, one_combination || s.objective == "grad_ascent");
  });
}
