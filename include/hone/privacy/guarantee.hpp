// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is promised: (epsilon, delta) for two data sets that are neighbours, and what neighbours are, as types.
///   P(M(D) in S) <= e^epsilon P(M(D') in S) + delta for every S       [Dwork et al. 2006, Our data, ourselves]
/// Every number that this component gives for a loss is rounded up, every noise multiplier too.
#pragma once
#include "hone/core/contract.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE::privacy {

/// Neighbours are of one size and differ in one record, whatever both contain.
struct replace_one {
  static constexpr const char* name = "replace_one";
};
/// One neighbour has a record that the other lacks.
struct add_or_remove {
  static constexpr const char* name = "add_or_remove";
};

/// A relation of neighbours.
template <class Adjacency>
concept adjacency = requires { Adjacency::name; };

struct epsilon_delta {
  double epsilon = 0;
  double delta = 0;

  friend bool operator==(const epsilon_delta&, const epsilon_delta&) = default;
};

namespace detail {

inline constexpr double unit = 0x1p-52;
inline constexpr double infinite = std::numeric_limits<double>::infinity();

/// @p x plus a rounding error of at most @p error, and what this sum loses.
inline double outward(double x, double error) { return x + (error + unit * std::abs(x)); }

inline void check_epsilon(double epsilon, const char* function) {
  invalid_argument_unless(epsilon >= 0 && epsilon < infinite, function, "epsilon",
                          "must be finite and not negative, is %g", epsilon);
}
inline void check_delta(double delta, const char* function) {
  invalid_argument_unless(delta > 0 && delta < 1, function, "delta", "must be in (0, 1), is %g", delta);
}
inline void check_positive(double x, const char* function, const char* argument) {
  invalid_argument_unless(x > 0 && x < infinite, function, argument, "must be positive and finite, is %g", x);
}

/// The upper end of the last two doubles between @p low, where @p holds does not, and @p high, where it does. Every
/// value that it returns was tried.
template <class Holds>
double least_that_holds(double low, double high, Holds&& holds) {
  for (;;) {
    const double middle = low + 0.5 * (high - low);
    if (!(low < middle && middle < high)) return high;
    (holds(middle) ? high : low) = middle;
  }
}

}  // namespace detail

}  // namespace HONE_NAMESPACE::privacy
