// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/core/shuffler.hpp"

#include <algorithm>
#include <array>

#include "support/catch.hpp"

using namespace hone;

TEST_CASE("every epoch has each number once, in an order of its own, which is a function of the seed") {
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{17}}) {
    shuffler one(count, philox{3, 1}), same(count, philox{3, 1}), other(count, philox{4, 1});
    std::vector<std::vector<std::size_t>> epochs;
    bool differs = false;
    for (int epoch = 0; epoch < 3; ++epoch) {
      std::vector<std::size_t> order;
      for (std::size_t i = 0; i < count; ++i) {
        order.push_back(one.next());
        CHECK(same.next() == order.back());
        differs = differs || other.next() != order.back();
      }
      std::vector<std::size_t> sorted = order;
      std::sort(sorted.begin(), sorted.end());
      for (std::size_t i = 0; i < count; ++i) CHECK(sorted[i] == i);
      epochs.push_back(order);
    }
    if (count == 17) {
      CHECK(epochs[0] != epochs[1]);
      CHECK(epochs[1] != epochs[2]);
      CHECK(differs);
    }
  }
  CHECK_THROWS_WITH(shuffler(0, philox{}), Catch::Contains("count"));
}

TEST_CASE("a shuffle swaps each place, from the last, with one that its draw chooses") {
  std::vector<char> x = {'a', 'b', 'c', 'd'};
  std::vector<std::size_t> asked;
  shuffle(x, [&](std::size_t i) {
    asked.push_back(i);
    return i == 3 ? 0.999 : 0.0;
  });
  CHECK(asked == std::vector<std::size_t>{4, 3, 2});
  CHECK(x == std::vector<char>{'b', 'd', 'c', 'a'});
  std::array<int, 1> one = {7};
  shuffle(one, [](std::size_t) -> double { throw std::logic_error("there is nothing to draw"); });
  CHECK(one[0] == 7);
}

TEST_CASE("all permutations of three are about equally likely") {
  int seen[27] = {};
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    shuffler s(3, philox{seed});
    const std::size_t a = s.next(), b = s.next(), c = s.next();
    ++seen[a * 9 + b * 3 + c];
  }
  for (const int place : {5, 7, 11, 15, 19, 21}) CHECK(std::abs(seen[place] - 1000) < 150);  // 5 deviations
}

TEST_CASE("an epoch's order is the shuffle whose draw i is that of index i and of the epoch") {
  const philox random{0x300000005u, 7};
  shuffler s(9, random);
  for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
    std::array<std::size_t, 9> order;
    for (std::size_t i = 0; i < 9; ++i) order[i] = i;
    for (std::size_t i = 9; i > 1; --i)
      std::swap(order[i - 1], order[static_cast<std::size_t>(random.uniform(i, epoch) * static_cast<double>(i))]);
    for (const std::size_t expected : order) CHECK(s.next() == expected);
  }
}
