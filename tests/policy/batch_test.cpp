// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/batch.hpp"

#include "hone/core/random.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/loss/sequence.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/surrogate.hpp"
#include "policy/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

/// The batch of the reference vectors (G3): responses of 4 and 2 tokens.
struct g3 {
  std::vector<index_t> offsets = {0, 4, 6};
  std::vector<double> old = {-1.2, -.7, -2.3, -.05, -.9, -1.5}, log_p = {-1.0, -1.1, -2.0, -.04, -.5, -1.9},
                      advantage = {1.25, 1.25, 1.25, 1.25, -.75, -.75};
  std::vector<loss::row_terms> terms = std::vector<loss::row_terms>(6);

  [[nodiscard]] token_batch batch() const {
    return {.offsets = offsets, .log_probability = log_p, .old = old, .advantage = advantage};
  }
  template <class R, class S>
  double operator()(const R& ratio, const S& surrogate, const aggregation& mode) {
    return policy_loss(objective{ratio, surrogate}, batch(), mode, {terms}).sum / mode.denominator;
  }
};

}  // namespace

TEST_CASE("the aggregations give the reference vectors (G3)") {
  g3 g;
  const auto counts = count(g.offsets);
  CHECK(counts.tokens == 6);
  CHECK(counts.sequences == 2);
  const auto value = [&](const aggregation& mode) { return g(token_ratio{}, ppo_clip{}, mode); };
  CHECK(value(token_mean(counts)) == Approx(-0.563599041).epsilon(1e-8));
  CHECK(value(sequence_token_mean(counts)) == Approx(-0.207840715).epsilon(1e-8));
  CHECK(value(sequence_token_sum(counts)) == Approx(-1.690797122).epsilon(1e-8));
  CHECK(value(constant_sum(4)) == Approx(-0.845398561).epsilon(1e-8));
  CHECK(value(constant_mean(counts, 4)) == Approx(-0.422699280).epsilon(1e-8));
  value(token_mean(counts));
  const double expected[] = {0, -0.139650010, 0, -0.210427118, 0.186478087, 0};
  for (std::size_t t = 0; t < 6; ++t) CHECK(g.terms[t].target == Approx(expected[t]).epsilon(1e-8));
}

TEST_CASE("ratio levels and surrogates give the reference vectors (G3)") {
  g3 g;
  const auto counts = count(g.offsets);
  CHECK(g(token_ratio{}, ppo_clip{.high = 0.28}, token_mean(counts)) == Approx(-0.584724615).epsilon(1e-8));
  CHECK(g(geometric_ratio{}, ppo_clip{.low = 3e-4, .high = 4e-4}, sequence_token_mean(counts)) ==
        Approx(-0.250250000).epsilon(1e-8));
  CHECK(g(sequence_ratio{}, ppo_clip{}, sequence_token_mean(counts)) == Approx(-0.322673794).epsilon(1e-8));
  CHECK(g(token_ratio{}, cispo{}, token_mean(counts)) == Approx(0.726492119).epsilon(1e-8));
  CHECK(g(token_ratio{}, cispo{0.8, 1.28}, token_mean(counts)) == Approx(0.709542659).epsilon(1e-8));
  CHECK(g(token_ratio{}, sapo{}, sequence_token_mean(counts)) == Approx(-0.545785907).epsilon(1e-8));
  CHECK(g(clipped_geometric_ratio{}, unclipped{}, sequence_token_mean(counts)) == Approx(-0.267426009).epsilon(1e-8));
}

