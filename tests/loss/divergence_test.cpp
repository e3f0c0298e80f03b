// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/divergence.hpp"

#include "hone/core/thread_pool.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

template <class T>
matrix_view<T> rows_of(std::vector<T>& z, index_t rows) {
  return {z.data(), rows, static_cast<index_t>(z.size()) / rows};
}

}  // namespace

TEMPLATE_TEST_CASE("KL to the reference gives the reference vectors (G4)", "", double, float, bfloat16) {
  using T = TestType;
  std::vector<T> reference, z;
  for (const double x : {1., 0., -1., 0., 2., 1.}) reference.push_back(to<T>(x));
  for (const double x : {.5, .5, 0., 1., 1., 1.}) z.push_back(to<T>(x));
  const double tolerance = std::is_same_v<T, double> ? 1e-10 : 2e-6;
  auto one = z;
  const std::vector<std::int32_t> first = {0, ignored}, second = {ignored, 0}, all = {0, 0};
  CHECK(kl_to_reference(rows_of(one, 2), rows_of(reference, 2), first).sum ==
        Approx(.17063979).epsilon(1e-7 + tolerance));
  one = z;
  CHECK(kl_to_reference(rows_of(one, 2), rows_of(reference, 2), second).sum ==
        Approx(.26621671).epsilon(1e-7 + tolerance));
  one = z;
  CHECK(kl_to_reference(rows_of(one, 2), rows_of(reference, 2), all).mean() ==
        Approx(.218428249760).epsilon(tolerance));
}

TEMPLATE_TEST_CASE("both divergences are the formulas, with temperature and masks", "", double, float, bfloat16) {
  using T = TestType;
  const std::vector<std::int32_t> labels = {0, ignored, 5};
  for (const auto direction : {kl_direction::forward, kl_direction::reverse})
    for (const index_t vocab : {1, 41, 1030}) {
      auto z = random_logits<T>(3, vocab, 1), w = random_logits<T>(3, vocab, 2);
      const auto before = widened(z), reference = widened(w);
      if (vocab < 6) continue;
      const double temperature = 2;
      const auto total =
          kl_to_reference(rows_of(z, 3), rows_of(w, 3), labels, direction, {.scale = 3, .temperature = temperature});
      double expected = 0;
      for (index_t t : {0, 2}) {
        const std::vector<double> zs(before.begin() + t * vocab, before.begin() + (t + 1) * vocab);
        const std::vector<double> ws(reference.begin() + t * vocab, reference.begin() + (t + 1) * vocab);
        const auto p = naive_softmax(zs, temperature), q = naive_softmax(ws, temperature);
        const bool forward = direction == kl_direction::forward;
        for (std::size_t v = 0; v < p.size(); ++v)
          expected += forward ? q[v] * std::log(q[v] / p[v]) : p[v] * std::log(p[v] / q[v]);
        const auto gradient = naive_row_gradient(
            zs, ws, forward ? row_terms{.forward_kl = 3} : row_terms{.reverse_kl = 3}, temperature, -1, {});
        for (index_t v = 0; v < vocab; ++v)
          REQUIRE(from(z[static_cast<std::size_t>(t * vocab + v)]) ==
                  Approx(gradient[static_cast<std::size_t>(v)]).epsilon(4 * rounding<T>).margin(4 * rounding<T>));
      }
      for (index_t v = 0; v < vocab; ++v) REQUIRE(from(z[static_cast<std::size_t>(vocab + v)]) == 0);
      CHECK(total.sum == Approx(expected).epsilon(std::is_same_v<T, double> ? 1e-12 : 1e-5));
      CHECK(total.count == 2);
    }
}

TEST_CASE("the divergences and UNDIAL pass the gradient check") {
  const std::vector<std::int32_t> labels = {3, 0, 19};
  auto w = random_logits<double>(3, 20, 4);
  const auto z = random_logits<double>(3, 20, 3);
  const auto check = [&](auto&& f) {
    auto gradient = z;
    f(gradient);
    CHECK(gradient_error(z, gradient, [&](std::vector<double> x) { return f(x); }) < 1e-8);
  };
  check([&](std::vector<double>& x) { return kl_to_reference(rows_of(x, 3), rows_of(w, 3), labels).sum; });
  check([&](std::vector<double>& x) {
    return kl_to_reference(rows_of(x, 3), rows_of(w, 3), labels, kl_direction::reverse, {.temperature = 0.5}).sum;
  });
  check([&](std::vector<double>& x) { return undial(rows_of(x, 3), rows_of(w, 3), labels, 10).sum; });
}

