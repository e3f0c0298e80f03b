// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Noise for a vector of which neighbours differ by at most Delta in length.
///   on a lattice, delta > 0   the vector is rounded to multiples of g, and every coordinate gets a discrete Gaussian
///                             of integer scale: rho = (Delta / g + sqrt d)^2 / (2 scale^2), whatever is rounded
///   on a lattice, delta = 0   discrete Laplace noise, of L1 sensitivity sqrt d Delta / g + d; value and noise saturate
///   by its norm               |noise| ~ Gamma(d, Delta / epsilon), direction uniform: density ~ exp(-epsilon |noise| /
///                             Delta). It is continuous: its proof holds in exact arithmetic only
/// g is a power of two about 2^20 times smaller than the noise. [Canonne, Kamath, Steinke 2020, arXiv 2004.00010;
/// Chaudhuri, Monteleoni, Sarwate 2011, Differentially private empirical risk minimization]
#pragma once
#include "hone/privacy/discrete.hpp"
#include "hone/privacy/domain.hpp"
#include "hone/privacy/loss_curve.hpp"

#include <numbers>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::privacy {

enum class noise_family { lattice_gaussian, lattice_laplace, gamma_norm };

/// Noise that was fitted to a sensitivity before the data.
struct vector_noise {
  noise_family family = noise_family::gamma_norm;
  double sensitivity = 0;    ///< Delta
  double scale = 0;          ///< of the noise: a coordinate's (lattice), or Delta / epsilon (gamma_norm)
  double lattice = 0;        ///< g; 0 for none
  std::int64_t integer = 0;  ///< scale / g
  double expected_norm = 0;  ///< of the noise vector, to compare mechanisms by
  loss_curve<replace_one> cost{};

  /// Whether the guarantee holds in the machine's arithmetic.
  [[nodiscard]] bool hardened() const { return family != noise_family::gamma_norm; }
};

namespace detail {

inline double lattice_step(double scale) { return std::exp2(std::floor(std::log2(scale)) - 20); }

inline void check_lattice(double step, double largest, const char* function) {
  invalid_argument_unless(step >= 0x1p-900 && largest / step < 0x1p59, function, "largest",
                          "values of up to %g have no room on a lattice of step %g", largest, step);
}

}  // namespace detail

/// Noise on a lattice for a vector of @p dimension elements, each of at most @p largest: Gaussian of zero-concentrated
/// loss @p rho, which a basic sum charges at @p delta.
/// @throws std::invalid_argument unless all are positive and finite and the values have room on the lattice.
inline vector_noise lattice_gaussian(double sensitivity, index_t dimension, double largest, double rho, double delta) {
  const char* function = "hone::privacy::lattice_gaussian";
  detail::positive(sensitivity, function, "sensitivity");
  detail::positive(largest, function, "largest");
  detail::positive(rho, function, "rho");
  const double multiplier = std::sqrt(0.5 / rho), d = static_cast<double>(dimension);
  vector_noise noise{.family = noise_family::lattice_gaussian, .sensitivity = sensitivity};
  noise.lattice = detail::lattice_step(multiplier * sensitivity);
  detail::check_lattice(noise.lattice, largest, function);
  const double moved = rounded_up(sensitivity / noise.lattice + std::sqrt(d));
  noise.integer = static_cast<std::int64_t>(std::ceil(rounded_up(multiplier * moved)));
  noise.scale = static_cast<double>(noise.integer) * noise.lattice;
  noise.expected_norm = noise.scale * std::sqrt(d);
  const double ratio = moved / static_cast<double>(noise.integer);
  noise.cost = concentrated_loss<replace_one>(rounded_up(ratio * ratio / 2), delta);
  return noise;
}

/// The same with discrete Laplace noise of loss @p epsilon, without delta.
inline vector_noise lattice_laplace(double sensitivity, index_t dimension, double largest, double epsilon) {
  const char* function = "hone::privacy::lattice_laplace";
  detail::positive(sensitivity, function, "sensitivity");
  detail::positive(largest, function, "largest");
  detail::positive(epsilon, function, "epsilon");
  const double d = static_cast<double>(dimension);
  vector_noise noise{.family = noise_family::lattice_laplace, .sensitivity = sensitivity};
  noise.lattice = detail::lattice_step(std::sqrt(d) * sensitivity / epsilon);
  detail::check_lattice(noise.lattice, largest, function);
  const double moved = rounded_up(std::sqrt(d) * sensitivity / noise.lattice + d);
  noise.integer = static_cast<std::int64_t>(std::ceil(rounded_up(moved / epsilon)));
  noise.scale = static_cast<double>(noise.integer) * noise.lattice;
  noise.expected_norm = noise.scale * std::sqrt(2 * d);
  noise.cost = approximate_loss<replace_one>(epsilon);
  return noise;
}

/// Noise by its norm, of loss @p epsilon.
inline vector_noise gamma_norm_noise(double sensitivity, index_t dimension, double epsilon) {
  const char* function = "hone::privacy::gamma_norm_noise";
  detail::positive(sensitivity, function, "sensitivity");
  detail::positive(epsilon, function, "epsilon");
  const double scale = rounded_up(sensitivity / epsilon);
  return {.family = noise_family::gamma_norm,
          .sensitivity = sensitivity,
          .scale = scale,
          .expected_norm = static_cast<double>(dimension) * scale,
          .cost = approximate_loss<replace_one>(epsilon)};
}

namespace detail {

/// In (0, 1), 53 bits.
template <random_bits Random>
double open_uniform(Random& random) {
  return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
}

}  // namespace detail

/// x <- a vector whose length is Gamma distributed with shape x.size() and @p scale, in a uniform direction.
template <random_bits Random>
void draw_gamma_norm(double scale, std::span<double> x, Random& random) {
  double length = 0, squared = 0;
  for (double& value : x) {
    length -= std::log(detail::open_uniform(random));
    value = std::sqrt(-2 * std::log(detail::open_uniform(random))) *
            std::cos(2 * std::numbers::pi * detail::open_uniform(random));
    squared += value * value;
  }
  for (double& value : x) value *= scale * length / std::sqrt(squared);
}

/// Adds @p noise to @p x, which it was fitted to; on a lattice x is rounded to it first.
template <random_bits Random>
void add_noise(const vector_noise& noise, std::span<double> x, Random& random) {
  if (noise.family == noise_family::gamma_norm) {
    std::vector<double> drawn(x.size());
    draw_gamma_norm(noise.scale, drawn, random);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += drawn[i];
    return;
  }
  for (double& value : x) {
    const double steps = (min)((max)(std::round(value / noise.lattice), -0x1p60), 0x1p60);
    const std::int64_t drawn = noise.family == noise_family::lattice_gaussian ? discrete_gaussian(noise.integer, random)
                                                                              : discrete_laplace(noise.integer, random);
    value = static_cast<double>(saturated_sum(static_cast<std::int64_t>(steps), drawn)) * noise.lattice;
  }
}

}  // namespace HONE_NAMESPACE::privacy
