// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/convert.hpp"

#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;

TEMPLATE_TEST_CASE("a compensated adapter, trained, equals the plain one of twice the rank on the untouched base", "",
                   float, double, bfloat16) {
  std::vector<site> sites = {{"q", 14, 10, 3, 2.0}, {"v", 9, 8, 2, 0.5}};
  std::vector<TestType> parameters(static_cast<std::size_t>(lay_out(sites)));
  std::vector<layer<TestType>> layers = {{14, 10, 3, 2.0, 1}, {9, 8, 2, 0.5, 2}};
  double deviation = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const site& s = sites[i];
    const given method{
        {.b = normal_matrix(s.outputs, s.rank, 3), .a = normal_matrix(s.rank, s.inputs, 4), .compensate = true}};
    deviation = (std::max)(deviation, initialise(method, layers[i].w(), s, parameters).deviation);
  }
  const std::vector<TestType> initial = parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i)  // training
    parameters[i] = from_accumulator<TestType>(to_accumulator(parameters[i]) +
                                               static_cast<accumulator_t<TestType>>(0.25 * philox{6}.normal(i)));
  const adapter<TestType> converted = plain(sites, parameters, initial);
  REQUIRE(converted.sites.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const site &s = sites[i], &wide = converted.sites[i];
    CHECK(wide.rank == 2 * s.rank);
    CHECK(wide.scale == s.scale);
    CHECK(wide.name == s.name);
    const auto product = [](const site& x, const std::vector<TestType>& elements) -> linalg::matrix {
      return x.scale * linalg::copy_of(x.b(elements.data())) * linalg::copy_of(x.a(elements.data()));
    };
    const linalg::matrix adapted = layers[i].now() + product(s, parameters);
    const linalg::matrix on_original = layers[i].original() + product(wide, converted.parameters);
    CHECK(largest(adapted - on_original) <= deviation + 1e-13);
    CHECK(largest(product(wide, converted.parameters)) > 0.1);
  }
  // Untrained, it does nothing at all.
  const adapter<TestType> still = plain(sites, initial, initial);
  for (const site& s : still.sites)
    CHECK(largest(linalg::copy_of(s.b(still.parameters.data())) * linalg::copy_of(s.a(still.parameters.data()))) <=
          1e-13);
}

TEST_CASE("a conversion needs room for twice the rank, and both buffers") {
  std::vector<site> sites = {{"q", 5, 10, 3, 2.0}};
  std::vector<float> parameters(static_cast<std::size_t>(lay_out(sites))), shorter(parameters.size() - 1);
  CHECK_THROWS_WITH(plain(sites, parameters, parameters), Catch::Contains("rank 6 of a 5 x 10"));
  sites[0].rank = 2;
  lay_out(sites);
  CHECK(plain(sites, parameters, parameters).parameters.size() == 60);
  shorter.resize(29);
  CHECK_THROWS_AS(plain(sites, parameters, shorter), std::invalid_argument);
  CHECK_THROWS_AS(plain(sites, shorter, parameters), std::invalid_argument);
}
