// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/probe_loss.hpp"

#include "hone/core/thread_pool.hpp"
#include "routing/probe_support.hpp"
#include "support/catch.hpp"
#include "support/gradient_error.hpp"
#include "support/outputs.hpp"

#include <cmath>
#include <limits>
#include <vector>

using namespace hone;
using namespace hone::routing;
using namespace probe_test;

namespace {

using indices = std::vector<index_t>;

const states_view<const double> reference(reference_states.data(), 2, 3, 4);
constexpr philox fixed_random{9, 3};

template <class A, class T>
probe_loss loss_of(const layer_probe<A>& probe, const states_view<T>& states, const numbers& labels,
                   const probe_objective& objective, numbers* gradient = nullptr) {
  probe_loss total;
  const auto order = all_of(labels.size());
  if (gradient != nullptr) gradient->assign(static_cast<std::size_t>(probe.size()), 0);
  add_probe_loss(probe, states, labels, order, objective, fixed_random, total,
                 gradient == nullptr ? std::span<double>() : std::span<double>(*gradient));
  return total;
}

/// The largest error of the loss's gradient, by differences in double.
template <class T>
double error_of(const layer_probe<double>& probe, const states_view<T>& states, const numbers& labels,
                const probe_objective& objective, double step = 1e-5) {
  numbers gradient;
  loss_of(probe, states, labels, objective, &gradient);
  return gradient_error(
      probe.parameters, gradient,
      [&](const numbers& parameters) {
        layer_probe<double> moved = probe;
        moved.parameters = parameters;
        return loss_of(moved, states, labels, objective).sum;
      },
      step);
}

void standardise(layer_probe<double>& probe) {
  for (index_t i = 0; i < probe.shape.layers * probe.shape.width; ++i) {
    probe.mean.push_back(0.1 * static_cast<double>(i % 7) - 0.2);
    probe.inverse.push_back(0.7 + 0.1 * static_cast<double>(i % 5));
  }
}

}  // namespace

TEST_CASE("routing probe loss: mean weights, the reference vectors (R.4)") {
  numbers gradient, scores(2);
  const auto probe = reference_probe(pooling::dirichlet);
  const probe_loss loss = loss_of(probe, reference, reference_labels, {.noise = weight_noise::mean}, &gradient);
  CHECK(loss.count == 2);
  CHECK(loss.right == 1);
  CHECK(loss.sum / 2 == Approx(0.6662328040).epsilon(1e-9));
  const numbers expected = {0.2125569427, 0.0101027507,  -0.1861253719,
                            0.0448103286, 0.0144981716,  -0.0288320544,
                            0.0297048124, -0.0008727580, 0};
  for (std::size_t i = 0; i < 9; ++i) CHECK(gradient[i] / 2 == Approx(expected[i]).epsilon(1e-8).margin(1e-10));
  CHECK(gradient[8] == 0);
  CHECK(score_probe(probe, reference, scores) == 0);
  CHECK(scores[0] == Approx(0.1134923265).epsilon(1e-9));
  CHECK(scores[1] == Approx(0.0026147107).epsilon(1e-7));
  CHECK(sigmoid(scores[0]) == Approx(0.5283426658).epsilon(1e-9));
  const probe_loss softmax = loss_of(reference_probe(pooling::softmax), reference, reference_labels, {}, &gradient);
  CHECK(softmax.sum == Approx(loss.sum).epsilon(1e-15));
  for (std::size_t i = 0; i < 8; ++i) CHECK(gradient[i] / 2 == Approx(expected[i]).epsilon(1e-8).margin(1e-10));
}

