// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/merge.hpp"

#include "hone/core/thread_pool.hpp"
#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;

TEMPLATE_TEST_CASE("merging adds s B A with one rounding, and unmerging takes it out", "", float, double, bfloat16) {
  for (const index_t outputs : {1, 63, 64, 65, 130}) {
    layer<TestType> l(outputs, 17, 1, 0.75);
    for (std::size_t i = 0; i < l.parameters.size(); ++i)
      l.parameters[i] = from_accumulator<TestType>(static_cast<accumulator_t<TestType>>(philox{3}.normal(i)));
    const linalg::matrix exact = l.original() + 0.75 * l.b() * l.a();
    auto parallel = l;
    const double rounding = merge(l.w(), l.site, l.parameters);
    CHECK(largest(l.now() - exact) <= half_ulp<TestType> * largest(exact) + 1e-15);
    CHECK(rounding <= half_ulp<TestType> * largest(exact));
    if (!std::is_same_v<TestType, double>) CHECK(std::abs(rounding - largest(l.now() - exact)) <= 1e-14);
    thread_pool pool(3);
    merge(parallel.w(), parallel.site, parallel.parameters, pool);
    CHECK(parallel.now() == l.now());
    unmerge(l.w(), l.site, l.parameters, pool);
    CHECK(largest(l.now() - l.original()) <= 2 * half_ulp<TestType> * largest(exact) + 1e-15);
  }
}

TEST_CASE("merging into a transposed weight, from a float adapter into a double weight, and misuse") {
  layer<double, float> l(6, 4, 2, 2);
  for (std::size_t i = 0; i < l.parameters.size(); ++i) l.parameters[i] = static_cast<float>(i % 5) - 2;
  linalg::matrix columns = l.original();
  merge(linalg::view(columns), l.site, l.parameters);
  CHECK(columns == l.original() + 2 * l.b() * l.a());
  linalg::matrix other(4, 6);
  CHECK_THROWS_AS(merge(linalg::view(other), l.site, l.parameters), std::invalid_argument);
  l.parameters.resize(24);  // the site ends at 25
  CHECK_THROWS_AS(unmerge(l.w(), l.site, l.parameters), std::invalid_argument);
  CHECK(l.now() == l.original());
}
