// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/gradient/report.hpp"
#include "hone/gradient/combine.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/gradient/pcgrad.hpp"

#include "gradient/support.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::gradient;

TEMPLATE_TEST_CASE("the report against a naive count", "", float, double) {
  using T = TestType;
  thread_pool pool(3);
  const auto f = normals<T>(10001, 1), r = normals<T>(10001, 2);
  std::vector<T> out(f.size());
  const std::vector<index_t> groups = {0, 5000, 10001};
  const auto report = combine(pcgrad{.retain = 0.2}, tasks(f, r), out, {.groups = groups, .geometry = true}, pool);
  index_t conflicts = 0, opposed_f = 0, opposed_r = 0;
  double mass = 0, conflict_mass = 0, cc = 0, cf = 0, cr = 0, ff = 0, rr = 0, fr = 0;
  for (std::size_t i = 0; i < f.size(); ++i) {
    const double x = static_cast<double>(f[i]), y = static_cast<double>(r[i]), c = static_cast<double>(out[i]);
    conflicts += x * y < 0;
    opposed_f += c * x < 0;
    opposed_r += c * y < 0;
    mass += std::abs(x * y);
    if (x * y < 0) conflict_mass += std::abs(x * y);
    cc += c * c, cf += c * x, cr += c * y, ff += x * x, rr += y * y, fr += x * y;
  }
  CHECK(report.elements == 10001);
  CHECK(report.conflicts == conflicts);
  CHECK(report.opposed == std::array<index_t, 2>{opposed_f, opposed_r});
  CHECK(report.mass == Approx(mass));
  CHECK(report.conflict_mass == Approx(conflict_mass));
  CHECK(report.combined_squared == Approx(cc).epsilon(1e-6));
  CHECK(report.gram(0, 1) == Approx(fr).epsilon(1e-9));
  CHECK(report.cosine(0, 1) == Approx(fr / std::sqrt(ff * rr)).epsilon(1e-9));
  CHECK(report.combined_cosine(0) == Approx(cf / std::sqrt(ff * cc)).epsilon(1e-6));
  CHECK(report.combined_cosine(1) == Approx(cr / std::sqrt(rr * cc)).epsilon(1e-6));
  CHECK(report.conflict_share() == Approx(static_cast<double>(conflicts) / 10001));
  CHECK(report.conflict_mass_share() == Approx(conflict_mass / mass));
}

TEST_CASE("shares and cosines of nothing are 0") {
  const combine_report<2> nothing;
  CHECK(nothing.cosine(0, 1) == 0);
  CHECK(nothing.combined_cosine(1) == 0);
  CHECK(nothing.conflict_share() == 0);
  CHECK(nothing.conflict_mass_share() == 0);
}
