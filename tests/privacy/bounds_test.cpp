// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/bounds.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <string>

using namespace hone::privacy;

namespace {
const domain unit_rows{.rows = 12, .features = 2};

struct row {
  double ridge, radius, largest, moved, sum;
};

template <class Scheme>
void check_row(Scheme scheme, const row& known_values) {
  scheme.ridge = known_values.ridge;
  const stability s = bound(scheme, unit_rows);
  INFO("ridge " << known_values.ridge);
  CHECK(s.radius == Approx(known_values.radius).epsilon(1e-8));
  CHECK(s.largest == Approx(known_values.largest).epsilon(1e-8));
  CHECK(s.moved == Approx(known_values.moved).epsilon(1e-8));
  CHECK(2 * s.largest + s.moved == Approx(known_values.sum).epsilon(1e-8));
  CHECK(s.curvature == known_values.ridge);
}
}  // namespace

TEST_CASE("radii, weights and movements of two arms") {
  for (const row& r : {row{.1, 1.66872569, 6.30540276, 89.2799382, 101.890744},
                       {.5, .674831614, 2.96370229, 5.20447238, 11.131877},
                       {1, .401058138, 2.49340409, 1.78892445, 6.77573263},
                       {2, .222323471, 2.24897532, .693622263, 5.1915729},
                       {4, .117655031, 2.124856, .297738065, 4.54745007}})
    check_row(ipw{}, r);
  for (const row& r : {row{.1, 1.66872569, .841405849, 4.20702924, 5.88984094},
                       {.5, .674831614, .662584193, .662584193, 1.98775258},
                       {1, .401058138, .598941862, .299470931, 1.49735466},
                       {2, .222323471, .555353057, .138838264, 1.24954438},
                       {4, .117655031, .529379874, .0661724843, 1.12493223}})
    check_row(overlap{}, r);
  for (const row& r : {row{.5, 2.21771511, 10.1863171, 374.298956, 394.67159},
                       {1, 1.27846454, 4.59112148, 32.9745499, 42.1567928},
                       {2, .738835031, 3.09349524, 6.47621754, 12.663208},
                       {4, .415073017, 2.51448132, 1.90406749, 6.93303013}})
    check_row(covariate_balancing{}, r);
  for (const row& r : {row{1, 1, 2.71828183, 9.34154854, 14.7781122},
                       {2, .5, 1.64872127, 1.64872127, 4.94616381},
                       {4, .25, 1.28402542, .642012708, 3.21006354}})
    check_row(entropy_balancing{}, r);
}

TEST_CASE("more arms, softmax and kernels") {
  domain three = unit_rows;
  three.arms = 3;
  const stability s = bound(ipw{}, three);
  CHECK(s.radius == Approx(.816496581).epsilon(1e-8));
  CHECK(s.largest == Approx(7.34614612).epsilon(1e-8));
  CHECK(s.moved == Approx(25.3845845).epsilon(1e-8));
  domain thousand = unit_rows;
  thousand.rows = 1000;
  const stability four = bound(softmax_balancing{.least_arm = 300, .ridge = 4}, thousand),
                  ten = bound(softmax_balancing{.least_arm = 300, .ridge = 10}, thousand);
  CHECK(four.largest == Approx(9.06093943).epsilon(1e-8));
  CHECK(four.moved == Approx(28.1828183).epsilon(1e-8));
  CHECK(ten.largest == Approx(4.97274899).epsilon(1e-8));
  CHECK(ten.moved == Approx(12.3345976).epsilon(1e-8));
  CHECK(four.radius == .5);
  CHECK(std::isinf(four.moved_released));
  thousand.arms = 3;  // the last term grows with the arms
  CHECK(bound(softmax_balancing{.least_arm = 300, .ridge = 4}, thousand).moved ==
        Approx(28.1828183 + .5).epsilon(1e-8));

  const stability k = bound(kernel_balancing{}, unit_rows);
  CHECK(k.moved == Approx(8).epsilon(1e-9));
  CHECK(k.largest == 5);
  CHECK(std::isinf(k.moved_released));
  CHECK(bound(kernel_balancing{.ridge = 4, .largest = 2}, unit_rows).moved == Approx(.5).epsilon(1e-9));
  CHECK(bound(kernel_balancing{.largest = 1.5}, unit_rows).moved == Approx(2).epsilon(1e-9));
  domain wide = unit_rows;
  wide.row_bound = 3;
  CHECK(bound(kernel_balancing{}, wide).moved == Approx(8).epsilon(1e-9));
  CHECK(bound(kernel_balancing{.kind = kernel::energy}, wide).moved == Approx(24).epsilon(1e-9));
  CHECK(bound(kernel_balancing{.kind = kernel::linear}, wide).moved == Approx(72).epsilon(1e-9));
  CHECK(k.moved_by_rounding < 1e-7);
}

