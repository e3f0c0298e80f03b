// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/combine.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/interop/eigen.hpp"
#include "hone/interop/xtensor.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

using namespace hone;
using namespace hone::gradient;

namespace {
std::atomic<long> allocations = 0;

template <class Out>
std::vector<double> widened(const Out& out) {
  std::vector<double> result;
  const auto view = as_vector(out);
  for (index_t i = 0; i < view.size(); ++i) result.push_back(static_cast<double>(to_accumulator(view[i])));
  return result;
}

// f(method) for every two-task method.
template <class F>
void for_each_method(F&& f) {
  f(sago{.retain = 0.5, .forget = 2});
  f(sago_prefer_retain{});
  f(gradient::sum{});
  f(pcgrad{.retain = 0.5});
  f(blur{});
  f(a_gem{});
  f(mgda{});
  f(cagrad{});
}
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEMPLATE_TEST_CASE("std, Eigen, xtensor and strided memory give the same bits", "", float, double) {
  using T = TestType;
  using vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
  using matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  const auto f = normals<T>(5001, 1), r = normals<T>(5001, 2);
  for_each_method([&](const auto& method) {
    std::vector<T> expected(f.size());
    combine(method, tasks(f, r), expected);

    const vector ef = vector::Map(f.data(), 5001), er = vector::Map(r.data(), 5001);
    vector out(5001);
    combine(method, tasks(ef, er), out);
    CHECK(widened(out) == widened(expected));

    matrix rows(3, 5001);  // column-major: the rows are strided
    rows.row(0) = ef;
    rows.row(1) = er;
    auto target = rows.row(2);
    combine(method, tasks(rows.row(0), rows.row(1)), target);
    CHECK(widened(target) == widened(expected));

    xt::xtensor<T, 2> x({2, 10002});
    auto xf = xt::view(x, 0, xt::range(0, 10002, 2)), xr = xt::view(x, 1, xt::range(1, 10002, 2));
    for (std::size_t i = 0; i < 5001; ++i) xf(i) = f[i], xr(i) = r[i];
    combine(method, tasks(xf, xr), xf);
    CHECK(widened(xf) == widened(expected));
  });
}

TEMPLATE_TEST_CASE("out may be either input, any executor gives the same bits, at block borders", "", float, double, bfloat16) {
  using T = TestType;
  thread_pool two(2), seven(7);
  for (const index_t n : {index_t{0}, index_t{1}, block_size - 1, block_size, block_size + 1, 70 * block_size + 3}) {
    const auto f = normals<T>(n, 1), r = normals<T>(n, 2);
    const std::vector<index_t> groups = {0, n / 5, n / 5, n / 3, n};
    for_each_method([&](const auto& method) {
      for (const combine_options& options : {combine_options{}, combine_options{.groups = groups, .geometry = true}}) {
        std::vector<T> expected(f.size()), in_f = f, in_r = r, pooled(f.size());
        const auto report = combine(method, tasks(f, r), expected, options);
        combine(method, tasks(in_f, r), in_f, options, two);
        combine(method, tasks(f, in_r), in_r, options, seven);
        const auto same = combine(method, tasks(f, r), pooled, options, seven);
        CHECK(widened(in_f) == widened(expected));
        CHECK(widened(in_r) == widened(expected));
        CHECK(widened(pooled) == widened(expected));
        CHECK(same.combined_squared == report.combined_squared);
        CHECK(same.conflicts == report.conflicts);
        CHECK(same.gram.value == report.gram.value);
      }
    });
  }
}

TEST_CASE("a group is combined as if it were alone") {
  const auto f = normals<float>(30000, 1), r = normals<float>(30000, 2);
  const std::vector<index_t> groups = {0, 10, 5000, 30000};
  for_each_method([&](const auto& method) {
    std::vector<float> whole(f.size()), parts(f.size());
    combine(method, tasks(f, r), whole, {.groups = groups});
    for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
      const index_t count = groups[i + 1] - groups[i];
      combine(method, tasks(f, r).slice(groups[i], count), as_vector(parts).subvector(groups[i], count));
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
    combine(method, tasks(f, r), [&](index_t begin, vector_view<const float> block) {
      if (block.size() > block_size) std::abort();
      for (index_t i = 0; i < block.size(); ++i) seen[static_cast<std::size_t>(begin + i)] = block[i];
    }, {.groups = groups}, pool);
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

TEST_CASE("16-bit gradients are combined in float and rounded once") {
  const std::vector<bfloat16> f = {bfloat16(256.0f)}, r = {bfloat16(1.0f)};
  std::vector<float> out(1);
  combine(gradient::sum{}, tasks(f, r), out);
  CHECK(out[0] == 257);
}

TEST_CASE("nothing is allocated") {
  thread_pool pool(2);
  const auto f = normals<float>(600000, 1), r = normals<float>(600000, 2);
  std::vector<float> out(f.size());
  std::vector<index_t> groups;
  for (index_t i = 0; i <= 600; ++i) groups.push_back(1000 * i);
  for_each_method([&](const auto& method) {
    const long before = allocations;
    combine(method, tasks(f, r), out, {.groups = groups, .geometry = true}, pool);
    combine(method, tasks(f, r), out, {}, pool);
    CHECK(allocations == before);
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
