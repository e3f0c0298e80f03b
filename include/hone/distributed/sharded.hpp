// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// `gradient::combine` where every rank holds a part of the gradients, already summed over the ranks (ZeRO-2 and -3,
/// FSDP). Inner products are of whole groups, so that the result does not depend on how many ranks there are; products
/// of the parts alone, as the authors' code of arXiv 2604.14808 takes them under ZeRO, do.
///
/// A group's blocks are counted from its beginning and folded in a tree (core/reduce.hpp). Each rank sums the largest
/// whole subtrees that it holds; one packed all-reduce shows all subtrees to all ranks, and each finishes the trees. So
/// products, weights and result have the bits that one process would get, wherever a shard's border is a block border
/// of the group that it cuts; `shard_borders` makes such borders. A block that a border cuts is summed in pieces, which
/// rounds its sum differently.
#pragma once
#include "hone/distributed/communicator.hpp"
#include "hone/distributed/digest.hpp"
#include "hone/gradient/combine.hpp"

#include <vector>

namespace HONE_NAMESPACE::distributed {

namespace detail {

/// The @c numbers of every rank, rank by rank. Each travels in a slot that one rank fills and the others leave zero:
/// the sum is exact in any order.
template <all_reducer C>
std::vector<double> show(std::span<const double> numbers, C& comm) {
  std::vector<double> all(numbers.size() * static_cast<std::size_t>(comm.size()));
  copy(numbers, std::span(all).subspan(numbers.size() * static_cast<std::size_t>(comm.rank()), numbers.size()));
  comm.all_reduce(std::span(all));
  return all;
}

/// `show`, for numbers of which those with a name must be the same on all ranks.
/// @throws std::invalid_argument on every rank if they are not.
template <std::size_t N, all_reducer C>
std::vector<double> agree(const double (&own)[N], const char* const (&names)[N], const char* function, C& comm) {
  std::vector<double> all = show(std::span<const double>(own), comm);
  for (std::size_t i = N; i < all.size(); ++i)
    if (names[i % N] != nullptr)
      invalid_argument_unless(all[i] == all[i % N], function, names[i % N], "on rank %zu is %.0f, on rank 0 %.0f",
                              i / N, all[i], all[i % N]);
  return all;
}

/// Elements [begin, end) of all, which @c rank holds.
struct shard {
  index_t begin, end;
  std::size_t rank;
};

/// A part of a group that one rank sums: @c blocks whole blocks that make a node of the group's tree, or some elements
/// of one block, which join those of the part before unless they are the first.
struct product_part {
  std::size_t group;
  index_t begin, size, blocks;
  std::size_t rank;
  bool joins;
};

/// All parts of all groups, in order. @p shards are not empty, in order, and leave nothing out.
inline std::vector<product_part> cut_groups(std::span<const index_t> groups, std::span<const shard> shards) {
  std::vector<product_part> parts;
  std::size_t s = 0;
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    const index_t origin = groups[g], end = groups[g + 1];
    for (index_t at = origin; at < end; at += parts.back().size) {
      while (shards[s].end <= at) ++s;
      const index_t stop = (min)(end, shards[s].end), left = stop - at;
      const index_t block = (at - origin) / block_size, inside = (at - origin) % block_size;
      const index_t whole = (stop == end ? left + block_size - 1 : left) / block_size;
      if (inside != 0 || whole == 0) {
        parts.push_back({g, at, (min)(left, block_size - inside), 1, shards[s].rank, inside != 0});
        continue;
      }
      const index_t aligned = block == 0 ? whole : block & -block;  // the widest node that begins here
      index_t blocks = whole;
      if (stop != end || whole > aligned)
        for (blocks = 1; 2 * blocks <= (min)(whole, aligned); blocks *= 2) {
        }
      parts.push_back({g, at, (min)(left, blocks * block_size), blocks, shards[s].rank, false});
    }
  }
  return parts;
}

/// The upper triangle of a group's Gram matrix from those of its parts, @p numbers of Terms each, into @p sums.
template <std::size_t Terms>
void fold_parts(std::span<const product_part> parts, const double* numbers, double* sums) {
  constexpr std::size_t levels = 64;
  double stack[levels][Terms];
  index_t width[levels];
  std::size_t depth = 0;
  const auto merge = [&] {
    --depth;
    for (std::size_t t = 0; t < Terms; ++t) stack[depth - 1][t] += stack[depth][t];
    width[depth - 1] *= 2;
  };
  for (const product_part& part : parts) {
    if (part.joins) {
      for (std::size_t t = 0; t < Terms; ++t) stack[depth - 1][t] += *numbers++;
      continue;
    }
    while (depth > 1 && width[depth - 1] == width[depth - 2]) merge();
    for (std::size_t t = 0; t < Terms; ++t) stack[depth][t] = *numbers++;
    width[depth++] = part.blocks;
  }
  while (depth > 1) merge();
  for (std::size_t t = 0; t < Terms; ++t) sums[t] = depth == 0 ? 0 : stack[0][t];
}

/// f(i, executor) for i in [0, count): runs of small ones are dealt out to the workers whole, a large one is cut among
/// them.
template <class Size, class F, executor E>
void deal_out(std::size_t count, Size&& size, F&& f, E& pool) {
  constexpr index_t most = 64 * block_size;
  for (std::size_t first = 0; first < count;) {
    std::size_t last = first;
    while (last < count && size(last) <= most) ++last;
    if (last == first) {
      f(first++, pool);
      continue;
    }
    pool.parallel_for(static_cast<index_t>(last - first), index_t{1}, [&](index_t begin, index_t end) {
      const serial alone;
      for (index_t i = begin; i < end; ++i) f(first + static_cast<std::size_t>(i), alone);
    });
    first = last;
  }
}

/// f(x) for every number of a report.
template <std::size_t K, class F>
void for_each_number(gradient::combine_report<K>& r, F&& f) {
  f(r.elements);
  for (auto& x : r.nonfinite) f(x);
  f(r.nonfinite_combined);
  f(r.unconverged);
  for (auto& row : r.gram.value)
    for (auto& x : row) f(x);
  for (auto& x : r.combined_dot) f(x);
  f(r.combined_squared);
  for (auto& x : r.opposed) f(x);
  f(r.conflicts);
  f(r.conflict_mass);
  f(r.mass);
}

/// The sum of the ranks' reports, in the order of the ranks.
template <std::size_t K, all_reducer C>
gradient::combine_report<K> add_reports(gradient::combine_report<K> own, C& comm) {
  std::vector<double> numbers;
  for_each_number(own, [&](auto& x) { numbers.push_back(static_cast<double>(x)); });
  const std::vector<double> all = show(std::span<const double>(numbers), comm);
  gradient::combine_report<K> total;
  for (auto next = all.begin(); next != all.end();) {
    gradient::combine_report<K> one;
    for_each_number(one, [&](auto& x) { x = static_cast<std::remove_reference_t<decltype(x)>>(*next++); });
    total += one;
  }
  return total;
}

/// Who holds what, from what the ranks say of themselves. @p header has @p fields values a rank, the first two where
/// its shard begins and how long it is.
inline std::vector<shard> order_shards(std::span<const double> header, std::size_t fields, const char* function) {
  std::vector<shard> shards;
  for (std::size_t r = 0; r * fields < header.size(); ++r) {
    const auto begin = static_cast<index_t>(header[r * fields]), size = static_cast<index_t>(header[r * fields + 1]);
    if (size == 0) continue;
    auto place = shards.end();
    while (place != shards.begin() && (place - 1)->begin > begin) --place;
    shards.insert(place, {begin, begin + size, r});
  }
  index_t covered = 0;
  for (const shard& s : shards) {
    invalid_argument_unless(s.begin == covered, function, "begin",
                            "the shard of rank %zu begins at %td, those before it end at %td", s.rank, s.begin,
                            covered);
    covered = s.end;
  }
  return shards;
}

template <class Method, scalar T, std::size_t K, class Out, all_reducer C>
gradient::combine_report<K> combine_shard(const Method& method, const gradient::task_gradients<T, K>& g, Out& out,
                                          index_t begin, std::span<const index_t> groups, std::span<const shard> shards,
                                          bool geometry, executor_reference pool, C& comm) {
  constexpr std::size_t terms = K * (K + 1) / 2;
  const auto rank = static_cast<std::size_t>(comm.rank());
  std::vector<product_part> parts;
  std::vector<double> products;
  std::vector<char> exact(groups.size());
  const auto products_of = [&](std::size_t group, std::size_t first, std::size_t last) {
    double sums[terms];
    fold_parts<terms>(std::span(parts).subspan(first, last - first), products.data() + first * terms, sums);
    return gradient::unpack_gram<T, K>(sums, exact[group] != 0);
  };
  if constexpr (gradient::gram_method<Method, K>) {
    parts = cut_groups(groups, shards);
    const auto sum_parts = [&](bool in_double) {
      std::vector<double> sums(parts.size() * terms);
      deal_out(
          parts.size(), [&](std::size_t i) { return parts[i].rank == rank ? parts[i].size : 0; },
          [&](std::size_t i, executor_reference executor) {
            if (parts[i].rank != rank || (in_double && exact[parts[i].group] == 0)) return;
            gradient::gram_sums(g.slice(parts[i].begin - begin, parts[i].size), in_double, sums.data() + i * terms,
                                executor);
          },
          pool);
      comm.all_reduce(std::span(sums));
      return sums;
    };
    products = sum_parts(false);
    bool again = false;
    for (std::size_t first = 0, last = 0; first < parts.size(); first = last) {
      const std::size_t group = parts[first].group;
      while (last < parts.size() && parts[last].group == group) ++last;
      exact[group] = gradient::needs_exact_gram<T>(products_of(group, first, last));
      again |= exact[group] != 0;
    }
    if (again) {
      const std::vector<double> sums = sum_parts(true);
      for (std::size_t i = 0; i < sums.size(); ++i)
        if (exact[parts[i / terms].group] != 0) products[i] = sums[i];
    }
  }
  // The groups that this rank has elements of, and where their parts lie.
  struct stretch {
    std::size_t group;
    index_t begin, size;
    std::size_t first, last;
  };
  std::vector<stretch> stretches;
  for (std::size_t group = 0, first = 0, last = 0; group + 1 < groups.size(); ++group, first = last) {
    while (last < parts.size() && parts[last].group == group) ++last;
    const index_t from = (max)(groups[group], begin), to = (min)(groups[group + 1], begin + g.size());
    if (from < to) stretches.push_back({group, from - begin, to - from, first, last});
  }
  std::vector<gradient::combine_report<K>> reports(stretches.size());
  deal_out(
      stretches.size(), [&](std::size_t i) { return stretches[i].size; },
      [&](std::size_t i, executor_reference executor) {
        const stretch& s = stretches[i];
        gradient::gram_matrix<K> gram;
        if constexpr (gradient::gram_method<Method, K>) gram = products_of(s.group, s.first, s.last);
        reports[i] = gradient::combine_group(method, gram, s.group, g.slice(s.begin, s.size), out, s.begin,
                                             begin + s.begin, geometry, executor);
        if (begin + s.begin != groups[s.group]) reports[i].unconverged = 0;  // counted where the group begins
      },
      pool);
  gradient::combine_report<K> total;
  for (const auto& report : reports) total += report;
  return add_reports(total, comm);
}

}  // namespace detail

