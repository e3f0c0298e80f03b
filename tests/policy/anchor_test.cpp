// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/anchor.hpp"

#include "hone/policy/objective.hpp"
#include "hone/policy/rows.hpp"
#include "policy/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

/// One token of the reference vectors (G5).
struct g5 {
  std::vector<double> z = {1, .5, -.2, .1, -1.5}, z_ref = {.6, .9, .3, -.4, -.8}, z_old = {.9, .7, -.1, 0, -1.2};
  index_t width = 3;
  bool keep_target = false;
  std::vector<std::int32_t> ids;
  double ratio = 0, log_mass = 0, mass = 0, loss = 0;

  template <class Surrogate>
  std::vector<double> operator()(const Surrogate& surrogate, std::int32_t y, double advantage) {
    std::vector<double> log_p(1), old(1), log_m(1), reference_mass(1), likelihood(1);
    std::vector<double> probability(static_cast<std::size_t>(width)), row = z;
    ids.resize(static_cast<std::size_t>(width));
    const auto view = [](const std::vector<double>& x) {
      return matrix_view<const double>(x.data(), 1, std::ssize(x));
    };
    const std::vector<std::int32_t> target = {y};
    top_k_support(view(z_ref), target, width, {ids, probability, reference_mass}, {.keep_target = keep_target});
    const support_view support{ids, probability, width};
    measure(view(z), target, support,
            {.log_probability = log_p, .log_mass = log_m, .reference_likelihood = likelihood});
    measure(view(z_old), target, {}, {.log_probability = old});
    ratio = std::exp(log_p[0] - old[0]);
    log_mass = log_m[0];
    mass = reference_mass[0];
    std::vector<loss::row_terms> terms(1);
    const std::vector<index_t> offsets = {0, 1};
    const std::vector<double> a = {advantage};
    loss = policy_loss(objective{token_ratio{}, surrogate},
                       {.offsets = offsets,
                        .log_probability = log_p,
                        .old = old,
                        .advantage = a,
                        .log_mass = log_m,
                        .reference_mass = reference_mass,
                        .reference_likelihood = likelihood},
                       constant_sum(1), {terms})
               .sum;
    write_gradient(matrix_view<double>(row.data(), 1, std::ssize(row)), target, terms, support);
    return row;
  }
};

void close(const std::vector<double>& x, const std::vector<double>& y) {
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(y[i]).margin(1e-8));
}

const support_anchor apo{ppo_clip{}};

token_state punished(double log_mass, double reference_mass) {
  return {.log_probability = -1, .advantage = -1, .log_mass = log_mass, .reference_mass = reference_mass};
}

}  // namespace

TEST_CASE("APO gives the reference vectors (G5)") {
  g5 g;
  SECTION("a punished token inside the reference's top 3") {
    close(g(apo, 0, -.75), {0.541023161, -0.246771233, -0.122542968, -0.142865012, -0.028843948});
    CHECK(g.ids == std::vector<std::int32_t>{1, 2, -1});
    CHECK(g.ratio == Approx(1.133224620).epsilon(1e-8));
    CHECK(g.mass == Approx(0.564261930).epsilon(1e-8));
    CHECK(std::exp(g.log_mass) == Approx(0.378790112).epsilon(1e-8));
    CHECK(std::exp(g.log_mass) / g.mass == Approx(0.671301912).epsilon(1e-8));
    CHECK(g.loss == Approx(0.842066745).epsilon(1e-8));
    close(g(ppo_clip{}, 0, -.75), {0.495250745, -0.215116846, -0.106823865, -0.144197134, -0.029112899});
  }
  SECTION("the inclusive anchor") {
    g.keep_target = true;
    close(g(apo, 0, -.75), {0.512362520, -0.230513110, -0.114469423, -0.139263226, -0.028116761});
    CHECK(g.loss == Approx(0.75 * 1.094449744).epsilon(1e-8));
  }
  SECTION("a punished token outside") {
    close(g(apo, 3, -.75), {-0.380051868, -0.230513110, -0.114469423, 0.753151162, -0.028116761});
    CHECK(g.ids == std::vector<std::int32_t>{0, 1, 2});
    CHECK(g.mass == Approx(0.834156286).epsilon(1e-8));
    CHECK(g.loss == Approx(0.820837308).epsilon(1e-8));
  }
  SECTION("a rewarded token") {
    close(g(apo, 0, 1.25), {-0.825417908, 0.358528077, 0.178039774, 0.240328557, 0.048521499});
    CHECK(g.loss == Approx(-1.416530775).epsilon(1e-8));
  }
  SECTION("P2: policy, old and reference alike") {
    g.z = g.z_old = g.z_ref;
    close(g(apo, 0, -.75), {0.595200271, -0.308001705, -0.169034920, -0.070743117, -0.047420529});
    CHECK(g.loss == Approx(0.75 * 0.95).epsilon(1e-12));
  }
}

