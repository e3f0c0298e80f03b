// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Robustness across domains, RouterXBench's third dimension: a figure of each router on each test set, and its means
/// over sets of the domains that the router was trained on and of others. Which sets are a domain's, and which of them
/// are averaged first, as MMLU-Pro's subjects are, is data.
#pragma once
#include "hone/core/view.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// f(std::span<const index_t> rows) -> double of the rows of each of @p domains, which @p domain_of the rows names from
/// 0 on: a row of the matrix of `average_domains`. A domain without rows has NaN.
/// @throws std::invalid_argument unless each domain is in [0, domains). @note Two passes; 8 bytes a row.
template <class F>
std::vector<double> measure_by_domain(std::span<const index_t> domain_of, index_t domains, F&& f) {
  const char* function = "hone::routing::measure_by_domain";
  invalid_argument_unless(domains >= 0, function, "domains", "must not be negative, are %td", domains);
  std::vector<std::size_t> ends(static_cast<std::size_t>(domains) + 1);
  for (std::size_t i = 0; i < domain_of.size(); ++i) {
    invalid_argument_unless(0 <= domain_of[i] && domain_of[i] < domains, function, "domain_of",
                            "element %zu is %td of %td", i, domain_of[i], domains);
    ++ends[static_cast<std::size_t>(domain_of[i]) + 1];
  }
  for (std::size_t d = 1; d < ends.size(); ++d) ends[d] += ends[d - 1];
  std::vector<index_t> rows(domain_of.size());
  std::vector<std::size_t> next(ends.begin(), ends.end());
  for (std::size_t i = 0; i < domain_of.size(); ++i)
    rows[next[static_cast<std::size_t>(domain_of[i])]++] = static_cast<index_t>(i);
  std::vector<double> result;
  for (std::size_t d = 0; d + 1 < ends.size(); ++d) {
    const auto part = std::span<const index_t>(rows).subspan(ends[d], ends[d + 1] - ends[d]);
    result.push_back(part.empty() ? std::numeric_limits<double>::quiet_NaN() : f(part));
  }
  return result;
}

/// Means of @p figures (routers x test sets) over the sets of each group: what is averaged first. group_of[c] is the
/// group of column c, from 0 on. A group without sets, or with a figure that is NaN, has NaN.
/// @returns routers x groups, row by row.
/// @throws std::invalid_argument unless there is a group in [0, groups) for each column.
inline std::vector<double> average_groups(matrix_view<const double> figures, std::span<const index_t> group_of,
                                          index_t groups) {
  const char* function = "hone::routing::average_groups";
  invalid_argument_unless(std::ssize(group_of) == figures.cols(), function, "group_of", "has %zu, figures %td columns",
                          group_of.size(), figures.cols());
  for (std::size_t c = 0; c < group_of.size(); ++c)
    invalid_argument_unless(0 <= group_of[c] && group_of[c] < groups, function, "group_of", "element %zu is %td of %td",
                            c, group_of[c], groups);
  std::vector<double> result(static_cast<std::size_t>(figures.rows() * groups));
  for (index_t r = 0; r < figures.rows(); ++r)
    for (index_t g = 0; g < groups; ++g) {
      double sum = 0, count = 0;
      for (index_t c = 0; c < figures.cols(); ++c) {
        if (group_of[static_cast<std::size_t>(c)] != g) continue;
        sum += figures(r, c);
        ++count;
      }
      result[static_cast<std::size_t>(r * groups + g)] = sum / count;
    }
  return result;
}

/// Of one router; NaN where there is no such set, or a figure of one is NaN, which is counted.
struct domain_means {
  double in_domain = std::numeric_limits<double>::quiet_NaN();
  double out_of_domain = std::numeric_limits<double>::quiet_NaN();
  index_t in_count = 0;
  index_t out_count = 0;
  index_t nans = 0;

  /// What is lost elsewhere.
  [[nodiscard]] double gap() const { return in_domain - out_of_domain; }
};

/// The means of each row of @p figures (routers x test sets). @param trained_on routers x test sets: 1 where the router
/// was trained on the domain of the set, else 0.
/// @throws std::invalid_argument if the shapes differ or an element of trained_on is neither 0 nor 1.
inline std::vector<domain_means> average_domains(matrix_view<const double> figures,
                                                 matrix_view<const double> trained_on) {
  const char* function = "hone::routing::average_domains";
  invalid_argument_unless(trained_on.rows() == figures.rows() && trained_on.cols() == figures.cols(), function,
                          "trained_on", "is %td x %td, figures %td x %td", trained_on.rows(), trained_on.cols(),
                          figures.rows(), figures.cols());
  std::vector<domain_means> result;
  for (index_t r = 0; r < figures.rows(); ++r) {
    domain_means of_router;
    double in = 0, out = 0;
    for (index_t c = 0; c < figures.cols(); ++c) {
      const double known = trained_on(r, c);
      invalid_argument_unless(known == 0 || known == 1, function, "trained_on", "(%td, %td) is neither 0 nor 1: %g", r,
                              c, known);
      (known == 1 ? in : out) += figures(r, c);
      ++(known == 1 ? of_router.in_count : of_router.out_count);
      of_router.nans += std::isnan(figures(r, c));
    }
    of_router.in_domain = in / static_cast<double>(of_router.in_count);
    of_router.out_of_domain = out / static_cast<double>(of_router.out_count);
    result.push_back(of_router);
  }
  return result;
}

}  // namespace HONE_NAMESPACE::routing
