// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/loss/preference.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/loss/sequence.hpp"
#include "loss/golden/preference.hpp"
#include "loss/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::loss;

namespace {

/// N of the pair of the reference vectors (G7).
struct pair_g7 {
  std::vector<double> chosen = {12}, rejected = {15}, chosen_reference = {13}, rejected_reference = {14.5};
  std::vector<index_t> chosen_length = {8}, rejected_length = {10};
  std::vector<double> c = std::vector<double>(1), r = std::vector<double>(1);

  template <class Loss>
  double operator()(const Loss& loss, bool reference, bool means) {
    preference_pairs pairs{chosen, rejected};
    if (reference) pairs.chosen_reference = chosen_reference, pairs.rejected_reference = rejected_reference;
    if (means) pairs.chosen_length = chosen_length, pairs.rejected_length = rejected_length;
    return preference(loss, pairs, c, r).sum;
  }
};

preference_pairs all_pairs(bool reference, bool means) {
  preference_pairs pairs{golden::chosen, golden::rejected};
  if (reference)
    pairs.chosen_reference = golden::chosen_reference, pairs.rejected_reference = golden::rejected_reference;
  if (means) pairs.chosen_length = golden::chosen_length, pairs.rejected_length = golden::rejected_length;
  return pairs;
}

/// f(name, loss, reference, means) for every loss.
template <class F>
void for_each_loss(F&& f) {
  f("dpo", dpo_loss{}, true, false);
  f("cdpo", dpo_loss{.label_smoothing = 0.2}, true, false);
  f("robust", dpo_loss{.label_smoothing = 0.2, .robust = true}, true, false);
  f("dpo means", dpo_loss{.beta = 0.5}, true, true);
  f("dpo without reference", dpo_loss{}, false, false);
  f("ipo", ipo_loss{}, true, false);
  f("ipo means", ipo_loss{}, true, true);
  f("hinge", hinge_loss{.beta = 0.7}, true, false);
  f("exo", exo_loss{}, true, false);
  f("nca", nca_loss{.beta = 0.1}, true, false);
  f("bco", bco_loss{.beta = 0.1, .shift = 0.03}, true, false);
  f("discopop", discopop_loss{}, true, false);
  f("apo_zero", apo_zero_loss{}, true, false);
  f("apo_down", apo_down_loss{}, true, false);
  f("self_play", self_play_loss{.beta = 0.1}, true, false);
  f("simpo", simpo_loss{.beta = 2, .gamma = 0.5}, false, true);
  f("cpo", cpo_loss{}, false, false);
  f("orpo", orpo_loss{}, false, true);
}

}  // namespace

TEST_CASE("preference losses give the reference vectors (G7)") {
  pair_g7 g;
  CHECK(g(dpo_loss{}, true, false) == Approx(0.620957048).epsilon(1e-8));
  CHECK(g.c[0] == Approx(0.046257015).margin(1e-9));
  CHECK(g.r[0] == -g.c[0]);
  CHECK(g(ipo_loss{}, true, false) == 12.25);
  CHECK(g(ipo_loss{}, true, true) == Approx(23.280625).epsilon(1e-12));
  CHECK(g(simpo_loss{.beta = 2, .gamma = 0.5}, false, true) == Approx(0.974076984).epsilon(1e-8));
  g.chosen[0] = 12, g.rejected[0] = 15;  // means of -1.5 both
  CHECK(g(orpo_loss{.lambda = 1, .likelihood = 0}, false, true) == Approx(0.693147181).epsilon(1e-8));
}

TEST_CASE("preference losses and slopes agree with autograd of the formulas") {
  for_each_loss([](const char* name, const auto& loss, bool reference, bool means) {
    INFO(name);
    std::vector<double> c(6), r(6);
    const auto sum = preference(loss, all_pairs(reference, means), c, r);
    for (const auto& row : golden::rows) {
      if (row.name != name) continue;
      CHECK(sum.sum == Approx(row.loss).epsilon(1e-13));
      CHECK(sum.count == 6);
      for (std::size_t b = 0; b < 6; ++b) {
        CHECK(c[b] == Approx(row.chosen_slope[b]).epsilon(1e-10).margin(1e-15));
        CHECK(r[b] == Approx(row.rejected_slope[b]).epsilon(1e-10).margin(1e-15));
      }
      return;
    }
    FAIL("no golden row");
  });
}

