// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The gamma function's family: log Gamma, digamma, trigamma, and the regularised incomplete gamma function. Outside
/// their domains, which the functions name, and of NaN they are NaN, like those of std.
///
/// Probabilities are computed as their largest value times exp(-deviance), in which nothing large cancels:
///   x^a e^-x / Gamma(1 + a) = p(a) exp(-(a log(a / x) + x - a)),  p(a) = a^a e^-a / Gamma(1 + a)
/// [Loader 2000, Fast and accurate computation of binomial probabilities, here of real counts]
#pragma once
#include "hone/core/flags.hpp"

#include <cmath>
#include <limits>

namespace HONE_NAMESPACE {

namespace detail {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
inline constexpr double half_log_two_pi = 0.91893853320467274178;

/// log Gamma(2 + z) = (1 - 0.577...) z + sum_{k >= 2} (-1)^k (zeta(k) - 1) / k z^k, for |z| <= 1/2.
/// [Abramowitz, Stegun 1964, 6.1.33]
inline double log_gamma_from_two(double z) {
  constexpr double c[] = {
      0.42278433509846713939,    0.32246703342411321824,    -0.067352301053198095133,  0.020580808427784547879,
      -0.0073855510286739852663, 0.0028905103307415232858,  -0.0011927539117032609771, 5.0966952474304242234e-4,
      -2.2315475845357937976e-4, 9.9457512781808533715e-5,  -4.49262367381331417e-5,   2.0507212775670691553e-5,
      -9.439488275268395904e-6,  4.3748667899074878042e-6,  -2.0392157538013662368e-6, 9.5514121304074198329e-7,
      -4.4924691987645660433e-7, 2.1207184805554665869e-7,  -1.0043224823968099609e-7, 4.7698101693639805658e-8,
      -2.271109460894316491e-8,  1.0838659214896954091e-8,  -5.1834750419700466551e-9, 2.4836745438024783172e-9,
      -1.1921401405860912074e-9, 5.7313672416788620133e-10, -2.7595228851242331452e-10};
  double sum = 0;
  for (int k = 26; k >= 0; --k) sum = sum * z + c[k];
  return sum * z;
}

/// log Gamma(1 + a) for a in (0, 1]: to the last digits as a falls, where 1 + a has none of them.
inline double log_gamma_1p(double a) {
  return a <= 0.5 ? log_gamma_from_two(a) - std::log1p(a) : log_gamma_from_two(a - 1);
}

/// log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2) for x >= 1: Stirling's series; below 16 its recurrence, and of
/// whole numbers the values.
inline double stirling_remainder(double x) {
  constexpr double whole[] = {0.0810614667953272582, 0.0413406959554092941, 0.0276779256849983391,
                              0.0207906721037650931, 0.0166446911898211922, 0.0138761288230707480,
                              0.0118967099458917701, 0.0104112652619720965, 0.0092554621827127329,
                              0.0083305634333628713, 0.0075736754879518407, 0.0069428401072095299,
                              0.0064089941880042071, 0.0059513701127588476, 0.0055547335519628014};
  if (x < 16 && x == std::floor(x)) return whole[static_cast<int>(x) - 1];
  double sum = 0;
  for (; x < 16; x += 1) sum += (x + 0.5) * std::log1p(1 / x) - 1;
  const double s = 1 / (x * x);
  return sum + (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 * s) * s) * s) * s) / x;
}

/// u - log(1 + u) for u > -1.
inline double log1p_deficit(double u) {
  // log(1 + u) = 2 artanh(v); the terms of first order cancel.
  const double v = u / (2 + u), square = v * v;
  if (square > 0.25) return u - std::log1p(u);
  double power = 2 * v, sum = u * v;
  for (int k = 3; k < 100; k += 2) {
    power *= square;
    const double next = sum - power / k;
    if (next == sum) break;
    sum = next;
  }
  return sum;
}