TEST_CASE("routing probe loss: mean and max probes, the reference vectors (R.4)") {
  numbers gradient, scores(2);
  const auto mean = reference_probe(pooling::mean);
  CHECK(loss_of(mean, reference, reference_labels, {}, &gradient).sum / 2 == Approx(0.7098335830).epsilon(1e-9));
  const numbers expected = {0.0267592324, 0.0343836923, 0.0527118451, -0.0572570719, 0.0642221578};
  for (std::size_t i = 0; i < 5; ++i) CHECK(gradient[i] / 2 == Approx(expected[i]).epsilon(1e-8));
  score_probe(mean, reference, scores);
  CHECK(scores[0] == Approx(0.2416666667).epsilon(1e-9));
  CHECK(scores[1] == Approx(0.275).epsilon(1e-9));
  score_probe(reference_probe(pooling::max), reference, scores);
  CHECK(scores[0] == Approx(0.5).epsilon(1e-12));
  CHECK(scores[1] == Approx(1.125).epsilon(1e-12));
  score_probe(reference_probe(pooling::fixed), reference, scores);
  CHECK(scores[0] == Approx(0.125 + 0.05).epsilon(1e-12));
  score_probe(reference_probe(pooling::last), reference, scores);
  CHECK(scores[1] == Approx(-0.325 + 0.05).epsilon(1e-12));
}

TEST_CASE("routing probe loss: given weights, the reference vectors (R.4)") {
  const auto probe = reference_probe(pooling::dirichlet);
  const numbers alpha = concentrations(probe), weights = mean_weights(probe);
  const dirichlet_gradient form(alpha, gradient_form::beta);
  const numbers u[] = {{0.675, 0.125, -0.225}, {0.1, 0.9, -0.325}}, x[] = {{0.2, 0.3, 0.5}, {0.6, 0.1, 0.3}};
  sample_terms terms;
  terms.clear(3);
  numbers w(4);
  double loss = 0, bias = 0;
  numbers slope(3);
  for (std::size_t n = 0; n < 2; ++n) {
    numbers logs = x[n];
    for (double& value : logs) value = std::log(value);
    dirichlet_draw draw;
    draw.set(logs);
    terms.clear(3);
    const double logit = add_drawn_terms(u[n], 0.05, reference_labels[n], {}, draw, form, 1, terms);
    CHECK(logit == Approx(n == 0 ? 0.11 : 0.1025).epsilon(1e-12));
    loss += terms.loss / 2;
    bias += terms.bias / 2;
    for (std::size_t l = 0; l < 3; ++l) {
      slope[l] += terms.alpha[l] / 2;
      for (std::size_t j = 0; j < 4; ++j) w[j] += terms.layers[l] * reference_states[n * 12 + l * 4 + j] / 2;
    }
  }
  CHECK(loss == Approx(0.6926844030).epsilon(1e-9));
  CHECK(bias == Approx(0.0265374463).epsilon(1e-8));
  const numbers expected = {-0.0584025258, 0.0080255631, 0.0368307787, 0.0033171808};
  for (std::size_t j = 0; j < 4; ++j) CHECK(w[j] == Approx(expected[j]).epsilon(1e-8));
  double sum = 0;
  for (std::size_t l = 0; l < 3; ++l) sum += alpha[l] * slope[l];
  CHECK(sum == Approx(-0.0077469385).epsilon(1e-8));
  const numbers theta = {-0.0404734809, 0.0403042191, 0.0001692618};
  for (std::size_t l = 0; l < 3; ++l)
    CHECK(alpha[l] * slope[l] - weights[l] * sum == Approx(theta[l]).epsilon(1e-6).margin(1e-11));
}

TEST_CASE("routing probe loss: gradients by differences, every pooling and head") {
  const drawn_states<double> s(9, 4, 11);
  numbers labels = s.labels;
  labels[2] = 0.3;
  for (const pooling how :
       {pooling::fixed, pooling::last, pooling::mean, pooling::max, pooling::softmax, pooling::dirichlet})
    for (const indices& hidden : {indices{}, {7}, {6, 5}})
      for (const bool standard : {false, true}) {
        INFO(static_cast<int>(how) << ", " << hidden.size() << ", " << standard);
        auto probe = initialise_probe<double>({how, 4, 11, 1, hidden, {}}, 4);
        if (standard) standardise(probe);
        const probe_objective objective{.noise = weight_noise::mean,
                                        .positive_weight = 1.7,
                                        .negative_weight = 0.4,
                                        .dropout = hidden.empty() ? 0.0 : 0.3};
        CHECK(error_of(probe, s.view(), labels, objective) < 1e-7);
      }
}