TEST_CASE("longer rows, clips, balls and floors") {
  // Lengths scale out: rows of length 2 and a ridge four times as large are the problem of length 1.
  domain two = unit_rows;
  two.row_bound = 2;
  two.intercept = 1;
  for (const double ridge : {.5, 1.0, 4.0}) {
    const auto same = [&](auto scheme) {
      scheme.ridge = ridge;
      const stability one = bound(scheme, unit_rows);
      scheme.ridge = 4 * ridge;
      const stability scaled = bound(scheme, two);
      CHECK(scaled.radius == Approx(one.radius / 2).epsilon(1e-9));
      CHECK(scaled.largest == Approx(one.largest).epsilon(1e-9));
      CHECK(scaled.moved == Approx(one.moved).epsilon(1e-9));
      CHECK(scaled.beta == Approx(one.beta / 2).epsilon(1e-9));
      CHECK(scaled.smoothness == Approx(4 * one.smoothness).epsilon(1e-9));
      CHECK(scaled.start == Approx(2 * one.start).epsilon(1e-9));
    };
    same(ipw{});
    same(overlap{});
    same(covariate_balancing{});
    same(entropy_balancing{});
    same(softmax_balancing{.least_arm = 3});
  }
  // A clip cuts W and, of what multiplies the movement, the slope alone.
  const stability whole = bound(ipw{}, unit_rows), cut = bound(ipw{.clip = 2}, unit_rows);
  CHECK(cut.largest == 2);
  CHECK(cut.moved == Approx(whole.moved / (whole.largest - 1)).epsilon(1e-9));
  CHECK(bound(covariate_balancing{.clip = 2}, unit_rows).moved == Approx(2 * 4.59112148).epsilon(1e-8));
  CHECK(bound(entropy_balancing{.clip = 2}, unit_rows).moved == Approx(4 * 1.71828183).epsilon(1e-8));
  // Below 1 the weights are constant, and nothing moves: not less than nothing.
  CHECK(bound(ipw{.clip = .5}, unit_rows).moved == 0);
  CHECK(bound(covariate_balancing{.clip = .5}, unit_rows).moved == 0);
  const domain three{.rows = 12, .features = 2, .arms = 3};
  CHECK(bound(ipw{.clip = .5}, three).moved == 0);
  CHECK(bound(ipw{.clip = .5}, three).largest == .5);

  const double e = std::exp(.25);
  CHECK(bound(ipw{.radius = .25}, unit_rows).largest == Approx(1 + e).epsilon(1e-9));
  CHECK(bound(ipw{.radius = .25}, unit_rows).moved == Approx(2 * e * e / (1 + e)).epsilon(1e-9));
  CHECK(bound(overlap{.radius = .25}, unit_rows).largest == Approx(e / (1 + e)).epsilon(1e-9));
  CHECK(bound(covariate_balancing{.radius = .25}, unit_rows).moved == Approx(2 * (1 + e) * e).epsilon(1e-9));
  CHECK(bound(entropy_balancing{.radius = .25}, unit_rows).moved == Approx(2 * e).epsilon(1e-9));
  CHECK(bound(softmax_balancing{.least_arm = 6, .radius = .25}, unit_rows).largest == Approx(2 * e * e).epsilon(1e-9));
  CHECK(bound(ipw{.radius = .25}, three).largest == Approx(1 + 2 * std::exp(.25 * std::sqrt(2.))).epsilon(1e-9));
  CHECK(bound(ipw{.radius = 100}, unit_rows).radius == whole.radius);

  const stability floored = bound(normalised<ipw>{.scheme = {}, .floor = .9}, unit_rows);
  CHECK(floored.largest == Approx(whole.largest / .9).epsilon(1e-9));
  CHECK(floored.moved == Approx((2 * whole.moved + 2 * whole.largest) / .9).epsilon(1e-9));
  CHECK(floored.moved_released == Approx(2 * whole.largest / .9).epsilon(1e-9));
  CHECK(floored.beta == whole.beta);
  CHECK(floored.moved_per_gradient == Approx(2 * whole.moved_per_gradient / .9).epsilon(1e-9));
  CHECK(std::isinf(bound(normalised<kernel_balancing>{}, unit_rows).moved_released));
  CHECK(whole.moved_released == 0);
}