TEST_CASE("APO's step moves mass into the support, and leaks outside it (G5)") {
  const auto after = [](const auto& surrogate) {
    g5 g;
    const auto gradient = g(surrogate, 0, -.75);
    for (std::size_t v = 0; v < 5; ++v) g.z[v] -= 0.5 * gradient[v];
    const auto p = naive_softmax(g.z);
    return std::pair(p[1] + p[2], p[3] + p[4]);
  };
  CHECK(after(ppo_clip{}).first == Approx(.432916882).epsilon(1e-8));
  CHECK(after(apo).first == Approx(.439604121).epsilon(1e-8));
  CHECK(after(ppo_clip{}).second == Approx(.226785916).epsilon(1e-8));
  CHECK(after(apo).second == Approx(.227117904).epsilon(1e-8));
}

TEST_CASE("the gradient of the support's mass (G5), and P3: the pull is along it") {
  g5 g;
  const auto with = g(apo, 0, -.75);
  const auto p = naive_softmax(g.z);
  const double m = p[1] + p[2], j = p[0] + p[1] + p[2];
  std::vector<double> of_m, of_j;
  for (std::size_t v = 0; v < 5; ++v) {
    of_m.push_back(p[v] * ((v == 1 || v == 2) - m));
    of_j.push_back(p[v] * ((v < 3) - j));
  }
  CHECK(j == Approx(0.796086283).epsilon(1e-8));
  close(of_j, {0.085092413, 0.051611158, 0.025629342, -0.135063968, -0.027268945});
  const auto without = g(support_anchor{ppo_clip{}, 1.05, 0.0}, 0, -.75);
  double product = 0, squares = 0;
  for (std::size_t v = 0; v < 5; ++v) {
    product += (without[v] - with[v]) * of_m[v];
    squares += of_m[v] * of_m[v];
  }
  CHECK(product == Approx(0.007988480).epsilon(1e-7));
  CHECK(product == Approx(.75 * 0.1 / g.mass * squares).epsilon(1e-12));
}

TEST_CASE("P1: without push and pull APO is the base, bit for bit") {
  const sample_batch s;
  const measured m(s, s.logits);
  const auto mode = token_mean(count(s.offsets, s.targets));
  for (const auto form :
       {anchor_form::mass, anchor_form::log_mass, anchor_form::log_ratio, anchor_form::reference_likelihood})
    for (const auto placement : {clip_placement::clip_rectified, clip_placement::clip_raw_then_pull}) {
      std::vector<loss::row_terms> plain(10), anchored(10);
      const auto base = policy_loss(objective{token_ratio{}, ppo_clip{}}, m.batch(s), mode, {plain});
      const auto result = policy_loss(objective{token_ratio{}, support_anchor{ppo_clip{}, 1.0, 0.0, form, placement}},
                                      m.batch(s), mode, {anchored});
      CHECK(result.sum == base.sum);
      for (std::size_t t = 0; t < 10; ++t) {
        CHECK(anchored[t].target == plain[t].target);
        CHECK(anchored[t].subset == 0);
        CHECK(anchored[t].forward_kl == 0);
      }
    }
}

