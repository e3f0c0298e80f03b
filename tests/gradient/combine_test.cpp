// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/combine.hpp"

#include "hone/core/thread_pool.hpp"

#include "gradient/methods.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEST_CASE("a group is combined as if it were alone") {
  const auto f = normals<float>(30000, 1), r = normals<float>(30000, 2);
  std::vector<index_t> groups;  // more small ones than are dealt out at a time
  for (index_t i = 0; i < 70; ++i) groups.push_back(i * i);
  groups.push_back(30000);
  for_each_method([&](const auto& method) {
    std::vector<float> whole(f.size()), parts(f.size());
    combine(method, tasks(f, r), whole, {.groups = groups});
    for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
      const index_t count = groups[i + 1] - groups[i];
      auto own = method;
      if constexpr (requires { own.first_element; }) own.first_element = groups[i];
      combine(own, tasks(f, r).slice(groups[i], count), as_vector(parts).subvector(groups[i], count));
    }
    CHECK(whole == parts);
  });
}

TEST_CASE("a sink sees every element once, in blocks, with the bits that memory would have got") {
  thread_pool pool(3);
  const auto f = normals<float>(100001, 1), r = normals<float>(100001, 2);
  const std::vector<index_t> groups = {0, 777, 50000, 100001};
  for_each_method([&](const auto& method) {
    std::vector<float> expected(f.size()), seen(f.size(), 1e30f);
    combine(method, tasks(f, r), expected, {.groups = groups});
    combine(
        method, tasks(f, r),
        [&](index_t begin, vector_view<const float> block) {
          if (block.size() > block_size) std::abort();
          for (index_t i = 0; i < block.size(); ++i) seen[static_cast<std::size_t>(begin + i)] = block[i];
        },
        {.groups = groups}, pool);
    CHECK(seen == expected);
  });
}

TEST_CASE("scattered tensors: add up the products, ask once, combine tensor by tensor") {
  const auto f1 = normals<double>(300, 1), r1 = normals<double>(300, 2), f2 = normals<double>(50, 3),
             r2 = normals<double>(50, 4);
  std::vector<double> out1(300), out2(50);
  gram_matrix<2> products = gram(tasks(f1, r1));
  products += gram(tasks(f2, r2));
  const auto weights = pcgrad{}.weights(products);
  weighted_sum(weights, tasks(f1, r1), out1);
  weighted_sum(weights, tasks(f2, r2), out2);
  std::vector<double> f = f1, r = r1, expected(350);
  f.insert(f.end(), f2.begin(), f2.end());
  r.insert(r.end(), r2.begin(), r2.end());
  combine(pcgrad{}, tasks(f, r), expected);
  out1.insert(out1.end(), out2.begin(), out2.end());
  CHECK(near<double>(out1, expected));
}

TEST_CASE("weights that do not fit float are summed in double") {
  const std::vector<float> f = {2e-38f, -1.5e-38f}, r = {1, 2};
  std::vector<float> out(2);
  for (const double sign : {1, -1}) {
    CHECK(weighted_sum({sign * 1e39, 0}, tasks(f, r), out).nonfinite_combined == 0);
    CHECK(out[0] == Approx(sign * 20).epsilon(1e-6));
    CHECK(out[1] == Approx(sign * -15).epsilon(1e-6));
  }
  const std::vector<float> zero = {0, 0};
  weighted_sum({0, 1e39}, tasks(f, zero), out);
  CHECK(out == std::vector<float>{0, 0});
}

TEST_CASE("16-bit gradients are combined in float and rounded once") {
  const std::vector<bfloat16> f = {bfloat16(256.0f)}, r = {bfloat16(1.0f)};
  std::vector<float> out(1);
  combine(gradient::sum{}, tasks(f, r), out);
  CHECK(out[0] == 257);
}

TEMPLATE_TEST_CASE("16-bit gradients: any of them strided, any number of elements, the same bits", "", bfloat16,
                   float16) {
  using T = TestType;
  for (const index_t n : {1, 15, 31, 32, 33, 63, 64, 65, 97, 200}) {
    const auto f = normals<T>(n, 1), r = normals<T>(n, 2);
    const auto spread = [](const std::vector<T>& x) {
      std::vector<T> result(3 * x.size());
      for (std::size_t i = 0; i < x.size(); ++i) result[3 * i] = x[i];
      return result;
    };
    const auto wide_f = spread(f), wide_r = spread(r);
    const vector_view<const T> far_f(wide_f.data(), n, 3), far_r(wide_r.data(), n, 3);
    std::vector<T> expected(f.size()), out(f.size()), wide(3 * f.size());
    combine(sago{.retain = 0.5}, tasks(f, r), expected);
    for (std::size_t i = 0; i < f.size(); ++i) {
      const float x = to_accumulator(f[i]), y = 0.5f * to_accumulator(r[i]);
      REQUIRE(to_accumulator(expected[i]) == to_accumulator(from_accumulator<T>(x * y < 0 ? y : x)));
    }
    combine(sago{.retain = 0.5}, tasks(far_f, r), out);
    CHECK(widened(out) == widened(expected));
    combine(sago{.retain = 0.5}, tasks(f, far_r), out);
    CHECK(widened(out) == widened(expected));
    combine(sago{.retain = 0.5}, tasks(f, r), vector_view<T>(wide.data(), n, 3));
    for (std::size_t i = 0; i < f.size(); ++i) CHECK(to_accumulator(wide[3 * i]) == to_accumulator(expected[i]));
  }
}

TEST_CASE("nothing is allocated") {
  thread_pool pool(2);
  const auto f = normals<float>(600000, 1), r = normals<float>(600000, 2);
  std::vector<float> out(f.size());
  std::vector<index_t> groups;
  for (index_t i = 0; i <= 600; ++i) groups.push_back(1000 * i);
  for_each_method([&](const auto& method) {
    const std::size_t before = allocations::count;
    combine(method, tasks(f, r), out, {.groups = groups, .geometry = true}, pool);
    combine(method, tasks(f, r), out, {}, pool);
    CHECK(allocations::count == before);
  });
}

TEST_CASE("sizes and groups that do not fit are refused before anything is written") {
  const std::vector<double> f(3, 1.0);
  std::vector<double> out(3, 7.0), longer(4);
  CHECK_THROWS_WITH(combine(sago{}, tasks(f, f), longer),
                    "hone::gradient::combine: out: has 4 elements, the gradients have 3");
  for (const std::vector<index_t>& bad :
       std::vector<std::vector<index_t>>{{0}, {1, 3}, {0, 2}, {0, 2, 1, 3}, {0, 4}, {0, -1, 3}})
    CHECK_THROWS_AS(combine(pcgrad{}, tasks(f, f), out, {.groups = bad}), std::invalid_argument);
  CHECK_THROWS_AS(weighted_sum({1, 1}, tasks(f, f), longer), std::invalid_argument);
  CHECK(out == std::vector<double>(3, 7.0));
}
