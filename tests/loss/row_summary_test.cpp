// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/row_summary.hpp"

#include <algorithm>

#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("a row's normalizer, entropy and divergences are those of the naive sums", "", double, float,
                   bfloat16, float16) {
  using T = TestType;
  // Words, packs and tiles: below and past their first borders and their second.
  for (const index_t vocab : {1, 2, 15, 16, 17, 33, 64, 97, 1023, 1024, 1025, 2047, 2048, 2049, 5000}) {
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
      const auto at = static_cast<index_t>(p.size() / 2);
      CHECK(log_probability(z, at, temperature) ==
            Approx(std::log(p[p.size() / 2])).epsilon(tolerance).margin(tolerance));
    }
  }
}

TEMPLATE_TEST_CASE("masked ids are as if cut out, wherever and however many they are", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  const double tolerance = std::is_same_v<T, double> ? 1e-12 : 2e-5;
  const index_t vocab = 3500;
  for (const auto& [first, count] : std::vector<std::pair<index_t, index_t>>{
           {0, 1}, {0, 1023}, {0, 1024}, {0, 1025}, {0, 2048}, {0, 3499}, {1024, 1024}, {1000, 2500}, {1, 3499}})
    for (const double temperature : {1.0, 0.3, 4.0}) {
      auto z = random_logits<T>(1, vocab, 3), w = random_logits<T>(1, vocab, 4);
      std::vector<T> rest, reference;
      for (index_t v = 0; v < vocab; ++v) {
        const auto at = static_cast<std::size_t>(v);
        if (v >= first && v < first + count) {
          z[at] = w[at] = to<T>(-INFINITY);
        } else {
          rest.push_back(z[at]);
          reference.push_back(w[at]);
        }
      }
      const auto whole = summarize_entropy(z, temperature), cut = summarize_entropy(rest, temperature);
      CHECK(whole.normalizer.maximum == cut.normalizer.maximum);
      CHECK(whole.normalizer.log_sum == Approx(cut.normalizer.log_sum).epsilon(tolerance).margin(tolerance));
      CHECK(whole.entropy == Approx(cut.entropy).epsilon(tolerance).margin(tolerance));
      const auto both = summarize(z, w, temperature), both_cut = summarize(rest, reference, temperature);
      CHECK(both.forward_kl == Approx(both_cut.forward_kl).epsilon(tolerance).margin(tolerance));
      CHECK(both.reverse_kl == Approx(both_cut.reverse_kl).epsilon(tolerance).margin(tolerance));
      CHECK(both.cross_entropy == Approx(both_cut.cross_entropy).epsilon(tolerance).margin(tolerance));
    }
}

TEST_CASE("divergences of rows that begin with an absent tile each, at different places") {
  // q has weight on ids that p excludes: infinite, from the first tile and from the last.
  const double inf = std::numeric_limits<double>::infinity();
  for (const bool first : {true, false}) {
    auto z = random_logits<double>(1, 2048, 5), w = random_logits<double>(1, 2048, 6);
    for (std::size_t v = 0; v < 1024; ++v) (first ? z : w)[first ? v : v + 1024] = -inf;
    const auto one_way = summarize(z, w, 1), other = summarize(w, z, 1);
    CHECK((first ? one_way : other).forward_kl == inf);
    CHECK((first ? other : one_way).reverse_kl == inf);
    CHECK((first ? one_way : other).cross_entropy == inf);
    CHECK(std::isfinite(first ? one_way.reverse_kl : one_way.forward_kl));
  }
}

TEMPLATE_TEST_CASE("no log p is above 0, and the largest is -log_sum, at any temperature", "", double, float, bfloat16,
                   float16) {
  using T = TestType;
  for (const double temperature :
       {5e-324, 1e-300, 1e-45, 1e-38, 1e-20, 1e-3, 0.1, 0.3, 0.6, 0.7, 1.0, 1.7, 30.0, 1e10, 1e38, 1e45, 1e299})
    for (const double scale : {1.0, 100.0}) {
      auto z = random_logits<T>(1, 1500, 7);
      for (T& x : z) x = to<T>(scale * from(x));
      z[700] = to<T>(300 * scale);
      const auto normalizer = summarize(z, temperature).normalizer;
      CHECK(normalizer.log_sum >= 0);
      CHECK(normalizer.log_probability(from(z[700])) == -normalizer.log_sum);
      for (const T x : z) REQUIRE(normalizer.log_probability(from(x)) <= 0);
      if (temperature < 1e-2) CHECK(normalizer.log_sum == 0);
      if (temperature > 1e20) CHECK(normalizer.log_sum == Approx(std::log(1500.0)).epsilon(1e-6));
    }
}