TEST_CASE("the micro-batch trap: counts of the whole batch, not the mean of means (G3)") {
  // Token losses 1 in a response of 4 and 4 in one of 2, by A = -loss and rho = 1.
  const std::vector<double> log_p(6, -1.0), advantage = {-1, -1, -1, -1, -4, -4};
  const std::vector<index_t> offsets = {0, 4, 6}, first = {0, 4}, second = {0, 2};
  const auto mode = token_mean(count(offsets));
  const auto part = [&](const std::vector<index_t>& own, std::size_t begin, const aggregation& aggregate) {
    const auto n = static_cast<std::size_t>(own.back());
    const token_batch batch{.offsets = own,
                            .log_probability = std::span(log_p).subspan(begin, n),
                            .advantage = std::span(advantage).subspan(begin, n)};
    return policy_loss(objective{token_ratio{}, ppo_clip{}}, batch, aggregate, {}).sum / aggregate.denominator;
  };
  CHECK(part(offsets, 0, mode) == 2);
  CHECK(part(first, 0, mode) + part(second, 4, mode) == 2);
  CHECK((part(first, 0, token_mean(count(first))) + part(second, 4, token_mean(count(second)))) / 2 == 2.5);
}

namespace {

struct big_batch {
  std::vector<index_t> offsets = {0};
  std::vector<std::int32_t> targets;
  std::vector<double> log_p, old, reference, advantage, entropy;

  explicit big_batch(index_t sequences) {
    const philox random{5, 1};
    for (index_t b = 0; b < sequences; ++b)
      offsets.push_back(offsets.back() + static_cast<index_t>(40 * random.uniform(static_cast<std::uint64_t>(b), 9)));
    for (std::uint64_t t = 0; t < static_cast<std::uint64_t>(offsets.back()); ++t) {
      targets.push_back(random.uniform(t, 1) < 0.2 ? -1 : 3);
      log_p.push_back(-2 * random.uniform(t, 2));
      old.push_back(log_p.back() + 0.2 * random.normal(t, 3));
      reference.push_back(log_p.back() + 0.2 * random.normal(t, 4));
      advantage.push_back(random.normal(t, 5));
      entropy.push_back(random.uniform(t, 6));
    }
  }
  /// Responses [first, last) into their part of the outputs.
  template <class Objective, class Pool>
  policy_sum part(const Objective& f, const aggregation& mode, std::size_t first, std::size_t last,
                  std::span<loss::row_terms> terms, std::span<double> losses, Pool& pool) const {
    const auto begin = static_cast<std::size_t>(offsets[first]), n = static_cast<std::size_t>(offsets[last]) - begin;
    std::vector<index_t> own;
    for (std::size_t b = first; b <= last; ++b) own.push_back(offsets[b] - offsets[first]);
    const auto cut = [&](const auto& x) { return std::span(x).subspan(begin, n); };
    return policy_loss(f,
                       {.offsets = own,
                        .targets = cut(targets),
                        .log_probability = cut(log_p),
                        .old = cut(old),
                        .advantage = cut(advantage),
                        .reference = cut(reference),
                        .entropy = cut(entropy)},
                       mode, {terms.subspan(begin, n), losses.subspan(first, last - first)}, pool);
  }
};

bool same(const std::vector<loss::row_terms>& x, const std::vector<loss::row_terms>& y) {
  bool equal = x.size() == y.size();
  for (std::size_t t = 0; equal && t < x.size(); ++t)
    equal = x[t].target == y[t].target && x[t].subset == y[t].subset && x[t].entropy == y[t].entropy;
  return equal;
}

}  // namespace

TEMPLATE_TEST_CASE("any cut of a batch and any number of workers give the same bits", "", token_ratio, sequence_ratio,
                   geometric_ratio, clipped_geometric_ratio) {
  const std::size_t sequences = 101;
  const big_batch b(sequences);
  batch_counts counts = count(b.offsets, b.targets);
  const objective f{TestType{}, ppo_clip{}, kl_penalty{.coefficient = 0.1}, 0.01};
  for (const auto& mode : {token_mean(counts), sequence_token_mean(counts), constant_mean(counts, 40)}) {
    const std::size_t tokens = b.targets.size();
    std::vector<loss::row_terms> whole(tokens);
    std::vector<double> losses(sequences);
    const serial alone;
    const policy_sum all = b.part(f, mode, 0, sequences, whole, losses, alone);
    CHECK(total(std::span<const double>(losses)) == all.sum);
    thread_pool pool(3);
    for (const std::size_t size : {1u, 7u, 50u, 100u, 101u}) {
      std::vector<loss::row_terms> terms(tokens);
      std::vector<double> parts(sequences);
      policy_sum sum;
      for (std::size_t first = 0; first < sequences; first += size)
        sum += b.part(f, mode, first, (std::min)(first + size, sequences), terms, parts, pool);
      CHECK(same(terms, whole));
      CHECK(parts == losses);
      CHECK(total(std::span<const double>(parts), pool) == all.sum);
      CHECK(sum.tokens == all.tokens);
      CHECK(sum.inactive == all.inactive);
      CHECK(sum.sum == Approx(all.sum).epsilon(1e-12));
    }
  }
}