/// size + 1 borders of parts of nearly n / size elements each, moved down to the next block border of the group they
/// cut (@p groups as in `combine_options`; empty: one), so that sharded results have the bits of unsharded ones.
/// @throws std::invalid_argument if n < 0, size < 1, or as `gradient::check_groups`.
inline std::vector<index_t> shard_borders(index_t n, index_t size, std::span<const index_t> groups = {}) {
  const char* function = "hone::distributed::shard_borders";
  invalid_argument_unless(n >= 0, function, "n", "must not be negative, is %td", n);
  invalid_argument_unless(size >= 1, function, "size", "must be positive, is %td", size);
  if (!groups.empty()) gradient::check_groups(groups, n);
  std::vector<index_t> borders = {0};
  std::size_t group = 0;
  for (index_t r = 1; r < size; ++r) {
    const index_t cut = n / size * r + n % size * r / size;
    while (group + 1 < groups.size() && groups[group + 1] <= cut) ++group;
    const index_t origin = groups.empty() ? 0 : groups[group];
    borders.push_back(origin + (cut - origin) / block_size * block_size);
  }
  borders.push_back(n);
  return borders;
}

/// `gradient::combine` of gradients of which each rank holds a part.
/// @param g this rank's part; possibly of no elements.
/// @param out memory of the part's size, which may be that of one of the gradients, or a sink that is handed the part's
///        elements counted from 0 (the rank's share of an optimiser's state, say).
/// @param begin where the part begins in the whole. The parts of all ranks cover it, in any order, without overlap.
/// @param options groups in places of the whole; @p method and options are the same on all ranks. A method's state of a
///        group advances on the ranks that hold elements of it.
/// @return the report of the whole, the same on all ranks: counts exact, sums of geometry to rounding.
/// @throws std::invalid_argument on every rank, before anything is written, if parts, output, options, the number of
///         tasks, their type, or the method and its parameters (`digest.hpp` says what it sees of them) do not fit
///         together, on whichever rank.
/// @note Three small all-reduces, a fourth where products are summed again in double: 7 values a rank, K(K + 1)/2 a
///       subtree (one for each group that lies on one rank, about log2 of its blocks for one that is cut), a report a
///       rank. Methods on elements have no need of the second. Bitwise for any executor; bitwise equal to one process
///       where the introduction says so.
template <class Method, scalar T, std::size_t K, class Out, executor E = const serial, all_reducer C>
  requires(mutable_vector<Out> || gradient::sink<Out, T>)
