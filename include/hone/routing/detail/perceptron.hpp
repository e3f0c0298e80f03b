// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A small network beside a probe: Linear, then ReLU and dropout and Linear again, as often as it has hidden layers. A
/// vector at a time, so that no batch changes a bit; the gradients of its parameters from the records of many vectors,
/// in their order, by rows.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/philox.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::routing::detail {

/// What is dropped of a vector: unit u where the uniform draw of index first + u is below @c share.
struct dropped_units {
  double share = 0;
  philox random = {};
  std::uint64_t first = 0;
};

/// Layers of widths[0] -> widths[1] -> ...; parameters layer by layer W by rows, then b.
class perceptron {
 public:
  perceptron() = default;
  perceptron(index_t in, std::span<const index_t> hidden, index_t out) : widths_{in} {
    widths_.insert(widths_.end(), hidden.begin(), hidden.end());
    widths_.push_back(out);
  }

  [[nodiscard]] std::size_t layers() const { return widths_.size() - 1; }
  [[nodiscard]] index_t inputs() const { return widths_[0]; }
  [[nodiscard]] index_t outputs() const { return widths_.back(); }
  [[nodiscard]] index_t layer_size(std::size_t l) const { return widths_[l + 1] * (widths_[l] + 1); }
  [[nodiscard]] index_t parameters() const {
    index_t size = 0;
    for (std::size_t l = 0; l < layers(); ++l) size += layer_size(l);
    return size;
  }
  /// Values above the input, the outputs last.
  [[nodiscard]] index_t units() const {
    index_t count = 0;
    for (std::size_t l = 1; l < widths_.size(); ++l) count += widths_[l];
    return count;
  }

  /// Uniform in +-1 / sqrt(inputs), as PyTorch's; draws from index 0 on.
  template <class A>
  void initialise(const philox& random, A* p) const {
    std::uint64_t draw = 0;
    for (std::size_t l = 0; l < layers(); ++l) {
      const double bound = 1 / std::sqrt(static_cast<double>(widths_[l]));
      for (index_t i = 0; i < layer_size(l); ++i) *p++ = static_cast<A>(bound * (2 * random.uniform(draw++) - 1));
    }
  }

  /// @p values (units) of @p input.
  template <class A>
  void forward(const A* p, const A* input, A* values, const dropped_units& dropout) const {
    const A whole = static_cast<A>(1 / (1 - dropout.share));
    const A* below = input;
    std::uint64_t unit = dropout.first;
    for (std::size_t l = 0; l < layers(); ++l) {
      const index_t in = widths_[l], out = widths_[l + 1];
      for (index_t o = 0; o < out; ++o) {
        const vector_view<const A> row(p + o * in, in), x(below, in);
        A value = static_cast<A>(dot(row, x)) + p[out * in + o];
        if (l + 1 < layers()) {
          if (value < 0) value = 0;  // a NaN stays
          if (dropout.share > 0) value *= dropout.random.uniform(unit++) < dropout.share ? A{0} : whole;
        }
        values[o] = value;
      }
      p += layer_size(l);
      below = values;
      values += out;
    }
  }

  /// @p deltas (units), of which the caller has set the outputs', the gradients of all sums; and of @p input (or none).
  template <class A>
  void backward(const A* p, const A* values, A* deltas, double share, A* input) const {
    const A whole = static_cast<A>(1 / (1 - share));
    p += parameters();
    values += units();
    deltas += units();
    for (std::size_t l = layers(); l-- > 0;) {
      const index_t in = widths_[l], out = widths_[l + 1];
      p -= layer_size(l);
      deltas -= out;
      values -= out;
      if (l == 0 && input == nullptr) return;
      A* below = l == 0 ? input : deltas - in;
      const vector_view<A> to(below, in);
      fill(to, A{0});
      for (index_t o = 0; o < out; ++o)
        if (deltas[o] != 0) axpy(deltas[o], vector_view<const A>(p + o * in, in), to);
      if (l > 0)
        for (index_t i = 0; i < in; ++i) below[i] = (values - in)[i] > 0 ? below[i] * whole : A{0};
    }
  }

  /// gradient (parameters) += the gradients of @p count records, record r's input, values and deltas at each
  /// (r); those that used(r) says.
  template <class A, class Used, class E>
  void add_gradients(index_t count, Used&& used, const A* inputs, index_t input_stride, const A* values,
                     const A* deltas, double* gradient, E& pool) const {
    index_t before = 0;
    const index_t stride = units();
    for (std::size_t l = 0; l < layers(); ++l) {
      const index_t in = widths_[l], out = widths_[l + 1];
      const index_t columns = 1024, blocks = (in + columns - 1) / columns;
      pool.parallel_for(out * blocks, index_t{1}, [&](index_t begin, index_t end) {
        for (index_t job = begin; job < end; ++job) {
          const index_t o = job / blocks, from = job % blocks * columns, to = (min)(from + columns, in);
          double* row = gradient + o * in;
          for (index_t r = 0; r < count; ++r) {
            if (!used(r)) continue;
            const auto delta = static_cast<double>(deltas[r * stride + before + o]);
            const A* x = l == 0 ? inputs + r * input_stride : values + r * stride + before - in;
            for (index_t i = from; i < to; ++i) row[i] += delta * static_cast<double>(x[i]);
            if (from == 0) gradient[out * in + o] += delta;
          }
        }
      });
      gradient += layer_size(l);
      before += out;
    }
  }

 private:
  std::vector<index_t> widths_ = {1, 1};
};

}  // namespace HONE_NAMESPACE::routing::detail
