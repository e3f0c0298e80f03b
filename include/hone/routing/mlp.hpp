// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A multilayer perceptron on embeddings x (d) that says how likely a model is right:
///   a_0 = (x - mean) / deviation     a_l = dropout(max(W_l a_{l-1} + b_l, 0))     logit = W_L a_{L-1} + b_L
/// trained with the mean log loss of sigmoid(logit) against labels in [0, 1] by Adam, dropout inverted: what stays is
/// over 1 - p. [RouterXBench's embedding_mlp, arXiv 2602.11877; hidden layers of 256 and 64]
///
/// Mean and deviation are those of the training's embeddings (with count - 1, at least 1e-6) and part of the model.
/// The authors' code normalises in training, does not save how, and scores embeddings as they are; here test is as
/// training.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/philox.hpp"
#include "hone/core/sigmoid.hpp"
#include "hone/routing/detail/training.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace HONE_NAMESPACE::routing {

template <std::floating_point A = float>
struct embedding_mlp {
  std::vector<index_t> widths;  ///< d, then the hidden layers', then 1
  std::vector<A> mean;          ///< of each element, d
  std::vector<A> deviation;
  std::vector<A> parameters;  ///< layer by layer W_l by rows, then b_l

  /// Of W_l and b_l, l from 0.
  [[nodiscard]] index_t layer_size(std::size_t l) const { return widths[l + 1] * (widths[l] + 1); }
  [[nodiscard]] std::size_t layers() const { return widths.size() - 1; }
};

struct mlp_options {
  std::vector<index_t> hidden = {256, 64};
  double dropout = 0.1;
  double rate = 1e-4;  ///< of Adam
  index_t batch = 32;
  index_t epochs = 50;
  std::uint64_t seed = 42;
};

/// What is dropped: unit u of all hidden layers' U, of sample i of all, where uniform draw @c draw of index
/// (i U + u) is below @c share; a batch may be cut anywhere.
struct unit_dropout {
  double share = 0;
  philox random = {};
  std::uint32_t draw = 0;
};

/// Sums and counts, to be divided by the caller.
struct mlp_loss {
  double sum = 0;
  index_t count = 0;
  index_t invalid = 0;  ///< samples left out: an element that is not finite, or a label that is not in [0, 1]
};

template <std::floating_point A = float>
struct mlp_training {
  embedding_mlp<A> model;
  std::vector<double> losses;  ///< the mean of each epoch, as it went, with dropout
  index_t invalid = 0;         ///< samples left out
};

namespace detail {

template <class A>
void check_mlp(const embedding_mlp<A>& model, index_t width, const char* function) {
  invalid_argument_unless(model.widths.size() >= 2 && model.widths.back() == 1, function, "model",
                          "has %zu widths, the last must be 1", model.widths.size());
  index_t size = 0;
  for (std::size_t l = 0; l < model.layers(); ++l) {
    invalid_argument_unless(model.widths[l] > 0, function, "model", "has a layer of %td", model.widths[l]);
    size += model.layer_size(l);
  }
  const index_t d = model.widths[0];
  invalid_argument_unless(
      std::ssize(model.parameters) == size && std::ssize(model.mean) == d && std::ssize(model.deviation) == d, function,
      "model", "has %zu parameters, %zu means and %zu deviations, expected %td and %td", model.parameters.size(),
      model.mean.size(), model.deviation.size(), size, d);
  invalid_argument_unless(width == d, function, "embeddings", "have %td elements, expected %td", width, d);
}

/// The normalised embedding, as a column.
template <class A, scalar T>
void normalise_into(const embedding_mlp<A>& model, const vector_view<T>& x, A* to) {
  for (index_t j = 0; j < x.size(); ++j) {
    const auto k = static_cast<std::size_t>(j);
    to[j] = (to_accumulator<std::remove_const_t<T>>(x[j]) - model.mean[k]) / model.deviation[k];
  }
}

/// values <- W_l below + b_l, with ReLU below the last layer.
template <class A, class E>
void forward_layer(const embedding_mlp<A>& model, std::size_t l, const A* parameters, const dense<A>& below,
                   dense<A>& values, E& pool) {
  const index_t in = model.widths[l], out = model.widths[l + 1];
  const row_major<const A> w(parameters, out, in);
  const Eigen::Map<const Eigen::Matrix<A, Eigen::Dynamic, 1>> b(parameters + out * in, out);
  values.resize(out, below.cols());
  for_each_slice(out, pool, [&](index_t begin, index_t rows) {
    auto own = values.middleRows(begin, rows);
    own.noalias() = w.middleRows(begin, rows) * below;
    own.colwise() += b.segment(begin, rows);
    if (l + 1 < model.layers()) own = own.cwiseMax(A{0});
  });
}

}  // namespace detail

