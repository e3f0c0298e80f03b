// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sums over rows that several ranks hold, with bits that depend neither on their number nor on threads. The rows are
/// cut into blocks of 1024; a leaf sums one block; leaves are folded in the binary tree of core/reduce.hpp over the
/// blocks of all ranks. A rank sums the largest subtrees that lie in its rows; these, at most twice the logarithm of
/// the blocks a rank, are all that is exchanged, and every rank folds them to the same total.
#pragma once
#include "hone/core/executor.hpp"
#include "hone/privacy/domain.hpp"

#include <bit>
#include <span>
#include <vector>

namespace HONE_NAMESPACE::privacy {

/// Any communicator with rank(), size() and all_reduce(doubles), by reference, in one type; made of nothing: the
/// process alone.
class rank_reference {
 public:
  rank_reference() = default;
  /// @p comm must outlive this.
  template <class C>
    requires(!std::same_as<std::remove_cvref_t<C>, rank_reference> &&
             requires(C& c, std::span<double> x) {
               c.all_reduce(x);
               { c.rank() } -> std::convertible_to<index_t>;
               { c.size() } -> std::convertible_to<index_t>;
             })
  rank_reference(C& comm)
      : comm_(&comm), rank_(comm.rank()), size_(comm.size()),
        all_reduce_([](void* c, std::span<double> x) { static_cast<C*>(c)->all_reduce(x); }) {}

  [[nodiscard]] index_t rank() const { return rank_; }
  [[nodiscard]] index_t size() const { return size_; }
  void all_reduce(std::span<double> x) const {
    if (comm_ != nullptr) all_reduce_(comm_, x);
  }

 private:
  void* comm_ = nullptr;
  index_t rank_ = 0, size_ = 1;
  void (*all_reduce_)(void*, std::span<double>) = nullptr;
};

namespace detail {

/// A sum of blocks [begin, end), a whole subtree.
struct subtree {
  index_t begin, end;
};

/// The largest subtrees, none of more than @p most blocks, that blocks [first, last) of @p blocks consist of.
inline void append_subtrees(index_t first, index_t last, index_t blocks, index_t most, std::vector<subtree>& list) {
  for (index_t at = first; at < last;) {
    index_t width = at == 0 ? most : (min)(most, at & -at);
    while ((min)(at + width, blocks) > last) width /= 2;
    const index_t end = (min)(at + width, blocks);
    list.push_back({at, end});
    at = end;
  }
}

/// Folds the sums of adjoining subtrees (subtree i: sums[i * terms …), by their begin) where the tree says so, in
/// place;
/// @p list then holds what is left.
inline void fold_subtrees(std::vector<subtree>& list, index_t blocks, index_t terms, std::span<double> sums) {
  std::size_t depth = 0;
  const auto row = [&](std::size_t i) { return sums.data() + static_cast<index_t>(i) * terms; };
  for (std::size_t next = 0; next < list.size(); ++next) {
    list[depth] = list[next];
    if (depth != next)
      for (index_t t = 0; t < terms; ++t) row(depth)[t] = row(next)[t];
    for (++depth; depth > 1; --depth) {
      subtree& left = list[depth - 2];
      const subtree right = list[depth - 1];
      const index_t width = left.end - left.begin;
      const bool siblings =
          left.end == right.begin && std::has_single_bit(static_cast<std::size_t>(width)) &&
          left.begin % (2 * width) == 0 &&
          (right.end - right.begin == width || (right.end == blocks && right.end - right.begin < width));
      if (!siblings) break;
      for (index_t t = 0; t < terms; ++t) row(depth - 2)[t] += row(depth - 1)[t];
      left.end = right.end;
    }
  }
  list.resize(depth);
}

}  // namespace detail

/// Who holds which rows; every rank but the last holds whole blocks.
class row_shards {
 public:
  /// All @p rows in this process.
  explicit row_shards(index_t rows) : rows_(rows), borders_{0, rows} {}
  /// This rank holds rows [begin, begin + held) of @p rows; the ranks hold them in their order.
  /// @throws std::invalid_argument, on every rank, unless these are all rows and begin with whole blocks.
  /// @note One all_reduce of a double a rank.
  row_shards(index_t rows, index_t held, rank_reference ranks) : rows_(rows), ranks_(ranks) {
    std::vector<double> count(static_cast<std::size_t>(ranks.size()));
    count[static_cast<std::size_t>(ranks.rank())] = static_cast<double>(held);
    ranks.all_reduce(count);
    borders_.assign(1, 0);
    for (const double own : count) borders_.push_back(borders_.back() + static_cast<index_t>(own));
    const char* function = "hone::privacy::row_shards";
    invalid_argument_unless(borders_.back() == rows, function, "held", "the ranks hold %td of %td rows",
                            borders_.back(), rows);
    for (std::size_t r = 1; r + 1 < borders_.size(); ++r)
      invalid_argument_unless(borders_[r] % block_rows == 0 || borders_[r] == rows, function, "held",
                              "rank %zu begins with row %td, not at a multiple of %td", r, borders_[r], block_rows);
  }

  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] index_t begin() const { return borders_[static_cast<std::size_t>(ranks_.rank())]; }
  [[nodiscard]] index_t held() const { return borders_[static_cast<std::size_t>(ranks_.rank()) + 1] - begin(); }

