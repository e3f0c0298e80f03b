// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/lora.md and docs/linalg.md show and no other test has.
#include "hone/core/thread_pool.hpp"
#include "hone/lora/convert.hpp"
#include "hone/lora/orthogonal.hpp"
#include "hone/lora/pooling.hpp"
#include "hone/lora/rila.hpp"
#include "hone/lora/starts.hpp"
#include "hone/lora/subspace.hpp"

#include "lora/support.hpp"

namespace lora = hone::lora;
namespace linalg = hone::linalg;
using hone::index_t;
using hone::matrix_view;

TEST_CASE(
    "docs: a layer that starts where forget data are and retain data are not, trained away from the retain basis") {
  const index_t outputs = 12, inputs = 9;
  const std::vector<float> forget_numbers = row_major<float>(normal_matrix(6, outputs, 1));
  const std::vector<float> retain_numbers = row_major<float>(normal_matrix(5, outputs, 2));
  const matrix_view<const float> forget(forget_numbers.data(), 6, outputs), retain(retain_numbers.data(), 5, outputs);
  std::vector<float> elements = row_major<float>(normal_matrix(outputs, inputs, 3));
  const matrix_view<float> weight(elements.data(), outputs, inputs);
  const linalg::matrix original = linalg::copy_of(weight);
  hone::thread_pool pool(2);

  std::vector<lora::site> sites = {{"layers.0.attention.value", outputs, inputs, 4, lora::standard_scale(8, 4)}};
  std::vector<float> parameters(static_cast<std::size_t>(lora::lay_out(sites)));
  std::vector<linalg::matrix> bases;
  for (lora::site& s : sites) {
    const auto report = lora::rila(forget, retain, weight, s, parameters, {.beta = 0.7, .basis_rank = 128}, pool);
    std::printf("%s: effective rank %td, function changed by %g\n", s.name.c_str(), report.subspace.effective_rank,
                report.start.deviation);
    bases.push_back(report.subspace.basis);
  }
  const std::vector<float> initial = parameters;  // for the conversion to plain LoRA

  std::vector<matrix_view<const double>> retain_bases;
  for (const auto& basis : bases) retain_bases.push_back(linalg::view(basis));
  std::vector<float> gradient(parameters.size());
  // each step: the gradient of the other losses, then
  const auto rol = lora::add_orthogonal_loss(sites, parameters, retain_bases, gradient, {.lambda = 0.5}, pool);
  // … the optimiser's step, and if wanted
  lora::project_out(sites, parameters, retain_bases, pool);
  // at the end
  const lora::adapter<float> portable = lora::plain(sites, parameters, initial);

  CHECK(rol.loss > 0);
  CHECK(lora::retain_overlap(sites[0], parameters, retain_bases[0]) <= 1e-12);
  linalg::matrix adapted = original;
  lora::merge(linalg::view(adapted), portable.sites[0], portable.parameters);
  lora::merge(weight, sites[0], parameters);
  CHECK(largest(adapted - linalg::copy_of(weight)) <= 1e-5);
}

TEST_CASE("docs: another start, streamed moments, pooled outputs") {
  const index_t outputs = 12;
  std::vector<float> elements = row_major<float>(normal_matrix(outputs, 9, 3));
  const matrix_view<float> weight(elements.data(), outputs, 9);
  std::vector<lora::site> sites = {{"value", outputs, 9, 4, 2.0}};
  std::vector<float> parameters(static_cast<std::size_t>(lora::lay_out(sites)));
  lora::initialise(lora::standard{{.seed = 1, .stream = 0}}, weight, sites[0], parameters);
  CHECK(linalg::copy_of(sites[0].b(parameters.data())).isZero());

  const std::vector<float> tokens = row_major<float>(normal_matrix(20, outputs, 4));
  const matrix_view<const float> outputs_of_batch(tokens.data(), 20, outputs);
  const std::vector<index_t> offsets = {0, 12, 20};
  const std::vector<std::uint8_t> mask(20, 1);
  hone::thread_pool pool(2);
  linalg::second_moments<float> forget(outputs), retain(outputs);
  forget.add(outputs_of_batch, pool);  // every token of every batch, however cut
  retain.add(outputs_of_batch, pool);
  const auto found = lora::find_rila_subspace(forget, retain, 4, {}, pool);
  CHECK(found.directions.cols() == 4);

  std::vector<float> rows(static_cast<std::size_t>(lora::pooled_rows(offsets, mask, lora::pooling::mean) * outputs));
  lora::pool(outputs_of_batch, offsets, mask, lora::pooling::mean, matrix_view<float>(rows.data(), 2, outputs), pool);
  CHECK(rows.size() == 24);
}