TEST_CASE("gradients on logits do not depend on the cut, in float and bfloat16") {
  const sample_batch s;
  const measured m(s, s.logits);
  const auto mode = sequence_token_mean(count(s.offsets, s.targets));
  std::vector<loss::row_terms> terms(10);
  policy_loss(objective{token_ratio{}, support_anchor{ppo_clip{}}}, m.batch(s), mode, {terms});
  const auto check = [&]<class T>(T) {
    std::vector<T> whole, parts;
    for (const double x : s.logits) whole.push_back(to<T>(x));
    parts = whole;
    write_gradient(matrix_view<T>(whole.data(), 10, s.vocab), s.targets, terms, m.support, s.temperature);
    thread_pool pool(2);
    for (std::size_t begin = 0; begin < 10; begin += 4) {
      const std::size_t n = (std::min)(std::size_t{4}, 10 - begin);
      write_gradient(
          matrix_view<T>(parts.data() + static_cast<index_t>(begin) * s.vocab, static_cast<index_t>(n), s.vocab),
          std::span(s.targets).subspan(begin, n), std::span(terms).subspan(begin, n),
          support_view{std::span(m.ids).subspan(3 * begin, 3 * n), std::span(m.probability).subspan(3 * begin, 3 * n),
                       3},
          s.temperature, pool);
    }
    for (std::size_t i = 0; i < whole.size(); ++i) REQUIRE(from(whole[i]) == from(parts[i]));
  };
  check(1.0f);
  check(bfloat16{});
}

TEST_CASE("empty responses and masked rows count nothing; a batch of nothing has the loss 0") {
  const std::vector<index_t> offsets = {0, 0, 2, 4};
  const std::vector<std::int32_t> targets = {1, 2, -1, -1}, masked(4, -1);
  const auto counts = count(offsets, targets);
  CHECK(counts.tokens == 2);
  CHECK(counts.sequences == 3);
  CHECK(counts.nonempty == 1);
  CHECK(sequence_token_mean(counts).denominator == 1);
  CHECK(sequence_token_mean(counts, true).denominator == 3);
  const std::vector<double> log_p = {-1, -2, NAN, -3}, advantage = {1, 1, NAN, 1};
  std::vector<loss::row_terms> terms(4, {.target = 9});
  const token_batch batch{.offsets = offsets, .targets = targets, .log_probability = log_p, .advantage = advantage};
  const auto mode = sequence_token_mean(counts);
  const auto result = policy_loss(objective{geometric_ratio{}, ppo_clip{}}, batch, mode, {terms});
  CHECK(result.sum == -1);
  CHECK(result.nonfinite == 0);
  CHECK(terms[2].target == 0);
  const auto none = token_mean(count(offsets, masked));
  CHECK(policy_loss(objective{token_ratio{}, ppo_clip{}},
                    {.offsets = offsets, .targets = masked, .log_probability = log_p, .advantage = advantage}, none,
                    {terms})
            .sum == 0);
  const std::vector<index_t> zero = {0};
  CHECK(policy_loss(objective{token_ratio{}, ppo_clip{}}, {.offsets = zero, .log_probability = {}, .advantage = {}},
                    token_mean(count(zero)), {})
            .tokens == 0);
}

