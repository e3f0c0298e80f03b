// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/rwku.hpp"

#include "support/catch.hpp"

using namespace hone::eval;

TEST_CASE("an answer ends at its scorer's first stop") {
  const auto official = [](std::string_view text) { return rwku_answer(text, rwku_scorer::official); };
  const auto stemmed = [](std::string_view text) { return rwku_answer(text, rwku_scorer::stemmed); };
  CHECK(official(" Stephen King.\nQuestion: who") == "Stephen King.");
  CHECK(official("") == "NOANSWER");
  CHECK(official(" \t ab c \r \n d") == "ab c");
  CHECK(official(" \t ") == "NOANSWER");
  CHECK(official("\nlate") == "NOANSWER");
  CHECK(stemmed("one\ntwo\n\nthree") == "one\ntwo");
  CHECK(stemmed("one\nQuestion two") == "one");
  CHECK(stemmed("one Question: two\n\n") == "one");
  CHECK(stemmed("  ") == "");
}

TEST_CASE("the two scorers do not agree") {
  CHECK(rwku_recall("The Shining", "the shining", rwku_scorer::official) == 0);
  CHECK(rwku_recall("The Shining", "the shining", rwku_scorer::stemmed) == 1);
  CHECK(rwku_recall("novels", "novel", rwku_scorer::official) == 0);
  CHECK(rwku_recall("novels", "novel", rwku_scorer::stemmed) == 1);
  for (const rwku_scorer either : {rwku_scorer::official, rwku_scorer::stemmed}) {
    CHECK(rwku_recall("in 1947", "born in 1947", either) == 1);
    CHECK(rwku_recall("born in 1947", "in 1947", either) == Approx(2.0 / 3));
  }
  CHECK(rwku_recall("NOANSWER", "", rwku_scorer::official) == 1);
  CHECK(rwku_recall("x", "", rwku_scorer::stemmed) == 0);
}

TEST_CASE("levels, all items and all levels") {
  const std::vector<double> recalls = {1, 0, 0.5, 1, 1};
  const std::vector<int> levels = {1, 2, 1, 3, 2};
  const rwku_report r = report_rwku(recalls, levels);
  REQUIRE(r.levels.size() == 3);
  CHECK(r.levels[0].mean == 0.75);
  CHECK(r.levels[1].mean == 0.5);
  CHECK(r.levels[2].mean == 1);
  CHECK(r.levels[2].count == 1);
  CHECK(r.all_items.mean == Approx(0.7).epsilon(1e-15));
  CHECK(r.all_levels.mean == Approx(0.75).epsilon(1e-15));
  CHECK(report_rwku(std::vector<double>{1.0}, std::vector<int>{1}, 2).all_levels.mean ==
        1);  // an empty level is left out
  CHECK_THROWS_WITH(report_rwku(recalls, levels, 2), "hone::eval::report_rwku: levels: probe 3 has level 3");
  CHECK_THROWS_AS(report_rwku(recalls, std::vector<int>{1}), std::invalid_argument);
  CHECK_THROWS_AS(report_rwku(recalls, std::vector<int>{0, 1, 1, 1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(report_rwku({}, {}, 0), std::invalid_argument);
  CHECK(report_rwku(std::vector<double>{0.25, 0.75}, std::vector<int>{1, 1}, 1).levels[0].mean == 0.5);
}
