// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of 16-bit logits, which are read in words of two elements where they are contiguous: the largest logit at every
/// place, absent and non-finite logits, strided rows, and every border of words, packs and tiles.
#include "hone/loss/divergence.hpp"
#include "hone/loss/likelihood.hpp"

#include "loss/support.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <limits>

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("the largest logit is found at every place of a row, in memory of any stride", "", float, bfloat16,
                   float16) {
  using T = TestType;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const index_t vocab : {1, 2, 16, 17, 32, 33, 64, 65, 97, 129, 161}) {
    for (const index_t stride : {1, 2}) {
      std::vector<T> memory(static_cast<std::size_t>(vocab * stride), T(infinity));
      const vector_view<T> z(memory.data(), vocab, stride);
      for (index_t at = 0; at < vocab; ++at) {
        for (index_t v = 0; v < vocab; ++v) z[v] = T(v % 3 == 0 ? -infinity : -1.0f);
        z[at] = T(50.0f);
        const auto summary = summarize(z);
        if (!(summary.normalizer.maximum == 50 && std::abs(summary.normalizer.log_sum) < 1e-6))
          FAIL(vocab << " logits, stride " << stride << ", largest at " << at);
        z[at] = T(infinity);
        if (std::isfinite(summarize(z).normalizer.value())) FAIL("infinite at " << at << " of " << vocab);
      }
    }
  }
}

TEMPLATE_TEST_CASE("gradients of strided 16-bit rows have the bits of contiguous ones, and the rest is untouched", "",
                   bfloat16, float16) {
  using T = TestType;
  for (const index_t vocab : {1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 1023, 1024, 1025, 1057, 1089, 2049, 2081}) {
    CAPTURE(vocab);
    const auto logits = random_logits<T>(2, vocab, 7), teacher = random_logits<T>(2, vocab, 8);
    const std::vector<std::int32_t> y = {0, static_cast<std::int32_t>(vocab) - 1};
    const auto strided = [&](const std::vector<T>& x, index_t stride) {
      std::vector<T> memory(x.size() * static_cast<std::size_t>(stride), T(9.0f));
      for (std::size_t i = 0; i < x.size(); ++i) memory[i * static_cast<std::size_t>(stride)] = x[i];
      return memory;
    };
    for (const index_t stride : {2, 3}) {
      const auto same = [&](auto&& loss) {
        auto close = logits;
        auto apart = strided(logits, stride);
        auto q = teacher;
        const loss_sum a = loss(matrix_view<T>(close.data(), 2, vocab), matrix_view<const T>(q.data(), 2, vocab));
        const loss_sum b = loss(matrix_view<T>(apart.data(), 2, vocab, stride * vocab, stride),
                                matrix_view<const T>(q.data(), 2, vocab));
        CHECK(a.sum == b.sum);
        const auto expected = strided(close, stride);
        bool equal = true;
        for (std::size_t i = 0; i < expected.size(); ++i) equal = equal && expected[i].bits == apart[i].bits;
        CHECK(equal);
      };
      same([&](const auto& z, const auto&) { return likelihood(z, y); });
      same([&](const auto& z, const auto&) { return wga(z, y, 0.5, {.temperature = 1.5}); });
      same([&](const auto& z, const auto& q) { return kl_to_reference(z, q, y, kl_direction::reverse); });
    }
  }
}
