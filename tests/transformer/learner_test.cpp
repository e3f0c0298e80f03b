// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/learner.hpp"

#include <barrier>
#include <limits>
#include <thread>

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

/// 11 pairs of several lengths.
labelled_rows pairs(const config& c) {
  labelled_rows rows;
  const auto id = [&](index_t i) { return static_cast<std::int32_t>(i % c.vocab); };
  for (index_t s = 0; s < 11; ++s) {
    std::vector<std::int32_t> prompt, answer;
    for (index_t t = 0; t <= s % 4; ++t) prompt.push_back(id(3 * s + 5 * t + 1));
    for (index_t t = 0; t <= s % 3; ++t) answer.push_back(id(7 * s + 2 * t));
    rows.add(prompt, answer);
  }
  return rows;
}

/// The likelihood of every label over their number, as a user writes it.
auto mean_likelihood(const labelled_rows& rows) {
  return [&rows](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets),
                            {.scale = 1 / static_cast<double>(rows.label_count())});
  };
}

constexpr learner_options small_lanes{.rows = 12};

/// What the learner's steps are made of, put together by hand.
template <class Model>
void step_by_hand(const Model& model, std::vector<float>& p, std::vector<float>& m, std::vector<float>& v,
                  const labelled_rows& rows, long t, double rate, double decay, double clip) {
  gradient_lanes<float> lanes(model, (std::max)(model.shape().max_seq, index_t{12}), 4);
  std::vector<float> g(p.size());
  accumulate_gradient(model, p, rows.batch(), mean_likelihood(rows), lanes, g);
  const double factor = gradient::clip_factor(static_cast<double>(squared_norm(g)), clip);
  gradient::weighted_sum({factor}, gradient::tasks(g),
                         gradient::adamw(p, m, v, t, {.learning_rate = rate, .weight_decay = decay}));
}

std::vector<float> copy_of(std::span<const float> x) { return {x.begin(), x.end()}; }

}  // namespace

TEST_CASE("learner: steps are those made by hand, to the bit, for any workers") {
  for (const config& c : {small_models()[0], small_models()[5]}) {
    const labelled_rows rows = pairs(c);
    const decoder<float> model(c);
    std::vector<float> p = initial_parameters<float>(c, 1), m(p.size()), v(p.size());
    for (long t = 1; t <= 4; ++t)
      step_by_hand(model, p, m, v, rows, t, 1e-2 * gradient::rate_factor({.warmup = 3}, t), 0.1, 0.5);
    for (const index_t workers : {1, 2, 3}) {
      thread_pool pool(workers);
      learner<float> l(c, initial_parameters<float>(c, 1), small_lanes);
      double first = 0, last = 0;
      for (int t = 0; t < 4; ++t) {
        const auto [loss, length] =
            l.learn(rows.batch(), mean_likelihood(rows),
                    {.rate = 1e-2, .weight_decay = 0.1, .clip = 0.5, .schedule = {.warmup = 3}}, pool);
        CHECK(length > 0);
        CHECK(loss.count == rows.label_count());
        (t == 0 ? first : last) = loss.mean();
      }
      CHECK(last < first);
      CHECK(l.updates() == 4);
      CHECK(copy_of(l.trained()) == p);
      CHECK(l.parameters() == p);
      CHECK(l.merged() == p);
      CHECK(copy_of(l.all().m) == m);
      CHECK(copy_of(l.all().v) == v);
    }
  }
}

TEST_CASE("learner: an adapter's steps are those made by hand over the frozen base") {
  const config c = small_models()[1];
  const labelled_rows rows = pairs(c);
  const auto base = initial_parameters<float>(c, 1);
  const auto sites = adapter_sites(c, {role::wq, role::w2, role::wcls}, 2, 2.0);
  const decoder<float> model(c);
  const adapted_decoder<float> adapted(model, base, sites);
  std::vector<float> a = normals<float>(adapted.parameters(), 4, 0.1), m(a.size()), v(a.size());
  const std::vector<float> start = a;
  for (long t = 1; t <= 3; ++t) step_by_hand(adapted, a, m, v, rows, t, 1e-2, 0, 1);

  learner<float> l(c, base, small_lanes);
  l.remember_reference();
  l.learn(rows.batch(), mean_likelihood(rows), {.rate = 1e-2});  // moments that the adapter must not see
  l.adapt(base, sites, start);
  CHECK(l.updates() == 0);
  CHECK(copy_of(l.trained()) == start);
  for (int t = 0; t < 3; ++t) l.learn(rows.batch(), mean_likelihood(rows), {.rate = 1e-2, .clip = 1});
  CHECK(copy_of(l.trained()) == a);
  CHECK(l.parameters() == base);
  CHECK(l.merged() == adapted.merged(a));
  CHECK(l.reference() == base);
  l.remember_reference();
  CHECK(l.reference() == adapted.merged(a));
}

