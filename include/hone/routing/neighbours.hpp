// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// k nearest neighbours: a prompt is answered as well as the k known prompts with the nearest embeddings were, each
/// counting alike, for any number of models [Hu et al. 2024, RouterBench, arXiv 2403.12031]; costs are predicted
/// likewise. RouterBench's choice argmax_m lambda performance_m - cost_m, at a willingness to pay of lambda, is
/// `choose_by_utility` (routing/utility.hpp) at 1 / lambda.
///
/// Search is exact. Products of blocks, in the accumulator type, rule out all but few rows, whose cosines or distances
/// are then computed in double and in order: neighbours depend neither on the blocks nor on how queries are batched,
/// and of equally near rows the first is taken.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/routing/detail/product_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace HONE_NAMESPACE::routing {

/// The nearest are those of largest cosine (a vector of zeros has cosine 0 with all), or of least distance.
enum class neighbour_metric { cosine, euclidean };

namespace detail {

HONE_INLINE simd::pack<double> square_difference(const simd::pack<double>& x, const simd::pack<double>& y) {
  return (x - y) * (x - y);
}
HONE_INLINE simd::double_halves square_difference(const simd::pack<float>& x, const simd::pack<float>& y) {
  const simd::double_halves a = simd::widen(x), b = simd::widen(y);
  return {square_difference(a.low, b.low), square_difference(a.high, b.high)};
}

template <scalar T, scalar U>
double squared_distance(const vector_view<T>& x, const vector_view<U>& y) {
  lane_sum sums;
  for_each_pack<simd::pack<accumulator_t<T>>::lanes>(
      0, x.size(),
      [&](index_t i, auto bound) { sums.add(square_difference(load_pack(x, i, bound), load_pack(y, i, bound))); }, x,
      y);
  return sums.total();
}

/// The rows that may be among the k of largest key, of keys that are off by at most @c slack.
template <class A>
class candidates {
 public:
  candidates(index_t k, A slack) : k_(static_cast<std::size_t>(k)), slack_(slack) {}

  [[nodiscard]] A threshold() const { return threshold_; }
  [[nodiscard]] const std::vector<index_t>& rows() {
    prune();
    rows_.clear();
    for (const entry& e : entries_) rows_.push_back(e.row);
    return rows_;
  }
  /// @pre key >= threshold()
  void add(A key, index_t row) {
    entries_.push_back({key, row});
    if (entries_.size() >= full_) prune();
  }

 private:
  struct entry {
    A key;
    index_t row;
  };

  void prune() {
    if (entries_.size() <= k_) return;
    const auto kth = entries_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(entries_.begin(), kth, entries_.end(),
                     [](const entry& a, const entry& b) { return a.key > b.key; });
    // k keys are at least the k-th, so that k true ones are at least that less slack.
    threshold_ = kth->key - 2 * slack_;
    std::erase_if(entries_, [this](const entry& e) { return e.key < threshold_; });
    full_ = (std::max)(full_, 2 * entries_.size());
  }

  std::size_t k_;
  A slack_, threshold_ = std::numeric_limits<A>::lowest();
  std::size_t full_ = 2 * k_ + 64;
  std::vector<entry> entries_;
  std::vector<index_t> rows_;
};

}  // namespace detail

/// Known embeddings (n x d), in memory of the caller's that must outlive this; holds 16 bytes a row. A row with an
/// element that is not finite is nobody's neighbour, and counted.
template <scalar T>
class neighbour_index {
 public:
  using A = accumulator_t<T>;

  /// @note Two reads of the embeddings.
  template <matrix_like X>
  explicit neighbour_index(const X& embeddings, neighbour_metric metric = neighbour_metric::cosine)
      : x_(as_matrix(embeddings)), metric_(metric), length_(detail::lengths_of(x_)) {
    for (const double length : length_) {
      nonfinite_ += !std::isfinite(length);
      if (std::isfinite(length)) longest_ = (std::max)(longest_, length);
    }
    for (const double length : length_) {
      // The key of a row that is left out is -infinity.
      const double share = longest_ > 0 ? length / longest_ : 0;
      const double handicap = metric_ == neighbour_metric::cosine ? 0 : share * share / 2;
      handicap_.push_back(std::isfinite(length) ? static_cast<A>(handicap) : std::numeric_limits<A>::infinity());
    }
  }

  [[nodiscard]] index_t rows() const { return x_.rows(); }
  [[nodiscard]] index_t width() const { return x_.cols(); }
  [[nodiscard]] neighbour_metric metric() const { return metric_; }
  /// Rows with an element that is not finite, or whose squared length is not.
  [[nodiscard]] index_t nonfinite() const { return nonfinite_; }