TEST_CASE("preference slopes are the derivatives, and do not depend on workers") {
  for_each_loss([](const char* name, const auto& loss, bool reference, bool means) {
    INFO(name);
    std::vector<double> c(6), r(6), scratch(6), other(6);
    auto pairs = all_pairs(reference, means);
    const auto sum = preference(loss, pairs, c, r);
    thread_pool pool(3);
    CHECK(preference(loss, pairs, scratch, other, pool).sum == sum.sum);
    CHECK(scratch == c);
    CHECK(other == r);
    CHECK(gradient_error(golden::chosen, c, [&](const std::vector<double>& x) {
            pairs.chosen = x;
            return preference(loss, pairs, scratch, other).sum;
          }) < 1e-6);
    pairs.chosen = golden::chosen;
    CHECK(gradient_error(golden::rejected, r, [&](const std::vector<double>& x) {
            pairs.rejected = x;
            return preference(loss, pairs, scratch, other).sum;
          }) < 1e-6);
  });
}

TEST_CASE("far margins stay finite where the loss is, and NaN is counted") {
  for_each_loss([](const char* name, const auto& loss, bool reference, bool means) {
    INFO(name);
    for (const double margin : {1e5, -1e5}) {
      const std::vector<double> chosen = {2e5 - margin}, rejected = {2e5}, q = {2e5}, broken = {NAN};
      const std::vector<index_t> length = {7};
      preference_pairs pairs{chosen, rejected};
      if (reference) pairs.chosen_reference = pairs.rejected_reference = q;
      if (means) pairs.chosen_length = pairs.rejected_length = length;
      std::vector<double> c(1), r(1);
      CHECK(preference(loss, pairs, c, r).nonfinite == 0);
      CHECK(std::isfinite(c[0]));
      CHECK(std::isfinite(r[0]));
      pairs.chosen = broken;
      CHECK(preference(loss, pairs, c, r).nonfinite == 1);
      CHECK(std::isnan(c[0]));
    }
  });
}

TEST_CASE("odds of a certain answer: no loss of the chosen, an infinite one, counted, of the rejected") {
  const std::vector<double> certain = {0}, other = {4};
  const std::vector<index_t> length = {4};
  std::vector<double> c(1), r(1);
  const orpo_loss odds{.lambda = 0.5, .likelihood = 0};
  CHECK(preference(odds, {certain, other, {}, {}, length, length}, c, r).sum == 0);
  CHECK(c[0] == Approx(0.5 / 4 * std::exp(-1.0) / (1 - std::exp(-1.0))));
  CHECK(r[0] == 0);
  CHECK(preference(odds, {other, certain, {}, {}, length, length}, c, r).nonfinite == 1);
}

TEST_CASE("hinge and IPO stop at their margins; EXO at its label") {
  const auto slope = [](const auto& loss, double margin) { return loss(margin, 0.0).by_chosen; };
  CHECK(slope(hinge_loss{.beta = 0.5}, 2.1) == 0);
  CHECK(slope(hinge_loss{.beta = 0.5}, 1.9) == -0.5);
  CHECK(slope(ipo_loss{.beta = 0.1}, 5) == 0);
  CHECK(slope(ipo_loss{.beta = 0.1}, 6) > 0);
  const double label = std::log(0.99 / 0.01) / 0.1;
  CHECK(std::abs(slope(exo_loss{.label_smoothing = 0.01}, label)) < 1e-12);
  CHECK(exo_loss{.label_smoothing = 0.01}(label, 0).loss == Approx(0).margin(1e-12));
}

TEST_CASE("the whole of DPO on logits: the gradient check holds") {
  const index_t vocab = 9;
  const std::vector<index_t> offsets = {0, 3, 4, 8, 10};  // two pairs: chosen 0 and 1, rejected 2 and 3
  const std::vector<std::int32_t> targets = {1, ignored, 4, 8, 0, 2, ignored, 3, 5, 6};
  const std::vector<double> reference = {4, 2, 7, 5};
  const auto before = random_logits<double>(10, vocab, 2);
  const auto run = [&](std::vector<double>& z) {
    const matrix_view<double> logits(z.data(), 10, vocab);
    std::vector<double> nll(4), slope(4), weights(10);
    sequence_nll(logits, targets, offsets, nll);
    const preference_pairs pairs{.chosen = std::span(nll).first(2),
                                 .rejected = std::span(nll).last(2),
                                 .chosen_reference = std::span(reference).first(2),
                                 .rejected_reference = std::span(reference).last(2)};
    const loss_sum loss = preference(dpo_loss{.beta = 0.1}, pairs, std::span(slope).first(2), std::span(slope).last(2));
    spread(slope, offsets, weights);
    likelihood(logits, targets, {.scale = 1.0 / 2, .weights = weights});
    return loss.mean();
  };
  auto gradient = before;
  run(gradient);
  CHECK(gradient_error(before, gradient, [&](std::vector<double> z) { return run(z); }) < 1e-7);
}

