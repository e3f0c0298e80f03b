// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/initialise.hpp"

#include "hone/core/thread_pool.hpp"
#include "lora/support.hpp"

#include <limits>

using namespace hone;
using namespace hone::lora;

TEMPLATE_TEST_CASE("an initialisation leaves the function unchanged up to one rounding of the weight", "", float,
                   double, bfloat16) {
  layer<TestType> l(70, 30, 3, 2), parallel = l;
  const given method{{.b = normal_matrix(70, 3, 2), .a = normal_matrix(3, 30, 3), .compensate = true}};
  const auto done = initialise(method, l.w(), l.site, l.parameters);
  // The factors are rounded before they are taken out.
  CHECK(largest(l.b() - method.start.b) <= half_ulp<TestType> * largest(method.start.b));
  CHECK(l.changed() <= half_ulp<TestType> * largest(l.now()) + 1e-14);
  if (!std::is_same_v<TestType, double>) CHECK(std::abs(done.deviation - l.changed()) <= 1e-13);
  CHECK(done.deviation > 0);
  CHECK(done.train_b);
  CHECK(l.others_untouched());
  thread_pool pool(3);
  initialise(method, parallel.w(), parallel.site, parallel.parameters, pool);
  CHECK(parallel.now() == l.now());
}

TEST_CASE("an initialisation without compensation leaves the weight, and empty factors are zeros") {
  layer<float> l(5, 4, 2, 2);
  const auto done = initialise(given{{.a = normal_matrix(2, 4, 2), .train_b = false}}, l.w(), l.site, l.parameters);
  CHECK(done.deviation == 0);
  CHECK(!done.train_b);
  CHECK(l.now() == l.original());
  CHECK(l.b().isZero());
  CHECK(!l.a().isZero());
  CHECK(l.others_untouched());
}

TEST_CASE("an initialisation that cannot be writes nothing") {
  const given method{{.b = normal_matrix(5, 2, 2), .a = normal_matrix(2, 4, 3), .compensate = true}};
  layer<float> l(5, 4, 2, 2);
  const auto refused = [&](site s, const char* why) {
    CHECK_THROWS_WITH(initialise(method, l.w(), s, l.parameters), Catch::Contains(why));
    for (const float x : l.parameters) CHECK(x == 7);
  };
  refused({"x", 5, 3, 2, 2.0}, "weight: is 5 x 4");
  refused({"x", 5, 4, 0, 2.0}, "rank 0");
  refused({"x", 5, 4, 5, 2.0}, "rank 5");
  refused({"x", 5, 4, 2, 2.0, 9}, "x ends at 27");
  l.weight[3] = std::numeric_limits<float>::infinity();
  l.weight[7] = std::numeric_limits<float>::quiet_NaN();
  refused(l.site, "2 weights are not finite");
}
