// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/adapter_statistics.hpp"

#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEST_CASE("statistics of sites: inputs a row a token, outputs a row a sequence, as an observer sees them") {
  const config c = small_models()[1];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 1, 0.3);
  const sequences s(c);
  const auto sites = adapter_sites(c, {role::wo, role::w3, role::wcls}, 2, 1.0);
  const auto seen = observe_sites(model, parameters, sites, s.all());
  REQUIRE(seen.inputs.size() == sites.size());
  REQUIRE(seen.outputs.size() == sites.size());
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto x = seen.inputs[i].view(), y = seen.outputs[i].view();
    const auto w = site_weight(model, std::span(parameters), sites[i]);
    CHECK(x.rows() == 24);
    CHECK(x.cols() == sites[i].inputs);
    CHECK(y.rows() == 4);
    CHECK(y.cols() == sites[i].outputs);
    for (index_t b = 0; b < 4; ++b)
      for (index_t j = 0; j < y.cols(); ++j) {
        double sum = 0;
        for (index_t t = s.all().begin(b); t < s.all().end(b); ++t) sum += dot(x.row(t), w.row(j));
        CHECK(y(b, j) == Approx(sum).margin(1e-12));
      }
  }
  // What enters the classifier is the final norm's output.
  workspace<double> w(c, 24);
  model.forward(parameters, s.all(), w);
  for (index_t t = 0; t < 24; ++t)
    for (index_t j = 0; j < c.d_model; ++j)
      CHECK(seen.inputs.back().view()(t, j) == Approx(w.features()(t, j)).margin(1e-12));
}

TEST_CASE("statistics of sites: of the first sequences alone, where there are more") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.3);
  const sequences s(c);
  const auto sites = adapter_sites(c, {role::wq}, 2, 1.0);
  const auto all = observe_sites(model, parameters, sites, s.all()),
             two = observe_sites(model, parameters, sites, s.all(), 2);
  CHECK(two.inputs[0].rows() == 15);
  CHECK(two.outputs[0].rows() == 2);
  CHECK(std::equal(two.inputs[0].values.begin(), two.inputs[0].values.end(), all.inputs[0].values.begin()));
}

TEST_CASE("statistics of sites: what is no matrix of the model is refused") {
  using Catch::Contains;
  const config c = small_models()[0];
  const decoder<float> model(c);
  const std::vector<float> parameters(static_cast<std::size_t>(model.parameters()));
  const sequences s(c);
  const auto observe = [&](const lora::site& site) {
    return observe_sites(model, parameters, std::vector<lora::site>{site}, s.all());
  };
  CHECK_THROWS_WITH(observe({"wz.0", 12, 12, 2, 1.0}), Contains("wz.0: is no matrix"));
  CHECK_THROWS_WITH(observe({"att_norm.0", 1, 12, 1, 1.0}), Contains("att_norm.0: is no matrix"));
  CHECK_THROWS_WITH(observe({"wq.0", 12, 13, 2, 1.0}), Contains("the matrix is 12 x 12"));
  row_list<float> rows;
  rows.grow(2, 3);
  CHECK_THROWS_WITH(rows.grow(1, 4), Contains("width"));
}

TEST_CASE("statistics of sites: 256 sequences unless more are asked for, each with its capacity") {
  config c = expert_models()[2];  // experts choose
  c.n_layers = 1, c.experts.dense = {};
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.3);
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0}, capacities;
  for (std::int32_t s = 0; s < 258; ++s) {
    for (std::int32_t t = 0; t < 3; ++t) tokens.push_back((s + 5 * t) % 14);
    offsets.push_back(std::ssize(tokens));
    capacities.push_back(s % 4);
  }
  const auto sites = adapter_sites(c, {role::wq, role::w1}, 2, 1.0);  // w1 of three experts
  const batch b{tokens, offsets, capacities};
  const auto few = observe_sites(model, parameters, sites, b), all = observe_sites(model, parameters, sites, b, 1000);
  CHECK((few.inputs[0].rows() == 3 * 256 && all.inputs[0].rows() == 3 * 258));
  CHECK((few.outputs[0].rows() == 256 && all.outputs[0].rows() == 258));
  for (std::size_t e = 1; e < 4; ++e) CHECK(few.inputs[e].rows() == 64 * (0 + 1 + 2 + 3));
  for (std::size_t e = 1; e < 4; ++e)
    for (index_t j = 0; j < sites[e].outputs; ++j) CHECK(few.outputs[e].view()(4, j) == 0);  // none of sequence 4
}
