// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/distributed/sharded.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/distributed/threads.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/graddrop.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"

#include "distributed/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::distributed;
using gradient::combine;
using gradient::combine_options;
using gradient::tasks;

TEMPLATE_TEST_CASE("shards that end at block borders give the bits of one process", "", float, double, bfloat16) {
  for (const index_t size : {1, 2, 3, 4}) {
    thread_ranks all(size);
    CHECK_NOTHROW(all.run([](threads& comm) {
      ranks::check_combination<TestType>(gradient::sago{.retain = 0.5}, comm);
      ranks::check_combination<TestType>(gradient::pcgrad{.forget = 0.5}, comm);
      if constexpr (std::is_same_v<TestType, float>) {  // what a method's kind asks of ranks does not depend on types
        ranks::check_combination<float>(gradient::blur{}, comm);
        ranks::check_combination<float>(gradient::mgda{}, comm);
        ranks::check_combination<float>(gradient::cagrad{}, comm);
        ranks::check_combination<float>(gradient::graddrop<2>{.seed = 3, .step = 8}, comm);
      }
      if constexpr (sizeof(TestType) == 2)  // whose words have no order
        ranks::check_combination<TestType>(gradient::graddrop<2>{.seed = 3, .step = 8}, comm);
    }));
  }
}

TEST_CASE("the shards' products fold to the bits of gram, however the blocks are dealt out") {
  // Every cut of 13 blocks and a bit among three ranks, at block borders counted from the group's beginning.
  const index_t origin = 100, n = origin + 13 * block_size + 5;
  const auto f = normals<double>(n, 1), r = normals<double>(n, 2), e = normals<double>(n, 3);
  const std::vector<index_t> groups = {0, origin, n};
  const auto g = tasks(f, r, e);
  const auto expected = gradient::gram(g.slice(origin, n - origin));
  for (index_t a = 0; a <= 13; ++a)
    for (index_t b = a; b <= 13; ++b) {
      const index_t x = origin + a * block_size, y = origin + b * block_size;
      std::vector<parts_of::shard> shards;
      for (const parts_of::shard& s : {parts_of::shard{0, x, 0}, parts_of::shard{x, y, 1}, parts_of::shard{y, n, 2}})
        if (s.begin < s.end) shards.push_back(s);
      const auto parts = parts_of::cut_groups(groups, shards);
      std::vector<double> numbers;
      index_t covered = 0;
      std::size_t first = 0;
      for (const auto& part : parts) {
        REQUIRE(part.begin == covered);
        covered += part.size;
        if (part.group == 0) ++first;
        const auto own = gradient::gram(g.slice(part.begin, part.size));
        for (std::size_t i = 0; i < 3; ++i)
          for (std::size_t j = i; j < 3; ++j) numbers.push_back(own(i, j));
      }
      REQUIRE(covered == n);
      double sums[6];
      parts_of::fold_parts<6>(std::span(parts).subspan(first), numbers.data() + 6 * first, sums);
      REQUIRE((gradient::unpack_gram<double, 3>(sums, false).value == expected.value));
    }
}

TEST_CASE("nearly dependent gradients: the shards sum their products in double, as one process does") {
  const index_t n = 9 * block_size + 5;
  const std::vector<index_t> groups = {0, 3 * block_size, n};
  auto f = normals<bfloat16>(n, 1), r = normals<bfloat16>(n, 2);
  for (std::size_t i = static_cast<std::size_t>(groups[1]); i < r.size(); ++i)  // the second group
    r[i] = from_accumulator<bfloat16>(-0.3f * to_accumulator(f[i]));
  std::vector<float> expected(f.size()), out(f.size());
  const auto whole = combine(gradient::cagrad{}, tasks(f, r), expected, {.groups = groups});
  for (const index_t size : {2, 3}) {
    const auto borders = shard_borders(n, size, groups);
    thread_ranks all(size);
    all.run([&](threads& comm) {
      const auto i = static_cast<std::size_t>(comm.rank());
      const index_t begin = borders[i], count = borders[i + 1] - begin;
      const auto report =
          combine_sharded(gradient::cagrad{}, tasks(f, r).slice(begin, count), as_vector(out).subvector(begin, count),
                          begin, {.groups = groups}, serial{}, comm);
      if (report.unconverged != whole.unconverged || report.nonfinite_combined != 0) throw std::runtime_error("report");
    });
    CHECK(out == expected);
  }
}

