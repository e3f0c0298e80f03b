// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// PEFT's results on one layer (golden/peft_starts.py), and the layer.
#pragma once
#include "lora/golden/peft_starts.hpp"
#include "lora/support.hpp"

namespace golden {

inline constexpr hone::index_t outputs = 10, inputs = 8, rank = 3;

inline hone::linalg::matrix as_rows(const std::vector<double>& x, hone::index_t cols) {
  return hone::linalg::copy_of(
      hone::matrix_view<const double>(x.data(), static_cast<hone::index_t>(x.size()) / cols, cols));
}
/// The layer in double, before.
inline layer<double> fresh() { return {as_rows(weight, inputs), rank, 2.0}; }

/// That the initialised layer is PEFT's, up to the float32 in which PEFT computes.
inline void check_start(const layer<double>& l, const std::string& method, double tolerance = 2e-6) {
  for (const start& expected : starts) {
    if (expected.method != method) continue;
    INFO(method);
    CHECK(largest(l.b() * l.a() - as_rows(expected.product, inputs)) <= tolerance);
    CHECK(largest(l.now() - as_rows(expected.weight, inputs)) <= tolerance);
    CHECK(l.changed() <= 1e-14);
    return;
  }
  FAIL("no golden " << method);
}

}  // namespace golden
