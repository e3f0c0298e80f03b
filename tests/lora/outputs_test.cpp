// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Everything in lora/ that writes memory, offered memory that nobody may write to.
#include "support/outputs.hpp"

#include "hone/lora/orthogonal.hpp"
#include "hone/lora/pooling.hpp"
#include "hone/lora/rila.hpp"

#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;

TEST_CASE("adapters are not put into weights, nor started in buffers, without memory of their own") {
  layer<float> l(4, 3, 2, 1);
  const site s{"layer", 4, 3, 2, 1.0, 0};
  std::vector<float> parameters(static_cast<std::size_t>(s.size()), 1.0f);
  check_refuses_matrices<float>(4, 3,
                                "hone::lora::merge: weight: ", [&](matrix_view<float> w) { merge(w, s, parameters); });
  check_refuses_matrices<float>(
      4, 3, "hone::lora::unmerge: weight: ", [&](matrix_view<float> w) { unmerge(w, s, parameters); });
  const given method{{}};
  check_refuses_matrices<float>(
      4, 3, "hone::lora::initialise: weight: ", [&](matrix_view<float> w) { initialise(method, w, s, parameters); });
  check_refuses_vectors<float>(
      s.size(), "hone::lora::initialise: parameters: ", [&](vector_view<float> p) { initialise(method, l.w(), s, p); });
  const std::vector<float> outputs(20, 1.0f);
  const matrix_view<const float> samples(outputs.data(), 5, 4);
  check_refuses_vectors<float>(s.size(), "hone::lora::rila: parameters: ", [&](vector_view<float> p) {
    site own = s;
    rila(samples, samples, l.w(), own, p);
  });
  CHECK(l.now() == l.original());
  CHECK(parameters == std::vector<float>(parameters.size(), 1.0f));
}

TEST_CASE("the orthogonal loss, its projection and pooled rows have memory of their own") {
  const std::vector<site> sites = {{"layer", 4, 3, 2, 1.0, 0}};
  const std::vector<float> parameters(static_cast<std::size_t>(sites[0].size()), 1.0f);
  const std::vector<linalg::matrix> memory = {linalg::matrix::Identity(4, 1)};
  const std::vector<matrix_view<const double>> bases = {linalg::view(memory[0])};
  check_refuses_vectors<float>(sites[0].size(), "hone::lora::add_orthogonal_loss: parameters: ",
                               [&](vector_view<float> g) { add_orthogonal_loss(sites, parameters, bases, g); });
  check_refuses_vectors<float>(sites[0].size(), "hone::lora::project_out: parameters: ", [&](vector_view<float> p) {
    project_out(sites, p, bases);
  });
  const std::vector<float> outputs(12, 1.0f);
  const std::vector<index_t> offsets = {0, 2, 4};
  check_refuses_matrices<float>(2, 3, "hone::lora::pool: rows: ", [&](matrix_view<float> rows) {
    pool(matrix_view<const float>(outputs.data(), 4, 3), offsets, {}, pooling::sum, rows);
  });
}
