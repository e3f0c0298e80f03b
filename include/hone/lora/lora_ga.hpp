// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// LoRA-GA: factors whose first step follows the full gradient's. From the decomposition G = U S V^T of the weight's
/// averaged gradient, A takes rows of V^T and B columns of U S from another set of the first 2 r, scaled; the weight
/// gives up s B A. Vectors of different triplets meet, so that B A depends on their signs: here the largest entry of
/// each row of A is positive. [Wang et al. 2024, LoRA-GA, arXiv 2407.05000; as in PEFT, which multiplies B's columns by
/// S where the paper does not]
#pragma once
#include "hone/linalg/truncated_svd.hpp"
#include "hone/lora/initialise.hpp"

namespace HONE_NAMESPACE::lora {

/// Which of the first 2 r triplets, counted from 0, go where.
enum class ga_direction {
  alternating,  ///< A odd ones, B even ones (ArBr)
  a_second,     ///< A the second r, B the first (A2rBr)
  b_second,     ///< A the first r, B the second (ArB2r): the default
  random        ///< the same r drawn ones for both
};
enum class ga_scale {
  stable,      ///< B by outputs^(1/4) / sqrt(gamma)
  weight_svd,  ///< B by the weight's largest singular value over the first of B's own
  gd_scale,    ///< A and B by 1 / s
  unit
};

/// @c gradient: outputs x inputs, of the loss averaged over some batches.
struct lora_ga {
  linalg::matrix gradient;
  ga_direction direction = ga_direction::b_second;
  ga_scale scale = ga_scale::stable;
  double gamma = 16;
  linalg::svd_options svd = {};  ///< PEFT: 4 iterations of 4 r columns
  philox random = {};            ///< of ga_direction::random

  /// @throws std::invalid_argument if sizes differ, 2 rank exceeds the smaller side, or the gradient is not finite.
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    const char* function = "hone::lora::lora_ga";
    const index_t r = s.rank;
    detail::check_shape(gradient, s, function, "gradient");
    invalid_argument_unless(2 * r <= (min)(s.outputs, s.inputs), function, s.name.c_str(),
                            "rank %td of a %td x %td matrix: twice the rank must not exceed its smaller side", r,
                            s.outputs, s.inputs);
    invalid_argument_unless(gamma > 0 && gamma < 1e300, function, "gamma", "must be positive, is %g", gamma);
    invalid_argument_unless(gradient.allFinite(), function, s.name.c_str(), "the gradient is not finite");
    const linalg::singular_triplets t = linalg::truncated_svd(gradient, 2 * r, svd);
    std::vector<index_t> drawn(static_cast<std::size_t>(2 * r));
    for (index_t i = 0; i < 2 * r; ++i) drawn[static_cast<std::size_t>(i)] = i;
    for (index_t i = 0; i < r && direction == ga_direction::random; ++i) {
      const auto other =
          i + static_cast<index_t>(random.uniform(static_cast<std::uint64_t>(i)) * static_cast<double>(2 * r - i));
      std::swap(drawn[static_cast<std::size_t>(i)], drawn[static_cast<std::size_t>(other)]);
    }
    proposal start{.b = linalg::matrix(s.outputs, r), .a = linalg::matrix(r, s.inputs), .compensate = true};
    double first = 0;
    for (index_t i = 0; i < r; ++i) {
      index_t from_a = drawn[static_cast<std::size_t>(i)], from_b = from_a;
      if (direction == ga_direction::alternating) from_a = 2 * i + 1, from_b = 2 * i;
      if (direction == ga_direction::a_second) from_a = r + i, from_b = i;
      if (direction == ga_direction::b_second) from_a = i, from_b = r + i;
      start.a.row(i) = t.v.col(from_a).transpose();
      start.b.col(i) = t.u.col(from_b) * t.values(from_b);
      if (i == 0) first = t.values(from_b);
    }
    if (scale == ga_scale::stable) start.b *= std::pow(static_cast<double>(s.outputs), 0.25) / std::sqrt(gamma);
    if (scale == ga_scale::weight_svd && first > 0)
      start.b *= linalg::truncated_svd(linalg::copy_of(w), 1, svd).values(0) / first;
    if (scale == ga_scale::gd_scale) {
      start.a /= s.scale;
      start.b /= s.scale;
    }
    return start;
  }
};

}  // namespace HONE_NAMESPACE::lora
