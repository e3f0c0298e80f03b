// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The order in which examples are learnt from.
#pragma once
#include "hone/core/random.hpp"

#include <utility>
#include <vector>

namespace HONE_NAMESPACE::transformer {

/// The numbers 0 … count - 1 one at a time, each once an epoch: every epoch is a permutation of its own, a function of
/// (seed and stream of the random numbers, epoch).
class shuffler {
 public:
  /// @throws std::invalid_argument if @p count is 0.
  shuffler(std::size_t count, philox random) : order_(count), random_(random) {
    invalid_argument_unless(count > 0, "hone::transformer::shuffler", "count", "must be positive");
    shuffle();
  }

  /// Constant time, but count draws where an epoch begins.
  std::size_t next() {
    if (at_ == order_.size()) {
      ++epoch_;
      shuffle();
    }
    return order_[at_++];
  }

 private:
  void shuffle() {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    for (std::size_t i = order_.size(); i > 1; --i)
      std::swap(order_[i - 1], order_[static_cast<std::size_t>(random_.uniform(i, epoch_) * static_cast<double>(i))]);
    at_ = 0;
  }

  std::vector<std::size_t> order_;
  philox random_;
  std::uint32_t epoch_ = 0;
  std::size_t at_ = 0;
};

}  // namespace HONE_NAMESPACE::transformer