TEMPLATE_TEST_CASE("weights and scales of every divergence: on losses the first, on gradients both", "", double, float,
                   bfloat16, float16) {
  using T = TestType;
  const std::vector<std::int64_t> labels = {0, 40, 7};
  const std::vector<double> weights = {2, 0, -0.5};
  for (int which = 0; which < 3; ++which) {
    auto z = random_logits<T>(3, 41, 14), w = random_logits<T>(3, 41, 15);
    const auto run = [&](std::vector<T>& x, index_t row, const row_options& options) {
      const auto first = row < 0 ? 0 : row, rows = row < 0 ? index_t{3} : 1;
      const matrix_view<T> logits(x.data() + first * 41, rows, 41), reference(w.data() + first * 41, rows, 41);
      const label_view own =
          label_view(labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(rows));
      if (which == 2) return undial(logits, reference, own, 3, options);
      return kl_to_reference(logits, reference, own, which == 0 ? kl_direction::forward : kl_direction::reverse,
                             options);
    };
    auto plain = z, weighted = z;
    double expected = 0;
    for (index_t row = 0; row < 3; ++row)
      expected += weights[static_cast<std::size_t>(row)] * run(plain, row, {.temperature = 1.5}).sum;
    CHECK(run(weighted, -1, {.scale = 0.25, .weights = weights, .temperature = 1.5}).sum ==
          Approx(expected).epsilon(1e-12));
    for (std::size_t i = 0; i < z.size(); ++i)
      REQUIRE(from(weighted[i]) ==
              Approx(0.25 * weights[i / 41] * from(plain[i])).epsilon(rounding<T>).margin(rounding<T>));
    auto large = z, again = z;
    run(large, -1, {.scale = 1e20});
    run(again, -1, {});
    for (std::size_t i = 0; i < z.size(); ++i)
      if (!std::is_same_v<T, float16> && std::abs(from(again[i])) > 1e-6)
        REQUIRE(from(large[i]) == Approx(1e20 * from(again[i])).epsilon(2 * rounding<T>));
  }
}

TEMPLATE_TEST_CASE("divergences of masked rows are those of what is left; infinite ones are counted", "", double, float,
                   bfloat16, float16) {
  using T = TestType;
  const index_t vocab = 2500;
  for (const index_t masked : {1023, 1024, 2048}) {
    auto z = random_logits<T>(1, vocab, 16), w = random_logits<T>(1, vocab, 17);
    std::fill_n(z.begin(), masked, to<T>(-INFINITY));
    std::fill_n(w.begin(), masked, to<T>(-INFINITY));
    std::vector<T> rest(z.begin() + masked, z.end()), reference(w.begin() + masked, w.end());
    const std::vector<std::int32_t> last = {static_cast<std::int32_t>(vocab) - 1},
                                    rest_last = {static_cast<std::int32_t>(vocab - masked) - 1};
    for (int which = 0; which < 3; ++which) {
      const auto run = [&](std::vector<T>& x, const std::vector<T>& y, const auto& label) {
        const matrix_view<T> logits(x.data(), 1, std::ssize(x));
        const matrix_view<const T> other(y.data(), 1, std::ssize(y));
        if (which == 2) return undial(logits, other, label, 3, {.temperature = 0.8});
        return kl_to_reference(logits, other, label, which == 0 ? kl_direction::forward : kl_direction::reverse,
                               {.temperature = 0.8});
      };
      auto whole = z, cut = rest;
      const auto total = run(whole, w, last);
      CHECK(total.sum == Approx(run(cut, reference, rest_last).sum).epsilon(1e-5));
      CHECK(total.nonfinite == 0);
      for (std::size_t v = 0; v < whole.size(); ++v) {
        const auto at = static_cast<index_t>(v) - masked;
        const double want = at < 0 ? 0 : from(cut[static_cast<std::size_t>(at)]);
        REQUIRE(from(whole[v]) == Approx(want).epsilon(rounding<T>).margin(rounding<T>));
      }
      auto open = random_logits<T>(1, vocab, 16),
           nobody = std::vector<T>(static_cast<std::size_t>(vocab), to<T>(-INFINITY));
      auto g = z;
      CHECK(run(g, open, last).nonfinite == (which != 1));  // q has weight on what p excludes
      for (const T x : g) REQUIRE(std::isfinite(from(x)));
      CHECK(run(g = open, w, last).nonfinite == (which == 1));
      // Neither a row nor a reference of absent ids alone teaches anything.
      CHECK(run(g = nobody, open, last).nonfinite == 1);
      for (const T x : g) REQUIRE(from(x) == 0);
      CHECK(run(g = open, nobody, last).nonfinite == 1);
      for (const T x : g) REQUIRE(from(x) == 0);
    }
  }
}