gradient::combine_report<K> combine_sharded(const Method& method, const gradient::task_gradients<T, K>& g, Out&& out,
                                            index_t begin, const gradient::combine_options& options, E&& pool,
                                            C&& comm) {
  const char* function = "hone::distributed::combine_sharded";
  index_t out_size = g.size();
  bool can_be_written = true;
  if constexpr (vector_like<Out>) {
    static_assert(std::is_same_v<accumulator_t<element_t<Out>>, accumulator_t<T>>,
                  "hone::distributed::combine_sharded: out and the gradients compute in different types");
    const auto target = as_vector(out);
    out_size = target.size();
    can_be_written = writable(target);
  }
  constexpr std::size_t fields = 8;
  const double own[fields] = {static_cast<double>(begin),
                              static_cast<double>(g.size()),
                              static_cast<double>(out_size),
                              static_cast<double>(K),
                              static_cast<double>(scalar_format<T>),
                              detail::digest().add(options).value(),
                              detail::digest().add(method).value(),
                              can_be_written ? 1.0 : 0.0};
  const char* const same[fields] = {nullptr,
                                    nullptr,
                                    nullptr,
                                    "g: number of tasks",
                                    "g: format",
                                    "options: hash",
                                    "method: hash of type and parameters",
                                    nullptr};
  const std::vector<double> header = detail::agree(own, same, function, comm);
  for (std::size_t r = 0; r * fields < header.size(); ++r) {
    const double* said = header.data() + r * fields;
    invalid_argument_unless(said[1] == said[2], function, "out", "on rank %zu has %.0f elements, the gradients %.0f", r,
                            said[2], said[1]);
    invalid_argument_unless(said[7] == 1, function, "out",
                            "on rank %zu has elements without memory, or several in one place", r);
  }
  gradient::check_method<K>(method, options.groups.empty() ? 1 : options.groups.size() - 1);
  const std::vector<detail::shard> shards = detail::order_shards(header, fields, function);
  const index_t whole[2] = {0, shards.empty() ? 0 : shards.back().end};
  std::span<const index_t> groups = whole;
  if (!options.groups.empty()) {
    gradient::check_groups(options.groups, whole[1]);
    if (gradient::gram_method<Method, K>) groups = options.groups;
  }
  if constexpr (vector_like<Out>) {
    const auto target = as_vector(out);
    return detail::combine_shard(method, g, target, begin, groups, shards, options.geometry, pool, comm);
  } else {
    return detail::combine_shard(method, g, out, begin, groups, shards, options.geometry, pool, comm);
  }
}

}  // namespace HONE_NAMESPACE::distributed
