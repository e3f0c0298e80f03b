// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/porter.hpp"

#include "eval/golden/words.hpp"
#include "support/catch.hpp"

using namespace hone::eval;

namespace {
std::string stem_of(std::string word) {
  porter_stem(word);
  return word;
}
}  // namespace

TEST_CASE("NLTK's stems of words that its rules are about") {
  for (const golden_stem& g : golden_stems) {
    INFO(g.word);
    CHECK(stem_of(g.word) == g.stem);
  }
  CHECK(std::size(golden_stems) > 700);
}

TEST_CASE("the examples of Porter's paper, where the extensions leave them") {
  const char* pairs[][2] = {{"caresses", "caress"},   {"ponies", "poni"},        {"cats", "cat"},
                            {"feed", "feed"},         {"agreed", "agre"},        {"plastered", "plaster"},
                            {"bled", "bled"},         {"motoring", "motor"},     {"sing", "sing"},
                            {"conflated", "conflat"}, {"troubled", "troubl"},    {"sized", "size"},
                            {"hopping", "hop"},       {"falling", "fall"},       {"hissing", "hiss"},
                            {"fizzed", "fizz"},       {"failing", "fail"},       {"filing", "file"},
                            {"happy", "happi"},       {"relational", "relat"},   {"conditional", "condit"},
                            {"rational", "ration"},   {"digitizer", "digit"},    {"vietnamization", "vietnam"},
                            {"operator", "oper"},     {"feudalism", "feudal"},   {"decisiveness", "decis"},
                            {"formaliti", "formal"},  {"triplicate", "triplic"}, {"formative", "form"},
                            {"electrical", "electr"}, {"goodness", "good"},      {"adjustment", "adjust"},
                            {"adoption", "adopt"},    {"homologous", "homolog"}, {"probate", "probat"},
                            {"rate", "rate"},         {"cease", "ceas"},         {"controlling", "control"},
                            {"rolling", "roll"}};
  for (const auto& [word, stem] : pairs) CHECK(stem_of(word) == stem);
}

TEST_CASE("short words, digits and runs of y") {
  for (const char* word : {"", "a", "as", "is", "by", "y", "yy"}) CHECK(stem_of(word) == word);
  CHECK(stem_of("1990s") == "1990");
  CHECK(stem_of("42ing") == "42ing");  // digits are consonants: no vowel before the suffix
  CHECK(stem_of(std::string(100000, 'y')).size() == 100000);
  std::string endless(100000, 'a');
  endless += "ational";
  CHECK(stem_of(endless).size() > 100000);
}