/// A network for embeddings of @p width elements with these @p hidden layers, weights and biases uniform in
/// +-1 / sqrt(inputs) as PyTorch's, from addressed draws; mean 0 and deviation 1 as yet.
/// @throws std::invalid_argument unless all widths are positive.
template <std::floating_point A = float>
embedding_mlp<A> initialise_mlp(index_t width, std::span<const index_t> hidden, std::uint64_t seed) {
  embedding_mlp<A> model{.widths = {width}, .mean = {}, .deviation = {}, .parameters = {}};
  model.widths.insert(model.widths.end(), hidden.begin(), hidden.end());
  model.widths.push_back(1);
  for (const index_t w : model.widths)
    invalid_argument_unless(w > 0, "hone::routing::initialise_mlp", "width, hidden", "must be positive, one is %td", w);
  model.mean.assign(static_cast<std::size_t>(width), A{0});
  model.deviation.assign(static_cast<std::size_t>(width), A{1});
  for (std::size_t l = 0; l < model.layers(); ++l) {
    const double bound = 1 / std::sqrt(static_cast<double>(model.widths[l]));
    for (index_t i = 0; i < model.layer_size(l); ++i)
      model.parameters.push_back(static_cast<A>(bound * (2 * philox{seed, 1}.uniform(model.parameters.size()) - 1)));
  }
  return model;
}

namespace detail {

/// Mean and deviation of @p rows of @p x, at least one.
template <class A, scalar T>
void normalise_by(embedding_mlp<A>& model, const matrix_view<T>& x, const std::vector<std::size_t>& rows) {
  const auto d = static_cast<std::size_t>(x.cols());
  std::vector<double> mean(d), squares(d);
  const auto count = static_cast<double>(rows.size());
  const auto at = [&](std::size_t i, std::size_t j) {
    return static_cast<double>(to_accumulator(x(static_cast<index_t>(i), static_cast<index_t>(j))));
  };
  for (const std::size_t i : rows)
    for (std::size_t j = 0; j < d; ++j) mean[j] += at(i, j);
  for (double& sum : mean) sum /= count;
  for (const std::size_t i : rows)
    for (std::size_t j = 0; j < d; ++j) squares[j] += (at(i, j) - mean[j]) * (at(i, j) - mean[j]);
  for (std::size_t j = 0; j < d; ++j) {
    model.mean[j] = static_cast<A>(mean[j]);
    const double deviation = rows.size() > 1 ? std::sqrt(squares[j] / (count - 1)) : 0;
    model.deviation[j] = static_cast<A>((std::max)(deviation, 1e-6));
  }
}

}  // namespace detail

/// Sets mean and deviation to those of the rows of @p embeddings (n x d) that are finite, of which it returns how many;
/// the deviation with count - 1, and at least 1e-6. Of none the model stays as it is.
/// @throws std::invalid_argument if the sizes do not fit.
/// @note Two reads, sums in double and in order.
template <std::floating_point A, matrix_like X>
index_t fit_normaliser(embedding_mlp<A>& model, const X& embeddings) {
  const auto x = as_matrix(embeddings);
  detail::check_mlp(model, x.cols(), "hone::routing::fit_normaliser");
  std::vector<std::size_t> finite;
  for (index_t i = 0; i < x.rows(); ++i)
    if (count_nonfinite(x.row(i)) == 0) finite.push_back(static_cast<std::size_t>(i));
  if (!finite.empty()) detail::normalise_by(model, x, finite);
  return std::ssize(finite);
}

