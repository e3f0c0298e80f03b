// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/rouge_union.hpp"

#include "eval/golden/words.hpp"
#include "support/catch.hpp"

using namespace hone::eval;

TEST_CASE("the package rouge's ROUGE-L of random texts") {
  for (const golden_rouge& g : golden_rouges) {
    INFO(g.reference << "\n" << g.candidate);
    const rouge_score score = rouge_l_union(g.reference, g.candidate);
    CHECK(score.precision == Approx(g.joined[0]).epsilon(1e-15));
    CHECK(score.recall == Approx(g.joined[1]).epsilon(1e-15));
    CHECK(score.f1 == Approx(g.joined[2]).epsilon(1e-14));
  }
}

TEST_CASE("case, punctuation and repetition count otherwise than in rouge-score") {
  CHECK(rouge_l_union("Paris", "paris").recall == 0);
  CHECK(rouge_l("Paris", "paris").recall == 1);
  CHECK(rouge_l_union("in Paris", "in Paris, France").recall == 0.5);
  CHECK(rouge_l_union("a a a b", "a b").recall == 1);
  CHECK(rouge_l("a a a b", "a b").recall == 0.5);
  CHECK(rouge_l_union("b. a", "a. b").recall == 1);  // sentence by sentence
}

TEST_CASE("texts without a sentence have nothing; white space is a sentence of one empty word") {
  for (const char* nothing : {"", ".", "..."}) {
    CHECK(rouge_l_union(nothing, "a").recall == 0);
    CHECK(rouge_l_union("a", nothing).precision == 0);
  }
  CHECK(rouge_l_union(" ", "\t").recall == 1);
  CHECK(rouge_l_union("a. ", "a").recall == 0.5);
}

TEST_CASE("white space is Python's") {
  for (const char* space :
       {" ", "\t", "\v", "\x1c", "\x1f", "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x8a",
        "\xe2\x80\xa8", "\xe2\x80\xa9", "\r", "\x1d", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"}) {
    CHECK(rouge_l_union("a b", std::string("a") + space + "b").precision == 1);
    CHECK(rouge_l_union("a b", std::string("a") + space + "b").recall == 1);
    CHECK(rouge_l_union("a b", std::string(space) + "a" + space + space + "b" + space).precision == 1);
  }
  for (const char* other : {"\x1b",         "\x7f",         "\xc2\x86",
                            "\xe2\x80\x8b", "\xe2\x80",     "\xc2",
                            "\x08",         "\x0e",         "!",
                            "\xc3\x85",     "\xc3\xa0",     "\xe2\x81\x80",
                            "\xe2\x82\x9f", "\xe2\x82\x80", "\xe3\x80\x81",
                            "\xe3\x81\x80", "\xe1\x9a\x81", "\xe1\x80\x80",
                            "\xe4\x9a\x80", "\xe4\x80\x80", "\xe4\x81\x9f"})
    CHECK(rouge_l_union("a b", std::string("a") + other + "b").precision == 0);
}
