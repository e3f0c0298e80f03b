// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Orders drawn at random [Fisher, Yates 1938]: of anything, and of the examples that are learnt from.
#pragma once
#include "hone/core/philox.hpp"

#include <utility>
#include <vector>

namespace HONE_NAMESPACE {

/// Puts the n elements of @p x, an array or a vector, into one of their orders, each as likely as another.
/// @param uniform uniform(i), i = n … 2, in [0, 1): independent draws.
template <class X, class Uniform>
void shuffle(X& x, Uniform&& uniform) {
  for (std::size_t i = std::size(x); i > 1; --i)
    std::swap(x[i - 1], x[static_cast<std::size_t>(uniform(i) * static_cast<double>(i))]);
}

/// The indices 0 … count - 1 one at a time, each once an epoch: every epoch is a permutation of its own, a function of
/// (seed and stream of the random numbers, epoch).
class shuffler {
 public:
  /// @throws std::invalid_argument if @p count is 0.
  shuffler(std::size_t count, philox random) : order_(count), random_(random) {
    invalid_argument_unless(count > 0, "hone::shuffler", "count", "must be positive");
    begin_epoch();
  }

  /// Constant time, but count draws where an epoch begins.
  std::size_t next() {
    if (at_ == order_.size()) {
      ++epoch_;
      begin_epoch();
    }
    return order_[at_++];
  }

 private:
  void begin_epoch() {
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    shuffle(order_, [this](std::size_t i) { return random_.uniform(i, epoch_); });
    at_ = 0;
  }

  std::vector<std::size_t> order_;
  philox random_;
  std::uint32_t epoch_ = 0;
  std::size_t at_ = 0;
};

}  // namespace HONE_NAMESPACE
