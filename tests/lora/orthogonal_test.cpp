// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/orthogonal.hpp"

#include "hone/core/thread_pool.hpp"
#include "lora/g3.hpp"
#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;
using linalg::matrix;
using linalg::view;

namespace {
/// Two sites of random elements and a basis for each.
template <class T>
struct adapted {
  std::vector<site> sites = {{"q", 12, 5, 3, 2.0}, {"v", 9, 7, 2, 0.5}};
  std::vector<matrix> bases = {random_frame(12, 4, 1), random_frame(9, 3, 2)};
  std::vector<matrix_view<const double>> views = {view(std::as_const(bases[0])), view(std::as_const(bases[1]))};
  std::vector<T> parameters, gradient;

  adapted() {
    const auto size = static_cast<std::size_t>(lay_out(sites));
    for (std::size_t i = 0; i < size; ++i)
      parameters.push_back(from_accumulator<T>(static_cast<accumulator_t<T>>(philox{5}.normal(i))));
    gradient.resize(size);
  }
  [[nodiscard]] matrix b(std::size_t i) const { return linalg::copy_of(sites[i].b(parameters.data())); }
  [[nodiscard]] double squares(std::size_t i) const { return (b(i).transpose() * bases[i]).squaredNorm(); }
};
}  // namespace

TEST_CASE("G3: the orthogonal loss and its gradient") {
  std::vector<site> sites = {{"g3", 4, 3, 2, 2.0}};
  const index_t size = lay_out(sites);
  std::vector<double> parameters(static_cast<std::size_t>(size)), gradient(parameters.size());
  // The printed digits are eight: the frame that they stand for.
  matrix b = linalg::orthonormal_part(matrix(4, 0), g3::b), p = linalg::orthonormal_part(matrix(4, 0), g3::basis);
  for (index_t i = 0; i < 4; ++i)
    for (index_t k = 0; k < 2; ++k) sites[0].b(parameters.data())(i, k) = b(i, k);
  const std::vector bases = {view(std::as_const(p))};
  const auto loss = add_orthogonal_loss(sites, parameters, bases, gradient, {.lambda = 1});
  CHECK(loss.loss == Approx(g3::loss).epsilon(1e-7));
  CHECK(loss.overlap == loss.loss);
  CHECK(loss.energy == Approx(2));
  CHECK(loss.whole == 0);
  CHECK(largest(linalg::copy_of(sites[0].b(gradient.data())) - g3::gradient) <= 1e-7);
  CHECK(linalg::copy_of(sites[0].a(gradient.data())).isZero());
}

TEST_CASE(
    "the orthogonal loss: sums over sites, weights, lambda; the gradient by differences, added to what is there") {
  adapted<double> x;
  const std::vector<double> weights = {0.25, 3};
  const orthogonal_options options{.lambda = 0.7, .weights = weights};
  std::fill(x.gradient.begin(), x.gradient.end(), 0.5);
  const auto loss = add_orthogonal_loss(x.sites, x.parameters, x.views, x.gradient, options);
  CHECK(loss.overlap == Approx(x.squares(0) + x.squares(1)));
  CHECK(loss.loss == Approx(0.7 * (0.25 * x.squares(0) + 3 * x.squares(1))));
  CHECK(loss.energy == Approx(x.b(0).squaredNorm() + x.b(1).squaredNorm()));
  CHECK(loss.overlap <= loss.energy);
  std::vector<double> ignored(x.gradient.size());
  for (std::size_t i = 0; i < x.parameters.size(); ++i) {
    const double h = 1e-5, at = x.parameters[i];
    x.parameters[i] = at + h;
    const double up = add_orthogonal_loss(x.sites, x.parameters, x.views, ignored, options).loss;
    x.parameters[i] = at - h;
    const double down = add_orthogonal_loss(x.sites, x.parameters, x.views, ignored, options).loss;
    x.parameters[i] = at;
    CHECK(x.gradient[i] - 0.5 == Approx((up - down) / (2 * h)).margin(1e-8));
  }
}

TEST_CASE("the orthogonal loss does not see turns of the basis nor of B's columns, and is the same on every executor") {
  adapted<double> x;
  const auto loss = add_orthogonal_loss(x.sites, x.parameters, x.views, x.gradient);
  CHECK(loss.loss == Approx(0.5 * loss.overlap));
  adapted<double> turned = x;
  turned.bases[0] = turned.bases[0] * random_frame(4, 4, 6);
  turned.views = {view(std::as_const(turned.bases[0])), view(std::as_const(turned.bases[1]))};
  const matrix b = turned.b(1) * random_frame(2, 2, 7);
  for (index_t i = 0; i < 9; ++i)
    for (index_t k = 0; k < 2; ++k) turned.sites[1].b(turned.parameters.data())(i, k) = b(i, k);
  std::vector<double> gradient(x.gradient.size());
  CHECK(add_orthogonal_loss(turned.sites, turned.parameters, turned.views, gradient).loss ==
        Approx(loss.loss).epsilon(1e-13));
  thread_pool pool(3);
  std::vector<double> again(x.gradient.size());
  CHECK(add_orthogonal_loss(x.sites, x.parameters, x.views, again, {}, pool).loss == loss.loss);
  CHECK(again == x.gradient);
}

