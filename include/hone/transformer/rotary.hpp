// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rotary position embedding: pair i of a head at position p is turned by the angle p base^(-2i / head_size).
/// [Su et al. 2021, RoFormer, arXiv 2104.09864, Eq. 34; linear scaling: Chen et al. 2023, Position interpolation, arXiv
/// 2306.15595; llama3: Grattafiori et al. 2024, The Llama 3 herd of models, arXiv 2407.21783, as Transformers computes
/// it]
#pragma once
#include "hone/core/view.hpp"
#include "hone/transformer/config.hpp"

#include <cmath>

namespace HONE_NAMESPACE::transformer {

enum class turn { forward, back };

/// The angle by which pair @p i < head_size / 2 of a head is turned from one position to the next.
inline double rotary_frequency(const config& c, index_t i) {
  const double f = std::pow(c.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(c.head_size()));
  const rope_scaling& s = c.scaling;
  if (s.how == rope_scaling::method::none) return f;
  if (s.how == rope_scaling::method::linear) return f / s.factor;
  constexpr double two_pi = 6.283185307179586;
  const double turns = static_cast<double>(s.original_max_seq) * f / two_pi;
  const double share = (turns - s.low_frequency) / (s.high_frequency - s.low_frequency);
  return share <= 0 ? f / s.factor : share >= 1 ? f : (1 - share) * f / s.factor + share * f;
}

/// Cosines and sines of every angle up to a model's longest sequence, computed in double: max_seq head_size elements.
template <class T>
class rotary_table {
 public:
  /// @pre `validate` passes.
  explicit rotary_table(const config& c) : pairs_(c.head_size() / 2), layout_(c.rope) {
    std::vector<double> frequencies;
    for (index_t i = 0; i < pairs_; ++i) frequencies.push_back(rotary_frequency(c, i));
    values_.reserve(static_cast<std::size_t>(2 * c.max_seq * pairs_));
    for (index_t position = 0; position < c.max_seq; ++position)
      for (const double frequency : frequencies) {
        const double angle = static_cast<double>(position) * frequency;
        values_.push_back(static_cast<T>(std::cos(angle)));
        values_.push_back(static_cast<T>(std::sin(angle)));
      }
  }

  /// Turns every head of row t of @p x (n x heads * head_size) by the angles of position @p first + t, or back, which
  /// is also the gradient. One pass, serial; allocates nothing. @pre first + n <= max_seq.
  void rotate(matrix_view<T> x, index_t first, turn direction) const {
    const index_t head_size = 2 * pairs_;
    const bool interleaved = layout_ == rope_layout::interleaved;
    const index_t step = interleaved ? 2 : 1, partner = interleaved ? 1 : pairs_;
    for (index_t t = 0; t < x.rows(); ++t) {
      const T* angles = values_.data() + 2 * (first + t) * pairs_;
      for (index_t head = 0; head < x.cols(); head += head_size) {
        T* values = &x(t, head);
        for (index_t i = 0; i < pairs_; ++i) {
          const T cosine = angles[2 * i], sine = direction == turn::forward ? angles[2 * i + 1] : -angles[2 * i + 1];
          const T a = values[step * i], b = values[step * i + partner];
          values[step * i] = a * cosine - b * sine;
          values[step * i + partner] = a * sine + b * cosine;
        }
      }
    }
  }

 private:
  index_t pairs_;
  rope_layout layout_;
  std::vector<T> values_;
};

}  // namespace HONE_NAMESPACE::transformer
