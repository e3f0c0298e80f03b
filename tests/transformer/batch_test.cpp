// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/batch.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::transformer;

TEST_CASE("a slice has the sequences of the whole, whose tokens it shares") {
  const std::vector<std::int32_t> tokens = {1, 5, 6, 7, 8, 1, 1, 4, 3};
  const std::vector<index_t> offsets = {0, 5, 6, 9};
  const batch whole{tokens, offsets};
  for (index_t first = 0; first <= 3; ++first)
    for (index_t last = first; last <= 3; ++last) {
      const batch_slice slice(whole, first, last);
      const batch b = slice.batch();
      CHECK(b.sequences() == last - first);
      CHECK(slice.rows() == b.rows());
      CHECK(slice.first_row() == offsets[static_cast<std::size_t>(first)]);
      CHECK(b.offsets.front() == 0);
      CHECK(b.offsets.back() == b.rows());
      for (index_t s = 0; s < b.sequences(); ++s) {
        CHECK(b.end(s) - b.begin(s) == whole.end(first + s) - whole.begin(first + s));
        CHECK(b.tokens.data() + b.begin(s) == tokens.data() + whole.begin(first + s));
      }
    }
  CHECK_THROWS_WITH(batch_slice(whole, 2, 1), Catch::Contains("no sequences of 3"));
  CHECK_THROWS_WITH(batch_slice(whole, -1, 1), Catch::Contains("no sequences of 3"));
  CHECK_THROWS_WITH(batch_slice(whole, 0, 4), Catch::Contains("no sequences of 3"));
}

TEST_CASE("parts of a batch are all of it, about equal, and may be empty") {
  for (const index_t count : {0, 1, 7, 16})
    for (const index_t parts : {1, 2, 5}) {
      index_t next = 0;
      for (index_t i = 0; i < parts; ++i) {
        const auto [first, last] = part_of(count, i, parts);
        CHECK(first == next);
        CHECK(last - first <= count / parts + 1);
        next = last;
      }
      CHECK(next == count);
    }
}

TEST_CASE("rows of a vector are its elements; of none, none") {
  std::vector<double> x = {0, 1, 2, 3, 4, 5};
  CHECK(rows_of(x, 1, 2).data() == x.data() + 1);
  CHECK(rows_of(x, 1, 2).size() == 2);
  CHECK(rows_of(x, 1, 2, 2).data() == x.data() + 2);
  CHECK(rows_of(x, 1, 2, 2).size() == 4);
  const std::vector<double> none;
  CHECK(rows_of(none, 3, 2).empty());
}

TEST_CASE("a slice has the capacities of its sequences, and parts are as even as they can be") {
  const std::vector<std::int32_t> tokens = {1, 5, 6, 7, 8, 1, 1, 4, 3};
  const std::vector<index_t> offsets = {0, 5, 6, 9}, capacities = {4, 2, 3};
  const batch_slice slice({tokens, offsets, capacities}, 1, 3);
  CHECK(slice.batch().capacities.data() == capacities.data() + 1);
  CHECK(slice.batch().capacities.size() == 2);
  CHECK(batch_slice({tokens, offsets}, 1, 3).batch().capacities.empty());
  CHECK(part_of(7, 0, 2) == std::pair<index_t, index_t>(0, 3));
  CHECK(part_of(7, 1, 2) == std::pair<index_t, index_t>(3, 7));
  CHECK(part_of(7, 1, 3) == std::pair<index_t, index_t>(2, 4));
  CHECK(part_of(1, 0, 3) == std::pair<index_t, index_t>(0, 0));
}