  /// The @p k nearest rows of each of @p queries (q x d, computed in the embeddings' accumulator type): their indices
  /// into @p rows (q x k) and their cosines or distances into @p values (q x k), nearest first. A query with an element
  /// that is not finite has rows -1 and values NaN; returns how many.
  /// @throws std::invalid_argument, before anything is written, unless 1 <= k <= the rows that are finite, and the
  ///         sizes fit.
  /// @note 2 q n d flops in Eigen's products, one read of the embeddings for each 256 queries; a double product for
  ///       each row within rounding, (d + 16) epsilon of the longest, of the k-th. Allocates two blocks a worker.
  ///       Bitwise for any executor, which shares out blocks of 256 queries.
  template <matrix_like Q, executor E = const serial>
  index_t find(const Q& queries, index_t k, std::span<index_t> rows, std::span<double> values,
               E&& pool = serial{}) const {
    const auto q = as_matrix(queries);
    static_assert(std::is_same_v<accumulator_t<element_t<Q>>, A>,
                  "hone::routing::neighbour_index: queries and embeddings compute in different types");
    const char* function = "hone::routing::neighbour_index::find";
    invalid_argument_unless(q.cols() == width(), function, "queries", "have %td elements, embeddings %td", q.cols(),
                            width());
    invalid_argument_unless(k >= 1 && k <= this->rows() - nonfinite_, function, "k",
                            "must be in [1, %td], the rows that are finite; is %td", this->rows() - nonfinite_, k);
    for (const std::size_t size : {rows.size(), values.size()})
      invalid_argument_unless(size == static_cast<std::size_t>(q.rows() * k), function, "rows, values",
                              "have %zu elements, expected %td x %td", size, q.rows(), k);
    check_output(rows, function, "rows");
    check_output(values, function, "values");
    pool.parallel_for((q.rows() + query_block - 1) / query_block, index_t{1}, [&](index_t begin, index_t end) {
      for (index_t b = begin; b < end; ++b) {
        const index_t first = b * query_block;
        find_block(q, first, (std::min)(first + query_block, q.rows()), k, rows, values);
      }
    });
    index_t broken = 0;
    for (index_t i = 0; i < q.rows(); ++i) broken += rows[static_cast<std::size_t>(i * k)] < 0;
    return broken;
  }

 private:
  using packs = simd::pack<A>;
  static constexpr index_t query_block = 256;