TEST_CASE("learner: likelihoods of answers, of the model and of its reference") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  learner<float> l(c, initial_parameters<float>(c, 1), small_lanes);
  l.remember_reference();
  const auto before = l.sequence_nll(rows);
  CHECK(l.reference_nll(rows) == before);
  const std::vector<double> wide(l.parameters().begin(), l.parameters().end());
  for (index_t s = 0; s < rows.sequences(); ++s) {
    const index_t begin = rows.batch().begin(s), end = rows.batch().end(s);
    const naive_decoder naive(c, wide, {rows.tokens.begin() + begin, rows.tokens.begin() + end});
    double nll = 0;
    for (index_t t = begin; t < end; ++t) {
      const std::int32_t target = rows.targets[static_cast<std::size_t>(t)];
      if (target < 0) continue;
      const auto& logits = naive.logits[static_cast<std::size_t>(t - begin)];
      double sum = 0;
      for (const double z : logits) sum += std::exp(z);
      nll += std::log(sum) - logits[static_cast<std::size_t>(target)];
    }
    CHECK(before[static_cast<std::size_t>(s)] == Approx(nll).epsilon(1e-5));
  }
  l.learn(rows.batch(), mean_likelihood(rows), {.rate = 1e-2});
  CHECK(l.sequence_nll(rows) != before);
  CHECK(l.reference_nll(rows) == before);

  double error = 0;  // the reference beside the model, in a loss of the model's
  std::vector<double> of_reference(rows.labels.size());
  l.evaluate(rows.batch(), [&](microbatch<float>& part) {
    auto& other = l.reference_of(part);
    loss::sequence_nll(other.logits(), part.rows_of<std::int32_t>(rows.targets), part.tokens.offsets,
                       rows_of(of_reference, part.first_sequence, part.tokens.sequences()));
    for (index_t i = 0; i < part.tokens.rows(); ++i)
      error = worst(error, std::abs(static_cast<double>(other.logits()(i, 0) - part.activations.logits()(i, 0))));
  });
  CHECK(of_reference == before);
  CHECK(error > 0);
}

TEST_CASE("learner: the likelihood's gradient, with a weight for each sequence") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  learner<float> l(c, initial_parameters<float>(c, 1), small_lanes);
  std::vector<double> weights;
  for (std::size_t s = 0; s < rows.labels.size(); ++s)
    weights.push_back(s % 3 == 1 ? -0.5 : 0.25 * static_cast<double>(s));
  std::vector<float> weighted(l.trained().size()), plain(weighted.size()), one(weighted.size());
  l.likelihood(rows, weighted, 0.5, weights);
  for (index_t s = 0; s < rows.sequences(); ++s) {
    labelled_rows single;
    single.add(rows, s);
    std::fill(one.begin(), one.end(), 0.0f);
    l.likelihood(single, one, 0.5 * weights[static_cast<std::size_t>(s)]);
    axpy(1.0f, one, plain);
  }
  double largest = 0;
  for (const float x : plain) largest = worst(largest, std::abs(static_cast<double>(x)));
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(weighted[i] == Approx(plain[i]).margin(1e-5 * largest));
}

TEST_CASE("learner: a loss on whole answers, made of likelihoods by hand") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  learner<float> l(c, initial_parameters<float>(c, 1), small_lanes);
  const std::vector<double> nll = l.sequence_nll(rows), mean = l.mean_nll(rows);
  std::vector<double> slope(nll.size());
  for (std::size_t s = 0; s < nll.size(); ++s) {
    CHECK(mean[s] == nll[s] / static_cast<double>(rows.labels[s]));
    slope[s] = std::cos(nll[s]);
  }
  std::vector<float> g(l.trained().size(), 0.5f), expected = g;
  l.likelihood(rows, expected, 0.25, slope);
  const auto sum = l.accumulate_answers(rows, g, 0.25, [&](std::span<const double> x, std::span<double> d) {
    CHECK(std::equal(x.begin(), x.end(), nll.begin(), nll.end()));
    std::copy(slope.begin(), slope.end(), d.begin());
    return loss::loss_sum{7, std::ssize(x), 0};
  });
  CHECK(sum.sum == 7);
  CHECK(sum.count == 11);
  CHECK(g == expected);
}