/// The sum of the log losses of samples @p order, rows of @p embeddings (n x d) and of @p labels (n), and its gradient
/// times @p scale, which is added to @p gradient (as many as parameters, or none for the loss alone).
/// @param embeddings any strides and storage type that computes in A
/// @throws std::invalid_argument, before anything is written, if sizes do not fit, an index is out of range, or the
///         share dropped is not in [0, 1).
/// @note 6 flops a weight and sample in Eigen's products, 2 without a gradient; a uniform draw a hidden unit with
///       dropout. Allocates twice the layers' values a sample. Bitwise for any executor, which shares out slices of the
///       layers.
template <std::floating_point A, matrix_like X, executor E = const serial>
mlp_loss measure_mlp(const embedding_mlp<A>& model, const X& embeddings, std::span<const double> labels,
                     std::span<const std::size_t> order, const unit_dropout& dropout, std::span<A> gradient,
                     double scale, E&& pool = serial{}) {
  const char* function = "hone::routing::measure_mlp";
  const auto x = as_matrix(embeddings);
  static_assert(std::is_same_v<accumulator_t<element_t<X>>, A>,
                "hone::routing::measure_mlp: embeddings and parameters compute in different types");
  detail::check_mlp(model, x.cols(), function);
  invalid_argument_unless(std::ssize(labels) == x.rows(), function, "labels", "has %zu elements, embeddings %td rows",
                          labels.size(), x.rows());
  invalid_argument_unless(gradient.empty() || gradient.size() == model.parameters.size(), function, "gradient",
                          "has %zu elements, expected %zu", gradient.size(), model.parameters.size());
  check_output(gradient, function, "gradient");
  invalid_argument_unless(dropout.share >= 0 && dropout.share < 1, function, "dropout", "must be in [0, 1), is %g",
                          dropout.share);
  std::vector<std::size_t> kept;
  for (const std::size_t i : order) {
    invalid_argument_unless(i < labels.size(), function, "order", "has index %zu of %zu", i, labels.size());
    if (labels[i] >= 0 && labels[i] <= 1 && count_nonfinite(x.row(static_cast<index_t>(i))) == 0) kept.push_back(i);
  }
  mlp_loss result{.count = std::ssize(kept), .invalid = std::ssize(order) - std::ssize(kept)};
  if (kept.empty()) return result;
  const index_t count = result.count;
  const std::size_t layers = model.layers();
  std::vector<detail::dense<A>> values(layers + 1);
  values[0].resize(x.cols(), count);
  pool.parallel_for(count, index_t{4}, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      detail::normalise_into(model, x.row(static_cast<index_t>(kept[static_cast<std::size_t>(i)])),
                             values[0].data() + i * x.cols());
  });
  index_t units = 0, unit = 0, offset = 0;
  for (std::size_t l = 1; l < layers; ++l) units += model.widths[l];
  const A whole = static_cast<A>(1 / (1 - dropout.share));
  for (std::size_t l = 0; l < layers; ++l) {
    detail::forward_layer(model, l, model.parameters.data() + offset, values[l], values[l + 1], pool);
    offset += model.layer_size(l);
    if (l + 1 == layers || dropout.share == 0) continue;
    const index_t rows = model.widths[l + 1];
    pool.parallel_for(count, index_t{4}, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        for (index_t u = 0; u < rows; ++u) {
          const auto index =
              static_cast<std::uint64_t>(kept[static_cast<std::size_t>(i)]) * static_cast<std::uint64_t>(units) +
              static_cast<std::uint64_t>(unit + u);
          values[l + 1](u, i) *= dropout.random.uniform(index, dropout.draw) < dropout.share ? A{0} : whole;
        }
    });
    unit += rows;
  }
  detail::dense<A> slope(1, count);
  for (index_t i = 0; i < count; ++i) {
    const double logit = static_cast<double>(values[layers](0, i)), y = labels[kept[static_cast<std::size_t>(i)]];
    result.sum -= y * log_sigmoid(logit) + (1 - y) * log_sigmoid(-logit);
    slope(0, i) = static_cast<A>(scale * ((1 - y) * sigmoid(logit) - y * sigmoid(-logit)));
  }
  if (gradient.empty()) return result;
  for (std::size_t l = layers; l-- > 0;) {
    offset -= model.layer_size(l);
    const index_t in = model.widths[l], out = model.widths[l + 1];
    const detail::row_major<const A> w(model.parameters.data() + offset, out, in);
    detail::for_each_slice(out, pool, [&](index_t begin, index_t rows) {
      detail::row_major<A> dw(gradient.data() + offset, out, in);
      Eigen::Map<Eigen::Matrix<A, Eigen::Dynamic, 1>> db(gradient.data() + offset + out * in, out);
      dw.middleRows(begin, rows).noalias() += slope.middleRows(begin, rows) * values[l].transpose();
      db.segment(begin, rows) += slope.middleRows(begin, rows).rowwise().sum();
    });
    if (l == 0) break;
    detail::dense<A> below(in, count);
    detail::for_each_slice(in, pool, [&](index_t begin, index_t rows) {
      auto own = below.middleRows(begin, rows);
      own.noalias() = w.middleCols(begin, rows).transpose() * slope;
      // What is above 0 was neither cut by ReLU nor dropped.
      own.array() *= (values[l].middleRows(begin, rows).array() > A{0}).template cast<A>() * whole;
    });
    slope.swap(below);
  }
  return result;
}