TEST_CASE("P2: push - pull must exceed 1 - low, or nothing fires at the start") {
  CHECK(apo.fires_at_start());
  CHECK(apo(punished(0, 1), 1).loss == Approx(0.95));
  CHECK(!support_anchor{ppo_clip{}, 1.05, 0.3}.fires_at_start());
  CHECK(support_anchor{ppo_clip{.low = 0.3}, 1.05, 0.3}.fires_at_start());
  CHECK(support_anchor{ppo_clip{}, 1.05, 0.3, anchor_form::mass, clip_placement::no_clip}.fires_at_start());
}

TEST_CASE("P4: a rewarded token does not see the reference") {
  for (const double r : {0.5, 1.0, 1.2}) {
    const token_state near{.log_probability = -1, .advantage = 1, .log_mass = -1, .reference_mass = 0.5};
    const token_state far{.log_probability = -1, .advantage = 1, .log_mass = -9, .reference_mass = 0.01};
    CHECK(apo(near, r).loss == apo(far, r).loss);
    CHECK(apo(near, r).by_ratio == ppo_clip{}(near, r).by_ratio);
    CHECK(apo(near, r).by_mass == 0);
  }
}

TEST_CASE("P5: push and pull stop together, once r exceeds (push rho - 1 + low) / pull") {
  for (const double rho : {0.9, 1.0, 1.1}) {
    const double edge = (1.05 * rho - 0.8) / 0.1;
    const auto at = [&](double r) { return apo(punished(std::log(r * 0.3), 0.3), rho); };
    CHECK(at(edge * 0.999).active());
    CHECK(!at(edge * 1.001).active());
  }
  CHECK(apo(punished(std::log(2.49 * 0.3), 0.3), 1).active());
  CHECK(!apo(punished(std::log(2.51 * 0.3), 0.3), 1).active());
  // Earlier than the base's clip where r > 0.4, later below.
  CHECK(!apo(punished(std::log(0.5), 1), 0.805).active());
  CHECK(ppo_clip{}(punished(0, 1), 0.805).active());
  CHECK(apo(punished(std::log(0.3), 1), 0.795).active());
  CHECK(!ppo_clip{}(punished(0, 1), 0.795).active());
}

TEST_CASE("P6: a tiny reference mass leaves the pull bounded; below 1e-8, or without a support, there is none") {
  for (const double z : {1e-2, 1e-5, 1e-7}) {
    const auto value = apo(punished(std::log(2 * z), z), 1);
    CHECK(value.by_mass * 2 * z == Approx(-0.1 * 2).epsilon(1e-12));
    CHECK(value.loss == Approx(1.05 - 0.2).epsilon(1e-12));
  }
  for (const double z : {0.0, 1e-9}) {
    const auto value = apo(punished(-std::numeric_limits<double>::infinity(), z), 1);
    CHECK(value.loss == 1.05);
    CHECK(value.by_mass == 0);
    CHECK(value.by_ratio == 1.05);
  }
}

TEST_CASE("a support without mass pulls no more; in the logarithm it pulls as long as the mass is a number") {
  const double none = -std::numeric_limits<double>::infinity();
  CHECK(apo(punished(none, 0.5), 1).loss == 1.05);
  const support_anchor logarithm{ppo_clip{}, 1.05, 0.1, anchor_form::log_mass, clip_placement::no_clip};
  CHECK(logarithm(punished(none, 0.5), 1).loss == 1.05);
  CHECK(logarithm(punished(-600, 0.5), 1).loss == Approx(1.05 + 60));
  CHECK(logarithm(punished(-600, 0.5), 1).by_mass == Approx(-0.1 * std::exp(600.0)));
  CHECK(std::isnan(apo(punished(NAN, 0.5), 1).loss));
}