TEST_CASE("learner: two parts whose sums a callable adds have the bits of one") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  constexpr int steps = 3;
  learner<float> alone(c, initial_parameters<float>(c, 1), small_lanes);
  double loss_alone = 0;
  for (int t = 0; t < steps; ++t)
    loss_alone = alone.learn(rows.batch(), mean_likelihood(rows), {.rate = 1e-2, .clip = 1}).loss.mean();
  const auto nll_alone = alone.sequence_nll(rows);

  // Both ranks lay out what they have, wait, and read both: the first plus the second.
  std::barrier<> both(2);
  const void* laid_out[2];
  const auto sum_of = [&](std::size_t rank) {
    return [&, rank]<class X>(std::span<X> x) {
      laid_out[rank] = x.data();
      both.arrive_and_wait();
      std::vector<X> sum(x.size());
      for (std::size_t i = 0; i < x.size(); ++i)
        sum[i] = static_cast<const X*>(laid_out[0])[i] + static_cast<const X*>(laid_out[1])[i];
      both.arrive_and_wait();
      std::copy(sum.begin(), sum.end(), x.begin());
    };
  };
  std::vector<float> trained[2];
  std::vector<double> nll[2];
  double loss[2];
  const auto run = [&](std::size_t rank) {
    learner l(c, initial_parameters<float>(c, 1),
              learner_options{.rows = 12, .part = static_cast<index_t>(rank), .parts = 2}, sum_of(rank));
    for (int t = 0; t < steps; ++t)
      loss[rank] = l.learn(rows.batch(), mean_likelihood(rows), {.rate = 1e-2, .clip = 1}).loss.mean();
    trained[rank] = copy_of(l.trained());
    nll[rank] = l.sequence_nll(rows);
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  for (const int rank : {0, 1}) {
    CHECK(trained[rank] == alone.parameters());
    CHECK(nll[rank] == nll_alone);
    CHECK(loss[rank] == loss_alone);
  }
}

TEST_CASE("learner: goes on from its state with the bits of one that was never interrupted") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  const gradient::step_options how{.rate = 1e-2, .weight_decay = 0.01, .clip = 1, .schedule = {.warmup = 5}};
  learner<float> whole(c, initial_parameters<float>(c, 1), small_lanes),
      half(c, initial_parameters<float>(c, 1), small_lanes);
  whole.remember_reference();
  half.remember_reference();
  for (int t = 0; t < 6; ++t) whole.learn(rows.batch(), mean_likelihood(rows), how);
  for (int t = 0; t < 3; ++t) half.learn(rows.batch(), mean_likelihood(rows), how);
  learner<float> later(c, initial_parameters<float>(c, 2), small_lanes);
  later.remember_reference();
  const auto from = half.all(), to = later.all();
  copy(from.trained, to.trained);
  copy(from.m, to.m);
  copy(from.v, to.v);
  copy(from.reference, to.reference);
  to.updates = from.updates;
  for (int t = 0; t < 3; ++t) later.learn(rows.batch(), mean_likelihood(rows), how);
  CHECK(later.parameters() == whole.parameters());
  CHECK(later.reference_nll(rows) == whole.reference_nll(rows));
}

TEST_CASE("learner: a loss that returns nothing, and one whose gradient is not finite") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  learner<float> l(c, initial_parameters<float>(c, 1), small_lanes),
      other(c, initial_parameters<float>(c, 1), small_lanes);
  const auto silent = [&](microbatch<float>& part) { mean_likelihood(rows)(part); };
  CHECK(l.learn(rows.batch(), silent, {}).loss.count == 0);
  other.learn(rows.batch(), mean_likelihood(rows), {});
  CHECK(l.parameters() == other.parameters());
  const auto broken = [](microbatch<float>& part) {
    fill(part.activations.logits().col(0), std::numeric_limits<float>::quiet_NaN());
  };
  CHECK(!std::isfinite(l.learn(rows.batch(), broken, {}).length));
  CHECK(l.parameters() == other.parameters());
  CHECK(l.updates() == 1);
}

