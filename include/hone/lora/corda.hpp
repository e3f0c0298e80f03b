// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// CorDA: the weight's decomposition seen through its inputs. With C the second moment of the inputs, damped until it
/// can be inverted, W C = U S V^T, and the kept triplets give B = U sqrt(S / s), A = sqrt(S / s) V^T C^-1: s B A is
/// their part of W. Kept are the largest (instruction previewed: adapt to what the inputs show) or the smallest
/// (knowledge preserved: keep away from it). [Yang et al. 2024, CorDA, arXiv 2406.05223; as in PEFT, where s is and the
/// paper has none]
#pragma once
#include "hone/linalg/truncated_svd.hpp"
#include "hone/lora/initialise.hpp"

#include <Eigen/Cholesky>

namespace HONE_NAMESPACE::lora {

/// The second moment of inputs as PEFT collects it: each batch over the magnitude of its largest number, max(X), which
/// is not the largest magnitude; the batches count alike, whatever their rows.
class corda_moment {
 public:
  /// @throws std::invalid_argument unless @p inputs > 0.
  explicit corda_moment(index_t inputs) {
    invalid_argument_unless(inputs > 0, "hone::lora::corda_moment", "inputs", "must be positive, is %td", inputs);
    sum_ = linalg::matrix::Zero(inputs, inputs);
  }
  /// Adds a batch @p x (rows x inputs).
  /// @throws std::invalid_argument if it has no row or another width, is not finite, or has 0 for its largest number;
  ///         nothing is added then.
  template <matrix_like X>
  void add(const X& x) {
    const char* function = "hone::lora::corda_moment::add";
    const auto xs = as_matrix(x);
    invalid_argument_unless(xs.rows() > 0 && xs.cols() == sum_.cols(), function, "x",
                            "is %td x %td, expected rows of %td", xs.rows(), xs.cols(), index_t{sum_.cols()});
    const linalg::matrix batch = linalg::copy_of(xs);
    const double largest = std::abs(batch.maxCoeff());
    invalid_argument_unless(batch.allFinite() && largest > 0, function, "x",
                            "is not finite, or its largest number is 0");
    sum_.template selfadjointView<Eigen::Lower>().rankUpdate(batch.transpose(), 1 / (largest * largest));
    ++batches_;
  }
  [[nodiscard]] index_t batches() const { return batches_; }
  /// The mean over the batches.
  [[nodiscard]] linalg::matrix mean() const {
    return linalg::matrix(sum_.template selfadjointView<Eigen::Lower>()) /
           static_cast<double>((max)(batches_, index_t{1}));
  }

 private:
  linalg::matrix sum_;
  index_t batches_ = 0;
};

enum class corda_mode { instruction_previewed, knowledge_preserved };

/// @c moment: inputs x inputs, of which the lower triangle is read: `corda_moment`'s mean or any second moment of
/// inputs.
struct corda {
  linalg::matrix moment;
  corda_mode mode = corda_mode::instruction_previewed;
  double damping = 0.01;  ///< of the mean diagonal, doubled until |C C^-1 - I|_F < 0.05

  /// @throws std::invalid_argument if sizes differ, or the moment is not finite, has no positive trace, or cannot be
  /// inverted.
  /// @note In double, where PEFT's float may have to double the damping more often.
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>& w, const site& s) const {
    const char* function = "hone::lora::corda";
    invalid_argument_unless(moment.rows() == s.inputs && moment.cols() == s.inputs, function, "moment",
                            "is %td x %td, %s has %td inputs", index_t{moment.rows()}, index_t{moment.cols()},
                            s.name.c_str(), s.inputs);
    invalid_argument_unless(damping > 0 && damping < 1e300, function, "damping", "must be positive, is %g", damping);
    linalg::matrix c = moment;
    c.template triangularView<Eigen::StrictlyUpper>() = c.transpose();
    const double middle = c.trace() / static_cast<double>(s.inputs);
    invalid_argument_unless(c.allFinite() && middle > 0, function, "moment", "is not finite, or has no positive trace");
    const linalg::matrix identity = linalg::matrix::Identity(s.inputs, s.inputs);
    linalg::matrix damped;
    Eigen::LLT<linalg::matrix> factor;
    double damp = damping;
    for (int attempt = 0; attempt < 64; ++attempt, damp *= 2) {
      damped = c + damp * middle * identity;
      factor.compute(damped);
      if (factor.info() == Eigen::Success && (damped * factor.solve(identity) - identity).norm() < 0.05) break;
    }
    invalid_argument_unless(factor.info() == Eigen::Success, function, "moment", "is not positive, even damped by %g",
                            damp);
    const linalg::matrix seen = linalg::copy_of(w) * damped;
    const bool all = mode == corda_mode::knowledge_preserved;
    linalg::singular_triplets t = linalg::truncated_svd(seen, all ? (min)(s.outputs, s.inputs) : s.rank);
    if (all) t = {t.u.rightCols(s.rank), t.values.tail(s.rank), t.v.rightCols(s.rank)};
    const linalg::vector root = (t.values / s.scale).cwiseSqrt();
    return {.b = t.u * root.asDiagonal(), .a = root.asDiagonal() * factor.solve(t.v).transpose(), .compensate = true};
  }
};

}  // namespace HONE_NAMESPACE::lora