TEST_CASE("1 + log(M / Z) is the mass's tangent where M = Z, stops later above and pulls harder below") {
  const auto form = [](anchor_form f, double pull = 0.1) {
    return support_anchor{ppo_clip{}, 1.05, pull, f, clip_placement::clip_rectified};
  };
  const auto tangent = form(anchor_form::log_ratio);
  for (const double z : {1.0, 0.3}) {
    const token_state start = punished(std::log(z), z);
    CHECK(tangent(start, 1).loss == Approx(apo(start, 1).loss));
    CHECK(tangent(start, 1).by_mass == Approx(apo(start, 1).by_mass));
    const token_state less = punished(std::log(z / 4), z);
    CHECK(tangent(less, 1).loss == Approx(1.05 - 0.1 * (1 - std::log(4))));
    CHECK(tangent(less, 1).by_mass == Approx(4 * apo(less, 1).by_mass));
    const double edge = std::exp((1.05 - 0.8) / 0.1 - 1);  // 2.5 for the mass
    CHECK(tangent(punished(std::log(0.999 * edge * z), z), 1).active());
    CHECK(!tangent(punished(std::log(1.001 * edge * z), z), 1).active());
  }
  CHECK(tangent(punished(-std::numeric_limits<double>::infinity(), 0.5), 1).loss == 1.05);
  CHECK(tangent(punished(0, 1e-9), 1).loss == 1.05);
  CHECK(std::isnan(tangent(punished(NAN, 0.5), 1).loss));
  CHECK(tangent.fires_at_start());
  CHECK(!form(anchor_form::log_ratio, 0.3).fires_at_start());
}

TEST_CASE("P7: a plain punishment raises the others in proportion; P8: gradients sum to 0") {
  g5 g;
  const auto plain = g(ppo_clip{}, 0, -.75);
  const auto p = naive_softmax(g.z);
  for (std::size_t v = 1; v < 5; ++v) CHECK(-plain[v] == Approx(.75 * g.ratio * p[v]).epsilon(1e-12));
  const auto sum = [](const std::vector<double>& x) {
    double total = 0;
    for (const double y : x) total += y;
    return total;
  };
  for (const auto form :
       {anchor_form::mass, anchor_form::log_mass, anchor_form::log_ratio, anchor_form::reference_likelihood})
    CHECK(std::abs(sum(g(support_anchor{ppo_clip{}, 1.05, 0.1, form, clip_placement::clip_raw_then_pull}, 0, -.75))) <
          1e-15);
}

TEST_CASE("the pull is proportional to the probabilities: it does not favour the rare members of the support") {
  g5 g;
  g.width = 4;  // the first three, and the punished one
  for (auto* logits : {&g.z, &g.z_old, &g.z_ref}) {
    logits->clear();
    for (const double p : {.60, .20, .05, .15}) logits->push_back(std::log(p));
  }
  const auto step = [&](const auto& surrogate) {
    const auto gradient = g(surrogate, 3, -.75);
    auto moved = g.z;
    for (std::size_t v = 0; v < 4; ++v) moved[v] -= gradient[v];
    return naive_softmax(moved);
  };
  const auto grpo_p = step(ppo_clip{}), apo_p = step(apo);
  const double by_grpo[] = {.7213, .1781, .0398}, by_apo[] = {.7278, .1761, .0390};
  for (std::size_t v = 0; v < 3; ++v) {
    CHECK(grpo_p[v] == Approx(by_grpo[v]).margin(5e-5));
    CHECK(apo_p[v] == Approx(by_apo[v]).margin(5e-5));
  }
}

TEST_CASE("an anchor over SAPO's gate, and parameters out of range") {
  const support_anchor soft{sapo{}, 1.0, 0.2};
  CHECK(soft(punished(0, 1), 1).loss == Approx(sapo{}(punished(0, 1), 0.8).loss));
  CHECK(soft(punished(0, 1), 1).by_mass == Approx(-0.2 * sapo{}(punished(0, 1), 0.8).by_ratio));
  CHECK_THROWS_WITH((support_anchor{ppo_clip{}, -1.0, 0.1}.check()), Catch::Contains("push"));
  CHECK_THROWS_WITH((support_anchor{ppo_clip{}, 1.0, double(INFINITY)}.check()), Catch::Contains("push"));
  CHECK_THROWS_WITH((support_anchor{ppo_clip{.low = -1}}.check()), Catch::Contains("low"));
  for (const double bad : {-1e-9, 1e300, double(INFINITY), double(NAN)}) {
    CHECK_THROWS_WITH((support_anchor{ppo_clip{}, bad, 0.1}.check()), Catch::Contains("support_anchor: push and pull"));
    CHECK_THROWS_WITH((support_anchor{ppo_clip{}, 1.0, bad}.check()), Catch::Contains("support_anchor: push and pull"));
  }
  CHECK_NOTHROW((support_anchor{ppo_clip{}, 0.0, 0.0}.check()));
  CHECK_NOTHROW((support_anchor{ppo_clip{}, 9e299, 9e299}.check()));
  CHECK((support_anchor{}.push == 1.05 && support_anchor{}.pull == 0.1));
}

