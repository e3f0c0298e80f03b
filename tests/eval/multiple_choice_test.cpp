// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/multiple_choice.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::eval;

namespace {
using vector = std::vector<double>;
using indices = std::vector<index_t>;
const double not_a_number = std::nan("");
}  // namespace

TEST_CASE("the four ways to choose can all differ") {
  const vector likelihoods = {-4, -9, -10, -15}, unconditional = {-5, -10, -12, -20};
  const indices characters = {2, 5, 5, 9}, bytes = {2, 5, 12, 9};
  CHECK(choose(likelihoods) == 0);                                      // -4
  CHECK(choose_by_length(likelihoods, characters) == 3);                // -2, -1.8, -2, -1.67
  CHECK(choose_by_length(likelihoods, bytes) == 2);                     // -2, -1.8, -0.83, -1.67
  CHECK(choose_by_information(likelihoods, unconditional) == 3);        // 1, 1, 2, 5
  CHECK(choose_by_information(likelihoods, vector{0, -9, 0, 0}) == 1);  // -4, 0, -10, -15
}

TEST_CASE("ties go to the first, NaN is never chosen, and of nothing else there is no choice") {
  CHECK(choose(vector{-2, -1, -1}) == 1);
  CHECK(choose(vector{not_a_number, -3, not_a_number, -2}) == 3);
  CHECK(choose(vector{not_a_number, -std::numeric_limits<double>::infinity()}) == 1);
  CHECK(choose(vector{not_a_number, not_a_number}) == -1);
  CHECK(choose({}) == -1);
  // Masked tokens make a choice impossible: -inf, the last to be chosen, of equals the first.
  const double impossible = -std::numeric_limits<double>::infinity();
  CHECK(choose(vector{impossible, -900, impossible}) == 1);
  CHECK(choose(vector{impossible, impossible}) == 0);
  CHECK(choose_by_length(vector{impossible, -900}, indices{1, 9}) == 1);
  CHECK(choose_by_information(vector{impossible, -900, impossible}, vector{-1, -1, impossible}) == 1);
  CHECK(choose(vector{-0.0, 0.0}) == 0);
}

TEST_CASE("characters are code points") {
  CHECK(count_characters("") == 0);
  CHECK(count_characters("abc") == 3);
  CHECK(count_characters("caf\xc3\xa9") == 4);
  CHECK(count_characters("\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80") == 4);
}

TEST_CASE("accuracy and its error") {
  const statistics::mean_estimate a = accuracy(indices{0, 1, 2, -1, 3}, indices{0, 1, 0, 0, 3});
  CHECK(a.mean == Approx(0.6).epsilon(1e-15));
  CHECK(a.standard_error == Approx(std::sqrt(0.6 * 0.4 / 4)).epsilon(1e-14));
  CHECK(a.count == 5);
  CHECK(std::isnan(accuracy({}, {}).mean));
}

TEST_CASE("a group's accuracy is the mean over its items") {
  const std::vector<statistics::mean_estimate> subjects = {accuracy(indices{0, 0, 0}, indices{0, 0, 1}),
                                                           accuracy(indices{1}, indices{1})};
  CHECK(statistics::pool_items(subjects).mean == Approx(0.75).epsilon(1e-15));
  CHECK(statistics::average_groups(subjects).mean == Approx((2.0 / 3 + 1) / 2).epsilon(1e-15));
}

TEST_CASE("multiple choice: misuse") {
  CHECK_THROWS_AS(choose_by_length(vector{1, 2}, indices{1}), std::invalid_argument);
  CHECK_THROWS_WITH(choose_by_length(vector{1, 2}, indices{1, 0}),
                    "hone::eval::choose_by_length: lengths: choice 1 has length 0, must be positive");
  CHECK_THROWS_WITH(choose_by_length(vector{1, 2}, indices{-1, 1}),
                    "hone::eval::choose_by_length: lengths: choice 0 has length -1, must be positive");
  CHECK_THROWS_AS(choose_by_length(vector{1}, indices{1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(choose_by_information(vector{1}, vector{1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(choose_by_information(vector{1, 2}, vector{1}), std::invalid_argument);
  CHECK_THROWS_AS(accuracy(indices{1}, indices{}), std::invalid_argument);
}
