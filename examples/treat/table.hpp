// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Records of a CSV file as `treat` is told to take them.
#pragma once
#include "hone/io/csv.hpp"
#include "hone/privacy/domain.hpp"
#include "treat/settings.hpp"

namespace treat {

struct table {
  std::vector<std::string> arms, features;
  std::vector<double> x{};  ///< rows x features
  std::vector<index_t> arm{};
  std::vector<double> outcome{}, propensity{};
  double least = 0;  ///< of known propensities
  hone::privacy::domain limits{};
};

namespace detail {

/// The number that is all of @p cell; NaN otherwise: one that is none makes a zero record, and stops nothing.
inline double number_in(const std::string& cell) {
  char* end = nullptr;
  const double x = std::strtod(cell.c_str(), &end);
  return cell.empty() || end != cell.c_str() + cell.size() ? std::nan("") : x;
}

/// A column and what it is divided by: "income/1000", unless a column has that name.
struct feature {
  std::size_t column;
  double divisor;
};
inline feature feature_of(const hone::io::csv_table& file, const std::string& text) {
  const std::size_t slash = text.rfind('/');
  const bool whole = std::find(file.header.begin(), file.header.end(), text) != file.header.end();
  if (slash == std::string::npos || whole) return {file.column(text), 1};
  const double divisor = number_in(text.substr(slash + 1));
  program::require(std::isfinite(divisor) && divisor != 0, "--features %s: no number to divide by after the slash",
                   text.c_str());
  return {file.column(text.substr(0, slash)), divisor};
}

/// Whether a cell names this arm: the same text, or the same number.
inline bool names(const std::string& cell, const std::string& arm) {
  return cell == arm || (number_in(cell) == number_in(arm));
}

}  // namespace detail

/// @throws std::system_error; hone::io::format_error with the line where the file is no table, and where a column is
///         missing; std::runtime_error for options that do not fit. No other cell stops it.
inline table read_table(const settings& s) {
  const hone::io::csv_table file = hone::io::read_csv(s.data);
  if (file.rows.empty()) throw hone::io::format_error(file.file, {}, "no rows after the header");
  const std::size_t treatment = file.column(s.treatment), outcome = file.column(s.outcome);
  std::vector<detail::feature> features;
  for (const std::string& text : parts(s.features)) features.push_back(detail::feature_of(file, text));
  table t{.arms = parts(s.arms.empty() ? "-1,1" : s.arms), .features = parts(s.features)};
  const std::vector<std::string> told = parts(s.propensity);
  program::require(t.arms.size() >= 2 && std::ssize(t.arms) <= hone::privacy::most_arms, "--arms must be 2 to %td",
                   hone::privacy::most_arms);
  for (std::size_t a = 0; a < t.arms.size(); ++a)
    for (std::size_t b = 0; b < a; ++b)
      program::require(!detail::names(t.arms[a], t.arms[b]), "--arms: %s and %s are one", t.arms[b].c_str(),
                       t.arms[a].c_str());
  const bool by_column = told.size() == 1;
  program::require(by_column || !s.least_propensity, "--least-propensity is for a column of propensities");
  std::size_t propensity = 0;
  if (by_column) {
    propensity = file.column(told[0]);
    program::require(s.least_propensity.has_value(), "a column of propensities needs --least-propensity");
    t.least = *s.least_propensity;
  } else if (!s.propensity.empty()) {
    program::require(told.size() == t.arms.size(), "--propensity must be one for each of %zu arms, or a column",
                     t.arms.size());
    t.least = 1;
    for (const std::string& text : told) {
      const double p = detail::number_in(text);
      program::require(p > 0 && p <= 1, "--propensity %s: must be a probability above 0", text.c_str());
      t.least = (std::min)(t.least, p);
    }
  }
  for (const hone::io::csv_row& row : file.rows) {
    for (const detail::feature& f : features) t.x.push_back(detail::number_in(row.fields[f.column]) / f.divisor);
    index_t own = -1;
    for (std::size_t a = 0; a < t.arms.size() && own < 0; ++a)
      if (detail::names(row.fields[treatment], t.arms[a])) own = static_cast<index_t>(a);
    if (own < 0 && s.arms.empty() && detail::names(row.fields[treatment], "0")) own = 0;
    t.arm.push_back(own);
    t.outcome.push_back(detail::number_in(row.fields[outcome]) / s.outcome_scale);
    if (by_column) t.propensity.push_back(detail::number_in(row.fields[propensity]));
    if (!by_column && !s.propensity.empty())
      t.propensity.push_back(own < 0 ? std::nan("") : detail::number_in(told[static_cast<std::size_t>(own)]));
  }
  t.limits = {.rows = std::ssize(t.arm),
              .features = std::ssize(t.features),
              .row_bound = *s.row_bound,
              .outcome_bound = *s.outcome_bound,
              .intercept = *s.row_bound / 2,
              .arms = std::ssize(t.arms)};
  return t;
}

}  // namespace treat