TEMPLATE_TEST_CASE("where only the maximum survives, the ids at it share p alike, those next to it have none", "",
                   float, double) {
  using T = TestType;
  for (const T top :
       {T(3), T(0), T(1e-30), T(-250), (std::numeric_limits<T>::denorm_min)() * 8, (std::numeric_limits<T>::max)()}) {
    const T next = std::nextafter(top, -std::numeric_limits<T>::infinity());
    const std::vector<T> z = {next, top, -std::numeric_limits<T>::infinity(), top, top, next};
    // A double's own least temperature does not part its least logits.
    if (std::is_same_v<T, double> && std::abs(top) < T(1e-300)) continue;
    const auto summary = summarize_entropy(z, 5e-324);
    CHECK(summary.normalizer.log_sum == Approx(std::log(3.0)).epsilon(1e-7));
    CHECK(summary.entropy == Approx(std::log(3.0)).epsilon(1e-7));
    CHECK(std::exp(summary.normalizer.log_probability(static_cast<double>(next))) == 0);
  }
  // Logits that lie further apart than the type's largest number are alike at a temperature above it.
  const std::vector<T> far = {(std::numeric_limits<T>::max)(), std::numeric_limits<T>::lowest()};
  const double temperature = std::is_same_v<T, float> ? 6.8e38 : 1e299;
  const double gap = std::is_same_v<T, float> ? 1.0008 : 3.6e9;
  CHECK(summarize(far, temperature).normalizer.log_sum == Approx(std::log1p(std::exp(-gap))).epsilon(1e-4).margin(0));
}

TEMPLATE_TEST_CASE("rows that have no distribution are NaN: NaN and +inf at any place, absent ids alone", "", double,
                   float, bfloat16, float16) {
  using T = TestType;
  const T absent = to<T>(-INFINITY);
  for (const index_t vocab : {1, 40, 2048, 3000}) {
    const auto n = static_cast<std::size_t>(vocab);
    const auto finite = random_logits<T>(1, vocab, 8);
    const auto check = [&](const std::vector<T>& z) {
      const auto one = summarize_entropy(z);
      const auto two = summarize(z, finite, 1), other = summarize(finite, z, 1);
      for (const double x : {one.normalizer.value(), one.normalizer.log_probability(from(z[0])), one.entropy,
                             two.forward_kl, two.reverse_kl, two.cross_entropy, other.forward_kl, other.reverse_kl})
        CHECK(std::isnan(x));
    };
    check(std::vector<T>(n, absent));
    for (const double bad : {double(NAN), double(INFINITY)})
      for (const std::size_t place : {std::size_t{0}, n / 2, n - 1}) {
        std::vector<T> z = finite;
        z[place] = to<T>(bad);
        check(z);
        z.assign(n, absent);
        z[place] = to<T>(bad);
        check(z);
      }
  }
}

TEST_CASE("a divergence of equal rows is 0, of shifted ones too, at any temperature") {
  for (const double temperature : {1e-300, 1e-3, 1.0, 100.0}) {
    const auto z = random_logits<float>(1, 1500, 9);
    std::vector<float> shifted;
    for (const float x : z) shifted.push_back(x + 4096);
    const auto same = summarize(z, z, temperature);
    CHECK(same.forward_kl == 0);
    CHECK(same.reverse_kl == 0);
    if (temperature >= 1) CHECK(summarize(z, shifted, temperature).forward_kl == Approx(0).margin(1e-5));
  }
}

TEST_CASE("logits that lie further apart than the largest float have the log p of their distance, at any temperature") {
  const std::vector<float> z = {-3e38f, 3e38f, 0};
  for (const double t : {1.0, 1.5, 7.0, 1e4, 1e12}) {
    CAPTURE(t);
    const auto normalizer = summarize(as_vector(z), t).normalizer;
    const double least = static_cast<double>(z[0]), largest = static_cast<double>(z[1]);
    CHECK(normalizer.log_probability(least) == Approx((least - largest) / t));
    CHECK(normalizer.log_probability(largest) == 0);
  }
}
