// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the baselines that are trained share. Products of parameter matrices are shared out by rows of the result: each
/// element is one product, computed in the same slice by whoever takes it, so that no executor changes a bit and no
/// partial sums are held. Epochs are Adam's, over batches of samples in an order of each epoch's own.
#pragma once
#include "hone/core/shuffler.hpp"
#include "hone/gradient/descend.hpp"
#include "hone/routing/detail/product_blocks.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace HONE_NAMESPACE::routing::detail {

/// Parameters of the caller's, row by row.
template <class A>
using row_major = Eigen::Map<std::conditional_t<
    std::is_const_v<A>, const Eigen::Matrix<std::remove_const_t<A>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
    Eigen::Matrix<A, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>>;

/// f(begin, rows) for slices of [0, count).
template <class E, class F>
void for_each_slice(index_t count, E& pool, F&& f) {
  constexpr index_t slice = 32;
  pool.parallel_for((count + slice - 1) / slice, index_t{1}, [&](index_t begin, index_t end) {
    for (index_t s = begin; s < end; ++s) f(s * slice, (std::min)(slice, count - s * slice));
  });
}

template <class Options>
void check_epochs(const Options& options, const char* function) {
  invalid_argument_unless(options.batch > 0, function, "batch", "must be positive, is %td", options.batch);
  invalid_argument_unless(options.epochs >= 0, function, "epochs", "must not be negative, is %td", options.epochs);
}

/// Trains @p parameters on @p samples, some indices, by the rate, batch, epochs and seed of @p options, of which the
/// orders take stream 2. Returns the mean loss of each epoch, as it went.
/// @param add_batch add_batch(epoch, batch, gradient) -> double adds the gradient of the batch's mean loss to zeros and
///        returns the sum of its losses.
template <class A, class Options, class E, class F>
std::vector<double> train_epochs(std::vector<A>& parameters, const std::vector<std::size_t>& samples,
                                 const Options& options, E& pool, F&& add_batch) {
  std::vector<double> losses;
  std::vector<A> gradient(parameters.size()), m(gradient), v(gradient);
  shuffler next(samples.size(), {options.seed, 2});
  std::vector<std::size_t> order(samples.size());
  const auto size = static_cast<std::size_t>(options.batch);
  index_t step = 0;
  for (index_t epoch = 0; epoch < options.epochs; ++epoch) {
    double sum = 0;
    for (std::size_t& i : order) i = samples[next.next()];
    for (std::size_t begin = 0; begin < order.size(); begin += size) {
      const auto batch = std::span<const std::size_t>(order).subspan(begin, (std::min)(size, order.size() - begin));
      gradient.assign(gradient.size(), A{0});
      sum += add_batch(static_cast<std::uint32_t>(epoch), batch, std::span<A>(gradient));
      gradient::descend(std::span<A>(parameters), std::span<A>(m), std::span<A>(v), std::span<const A>(gradient),
                        ++step, {.rate = options.rate}, pool);
    }
    losses.push_back(sum / static_cast<double>(order.size()));
  }
  return losses;
}

}  // namespace HONE_NAMESPACE::routing::detail