TEST_CASE("routing probe loss: gradients of delta and of the regularisers by differences") {
  const drawn_states<double> s(7, 5, 6);
  auto probe = initialise_probe<double>({.layers = 5, .width = 6}, 4);
  probe.theta()[2] = 2;
  probe.log_concentration() = 0.4;
  for (const weight_noise noise : {weight_noise::delta, weight_noise::mean})
    CHECK(error_of(probe, s.view(), s.labels, {.noise = noise, .kl = 0.01, .prior = 1.5, .entropy = 0.02}) < 1e-7);
  CHECK(error_of(probe, s.view(), s.labels, {.noise = weight_noise::delta}) < 1e-7);
}

TEST_CASE("routing probe loss: gradients of fixed draws move as the draws do") {
  // With the random numbers kept, form gamma is the derivative of the very loss, up to where a draw is rejected.
  const drawn_states<double> s(40, 3, 5);
  auto probe = initialise_probe<double>({.layers = 3, .width = 5}, 4);
  probe.log_concentration() = 2.5;
  numbers gradient;
  for (const index_t draws : {1, 4}) {
    // w and b: exactly.
    const probe_objective objective{.draws = draws};
    loss_of(probe, s.view(), s.labels, objective, &gradient);
    const auto moved = [&](std::size_t i, double step) {
      auto other = probe;
      other.parameters[i] += step;
      return loss_of(other, s.view(), s.labels, objective).sum;
    };
    for (std::size_t i = 0; i < 6; ++i)
      CHECK(gradient[i] == Approx((moved(i, 1e-5) - moved(i, -1e-5)) / 2e-5).epsilon(1e-6).margin(1e-8));
  }
}

TEST_CASE("routing probe loss: sampled gradients are those of the expected loss") {
  // Over many draws of few samples: theta's and gamma's mean against differences of the mean loss, by both forms.
  const drawn_states<double> s(2, 3, 4);
  auto probe = initialise_probe<double>({.layers = 3, .width = 4}, 4);
  for (double& w : probe.weights()) w *= 4;
  probe.log_concentration() = 0.8;
  // u = (u_0, u_1, u_2): E loss by an integral over the simplex is costly; delta's second order is not exact. The
  // exact gradient here is that of 60,000 draws of the score function with the mean loss for a baseline.
  const numbers alpha = concentrations(probe), weights = mean_weights(probe);
  std::vector<numbers> u;
  for (index_t n = 0; n < 2; ++n) {
    numbers own;
    for (index_t l = 0; l < 3; ++l) own.push_back(dot(s.view().sample(n).row(l), probe.weights()));
    u.push_back(own);
  }
  numbers score(3), errors(3);
  const int count = 60000;
  dirichlet_draw draw;
  for (int i = 0; i < count; ++i) {
    draw.sample(alpha, {77}, draw_index(static_cast<std::size_t>(i), 0));
    double loss = 0;
    for (std::size_t n = 0; n < 2; ++n) {
      double logit = probe.bias();
      for (std::size_t l = 0; l < 3; ++l) logit += draw.weights()[l] * u[n][l];
      loss += binary_loss(s.labels[n], logit).loss;
    }
    for (std::size_t l = 0; l < 3; ++l) {
      double total = 0;
      for (const double a : alpha) total += a;
      const double one = (loss - 1.4) * (draw.log_weight(l) - digamma(alpha[l]) + digamma(total));
      score[l] += one / count;
      errors[l] += one * one / count;
    }
  }
  for (const gradient_form form : {gradient_form::beta, gradient_form::gamma}) {
    numbers gradient;
    const index_t draws = 4000;
    loss_of(probe, s.view(), s.labels, {.draws = draws, .form = form}, &gradient);
    double sum = 0;
    for (std::size_t l = 0; l < 3; ++l) sum += alpha[l] * score[l];
    for (std::size_t l = 0; l < 3; ++l)
      CHECK(gradient[5 + l] == Approx(alpha[l] * score[l] - weights[l] * sum).margin(0.03));
    CHECK(gradient[8] == Approx(sum).margin(0.03));
  }
}