/// Gauss-Legendre of 16 points on [-1, 1]: the positive nodes, and weights that hold for their mirror images, too.
struct gauss_legendre_16 {
  static constexpr double node[] = {0.095012509837637440185, 0.28160355077925891323, 0.45801677765722738634,
                                    0.61787624440264374845,  0.7554044083550030339,  0.86563120238783174388,
                                    0.94457502307323257608,  0.9894009349916499326};
  static constexpr double weight[] = {0.18945061045506849629,  0.18260341504492358887, 0.16915651939500253819,
                                      0.14959598881657673208,  0.12462897125553387205, 0.09515851168249278481,
                                      0.062253523938647892863, 0.027152459411754094852};
};

/// The integral over s in [0, length] of exp(-h(s)), h convex: Gauss-Legendre of 16 points on four quarters.
template <class F>
double integrate_tail(double length, F&& h) {
  using rule = gauss_legendre_16;
  const double half = length / 8;
  double sum = 0;
  for (int quarter = 0; quarter < 4; ++quarter) {
    const double middle = (2 * quarter + 1) * half;
    for (int i = 0; i < 8; ++i)
      sum +=
          rule::weight[i] * (std::exp(-h(middle - half * rule::node[i])) + std::exp(-h(middle + half * rule::node[i])));
  }
  return half * sum;
}

/// Where a convex h with h(0) = 0, this slope and this curvature has grown to 60: what lies beyond is nothing.
inline double tail_length(double slope, double curvature) {
  return 120 / (slope + std::sqrt(slope * slope + 120 * curvature));
}

}  // namespace detail

/// The two probabilities that add to 1, each to its own last digits.
struct tails {
  double lower = 0;
  double upper = 0;
};

/// log Gamma(x) for x > 0. Relative error 2e-15, also beside the zeros 1 and 2. Unlike std::lgamma it writes no global.
inline double log_gamma(double x) {
  if (!(x > 0)) return detail::not_a_number;
  if (x <= 0.5) return detail::log_gamma_1p(x) - std::log(x);
  if (x < 1.5) return detail::log_gamma_from_two(x - 1) - std::log(x);
  if (x >= 16) {
    if (x > 1e300) return x * (std::log(x) - 1);
    return (x - 0.5) * (std::log(x) - 1) - 0.5 + detail::half_log_two_pi + detail::stirling_remainder(x);
  }
  double product = 1;
  while (x > 2.5) {
    x -= 1;
    product *= x;
  }
  return detail::log_gamma_from_two(x - 2) + std::log(product);
}

/// The derivative of log Gamma at x > 0. Error 1e-15 of 1 + |result|: relative, but beside its zero at 1.46.
/// @note The recurrence up to 10, then the asymptotic series. [Abramowitz, Stegun 1964, 6.3.5, 6.3.18]
inline double digamma(double x) {
  if (!(x > 0)) return detail::not_a_number;
  double sum = 0;
  for (; x < 10; x += 1) sum -= 1 / x;
  constexpr double c[] = {1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12};
  const double s = 1 / (x * x);
  double series = -3617.0 / 8160;
  for (int k = 6; k >= 0; --k) series = series * s + c[k];
  return sum + (std::log(x) - 0.5 / x - series * s);
}

/// The second derivative of log Gamma at x > 0. Relative error 2e-15. [Abramowitz, Stegun 1964, 6.4.6, 6.4.12]
inline double trigamma(double x) {
  if (!(x > 0)) return detail::not_a_number;
  double sum = 0;
  for (; x < 10; x += 1) sum += 1 / (x * x);
  constexpr double c[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6};
  const double s = 1 / (x * x);
  double series = -3617.0 / 510;
  for (int k = 6; k >= 0; --k) series = series * s + c[k];
  return sum + (1 + 0.5 / x + series * s) / x;
}

/// x log(x / mean) + mean - x for x >= 0, mean > 0: twice it is the deviance of a count from its mean.
/// @param difference x - mean, from who knows it better than the subtraction.
inline double half_deviance(double x, double mean, double difference) {
  if (x == 0) return mean;
  if (std::abs(difference) <= 0.5 * (x + mean)) return x * detail::log1p_deficit(-difference / x);
  const double ratio = x / mean;
  return x * (ratio > 0 && ratio < 1e300 ? std::log(ratio) : std::log(x) - std::log(mean)) - difference;
}
inline double half_deviance(double x, double mean) { return half_deviance(x, mean, x - mean); }

