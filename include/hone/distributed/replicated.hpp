// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Data parallelism with replicas: every rank holds gradients of all n parameters, from its own share of the data. A
/// method is not linear, so the gradients are summed before it sees them: reduce-scatter each, combine a shard a rank,
/// gather the result. 3 n elements cross the wires for two tasks, where two all-reduces move 4 n.
#pragma once
#include "hone/distributed/sharded.hpp"

namespace HONE_NAMESPACE::distributed {

/// What the ranks' gradients become before they are combined.
enum class reduction { sum, mean };

/// x <- the sum over the ranks. (n)
/// @throws std::invalid_argument on every rank if the sizes differ.
/// @note Half of the ranks plus the other half, and so on down: a trainer that folds the same gradients in one process
///       in that tree gets the same bits.
template <scalar T, communicator C>
  requires(all_reducer<C> && reduce_scatterer<C, T> && all_gatherer<C, T>)
void sum_over_ranks(std::span<T> x, C&& comm) {
  const char* function = "hone::distributed::sum_over_ranks";
  const bool has_memory = x.data() != nullptr || x.empty();
  detail::agree({static_cast<double>(x.size()), has_memory ? 1.0 : 0.0}, {"x: size", "x: memory (1 for some)"},
                function, comm);
  check_output(x, function, "x");
  const std::vector<index_t> borders = shard_borders(static_cast<index_t>(x.size()), comm.size());
  comm.reduce_scatter(x, std::span<const index_t>(borders));
  comm.all_gather(x, std::span<const index_t>(borders));
}

namespace detail {

/// Hands blocks on to @p out, counted from @p begin.
template <class Out>
struct sink_from {
  Out& out;
  index_t begin;

  template <class A>
  void operator()(index_t at, vector_view<const A> block) const {
    out(begin + at, block);
  }
};

}  // namespace detail

/// Reduces the gradients over the ranks and combines them.
/// @param local this rank's gradients (n each, contiguous); on return they hold nothing of use but what @p out says.
/// @param out n elements of memory, which may be one of @p local: every rank gets all of the combination. Or a sink,
///        which is handed this rank's share, [b[r], b[r + 1]) of b = shard_borders(n, size, groups), counted in the
///        whole: with an optimiser there, gather the parameters (comm.all_gather(p, b)) instead.
/// @param options groups as in `combine`; the same on all ranks, like @p method.
/// @return the report of the whole, as `combine_sharded`.
/// @throws std::invalid_argument on every rank, before anything is written, if sizes, options, tasks, formats, or the
///         method and its parameters do not fit.
/// @note Bitwise for any executor, and equal to combining, in one process, gradients summed as `add_ranks` does.
template <class Method, scalar T, std::size_t K, class Out, executor E = const serial, all_reducer C>
  requires(reduce_scatterer<C, T> && all_gatherer<C, T> && (mutable_vector<Out> || gradient::sink<Out, T>))
gradient::combine_report<K> combine_replicated(const Method& method, const std::array<std::span<T>, K>& local,
                                               Out&& out, reduction how, const gradient::combine_options& options,
                                               E&& pool, C&& comm) {
  const char* function = "hone::distributed::combine_replicated";
  const std::size_t n = local[0].size();
  std::size_t worst = n, written = n;
  bool has_memory = true, contiguous = true;
  for (const auto& x : local) {
    if (x.size() != n) worst = x.size();
    has_memory = has_memory && (x.data() != nullptr || x.empty());
  }
  std::span<T> target;
  if constexpr (vector_like<Out>) {
    static_assert(std::is_same_v<element_t<Out>, T>,
                  "hone::distributed::combine_replicated: out is gathered, so it "
                  "holds what the gradients hold");
    const auto view = as_vector(out);
    written = static_cast<std::size_t>(view.size());
    contiguous = written == 0 || (view.contiguous() && writable(view));
    target = std::span<T>(view.data(), written);
  }
  constexpr std::size_t fields = 10;
  const double own[fields] = {static_cast<double>(n),
                              static_cast<double>(worst),
                              static_cast<double>(written),
                              static_cast<double>(K),
                              static_cast<double>(scalar_format<T>),
                              detail::digest().add(options).value(),
                              detail::digest().add(method).value(),
                              static_cast<double>(how),
                              has_memory ? 1.0 : 0.0,
                              contiguous ? 1.0 : 0.0};
  const char* const same[fields] = {"local: size",
                                    nullptr,
                                    nullptr,
                                    "local: number of tasks",
                                    "local: format",
                                    "options: hash",
                                    "method: hash of type and parameters",
                                    "how: reduction",
                                    nullptr,
                                    nullptr};
  const std::vector<double> header = detail::agree(own, same, function, comm);
  for (std::size_t r = 0; r * fields < header.size(); ++r) {
    const double* said = header.data() + r * fields;
    invalid_argument_unless(said[1] == said[0], function, "local", "on rank %zu gradients have %.0f and %.0f elements",
                            r, said[0], said[1]);
    invalid_argument_unless(said[2] == said[0], function, "out", "on rank %zu has %.0f elements, the gradients %.0f", r,
                            said[2], said[0]);
    invalid_argument_unless(said[8] == 1, function, "local", "on rank %zu a gradient has no memory", r);
    invalid_argument_unless(said[9] == 1, function, "out", "on rank %zu must be contiguous memory", r);
  }
  gradient::check_method<K>(method, options.groups.empty() ? 1 : options.groups.size() - 1);
  const std::vector<index_t> borders = shard_borders(static_cast<index_t>(n), comm.size(), options.groups);
  const std::span<const index_t> cuts(borders);
  const index_t rank = comm.rank(), begin = borders[static_cast<std::size_t>(rank)];
  gradient::task_gradients<T, K> g;
  for (std::size_t k = 0; k < K; ++k) {
    comm.reduce_scatter(local[k], cuts);
    const std::span<T> own_part = detail::part(local[k], cuts, rank);
    if (how == reduction::mean) scale(accumulator_t<T>{1} / static_cast<accumulator_t<T>>(comm.size()), own_part, pool);
    g.task[k] = as_vector(own_part);
  }
  if constexpr (vector_like<Out>) {
    const auto report = combine_sharded(method, g, detail::part(target, cuts, rank), begin, options, pool, comm);
    comm.all_gather(target, cuts);
    return report;
  } else {
    return combine_sharded(method, g, detail::sink_from<std::remove_reference_t<Out>>{out, begin}, begin, options, pool,
                           comm);
  }
}

}  // namespace HONE_NAMESPACE::distributed