/// Trains a network on @p labels (n) of @p embeddings (n x d): Adam on means over batches of every epoch's own order.
/// Samples with an element that is not finite, or a label that is not in [0, 1], are left out and counted.
/// @throws std::invalid_argument if the sizes do not fit or an option is out of range.
/// @note Each epoch `measure_mlp` once a sample. The parameters, their gradient and two moments. The state after the
///       last epoch; the authors keep that of the least loss on other samples. Bitwise for any executor.
template <matrix_like X, executor E = const serial>
auto train_mlp(const X& embeddings, std::span<const double> labels, const mlp_options& options = {},
               E&& pool = serial{}) {
  using A = accumulator_t<element_t<X>>;
  const char* function = "hone::routing::train_mlp";
  const auto x = as_matrix(embeddings);
  invalid_argument_unless(std::ssize(labels) == x.rows(), function, "labels", "has %zu elements, embeddings %td rows",
                          labels.size(), x.rows());
  detail::check_epochs(options, function);
  invalid_argument_unless(options.dropout >= 0 && options.dropout < 1, function, "dropout", "must be in [0, 1), is %g",
                          options.dropout);
  mlp_training<A> result{.model = initialise_mlp<A>(x.cols(), options.hidden, options.seed), .losses = {}};
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0 && labels[i] <= 1 && count_nonfinite(x.row(static_cast<index_t>(i))) == 0) kept.push_back(i);
  result.invalid = std::ssize(labels) - std::ssize(kept);
  if (kept.empty()) return result;
  detail::normalise_by(result.model, x, kept);
  result.losses =
      detail::train_epochs(result.model.parameters, kept, options, pool,
                           [&](std::uint32_t epoch, std::span<const std::size_t> batch, std::span<A> gradient) {
                             const unit_dropout dropout{options.dropout, {options.seed, 3}, epoch};
                             const double scale = 1 / static_cast<double>(batch.size());
                             return measure_mlp(result.model, x, labels, batch, dropout, gradient, scale, pool).sum;
                           });
  return result;
}

/// The logits of @p embeddings (q x d) into @p logits (q): larger, the model is more likely right, sigmoid(logit) how
/// likely. NaN of an embedding with an element that is not finite; returns how many.
/// @throws std::invalid_argument, before anything is written, if the sizes do not fit.
/// @note 2 flops a weight in Eigen's products; allocates the layers' values of 256 embeddings a worker. Bitwise for any
///       executor; not guaranteed for another cut of the embeddings.
template <std::floating_point A, matrix_like X, executor E = const serial>
index_t score_mlp(const embedding_mlp<A>& model, const X& embeddings, std::span<double> logits, E&& pool = serial{}) {
  const char* function = "hone::routing::score_mlp";
  const auto x = as_matrix(embeddings);
  static_assert(std::is_same_v<accumulator_t<element_t<X>>, A>,
                "hone::routing::score_mlp: embeddings and parameters compute in different types");
  detail::check_mlp(model, x.cols(), function);
  invalid_argument_unless(std::ssize(logits) == x.rows(), function, "logits", "has %zu elements, embeddings %td rows",
                          logits.size(), x.rows());
  check_output(logits, function, "logits");
  constexpr index_t block = 256;
  pool.parallel_for((x.rows() + block - 1) / block, index_t{1}, [&](index_t begin, index_t end) {
    const serial alone;
    for (index_t b = begin; b < end; ++b) {
      const index_t first = b * block, count = (std::min)(block, x.rows() - first);
      detail::dense<A> values(x.cols(), count), next;
      for (index_t i = 0; i < count; ++i) detail::normalise_into(model, x.row(first + i), values.data() + i * x.cols());
      index_t offset = 0;
      for (std::size_t l = 0; l < model.layers(); ++l) {
        detail::forward_layer(model, l, model.parameters.data() + offset, values, next, alone);
        offset += model.layer_size(l);
        values.swap(next);
      }
      for (index_t i = 0; i < count; ++i) {
        const bool finite = count_nonfinite(x.row(first + i)) == 0;  // a maximum with 0 would hide NaN
        logits[static_cast<std::size_t>(first + i)] =
            finite ? static_cast<double>(values(0, i)) : std::numeric_limits<double>::quiet_NaN();
      }
    }
  });
  index_t none = 0;
  for (const double logit : logits) none += std::isnan(logit);
  return none;
}

}  // namespace HONE_NAMESPACE::routing