TEST_CASE("a border inside a block changes rounding only; parts may lie in any order of ranks") {
  const index_t n = 5 * block_size + 11;
  const auto f = normals<float>(n, 1), r = normals<float>(n, 2);
  std::vector<float> expected(f.size()), out(f.size());
  combine(gradient::pcgrad{}, tasks(f, r), expected);
  // Ranks 0 to 3 hold parts 2, 0, none, 1; part 1 lies inside one block.
  const index_t begin[4] = {block_size + 99, 0, 77, block_size + 3};
  const index_t end[4] = {n, block_size + 3, 77, block_size + 99};
  thread_ranks all(4);
  all.run([&](threads& comm) {
    const auto i = static_cast<std::size_t>(comm.rank());
    combine_sharded(gradient::pcgrad{}, tasks(f, r).slice(begin[i], end[i] - begin[i]),
                    as_vector(out).subvector(begin[i], end[i] - begin[i]), begin[i], {}, serial{}, comm);
  });
  for (std::size_t i = 0; i < f.size(); ++i) REQUIRE(out[i] == Approx(expected[i]).epsilon(1e-6).margin(1e-6));
}

TEST_CASE("products of the ranks' own parts depend on how many ranks there are; these do not") {
  const index_t n = 8 * block_size;
  const auto f = normals<double>(n, 1), noise = normals<double>(n, 2);
  std::vector<double> r(f.size());
  // The first half agrees with f, the second opposes it more strongly.
  for (std::size_t i = 0; i < r.size(); ++i) r[i] = (i < r.size() / 2 ? 0.5 : -0.8) * f[i] + 0.1 * noise[i];
  std::vector<double> expected(f.size());
  combine(gradient::pcgrad{}, tasks(f, r), expected);
  std::vector<std::vector<double>> local, global;
  for (const index_t size : {1, 2, 4}) {
    std::vector<double> own(f.size()), whole(f.size());
    thread_ranks all(size);
    all.run([&](threads& comm) {
      const index_t count = n / comm.size(), begin = count * comm.rank();
      const auto part = tasks(f, r).slice(begin, count);
      combine(gradient::pcgrad{}, part, as_vector(own).subvector(begin, count));
      combine_sharded(gradient::pcgrad{}, part, as_vector(whole).subvector(begin, count), begin, {}, serial{}, comm);
    });
    local.push_back(own);
    global.push_back(whole);
  }
  CHECK(local[0] == expected);
  CHECK(local[1] != local[0]);
  // Half of the ranks see no conflict and project nothing: the results are far apart, not a rounding.
  CHECK(std::abs(local[1][0] - local[0][0]) > 0.05 * std::abs(local[0][0]));
  for (const auto& x : global) CHECK(x == expected);
}

TEST_CASE("a sink takes the shard's optimiser step, with a pool on every rank") {
  const index_t n = 150 * block_size + 1;
  const auto f = normals<float>(n, 1), r = normals<float>(n, 2);
  std::vector<float> p(f.size(), 1.0f), m(f.size()), v(f.size());
  combine(gradient::pcgrad{}, tasks(f, r), gradient::adamw(p, m, v, 1));
  std::vector<float> shared(f.size(), 1.0f), m2(f.size()), v2(f.size());
  thread_ranks all(2);
  all.run([&](threads& comm) {
    thread_pool pool(2);
    const auto borders = shard_borders(n, 2);
    const index_t begin = borders[static_cast<std::size_t>(comm.rank())];
    const index_t count = borders[static_cast<std::size_t>(comm.rank()) + 1] - begin;
    const auto part = [&](std::vector<float>& x) { return as_vector(x).subvector(begin, count); };
    auto own_p = part(shared), own_m = part(m2), own_v = part(v2);
    combine_sharded(gradient::pcgrad{}, tasks(f, r).slice(begin, count), gradient::adamw(own_p, own_m, own_v, 1), begin,
                    {}, pool, comm);
  });
  CHECK(shared == p);
}