TEST_CASE("learner: what does not fit is refused, and leaves it as it was") {
  using Catch::Contains;
  const config c = small_models()[0];
  CHECK_THROWS_WITH(learner<float>(c, std::vector<float>(7)), Contains("parameters: has 7 elements"));
  const auto sites = adapter_sites(c, {role::wq}, 2, 2.0);
  const auto base = initial_parameters<float>(c, 1);
  learner<float> l(c, base, small_lanes);
  CHECK_THROWS_WITH(l.adapt(base, sites, std::vector<float>(3)), Contains("adapter: has 3 elements"));
  CHECK_THROWS_WITH(l.adapt(std::vector<float>(5), sites, {}), Contains("parameters"));
  CHECK(l.parameters() == base);
  CHECK(copy_of(l.trained()) == base);
}

TEST_CASE("learner: the page's example learns") {
  const config shape = small_models()[0];
  const labelled_rows rows = pairs(shape);
  thread_pool pool(2);
  const auto likelihood = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(rows.targets),
                            {.scale = 1 / static_cast<double>(rows.label_count())});
  };
  learner<float> l(shape, initial_parameters<float>(shape, 1));
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    const auto [loss, length] = l.learn(
        rows.batch(), likelihood, {.rate = 1e-2, .weight_decay = 0.01, .clip = 1, .schedule = {.warmup = 5}}, pool);
    if (!std::isfinite(length)) throw std::runtime_error("the gradient is not finite");
    (step == 0 ? first : last) = loss.mean();
  }
  CHECK(last < 0.5 * first);
}

TEST_CASE("learner: sums over parts are of the loss, its rows and those that are not finite, and are added") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  const auto tenfold = []<class X>(std::span<X> x) {
    for (X& v : x) v *= 10;
  };
  learner<float, decltype(tenfold)> half(c, initial_parameters<float>(c, 1), {.rows = 12, .part = 0, .parts = 2},
                                         tenfold);
  learner<float> same(c, initial_parameters<float>(c, 1), {.rows = 12, .part = 0, .parts = 2});
  const auto counted = [&](microbatch<float>& part) {
    loss::loss_sum sum = mean_likelihood(rows)(part);
    sum.nonfinite = part.tokens.sequences();
    return sum;
  };
  std::vector<float> g(half.trained().size(), 0.25f), own(g.size());
  const auto sum = half.accumulate(rows.batch(), counted, g), alone = same.accumulate(rows.batch(), counted, own);
  CHECK(sum.sum == 10 * alone.sum);
  CHECK((sum.count == 10 * alone.count && alone.count > 0));
  CHECK((sum.nonfinite == 10 * alone.nonfinite && alone.nonfinite > 0));
  for (std::size_t i = 0; i < g.size(); ++i) REQUIRE(g[i] == 0.25f + 10 * own[i]);
  std::vector<double> x = {1, 2};
  half.sum_over_parts(x);
  CHECK(x == std::vector<double>{10, 20});
  same.remember_reference(), half.remember_reference();
  const auto nll = same.reference_nll(rows), more = half.reference_nll(rows);
  for (std::size_t s = 0; s < nll.size(); ++s) CHECK(more[s] == 10 * nll[s]);
}

TEST_CASE("learner: a likelihood is told without its scale, and a reference that is not there is refused") {
  const config c = small_models()[0];
  const labelled_rows rows = pairs(c);
  learner<float> l(c, initial_parameters<float>(c, 1), small_lanes);
  const auto nll = l.sequence_nll(rows);
  std::vector<double> weights(nll.size());
  double plain = 0, weighted = 0;
  for (std::size_t s = 0; s < nll.size(); ++s) {
    weights[s] = static_cast<double>(s) - 3;
    plain += nll[s], weighted += weights[s] * nll[s];
  }
  std::vector<float> g(l.trained().size());
  CHECK(l.likelihood(rows, g, 0.25).sum == Approx(plain).epsilon(1e-6));
  CHECK(l.likelihood(rows, g, 0.25, weights).sum == Approx(weighted).epsilon(1e-6));
  CHECK(l.likelihood(rows, g, 0.25).count == rows.label_count());
  CHECK_THROWS_WITH(l.likelihood(rows, std::span(g).first(3), 1), Catch::Contains("gradient"));
  CHECK_THROWS_WITH(l.reference_nll(rows), Catch::Contains("parameters: has 0"));
  l.learn(rows.batch(), mean_likelihood(rows), {});
  l.reset_moments();
  CHECK(l.updates() == 0);
  CHECK(squared_norm(l.all().m) == 0);
  CHECK(squared_norm(l.all().v) == 0);
}
