// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/matrix_factorization.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using model_type = matrix_factorization<double>;

std::vector<std::size_t> all_of(std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

}  // namespace

TEST_CASE("routing matrix_factorization: the published settings, and how parameters are drawn at first") {
  const factorization_options options;
  CHECK((options.rank == 128 && options.noise == 0.05 && options.rate == 3e-4 && options.l2 == 1e-5));
  CHECK((options.batch == 64 && options.epochs == 100 && options.seed == 42));
  CHECK(embedding_noise{}.draw == 0);
  CHECK(comparison_loss{}.count == 0);
  CHECK(comparison_loss{}.nonfinite == 0);
  const index_t models = 40, rank = 25, width = 100;
  const model_type model = initialise_factorization<double>(models, rank, width, 3);
  // Normal, uniform in +-1/10, uniform in +-1/5.
  const std::span<const double> all(model.parameters), p = all.first(1000), t = all.subspan(1000, 2500),
                                                       c = all.subspan(3500);
  REQUIRE(c.size() == 25);
  const auto moments = [](std::span<const double> x) {
    double mean = 0, squares = 0, most = 0;
    for (const double value : x) {
      mean += value / static_cast<double>(x.size());
      squares += value * value / static_cast<double>(x.size());
      most = std::max(most, std::abs(value));
    }
    return std::array{mean, squares, most};
  };
  CHECK(moments(p)[0] == Approx(0).margin(0.1));
  CHECK(moments(p)[1] == Approx(1).margin(0.15));
  CHECK(moments(p)[2] > 2);
  CHECK(moments(t)[0] == Approx(0).margin(0.005));
  CHECK(moments(t)[1] == Approx(0.01 / 3).epsilon(0.05));
  CHECK(moments(t)[2] <= 0.1);
  CHECK(moments(c)[0] == Approx(0).margin(0.1));
  CHECK(moments(c)[2] <= 0.2);
  CHECK(moments(c)[2] > 0.15);
  const model_type other = initialise_factorization<double>(models, rank, width, 4);
  for (std::size_t i = 0; i < model.parameters.size(); i += 7) CHECK(model.parameters[i] != other.parameters[i]);
  // None is drawn twice.
  std::vector<double> sorted(t.begin(), t.end());
  std::sort(sorted.begin(), sorted.end());
  CHECK(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
  CHECK(initialise_factorization<double>(0, 1, 1, 1).parameters.size() == 2);
}

TEST_CASE("routing matrix_factorization: what is left out is counted, wherever it is") {
  const std::vector<double> x = {1, 2, std::nan(""), 1, 0, 1};
  const matrix_view<const double> embeddings(x.data(), 3, 2);
  const model_type model = initialise_factorization<double>(3, 2, 2, 1);
  const std::vector<comparison> some = {{0, 1, 0}, {1, 2, 1}, {2, 0, 2}, {0, 2, 1}}, kept = {{0, 1, 0}, {2, 0, 2}};
  const auto order = all_of(4);
  const comparison_loss loss =
      measure_factorization(model, embeddings, std::span<const comparison>(some), order, {}, std::span<double>(), 1.0);
  CHECK(loss.count == 2);
  CHECK(loss.nonfinite == 2);
  CHECK(loss.sum == measure_factorization(model, embeddings, std::span<const comparison>(kept), all_of(2), {},
                                          std::span<double>(), 1.0)
                        .sum);
  const factorization_options options{.rank = 2, .epochs = 3};
  const auto trained = train_factorization(embeddings, some, 3, options);
  CHECK(trained.nonfinite == 2);
  CHECK(trained.losses == train_factorization(embeddings, kept, 3, options).losses);
  factorization_options louder = options, seeded = options, calm = options;
  louder.noise = 0.5, seeded.seed = 43, calm.noise = 0;
  for (const factorization_options& other : {louder, seeded, calm})
    CHECK(train_factorization(embeddings, some, 3, other).losses != trained.losses);
  std::vector<double> scores(3);
  CHECK(score_pairs(embeddings, std::vector<double>{1, -1}, scores) == 1);
  CHECK(std::isnan(scores[1]));
  CHECK(scores[2] == Approx(1 / (1 + std::exp(1.0))).epsilon(1e-14));
}
