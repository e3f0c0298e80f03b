// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What routers are compared with: scores of rows of logits, 16 Mi elements in all, against a read of them; nearest
/// neighbours and the similarity-weighted ranking against Eigen's product of the same queries and embeddings alone; and
/// how many samples a second matrix factorisation and the network learn from, noise and dropout included.
#include "hone/core/thread_pool.hpp"
#include "hone/routing/matrix_factorization.hpp"
#include "hone/routing/mlp.hpp"
#include "hone/routing/neighbours.hpp"
#include "hone/routing/scores.hpp"
#include "hone/routing/similarity_ranking.hpp"
#include "support/rate.hpp"
#include "support/roof.hpp"

#include <Eigen/Core>

namespace {

using namespace hone;
using namespace hone::routing;

template <class T>
std::vector<T> numbers(index_t count) {
  std::vector<T> x;
  for (index_t i = 0; i < count; ++i)
    x.push_back(from_accumulator<T>(static_cast<float>((i * 7919) % 2003 - 1001) * 0.01f));
  return x;
}

template <class T>
void scores_of_logits(benchmark::State& state) {
  const index_t vocab = state.range(0), rows = (index_t{16} << 20) / vocab;
  const std::vector<T> logits = numbers<T>(rows * vocab);
  std::vector<logit_scores> scores(static_cast<std::size_t>(rows));
  thread_pool pool;
  against_roof(
      state, static_cast<double>(sizeof(T)) * static_cast<double>(rows * vocab),
      [&] { score_logits(matrix_view<const T>(logits.data(), rows, vocab), std::span(scores), pool); },
      [&] { benchmark::DoNotOptimize(sum(logits, pool)); });
}

using embeddings = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

matrix_view<const float> view(const embeddings& x) { return {x.data(), x.rows(), x.cols()}; }

/// Normal embeddings; as text's are, about a few directions.
embeddings draw(index_t rows, index_t width, std::uint32_t stream) {
  embeddings x(rows, width);
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < width; ++j) {
      const auto topic = static_cast<std::uint64_t>((i % 50) * width + j);
      const auto own = static_cast<std::uint64_t>(i * width + j);
      x(i, j) = static_cast<float>(philox{1, 0}.normal(topic) + philox{1, stream}.normal(own));
    }
  return x;
}

/// @p run beside the product of @p queries and @p known on one worker: blocks of 512 rows, as they are searched.
void against_product(benchmark::State& state, const embeddings& known, const embeddings& queries, auto&& run) {
  Eigen::MatrixXf product(512, queries.rows());
  record r;
  for (auto _ : state) {
    const double least = seconds([&] {
      for (index_t begin = 0; begin < known.rows(); begin += 512) {
        const index_t height = (std::min)(index_t{512}, index_t{known.rows()} - begin);
        product.topRows(height).noalias() = known.middleRows(begin, height) * queries.transpose();
        benchmark::DoNotOptimize(product.data());
      }
    });
    r.add(state, seconds(run), least);
  }
  r.report(state, 2.0 * static_cast<double>(known.rows() * queries.rows() * known.cols()), "flop");
}

void nearest(benchmark::State& state, neighbour_metric metric) {
  const index_t count = state.range(0), k = 10;
  const embeddings known = draw(20000, 768, 1), queries = draw(count, 768, 2);
  const neighbour_index index(view(known), metric);
  std::vector<index_t> rows(static_cast<std::size_t>(count * k));
  std::vector<double> values(rows.size());
  against_product(state, known, queries, [&] { index.find(view(queries), k, rows, values); });
}

void similarity_weighted(benchmark::State& state) {
  const index_t count = state.range(0), models = 64;
  const embeddings known = draw(20000, 768, 1), queries = draw(count, 768, 2);
  std::vector<battle> battles;
  for (index_t i = 0; i < known.rows(); ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const index_t first = i % models, second = (first + 1 + (i * 7919) % (models - 1)) % models;
    const double odds = 0.05 * static_cast<double>(second - first);
    battles.push_back(
        {first, second,
         sigmoid(odds) > philox{3}.uniform(at) ? battle_outcome::first_wins : battle_outcome::second_wins});
  }
  const similarity_ranking<float> ranking(view(known), battles, models);
  std::vector<double> scores(static_cast<std::size_t>(count));
  against_product(state, known, queries, [&] { ranking.score(view(queries), models - 1, 0, scores); });
}

void network_epoch(benchmark::State& state) {
  const embeddings known = draw(2048, 768, 1);
  std::vector<double> labels;
  for (index_t i = 0; i < known.rows(); ++i) labels.push_back(known(i, 0) > 0 ? 1 : 0);
  thread_pool pool;
  rate(state, 2048, "samples", [&] { benchmark::DoNotOptimize(train_mlp(view(known), labels, {.epochs = 1}, pool)); });
}

void factorization_epoch(benchmark::State& state) {
  const embeddings known = draw(1024, 1536, 1);
  std::vector<comparison> comparisons;
  for (index_t i = 0; i < known.rows(); ++i) comparisons.push_back({i % 64, (i + 1 + i % 63) % 64, i});
  thread_pool pool;
  rate(state, 1024, "comparisons",
       [&] { benchmark::DoNotOptimize(train_factorization(view(known), comparisons, 64, {.epochs = 1}, pool)); });
}

BENCHMARK(scores_of_logits<float>)->ArgName("vocab")->Arg(32000)->Arg(131072)->UseManualTime()->Iterations(15);
BENCHMARK(scores_of_logits<bfloat16>)->ArgName("vocab")->Arg(131072)->UseManualTime()->Iterations(15);
BENCHMARK_CAPTURE(nearest, cosine, neighbour_metric::cosine)
    ->ArgName("queries")
    ->Arg(1)
    ->Arg(512)
    ->UseManualTime()
    ->Iterations(7);
BENCHMARK_CAPTURE(nearest, euclidean, neighbour_metric::euclidean)
    ->ArgName("queries")
    ->Arg(512)
    ->UseManualTime()
    ->Iterations(7);
BENCHMARK(similarity_weighted)->ArgName("queries")->Arg(1)->Arg(256)->UseManualTime()->Iterations(5);
BENCHMARK(network_epoch)->UseManualTime()->Iterations(5);
BENCHMARK(factorization_epoch)->UseManualTime()->Iterations(5);

}  // namespace
