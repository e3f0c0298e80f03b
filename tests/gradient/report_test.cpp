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

namespace {
/// Weights that do not look at the products.
template <std::size_t K>
struct given {
  solved_weights<K> w;
  static void check() {}
  [[nodiscard]] solved_weights<K> weights(const gram_matrix<K>&) const { return w; }
};
}  // namespace

TEMPLATE_TEST_CASE("infinite results of finite inputs are counted, in the type of the output", "", float, double,
                   bfloat16, float16) {
  using T = TestType;
  using A = accumulator_t<T>;
  const A largest = std::is_same_v<T, float16>    ? A(65504)
                    : std::is_same_v<T, bfloat16> ? A(0x1.fep127)
                                                  : (std::numeric_limits<A>::max)();
  const A infinity = std::numeric_limits<A>::infinity();
  for (const index_t n : {5, 33, 200}) {
    std::vector<T> f(static_cast<std::size_t>(n), from_accumulator<T>(A(1))), r = f, out(f.size());
    const auto at = [&](index_t i) { return static_cast<std::size_t>(i); };
    f[0] = from_accumulator<T>(largest), f[at(n - 1)] = from_accumulator<T>(-largest);  // overflow, doubled
    r[1] = from_accumulator<T>(infinity);                                               // an input is
    f[2] = from_accumulator<T>(infinity), r[2] = from_accumulator<T>(-infinity);
    f[3] = from_accumulator<T>(largest / A(2));  // fits
    for (const bool geometry : {false, true}) {
      const auto report = combine(gradient::sum{.retain = 1, .forget = 2}, tasks(f, r), out, {.geometry = geometry});
      CHECK(report.nonfinite == std::array<index_t, 2>{1, 2});
      CHECK(report.nonfinite_combined == 2);
      CHECK(report.unconverged == 0);
    }
    std::vector<T> spread(2 * f.size());
    const auto strided =
        combine(gradient::sum{.retain = 1, .forget = 2}, tasks(f, r), vector_view<T>(spread.data(), n, 2));
    CHECK(strided.nonfinite_combined == 2);
    for (const bool geometry : {false, true}) {  // over an input
      std::vector<T> over = f;
      const auto report =
          combine(gradient::sum{.retain = 1, .forget = 2}, tasks(over, r), over, {.geometry = geometry});
      CHECK(report.nonfinite == std::array<index_t, 2>{1, 2});
      CHECK(report.nonfinite_combined == 2);
    }
    const auto sunk = combine(gradient::sum{.retain = 1, .forget = 2}, tasks(f, r), [](index_t, auto) {});
    CHECK(sunk.nonfinite_combined == (sizeof(T) == 2 && !std::is_same_v<T, bfloat16> ? 0 : 2));
  }
}

TEMPLATE_TEST_CASE("weights that do not fit float, and sums that cancel, are right", "", float, bfloat16) {
  using T = TestType;
  const auto number = [](double x) { return from_accumulator<T>(static_cast<float>(x)); };
  for (const index_t n : {1, 17, 300}) {
    std::vector<T> f(static_cast<std::size_t>(n), number(1)), r(f.size(), number(0x1p-120)), out(f.size());
    auto report = combine(given<2>{{{1, 0x1p130}}}, tasks(f, r), out);
    CHECK(std::all_of(out.begin(), out.end(), [](T x) { return to_accumulator(x) == 1025; }) ==
          std::is_same_v<T, float>);
    CHECK(to_accumulator(out.back()) == (std::is_same_v<T, float> ? 1025 : 1024));
    CHECK(report.nonfinite_combined == 0);
    // 2^20 f - 2^20 r with f and r alike but for 2^-7: float alone would round both products.
    for (std::size_t i = 0; i < r.size(); ++i) f[i] = number(1 + 0x1p-7), r[i] = number(1);
    report = combine(given<2>{{{0x1p20 + 1, -0x1p20 * (1 + 0x1p-7)}}}, tasks(f, r), out);
    CHECK(to_accumulator(out.back()) == to_accumulator(number(1 + 0x1p-7)));
  }
}

