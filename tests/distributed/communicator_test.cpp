// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/distributed/communicator.hpp"

#include "distributed/support.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::distributed;

TEST_CASE("one process is a communicator, and all collectives leave it what it has") {
  STATIC_REQUIRE(all_reducer<single>);
  STATIC_REQUIRE(reduce_scatterer<single, float>);
  STATIC_REQUIRE(all_gatherer<single, bfloat16>);
  STATIC_REQUIRE(exchanger<single, bfloat16>);
  STATIC_REQUIRE(exchanger<single, std::int32_t>);
  STATIC_REQUIRE(!exchanger<single, std::vector<float>>);
  STATIC_REQUIRE(!communicator<serial>);
  single alone;
  ranks::check_collectives<float>(alone);
  ranks::check_exchanges<float>(alone);
  ranks::check_exchanges<index_t>(alone);
  ranks::check_refused_borders(alone);
  ranks::check_combination<float>(gradient::pcgrad{}, alone);
}

namespace {
/// Offers no more than communicators had to before there was `all_to_all`.
struct reducing_only {
  [[nodiscard]] static index_t rank() { return 0; }
  [[nodiscard]] static index_t size() { return 1; }
  static void all_reduce(std::span<double>) {}
};
}  // namespace

TEST_CASE("a communicator that offers no exchange is one") {
  STATIC_REQUIRE(communicator<reducing_only>);
  STATIC_REQUIRE(all_reducer<reducing_only>);
  STATIC_REQUIRE(!exchanger<reducing_only, float>);
}

TEST_CASE("ranks are added in a tree, in the accumulator type, and rounded once") {
  // 256 + 1 is no bfloat16 number: summed in the storage type, the result would stay 256.
  const std::vector<bfloat16> big(1500, bfloat16(256.0f)), one(1500, bfloat16(1.0f));
  const bfloat16* const source[5] = {big.data(), one.data(), one.data(), one.data(), one.data()};
  std::vector<bfloat16> out(1500);
  add_ranks<bfloat16>(source, out);
  for (const bfloat16 x : out) REQUIRE(static_cast<float>(x) == 260);

  std::vector<float> x = {1e8f}, y = {1}, z = {-1e8f}, w = {1};
  const float* const four[4] = {x.data(), z.data(), y.data(), w.data()};
  add_ranks<float>(four, x);  // the output may be one of them
  CHECK(x[0] == 2);
}

TEST_CASE("borders that do not fit are refused") {
  std::vector<float> x(10);
  single alone;
  for (const std::vector<index_t>& bad : std::vector<std::vector<index_t>>{{0}, {0, 9}, {1, 10}, {0, 5, 10}})
    CHECK_THROWS_AS(alone.reduce_scatter(std::span(x), std::span<const index_t>(bad)), std::invalid_argument);
  std::vector<float> y(9);
  const std::vector<index_t> tens = {0, 10}, nines = {0, 9};
  const std::span<const index_t> ten(tens), nine(nines);
  CHECK_THROWS_AS(alone.all_to_all(x, std::span(y)), std::invalid_argument);
  CHECK_THROWS_AS(alone.all_to_all(x, ten, std::span(y), ten), std::invalid_argument);
  CHECK_THROWS_AS(alone.all_to_all(x, nine, std::span(y), nine), std::invalid_argument);
  CHECK_THROWS_AS(alone.all_to_all(x, ten, std::span(y), nine), std::invalid_argument);
  const std::vector<index_t> back = {0, 7, 5, 10};
  CHECK_THROWS_WITH(parts_of::check_borders(back, 10, 3, "f"), "f: borders: border 2 (5) lies before border 1");
}

TEST_CASE("what is refused is said: borders that do not begin, end or rise, parts that are not equal") {
  std::vector<float> x(10), y(9);
  const std::string of = "hone::distributed::single::";
  const auto scatter = [&](const std::vector<index_t>& b) { single::reduce_scatter(std::span(x), std::span(b)); };
  const auto gather = [&](const std::vector<index_t>& b) { single::all_gather(std::span(x), std::span(b)); };
  CHECK_NOTHROW(scatter({0, 10}));
  CHECK_NOTHROW(gather({0, 10}));
  CHECK_THROWS_WITH(scatter({0, 5, 10}), of + "reduce_scatter: borders: make 2 parts, there are 1 ranks");
  CHECK_THROWS_WITH(gather({0}), of + "all_gather: borders: make 0 parts, there are 1 ranks");
  for (const std::vector<index_t>& bad : {std::vector<index_t>{1, 10}, {0, 9}, {0, 11}})
    CHECK_THROWS_WITH(gather(bad),
                      of + "all_gather: borders: must begin with 0 and end with the number of elements, 10");
  CHECK_THROWS_WITH(single::all_to_all(x, std::span(y)), of + "all_to_all: y: has 9 elements, x 10");
  CHECK_THROWS_WITH(parts_of::check_equal_parts(10, 10, 3, "f"), "f: x: 10 elements cannot be cut into 3 equal parts");
  CHECK_NOTHROW(parts_of::check_equal_parts(9, 9, 3, "f"));
  CHECK_NOTHROW(parts_of::check_borders(std::vector<index_t>{0, 4, 4, 10}, 10, 3, "f"));
  CHECK(parts_of::borders_fit(std::vector<index_t>{0, 4, 4, 10}, 10, 3));
  for (const std::vector<index_t>& bad : {std::vector<index_t>{0, 4, 10}, {1, 4, 4, 10}, {0, 4, 4, 9}, {0, 5, 4, 10}})
    CHECK(!parts_of::borders_fit(bad, 10, 3));
  const std::vector<index_t> falling = {0, -1};
  CHECK_THROWS_WITH(receive_borders(std::span(falling), single{}),
                    "hone::distributed::receive_borders: from: those of rank 0 are not the borders of 1 parts");
  const float* const source[1] = {x.data()};
  CHECK_THROWS_WITH(add_ranks<float>(source, std::span<float>(static_cast<float*>(nullptr), 3)),
                    "hone::distributed::add_ranks: out: has 3 elements and no memory");
}

TEST_CASE("the tree of ranks: the larger first half, and the second") {
  // Of five, ((0 + 1) + 2) + (3 + 4): in float 2^24 swallows what is added to it alone.
  const std::vector<std::vector<float>> x = {{0x1p24f}, {1}, {1}, {1}, {1}};
  std::vector<const float*> source;
  for (const auto& of : x) source.push_back(of.data());
  std::vector<float> sum(1);
  add_ranks<float>(source, sum);
  CHECK(sum[0] == 0x1p24f + 2);
  std::vector<float> three(1);
  add_ranks<float>(std::span(source).subspan(2), three);
  CHECK(three[0] == 3);
  const std::vector<const float*> turned = {source[1], source[2], source[0]};
  add_ranks<float>(turned, three);
  CHECK(three[0] == 0x1p24f + 2);  // (1 + 1) + 2^24
}