TEST_CASE("sites of weight 0 need no basis; a basis of all outputs is weight decay, and told") {
  adapted<double> x;
  std::vector<double> weights = {1, 0};
  x.views[1] = {};
  const auto loss = add_orthogonal_loss(x.sites, x.parameters, x.views, x.gradient, {.lambda = 1, .weights = weights});
  CHECK(loss.loss == Approx(x.squares(0)));
  CHECK(linalg::copy_of(x.sites[1].b(x.gradient.data())).isZero());
  const matrix whole = random_frame(12, 12, 8);
  x.views[0] = view(whole);
  std::fill(x.gradient.begin(), x.gradient.end(), 0);
  const auto decay = add_orthogonal_loss(x.sites, x.parameters, x.views, x.gradient, {.lambda = 1, .weights = weights});
  CHECK(decay.whole == 1);
  CHECK(decay.loss == Approx(x.b(0).squaredNorm()));
  CHECK(largest(linalg::copy_of(x.sites[0].b(x.gradient.data())) - 2 * x.b(0)) <= 1e-13);
}

TEMPLATE_TEST_CASE("after the projection nothing is left in the retain subspace", "", float, double, bfloat16) {
  adapted<TestType> x;
  const matrix before = x.b(0);
  const double expected = x.squares(0) + x.squares(1);
  const std::vector<TestType> a(x.parameters.begin(), x.parameters.begin() + 15);
  CHECK(project_out(x.sites, x.parameters, x.views) == Approx(expected));
  const double unit = half_ulp<TestType>;
  CHECK(x.squares(0) + x.squares(1) <= 400 * unit * unit + 1e-28);
  CHECK(largest(x.b(0) - (before - projector(x.bases[0]) * before)) <= 4 * unit);
  CHECK(std::equal(a.begin(), a.end(), x.parameters.begin(),
                   [](TestType p, TestType q) { return float(p) == float(q); }));
  x.views[0] = {};
  const auto kept = x.b(0);
  project_out(x.sites, x.parameters, x.views);
  CHECK(x.b(0) == kept);
  adapted<TestType> one, other;
  thread_pool pool(2);
  project_out(one.sites, one.parameters, one.views);
  project_out(other.sites, other.parameters, other.views, pool);
  CHECK(one.b(1) == other.b(1));
}

TEST_CASE("a float basis, as one would keep it for a large model") {
  adapted<float> x;
  std::vector<std::vector<float>> elements = {row_major<float>(x.bases[0]), row_major<float>(x.bases[1])};
  const std::vector<matrix_view<const float>> bases = {{elements[0].data(), 12, 4}, {elements[1].data(), 9, 3}};
  const auto loss = add_orthogonal_loss(x.sites, x.parameters, bases, x.gradient, {.lambda = 1});
  CHECK(loss.loss == Approx(x.squares(0) + x.squares(1)).epsilon(1e-6));
}

TEST_CASE("the orthogonal loss refuses a site without a basis, bad weights and sizes, and writes nothing then") {
  adapted<double> x;
  const auto refused = [&](const auto& views, const orthogonal_options& options, const char* why) {
    CHECK_THROWS_WITH(add_orthogonal_loss(x.sites, x.parameters, views, x.gradient, options), Catch::Contains(why));
    for (const double g : x.gradient) CHECK(g == 0);
  };
  const std::vector<double> one = {1}, negative = {1, -1};
  refused(x.views, {.weights = one}, "1 of 2 sites");
  refused(x.views, {.weights = negative}, "v has -1");
  refused(x.views, {.lambda = -1}, "lambda");
  refused(std::vector{x.views[0]}, {}, "1 of 2 sites");
  refused(std::vector{x.views[0], matrix_view<const double>()}, {}, "v: its basis is 0 x 0");
  refused(std::vector{x.views[0], x.views[0]}, {}, "v: its basis is 12 x 4");
  CHECK_THROWS_AS(project_out(x.sites, x.parameters, std::vector{x.views[0], x.views[0]}), std::invalid_argument);
  x.gradient.pop_back();
  refused(x.views, {}, "v ends at");
}