  /// x <- what rank 0 holds in it, on every rank. @note One all_reduce where there are several.
  void broadcast(std::span<double> x) const {
    if (ranks_.size() == 1) return;
    if (ranks_.rank() != 0)
      for (double& value : x) value = 0;
    ranks_.all_reduce(x);
  }

  /// sums (overwritten, the same on every rank) <- the sum over the blocks of all rows: leaf(first, last, out) adds
  /// held rows [first, last), one block, counted from this rank's first, to out (sums.size() zeros).
  /// @note One all_reduce of the subtrees where there are several ranks; allocates for the subtrees and, a worker, for
  ///       one path of the tree. Bitwise for any executor and any number of ranks.
  template <class Leaf>
  void sum(std::span<double> sums, Leaf&& leaf, executor_reference pool) const {
    const auto terms = std::ssize(sums);
    const index_t blocks = (rows_ + block_rows - 1) / block_rows;
    const auto first_block = [&](index_t row) { return (row + block_rows - 1) / block_rows; };
    const auto width = static_cast<index_t>(std::bit_ceil(static_cast<std::size_t>((max)(blocks, index_t{1}))));
    index_t most = width;
    if (pool.concurrency() > 1)
      most = (max)(index_t{1},
                   width / static_cast<index_t>(std::bit_ceil(static_cast<std::size_t>(4 * pool.concurrency()))));
    const index_t from = first_block(begin());
    std::vector<detail::subtree> own;
    detail::append_subtrees(from, first_block(begin() + held()), blocks, most, own);
    std::vector<double> partial(own.size() * sums.size());
    pool.parallel_for(std::ssize(own), index_t{1}, [&](index_t first, index_t last) {
      for (index_t i = first; i < last; ++i)
        fold(own[static_cast<std::size_t>(i)], from, {partial.data() + i * terms, sums.size()}, leaf);
    });
    detail::fold_subtrees(own, blocks, terms, partial);
    if (ranks_.size() > 1) {
      std::vector<detail::subtree> all;
      std::size_t before = 0;
      for (std::size_t r = 0; r + 1 < borders_.size(); ++r) {
        if (static_cast<index_t>(r) == ranks_.rank()) before = all.size();
        detail::append_subtrees(first_block(borders_[r]), first_block(borders_[r + 1]), blocks, width, all);
      }
      std::vector<double> exchanged(all.size() * sums.size());
      for (std::size_t i = 0; i < own.size() * sums.size(); ++i) exchanged[before * sums.size() + i] = partial[i];
      ranks_.all_reduce(exchanged);
      partial.swap(exchanged);
      detail::fold_subtrees(all, blocks, terms, partial);
    }
    for (std::size_t t = 0; t < sums.size(); ++t) sums[t] = partial.empty() ? 0 : partial[t];
  }

 private:
  template <class Leaf>
  void fold(detail::subtree tree, index_t from, std::span<double> out, Leaf& leaf) const {
    const index_t width = tree.end - tree.begin;
    if (width == 1) {
      for (double& value : out) value = 0;
      leaf((tree.begin - from) * block_rows, (min)((tree.end - from) * block_rows, held()), out.data());
      return;
    }
    const index_t middle = tree.begin + static_cast<index_t>(std::bit_ceil(static_cast<std::size_t>(width)) / 2);
    fold({tree.begin, middle}, from, out, leaf);
    std::vector<double> right(out.size());
    fold({middle, tree.end}, from, right, leaf);
    for (std::size_t t = 0; t < out.size(); ++t) out[t] += right[t];
  }

  index_t rows_ = 0;
  rank_reference ranks_;
  std::vector<index_t> borders_;
};

}  // namespace HONE_NAMESPACE::privacy
