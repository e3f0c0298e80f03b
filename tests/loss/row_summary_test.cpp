// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/row_summary.hpp"

#include <algorithm>

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("a row's normalizer, entropy and divergences are those of the naive sums", "", double, float,
                   bfloat16) {
  using T = TestType;
  for (const index_t vocab : {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000}) {
    for (const double temperature : {1.0, 0.7, 3.0}) {
      const auto z = random_logits<T>(1, vocab, 1), w = random_logits<T>(1, vocab, 2);
      const auto p = naive_softmax(widened(z), temperature), q = naive_softmax(widened(w), temperature);
      double entropy = 0, forward = 0, reverse = 0, cross = 0;
      for (std::size_t v = 0; v < p.size(); ++v) {
        entropy -= p[v] * std::log(p[v]);
        forward += q[v] * std::log(q[v] / p[v]);
        reverse += p[v] * std::log(p[v] / q[v]);
        cross -= q[v] * std::log(p[v]);
      }
      const double tolerance = std::is_same_v<T, double> ? 1e-12 : 2e-5;
      const auto one = summarize_entropy(z, temperature);
      CHECK(from(z[0]) / temperature - one.normalizer.value() ==
            Approx(std::log(p[0])).epsilon(tolerance).margin(tolerance));
      CHECK(summarize(z, temperature).normalizer.value() == one.normalizer.value());
      CHECK(one.entropy == Approx(entropy).epsilon(tolerance).margin(tolerance));
      const auto two = summarize(z, w, temperature);
      CHECK(two.normalizer.value() == Approx(one.normalizer.value()).epsilon(tolerance));
      CHECK(two.forward_kl == Approx(forward).epsilon(tolerance).margin(tolerance));
      CHECK(two.reverse_kl == Approx(reverse).epsilon(tolerance).margin(tolerance));
      CHECK(two.cross_entropy == Approx(cross).epsilon(tolerance).margin(tolerance));
    }
  }
}
