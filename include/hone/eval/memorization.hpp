// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How much of an answer a model knows by heart, from its likeliest token at every position with the answer before it.
/// One pass over the tokens; nothing is allocated.
#pragma once
#include "hone/core/labels.hpp"

#include <limits>

namespace HONE_NAMESPACE::eval {

namespace detail {
/// f(whether the prediction is right) for every label that counts, from the last to the first, while f returns true.
template <class F>
index_t backwards(label_view predicted, label_view labels, const char* function, F&& f) {
  invalid_argument_unless(predicted.size() == labels.size(), function, "predicted", "has %zu tokens, labels %zu",
                          predicted.size(), labels.size());
  index_t count = 0;
  bool on = true;
  for (std::size_t i = labels.size(); i-- > 0;) {
    if (labels[i] < 0) continue;
    ++count;
    if (on) on = f(predicted[i] == labels[i]);
  }
  return count;
}
}  // namespace detail

/// The share of tokens that are the likeliest: the number of i with predicted[i] = labels[i] over that of labels.
/// Negative labels are not counted; without others NaN, which a mean over answers leaves out. [Tirumala et al. 2022,
/// Memorization without overfitting, arXiv 2205.10770; Exact Memorization of open-unlearning, whose labels leave the
/// end of text out]
/// @throws std::invalid_argument if the sizes differ.
inline double exact_memorization(label_view predicted, label_view labels) {
  index_t right = 0;
  const index_t count = detail::backwards(predicted, labels, "hone::eval::exact_memorization", [&](bool is_right) {
    right += is_right;
    return true;
  });
  return count == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : static_cast<double>(right) / static_cast<double>(count);
}

/// 1 - k / n, k the length of the shortest prefix of the n tokens after which the likeliest tokens are all right: 1
/// where the whole answer comes by itself, 0 where the last token does not. Labels as above; without any NaN.
/// [Carlini et al. 2021, arXiv 2012.07805; Extraction Strength of open-unlearning, which gives 1 / n for 0]
/// @throws std::invalid_argument if the sizes differ.
inline double extraction_strength(label_view predicted, label_view labels) {
  index_t suffix = 0;
  const index_t count = detail::backwards(predicted, labels, "hone::eval::extraction_strength", [&](bool is_right) {
    suffix += is_right;
    return is_right;
  });
  return count == 0 ? std::numeric_limits<double>::quiet_NaN()
                    : static_cast<double>(suffix) / static_cast<double>(count);
}

}  // namespace HONE_NAMESPACE::eval