TEST_CASE("pairs that do not fit are refused, and nothing is written") {
  std::vector<double> two = {1, 2}, three(3), c(2, 9.0), r(2, 9.0);
  const std::vector<index_t> lengths = {2, 0}, good = {1, 1};
  const auto run = [&](const auto& loss, const preference_pairs& pairs) { preference(loss, pairs, c, r); };
  CHECK_THROWS_WITH(run(dpo_loss{}, {two, three}), Catch::Contains("rejected"));
  CHECK_THROWS_WITH(run(dpo_loss{}, {two, two, two}), Catch::Contains("rejected_reference"));
  CHECK_THROWS_WITH(run(dpo_loss{}, {two, two, {}, two}), Catch::Contains("rejected_reference"));
  CHECK_THROWS_WITH(run(dpo_loss{}, {two, two, {}, {}, lengths, good}), Catch::Contains("answer 1 has 0 labels"));
  CHECK_THROWS_WITH(run(dpo_loss{}, {two, two, {}, {}, good, {}}), Catch::Contains("rejected_length"));
  CHECK_THROWS_WITH(run(simpo_loss{}, {two, two}), Catch::Contains("chosen_length"));
  CHECK_THROWS_WITH(run(orpo_loss{}, {two, two}), Catch::Contains("chosen_length"));
  CHECK_THROWS_WITH(run(simpo_loss{}, {two, two, two, two, good, good}), Catch::Contains("has no reference"));
  CHECK_THROWS_WITH(run(cpo_loss{}, {two, two, two, two}), Catch::Contains("has no reference"));
  CHECK_THROWS_WITH(run(orpo_loss{}, {two, two, two, two, good, good}), Catch::Contains("has no reference"));
  CHECK_THROWS_WITH(preference(dpo_loss{}, {two, two}, three, r), Catch::Contains("chosen_slope"));
  const auto refuses_beta = [&](auto... losses) {
    const auto check = [&](auto loss) {
      loss.beta = 0;
      CHECK_THROWS_WITH(run(loss, {two, two, {}, {}, good, good}), Catch::Contains("beta"));
    };
    (check(losses), ...);
  };
  refuses_beta(dpo_loss{}, ipo_loss{}, hinge_loss{}, exo_loss{}, nca_loss{}, bco_loss{}, discopop_loss{},
               apo_zero_loss{}, apo_down_loss{}, self_play_loss{}, simpo_loss{}, cpo_loss{});
  CHECK_THROWS_WITH(run(dpo_loss{.label_smoothing = 0.5}, {two, two}), Catch::Contains("label_smoothing"));
  CHECK_THROWS_WITH(run(exo_loss{.label_smoothing = 0}, {two, two}), Catch::Contains("label_smoothing"));
  CHECK_THROWS_WITH(run(bco_loss{.shift = NAN}, {two, two}), Catch::Contains("shift"));
  CHECK_THROWS_WITH(run(discopop_loss{.tau = -1}, {two, two}), Catch::Contains("tau"));
  CHECK_THROWS_WITH(run(simpo_loss{.gamma = NAN}, {two, two, {}, {}, good, good}), Catch::Contains("gamma"));
  CHECK_THROWS_WITH(run(cpo_loss{.likelihood = NAN}, {two, two}), Catch::Contains("likelihood"));
  CHECK_THROWS_WITH(run(orpo_loss{.lambda = 0}, {two, two, {}, {}, good, good}), Catch::Contains("lambda"));
  CHECK_THROWS_WITH(run(orpo_loss{.likelihood = NAN}, {two, two, {}, {}, good, good}), Catch::Contains("likelihood"));
  CHECK(c == std::vector<double>{9, 9});
  CHECK(preference(dpo_loss{}, {}, {}, {}).count == 0);
}

