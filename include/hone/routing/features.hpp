// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Hidden states as a router reads them: of a prompt one vector a layer, pooled over its tokens,
///   z_l = sum_t m_t h_lt / max(1, sum_t m_t)      [zhuchichi56/RouterXBench, src/inference]
/// or the last token's, or each token as a sample of its own; and the view of many prompts' that a probe is trained
/// on. No model is known: which states are meant (embedding first, the last before or after the final norm) is the
/// caller's to say, and the same in training and use.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/output.hpp"
#include "hone/core/packs.hpp"
#include "hone/routing/sink.hpp"

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// States of N samples x L layers x d elements in the caller's memory, mapped from a file as well: nothing is copied.
template <scalar T>
class states_view {
 public:
  using element_type = T;

  states_view() = default;
  states_view(T* data, index_t samples, index_t layers, index_t width)
      : states_view(data, samples, layers, width, layers * width, width) {}
  /// @param sample_stride, layer_stride, stride in elements
  states_view(T* data, index_t samples, index_t layers, index_t width, index_t sample_stride, index_t layer_stride,
              index_t stride = 1)
      : data_(data), samples_(samples), layers_(layers), width_(width), sample_stride_(sample_stride),
        layer_stride_(layer_stride), stride_(stride) {}
  operator states_view<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data_, samples_, layers_, width_, sample_stride_, layer_stride_, stride_};
  }

  [[nodiscard]] index_t samples() const { return samples_; }
  [[nodiscard]] index_t layers() const { return layers_; }
  [[nodiscard]] index_t width() const { return width_; }
  [[nodiscard]] index_t sample_stride() const { return sample_stride_; }
  /// L x d.
  [[nodiscard]] matrix_view<T> sample(index_t i) const {
    return {data_ + i * sample_stride_, layers_, width_, layer_stride_, stride_};
  }

 private:
  T* data_ = nullptr;
  index_t samples_ = 0, layers_ = 0, width_ = 0;
  index_t sample_stride_ = 0, layer_stride_ = 0, stride_ = 1;
};

/// `check_output` of states: of each two of the three axes.
template <scalar T>
void check_output_states(const states_view<T>& x, const char* function, const char* argument) {
  if (x.samples() == 0) return;
  const matrix_view<T> first = x.sample(0);
  check_output(first, function, argument);
  for (const auto& [size, stride] :
       {std::pair(x.layers(), first.row_stride()), std::pair(x.width(), first.col_stride())})
    check_output(matrix_view<T>(first.data(), x.samples(), size, x.sample_stride(), stride), function, argument);
}

/// What a prompt's features were made of.
struct feature_report {
  index_t tokens = 0;     ///< of the layer that saw most
  index_t unequal = 0;    ///< layers that saw fewer: these features are not one prompt's
  index_t nonfinite = 0;  ///< elements that are infinite or NaN
};

/// The features of one prompt, from its tokens' states as they come: layers in any order, tokens in pieces of any
/// length. Sums are in double and token after token, so that the pieces do not change a bit.
class token_features {
 public:
  /// @throws std::invalid_argument unless @p layers and @p width are positive.
  token_features(index_t layers, index_t width, token_pooling how = token_pooling::mean)
      : layers_(layers), width_(width), how_(how) {
    const char* function = "hone::routing::token_features";
    invalid_argument_unless(layers > 0, function, "layers", "must be positive, is %td", layers);
    invalid_argument_unless(width > 0, function, "width", "must be positive, is %td", width);
    sums_.resize(static_cast<std::size_t>(layers * width));
    tokens_.resize(static_cast<std::size_t>(layers));
  }

  /// Adds tokens @p rows (tokens x width, any storage type and strides) of layer @p layer; @p mask (tokens, or none)
  /// says which count, padding does not.
  /// @throws std::invalid_argument if the sizes do not fit, before anything is added.
  /// @note One read of the rows that count, of the last alone where that is wanted; allocates nothing.
  template <matrix_like X>
  void add(index_t layer, const X& rows, std::span<const std::uint8_t> mask = {}) {
    const char* function = "hone::routing::token_features::add";
    const auto x = as_matrix(rows);
    invalid_argument_unless(layer >= 0 && layer < layers_, function, "layer", "is %td of %td", layer, layers_);
    invalid_argument_unless(x.cols() == width_, function, "rows", "have %td elements, expected %td", x.cols(), width_);
    invalid_argument_unless(mask.empty() || std::ssize(mask) == x.rows(), function, "mask", "has %zu, rows %td",
                            mask.size(), x.rows());
    double* sums = sums_.data() + layer * width_;
    index_t last = -1;
    for (index_t t = 0; t < x.rows(); ++t) {
      if (!mask.empty() && mask[static_cast<std::size_t>(t)] == 0) continue;
      ++tokens_[static_cast<std::size_t>(layer)];
      last = t;
      if (how_ == token_pooling::mean)
        for (index_t j = 0; j < width_; ++j) sums[j] += static_cast<double>(to_accumulator(x(t, j)));
    }
    if (how_ == token_pooling::last && last >= 0)
      for (index_t j = 0; j < width_; ++j) sums[j] = static_cast<double>(to_accumulator(x(last, j)));
  }

