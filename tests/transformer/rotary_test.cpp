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
