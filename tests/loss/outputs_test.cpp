// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Everything in loss/ that writes memory, offered memory that nobody may write to.
#include "support/outputs.hpp"

#include "hone/loss.hpp"

using namespace hone;
using namespace hone::loss;

TEMPLATE_TEST_CASE("no loss writes its gradient over logits that share memory", "", float, bfloat16) {
  using T = TestType;
  using view = matrix_view<T>;
  const std::vector<std::int32_t> y = {0, 1};
  const std::vector<T> other(6, T(1.0f));
  const matrix_view<const T> reference(other.data(), 2, 3);
  const std::string weighted = "hone::loss::weighted_likelihood: logits: ";
  check_refuses_matrices<T>(2, 3, weighted, [&](view z) { likelihood(z, y); });
  check_refuses_matrices<T>(2, 3, weighted, [&](view z) { gradient_ascent(z, y); });
  check_refuses_matrices<T>(2, 3, weighted, [&](view z) { wga(z, y); });
  check_refuses_matrices<T>(2, 3, weighted, [&](view z) { satimp(z, y); });
  check_refuses_matrices<T>(2, 3, "hone::loss::inverted_hinge: logits: ", [&](view z) { inverted_hinge(z, y); });
  check_refuses_matrices<T>(2, 3,
                            "hone::loss::kl_to_reference: logits: ", [&](view z) { kl_to_reference(z, reference, y); });
  check_refuses_matrices<T>(2, 3, "hone::loss::undial: logits: ", [&](view z) { undial(z, reference, y); });
  const std::vector<T> direction(3, T(1.0f));
  check_refuses_matrices<T>(2, 3, "hone::loss::rmu_forget: h: ", [&](view h) { rmu_forget(h, y, direction, 1); });
  check_refuses_matrices<T>(2, 3, "hone::loss::rmu_retain: h: ", [&](view h) { rmu_retain(h, reference, y); });
  check_refuses_vectors<T>(
      3, "hone::loss::steering_direction: u: ", [](vector_view<T> u) { steering_direction(u, philox{}); });
  check_refuses_vectors<T>(
      2, "hone::loss::log_likelihood: out: ", [&](vector_view<T> out) { log_likelihood(reference, y, out); });
  const row_summary summary = summarize(reference.row(0));
  check_refuses_vectors<T>(
      3, "hone::loss::row_gradient: z: ", [&](vector_view<T> z) { row_gradient(z, summary, {.target = 1}, 1, 0); });
  check_refuses_vectors<T>(3, "hone::loss::fused_gradient: z: ", [&](vector_view<T> z) {
    fused_gradient(z, 1, 0, {}, [](const row_summary&, double) { return row_terms{.target = 1}; });
  });
}

TEST_CASE("a reference may repeat one row") {
  std::vector<float> z = {1, 2, 3, 3, 2, 1}, w = {0, 1, 2}, rows = {0, 1, 2, 0, 1, 2};
  auto other = z;
  const std::vector<std::int32_t> y = {0, 1};
  kl_to_reference(matrix_view<float>(z.data(), 2, 3), matrix_view<const float>(w.data(), 2, 3, 0, 1), y);
  kl_to_reference(matrix_view<float>(other.data(), 2, 3), matrix_view<const float>(rows.data(), 2, 3), y);
  CHECK(z == other);
}

TEST_CASE("losses on sequences refuse spans without memory") {
  using span = std::span<double>;
  const std::vector<double> nll = {1, 2};
  const std::vector<index_t> offsets = {0, 1, 2}, lengths = {1, 1};
  const std::vector<float> logits(6);
  const std::vector<std::int32_t> y = {0, 1};
  check_refuses_spans<double>(2, "hone::loss::sequence_nll: out: ", [&](span out) {
    sequence_nll(matrix_view<const float>(logits.data(), 2, 3), y, offsets, out);
  });
  check_refuses_spans<double>(2, "hone::loss::spread: weights: ", [&](span w) { spread(nll, offsets, w); });
  check_refuses_spans<double>(2, "hone::loss::npo: slope: ", [&](span s) { npo(nll, nll, s); });
  check_refuses_spans<double>(2, "hone::loss::simnpo: slope: ", [&](span s) { simnpo(nll, lengths, s); });
  check_refuses_spans<double>(2, "hone::loss::dpo: slope: ", [&](span s) { dpo(nll, nll, nll, nll, s); });
  const std::vector<std::uint8_t> desirable = {1, 0};
  check_refuses_spans<double>(2, "hone::loss::kto: slope: ", [&](span s) { kto(nll, nll, desirable, 0, s); });
  std::vector<double> slope(2);
  const preference_pairs pairs{nll, nll};
  check_refuses_spans<double>(
      2, "hone::loss::preference: chosen_slope: ", [&](span s) { preference(dpo_loss{}, pairs, s, slope); });
  check_refuses_spans<double>(
      2, "hone::loss::preference: rejected_slope: ", [&](span s) { preference(dpo_loss{}, pairs, slope, s); });
  check_refuses_spans<double>(2, "hone::loss::aot: rejected_slope: ", [&](span s) { aot(pairs, slope, s); });
  CHECK(slope == std::vector<double>(2));
  std::vector<std::int32_t> ids(2);
  const vector_view<const float> row(logits.data(), 3);
  check_refuses_spans<double>(
      2, "hone::loss::summarize_largest: logits: ", [&](span s) { summarize_largest(row, 1, ids, s); });
  check_refuses_spans<std::int32_t>(2, "hone::loss::summarize_largest: ids: ", [&](std::span<std::int32_t> s) {
    summarize_largest(row, 1, s, slope);
  });
}
