// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/batch.hpp"

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEST_CASE("loss sums add up, and their mean is that of the whole") {
  loss_sum total = {.sum = 6, .count = 2, .nonfinite = 0};
  total += {.sum = 4, .count = 3, .nonfinite = 1};
  CHECK(total.sum == 10);
  CHECK(total.count == 5);
  CHECK(total.nonfinite == 1);
  CHECK(total.mean() == 2);
  total += {.sum = 1, .count = 1, .nonfinite = 2};
  CHECK((total.sum == 11 && total.count == 6 && total.nonfinite == 3));
  CHECK((loss_sum{}.sum == 0 && loss_sum{}.count == 0 && loss_sum{}.nonfinite == 0));
}

TEST_CASE("labels of rows: 0 and the last id are ids, int64 ones too; what is out of range is refused, not wrapped") {
  const auto check = [](label_view labels) { check_rows(static_cast<index_t>(labels.size()), 5, labels, {}, "f"); };
  check(std::vector<std::int32_t>{0, 4, -1});
  check(std::vector<std::int64_t>{0, 4, -1, std::numeric_limits<std::int64_t>::min()});
  CHECK_THROWS_WITH(check(std::vector<std::int32_t>{0, 5}), Catch::Contains("label 5 of row 1"));
  CHECK_THROWS_WITH(check(std::vector<std::int32_t>{5, 0}), Catch::Contains("label 5 of row 0"));
  // Of 32 bits this is label 3.
  CHECK_THROWS_WITH(check(std::vector<std::int64_t>{0, (std::int64_t{1} << 32) + 3}),
                    Catch::Contains("label 4294967299 of row 1, the vocabulary has 5"));
}

TEST_CASE("options of rows: the last that fits is taken, the first that does not is refused by name") {
  const std::vector<std::int32_t> labels = {0, 1}, none;
  const std::vector<double> two = {1, 0}, three(3);
  const auto check = [&](const row_options& options) { check_rows(2, 5, labels, options, "f"); };
  for (const double temperature : {0.0, -1.0, 1e300, double(INFINITY), double(NAN)})
    CHECK_THROWS_WITH(check({.temperature = temperature}), Catch::StartsWith("f: temperature: must be positive"));
  CHECK_NOTHROW(check({.temperature = 1e-300}));
  for (const double scale : {1e300, -1e300, double(NAN)})
    CHECK_THROWS_WITH(check({.scale = scale}), Catch::StartsWith("f: scale: must be finite"));
  CHECK_NOTHROW(check({.scale = -9e299}));
  CHECK_NOTHROW(check({.scale = 0, .weights = two, .temperature = 9e299}));
  CHECK_THROWS_WITH(check({.weights = three}), "f: weights: has 3 factors, logits has 2 rows");
  CHECK_THROWS_WITH(check_rows(3, 5, labels, {}, "f"), "f: targets: has 2 labels, logits has 3 rows");
  CHECK_THROWS_WITH(check_rows(3, 5, labels, {}, "f", true), "f: targets: has 2 labels, logits has 3 rows");
  CHECK_THROWS_WITH(check_rows(3, 5, none, {}, "f"), "f: targets: has 0 labels, logits has 3 rows");
  CHECK_NOTHROW(check_rows(3, 5, none, {}, "f", true));
}

TEST_CASE("a weight of 0 leaves nothing of an infinite loss, and hides no NaN") {
  CHECK(loss::detail::weighted(0, INFINITY) == 0);
  CHECK(loss::detail::weighted(-0.0, -INFINITY) == 0);
  CHECK(loss::detail::weighted(2, INFINITY) == INFINITY);
  CHECK(loss::detail::weighted(2, 3) == 6);
  CHECK(std::isnan(loss::detail::weighted(0, NAN)));
}

TEST_CASE("sequences' borders: none are one 0; they begin at 0, ascend, and end with the rows") {
  const auto check = [](const std::vector<index_t>& offsets, index_t rows, std::size_t sequences) {
    check_offsets(offsets, rows, sequences, "f");
  };
  check({0}, 0, 0);
  check({0, 0, 3, 3}, 3, 3);
  CHECK_THROWS_WITH(check({0, 2}, 3, 1), Catch::Contains("2 borders from 0 to 3"));
  CHECK_THROWS_WITH(check({1, 3}, 3, 1), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(check({0, 3}, 3, 2), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(check({0, -1, 3}, 3, 2), Catch::Contains("sequence 0 ends before it begins"));
  CHECK_THROWS_WITH(check({0, 2, 1, 3}, 3, 3), Catch::Contains("sequence 1 ends before it begins"));
}