TEST_CASE("parameters of preference losses: the last values taken, the first refused by name") {
  const auto refused = [](const auto& loss, const char* part) {
    CHECK_THROWS_WITH(loss.check(), Catch::Contains(part));
  };
  const double inf = INFINITY;
  for (const double bad : {0.0, -1e-9, 1e300, inf, double(NAN)}) {
    refused(dpo_loss{.beta = bad}, "hone::loss::dpo_loss: beta: must be positive and finite");
    refused(ipo_loss{.beta = bad}, "hone::loss::ipo_loss: beta");
    refused(hinge_loss{.beta = bad}, "hone::loss::hinge_loss: beta");
    refused(exo_loss{.beta = bad}, "hone::loss::exo_loss: beta");
    refused(nca_loss{.beta = bad}, "hone::loss::nca_loss: beta");
    refused(bco_loss{.beta = bad}, "hone::loss::bco_loss: beta");
    refused(discopop_loss{.beta = bad}, "hone::loss::discopop_loss: beta");
    refused(discopop_loss{.tau = bad}, "hone::loss::discopop_loss: tau");
    refused(apo_zero_loss{.beta = bad}, "hone::loss::apo_zero_loss: beta");
    refused(apo_down_loss{.beta = bad}, "hone::loss::apo_down_loss: beta");
    refused(self_play_loss{.beta = bad}, "hone::loss::self_play_loss: beta");
    refused(simpo_loss{.beta = bad}, "hone::loss::simpo_loss: beta");
    refused(cpo_loss{.beta = bad}, "hone::loss::cpo_loss: beta");
    refused(orpo_loss{.lambda = bad}, "hone::loss::orpo_loss: lambda");
  }
  for (const double bad : {1e300, -1e300, inf, double(NAN)}) {
    refused(bco_loss{.shift = bad}, "hone::loss::bco_loss: shift: must be finite");
    refused(simpo_loss{.gamma = bad}, "hone::loss::simpo_loss: gamma: must be finite");
    refused(cpo_loss{.likelihood = bad}, "hone::loss::cpo_loss: likelihood: must be finite");
    refused(orpo_loss{.likelihood = bad}, "hone::loss::orpo_loss: likelihood: must be finite");
  }
  for (const double bad : {-1e-9, 0.5, 1.0, double(NAN)}) refused(dpo_loss{.label_smoothing = bad}, "label_smoothing");
  for (const double bad : {0.0, -1e-9, 1.0, double(NAN)}) refused(exo_loss{.label_smoothing = bad}, "label_smoothing");
  dpo_loss{.beta = 9e299, .label_smoothing = 0.499}.check();
  dpo_loss{.beta = 1e-300, .label_smoothing = 0}.check();
  exo_loss{.label_smoothing = 1e-300}.check();
  exo_loss{.label_smoothing = 0.999}.check();
  bco_loss{.shift = -9e299}.check();
  simpo_loss{.gamma = -9e299}.check();
  cpo_loss{.likelihood = -9e299}.check();
  orpo_loss{.likelihood = -9e299}.check();
}

TEST_CASE("each argument of a batch of pairs that does not fit is the one that is named") {
  const std::vector<double> two(2), three(3);
  const std::vector<index_t> good = {1, 2}, bad = {0, 2}, many = {1, 1, 1};
  std::vector<double> c = {9, 9}, r = {9, 9}, long_slope(3);
  const auto refused = [&](const preference_pairs& pairs, const char* part) {
    CHECK_THROWS_WITH(preference(dpo_loss{}, pairs, c, r),
                      Catch::StartsWith("hone::loss::preference: ") && Catch::Contains(part));
    CHECK((c == std::vector<double>{9, 9} && r == std::vector<double>{9, 9}));
  };
  refused({two, three}, ": rejected: has 3 answers, needs 2");
  refused({two, two, three, two}, "chosen_reference: has 3 answers, needs 2");
  refused({two, two, two, three}, "rejected_reference: has 3 answers, needs 2");
  refused({two, two, {}, {}, many, good}, "chosen_length: has 3 answers, needs 2");
  refused({two, two, {}, {}, good, many}, "rejected_length: has 3 answers, needs 2");
  refused({two, two, {}, {}, bad, good}, "answer 0 has 0 labels");
  refused({two, two, {}, {}, good, bad}, "answer 0 has 0 labels");
  CHECK_THROWS_WITH(preference(dpo_loss{}, {two, two}, c, long_slope), Catch::Contains("rejected_slope: has 3"));
  CHECK_THROWS_WITH(preference(dpo_loss{}, {two, two}, long_slope, r), Catch::Contains("chosen_slope: has 3"));
  CHECK_NOTHROW(preference(dpo_loss{}, {two, two, two, two, good, good}, c, r));
}
