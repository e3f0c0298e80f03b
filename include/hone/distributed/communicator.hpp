// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Who else holds a part. A communicator has
///   rank(), size()                    which of how many this caller is
/// and, each a concept of its own, the collectives that it offers. All ranks call them in the same order.
///   all_reduce(doubles)               every rank: the sum over the ranks, element by element
///   reduce_scatter(x, borders)        rank r: elements [borders[r], borders[r + 1]) of the sum over the ranks; what
///                                     the others hold in x is then unspecified
///   all_gather(x, borders)            every rank: all of x, of which rank r brought [borders[r], borders[r + 1])
/// Both work in place on contiguous host memory. Sums over ranks are made in the accumulator type, in a tree over ranks
/// (`add_ranks`), and rounded once: the same bits from every communicator but `nccl`.
#pragma once
#include "hone/core/blas.hpp"

#include <span>

namespace HONE_NAMESPACE::distributed {

template <class C>
concept communicator = requires(C& c) {
  { c.rank() } -> std::convertible_to<index_t>;
  { c.size() } -> std::convertible_to<index_t>;
};

template <class C>
concept all_reducer = communicator<C> && requires(C& c, std::span<double> x) { c.all_reduce(x); };

template <class C, class T>
concept reduce_scatterer = communicator<C> && requires(C& c, std::span<T> x, std::span<const index_t> borders) {
  c.reduce_scatter(x, borders);
};

template <class C, class T>
concept all_gatherer =
    communicator<C> && requires(C& c, std::span<T> x, std::span<const index_t> borders) { c.all_gather(x, borders); };

namespace detail {

/// Throws unless @p borders are those of @p ranks parts of @p n elements.
inline void check_borders(std::span<const index_t> borders, index_t n, index_t ranks, const char* function) {
  const auto parts = static_cast<index_t>(borders.size()) - 1;
  invalid_argument_unless(parts == ranks, function, "borders", "make %td parts, there are %td ranks", parts, ranks);
  invalid_argument_unless(borders.front() == 0 && borders.back() == n, function, "borders",
                          "must begin with 0 and end with the number of elements, %td", n);
  for (std::size_t i = 1; i < borders.size(); ++i)
    invalid_argument_unless(borders[i - 1] <= borders[i], function, "borders",
                            "border %zu (%td) lies before border %zu", i, borders[i], i - 1);
}

template <class X>
constexpr std::span<X> part(std::span<X> x, std::span<const index_t> borders, index_t rank) {
  const auto r = static_cast<std::size_t>(rank);
  return x.subspan(static_cast<std::size_t>(borders[r]), static_cast<std::size_t>(borders[r + 1] - borders[r]));
}

inline constexpr index_t fold_size = 1024;

/// sum <- elements [at, at + sum.size()) of sources [first, first + count), at most `fold_size` of them.
template <scalar T>
void fold_ranks(std::span<const T* const> source, std::size_t first, std::size_t count, index_t at,
                vector_view<accumulator_t<T>> sum) {
  const vector_view<const T> own(source[first] + at, sum.size());
  if (count == 1) return copy(own, sum);
  const std::size_t half = (count + 1) / 2;
  fold_ranks(source, first, half, at, sum);
  alignas(64) accumulator_t<T> memory[fold_size];
  const vector_view<accumulator_t<T>> other(memory, sum.size());
  fold_ranks(source, first + half, count - half, at, other);
  axpy(accumulator_t<T>{1}, other, sum);
}

}  // namespace detail

/// out <- the sum of the vectors at @p source, one a rank, out.size() elements each: the first half of the ranks (the
/// larger one) plus the second, and so on down. Rounded once. @p out may be one of them.
template <scalar T>
void add_ranks(std::span<const T* const> source, std::span<T> out) {
  check_output(out, "hone::distributed::add_ranks", "out");
  alignas(64) accumulator_t<T> memory[detail::fold_size];
  const auto n = static_cast<index_t>(out.size());
  for (index_t at = 0; at < n; at += detail::fold_size) {
    const vector_view<accumulator_t<T>> sum(memory, (min)(detail::fold_size, n - at));
    detail::fold_ranks<T>(source, 0, source.size(), at, sum);
    copy(sum, as_vector(out).subvector(at, sum.size()));
  }
}

/// The process alone. Its collectives do nothing, but throw std::invalid_argument unless the borders are 0 and the
/// size.
struct single {
  [[nodiscard]] static constexpr index_t rank() { return 0; }
  [[nodiscard]] static constexpr index_t size() { return 1; }
  static void all_reduce(std::span<double>) {}
  template <scalar T>
  static void reduce_scatter(std::span<T> x, std::span<const index_t> borders) {
    detail::check_borders(borders, static_cast<index_t>(x.size()), 1, "hone::distributed::single::reduce_scatter");
  }
  template <scalar T>
  static void all_gather(std::span<T> x, std::span<const index_t> borders) {
    detail::check_borders(borders, static_cast<index_t>(x.size()), 1, "hone::distributed::single::all_gather");
  }
};

}  // namespace HONE_NAMESPACE::distributed