TEST_CASE("UNDIAL pushes a token as far as it is told to") {
  for (const double beta : {40.0, 1e30, 1e290, -1e30}) {
    auto z = random_logits<float>(1, 50, 18), w = random_logits<float>(1, 50, 19);
    const auto p = naive_softmax(widened(z)), q = naive_softmax(widened(w));
    const auto total = undial(rows_of(z, 1), rows_of(w, 1), std::vector<std::int32_t>{7}, beta);
    CHECK(std::isfinite(total.sum));
    for (std::size_t v = 0; v < 50; ++v) {
      const double rest = v == 7 ? 0 : q[v] / (1 - q[7]);
      CHECK(from(z[v]) == Approx(p[v] - (beta < 0 ? (v == 7) : rest)).margin(1e-5));
    }
  }
}

TEST_CASE("masked KL does not depend on padding; counting every row, as upstream does, dilutes it") {
  auto z = random_logits<double>(4, 12, 5), w = random_logits<double>(4, 12, 6);
  std::vector<double> padded = z, padded_reference = w;
  const auto more = random_logits<double>(3, 12, 7);
  padded.insert(padded.end(), more.begin(), more.end());
  padded_reference.insert(padded_reference.end(), more.begin(), more.end());
  const std::vector<std::int32_t> labels = {1, 1, 1, 1}, padded_labels = {1, 1, 1, 1, ignored, ignored, ignored};
  auto upstream = padded;
  const auto plain = kl_to_reference(rows_of(z, 4), rows_of(w, 4), labels);
  const auto masked = kl_to_reference(rows_of(padded, 7), rows_of(padded_reference, 7), padded_labels);
  const auto all = kl_to_reference(rows_of(upstream, 7), rows_of(padded_reference, 7), {});
  CHECK(masked.mean() == Approx(plain.mean()).epsilon(1e-15));
  CHECK(all.count == 7);
  CHECK(all.mean() == Approx(plain.mean() * 4 / 7).epsilon(1e-12));
}

TEMPLATE_TEST_CASE("UNDIAL is the cross-entropy to the teacher with the true token pushed down", "", double, float,
                   bfloat16) {
  using T = TestType;
  for (const double beta : {0.0, 10.0, -2.0}) {
    auto z = random_logits<T>(2, 50, 8), w = random_logits<T>(2, 50, 9);
    w[50 + 7] = to<T>(30);  // the teacher is certain
    const std::vector<std::int32_t> labels = {49, 7};
    const auto before = widened(z), teacher = widened(w);
    const auto total = undial(rows_of(z, 2), rows_of(w, 2), labels, beta, {.scale = 0.5});
    CHECK(widened(w) == teacher);
    double expected = 0;
    for (std::size_t t = 0; t < 2; ++t) {
      const std::vector<double> zs(before.begin() + static_cast<index_t>(50 * t),
                                   before.begin() + static_cast<index_t>(50 * t + 50));
      std::vector<double> ws(teacher.begin() + static_cast<index_t>(50 * t),
                             teacher.begin() + static_cast<index_t>(50 * t + 50));
      ws[static_cast<std::size_t>(labels[t])] -= beta;
      const auto p = naive_softmax(zs), q = naive_softmax(ws);
      for (std::size_t v = 0; v < 50; ++v) {
        expected -= q[v] * std::log(p[v]);
        REQUIRE(from(z[50 * t + v]) == Approx(0.5 * (p[v] - q[v])).epsilon(4 * rounding<T>).margin(rounding<T>));
      }
    }
    CHECK(total.sum == Approx(expected).epsilon(std::is_same_v<T, double> ? 1e-12 : 2e-6));
  }
}

