// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Who else holds a part. A communicator has
///   rank(), size()                    which of how many this caller is
/// and, each a concept of its own, the collectives that it offers. All ranks call them in the same order.
///   all_reduce(doubles)               every rank: the sum over the ranks, element by element
///   reduce_scatter(x, borders)        rank r: elements [borders[r], borders[r + 1]) of the sum over the ranks; what
///                                     the others hold in x is then unspecified
///   all_gather(x, borders)            every rank: all of x, of which rank r brought [borders[r], borders[r + 1])
///   all_to_all(x, from, y, to)        rank r: the parts that the others have for it, by rank. Part s of x,
///                                     [from[s], from[s + 1]), goes to rank s; part s of y is what rank s has sent
///   all_to_all(x, y)                  the same where all parts of all ranks are as large
/// All work on contiguous host memory, the first three in place; x and y do not overlap. Sums over ranks are made in
/// the accumulator type, in a tree over ranks (`add_ranks`), and rounded once: the same bits from every communicator
/// but `nccl`. Parts may be empty, but every rank takes part in every call.
#pragma once
#include "hone/core/blas.hpp"

#include <span>
#include <type_traits>
#include <vector>

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

/// What is sent without being computed with: whatever is copied byte by byte.
template <class T>
concept plain = std::is_trivially_copyable_v<T> && !std::is_const_v<T>;

template <class C, class T>
concept exchanger = communicator<C> && plain<T> &&
                    requires(C& c, std::span<const T> x, std::span<T> y, std::span<const index_t> borders) {
                      c.all_to_all(x, borders, y, borders);
                      c.all_to_all(x, y);
                    };

namespace detail {

/// Whether @p borders are those of @p ranks parts of @p n elements.
constexpr bool borders_fit(std::span<const index_t> borders, std::size_t n, index_t ranks) {
  bool fit = static_cast<index_t>(borders.size()) == ranks + 1 && borders.front() == 0 &&
             borders.back() == static_cast<index_t>(n);
  for (std::size_t r = 1; fit && r < borders.size(); ++r) fit = borders[r - 1] <= borders[r];
  return fit;
}

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

/// Throws unless @p x and @p y are as many equal parts as there are ranks.
inline void check_equal_parts(std::size_t x, std::size_t y, index_t ranks, const char* function) {
  invalid_argument_unless(x == y, function, "y", "has %zu elements, x %zu", y, x);
  invalid_argument_unless(x % static_cast<std::size_t>(ranks) == 0, function, "x",
                          "%zu elements cannot be cut into %td equal parts", x, ranks);
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
  template <plain T>
  static void all_to_all(std::type_identity_t<std::span<const T>> x, std::span<T> y) {
    detail::check_equal_parts(x.size(), y.size(), 1, "hone::distributed::single::all_to_all");
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i];
  }
  template <plain T>
  static void all_to_all(std::type_identity_t<std::span<const T>> x, std::span<const index_t> from, std::span<T> y,
                         std::span<const index_t> to) {
    const char* function = "hone::distributed::single::all_to_all";
    detail::check_borders(from, static_cast<index_t>(x.size()), 1, function);
    detail::check_borders(to, static_cast<index_t>(y.size()), 1, function);
    all_to_all(x, y);
  }
};

/// The borders of what this rank will receive from ranks that send parts of x, cut at their @p from, to each other:
/// what `all_to_all` takes as @c to. What y has to hold is their last.
/// @throws std::invalid_argument on every rank unless those of each rank begin with 0, do not fall and make as many
///         parts as there are ranks.
/// @note One `all_to_all` of an index a rank.
template <exchanger<index_t> C>
std::vector<index_t> receive_borders(std::span<const index_t> from, C&& comm) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  const bool fit = !from.empty() && detail::borders_fit(from, static_cast<std::size_t>(from.back()), comm.size());
  std::vector<index_t> sent(ranks, -1), to(ranks + 1);
  for (std::size_t r = 0; fit && r < ranks; ++r) sent[r] = from[r + 1] - from[r];
  comm.all_to_all(std::span<const index_t>(sent), std::span(to).subspan(1));
  for (std::size_t r = 0; r < ranks; ++r)
    invalid_argument_unless(to[r + 1] >= 0, "hone::distributed::receive_borders", "from",
                            "those of rank %zu are not the borders of %zu parts", r, ranks);
  for (std::size_t r = 0; r < ranks; ++r) to[r + 1] += to[r];
  return to;
}

}  // namespace HONE_NAMESPACE::distributed