TEST_CASE("NaNs on one rank reach the report and the products of all") {
  const index_t n = 4 * block_size;
  auto f = normals<float>(n, 1);
  const auto r = normals<float>(n, 2);
  f[5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> out(f.size()), expected(f.size());
  combine(gradient::pcgrad{}, tasks(f, r), expected);
  thread_ranks all(4);
  all.run([&](threads& comm) {
    const index_t begin = comm.rank() * block_size;
    const auto report =
        combine_sharded(gradient::pcgrad{}, tasks(f, r).slice(begin, block_size),
                        as_vector(out).subvector(begin, block_size), begin, {.geometry = true}, serial{}, comm);
    ranks::require(report.nonfinite == std::array<index_t, 2>{1, 0}, "one NaN in task 0");
    ranks::require(std::isnan(report.gram(0, 1)) && !report.gram.finite(), "the products say so");
  });
  CHECK(ranks::same_bits<float>(out, expected));
}

namespace {

/// A method whose solver never converges.
struct unsolved {
  static void check() {}
  [[nodiscard]] static gradient::solved_weights<2> weights(const gradient::gram_matrix<2>&) { return {{1, 1}, false}; }
};

}  // namespace

TEST_CASE("a group that several ranks hold and whose solver did not converge is counted once") {
  const index_t n = 4 * block_size;
  const auto f = normals<float>(n, 1), r = normals<float>(n, 2);
  const std::vector<index_t> groups = {0, 100, 200, n};
  for (const index_t size : {1, 2, 3, 4}) {
    const auto borders = shard_borders(n, size, groups);
    std::atomic<int> right = 0;
    thread_ranks(size).run([&](threads& comm) {
      const auto i = static_cast<std::size_t>(comm.rank());
      const index_t begin = borders[i], count = borders[i + 1] - begin;
      std::vector<float> out(static_cast<std::size_t>(count));
      right +=
          combine_sharded(unsolved{}, tasks(f, r).slice(begin, count), out, begin, {.groups = groups}, serial{}, comm)
              .unconverged == 3;
    });
    CHECK(right == size);
  }
}

TEST_CASE("the report has the counts of one process: elements, what is not finite and what overflows, by rank") {
  const index_t n = 3 * block_size + 40;
  auto f = normals<float>(n, 1), r = normals<float>(n, 2);
  for (const index_t i : {index_t{5}, block_size + 1, 2 * block_size + 3, n - 1})
    f[static_cast<std::size_t>(i)] = r[static_cast<std::size_t>(i)] = 3e38f;  // their sum overflows
  f[7] = r[static_cast<std::size_t>(n - 2)] = std::numeric_limits<float>::infinity();
  std::vector<float> expected(f.size()), out(f.size());
  const auto whole = combine(gradient::sum{}, tasks(f, r), expected, {.geometry = true});
  REQUIRE(whole.nonfinite_combined == 4);
  std::atomic<int> same = 0;
  thread_ranks(3).run([&](threads& comm) {
    const index_t begin = comm.rank() * block_size, count = comm.rank() == 2 ? n - begin : block_size;
    const auto report =
        combine_sharded(gradient::sum{}, tasks(f, r).slice(begin, count), as_vector(out).subvector(begin, count), begin,
                        {.geometry = true}, serial{}, comm);
    same += report.elements == n && report.nonfinite == whole.nonfinite &&
            report.nonfinite_combined == whole.nonfinite_combined && report.unconverged == whole.unconverged &&
            report.conflicts == whole.conflicts && report.opposed == whole.opposed;
  });
  CHECK(same == 3);
}

TEST_CASE("what does not fit on one rank is refused on all, and nothing is written") {
  const auto f = normals<float>(30, 1), g = normals<float>(30, 2);
  const auto refused = [&](auto&& call) {
    thread_ranks all(3);
    std::atomic<int> count = 0;
    std::vector<float> out(40, 7.0f);
    all.run([&](threads& comm) { count += ranks::refused([&] { call(comm, out); }); });
    CHECK(out == std::vector<float>(40, 7.0f));
    return count == 3;
  };
  const auto shard = [&](threads& comm) { return tasks(f, g).slice(10 * comm.rank(), 10); };
  const auto target = [](threads& comm, std::vector<float>& out) {
    return as_vector(out).subvector(10 * comm.rank(), 10);
  };
  const gradient::pcgrad method;
  CHECK(refused([&](threads& c, std::vector<float>& out) {  // a gap before rank 2
    combine_sharded(method, shard(c), target(c, out), 10 * c.rank() + c.rank() / 2, {}, serial{}, c);
  }));
  CHECK(refused([&](threads& c, std::vector<float>& out) {  // two ranks hold the same
    combine_sharded(method, shard(c), target(c, out), c.rank() == 2 ? 10 : 10 * c.rank(), {}, serial{}, c);
  }));
  CHECK(refused([&](threads& c, std::vector<float>& out) {  // an output too long on rank 1
    combine_sharded(method, shard(c), as_vector(out).subvector(10 * c.rank(), 10 + c.rank() % 2), 10 * c.rank(), {},
                    serial{}, c);
  }));
  CHECK(refused([&](threads& c, std::vector<float>& out) {  // other groups on rank 2
    const std::vector<index_t> groups = {0, c.rank() == 2 ? 12 : 11, 30};
    combine_sharded(method, shard(c), target(c, out), 10 * c.rank(), {.groups = groups}, serial{}, c);
  }));
  CHECK(refused([&](threads& c, std::vector<float>& out) {  // groups of something else
    const std::vector<index_t> groups = {0, 31};
    combine_sharded(method, shard(c), target(c, out), 10 * c.rank(), {.groups = groups}, serial{}, c);
  }));
  CHECK(refused([&](threads& c, std::vector<float>& out) {  // three tasks on rank 0
    const auto part = shard(c);
    if (c.rank() == 0)
      combine_sharded(gradient::mgda{}, tasks(part.task[0], part.task[1], part.task[1]), target(c, out), 0, {},
                      serial{}, c);
    else
      combine_sharded(gradient::mgda{}, part, target(c, out), 10 * c.rank(), {}, serial{}, c);
  }));
}

TEST_CASE("other parameters, another method or other options on one rank are refused on all, and nothing is written") {
  const auto f = normals<float>(30, 1), g = normals<float>(30, 2);
  for (const index_t size : {2, 3, 4}) {
    thread_ranks all(size);
    // The call of the last rank, made by all where it is the same.
    const auto refused = [&](const auto& method, const auto& last_method, bool geometry = false) {
      std::atomic<int> count = 0;
      std::vector<float> out(30, 7.0f);
      all.run([&](threads& comm) {
        const bool last = comm.rank() + 1 == comm.size();
        const index_t begin = 30 * comm.rank() / size, length = 30 * (comm.rank() + 1) / size - begin;
        const auto run = [&](const auto& own) {
          combine_sharded(own, tasks(f, g).slice(begin, length), as_vector(out).subvector(begin, length), begin,
                          {.geometry = geometry && last}, serial{}, comm);
        };
        count += ranks::refused([&] { last ? run(last_method) : run(method); });
      });
      CHECK((out == std::vector<float>(30, 7.0f)) == (count == size));
      return count == size;
    };
    using gradient::pcgrad, gradient::sago;
    CHECK(!refused(pcgrad{.retain = 2}, pcgrad{.retain = 2}));
    CHECK(refused(pcgrad{}, pcgrad{.retain = 2}));
    CHECK(refused(pcgrad{}, pcgrad{.epsilon = 1e-10}));
    CHECK(refused(pcgrad{}, pcgrad{.epsilon = -1}));  // out of range on one rank alone
    CHECK(refused(pcgrad{.epsilon = -1}, pcgrad{.epsilon = -1}));
    CHECK(refused(pcgrad{}, gradient::blur{}));
    CHECK(refused(sago{}, sago{.where_forget_is_zero = gradient::zero_forget::keep_retain}));
    CHECK(refused(sago{}, gradient::sago_prefer_retain{}));
    CHECK(refused(gradient::graddrop<2>{.step = 4}, gradient::graddrop<2>{.step = 5}));
    CHECK(refused(pcgrad{}, pcgrad{}, true));
  }
  CHECK_THROWS_WITH(
      thread_ranks(2).run([&](threads& comm) {
        std::vector<float> out(15);
        combine_sharded(gradient::cagrad{.c = 0.5 + 0.1 * static_cast<double>(comm.rank())},
                        tasks(f, g).slice(15 * comm.rank(), 15), out, 15 * comm.rank(), {}, serial{}, comm);
      }),
      Catch::StartsWith("hone::distributed::combine_sharded: method: hash of type and parameters: on rank 1 is "));
}

TEST_CASE("what does not fit is said by the ranks that it is about") {
  const auto f = normals<float>(30, 1), g = normals<float>(30, 2);
  std::vector<float> out(40);
  const auto run = [&](index_t begin_of_1, index_t size_of_1, index_t out_of_1, index_t stride_of_1 = 1) {
    thread_ranks(3).run([&](threads& comm) {
      const bool middle = comm.rank() == 1;
      const index_t begin = middle ? begin_of_1 : 10 * comm.rank(), size = middle ? size_of_1 : 10;
      const vector_view<float> target(out.data() + 10 * comm.rank(), middle ? out_of_1 : 10, middle ? stride_of_1 : 1);
      combine_sharded(gradient::pcgrad{}, tasks(f, g).slice(0, size), target, begin, {}, serial{}, comm);
    });
  };
  const std::string of = "hone::distributed::combine_sharded: ";
  CHECK_NOTHROW(run(10, 10, 10));
  CHECK_THROWS_WITH(run(10, 10, 9), of + "out: on rank 1 has 9 elements, the gradients 10");
  CHECK_THROWS_WITH(run(10, 10, 10, 0), of + "out: on rank 1 has elements without memory, or several in one place");
  CHECK_THROWS_WITH(run(11, 10, 10), of + "begin: the shard of rank 1 begins at 11, those before it end at 10");
  CHECK_THROWS_WITH(run(10, 11, 11), of + "begin: the shard of rank 2 begins at 20, those before it end at 21");
  CHECK_THROWS_WITH(run(9, 10, 10), of + "begin: the shard of rank 1 begins at 9, those before it end at 10");
  CHECK_THROWS_WITH(shard_borders(-1, 3), "hone::distributed::shard_borders: n: must not be negative, is -1");
  CHECK_THROWS_WITH(shard_borders(1, 0), "hone::distributed::shard_borders: size: must be positive, is 0");
}

TEST_CASE("an output without memory of its own on one rank is refused on all, and nothing is written") {
  const auto f = normals<float>(30, 1), g = normals<float>(30, 2);
  for (const index_t stride : {0, 1}) {
    std::vector<float> out(30, 7.0f);
    std::atomic<int> refused = 0;
    thread_ranks(3).run([&](threads& comm) {
      const index_t begin = 10 * comm.rank();
      const vector_view<float> bad(stride == 0 ? out.data() : nullptr, 10, stride);
      refused += ranks::refused([&] {
        combine_sharded(gradient::pcgrad{}, tasks(f, g).slice(begin, 10),
                        comm.rank() == 1 ? bad : as_vector(out).subvector(begin, 10), begin, {}, serial{}, comm);
      });
    });
    CHECK(refused == 3);
    CHECK(out == std::vector<float>(30, 7.0f));
  }
}

TEST_CASE("borders of shards lie at block borders of the group that they cut") {
  const std::vector<index_t> groups = {0, 10, 10, 20000, 20001, 100000};
  const auto borders = shard_borders(100000, 7, groups);
  REQUIRE(borders.size() == 8);
  for (std::size_t r = 1; r < 7; ++r) {
    std::size_t g = 0;
    while (groups[g + 1] <= borders[r]) ++g;
    CHECK((borders[r] - groups[g]) % block_size == 0);
    const auto even = static_cast<index_t>(100000 * r / 7);
    CHECK(even - borders[r] < block_size);
    CHECK(borders[r] <= even);
  }
  CHECK(shard_borders(0, 3) == std::vector<index_t>{0, 0, 0, 0});
  CHECK(shard_borders(5, 2) == std::vector<index_t>{0, 0, 5});
  CHECK_THROWS_AS(shard_borders(5, 0), std::invalid_argument);
  CHECK_THROWS_AS(shard_borders(5, 2, std::vector<index_t>{0, 4}), std::invalid_argument);
}
