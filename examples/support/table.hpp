// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Cells of the tables that programs print: means with their intervals, as wide as they look.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "hone/eval/multiple_choice.hpp"
#include "hone/statistics/intervals.hpp"
#include "support/program.hpp"

namespace program {

/// @p cell at the right of @p width columns; bytes that continue a character of UTF-8 take none.
inline std::string right(const std::string& cell, std::size_t width) {
  const auto taken = static_cast<std::size_t>(hone::eval::count_characters(cell));
  return std::string(width - (std::min)(width, taken), ' ') + cell;
}

/// "±0.02", half of the 95 % interval of the mean of @p x; of one value there is none.
inline std::string margin(const std::vector<double>& x, int digits) {
  return x.size() < 2 ? ""
                      : text("±%.*f", digits, hone::statistics::student_margin(hone::statistics::estimate_mean(x)));
}
/// "0.93±0.02"
inline std::string mean_and_margin(const std::vector<double>& x, int digits) {
  return text("%.*f", digits, hone::statistics::estimate_mean(x).mean) + margin(x, digits);
}

}  // namespace program