TEST_CASE("a NaN is counted, and touches its own token alone, or its own response") {
  g3 g;
  g.log_p[1] = NAN;
  const auto mode = token_mean(count(g.offsets));
  auto result = policy_loss(objective{token_ratio{}, ppo_clip{}}, g.batch(), mode, {g.terms});
  CHECK(result.nonfinite == 1);
  CHECK(std::isnan(result.sum));
  CHECK(std::isnan(g.terms[1].target));
  for (const std::size_t t : {0u, 2u, 3u, 4u, 5u}) CHECK(std::isfinite(g.terms[t].target));
  std::vector<double> losses(2);
  result = policy_loss(objective{geometric_ratio{}, ppo_clip{}}, g.batch(), mode, {g.terms, losses});
  CHECK(result.nonfinite == 4);
  CHECK(std::isnan(g.terms[0].target));
  CHECK(std::isfinite(g.terms[4].target));
  CHECK(std::isfinite(losses[1]));
  g.log_p[1] = -1;
  g.advantage[5] = NAN;
  CHECK(policy_loss(objective{token_ratio{}, ppo_clip{}}, g.batch(), mode, {g.terms}).nonfinite == 1);
  CHECK(std::isnan(g.terms[5].target));
}

TEST_CASE("a second objective adds to the first: VAPO's likelihood of right answers; an entropy with its own mean") {
  const sample_batch s;
  const measured m(s, s.logits);
  auto batch = m.batch(s);
  const auto counts = count(s.offsets, s.targets);
  std::vector<double> positive;
  for (const double a : s.advantage) positive.push_back(a > 0);
  std::vector<loss::row_terms> both(10), first(10), second(10);
  std::vector<double> losses(5), one(5), two(5);
  const objective f{token_ratio{}, ppo_clip{}};
  const objective g{token_ratio{}, reinforce{}, {}, 0.3};
  policy_loss(f, batch, token_mean(counts), {both, losses});
  policy_loss(f, batch, token_mean(counts), {first, one});
  batch.advantage = positive;
  policy_loss(g, batch, sequence_token_mean(counts), {both, losses, true});
  policy_loss(g, batch, sequence_token_mean(counts), {second, two});
  for (std::size_t t = 0; t < 10; ++t) {
    CHECK(both[t].target == first[t].target + second[t].target);
    CHECK(both[t].entropy == first[t].entropy + second[t].entropy);
  }
  for (std::size_t b = 0; b < 5; ++b) CHECK(losses[b] == one[b] + two[b]);
}

TEST_CASE("batches that do not fit are refused, and nothing is written") {
  g3 g;
  const auto mode = token_mean(count(g.offsets));
  const objective f{token_ratio{}, ppo_clip{}};
  g.terms[0].target = 7;
  const auto run = [&](token_batch batch, auto&& objective, const aggregation& by) {
    return policy_loss(objective, batch, by, {g.terms});
  };
  auto batch = g.batch();
  const std::vector<double> three(3);
  const std::vector<std::int32_t> labels(3);
  const std::vector<index_t> wrong = {0, 4, 7}, descending = {0, 5, 4, 6};
  const auto refused = [&](auto&& change, const char* what) {
    auto changed = batch;
    change(changed);
    CHECK_THROWS_WITH(run(changed, f, mode), Catch::Contains(what));
  };
  refused([&](auto& b) { b.advantage = three; }, "advantage: has 3 tokens, the batch has 6");
  refused([&](auto& b) { b.old = three; }, "old");
  refused([&](auto& b) { b.weight = three; }, "weight");
  refused([&](auto& b) { b.targets = labels; }, "targets");
  refused([&](auto& b) { b.offsets = wrong; }, "offsets");
  refused([&](auto& b) { b.offsets = descending; }, "sequence 1");
  refused([&](auto& b) { b.offsets = {}; }, "offsets");
  CHECK_THROWS_WITH(run(batch, objective{token_ratio{}, ppo_clip{}, kl_penalty{.coefficient = 1}}, mode),
                    Catch::Contains("reference: has 0 tokens"));
  CHECK_THROWS_WITH(run(batch, objective{token_ratio{}, ppo_clip{}, {}, 0.1}, mode), Catch::Contains("entropy"));
  CHECK_THROWS_WITH(run(batch, objective{token_ratio{}, support_anchor{ppo_clip{}}}, mode),
                    Catch::Contains("log_mass"));
  CHECK_THROWS_WITH(run(batch, f, {false, 0}), Catch::Contains("denominator"));
  CHECK_THROWS_WITH(run(batch, f, constant_sum(NAN)), Catch::Contains("denominator"));
  CHECK_THROWS_WITH(policy_loss(f, batch, mode, {std::span(g.terms).first(2)}), Catch::Contains("terms"));
  std::vector<double> losses(3);
  CHECK_THROWS_WITH(policy_loss(f, batch, mode, {g.terms, losses}), Catch::Contains("losses"));
  CHECK(g.terms[0].target == 7);
}