TEST_CASE("known propensities") {
  const stability s = bound(known{.least = .25}, unit_rows);
  CHECK(s.largest == Approx(4).epsilon(1e-9));
  CHECK(s.moved == 0);
  CHECK(s.moved_solved({1}) == 0);
  CHECK(bound(known{.least = 1}, unit_rows).largest == Approx(1).epsilon(1e-9));
  const stability floored = bound(normalised<known>{.scheme = {.least = .5}, .floor = .9}, unit_rows);
  CHECK(floored.moved == Approx(2 * 2 / .9).epsilon(1e-9));
}

TEST_CASE("what is left of a gradient is charged") {
  // 2 n Lip_w B tau / lambda1
  const double n = 12, tau = 1e-3;
  const auto charge = [&](const auto& scheme, const domain& d) {
    const stability s = bound(scheme, d);
    return (s.moved_solved({tau}) - s.moved_solved({0})) / (2 * n * tau * (s.start > 0 ? s.start : 1));
  };
  CHECK(charge(ipw{.ridge = .5}, unit_rows) == Approx(1.96370229 / .5).epsilon(1e-6));
  CHECK(charge(overlap{.ridge = .5}, unit_rows) == Approx(.25 / .5).epsilon(1e-6));
  CHECK(charge(covariate_balancing{}, unit_rows) == Approx(3.59112148).epsilon(1e-6));
  CHECK(charge(entropy_balancing{}, unit_rows) == Approx(2.71828183).epsilon(1e-6));
  CHECK(charge(softmax_balancing{.least_arm = 3}, unit_rows) == Approx(2).epsilon(1e-6));
  CHECK(charge(ipw{}, {.rows = 12, .features = 2, .arms = 3}) == Approx(std::sqrt(2.) * 6.34614612).epsilon(1e-6));
  CHECK(charge(kernel_balancing{}, unit_rows) == 0);
  // Rounding is charged too, and is little.
  const stability s = bound(ipw{}, unit_rows);
  CHECK(s.moved_solved({0}) > s.moved);
  CHECK(s.moved_solved({0}) < s.moved + 1e-11);
  CHECK(s.rounding_gradient > 1e-16);
  // By the formulas: u (G (1024 / 8 + 24 + log2(n + 1)) + M' (d + 2) R + lambda1 R (d + 2)) of a gradient,
  // u (2 (d + 2) B R + K + 8) of a weight; sums of arms add u (1024 + 24 + log2(n + 1)) to it.
  const double u = 0x1p-53, depth = 152 + std::log2(13.0), r = .401058138, sums = u * (1048 + std::log2(13.0));
  CHECK(s.rounding_gradient == Approx(u * (.598941862 * depth + .25 * 5 * r + 5 * r)).epsilon(1e-7));
  CHECK(s.rounding_weight == Approx(u * (10 * r + 10)).epsilon(1e-7));
  CHECK(s.moved_by_rounding == Approx(2 * n * s.largest * s.rounding_weight).epsilon(1e-9));
  const stability floored = bound(normalised<ipw>{.scheme = {}, .floor = .5}, unit_rows);
  CHECK(floored.rounding_weight == Approx(s.rounding_weight + sums).epsilon(1e-9));
  CHECK(floored.moved_by_rounding == Approx(4 * s.moved_by_rounding + 4 * n * s.largest * sums).epsilon(1e-9));
  const stability soft = bound(softmax_balancing{.least_arm = 3}, unit_rows);
  CHECK(soft.rounding_weight == Approx(u * (10 * soft.radius + 10) + sums).epsilon(1e-9));
  CHECK(soft.moved_by_rounding == Approx(2 * n * soft.largest * soft.rounding_weight).epsilon(1e-9));
  const stability dense = bound(kernel_balancing{.ridge = 3}, unit_rows),
                  wide = bound(kernel_balancing{.ridge = 3, .features = 4}, unit_rows);
  CHECK(dense.moved_by_rounding == Approx(2 * n * 5 * (0x1p-40 + u * 12 * 4 / 3)).epsilon(1e-9));
  CHECK(wide.moved_by_rounding == Approx(2 * n * 5 * (0x1p-40 + sums * 4 / 3)).epsilon(1e-9));
  domain million = unit_rows;
  million.rows = 1000000;
  CHECK(bound(ipw{}, million).moved_solved({0}) < s.moved + 1e-5);
  CHECK(bound(ipw{}, million).moved_solved({0}) > s.moved + 1e-10);
}

