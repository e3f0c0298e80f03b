// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every communicator must do, whatever carries it.
#pragma once
#include "hone/distributed/replicated.hpp"

#include "gradient/support.hpp"

#include <cstring>
#include <stdexcept>

namespace parts_of = hone::distributed::detail;

namespace ranks {

using namespace hone;

inline void require(bool ok, const char* what) {
  if (!ok) throw std::logic_error(what);
}

/// 1 if f() is refused as misuse.
template <class F>
int refused(F&& f) {
  try {
    f();
  } catch (const std::invalid_argument&) {
    return 1;
  }
  return 0;
}

template <class T>
bool same_bits(std::span<const T> x, std::span<const T> y) {
  return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size_bytes()) == 0);
}

/// The gradient that rank @p r brings for task @p k.
template <class T>
std::vector<T> brought(index_t n, index_t r, index_t k) {
  return normals<T>(n, static_cast<std::uint32_t>(100 * k + r));
}

/// The sum over the ranks by the formula of `add_ranks`, element by element.
template <class T>
std::vector<T> summed(index_t n, index_t size, index_t k) {
  using A = accumulator_t<T>;
  std::vector<std::vector<T>> all;
  for (index_t r = 0; r < size; ++r) all.push_back(brought<T>(n, r, k));
  std::vector<T> sum(static_cast<std::size_t>(n));
  const auto fold = [&](auto& self, std::size_t i, std::size_t first, std::size_t count) -> A {
    if (count == 1) return to_accumulator(all[first][i]);
    const std::size_t half = (count + 1) / 2;
    return self(self, i, first, half) + self(self, i, first + half, count - half);
  };
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = from_accumulator<T>(fold(fold, i, 0, all.size()));
  return sum;
}

/// Ways to cut n elements: even, all on the last rank, uneven with an empty part in the middle.
inline std::vector<std::vector<index_t>> cuts(index_t n, index_t size) {
  std::vector<std::vector<index_t>> result = {distributed::shard_borders(n, size)};
  std::vector<index_t> last(static_cast<std::size_t>(size) + 1, 0), uneven(last);
  last.back() = n;
  for (index_t r = 1; r < size; ++r) uneven[static_cast<std::size_t>(r)] = n / 7 * ((r + 1) / 2);
  uneven.back() = n;
  result.push_back(last);
  result.push_back(uneven);
  return result;
}

template <class T, class C>
void check_collectives(C& comm) {
  const index_t rank = comm.rank(), size = comm.size();
  std::vector<double> x(3, static_cast<double>(rank + 1));
  comm.all_reduce(std::span(x));
  require(x == std::vector<double>(3, static_cast<double>(size * (size + 1) / 2)), "all_reduce");
  for (const index_t n : {index_t{0}, index_t{1}, index_t{5}, index_t{1025}, block_size + 1, 3 * block_size + 7})
    for (const auto& borders : cuts(n, size)) {
      const std::vector<T> expected = summed<T>(n, size, 1);
      std::vector<T> data = brought<T>(n, rank, 1);
      const std::span<T> all(data);
      comm.reduce_scatter(all, std::span<const index_t>(borders));
      const std::span<T> own = parts_of::part(all, std::span<const index_t>(borders), rank);
      const auto wanted = parts_of::part(std::span<const T>(expected), std::span<const index_t>(borders), rank);
      require(same_bits<T>(own, wanted), "reduce_scatter");
      comm.all_gather(all, std::span<const index_t>(borders));
      require(same_bits<T>(all, expected), "all_gather");
      std::vector<T> again = brought<T>(n, rank, 1);
      distributed::sum_over_ranks(std::span(again), comm);
      require(same_bits<T>(again, expected), "sum_over_ranks");
    }
}

/// A sink that keeps what it is handed.
template <class T>
struct collector {
  vector_view<T> seen;
  void operator()(index_t at, vector_view<const accumulator_t<T>> block) const {
    copy(block, seen.subvector(at, block.size()));
  }
};

/// Sharded and replicated combination against the one process, bit for bit, for @p method.
template <class T, class Method, class C>
void check_combination(const Method& method, C& comm) {
  using namespace gradient;
  const index_t rank = comm.rank(), size = comm.size();
  for (const index_t n : {index_t{0}, index_t{1}, block_size - 1, block_size + 1, 21 * block_size + 17}) {
    const std::vector<index_t> table = {0, n / 5, n / 5, n / 3, n};
    const auto f = summed<T>(n, size, 1), r = summed<T>(n, size, 2);
    for (const combine_options& options : {combine_options{}, combine_options{.groups = table, .geometry = true}}) {
      std::vector<T> expected(f.size()), shard_out(f.size()), seen(f.size());
      const auto report = combine(method, tasks(f, r), expected, options);
      const std::vector<index_t> borders = distributed::shard_borders(n, size, options.groups);
      const std::span<const index_t> cut(borders);
      const auto part = [&](auto& x) { return parts_of::part(std::span(x), cut, rank); };
      const index_t begin = borders[static_cast<std::size_t>(rank)];
      const auto sharded = distributed::combine_sharded(method, tasks(part(f), part(r)), part(shard_out), begin,
                                                        options, serial{}, comm);
      require(same_bits<T>(part(shard_out), part(expected)), "combine_sharded");
      require(sharded.elements == report.elements && sharded.conflicts == report.conflicts &&
                  sharded.opposed == report.opposed && sharded.nonfinite == report.nonfinite,
              "the sharded report");
      require(
          std::abs(sharded.gram(0, 1) - report.gram(0, 1)) <= 1e-9 * std::sqrt(report.gram(0, 0) * report.gram(1, 1)),
          "the sharded report's products");
      auto own_f = brought<T>(n, rank, 1), own_r = brought<T>(n, rank, 2);
      distributed::combine_replicated(method, std::array{std::span(own_f), std::span(own_r)}, own_r,
                                      distributed::reduction::sum, options, serial{}, comm);
      require(same_bits<T>(own_r, expected), "combine_replicated");
      own_f = brought<T>(n, rank, 1), own_r = brought<T>(n, rank, 2);
      distributed::combine_replicated(method, std::array{std::span(own_f), std::span(own_r)},
                                      collector<T>{as_vector(seen)}, distributed::reduction::sum, options, serial{},
                                      comm);
      require(same_bits<T>(part(seen), part(expected)), "combine_replicated into a sink");
    }
  }
}

}  // namespace ranks