/// log(a^a e^-a / Gamma(1 + a)) for a >= 0: of the Poisson probability, of the count a, at its own mean.
inline double log_poisson_peak(double a) {
  if (a == 0) return 0;
  if (a < 1) return a * std::log(a) - a - detail::log_gamma_1p(a);
  return -0.5 * std::log(a) - detail::half_log_two_pi - detail::stirling_remainder(a);
}

/// log(x^a e^-x / Gamma(1 + a)), the Poisson probability of a real count a >= 0 at mean x > 0. Error 2e-15 of
/// 1 + |result|.
inline double log_poisson(double a, double x) { return log_poisson_peak(a) - half_deviance(a, x); }

/// The regularised incomplete gamma functions P(a, x), lower, and Q(a, x), upper, for finite a > 0 and x >= 0: the
/// distribution of a gamma variate of shape a and scale 1. Relative error of either below 1e-14 + 6e-16 |log of
/// it|, 4e-13 at 1e-300, for any shape.
/// @note The series, for small a that of Q, the continued fraction, at most some 300 terms; above a = 1000 an integral
/// of 64 points. [Abramowitz, Stegun 1964, 6.5.29, 6.5.31]
inline tails incomplete_gamma(double a, double x) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!(a > 0 && a < infinity && x >= 0)) return {detail::not_a_number, detail::not_a_number};
  if (x == 0) return {0, 1};
  if (x == infinity) return {1, 0};
  const double log_power = log_poisson(a, x), power = std::exp(log_power);
  if (a > 1000) {
    const bool upper = x > a;
    if (log_power < -2000) return upper ? tails{1, 0} : tails{0, 1};  // what multiplies it may be out of range
    const double sign = upper ? 1 : -1;
    const double slope = -sign * (a - 1 - x) / x, curvature = (a - 1) / x / x;  // of minus the density's logarithm
    const double integral = detail::integrate_tail(detail::tail_length(slope, curvature), [&](double s) {
      return slope * s + (a - 1) * detail::log1p_deficit(sign * s / x);
    });
    const double factor =
        a / x * integral;  // as large as the root of a: the power may underflow where the tail does not
    const double tail = power > 1e-300 ? power * factor : std::exp(log_power + std::log(factor));
    return upper ? tails{1 - tail, tail} : tails{tail, 1 - tail};
  }
  if (x > 1.1 && x > a) {  // x^a e^-x / Gamma(a) / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), by Lentz
    double b = x + 1 - a, c = infinity, d = 1 / b, fraction = d;
    for (int k = 1; k < 2000; ++k) {
      const double numerator = -k * (k - a);
      b += 2;
      d = 1 / (numerator * d + b);
      c = b + numerator / c;
      fraction *= c * d;
      if (std::abs(c * d - 1) < 1e-16) break;
    }
    const double tail = a * power * fraction;
    return {1 - tail, tail};
  }
  if (x <= 1.1 && a < (x < 0.5 ? -0.4 / std::log(x) : 1.1 * x)) {
    // Q = 1 - x^a / Gamma(1 + a) (1 + a sum_{k >= 1} (-x)^k / (k! (a + k))): the small parts on their own.
    const double log_first = a * std::log(x) - (a <= 1 ? detail::log_gamma_1p(a) : log_gamma(1 + a));
    double term = 1, sum = 0;
    for (int k = 1; k < 100; ++k) {
      term *= -x / k;
      const double next = sum + term / (a + k);
      if (next == sum) break;
      sum = next;
    }
    const double tail = -std::expm1(log_first) - a * sum * std::exp(log_first);
    return {1 - tail, tail};
  }
  double term = 1, sum = 1;  // x^a e^-x / Gamma(1 + a) (1 + x / (a + 1) + x^2 / ((a + 1) (a + 2)) + ...)
  for (int k = 1; k < 2000; ++k) {
    term *= x / (a + k);
    const double next = sum + term;
    if (next == sum) break;
    sum = next;
  }
  const double tail = power * sum;
  return {tail, 1 - tail};
}

}  // namespace HONE_NAMESPACE