TEST_CASE("routing probe loss: concentrations of the input, by differences and against a global one") {
  const drawn_states<double> s(6, 4, 9);
  auto probe = initialise_probe<double>({.layers = 4, .width = 9, .concentration_layers = {7}}, 4);
  for (const weight_noise noise : {weight_noise::mean, weight_noise::delta})
    for (const double dropout : {0.0, 0.2})
      CHECK(error_of(probe, s.view(), s.labels, {.noise = noise, .kl = 0.01, .entropy = 0.01, .dropout = dropout}) <
            1e-6);
  auto deep = initialise_probe<double>({.layers = 4, .width = 9, .hidden = {5}, .concentration_layers = {7}}, 4);
  CHECK(error_of(deep, s.view(), s.labels, {.noise = weight_noise::mean}) < 1e-6);
  // A network that gives log(e - 1) whatever comes: alpha = 1 + 1e-6 everywhere.
  const auto head = static_cast<std::size_t>(probe.head_size());
  for (std::size_t i = head; i < probe.parameters.size(); ++i) probe.parameters[i] = 0;
  for (std::size_t l = 0; l < 4; ++l) probe.parameters[probe.parameters.size() - 4 + l] = std::log(std::exp(1) - 1);
  auto global = initialise_probe<double>({.layers = 4, .width = 9}, 4);
  std::copy_n(probe.parameters.begin(), head, global.parameters.begin());
  global.log_concentration() = std::log(4 * (1 + 1e-6));
  CHECK(loss_of(probe, s.view(), s.labels, {}).sum ==
        Approx(loss_of(global, s.view(), s.labels, {}).sum).epsilon(1e-12));
  numbers a(6), b(6);
  score_probe(probe, s.view(), a);
  score_probe(global, s.view(), b);
  for (std::size_t i = 0; i < 6; ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-12));
}

TEMPLATE_TEST_CASE("routing probe loss: the collapse against pooled states, sizes about a pack and a block", "", float,
                   bfloat16, float16, double) {
  using A = accumulator_t<TestType>;
  // Layers are read four, eight and nine at a time, and alone.
  for (const auto& [layers, width] : {std::pair<index_t, index_t>{6, 1},
                                      {6, 15},
                                      {6, 16},
                                      {9, 17},
                                      {9, 63},
                                      {13, 64},
                                      {17, 65},
                                      {6, 4095},
                                      {17, 4097}}) {
    const drawn_states<TestType> s(3, layers, width);
    auto probe = initialise_probe<A>({.how = pooling::softmax, .layers = layers, .width = width}, 4);
    for (std::size_t l = 0; l < static_cast<std::size_t>(layers); ++l)
      probe.theta()[l] = static_cast<A>(0.1 * static_cast<double>(l));
    const numbers weights = mean_weights(probe);
    numbers logits(3);
    score_probe(probe, s.view(), logits);
    numbers gradient, expected(static_cast<std::size_t>(width));
    loss_of(probe, s.view(), s.labels, {}, &gradient);
    for (index_t n = 0; n < 3; ++n) {
      double logit = static_cast<double>(probe.bias());
      numbers f(static_cast<std::size_t>(width));
      for (index_t j = 0; j < width; ++j) {
        const auto at = static_cast<std::size_t>(j);
        for (index_t l = 0; l < layers; ++l)
          f[at] += weights[static_cast<std::size_t>(l)] * static_cast<double>(to_accumulator(s.view().sample(n)(l, j)));
        logit += f[at] * static_cast<double>(probe.weights()[at]);
      }
      CHECK(logits[static_cast<std::size_t>(n)] == Approx(logit).epsilon(1e-5).margin(1e-5));
      const double slope = sigmoid(logit) - s.labels[static_cast<std::size_t>(n)];
      for (std::size_t j = 0; j < f.size(); ++j) expected[j] += slope * f[j];
    }
    double error = 0;
    for (std::size_t j = 0; j < expected.size(); ++j) error = worst(error, std::abs(gradient[j] - expected[j]));
    CHECK(error < 1e-5);
  }
}

