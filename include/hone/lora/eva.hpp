// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// EVA: A starts as the principal components of the layer's inputs, found batch by batch, B = 0; ranks go where they
/// explain most. [Paischer et al. 2024, One initialization to rule them all, arXiv 2410.07170; as in PEFT: inputs
/// centred (the paper's text is not), components converged when each moved by a cosine >= tau, ranks by explained
/// variance ratio]
#pragma once
#include "hone/linalg/truncated_svd.hpp"
#include "hone/lora/initialise.hpp"

#include <algorithm>
#include <span>

namespace HONE_NAMESPACE::lora {

/// Principal components of a stream of rows, of which the first @c components are kept from batch to batch.
/// [Ross et al. 2008, Incremental learning for robust visual tracking, IJCV 77; as scikit-learn and PEFT]
/// The result depends on the batches: what lies beyond the kept components is forgotten.
class incremental_pca {
 public:
  /// @throws std::invalid_argument unless 0 < components <= inputs.
  incremental_pca(index_t inputs, index_t components) : components_(components) {
    invalid_argument_unless(components > 0 && components <= inputs, "hone::lora::incremental_pca", "components",
                            "must be in [1, %td], the inputs, is %td", inputs, components);
    mean_ = linalg::vector::Zero(inputs);
    squares_ = linalg::vector::Zero(inputs);
  }

  /// Adds a batch @p x (rows x inputs). The first batch must have as many rows as there are components; later ones need
  /// not.
  /// @throws std::invalid_argument if it is too short, has another width, or is not finite; nothing is added then.
  template <matrix_like X>
  void add(const X& x) {
    const char* function = "hone::lora::incremental_pca::add";
    const auto xs = as_matrix(x);
    invalid_argument_unless(xs.cols() == mean_.size(), function, "x", "has rows of %td elements, expected %td",
                            xs.cols(), index_t{mean_.size()});
    invalid_argument_unless(xs.rows() > 0 && (count_ > 0 || xs.rows() >= components_), function, "x",
                            "has %td rows, the first batch needs %td", xs.rows(), components_);
    linalg::matrix rows = linalg::copy_of(xs);
    invalid_argument_unless(rows.allFinite(), function, "x", "is not finite");
    const auto before = static_cast<double>(count_), added = static_cast<double>(xs.rows()), total = before + added;
    const linalg::vector middle = rows.colwise().mean();
    rows.rowwise() -= middle.transpose();
    const linalg::vector shift = mean_ - middle;
    squares_ +=
        linalg::vector(rows.colwise().squaredNorm()) + linalg::vector(shift.cwiseAbs2() * (before * added / total));
    linalg::matrix stack = rows;
    if (count_ > 0) {
      stack.resize(components_ + rows.rows() + 1, rows.cols());
      stack.topRows(components_) = values_.asDiagonal() * vectors_.transpose();
      stack.middleRows(components_, rows.rows()) = rows;
      stack.bottomRows(1) = std::sqrt(before * added / total) * shift.transpose();
    }
    linalg::singular_triplets t = linalg::truncated_svd(stack, components_);
    if (count_ > 0) moved_ = (t.v.cwiseProduct(vectors_)).colwise().sum();
    vectors_ = std::move(t.v);
    values_ = std::move(t.values);
    mean_ += (middle - mean_) * (added / total);
    count_ += xs.rows();
  }

  [[nodiscard]] index_t count() const { return count_; }
  [[nodiscard]] const linalg::matrix& components() const { return vectors_; }  ///< inputs x components, columns
  [[nodiscard]] const linalg::vector& singular_values() const { return values_; }
  [[nodiscard]] const linalg::vector& mean() const { return mean_; }
  /// The share of the inputs' variance along each component.
  [[nodiscard]] linalg::vector explained_ratio() const {
    const double all = squares_.sum();
    return all > 0 ? linalg::vector(values_.cwiseAbs2() / all) : linalg::vector::Zero(values_.size());
  }
  /// Whether the last batch turned none of the first @p leading components by more than the angle of cosine @p tau.
  [[nodiscard]] bool converged(index_t leading, double tau = 0.99) const {
    return moved_.size() >= leading && (leading == 0 || moved_.head(leading).minCoeff() >= tau);
  }

 private:
  index_t components_, count_ = 0;
  linalg::vector mean_, squares_, values_, moved_;
  linalg::matrix vectors_;
};

/// Components to keep for a site of @p rank, of which ranks may grow by the factor @p rho >= 1: rank rho, rounded half
/// to even as Python does. @throws std::invalid_argument if rho is smaller.
inline index_t eva_components(index_t rank, double rho) {
  invalid_argument_unless(rho >= 1 && rho < 1e6, "hone::lora::eva_components", "rho", "must be at least 1, is %g", rho);
  return static_cast<index_t>(std::nearbyint(static_cast<double>(rank) * rho));
}

/// Deals out sum(ranks) ranks again: the largest of all explained ratios, wherever they are, ties to the lower site.
/// @param ratios of each site, descending, as many as it may have ranks. A site may get none.
/// @throws std::invalid_argument if the numbers of sites differ.
/// @note The scale of a site whose alpha is kept falls with its rank; PEFT's default adjusts alpha so that
///       alpha / rank, the site's scale here, stays.
inline std::vector<index_t> redistribute_ranks(std::span<const linalg::vector> ratios, std::span<const index_t> ranks) {
  invalid_argument_unless(ratios.size() == ranks.size(), "hone::lora::redistribute_ranks", "ranks",
                          "of %zu sites, ratios of %zu", ranks.size(), ratios.size());
  struct candidate {
    double ratio;
    std::size_t site;
  };
  std::vector<candidate> all;
  index_t budget = 0;
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    budget += ranks[i];
    for (index_t j = 0; j < ratios[i].size(); ++j) all.push_back({ratios[i](j), i});
  }
  std::stable_sort(all.begin(), all.end(), [](const candidate& x, const candidate& y) { return x.ratio > y.ratio; });
  std::vector<index_t> result(ranks.size());
  for (std::size_t k = 0; k < all.size() && static_cast<index_t>(k) < budget; ++k) ++result[all[k].site];
  return result;
}

/// A = the first components of @c inputs; the weight stays as it is.
struct eva {
  const incremental_pca& inputs;
  bool whiten = false;  ///< divides each component by the square root of its singular value

  /// @throws std::invalid_argument if there are too few components or they have another width.
  template <scalar T>
  [[nodiscard]] proposal propose(const matrix_view<const T>&, const site& s) const {
    const linalg::matrix& v = inputs.components();
    invalid_argument_unless(v.rows() == s.inputs && v.cols() >= s.rank, "hone::lora::eva", s.name.c_str(),
                            "%td components of %td inputs, asked for %td of %td", index_t{v.cols()}, index_t{v.rows()},
                            s.rank, s.inputs);
    proposal start{.a = v.leftCols(s.rank).transpose()};
    if (!whiten) return start;
    const linalg::vector values = inputs.singular_values().head(s.rank);
    invalid_argument_unless(values.minCoeff() > 0, "hone::lora::eva", s.name.c_str(), "a component without variance");
    start.a = values.cwiseSqrt().cwiseInverse().asDiagonal() * start.a;
    return start;
  }
};

}  // namespace HONE_NAMESPACE::lora
