// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/labelled_rows.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

using ids = std::vector<std::int32_t>;

labelled_rows three_pairs() {
  labelled_rows rows;
  rows.add(ids{1, 5, 6}, ids{7, 8, 2});
  rows.add(ids{1}, ids{9});
  rows.add(ids{1, 4}, ids{3, 2});
  return rows;
}

}  // namespace

TEST_CASE("labelled rows: a row is the position that its target is drawn from") {
  const labelled_rows rows = three_pairs();
  constexpr auto none = loss::ignored;
  CHECK(rows.tokens == ids{1, 5, 6, 7, 8, 1, 1, 4, 3});
  CHECK(rows.targets == ids{none, none, 7, 8, 2, 9, none, 3, 2});
  CHECK(rows.offsets == std::vector<index_t>{0, 5, 6, 9});
  CHECK(rows.labels == std::vector<index_t>{3, 1, 2});
  CHECK(rows.label_count() == 6);
  CHECK(rows.sequences() == 3);
  CHECK(rows.batch().sequences() == 3);
  CHECK(rows.batch().rows() == 9);
  CHECK(labelled_rows().sequences() == 0);
  CHECK(labelled_rows().batch().sequences() == 0);
}

TEST_CASE("labelled rows: the prompt of a sequence is what was put there") {
  const labelled_rows rows = three_pairs();
  const auto prompt = [&](index_t s) { return ids(rows.prompt(s).begin(), rows.prompt(s).end()); };
  CHECK(prompt(0) == ids{1, 5, 6});
  CHECK(prompt(1) == ids{1});
  CHECK(prompt(2) == ids{1, 4});
  for (index_t s = 0; s < 3; ++s) {
    const index_t end = rows.prompt_end(s);
    CHECK(rows.targets[static_cast<std::size_t>(end)] >= 0);
    CHECK((end == rows.batch().begin(s) || rows.targets[static_cast<std::size_t>(end) - 1] == loss::ignored));
  }
}

TEST_CASE("labelled rows: sequences of another batch are the same sequences") {
  const labelled_rows rows = three_pairs();
  labelled_rows picked;
  picked.add(rows, 2);
  picked.add(rows, 0);
  labelled_rows expected;
  expected.add(ids{1, 4}, ids{3, 2});
  expected.add(ids{1, 5, 6}, ids{7, 8, 2});
  CHECK(picked.tokens == expected.tokens);
  CHECK(picked.targets == expected.targets);
  CHECK(picked.offsets == expected.offsets);
  CHECK(picked.labels == expected.labels);
}

TEST_CASE("labelled rows: an empty prompt or answer is refused, and nothing is added") {
  labelled_rows rows = three_pairs();
  CHECK_THROWS_WITH(rows.add(ids{}, ids{1}), Catch::Contains("prompt: is empty"));
  CHECK_THROWS_WITH(rows.add(ids{1}, ids{}), Catch::Contains("answer: is empty"));
  CHECK(rows.tokens.size() == 9);
  CHECK(rows.targets.size() == 9);
}

TEST_CASE("prompts are sequences without targets") {
  token_rows prompts;
  prompts.add(ids{1, 2});
  prompts.add(ids{3});
  CHECK(prompts.batch().sequences() == 2);
  CHECK(prompts.tokens == ids{1, 2, 3});
  CHECK(prompts.offsets == std::vector<index_t>{0, 2, 3});
}