  [[nodiscard]] index_t tokens(index_t layer) const { return tokens_[static_cast<std::size_t>(layer)]; }

  /// The features into @p out (layers x width); of a layer without tokens zeros, as in the authors' code.
  /// @throws std::invalid_argument if the sizes differ.
  template <mutable_matrix Y>
  feature_report write(Y&& out) const {
    const char* function = "hone::routing::token_features::write";
    const auto y = output_matrix(out, function, "out");
    invalid_argument_unless(y.rows() == layers_ && y.cols() == width_, function, "out",
                            "is %td x %td, expected %td x %td", y.rows(), y.cols(), layers_, width_);
    feature_report report;
    for (const index_t n : tokens_) report.tokens = (max)(report.tokens, n);
    for (index_t l = 0; l < layers_; ++l) {
      const index_t n = tokens(l);
      report.unequal += n < report.tokens;
      const double divisor = how_ == token_pooling::mean ? static_cast<double>((max)(n, index_t{1})) : 1;
      for (index_t j = 0; j < width_; ++j) {
        using T = element_t<Y>;
        const double value = sums_[static_cast<std::size_t>(l * width_ + j)] / divisor;
        y(l, j) = from_accumulator<T>(static_cast<accumulator_t<T>>(value));
        report.nonfinite += !(value - value == 0);
      }
    }
    return report;
  }

  /// As it was at first: for the next prompt.
  void clear() {
    sums_.assign(sums_.size(), 0);
    tokens_.assign(tokens_.size(), 0);
  }

 private:
  index_t layers_, width_;
  token_pooling how_;
  std::vector<double> sums_;
  std::vector<index_t> tokens_;
};

/// The features of a prompt whose states lie in memory, tokens x layers x width as vLLM writes them.
/// @throws std::invalid_argument if the sizes differ.
template <scalar T, mutable_matrix Y>
feature_report pool_tokens(const states_view<T>& tokens, token_pooling how, Y&& out,
                           std::span<const std::uint8_t> mask = {}) {
  token_features features(tokens.layers(), tokens.width(), how);
  invalid_argument_unless(mask.empty() || std::ssize(mask) == tokens.samples(), "hone::routing::pool_tokens", "mask",
                          "has %zu, tokens %td", mask.size(), tokens.samples());
  for (index_t t = 0; t < tokens.samples(); ++t) {
    if (!mask.empty() && mask[static_cast<std::size_t>(t)] == 0) continue;
    const auto token = tokens.sample(t);
    for (index_t l = 0; l < tokens.layers(); ++l)
      features.add(l, matrix_view(&token(l, 0), 1, token.cols(), token.row_stride(), token.col_stride()));
  }
  return features.write(out);
}

/// Each token that counts as a sample of its own: copies them, in order, into @p out, whose samples are as many.
/// @throws std::invalid_argument if the sizes differ, before anything is written.
template <scalar T, scalar U>
  requires(!std::is_const_v<U>)
void copy_tokens(const states_view<T>& tokens, std::span<const std::uint8_t> mask, const states_view<U>& out) {
  const char* function = "hone::routing::copy_tokens";
  invalid_argument_unless(mask.empty() || std::ssize(mask) == tokens.samples(), function, "mask", "has %zu, tokens %td",
                          mask.size(), tokens.samples());
  index_t kept = mask.empty() ? tokens.samples() : 0;
  for (const std::uint8_t m : mask) kept += m != 0;
  invalid_argument_unless(out.samples() == kept && out.layers() == tokens.layers() && out.width() == tokens.width(),
                          function, "out", "is %td x %td x %td, expected %td x %td x %td", out.samples(), out.layers(),
                          out.width(), kept, tokens.layers(), tokens.width());
  check_output_states(out, function, "out");
  for (index_t t = 0, to = 0; t < tokens.samples(); ++t) {
    if (!mask.empty() && mask[static_cast<std::size_t>(t)] == 0) continue;
    for (index_t l = 0; l < out.layers(); ++l) copy(tokens.sample(t).row(l), out.sample(to).row(l));
    ++to;
  }
}

}  // namespace HONE_NAMESPACE::routing