TEST_CASE("a release of the parameters") {
  const double n = 12;
  CHECK(bound(ipw{.ridge = 4}, unit_rows).beta == Approx(2 * .529379874 / (4 * n)).epsilon(1e-8));
  CHECK(bound(overlap{.ridge = 4}, unit_rows).beta == Approx(2 * .529379874 / (4 * n)).epsilon(1e-8));
  CHECK(bound(covariate_balancing{}, unit_rows).beta == Approx(2 * 4.59112148 / n).epsilon(1e-8));
  // Clipped weights do not shorten the gradient of one record.
  CHECK(bound(covariate_balancing{.clip = 2}, unit_rows).beta == Approx(2 * 4.59112148 / n).epsilon(1e-8));
  CHECK(bound(entropy_balancing{}, unit_rows).beta == Approx(2 * 1.71828183 * std::sqrt(2.) / n).epsilon(1e-8));
  CHECK(bound(entropy_balancing{.ridge = 4}, {.rows = 12, .features = 2, .arms = 5}).beta ==
        Approx(2 * std::sqrt(5.) / (4 * n)).epsilon(1e-8));
  CHECK(bound(ipw{}, {.rows = 12, .features = 2, .arms = 3}).beta == Approx(2 * std::sqrt(2.) / n).epsilon(1e-8));
}

TEST_CASE("smoothness and start, from which the last resort is counted") {
  CHECK(bound(ipw{}, unit_rows).smoothness == Approx(1.25).epsilon(1e-9));
  CHECK(bound(ipw{}, unit_rows).start == Approx(.5).epsilon(1e-9));
  CHECK(bound(overlap{.ridge = 2}, unit_rows).smoothness == Approx(2.25).epsilon(1e-9));
  CHECK(bound(overlap{}, unit_rows).start == Approx(.5).epsilon(1e-9));
  CHECK(bound(ipw{}, {.rows = 12, .features = 2, .arms = 3}).smoothness == Approx(1.5).epsilon(1e-9));
  CHECK(bound(ipw{}, {.rows = 12, .features = 2, .arms = 3}).start == Approx(std::sqrt(2. / 3)).epsilon(1e-9));
  CHECK(bound(covariate_balancing{}, unit_rows).smoothness == Approx(3.59112148 + 1).epsilon(1e-8));
  CHECK(bound(covariate_balancing{}, unit_rows).start == Approx(2).epsilon(1e-9));
  CHECK(bound(entropy_balancing{}, unit_rows).smoothness == Approx(2.71828183 + 1).epsilon(1e-8));
  CHECK(bound(entropy_balancing{}, unit_rows).start == Approx(1).epsilon(1e-9));
  CHECK(bound(softmax_balancing{.least_arm = 3}, unit_rows).smoothness == Approx(2).epsilon(1e-9));
  CHECK(bound(softmax_balancing{.least_arm = 3}, unit_rows).start == Approx(2).epsilon(1e-9));
  CHECK(bound(ipw{}, unit_rows).gradient == Approx(.598941862).epsilon(1e-8));
  CHECK(bound(kernel_balancing{.ridge = 3}, unit_rows).smoothness == Approx(2 * 4. / 12).epsilon(1e-9));
  CHECK(bound(kernel_balancing{.ridge = 3}, unit_rows).curvature == Approx(2 * 3. / 12).epsilon(1e-9));
}

