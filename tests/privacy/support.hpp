// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Twelve records with known answers, and random ones, for the tests of privacy/.
#pragma once
#include "hone/core/random.hpp"
#include "hone/privacy/records.hpp"

#include "support/catch.hpp"

#include <array>
#include <cmath>
#include <vector>

struct raw_records {
  std::vector<double> x;  // rows x features
  std::vector<hone::index_t> arm;
  std::vector<double> outcome;
  hone::privacy::domain limits;

  [[nodiscard]] hone::privacy::records clipped() const {
    static const hone::serial alone{};
    return {limits, hone::matrix_view<const double>(x.data(), limits.rows, limits.features), arm, outcome, alone};
  }
};

/// Reference values of them were computed with Newton's method to |gradient| < 1e-13.
inline raw_records twelve() {
  const std::array<double, 12> x1{.60, -.30, .10, .70, -.50, .20, -.60, .40, -.10, .30, -.20, .50},
      x2{.20, .50, -.40, -.10, -.30, .60, .10, .40, -.70, -.50, .30, .00};
  raw_records data{.x = {},
                   .arm = {1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1},
                   .outcome = {.8, .5, -.4, 1.0, .3, .6, -.7, .2, -.9, .4, .1, .9},
                   .limits = {.rows = 12, .features = 2}};
  for (std::size_t i = 0; i < 12; ++i) {
    data.x.push_back(x1[i]);
    data.x.push_back(x2[i]);
  }
  return data;
}

/// Rows in the ball, arms by a logistic model, some records invalid where @p broken.
inline raw_records random_records(hone::privacy::domain limits, std::uint32_t seed, bool broken = false) {
  raw_records data{{}, {}, {}, limits};
  for (hone::index_t i = 0; i < limits.rows; ++i) {
    const hone::philox random{seed, static_cast<std::uint32_t>(i)};
    double first = 0;
    for (hone::index_t j = 0; j < limits.features; ++j) {
      const double value = random.normal(static_cast<std::uint64_t>(j)) * limits.row_bound / 2;
      if (j == 0) first = value;
      data.x.push_back(value);
    }
    const hone::philox other{seed + 1, static_cast<std::uint32_t>(i)};
    const double u = other.uniform(0);
    data.arm.push_back(limits.arms == 2 ? (u < 1 / (1 + std::exp(-first)) ? 1 : 0)
                                        : static_cast<hone::index_t>(u * static_cast<double>(limits.arms)));
    data.outcome.push_back(limits.outcome_bound * other.normal(1));
    if (broken && i % 7 == 3) data.x.back() = std::nan("");
    if (broken && i % 11 == 5) data.arm.back() = limits.arms;
    if (broken && i % 13 == 6) data.outcome.back() = INFINITY;
  }
  return data;
}

/// The records of a rank that holds rows [border[rank], border[rank + 1]).
template <class Communicator>
hone::privacy::records held_by(const raw_records& raw, const std::vector<hone::index_t>& border, Communicator& comm) {
  static const hone::serial alone{};
  const auto r = static_cast<std::size_t>(comm.rank());
  const hone::index_t held = border[r + 1] - border[r];
  const auto at = static_cast<std::size_t>(border[r]), count = static_cast<std::size_t>(held);
  return {raw.limits,
          hone::matrix_view<const double>(raw.x.data() + border[r] * raw.limits.features, held, raw.limits.features),
          std::span(raw.arm).subspan(at, count),
          std::span(raw.outcome).subspan(at, count),
          hone::privacy::row_shards(raw.limits.rows, held, comm),
          alone};
}

inline void check_near(std::span<const double> x, const std::vector<double>& right, double margin = 2e-10) {
  REQUIRE(x.size() == right.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(right[i]).margin(margin).epsilon(0));
}
