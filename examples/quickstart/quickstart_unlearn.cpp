// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A model forgets some question-answer pairs and keeps others: load, take pairs, forget with NPO and SAGO, save.
//   quickstart_unlearn stories260K.bin tok512.bin tofu/forget01.json tofu/retain99.json unlearned.bin
#include "hone/core/shuffler.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/io/model.hpp"
#include "hone/io/pair_codec.hpp"
#include "hone/io/read_tokenizer.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/transformer/learner.hpp"

#include <cstdio>
#include <exception>

using namespace hone;
using transformer::labelled_rows;

namespace {

/// The mean over the pairs of exp(-mean negative log-likelihood of an answer's token).
double known(transformer::learner<float>& learner, const labelled_rows& pairs, thread_pool& pool) {
  double sum = 0;
  for (const double nll : learner.mean_nll(pairs, pool)) sum += std::exp(-nll);
  return sum / static_cast<double>(pairs.sequences());
}

int run(char** files) {
  // A model: a Hugging Face folder, a GGUF file or a llama2.c checkpoint; and its tokenizer.
  io::checkpoint model = io::read_model(files[0]);
  const io::tokenizer tokenizer = io::read_tokenizer(files[1], model.config.vocab);

  // Pairs as rows of tokens, of which the answers' have targets.
  const io::pair_codec codec = io::question_answer_codec(tokenizer, files[1]);
  const auto read = [&](const char* file, std::size_t most) {
    const auto pairs = io::encode_pairs(io::read_question_answers(file, most), codec, model.config.max_seq);
    return io::labelled_rows_of(pairs);
  };
  const labelled_rows forget = read(files[2], 8), retain = read(files[3], 24);

  thread_pool pool(2);
  transformer::learner<float> learner(model.config, std::move(model.parameters));
  const auto print = [&](const char* when) {
    std::printf("%-14s answers to forget %.3f, to keep %.3f\n", when, known(learner, forget, pool),
                known(learner, retain, pool));
    std::fflush(stdout);
  };
  print("read");

  // A model that does not know the pairs is taught them, so that there is something to forget.
  labelled_rows all = forget;
  for (index_t s = 0; s < retain.sequences(); ++s) all.add(retain, s);
  std::vector<float> g(learner.trained().size());
  for (int step = 0; step < 150 && known(learner, forget, pool) < 0.8; ++step) {
    fill(g, 0.0f, pool);
    learner.likelihood(all, g, 1 / static_cast<double>(all.label_count()), {}, pool);
    learner.step(g, {.rate = 4e-3, .clip = 1, .schedule = {.warmup = 10}}, pool);
  }
  print("taught");

  // Two gradients a step, of NPO on what is to be forgotten and of the likelihood of what is to be kept; SAGO makes one
  // of them, in which each element goes where it does not hurt what is kept.
  learner.reset_moments();
  learner.remember_reference();
  const std::vector<double> reference = learner.reference_nll(forget, pool);
  const double beta = 2 * static_cast<double>(forget.sequences()) / static_cast<double>(forget.label_count());
  shuffler forget_order(forget.labels.size(), {1, 1}), retain_order(retain.labels.size(), {1, 2});
  std::vector<float> r(g.size());
  double cosine = 1;
  for (int step = 0; step < 30; ++step) {
    labelled_rows bad, good;
    std::vector<double> reference_nll;
    for (int i = 0; i < 4; ++i) {
      const std::size_t k = forget_order.next();
      bad.add(forget, static_cast<index_t>(k));
      reference_nll.push_back(reference[k]);
      good.add(retain, static_cast<index_t>(retain_order.next()));
    }
    fill(g, 0.0f, pool);
    fill(r, 0.0f, pool);
    const auto npo = [&](auto nll, auto slope) { return loss::npo(nll, reference_nll, slope, beta); };
    learner.accumulate_answers(bad, g, 0.25, npo, pool);
    learner.likelihood(good, r, 1 / static_cast<double>(good.label_count()), {}, pool);
    const auto report = gradient::combine(gradient::sago{}, gradient::tasks(g, r), r, {.geometry = true}, pool);
    cosine = (min)(cosine, report.combined_cosine(1));
    learner.step(r, {.rate = 1e-3, .clip = 1}, pool);
  }
  print("forgotten");
  std::printf("no step was further from the retain gradient than a cosine of %.2f\n", cosine);

  io::write_llama2c(files[4], learner.shape(), learner.parameters());
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 6) return run(argv + 1);
  std::fputs("usage: quickstart_unlearn MODEL TOKENIZER FORGET.json RETAIN.json OUT.bin\n", stderr);
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "quickstart_unlearn: %s\n", error.what());
  return 1;
}