TEST_CASE("released curvature lowers what moves, not what the solver is charged") {
  const domain d{.rows = 1000, .features = 2};
  const auto check = [&](const auto& scheme, double slope) {
    const stability plain = bound(scheme, d), raised = bound(scheme, d, .2);
    CHECK(raised.moved == Approx(plain.moved * scheme.ridge / (scheme.ridge + slope * .2)).epsilon(1e-9));
    CHECK(raised.beta == Approx(plain.beta * scheme.ridge / (scheme.ridge + slope * .2)).epsilon(1e-9));
    CHECK(plain.moved_per_gradient > 0);
    CHECK(raised.moved_per_gradient == plain.moved_per_gradient);
    CHECK(raised.curvature == plain.curvature);
    CHECK(raised.largest == plain.largest);
    CHECK(bound(scheme, d, 0).moved == plain.moved);
    CHECK(bound(scheme, d, -.3).moved == plain.moved);
    CHECK_THROWS_AS(bound(scheme, d, NAN), std::invalid_argument);
  };
  const double radius = bound(ipw{.ridge = .1}, d).radius, s = 1 / (1 + std::exp(-radius));
  check(ipw{.ridge = .1}, s * (1 - s));
  check(overlap{.ridge = .1}, s * (1 - s));
  check(covariate_balancing{.ridge = 2}, std::exp(-bound(covariate_balancing{.ridge = 2}, d).radius));
  domain three = d;
  three.arms = 3;
  CHECK_THROWS_AS(bound(ipw{}, three, .2), std::invalid_argument);
  CHECK_NOTHROW(bound(ipw{}, three, 0));
}