TEST_CASE("routing probe loss: bits do not depend on cuts, draws' addresses, threads or strides") {
  const drawn_states<float> s(150, 5, 40);
  const auto order = all_of(150);
  thread_pool pool(3);
  for (const probe_shape& shape : {probe_shape{.layers = 5, .width = 40},
                                   {.how = pooling::max, .layers = 5, .width = 40},
                                   {.layers = 5, .width = 40, .hidden = {9, 3}},
                                   {.layers = 5, .width = 40, .concentration_layers = {6}}}) {
    const auto probe = initialise_probe<float>(shape, 4);
    const probe_objective objective{.draws = 3, .dropout = 0.1};
    numbers gradient, cut(static_cast<std::size_t>(probe.size())), pooled(cut), strided(cut);
    const probe_loss whole = loss_of(probe, s.view(), s.labels, objective, &gradient);
    probe_loss parts, threads, others;
    for (const auto& [begin, count] : {std::pair<std::size_t, std::size_t>{0, 1}, {1, 70}, {71, 0}, {71, 79}})
      add_probe_loss(probe, s.view(), s.labels, std::span(order).subspan(begin, count), objective, fixed_random, parts,
                     cut, pool);
    CHECK(parts.sum == whole.sum);
    CHECK(parts.right == whole.right);
    CHECK(cut == gradient);
    add_probe_loss(probe, s.view(), s.labels, order, objective, fixed_random, threads, pooled, pool);
    CHECK(threads.sum == whole.sum);
    CHECK(pooled == gradient);
    // Samples the other way round in memory, layers apart, elements side by side or not.
    for (const index_t stride : {1, 2}) {
      std::vector<float> memory(150 * 5 * 50 * 2);
      const states_view<float> view(memory.data() + 149 * 500, 150, 5, 40, -500, 100, stride);
      for (index_t n = 0; n < 150; ++n)
        for (index_t l = 0; l < 5; ++l)
          for (index_t j = 0; j < 40; ++j) view.sample(n)(l, j) = s.view().sample(n)(l, j);
      strided.assign(strided.size(), 0);
      others = {};
      add_probe_loss(probe, view, s.labels, order, objective, fixed_random, others, strided);
      CHECK(others.sum == Approx(whole.sum).epsilon(1e-6));
      for (std::size_t i = 0; i < strided.size(); ++i)
        CHECK(strided[i] == Approx(gradient[i]).epsilon(1e-3).margin(1e-4));
    }
    numbers one(150), two(150);
    score_probe(probe, s.view(), one);
    score_probe(probe, s.view(), two, pool);
    CHECK(one == two);
  }
}

TEST_CASE("routing probe loss: more draws begin with the fewer, another epoch has its own") {
  const drawn_states<double> s(3, 4, 5);
  const auto probe = initialise_probe<double>({.layers = 4, .width = 5}, 4);
  const double one = loss_of(probe, s.view(), s.labels, {.draws = 1}).sum;
  const double two = loss_of(probe, s.view(), s.labels, {.draws = 2}).sum;
  CHECK(one != two);
  probe_loss again, other;
  const auto order = all_of(3);
  add_probe_loss(probe, s.view(), s.labels, order, {}, fixed_random, again, {});
  add_probe_loss(probe, s.view(), s.labels, order, {}, epoch_random(fixed_random, 1), other, {});
  CHECK(again.sum == one);
  CHECK(other.sum != one);
  numbers many;
  loss_of(probe, s.view(), s.labels, {.draws = 500}, &many);
  CHECK(loss_of(probe, s.view(), s.labels, {.draws = 2000}).sum ==
        Approx(loss_of(probe, s.view(), s.labels, {.noise = weight_noise::delta}).sum).epsilon(0.01));
}

TEST_CASE("routing probe loss: what is not finite is left out and counted") {
  drawn_states<float> s(12, 3, 20);
  const auto clean = s;
  s.x[3 * 60 + 25] = std::nanf("");                            // layer 1
  s.x[5 * 60] = std::numeric_limits<float>::infinity();        // layer 0
  s.x[7 * 60 + 59] = -std::numeric_limits<float>::infinity();  // layer 2
  s.labels[8] = std::nan("");
  s.labels[9] = 1.5;
  for (const pooling how :
       {pooling::fixed, pooling::last, pooling::mean, pooling::max, pooling::softmax, pooling::dirichlet})
    for (const indices& hidden : {indices{}, {4}}) {
      INFO(static_cast<int>(how));
      const auto probe = initialise_probe<float>({how, 3, 20, 1, hidden, {}}, 4);
      numbers gradient, expected(static_cast<std::size_t>(probe.size())), logits(12);
      const probe_loss loss = loss_of(probe, s.view(), s.labels, {}, &gradient);
      const bool one = how == pooling::fixed || how == pooling::last;
      CHECK(loss.invalid == (one ? 3 : 5));
      CHECK(loss.count == 12 - loss.invalid);
      std::vector<std::size_t> kept;
      for (const std::size_t i : all_of(12)) {
        const bool read = i == 3 ? how != pooling::last : i == 5 ? !one : i == 7 ? how != pooling::fixed : false;
        if (!read && i != 8 && i != 9) kept.push_back(i);
      }
      probe_loss without;
      add_probe_loss(probe, clean.view(), clean.labels, kept, {}, fixed_random, without, expected);
      CHECK(without.sum == loss.sum);
      CHECK(gradient == expected);
      CHECK(score_probe(probe, s.view(), logits) == (one ? 1 : 3));
    }
}

