// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/rouge.hpp"

#include "eval/golden/words.hpp"
#include "support/catch.hpp"

using namespace hone::eval;

namespace {

using words = std::vector<std::string>;

void same(const rouge_score& score, const double (&sides)[2]) {
  CHECK(score.precision == Approx(sides[0]).epsilon(1e-15));
  CHECK(score.recall == Approx(sides[1]).epsilon(1e-15));
}

}  // namespace

TEST_CASE("words are of letters and digits alone, to the first and the last of them") {
  CHECK(rouge_words("aAzZ09", false) == words{"aazz09"});
  CHECK(rouge_words("1`2{3@4[5/6:7", false) == words{"1", "2", "3", "4", "5", "6", "7"});
  CHECK(rouge_words("ab\xe2\x84\xaa\xe2\x84\xaa"
                    "cd",
                    false) == words{"abkkcd"});
  CHECK(rouge_words("ab\xc4\xb0"
                    "cd",
                    false) == words{"abi", "cd"});
  const rouge_score none = rouge_l(std::string_view("a b"), std::string_view("c"));
  CHECK(none.f1 == 0);
  const rouge_score some = rouge_l(std::string_view("a b c d"), std::string_view("a x"));
  CHECK(some.precision == 0.5);
  CHECK(some.recall == 0.25);
  CHECK(some.f1 == Approx(1.0 / 3).epsilon(1e-14));
  CHECK(rouge_l(std::string_view("a"), std::string_view("")).precision == 0);
  CHECK(rouge_n(std::string_view("a b"), std::string_view(""), 1).recall == 0);
  CHECK(rouge_n(std::string_view(""), std::string_view("a b"), 1).precision == 0);
}

TEST_CASE("rouge-score's ROUGE-1, ROUGE-2 and ROUGE-L of random texts") {
  for (const golden_rouge& g : golden_rouges)
    for (const bool stem : {true, false}) {
      const double(&e)[7] = stem ? g.stemmed : g.plain;
      const std::string_view reference = g.reference, candidate = g.candidate;
      INFO(reference << "\n" << candidate);
      same(rouge_n(reference, candidate, 1, stem), {e[0], e[1]});
      same(rouge_n(reference, candidate, 2, stem), {e[2], e[3]});
      const rouge_score l = rouge_l(reference, candidate, stem);
      same(l, {e[4], e[5]});
      CHECK(l.f1 == Approx(e[6]).epsilon(1e-14));
    }
  CHECK(std::size(golden_rouges) == 165);
}

TEST_CASE("words are runs of letters and digits, lower-case, stemmed from four letters on") {
  CHECK(rouge_words("The Cats' 3 running-shoes, 1990S!") == words{"the", "cat", "3", "run", "shoe", "1990"});
  CHECK(rouge_words("The Cats' 3 running-shoes", false) == words{"the", "cats", "3", "running", "shoes"});
  CHECK(rouge_words("was its", true) == words{"was", "its"});
  CHECK(rouge_words("").empty());
  CHECK(rouge_words(" \n\t.,-_\x80\xff").empty());
  CHECK(rouge_words(std::string_view("a\0b", 3)) == words{"a", "b"});
  CHECK(rouge_words("caf\xc3\xa9s", false) == words{"caf", "s"});
  CHECK(rouge_words("\xe2\x84\xaa"
                    "elvin x\xc4\xb0y \xe2\x84",
                    false) == words{"kelvin", "xi", "y"});
}

TEST_CASE("a text has all of itself; sides exchange; ROUGE-L is at most ROUGE-1") {
  for (const golden_rouge& g : golden_rouges) {
    const auto a = rouge_words(g.reference), b = rouge_words(g.candidate);
    if (!a.empty()) CHECK(rouge_l(a, a).f1 == Approx(1).epsilon(1e-15));
    const rouge_score there = rouge_l(a, b), back = rouge_l(b, a);
    CHECK(there.precision == back.recall);
    CHECK(there.recall == back.precision);
    CHECK(there.recall <= rouge_n(a, b, 1).recall);
  }
}

TEST_CASE("n-grams count as often as both have them") {
  const words a = {"x", "x", "x", "y"}, b = {"x", "x", "y", "y"};
  CHECK(rouge_n(a, b, 1).recall == 0.75);
  CHECK(rouge_n(a, b, 2).recall == Approx(2.0 / 3));
  CHECK(rouge_n(a, b, 4).recall == 0);
  CHECK(rouge_n(a, b, 5).recall == 0);
  CHECK_THROWS_AS(rouge_n(a, b, 0), std::invalid_argument);
}
