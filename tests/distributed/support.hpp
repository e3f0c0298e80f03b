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
  for (const std::size_t n : {0u, 3u, 2500u}) {
    std::vector<double> x(n), wanted(n);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<double>((rank + 1) * static_cast<index_t>(i + 1));
      wanted[i] = static_cast<double>(size * (size + 1) / 2 * static_cast<index_t>(i + 1));
    }
    comm.all_reduce(std::span(x));
    require(x == wanted, "all_reduce");
  }
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

/// How many elements rank @p s has for rank @p r: none to some thousands; some ranks have nothing at all, or get
/// nothing.
inline index_t parcel(std::uint32_t round, index_t s, index_t r) {
  const philox draw{.seed = 5, .stream = round};
  const auto chance = [&](index_t i) { return draw.uniform(static_cast<std::uint64_t>(i)); };
  if (chance(100 + s) < 0.2 || chance(200 + r) < 0.2 || chance(300 + 17 * s + r) < 0.2) return 0;
  return static_cast<index_t>(std::pow(10, 4 * chance(1000 + 17 * s + r)));
}

/// Element @p i of what rank @p s has for rank @p r.
template <class T>
T content(index_t s, index_t r, index_t i) {
  return static_cast<T>(static_cast<float>((i * 31 + s * 7 + r) % 251));
}

/// Each rank sends every other @p count(s, r) elements, and looks whether they are there.
template <class T, class C, class Count>
void check_exchange(C& comm, Count&& count) {
  std::vector<index_t> from{0}, to{0};
  std::vector<T> x, wanted;
  for (index_t r = 0; r < comm.size(); ++r) {
    const index_t sent = count(comm.rank(), r), received = count(r, comm.rank());
    from.push_back(from.back() + sent);
    to.push_back(to.back() + received);
    for (index_t i = 0; i < sent; ++i) x.push_back(content<T>(comm.rank(), r, i));
    for (index_t i = 0; i < received; ++i) wanted.push_back(content<T>(r, comm.rank(), i));
  }
  require(distributed::receive_borders(std::span<const index_t>(from), comm) == to, "receive_borders");
  std::vector<T> y(wanted.size());
  comm.all_to_all(x, std::span<const index_t>(from), std::span(y), std::span<const index_t>(to));
  require(same_bits<T>(y, wanted), "all_to_all");
}

template <class T, class C>
void check_exchanges(C& comm) {
  for (std::uint32_t round = 0; round < 30; ++round)
    check_exchange<T>(comm, [&](index_t s, index_t r) { return parcel(round, s, r); });
  const index_t last = comm.size() - 1;
  for (const index_t n : {0, 1, 300001}) {
    check_exchange<T>(comm, [&](index_t, index_t) { return n; });
    check_exchange<T>(comm, [&](index_t s, index_t) { return s == last ? n : 0; });
    check_exchange<T>(comm, [&](index_t s, index_t r) { return s == 0 && r == last ? n : 0; });
    const auto size = static_cast<std::size_t>(comm.size() * n);
    std::vector<T> x(size), y(size), wanted(size);
    for (index_t r = 0; r < comm.size(); ++r)
      for (index_t i = 0; i < n; ++i) {
        x[static_cast<std::size_t>(r * n + i)] = content<T>(comm.rank(), r, i);
        wanted[static_cast<std::size_t>(r * n + i)] = content<T>(r, comm.rank(), i);
      }
    comm.all_to_all(x, std::span(y));
    require(same_bits<T>(y, wanted), "all_to_all of equal parts");
  }
}

/// Borders of one rank that are none are refused on all.
template <class C>
void check_refused_borders(C& comm) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  const std::vector<index_t> good(ranks + 1, 0);
  std::vector<index_t> falling(good), late(good), few(ranks, 0);
  falling[ranks] = -1;
  late[0] = 1;
  for (const auto& bad : {falling, late, few, std::vector<index_t>{}}) {
    const auto& own = comm.rank() == comm.size() - 1 ? bad : good;
    require(refused([&] { distributed::receive_borders(std::span<const index_t>(own), comm); }) == 1, "bad borders");
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

/// Whether the reports are alike: counts the same, sums to rounding.
template <std::size_t K>
bool alike(const gradient::combine_report<K>& a, const gradient::combine_report<K>& b) {
  const auto close = [](double x, double y, double unit) { return x == y || std::abs(x - y) <= 1e-9 * unit; };
  bool result = a.elements == b.elements && a.conflicts == b.conflicts && a.opposed == b.opposed &&
                a.nonfinite == b.nonfinite && a.nonfinite_combined == b.nonfinite_combined &&
                a.unconverged == b.unconverged && close(a.combined_squared, b.combined_squared, b.combined_squared) &&
                close(a.conflict_mass, b.conflict_mass, b.conflict_mass) && close(a.mass, b.mass, b.mass);
  for (std::size_t i = 0; i < K; ++i) {
    result = result && close(a.combined_dot[i], b.combined_dot[i], std::sqrt(b.combined_squared * b.gram(i, i)));
    for (std::size_t j = 0; j < K; ++j)
      result = result && close(a.gram(i, j), b.gram(i, j), std::sqrt(b.gram(i, i) * b.gram(j, j)));
  }
  return result;
}

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
      require(alike(sharded, report), "the sharded report");
      auto own_f = brought<T>(n, rank, 1), own_r = brought<T>(n, rank, 2);
      const auto replicated =
          distributed::combine_replicated(method, std::array{std::span(own_f), std::span(own_r)}, own_r,
                                          distributed::reduction::sum, options, serial{}, comm);
      require(same_bits<T>(own_r, expected), "combine_replicated");
      require(alike(replicated, report), "the replicated report");
      own_f = brought<T>(n, rank, 1), own_r = brought<T>(n, rank, 2);
      const auto handed = distributed::combine_replicated(method, std::array{std::span(own_f), std::span(own_r)},
                                                          collector<T>{as_vector(seen)}, distributed::reduction::sum,
                                                          options, serial{}, comm);
      require(same_bits<T>(part(seen), part(expected)), "combine_replicated into a sink");
      require(alike(handed, report), "the report of a sink");
    }
  }
}

}  // namespace ranks