TEST_CASE("bad schemes are refused before data") {
  const auto refused = [](const auto& scheme, const domain& d, const char* words) {
    std::string message;
    try {
      bound(scheme, d);
    } catch (const std::invalid_argument& e) {
      message = e.what();
    }
    INFO(message);
    CHECK(message.find(words) != std::string::npos);
  };
  const double nan = std::nan(""), inf = INFINITY;
  for (const double bad : {0.0, -1.0, nan, inf}) {
    refused(ipw{.ridge = bad}, unit_rows, "bound(ipw): ridge");
    refused(overlap{.ridge = bad}, unit_rows, "bound(overlap): ridge");
    refused(covariate_balancing{.ridge = bad}, unit_rows, "bound(covariate_balancing): ridge");
    refused(entropy_balancing{.ridge = bad}, unit_rows, "bound(entropy_balancing): ridge");
    refused(softmax_balancing{.least_arm = 3, .ridge = bad}, unit_rows, "bound(softmax_balancing): ridge");
    refused(kernel_balancing{.ridge = bad}, unit_rows, "bound(kernel_balancing): ridge");
    refused(kernel_balancing{.largest = bad}, unit_rows, "bound(kernel_balancing): largest");
    refused(kernel_balancing{.bandwidth = bad}, unit_rows, "bound(kernel_balancing): bandwidth");
    refused(normalised<ipw>{.scheme = {}, .floor = bad}, unit_rows, "bound(normalised): floor");
    refused(known{.least = bad}, unit_rows, "bound(known): least");
    refused(ipw{}, {.rows = 12, .features = 2, .row_bound = bad}, "row_bound");
    refused(ipw{}, {.rows = 12, .features = 2, .outcome_bound = bad}, "outcome_bound");
  }
  for (const double bad : {0.0, -1.0, nan}) {
    refused(ipw{.clip = bad}, unit_rows, "clip");
    refused(ipw{.radius = bad}, unit_rows, "radius");
    refused(overlap{.radius = bad}, unit_rows, "radius");
    refused(covariate_balancing{.clip = bad}, unit_rows, "clip");
    refused(covariate_balancing{.radius = bad}, unit_rows, "radius");
    refused(entropy_balancing{.clip = bad}, unit_rows, "clip");
    refused(entropy_balancing{.radius = bad}, unit_rows, "radius");
    refused(softmax_balancing{.least_arm = 3, .radius = bad}, unit_rows, "radius");
  }
  refused(known{.least = 1.5}, unit_rows, "least");
  refused(ipw{.ridge = 1e-7}, unit_rows, "ridge");  // e^1667
  refused(entropy_balancing{.ridge = 1e-3}, unit_rows, "ridge");
  refused(covariate_balancing{.ridge = 1e-3}, unit_rows, "ridge");
  refused(softmax_balancing{.least_arm = 0}, unit_rows, "least_arm");
  refused(softmax_balancing{.least_arm = 7}, unit_rows, "least_arm");
  CHECK_NOTHROW(bound(softmax_balancing{.least_arm = 6}, unit_rows));
  refused(kernel_balancing{.features = -1}, unit_rows, "features");
  refused(kernel_balancing{.kind = kernel::energy, .features = 8}, unit_rows, "features");
  refused(kernel_balancing{.kind = kernel::linear, .features = 8}, unit_rows, "features");
  CHECK_NOTHROW(bound(kernel_balancing{.features = 8}, unit_rows));
  domain many = unit_rows;
  many.rows = 16385;
  refused(kernel_balancing{}, many, "features: are 0, and a matrix of 16385 rows would be too large (most: 16384)");
  refused(kernel_balancing{.kind = kernel::energy}, many, "features");
  CHECK_NOTHROW(bound(kernel_balancing{.kind = kernel::linear}, many));
  CHECK_NOTHROW(bound(kernel_balancing{.features = 8}, many));
  many.rows = 16384;
  CHECK_NOTHROW(bound(kernel_balancing{}, many));
  domain three = unit_rows;
  three.arms = 3;
  refused(overlap{}, three, "arms");
  refused(covariate_balancing{}, three, "arms");
  CHECK_NOTHROW(bound(entropy_balancing{}, three));
  for (const hone::index_t arms : {hone::index_t{1}, hone::index_t{65}}) {
    three.arms = arms;
    refused(ipw{}, three, "arms");
  }
  three.arms = 64;
  CHECK_NOTHROW(bound(ipw{.ridge = 10}, three));
  refused(ipw{}, {.rows = 0, .features = 2}, "rows");
  refused(ipw{}, {.rows = 12, .features = -1}, "features");
  refused(ipw{}, {.rows = 12, .features = 0, .intercept = 0}, "features");
  CHECK_NOTHROW(bound(ipw{}, {.rows = 12, .features = 0}));
  refused(ipw{}, {.rows = 12, .features = 2, .intercept = 1}, "intercept");
  refused(ipw{}, {.rows = 12, .features = 2, .intercept = -.1}, "intercept");
  refused(ipw{}, {.rows = 12, .features = 2, .intercept = nan}, "intercept");
  CHECK_NOTHROW(bound(ipw{}, {.rows = 12, .features = 0, .intercept = 1}));
  CHECK_NOTHROW(bound(ipw{}, {.rows = 12, .features = 2, .intercept = 0}));
}
