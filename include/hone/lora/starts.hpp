// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Starts that look at nothing but sizes, and leave the weight as it is:
///   standard            A uniform in +-1/sqrt(inputs) (Kaiming, a = sqrt(5)), B = 0
///                       [Hu et al. 2021, LoRA, arXiv 2106.09685; as in the authors' code, the paper is Gaussian]
///   gaussian            A normal of standard deviation 1 / rank, B = 0 [PEFT, init_lora_weights = "gaussian"]
///   orthogonal_halves   A^T = X Q_odd / 10, B = Y Q_even / 10 with X, Y normal and the rows of a random orthogonal Q
///                       dealt out in turn, so that B A = 0 though neither is
///                       [datta0.github.io, Rethinking LoRA initialisation; PEFT, init_lora_weights = "orthogonal"]
/// Their random draws are addressed by (seed, stream, place), and differ from those of PyTorch's generator.
#pragma once
#include "hone/core/random.hpp"
#include "hone/linalg/orthonormal.hpp"
#include "hone/lora/initialise.hpp"

namespace HONE_NAMESPACE::lora {

namespace detail {

inline linalg::matrix normals(index_t rows, index_t cols, const philox& random, std::uint32_t draw = 0) {
  linalg::matrix m(rows, cols);
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < cols; ++j) m(i, j) = random.normal(static_cast<std::uint64_t>(i * cols + j), draw);
  return m;
}

}  // namespace detail

struct standard {
  philox random = {};  ///< a stream of its own for every site

  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>&, const site& s) const {
    proposal start{.a = linalg::matrix(s.rank, s.inputs)};
    const double bound = 1 / std::sqrt(static_cast<double>(s.inputs));
    for (index_t i = 0; i < s.rank; ++i)
      for (index_t j = 0; j < s.inputs; ++j)
        start.a(i, j) = bound * (2 * random.uniform(static_cast<std::uint64_t>(i * s.inputs + j)) - 1);
    return start;
  }
};

struct gaussian {
  philox random = {};

  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>&, const site& s) const {
    return {.a = detail::normals(s.rank, s.inputs, random) / static_cast<double>(s.rank)};
  }
};

struct orthogonal_halves {
  philox random = {};

  /// @throws std::invalid_argument if the rank is odd.
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>&, const site& s) const {
    invalid_argument_unless(s.rank % 2 == 0, "hone::lora::orthogonal_halves", s.name.c_str(),
                            "the rank must be even, is %td", s.rank);
    const index_t half = s.rank / 2;
    const linalg::matrix q = linalg::orthonormal_part(linalg::matrix(), detail::normals(s.rank, s.rank, random));
    linalg::matrix odd(half, s.rank), even(half, s.rank);
    for (index_t i = 0; i < half; ++i) {
      odd.row(i) = q.row(2 * i);
      even.row(i) = q.row(2 * i + 1);
    }
    return {.b = detail::normals(s.outputs, half, random, 1) * even / 10,
            .a = odd.transpose() * detail::normals(half, s.inputs, random, 2) / 10};
  }
};

}  // namespace HONE_NAMESPACE::lora
