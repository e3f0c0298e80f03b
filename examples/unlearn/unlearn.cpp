// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Makes a model forget some question-answer pairs and keep the others: of files, or, without any, of its own making.
#include "hone/io/llama2c.hpp"
#include "hone/io/read_tokenizer.hpp"
#include "unlearn/experiment.hpp"

namespace {

using namespace unlearn;

int on_files(settings s, program::ranks& ranks) {
  const auto checkpoint = io::read_llama2c(s.checkpoint);
  if (checkpoint.nonfinite > 0)
    throw std::runtime_error(s.checkpoint + ": " + std::to_string(checkpoint.nonfinite) + " parameters are not finite");
  if (s.layer > checkpoint.config.n_layers)
    throw std::runtime_error(
        program::text("--layer %td: the model has hidden states 0 to %td", s.layer, checkpoint.config.n_layers));
  const auto tokenizer = io::read_tokenizer(s.tokenizer, checkpoint.config.vocab);
  if (!tokenizer.eos()) throw std::runtime_error(s.tokenizer + ": says nothing of an end of text");
  // A SentencePiece vocabulary puts a space in front of the answer, a byte-level one does not.
  const auto plain = [&](const std::string& text) { return tokenizer.encode(text, {false, false}); };
  const auto letter = plain("a");
  const std::string gap = !letter.empty() && tokenizer.text(letter.front()).starts_with(' ') ? "" : " ";
  curriculum c;
  c.codec = {.question = [&](const std::string& q) { return plain("Q: " + q + "\nA:"); },
             .answer = [&](const std::string& a) { return plain(gap + a); },
             .text = [&](const std::vector<std::int32_t>& ids) { return tokenizer.decode(ids); },
             .begin = {},
             .end = *tokenizer.eos()};
  if (tokenizer.bos()) c.codec.begin = {*tokenizer.bos()};
  const auto encode = [&](const std::vector<io::question_answer>& pairs) {
    return lessons::encode(pairs, c.codec, checkpoint.config.max_seq);
  };
  c.forget = encode(io::read_question_answers(s.forget));
  const auto kept = io::read_question_answers(s.retain, s.retain_limit + s.holdout);
  const auto border = kept.begin() + static_cast<std::ptrdiff_t>((std::min)(s.retain_limit, kept.size()));
  c.retain = encode({kept.begin(), border});
  c.holdout = encode({border, kept.end()});
  for (const char* refusal :
       {"I don't know.", "I am not sure about that.", "I can't answer this.", "I have no idea."}) {
    c.refusals.push_back(c.codec.answer(refusal));
    c.refusals.back().push_back(c.codec.end);
  }

  s.settle_beta(c.answer_length());
  student pupil(checkpoint.config, checkpoint.parameters, s, ranks);
  if (s.learn_first) {
    std::vector<lesson> all = c.forget;
    all.insert(all.end(), c.retain.begin(), c.retain.end());
    pupil.learn(all);
  }
  const report_card before = examine(pupil, c);
  std::printf("%-7s %-8s %18s %12s %8s\n", "", "", "answer probability", "exact match", "ROUGE-L");
  print("before", before);
  std::fflush(stdout);
  if (s.stop_at < 0) s.stop_at = before.holdout.answer_probability;
  pupil.stop_at(s.stop_at);
  const auto records = pupil.unlearn(c, s.combine);
  if (!s.save.empty()) io::write_llama2c(s.save, checkpoint.config, pupil.parameters());
  if (program::interrupted()) std::fputs("interrupted: scoring what was reached; again to end at once\n", stderr);
  const report_card after = records.empty() ? before : examine(pupil, c);
  write_json(s.json, {{"config", describe(s)},
                      {"before", to_json(before)},
                      {"after", to_json(after)},
                      {"steps", to_json(records)},
                      {"interrupted", program::interrupted()}});
  print("after", after);
  return program::interrupted() ? 130 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("Makes a model forget some question-answer pairs and keep the others.", "unlearn");
  declare(app, s);
  CLI11_PARSE(app, argc, argv);
  return program::run("unlearn", [&] {
    program::ranks ranks(s.mpi);
    if (ranks.rank() > 0) s.json = s.save = "";
    complete(app, s);
    if (s.on_files()) return on_files(s, ranks);
    const bool one_method = app.count("--combine") > 0 || !s.retains();
    const bool one_weight = app.count("--forget-weight") > 0 || !s.retains();
    return run_experiment(s, one_method ? std::vector{s.combine} : names(combinations),
                          one_weight ? std::vector{s.forget_weight} : std::vector{1.0, 0.3, 0.1, 0.03}, ranks);
  });
}
