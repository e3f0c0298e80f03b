// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sums that do not depend on who computes them. The n elements are cut into blocks (of 4096, unless said otherwise); f
/// sums one block, in an order of its own; the block sums are folded in a binary tree whose shape depends on n alone
/// (node i of a level adds nodes 2i and 2i + 1 of the level below). Any executor gives the same bits.
#pragma once
#include "hone/core/executor.hpp"

namespace HONE_NAMESPACE {

/// Elements of one block of every reduction.
inline constexpr index_t block_size = 4096;

namespace detail {

/// Sums blocks [first, last) into sums[Terms]: a stack of aligned subtrees, merged as in binary counting.
template <std::size_t Terms, index_t Block, class F>
void fold_blocks(index_t first, index_t last, index_t n, double* sums, F& f) {
  constexpr std::size_t levels = 48;  // more than 2^47 blocks do not fit in memory
  double stack[levels][Terms];
  index_t width[levels];
  int depth = 0;
  for (index_t block = first; block < last; ++block) {
    double* top = stack[depth];
    for (std::size_t t = 0; t < Terms; ++t) top[t] = 0;
    f(block * Block, (min)((block + 1) * Block, n), top);
    width[depth++] = 1;
    for (; depth > 1 && width[depth - 1] == width[depth - 2]; --depth) {
      for (std::size_t t = 0; t < Terms; ++t) stack[depth - 2][t] += stack[depth - 1][t];
      width[depth - 2] *= 2;
    }
  }
  for (; depth > 1; --depth)
    for (std::size_t t = 0; t < Terms; ++t) stack[depth - 2][t] += stack[depth - 1][t];
  for (std::size_t t = 0; t < Terms; ++t) sums[t] = stack[0][t];
}

}  // namespace detail

/// Adds up Terms sums over [0, n) into @p sums (overwritten): f(begin, end, double* partial) adds the sums of one
/// block, at most @c Block elements from a multiple of it, to @p partial, which holds zeros.
/// @note One call of f a block; allocates nothing; bitwise for any executor.
template <std::size_t Terms, index_t Block = block_size, class F, executor E>
void blocked_sum(index_t n, double* sums, F&& f, E& pool) {
  if (n <= 0) {
    for (std::size_t t = 0; t < Terms; ++t) sums[t] = 0;
    return;
  }
  // Subtrees of a power of two of blocks: at most `capacity` of them, at least a few for each worker.
  constexpr std::size_t capacity = Terms <= 16 ? 512 : 32;
  const index_t blocks = (n + Block - 1) / Block;
  index_t subtree = pool.concurrency() == 1 ? blocks : 1;
  if (pool.concurrency() > 1)
    while ((blocks + subtree - 1) / subtree > index_t{capacity}) subtree *= 2;
  if (subtree >= blocks) {
    detail::fold_blocks<Terms, Block>(0, blocks, n, sums, f);
    return;
  }
  const index_t count = (blocks + subtree - 1) / subtree;
  double partial[capacity][Terms];
  pool.parallel_for(count, index_t{1}, [&](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      detail::fold_blocks<Terms, Block>(i * subtree, (min)((i + 1) * subtree, blocks), n, partial[i], f);
  });
  for (index_t width = 1; width < count; width *= 2)
    for (index_t i = 0; i + width < count; i += 2 * width)
      for (std::size_t t = 0; t < Terms; ++t) partial[i][t] += partial[i + width][t];
  for (std::size_t t = 0; t < Terms; ++t) sums[t] = partial[0][t];
}

}  // namespace HONE_NAMESPACE
