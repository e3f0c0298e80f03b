// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// combine() by every method: whatever the memory, whichever array is written, whoever works. A program's part of its
/// own, since it is many instantiations.
#include "hone/gradient/combine.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/interop/eigen.hpp"
#include "hone/interop/xtensor.hpp"

#include "gradient/methods.hpp"
#include "support/catch.hpp"

#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

using namespace hone;
using namespace hone::gradient;

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

TEMPLATE_TEST_CASE("out may be either input, any executor gives the same bits, at block borders", "", float, double,
                   bfloat16) {
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