TEST_CASE("a reference may be stored in another type, and workers do not matter") {
  const auto z = random_logits<float>(40, 300, 10);
  auto w = random_logits<bfloat16>(40, 300, 11);
  std::vector<float> wide;
  for (const bfloat16 x : w) wide.push_back(to_accumulator(x));
  const std::vector<std::int32_t> labels(40, 2);
  auto a = z, b = z, c = z;
  const auto expected = kl_to_reference(rows_of(a, 40), rows_of(wide, 40), labels);
  CHECK(kl_to_reference(rows_of(b, 40), rows_of(w, 40), labels).sum == expected.sum);
  thread_pool pool(3);
  CHECK(kl_to_reference(rows_of(c, 40), rows_of(w, 40), labels, kl_direction::forward, {}, pool).sum == expected.sum);
  CHECK(a == b);
  CHECK(a == c);
}

TEST_CASE("a reference of another shape is refused") {
  auto z = random_logits<float>(2, 10, 12), w = random_logits<float>(2, 9, 12);
  const std::vector<std::int32_t> labels = {0, 1};
  CHECK_THROWS_WITH(kl_to_reference(rows_of(z, 2), rows_of(w, 2), labels),
                    Catch::Contains("reference") && Catch::Contains("2 x 9"));
  CHECK_THROWS_WITH(undial(rows_of(z, 2), rows_of(w, 2), labels), Catch::Contains("reference"));
  CHECK_THROWS_WITH(undial(rows_of(z, 2), rows_of(z, 2), labels, std::nan("")), Catch::Contains("beta"));
  CHECK_THROWS_WITH(undial(rows_of(z, 2), rows_of(z, 2), {}), Catch::Contains("targets"));
  auto three = random_logits<float>(3, 10, 12);
  const auto before = z;
  CHECK_THROWS_WITH(kl_to_reference(rows_of(z, 2), rows_of(three, 3), labels),
                    "hone::loss::kl_to_reference: reference: is 3 x 10, logits is 2 x 10");
  CHECK_THROWS_WITH(undial(rows_of(z, 2), rows_of(three, 3), labels), Catch::StartsWith("hone::loss::undial: ref"));
  CHECK_THROWS_WITH(kl_to_reference(rows_of(z, 2), rows_of(z, 2), std::vector<std::int32_t>{1}),
                    "hone::loss::kl_to_reference: targets: has 1 labels, logits has 2 rows");
  CHECK_THROWS_WITH(kl_to_reference(rows_of(z, 2), rows_of(z, 2), {}, kl_direction::reverse, {.temperature = 0}),
                    Catch::StartsWith("hone::loss::kl_to_reference: temperature"));
  for (const double beta : {1e300, -1e300, double(INFINITY)})
    CHECK_THROWS_WITH(undial(rows_of(z, 2), rows_of(z, 2), labels, beta), Catch::Contains("beta: must be finite"));
  CHECK(z == before);
  auto own = z, same = z;  // what beta is where nobody says
  CHECK(undial(rows_of(own, 2), rows_of(z, 2), labels).sum == undial(rows_of(same, 2), rows_of(z, 2), labels, 10).sum);
  CHECK(own == same);
  CHECK(kl_to_reference(matrix_view<float>(z.data(), 0, 10), matrix_view<float>(z.data(), 0, 10), {}).count == 0);
  CHECK(undial(matrix_view<float>(z.data(), 0, 10), matrix_view<float>(z.data(), 0, 10), {}).sum == 0);
}