TEST_CASE("denominators of a batch of nothing, of one, and of empty responses, by each aggregation") {
  const batch_counts none{}, one{.tokens = 1, .sequences = 1, .nonempty = 1},
      some{.tokens = 7, .sequences = 5, .nonempty = 3};
  const auto check = [](const aggregation& mode, bool mean_of_tokens, double denominator) {
    CHECK(mode.mean_of_tokens == mean_of_tokens);
    CHECK(mode.denominator == denominator);
  };
  for (const auto& [counts, nothing] : {std::pair(none, true), std::pair(one, false)}) {
    CAPTURE(nothing);
    check(token_mean(counts), false, 1);
    for (const bool empty : {false, true}) {
      check(sequence_token_mean(counts, empty), true, 1);
      check(sequence_token_sum(counts, empty), false, 1);
    }
    check(constant_mean(counts, 4), false, 4);
  }
  check(token_mean(some), false, 7);
  check(sequence_token_mean(some), true, 3);
  check(sequence_token_mean(some, true), true, 5);
  check(sequence_token_sum(some), false, 3);
  check(sequence_token_sum(some, true), false, 5);
  check(constant_mean(some, 4), false, 20);
  check(constant_sum(6), false, 6);
  check({}, false, 1);
}

TEST_CASE("counts of a batch: label 0 counts; sizes that do not fit are refused") {
  const std::vector<index_t> offsets = {0, 2, 3};
  const auto zero = count(offsets, std::vector<std::int32_t>{0, -1, 0});
  CHECK((zero.tokens == 2 && zero.sequences == 2 && zero.nonempty == 2));
  const token_batch batch{.offsets = offsets, .targets = {}, .log_probability = {}, .advantage = {}};
  CHECK((batch.counts(0) && batch.sequences() == 2));
  const std::vector<std::int32_t> labels = {0, -1, 5};
  const token_batch labelled{.offsets = offsets, .targets = labels, .log_probability = {}, .advantage = {}};
  CHECK((labelled.counts(0) && !labelled.counts(1) && labelled.counts(2)));
  CHECK_THROWS_WITH(count(offsets, std::vector<std::int32_t>{0, 1}), Catch::StartsWith("hone::policy::count: offsets"));
  CHECK_THROWS_WITH(count(std::vector<index_t>{0, 4, 3}), Catch::Contains("sequence 1 ends before it begins"));
  CHECK_THROWS_WITH(count({}), Catch::Contains("offsets: is empty"));
  for (const double bad : {0.0, -1.0, 1e300, double(INFINITY), double(NAN)})
    CHECK_THROWS_WITH((aggregation{false, bad}.check()), Catch::StartsWith("hone::policy::aggregation: denominator"));
  CHECK_NOTHROW((aggregation{false, 9e299}.check()));
  CHECK_NOTHROW((aggregation{true, 1e-300}.check()));
}
