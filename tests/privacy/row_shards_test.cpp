// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/privacy/row_shards.hpp"

#include "hone/core/random.hpp"
#include "hone/core/reduce.hpp"
#include "hone/core/thread_pool.hpp"
#include "hone/distributed/threads.hpp"

#include "support/catch.hpp"

using namespace hone::privacy;
using hone::index_t;

namespace {
constexpr std::size_t terms = 3;

/// Adds rows of a fixed pseudo-random table, from row @p offset on.
struct table_leaf {
  index_t offset;
  void operator()(index_t first, index_t last, double* out) const {
    for (index_t i = first; i < last; ++i)
      for (std::size_t t = 0; t < terms; ++t)
        out[t] += hone::philox{7, static_cast<std::uint32_t>(t)}.normal(static_cast<std::uint64_t>(offset + i));
  }
};

/// The sum by core/reduce.hpp, whose tree is the same.
std::vector<double> reference(index_t rows) {
  std::vector<double> sums(terms);
  const hone::serial alone;
  hone::blocked_sum<terms, block_rows>(
      rows, sums.data(), [](index_t first, index_t last, double* out) { table_leaf{0}(first, last, out); }, alone);
  return sums;
}
}  // namespace

TEST_CASE("one process: the tree of core, by any number of threads") {
  for (const index_t rows : {index_t{1}, block_rows - 1, block_rows, block_rows + 1, 3 * block_rows, 7 * block_rows + 5,
                             8 * block_rows, 13 * block_rows + 1}) {
    const std::vector<double> right = reference(rows);
    const row_shards shards(rows);
    CHECK(shards.held() == rows);
    CHECK(shards.begin() == 0);
    for (const index_t workers : {1, 2, 7}) {
      hone::thread_pool pool(workers);
      std::vector<double> sums(terms, 99.0);
      shards.sum(sums, table_leaf{0}, pool);
      CHECK(sums == right);
    }
  }
}

TEST_CASE("ranks: the same bits, however the blocks are dealt out") {
  const index_t blocks = 7, rows = blocks * block_rows - 100;
  const std::vector<double> right = reference(rows);
  for (index_t first = 0; first <= blocks; ++first)
    for (index_t second = first; second <= blocks; ++second) {
      const std::array<index_t, 4> border{0, (std::min)(first * block_rows, rows),
                                          (std::min)(second * block_rows, rows), rows};
      hone::distributed::thread_ranks all(3);
      all.run([&](hone::distributed::threads& comm) {
        const auto r = static_cast<std::size_t>(comm.rank());
        const row_shards shards(rows, border[r + 1] - border[r], comm);
        std::vector<double> sums(terms);
        hone::thread_pool pool(comm.rank() == 1 ? 3 : 1);
        shards.sum(sums, table_leaf{shards.begin()}, pool);
        if (sums != right || shards.held() != border[r + 1] - border[r]) throw std::runtime_error("other bits");
      });
    }
}

TEST_CASE("what the ranks hand over is the subtrees' roots alone") {
  const index_t blocks = 64, rows = blocks * block_rows;
  hone::distributed::thread_ranks all(2);
  all.run([&](hone::distributed::threads& comm) {
    struct counting {
      hone::distributed::threads& comm;
      std::size_t sent = 0;
      [[nodiscard]] index_t rank() const { return comm.rank(); }
      [[nodiscard]] index_t size() const { return comm.size(); }
      void all_reduce(std::span<double> x) {
        sent += x.size();
        comm.all_reduce(x);
      }
    } counted{comm};
    const row_shards shards(rows, (comm.rank() == 0 ? 37 : 27) * block_rows, counted);
    std::vector<double> sums(terms);
    const hone::serial alone;
    shards.sum(sums, table_leaf{shards.begin()}, alone);
    // 37 = 32 + 4 + 1; 27 = 1 + 2 + 8 + 16: and the number of rows of both.
    if (counted.sent != 2 + 7 * terms) throw std::runtime_error("too much");
  });
}

TEST_CASE("shards that are not all rows, or do not begin with a block, are refused on every rank") {
  const auto refused = [](index_t rows, std::array<index_t, 2> held) {
    int refusals = 0;
    std::mutex guard;
    hone::distributed::thread_ranks all(2);
    all.run([&](hone::distributed::threads& comm) {
      try {
        row_shards(rows, held[static_cast<std::size_t>(comm.rank())], comm);
      } catch (const std::invalid_argument&) {
        const std::lock_guard lock(guard);
        ++refusals;
      }
    });
    return refusals;
  };
  CHECK(refused(3000, {2048, 952}) == 0);
  CHECK(refused(3000, {3000, 0}) == 0);
  CHECK(refused(3000, {0, 3000}) == 0);
  CHECK(refused(3000, {2048, 951}) == 2);
  CHECK(refused(3000, {2047, 953}) == 2);
}
