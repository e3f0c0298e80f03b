// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The three scenarios of RouterXBench, each a band of the deferral curve at call rates c = 0, 0.01, ..., 1:
///   cheap          LPM (low-band performance mean), the mean quality over rates in [low_rate, high_rate]
///   balanced       MPM (mid-band performance mean), the mean of qualities between that at high_rate and that of
///                  low_recovery, both left out
///   high accuracy  HCR (high-band call rate), 1 - the mean rate of the points whose recovery is in
///                  [low_recovery, high_recovery]: the calls that are saved there
/// LPM and HCR are better the higher they are. MPM is a mean of quality over a band of quality: a better router need
/// not have more of it. [RouterXBench and ProbeDirichlet, arXiv 2602.11877; src/metric.py of zhuchichi56/RouterXBench]
#pragma once
#include "hone/routing/deferral.hpp"

#include <cmath>
#include <cstdint>

namespace HONE_NAMESPACE::routing {

struct deferral_bands {
  double low_rate = 0.25;
  double high_rate = 0.30;
  double low_recovery = 0.85;
  double high_recovery = 0.95;
};

/// The two sets of bands that RouterXBench has, of its config.yaml and of its code's defaults.
inline constexpr deferral_bands config_bands = {}, dataclass_bands = {0, 0.1, 0.91, 0.92};

enum class scenario_mode : std::uint8_t {
  robust,    ///< floor(c n) calls, edges as in exact arithmetic; no value of an empty band, nor by recovery where the
             ///< strong model is no better
  reference  ///< as the authors' script: (int) of the rounded product, 0.0 of an empty band, no look at the models
};

struct band_measure {
  measure figure;
  index_t points = 0;  ///< of the 101 that are in the band
};

struct scenario_report {
  band_measure cheap;          ///< LPM
  band_measure balanced;       ///< MPM
  band_measure high_accuracy;  ///< HCR
};

/// The three figures of a curve. The `reference` mode is of a curve in the order of the file.
/// @throws std::invalid_argument unless the rates are in [0, 1] and the recoveries finite, each pair in order; or of a
/// curve with averaged ties in the `reference` mode.
/// @note 102 look-ups in the curve; allocates nothing.
inline scenario_report measure_scenarios(const deferral_curve& c, const deferral_bands& bands = config_bands,
                                         scenario_mode mode = scenario_mode::robust) {
  const char* function = "hone::routing::measure_scenarios";
  invalid_argument_unless(0 <= bands.low_rate && bands.low_rate <= bands.high_rate && bands.high_rate <= 1, function,
                          "bands", "rates must be 0 <= low <= high <= 1, are %g and %g", bands.low_rate,
                          bands.high_rate);
  invalid_argument_unless(std::isfinite(bands.low_recovery) && bands.low_recovery <= bands.high_recovery &&
                              std::isfinite(bands.high_recovery),
                          function, "bands", "recoveries must be finite and in order, are %g and %g",
                          bands.low_recovery, bands.high_recovery);
  const bool reference = mode == scenario_mode::reference;
  invalid_argument_unless(!reference || c.how == ties::file_order, function, "mode",
                          "reference is of a curve in the order of the file");
  scenario_report result;
  if (c.why() != absence::none) {
    for (band_measure* band : {&result.cheap, &result.balanced, &result.high_accuracy}) band->figure.why = c.why();
    return result;
  }
  constexpr index_t steps = 100;
  const auto n = static_cast<double>(c.count);
  const auto rate = [&](index_t i) { return reference ? static_cast<double>(i) * 0.01 : static_cast<double>(i) / 100; };
  const auto quality = [&](double at_rate) { return c.at(std::trunc(at_rate * n)); };
  const double low = c.weak() + (c.strong() - c.weak()) * bands.low_recovery;
  const double high = c.weak() + (c.strong() - c.weak()) * bands.high_recovery;
  // A point that is on an edge is there whatever the rounding of sums did: a random router's at 50 % of the calls.
  const double slack = reference ? 0 : c.slack() / n;
  // In whole numbers 0.29 of 100 is 29, in doubles 28.
  const double end_of_cheap = quality(reference ? bands.high_rate : bands.high_rate * (1 + 4e-16));
  double cheap = 0, balanced = 0, saved = 0;
  for (index_t i = 0; i <= steps; ++i) {
    const double phi = reference ? quality(rate(i)) : c.at(static_cast<double>(i * c.count / steps));
    if (rate(i) >= bands.low_rate && rate(i) <= bands.high_rate) {
      cheap += phi;
      ++result.cheap.points;
    }
    if (phi >= low - slack && phi <= high + slack) {
      saved += 1 - rate(i);
      ++result.high_accuracy.points;
    }
    if (phi > end_of_cheap + slack && phi < low - slack) {
      balanced += phi;
      ++result.balanced.points;
    }
  }
  const auto mean = [&](band_measure& band, double sum) {
    if (band.points > 0)
      band.figure.value = sum / static_cast<double>(band.points);
    else if (reference)
      band.figure.value = 0.0;
    else
      band.figure.why = absence::empty_band;
  };
  mean(result.cheap, cheap);
  mean(result.balanced, balanced);
  mean(result.high_accuracy, saved);
  if (!reference && c.why_no_recovery() != absence::none)
    result.balanced.figure = result.high_accuracy.figure = {.why = c.why_no_recovery()};
  return result;
}

}  // namespace HONE_NAMESPACE::routing
