// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/rotary.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEST_CASE("pairs are turned by their angle in both layouts, and back") {
  for (const auto layout : {rope_layout::interleaved, rope_layout::half}) {
    const config c{.d_model = 16, .n_heads = 2, .n_kv_heads = 1, .max_seq = 30, .rope_base = 100.0, .rope = layout};
    const rotary_table<double> table(c);
    const auto before = normals<double>(3 * 16, 1);
    auto x = before;
    table.rotate(as_rows(x, 3), 7, turn::forward);
    for (std::size_t t = 0; t < 3; ++t)
      for (std::size_t head = 0; head < 2; ++head)
        for (std::size_t i = 0; i < 4; ++i) {
          const std::size_t base = 16 * t + 8 * head;
          const std::size_t a = base + (layout == rope_layout::half ? i : 2 * i);
          const std::size_t b = base + (layout == rope_layout::half ? i + 4 : 2 * i + 1);
          const double angle = static_cast<double>(7 + t) * std::pow(100.0, -static_cast<double>(i) / 4);
          CHECK(x[a] == Approx(before[a] * std::cos(angle) - before[b] * std::sin(angle)).margin(1e-14));
          CHECK(x[b] == Approx(before[a] * std::sin(angle) + before[b] * std::cos(angle)).margin(1e-14));
        }
    table.rotate(as_rows(x, 3), 7, turn::back);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(before[i]).margin(1e-14));
  }
}

TEST_CASE("linear scaling slows every pair; Llama 3's leaves the fast ones alone and mixes between") {
  config c{.d_model = 128, .n_heads = 1, .n_kv_heads = 1, .max_seq = 8, .rope_base = 500000.0};
  std::vector<double> plain;
  for (index_t i = 0; i < 64; ++i) plain.push_back(rotary_frequency(c, i));
  c.scaling = {.how = rope_scaling::method::linear, .factor = 4};
  for (index_t i = 0; i < 64; ++i) CHECK(rotary_frequency(c, i) == plain[static_cast<std::size_t>(i)] / 4);
  // Llama 3.2's: wavelengths below 8192/4 as they were, above 8192 32 times as long; between them both.
  c.scaling = {.how = rope_scaling::method::llama3, .factor = 32};
  for (index_t i = 0; i < 64; ++i) {
    const double f = plain[static_cast<std::size_t>(i)], wavelength = 2 * std::acos(-1.0) / f;
    const double scaled = rotary_frequency(c, i);
    if (wavelength < 2048)
      CHECK(scaled == f);
    else if (wavelength > 8192)
      CHECK(scaled == f / 32);
    else {
      const double smooth = (8192 / wavelength - 1) / 3;
      CHECK(scaled == Approx((1 - smooth) * f / 32 + smooth * f).epsilon(1e-12));
    }
  }
  CHECK(rotary_frequency(c, 28) == plain[28]);
  CHECK(rotary_frequency(c, 36) == plain[36] / 32);
  const rotary_table<double> table(c);
  std::vector<double> x(128, 0.0);
  x[2 * 40] = 1;
  table.rotate({x.data(), 1, 128}, 5, turn::forward);
  CHECK(x[2 * 40] == Approx(std::cos(5 * plain[40] / 32)).epsilon(1e-15));
  CHECK(x[2 * 40 + 1] == Approx(std::sin(5 * plain[40] / 32)).epsilon(1e-15));
}