TEST_CASE("routing probe loss: one class, no samples, huge and denormal states") {
  drawn_states<double> s(5, 3, 4);
  const auto probe = initialise_probe<double>({.layers = 3, .width = 4}, 4);
  CHECK(std::isfinite(loss_of(probe, s.view(), numbers(5, 1.0), {}).sum));
  CHECK(loss_of(probe, states_view<const double>(s.x.data(), 0, 3, 4), {}, {}).count == 0);
  for (const double scale : {1e-310, 1e150}) {
    for (double& x : s.x) x *= scale;
    numbers gradient;
    CHECK(std::isfinite(loss_of(probe, s.view(), s.labels, {}, &gradient).sum));
    for (const double g : gradient) CHECK(std::isfinite(g));
    s = drawn_states<double>(5, 3, 4);
  }
}

TEST_CASE("routing probe loss: misuse") {
  const drawn_states<double> s(4, 3, 5);
  const auto probe = initialise_probe<double>({.layers = 3, .width = 5}, 1);
  const auto call = [&](const layer_probe<double>& p, const probe_objective& o, std::size_t index = 0) {
    probe_loss total;
    add_probe_loss(p, s.view(), s.labels, std::vector<std::size_t>{index}, o, {}, total, {});
  };
  CHECK_THROWS_WITH(call(probe, {}, 4), "hone::routing::probe_loss: order: has index 4 of 4");
  for (const probe_objective& bad : {probe_objective{.draws = 0},
                                     {.draws = 65536},
                                     {.kl = -1},
                                     {.kl = std::nan("")},
                                     {.prior = 0},
                                     {.entropy = -1},
                                     {.positive_weight = -1},
                                     {.negative_weight = std::nan("")},
                                     {.dropout = 1}})
    CHECK_THROWS_AS(call(probe, bad), std::invalid_argument);
  CHECK_THROWS_AS(call(initialise_probe<double>({pooling::mean, 3, 5, 0, {}, {}}, 1), {.kl = 1}),
                  std::invalid_argument);
  CHECK_THROWS_AS(
      call(initialise_probe<double>({.layers = 3, .width = 5, .hidden = {2}}, 1), {.noise = weight_noise::delta}),
      std::invalid_argument);
  CHECK_THROWS_WITH(call(initialise_probe<double>({.layers = 4, .width = 5}, 1), {}),
                    "hone::routing::probe_loss: states: are of 3 layers of 5, the probe's of 4 of 5");
  probe_loss total;
  const std::vector<std::size_t> order = {0};
  numbers gradient(3);
  CHECK_THROWS_AS(add_probe_loss(probe, s.view(), s.labels, order, {}, {}, total, gradient), std::invalid_argument);
  CHECK_THROWS_AS(add_probe_loss(probe, s.view(), numbers(3), order, {}, {}, total, {}), std::invalid_argument);
  check_refuses_spans<double>(static_cast<std::size_t>(probe.size()),
                              "hone::routing::probe_loss: gradient: ", [&](std::span<double> out) {
                                add_probe_loss(probe, s.view(), s.labels, order, {}, {}, total, out);
                              });
  check_refuses_spans<double>(
      4, "hone::routing::score_probe: logits: ", [&](std::span<double> out) { score_probe(probe, s.view(), out); });
  CHECK_THROWS_AS(score_probe(probe, s.view(), std::span(gradient)), std::invalid_argument);
}