  /// Keys are q.x / |q| / |x|, or (q.x - x.x / 2) / longest^2: both grow as rows come nearer, neither overflows.
  template <scalar U>
  void find_block(const matrix_view<U>& q, index_t first, index_t last, index_t k, std::span<index_t> rows,
                  std::span<double> values) const {
    const matrix_view<U> own(last > first ? &q(first, 0) : q.data(), last - first, q.cols(), q.row_stride(),
                             q.col_stride());
    const std::vector<double> length = detail::lengths_of(own);
    std::vector<A> weight;
    std::vector<detail::candidates<A>> found;
    for (const double l : length) {
      const double factor = metric_ == neighbour_metric::cosine || longest_ == 0 ? 1
                            : std::isfinite(l)                                   ? l / longest_
                                                                                 : 0;
      // A query beyond the type's range of the rows is as near to all as rounding tells.
      weight.push_back(static_cast<A>((std::min)(factor, static_cast<double>((std::numeric_limits<A>::max)()) / 4e9)));
      found.emplace_back(k, static_cast<A>(width() + 16) * std::numeric_limits<A>::epsilon() * (weight.back() + 1));
    }
    const auto scale = [&](index_t j) {
      const double own_length = length_[static_cast<std::size_t>(j)];
      const double inverse = detail::inverse_length(own_length);
      return metric_ == neighbour_metric::cosine || inverse == 0 ? inverse : 1 / longest_;
    };
    detail::for_each_product_block<A>(
        x_, scale, detail::unit_columns<A>(own, length), [&](index_t begin, index_t height, const auto& products) {
          for (std::size_t i = 0; i < found.size(); ++i)
            sift(products.data() + static_cast<index_t>(i) * detail::row_block, begin, height, weight[i], found[i]);
        });
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto at = static_cast<std::size_t>((first + static_cast<index_t>(i)) * k),
                 count = static_cast<std::size_t>(k);
      rank(own.row(static_cast<index_t>(i)), length[i], found[i].rows(), rows.subspan(at, count),
           values.subspan(at, count));
    }
  }

  /// Adds the rows from @p begin on whose keys reach the threshold.
  void sift(const A* products, index_t begin, index_t height, A weight, detail::candidates<A>& found) const {
    const vector_view<const A> p(products, height), h(handicap_.data() + begin, height);
    for (index_t j = 0; j < height; j += packs::lanes) {
      const packs key =
          packs(weight) * load_pack(p, j, height) - load_pack(h, j, height, std::numeric_limits<A>::infinity());
      if (simd::bits(key >= packs(found.threshold())) == 0) continue;
      for (int lane = 0; lane < packs::lanes; ++lane)
        if (const A own = key.lane(lane); own >= found.threshold()) found.add(own, begin + j + lane);
    }
  }

  template <scalar U>
  void rank(const vector_view<U>& query, double length, const std::vector<index_t>& found, std::span<index_t> rows,
            std::span<double> values) const {
    if (!std::isfinite(length)) {
      for (std::size_t r = 0; r < rows.size(); ++r) {
        rows[r] = -1;
        values[r] = std::numeric_limits<double>::quiet_NaN();
      }
      return;
    }
    struct neighbour {
      double value;
      index_t row;
    };
    std::vector<neighbour> all;
    for (const index_t j : found) {
      const double product = length * length_[static_cast<std::size_t>(j)];
      if (metric_ == neighbour_metric::cosine)
        all.push_back({product > 0 ? -dot(query, x_.row(j)) / product : 0, j});
      else
        all.push_back({std::sqrt(detail::squared_distance(query, x_.row(j))), j});
    }
    std::partial_sort(all.begin(), all.begin() + std::ssize(rows), all.end(),
                      [](const neighbour& a, const neighbour& b) {
                        return a.value < b.value || (a.value == b.value && a.row < b.row);
                      });
    for (std::size_t r = 0; r < rows.size(); ++r) {
      rows[r] = all[r].row;
      values[r] = metric_ == neighbour_metric::cosine ? -all[r].value : all[r].value;
    }
  }

  matrix_view<const T> x_;
  neighbour_metric metric_;
  std::vector<double> length_;
  std::vector<A> handicap_;
  double longest_ = 0;
  index_t nonfinite_ = 0;
};
template <matrix_like X>
neighbour_index(const X&, neighbour_metric = neighbour_metric::cosine) -> neighbour_index<element_t<X>>;

/// The mean outcomes of each query's @p k nearest rows of @p index, by model: @p outcomes (n x M), of the index's rows,
/// and @p means (q x M). A NaN outcome makes its means NaN, and so does a query that is not finite; returns how many
/// queries were not.
/// @throws std::invalid_argument, before anything is written, as `find`, or if the sizes do not fit.
/// @note `find`, and k reads of M outcomes a query, added in double, nearest first. Bitwise for any executor.
template <scalar T, matrix_like Y, matrix_like Q, mutable_matrix R, executor E = const serial>
index_t mean_outcomes(const neighbour_index<T>& index, const Y& outcomes, const Q& queries, index_t k, R&& means,
                      E&& pool = serial{}) {
  const char* function = "hone::routing::mean_outcomes";
  const auto y = as_matrix(outcomes);
  const auto q = as_matrix(queries);
  const auto out = output_matrix(means, function, "means");
  invalid_argument_unless(y.rows() == index.rows(), function, "outcomes", "have %td rows, the index %td", y.rows(),
                          index.rows());
  invalid_argument_unless(out.rows() == q.rows() && out.cols() == y.cols(), function, "means",
                          "are %td x %td, expected %td x %td", out.rows(), out.cols(), q.rows(), y.cols());
  const auto count = static_cast<std::size_t>((std::max)(index_t{0}, q.rows() * (std::max)(index_t{0}, k)));
  std::vector<index_t> rows(count);
  std::vector<double> values(count);
  const index_t broken = index.find(q, k, rows, values, pool);
  for (index_t i = 0; i < q.rows(); ++i)
    for (index_t m = 0; m < y.cols(); ++m) {
      double sum = 0;
      for (index_t r = 0; r < k; ++r) {
        const index_t row = rows[static_cast<std::size_t>(i * k + r)];
        sum += row < 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(to_accumulator(y(row, m)));
      }
      using S = element_t<R>;
      out(i, m) = from_accumulator<S>(static_cast<accumulator_t<S>>(sum / static_cast<double>(k)));
    }
  return broken;
}

}  // namespace HONE_NAMESPACE::routing