TEST_CASE("the raw clip with a pull beside, for each form, and the measures that a form needs") {
  const double a = -0.7, m = std::log(0.2), z = 0.5;
  token_state token{.log_probability = -1, .advantage = a, .log_mass = m, .reference_mass = z};
  token.reference_likelihood = -2.5;
  for (const auto& [form, r, by_mass, by_likelihood] :
       {std::tuple(anchor_form::mass, 0.4, 2.0, 0.0), std::tuple(anchor_form::log_mass, m, 5.0, 0.0),
        std::tuple(anchor_form::log_ratio, 1 + std::log(0.4), 5.0, 0.0),
        std::tuple(anchor_form::reference_likelihood, -2.5, 0.0, 1.0)}) {
    CAPTURE(static_cast<int>(form));
    const support_anchor f{ppo_clip{}, 1.3, 0.2, form, clip_placement::clip_raw_then_pull};
    const auto base = ppo_clip{}(token, 1.1), value = f(token, 1.1);
    CHECK(base.by_ratio != 0);
    CHECK(value.loss == Approx(1.3 * base.loss + a * 0.2 * r).epsilon(1e-14));
    CHECK(value.by_ratio == Approx(1.3 * base.by_ratio).epsilon(1e-14));
    CHECK(value.by_mass == Approx(a * 0.2 * by_mass).epsilon(1e-14));
    CHECK(value.by_reference_likelihood == Approx(a * 0.2 * by_likelihood).epsilon(1e-14));
    const support_anchor free{ppo_clip{}, 1.3, 0.2, form, clip_placement::no_clip};
    const auto plain = free(token, 1.1);
    CHECK(plain.loss == Approx(-a * (1.3 * 1.1 - 0.2 * r)).epsilon(1e-14));
    CHECK(plain.by_ratio == Approx(-a * 1.3).epsilon(1e-14));
    CHECK(plain.by_mass == Approx(a * 0.2 * by_mass).epsilon(1e-14));
    CHECK(plain.by_reference_likelihood == Approx(a * 0.2 * by_likelihood).epsilon(1e-14));
    // Each form asks for its own measures, and none without a pull.
    const std::vector<index_t> offsets = {0, 1};
    const std::vector<double> one = {-1};
    const bool likelihood = form == anchor_form::reference_likelihood;
    const auto batch = [&](std::span<const double> log_mass, std::span<const double> mass,
                           std::span<const double> own) {
      return token_batch{.offsets = offsets,
                         .log_probability = one,
                         .advantage = one,
                         .log_mass = log_mass,
                         .reference_mass = mass,
                         .reference_likelihood = own};
    };
    CHECK_NOTHROW(f.check_batch(likelihood ? batch({}, one, one) : batch(one, one, {}), "f"));
    CHECK_THROWS_WITH(f.check_batch(batch(one, {}, one), "f"), "f: reference_mass: has 0 tokens, the batch has 1");
    CHECK_THROWS_WITH(f.check_batch(likelihood ? batch(one, one, {}) : batch({}, one, one), "f"),
                      Catch::Contains(likelihood ? "reference_likelihood" : "log_mass"));
    CHECK_NOTHROW(
        (support_anchor{ppo_clip{}, 1.3, 0.0, form, clip_placement::no_clip}.check_batch(batch({}, {}, {}), "f")));
  }
}
