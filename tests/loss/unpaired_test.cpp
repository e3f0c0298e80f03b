// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/unpaired.hpp"

#include "hone/core/thread_pool.hpp"
#include "loss/golden/preference.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

const golden::row& named(const std::string& name) {
  for (const auto& row : golden::rows)
    if (row.name == name) return row;
  throw std::invalid_argument(name);
}

}  // namespace

TEST_CASE("KTO gives the reference vectors (G7)") {
  const std::vector<double> nll = {12, 15}, reference = {13, 14.5};
  const std::vector<std::uint8_t> desirable = {1, 0};
  std::vector<double> slope(1);
  for (std::size_t b = 0; b < 2; ++b)
    CHECK(kto(std::span(nll).subspan(b, 1), std::span(reference).subspan(b, 1), std::span(desirable).subspan(b, 1), 0.2,
              slope)
              .sum == Approx(b == 0 ? 0.480010660 : 0.482507142).epsilon(1e-8));
}

TEST_CASE("KTO and its slopes agree with autograd and central differences") {
  const auto& row = named("kto");
  const kto_options options{.beta = 0.1, .desirable = 1, .undesirable = 1.5};
  std::vector<double> slope(6), scratch(6);
  const auto run = [&](const std::vector<double>& nll, std::vector<double>& s) {
    thread_pool pool(2);
    return kto(nll, golden::chosen_reference, golden::desirable, 0.25, s, options, pool).sum;
  };
  CHECK(run(golden::chosen, slope) == Approx(row.loss).epsilon(1e-13));
  for (std::size_t b = 0; b < 6; ++b) CHECK(slope[b] == Approx(row.chosen_slope[b]).epsilon(1e-11));
  CHECK(gradient_error(golden::chosen, slope, [&](const std::vector<double>& x) { return run(x, scratch); }) < 1e-7);
}

TEST_CASE("KTO's reference point is the divergence on wrong prompts, at least 0") {
  CHECK(kto_reference_point(std::vector<double>{3, 4}, std::vector<double>{4, 5}) == 1);
  CHECK(kto_reference_point(std::vector<double>{3, 4}, std::vector<double>{2, 4}) == 0);
  CHECK(kto_reference_point({}, {}) == 0);
  CHECK_THROWS_WITH(kto_reference_point(std::vector<double>{3}, {}), Catch::Contains("reference"));
}

TEST_CASE("KTO stays finite, counts NaN and refuses what does not fit") {
  const std::vector<double> nll = {1e6, 0}, reference = {0, 1e6}, broken = {NAN, 0}, one(1);
  const std::vector<std::uint8_t> desirable = {1, 0};
  std::vector<double> slope(2);
  CHECK(kto(nll, reference, desirable, 0, slope).sum == 2);
  CHECK(slope == std::vector<double>{0, 0});
  CHECK(kto(broken, reference, desirable, 0, slope).nonfinite == 1);
  CHECK(std::isnan(slope[0]));
  CHECK_THROWS_WITH(kto(nll, one, desirable, 0, slope), Catch::Contains("reference"));
  CHECK_THROWS_WITH(kto(nll, reference, {}, 0, slope), Catch::Contains("desirable"));
  CHECK_THROWS_WITH(kto(nll, reference, desirable, NAN, slope), Catch::Contains("point"));
  CHECK_THROWS_WITH(kto(nll, reference, desirable, 0, slope, {.beta = 0}), Catch::Contains("beta"));
  slope = {9, 9};
  std::vector<double> three(3);
  CHECK_THROWS_WITH(kto(nll, reference, desirable, 0, three), "hone::loss::kto: slope: has 3 sequences, nll has 2");
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH(kto(nll, reference, desirable, 0, slope, {.beta = bad}), Catch::Contains("kto: beta"));
    CHECK_THROWS_WITH(kto(nll, reference, desirable, 0, slope, {.desirable = bad}), Catch::Contains("weights"));
    CHECK_THROWS_WITH(kto(nll, reference, desirable, 0, slope, {.undesirable = bad}), Catch::Contains("weights"));
    if (bad != -1e-9) CHECK_THROWS_WITH(kto(nll, reference, desirable, bad, slope), Catch::Contains("kto: point"));
  }
  CHECK_THROWS_WITH(kto(nll, reference, desirable, -1e300, slope), Catch::Contains("kto: point"));
  CHECK(slope == std::vector<double>{9, 9});
  CHECK_NOTHROW(kto(nll, reference, desirable, -9e299, slope, {.beta = 1e-300, .desirable = 0, .undesirable = 0}));
}

TEST_CASE("AOT compares sorted answers") {
  const auto& row = named("aot");
  const dpo_loss loss{.label_smoothing = 0.1};
  preference_pairs pairs{golden::chosen, golden::rejected, golden::chosen_reference, golden::rejected_reference};
  std::vector<double> c(6), r(6), scratch(6), other(6);
  CHECK(aot(pairs, c, r, loss).sum == Approx(row.loss).epsilon(1e-13));
  for (std::size_t b = 0; b < 6; ++b) {
    CHECK(c[b] == Approx(row.chosen_slope[b]).epsilon(1e-11));
    CHECK(r[b] == Approx(row.rejected_slope[b]).epsilon(1e-11));
  }
  CHECK(gradient_error(golden::rejected, r, [&](const std::vector<double>& x) {
          pairs.rejected = x;
          return aot(pairs, scratch, other, loss).sum;
        }) < 1e-7);
  const std::vector<double> shuffled = {golden::rejected[3], golden::rejected[0], golden::rejected[5],
                                        golden::rejected[1], golden::rejected[4], golden::rejected[2]};
  const std::vector<double> zero(6);
  CHECK(aot({golden::chosen, shuffled}, c, r).sum == aot({golden::chosen, golden::rejected}, c, r).sum);
  const std::vector<double> broken = {1, 2, NAN, 4, 5, 6};
  std::vector<double> untouched(6, 3.0);
  CHECK_THROWS_WITH(aot({broken, shuffled}, untouched, r), Catch::Contains("pair 2"));
  CHECK_THROWS_WITH(aot({shuffled, broken}, r, untouched), Catch::Contains("pair 2"));
  CHECK_THROWS_WITH(aot({shuffled, shuffled}, untouched, r, {.beta = 0}), Catch::Contains("beta"));
  const std::vector<double> sorted = {1, 2, 3, 4, 5, INFINITY};
  const loss_sum far = aot({sorted, shuffled}, scratch, other);  // one answer of probability 0
  CHECK((far.nonfinite == 1 && far.count == 6 && !std::isfinite(far.sum)));
  CHECK(aot({shuffled, shuffled}, scratch, other).nonfinite == 0);
  CHECK(untouched == std::vector<double>(6, 3.0));
  CHECK(aot({}, {}, {}).count == 0);
}

TEST_CASE("KTO counts its answers, of which a finite one is no trouble") {
  const std::vector<double> nll = {1, 2, 3}, reference = {2, 2, 1};
  const std::vector<std::uint8_t> desirable = {1, 0, 1};
  std::vector<double> slope(3);
  const loss_sum total = kto(nll, reference, desirable, 0.25, slope);
  CHECK((total.count == 3 && total.nonfinite == 0));
  CHECK(kto_reference_point(nll, std::vector<double>{2, 2, 2.75}) == 0.25);
}