TEST_CASE("groups whose weights are a fallback are counted") {
  const std::vector<double> f = {1, 2, 3, 4};
  std::vector<double> out(4);
  const std::vector<index_t> groups = {0, 1, 3, 4};
  CHECK(combine(given<2>{{{1, 1}, false}}, tasks(f, f), out, {.groups = groups}).unconverged == 3);
  CHECK(combine(given<2>{{{1, 1}, true}}, tasks(f, f), out, {.groups = groups}).unconverged == 0);
}

TEST_CASE("an element is in conflict where any two tasks are; its mass is that of the first two") {
  std::array<std::vector<double>, 4> g;
  for (std::size_t a = 0; a < 4; ++a)
    for (std::size_t b = a + 1; b < 4; ++b)
      for (std::size_t task = 0; task < 4; ++task) g[task].push_back(task == a ? 1 : task == b ? -2 : 0);
  std::vector<double> out(6);
  const auto report = combine(given<4>{{{1, 1, 1, 1}}}, tasks(g[0], g[1], g[2], g[3]), out, {.geometry = true});
  CHECK(report.conflicts == 6);
  CHECK(report.opposed == std::array<index_t, 4>{3, 2, 1, 0});
  CHECK(report.mass == 2);
  CHECK(report.conflict_mass == 2);
}

TEST_CASE("shares and cosines of nothing are 0") {
  const combine_report<2> nothing;
  CHECK(nothing.cosine(0, 1) == 0);
  CHECK(nothing.combined_cosine(1) == 0);
  CHECK(nothing.conflict_share() == 0);
  CHECK(nothing.conflict_mass_share() == 0);
}

TEST_CASE("each field of a report is added to its own") {
  const auto with = [](index_t n, double x) {
    combine_report<2> r;
    r.elements = n;
    r.nonfinite = {n + 1, n + 2};
    r.nonfinite_combined = n + 3;
    r.unconverged = n + 4;
    r.gram.value = {{{x, x + 1}, {x + 1, x + 2}}};
    r.gram.error = x / 10;
    r.combined_dot = {x + 3, x + 4};
    r.combined_squared = x + 5;
    r.opposed = {n + 5, n + 6};
    r.conflicts = n + 7;
    r.conflict_mass = x + 6;
    r.mass = x + 7;
    return r;
  };
  combine_report<2> sum = with(10, 100);
  sum += with(1000, 5000);
  CHECK((sum.elements == 1010 && sum.nonfinite == std::array<index_t, 2>{1012, 1014}));
  CHECK((sum.nonfinite_combined == 1016 && sum.unconverged == 1018));
  CHECK((sum.gram(0, 0) == 5100 && sum.gram(0, 1) == 5102 && sum.gram(1, 0) == 5102 && sum.gram(1, 1) == 5104));
  CHECK(sum.gram.error == 500);
  CHECK((sum.combined_dot == std::array<double, 2>{5106, 5108} && sum.combined_squared == 5110));
  CHECK((sum.opposed == std::array<index_t, 2>{1020, 1022} && sum.conflicts == 1024));
  CHECK((sum.conflict_mass == 5112 && sum.mass == 5114));
  combine_report<2> far = with(10, 100);
  far.gram.error = 9999;
  far += with(0, 0);
  CHECK(far.gram.error == 9999);
  combine_report<2> r;
  r.elements = 8;
  r.conflicts = 2;
  r.conflict_mass = 3;
  r.mass = 4;
  r.gram.value = {{{4, 3}, {3, 9}}};
  r.combined_dot = {1, 5};
  r.combined_squared = 25;
  CHECK((r.cosine(0, 1) == 0.5 && r.cosine(1, 1) == 1 && r.combined_cosine(0) == 0.1));
  CHECK(r.combined_cosine(1) == Approx(1.0 / 3).epsilon(1e-15));
  CHECK((r.conflict_share() == 0.25 && r.conflict_mass_share() == 0.75));
}
