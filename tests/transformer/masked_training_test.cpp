// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/masked_training.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/moe/schedule.hpp"
#include "hone/transformer/flops.hpp"
#include "hone/transformer/layout.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "transformer/corpus.hpp"
#include "transformer/masked_models.hpp"

#include <barrier>
#include <thread>

using namespace hone;
using namespace hone::transformer;

namespace {

constexpr std::int32_t mask = 11;

/// The loss of a masked batch and its routers' losses, from the formulas, of one workspace.
double loss_by_hand(const decoder<double>& model, const std::vector<double>& parameters, const masked_rows& rows,
                    const router_losses& losses) {
  workspace<double> w(model.shape(), std::ssize(rows.noised));
  model.forward(parameters, rows.batch(), w);
  const auto z = w.logits();
  double sum = 0;
  for (index_t s = 0; s < rows.sequences(); ++s) {
    const auto at = static_cast<std::size_t>(s);
    double of_sequence = 0, masked = 0;
    for (index_t i = rows.offsets[at]; i < rows.offsets[at + 1]; ++i) {
      const std::int32_t label = rows.labels[static_cast<std::size_t>(i)];
      if (label < 0) continue;
      double total = 0;
      for (index_t v = 0; v < z.cols(); ++v) total += std::exp(z(i, v));
      of_sequence += std::log(total) - z(i, label);
      ++masked;
    }
    sum += of_sequence / masked * static_cast<double>(rows.offsets[at + 1] - rows.offsets[at]);
  }
  sum /= static_cast<double>(rows.noised.size());
  const auto n = static_cast<double>(rows.noised.size());
  for (index_t layer = 0; layer < model.shape().n_layers; ++layer) {
    if (!model.shape().sparse(layer)) continue;
    const auto logits = w.router_logits(layer);
    const auto& plan = w.plan(layer);
    for (index_t i = 0; i < logits.rows(); ++i) {
      double total = 0, even = 0;
      for (index_t e = 0; e < 4; ++e) total += std::exp(logits(i, e));
      for (index_t e = 0; e < 4; ++e)
        even +=
            4 * static_cast<double>(plan.load(e)) / static_cast<double>(plan.size()) * std::exp(logits(i, e)) / total;
      sum += losses.z * std::pow(std::log(total), 2) / n + losses.balance * even / n;
    }
    for (index_t s = 0; s < rows.sequences(); ++s) {
      const index_t begin = rows.offsets[static_cast<std::size_t>(s)],
                    end = rows.offsets[static_cast<std::size_t>(s) + 1];
      for (index_t e = 0; e < 4; ++e) {
        double total = 0, covered = 0;
        for (index_t i = begin; i < end; ++i) {
          total += std::exp(logits(i, e));
          covered += std::exp(logits(i, e)) * static_cast<double>(plan.experts_of(i));
        }
        sum += losses.coverage * covered / total / (4 * 2) / static_cast<double>(rows.sequences());
      }
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("masked training: one step is that of the loss's own gradient, by differences") {
  for (const moe::router& r : {moe::expert_choice(2), moe::softmax_then_top_k(2)}) {
    const config shape = two_way_model(r);
    const decoder<double> model(shape);
    const std::vector<double> parameters = initial_parameters<double>(shape, 7);
    const corpus data(11);
    const std::vector<index_t> budget = {3, 3, 2, 2, 2, 1, 1, 1, 1};
    // A third of each sequence: rows of one that is masked wholly are equal, and experts' choice between them a tie.
    std::vector<index_t> counts;
    for (std::size_t s = 0; s + 1 < data.offsets.size(); ++s)
      counts.push_back((std::max)(index_t{1}, (data.offsets[s + 1] - data.offsets[s]) / 3));
    const bool choose = r.chosen == moe::selection::column_top;
    const masked_rows rows =
        mask_by_count(batch{data.tokens, data.offsets}, counts,
                      {.mask_token = mask,
                       .budget = choose ? std::span<const index_t>(budget) : std::span<const index_t>(),
                       .seed = 2});
    const router_losses losses{.balance = 0.3, .coverage = 0.2, .z = 0.1};
    learner<double> l(shape, parameters, {.rows = 200, .lanes = 1});  // one microbatch, whose counts are the batch's
    // Without moments' history a step of rate 1 with a tiny clip says nothing of lengths: the gradient is read.
    std::vector<double> gradient(parameters.size());
    double penalty = 0;
    l.accumulate(
        rows.batch(),
        [&](microbatch<double>& part) {
          penalty = tap_router_losses(part, losses, std::ssize(rows.noised), rows.sequences());
          return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(rows.labels),
                                  {.scale = 1 / rows.divisor, .weights = part.rows_of<double>(rows.weights)});
        },
        gradient);
    const double plain = loss_by_hand(model, parameters, rows, {});
    CHECK(loss_by_hand(model, parameters, rows, losses) == Approx(plain + penalty));
    // A few elements of every tensor: differences of all would take a while.
    double worst_error = 0, largest = 0;
    for (const tensor& t : model.table())
      for (index_t i = t.offset; i < t.offset + t.size(); i += 1 + t.size() / 3) {
        std::vector<double> moved = parameters;
        const auto at = static_cast<std::size_t>(i);
        moved[at] += 1e-5;
        const double above = loss_by_hand(model, moved, rows, losses);
        moved[at] -= 2e-5;
        const double slope = (above - loss_by_hand(model, moved, rows, losses)) / 2e-5;
        worst_error = worst(worst_error, std::abs(slope - gradient[at]));
        largest = worst(largest, std::abs(slope));
      }
    CHECK(worst_error < 1e-6 * largest);

    learner<double> other(shape, parameters, {.rows = 200, .lanes = 1});
    const gradient::step_options how{.rate = 1e-2, .clip = 1};
    routing_statistics seen(shape, 1);
    const masked_update u = learn_masked(l, rows, losses, how, &seen);
    CHECK(u.loss == Approx(plain));
    CHECK(u.length == Approx(std::sqrt(squared_norm(gradient))));
    CHECK(u.nonfinite == 0);
    CHECK(seen.layers()[0].tokens().tokens == std::ssize(rows.noised));
    other.step(gradient, how);
    double apart = 0;
    for (std::size_t i = 0; i < parameters.size(); ++i)
      apart = worst(apart, std::abs(l.parameters()[i] - other.parameters()[i]));
    CHECK(apart < 1e-9);
  }
}

TEST_CASE("masked training: the same bits for any number of workers") {
  const config shape = two_way_model(moe::expert_choice(2));
  const corpus data(11);
  const auto trained = [&](index_t workers) {
    thread_pool pool(workers);
    learner<float> l(shape, initial_parameters<float>(shape, 1), {.rows = 12, .lanes = 3});
    double loss = 0;
    for (std::uint32_t step = 1; step <= 5; ++step)
      loss += learn_masked(l, mask_by_time(batch{data.tokens, data.offsets}, {.mask_token = mask, .step = step}),
                           {.coverage = 0.01, .z = 1e-3}, {.rate = 1e-2, .clip = 1}, nullptr, pool)
                  .loss;
    return std::pair(loss, l.parameters());
  };
  const auto alone = trained(1);
  CHECK(trained(2) == alone);
  CHECK(trained(3) == alone);
}

TEST_CASE("masked training: losses by sequence are means over what is masked, and training lowers them") {
  const config shape = two_way_model(moe::top_k_then_softmax(2));
  const corpus data(11);
  const batch clean{data.tokens, data.offsets};
  std::vector<index_t> counts(23, 1);
  const masked_rows held = mask_by_count(clean, counts, {.mask_token = mask, .seed = 9});
  learner<float> l(shape, initial_parameters<float>(shape, 1), {.rows = 64});
  const auto mean = [&] {
    double sum = 0;
    for (const double x : masked_losses(l, held)) sum += x / 23;
    return sum;
  };
  double by_hand = 0;
  {
    workspace<float> w(shape, std::ssize(held.noised));
    l.model().forward(l.parameters(), held.batch(), w);
    for (std::size_t i = 0; i < held.labels.size(); ++i)
      if (held.labels[i] >= 0)
        by_hand -= loss::log_probability(w.logits().row(static_cast<index_t>(i)), held.labels[i]) / 23;
  }
  const double before = mean();
  CHECK(before == Approx(by_hand).epsilon(1e-5));
  counts[4] = 0;
  CHECK(std::isnan(masked_losses(l, mask_by_count(clean, counts, {.mask_token = mask, .seed = 9}))[4]));
  for (std::uint32_t step = 1; step <= 60; ++step)
    learn_masked(l, mask_by_time(clean, {.mask_token = mask, .step = step}), {.balance = 0.01},
                 {.rate = 1e-2, .clip = 1});
  CHECK(mean() < 0.7 * before);
}

TEST_CASE("masked training: bounds of a batch are those of its sequences, one by one") {
  const config shape = two_way_model(moe::expert_choice(2));
  const corpus data(11);
  const batch clean{data.tokens, data.offsets};
  const std::vector<index_t> budget = {1, 2, 1};
  std::vector<std::uint8_t> may(data.tokens.size());
  for (std::size_t i = 0; i < may.size(); ++i) may[i] = i % 3 != 1 || data.tokens.size() < 3;
  for (index_t s = 0; s < clean.sequences(); ++s) may[static_cast<std::size_t>(clean.begin(s))] = 1;
  learner<double> l(shape, initial_parameters<double>(shape, 1), {.rows = 12, .lanes = 3});
  thread_pool pool(3);
  for (const auto how : {diffusion::counts::independent, diffusion::counts::stratified, diffusion::counts::llada}) {
    diffusion::bound_options o{
        .draws = 3, .repeats = 2, .how = how, .mask_token = mask, .may = may, .seed = 4, .sequence = 5};
    const auto all = likelihood_bounds(l, clean, o, budget, pool);
    REQUIRE(std::ssize(all) == clean.sequences());
    for (index_t s = 0; s < clean.sequences(); s += 4) {
      const batch_slice one(clean, s, s + 1);
      o.sequence = static_cast<std::uint32_t>(5 + s);
      o.may = rows_of(may, clean.begin(s), one.rows());
      workspace<double> w(shape, one.rows());
      const diffusion::bound alone =
          diffusion::likelihood_bound(one.batch().tokens, o, [&](std::span<const std::int32_t> noised, index_t n) {
            const std::vector<index_t> capacity = {budget[static_cast<std::size_t>((std::min)(n, index_t{3}) - 1)]};
            l.model().forward(l.parameters(), {noised, one.batch().offsets, capacity}, w);
            double sum = 0;
            for (index_t i = 0; i < one.rows(); ++i) {
              const auto at = static_cast<std::size_t>(i);
              if (noised[at] == mask) sum -= loss::log_probability(w.logits().row(i), one.batch().tokens[at]);
            }
            return sum / static_cast<double>(n);
          });
      const auto& found = all[static_cast<std::size_t>(s)];
      CHECK(found.nats_per_token == Approx(alone.nats_per_token).epsilon(1e-9));
      CHECK(found.standard_error == Approx(alone.standard_error).epsilon(1e-6));
      CHECK((found.draws == 6 && found.nonfinite == 0));
    }
  }
  const std::vector<std::uint8_t> none(may.size());
  CHECK_THROWS_WITH(likelihood_bounds(l, clean, {.mask_token = mask, .may = none}),
                    Catch::Contains("sequence 0 has no token that may be masked"));
  CHECK_THROWS_WITH(likelihood_bounds(l, clean, {.draws = 0, .mask_token = mask}), Catch::Contains("draws: must be"));
}

TEST_CASE("masked training: two parts say what one says: losses, bounds, and how rows were routed") {
  for (const moe::router& r : {moe::top_k_then_softmax(2), moe::expert_threshold(2)}) {
    const config shape = two_way_model(r, true);
    const corpus data(11);
    const batch clean{data.tokens, data.offsets};
    const masked_rows rows = mask_by_time(clean, {.mask_token = mask, .seed = 9});
    struct all {
      std::vector<double> losses, trained;
      std::vector<diffusion::bound> bounds;
      std::vector<layer_routing> layers;
    };
    const auto measure = [&](auto& l) {
      all result;
      const auto sum = [&](std::span<double> x) { l.sum_over_parts(x); };
      for (std::uint32_t step = 1; step <= 3; ++step) {
        routing_statistics seen(shape);
        learn_masked(l, mask_by_time(clean, {.mask_token = mask, .step = step}), {}, {.rate = 1e-2, .clip = 1}, &seen);
        const auto layers = seen.layers(sum);
        if (r.chosen == moe::selection::threshold)
          follow_thresholds<double>(l.model(), l.trained(), layers, 0.5);
        else
          update_biases<double>(l.model(), l.trained(), layers, 0.01);
      }
      routing_statistics seen(shape);
      result.losses = masked_losses(l, rows, &seen);
      result.layers = seen.layers(sum);
      result.bounds = likelihood_bounds(l, clean, {.draws = 2, .mask_token = mask});
      result.trained.assign(l.trained().begin(), l.trained().end());
      return result;
    };
    learner<double> alone(shape, initial_parameters<double>(shape, 1), {.rows = 12});
    const all one = measure(alone);

    // Both parts lay out what they have, wait, and read both: the first plus the second.
    std::barrier<> both(2);
    const void* laid_out[2];
    all two[2];
    const auto run = [&](std::size_t rank) {
      const auto sum = [&, rank]<class X>(std::span<X> x) {
        laid_out[rank] = x.data();
        both.arrive_and_wait();
        std::vector<X> total(x.size());
        for (std::size_t i = 0; i < x.size(); ++i)
          total[i] = static_cast<const X*>(laid_out[0])[i] + static_cast<const X*>(laid_out[1])[i];
        both.arrive_and_wait();
        std::copy(total.begin(), total.end(), x.begin());
      };
      learner<double, decltype(sum)> l(shape, initial_parameters<double>(shape, 1),
                                       {.rows = 12, .part = static_cast<index_t>(rank), .parts = 2}, sum);
      two[rank] = measure(l);
    };
    std::thread other(run, 1);
    run(0);
    other.join();
    CHECK(two[0].trained == two[1].trained);
    for (const all& part : two) {
      for (std::size_t i = 0; i < one.trained.size(); ++i)
        REQUIRE(part.trained[i] == Approx(one.trained[i]).margin(1e-9));
      for (std::size_t s = 0; s < one.losses.size(); ++s) {
        CHECK(part.losses[s] == Approx(one.losses[s]).margin(1e-9));
        CHECK(part.bounds[s].nats_per_token == Approx(one.bounds[s].nats_per_token).margin(1e-9));
      }
      REQUIRE(part.layers.size() == one.layers.size());
      for (std::size_t i = 0; i < one.layers.size(); ++i) {
        const layer_routing &a = part.layers[i], &b = one.layers[i];
        CHECK(a.load.taken == b.load.taken);
        CHECK(a.chosen == b.chosen);
        CHECK((a.load.dropped == b.load.dropped && a.load.padded_rows == b.load.padded_rows));
        CHECK(a.cutoff_count == b.cutoff_count);
        for (const auto& [x, y] : {std::pair(a.masked, b.masked), std::pair(a.others, b.others)}) {
          CHECK((x.tokens == y.tokens && x.uncovered == y.uncovered && x.executed == y.executed));
          CHECK((x.squares == y.squares && x.least == y.least && x.most == y.most));
        }
      }
    }
  }
}

TEST_CASE("masked training: a step of nothing, and one along no number, are refused") {
  const config shape = two_way_model(moe::expert_choice(2));
  learner<float> l(shape, initial_parameters<float>(shape, 1));
  CHECK_THROWS_WITH(learn_masked(l, masked_rows{}, {}, {}), Catch::Contains("no masked place"));
  const corpus data(11);
  const masked_rows rows = mask_by_time(batch{data.tokens, data.offsets}, {.mask_token = mask});
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    for (const router_losses& losses : {router_losses{.balance = bad}, {.coverage = bad}, {.z = bad}})
      CHECK_THROWS_WITH(learn_masked(l, rows, losses, {}), Catch::Contains("coefficient must be finite"));
  std::vector<float> broken = initial_parameters<float>(shape, 1);
  for (const tensor& t : tensor_table(shape))
    if (t.id.role == role::wcls) broken[static_cast<std::size_t>(t.offset)] = std::nanf("");
  learner<float> lost(shape, broken);
  const masked_update u = learn_masked(lost, rows, {}, {.rate = 1e-2});
  index_t masked = 0;
  for (const index_t n : rows.counts) masked += n;
  CHECK(u.nonfinite == masked);
  CHECK_FALSE(std::isfinite(u.length));
  CHECK(lost.updates() == 0);
}

TEST_CASE("docs: a step, what was routed in it, and its operations") {
  const config shape = two_way_model(moe::expert_choice(2));
  const std::vector<std::int32_t> tokens(48, 3);
  const std::vector<index_t> offsets = {0, 12, 24, 36, 48};
  const batch clean{tokens, offsets};
  const std::vector<index_t> budget = moe::budget(moe::schedule::linear_reverse, 12, {.mean = 6, .swing = 6});
  learner<float> l(shape, initial_parameters<float>(shape, 1));
  thread_pool pool(2);
  double flops = 0;
  const std::uint32_t step = 1;
  const masked_rows rows = mask_by_time(clean, {.mask_token = mask, .budget = budget, .seed = 1, .step = step});
  routing_statistics seen(shape);
  const masked_update u = learn_masked(l, rows, {.coverage = 1e-2, .z = 1e-3}, {.rate = 4e-3, .clip = 1}, &seen, pool);
  flops += 3 * forward_flops(shape, rows.offsets, executed_slots(seen.layers()));
  CHECK(u.loss > 0);
  index_t taken = 0;
  for (const index_t c : rows.capacities) taken += c;
  CHECK(executed_slots(seen.layers()) == 2 * 4 * taken);  // two layers of four experts
  CHECK(flops > 3 * forward_flops(shape, rows.offsets));
}

TEST_CASE("masked training: memory is sized once, then a step takes no more than its rows' plans and weights") {
  for (const moe::router& r : {moe::expert_choice(2), moe::top_k_then_softmax(2, {5, 4})}) {
    const config shape = two_way_model(r);
    learner<float> l(shape, initial_parameters<float>(shape, 7), {.rows = 64});
    std::vector<std::int32_t> tokens;
    std::vector<index_t> offsets = {0};
    for (index_t s = 0; s < 40; ++s) {
      for (index_t t = 0; t < 30; ++t) tokens.push_back(static_cast<std::int32_t>((3 * s + 5 * t + s * t) % mask));
      offsets.push_back(std::ssize(tokens));
    }
    const auto step = [&](std::uint32_t number) {
      const masked_rows rows = mask_by_time({tokens, offsets}, {.mask_token = mask, .seed = 3, .step = number});
      learn_masked(l, rows, {.coverage = r.chosen == moe::selection::row_top ? 0 : 0.01, .z = 1e-3}, {});
    };
    for (std::uint32_t number = 0; number < 3; ++number) step(number);
    const std::size_t before = allocations::in_use;
    allocations::most_in_use = before;
    allocations::largest = 0;
    for (std::uint32_t number = 3; number < 6; ++number) step(number);
    CHECK(allocations::in_use <= before + 4096);  // a plan of more slots than any before it
    // Eight bytes a row: weights, and what `mask_by_time` draws; activations have some thousand a row.
    CHECK(allocations::largest <= 8 * tokens.size());
    CHECK(allocations::most_in_use <= before + 40 * tokens.size());
  }
}
