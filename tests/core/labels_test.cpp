// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/labels.hpp"

#include "support/catch.hpp"

#include <array>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

using hone::label_view;

namespace {

std::vector<std::int64_t> read(label_view labels) {
  std::vector<std::int64_t> result;
  for (std::size_t i = 0; i < labels.size(); ++i) result.push_back(labels[i]);
  return result;
}

}  // namespace

TEST_CASE("labels are read from int32 and int64, whatever holds them and is called so") {
  const std::vector<std::int64_t> expected = {3, -100, 0, 2147483647};
  const std::vector<std::int32_t> narrow = {3, -100, 0, 2147483647};
  const std::vector<long> longs = {3, -100, 0, 2147483647};
  const std::vector<long long> wide = {3, -100, 0, 2147483647};
  const std::array<int, 4> array = {3, -100, 0, 2147483647};
  const std::int64_t plain[] = {3, -100, 0, 2147483647};
  CHECK(read(narrow) == expected);
  CHECK(read(longs) == expected);
  CHECK(read(wide) == expected);
  CHECK(read(array) == expected);
  CHECK(read(plain) == expected);
  CHECK(read(std::span(narrow)) == expected);
  CHECK(read(std::span<const long long>(wide)) == expected);
}

TEST_CASE("an int64 beyond int32 is what it is") {
  const std::vector<std::int64_t> far = {(std::int64_t{1} << 32) + 3, -(std::int64_t{1} << 40),
                                         std::numeric_limits<std::int64_t>::max()};
  CHECK(read(far) == far);
}

TEST_CASE("parts of labels, and none") {
  const std::vector<std::int32_t> narrow = {1, 2, 3, 4};
  const std::vector<std::int64_t> wide = {1, 2, 3, 4};
  for (const label_view all : {label_view(narrow), label_view(wide)}) {
    CHECK(read(all.subspan(1, 2)) == std::vector<std::int64_t>{2, 3});
    CHECK(read(all.subspan(1, 3).subspan(2, 1)) == std::vector<std::int64_t>{4});
    CHECK(all.subspan(4, 0).empty());
  }
  CHECK(label_view().empty());
  CHECK(label_view().subspan(0, 0).size() == 0);
  CHECK(label_view(std::vector<std::int64_t>{}).empty());
}

TEST_CASE("other numbers are no labels") {
  static_assert(std::is_constructible_v<label_view, std::span<const std::int64_t>>);
  static_assert(!std::is_constructible_v<label_view, std::vector<float>>);
  static_assert(!std::is_constructible_v<label_view, std::vector<std::uint32_t>>);
  static_assert(!std::is_constructible_v<label_view, std::vector<std::int16_t>>);
  static_assert(!std::is_constructible_v<label_view, std::vector<bool>>);
}
