// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/rila.hpp"

#include <fstream>
#include <limits>

#include "hone/core/thread_pool.hpp"
#include "lora/g3.hpp"
#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;
using linalg::matrix;
using linalg::vector;
using linalg::view;

namespace {
constexpr rila_solver all_solvers[] = {rila_solver::low_rank, rila_solver::dense, rila_solver::iterative};

/// D by its definition.
matrix naive_delta(const matrix& forget, const matrix& retain, double beta) {
  matrix delta = matrix::Zero(forget.cols(), forget.cols());
  for (index_t i = 0; i < delta.rows(); ++i)
    for (index_t j = 0; j < delta.cols(); ++j) {
      for (index_t n = 0; n < forget.rows(); ++n)
        delta(i, j) += (1 - beta) * forget(n, i) * forget(n, j) / static_cast<double>(forget.rows());
      for (index_t n = 0; n < retain.rows(); ++n)
        delta(i, j) -= beta * retain(n, i) * retain(n, j) / static_cast<double>(retain.rows());
    }
  return delta;
}

/// Pooled outputs of two sets that share some directions: a decaying spectrum, as layers have.
struct sets {
  matrix forget, retain;
  sets(index_t d, index_t n_forget, index_t n_retain, std::uint32_t seed) {
    const matrix frame = random_frame(d, d, seed);
    vector f(d), r(d);
    for (index_t i = 0; i < d; ++i) {
      f(i) = std::pow(0.9, static_cast<double>(i));
      r(i) = std::pow(0.9, static_cast<double>((i + d / 3) % d));
    }
    forget = normal_matrix(n_forget, d, seed + 1) * f.asDiagonal() * frame.transpose();
    retain = normal_matrix(n_retain, d, seed + 2) * r.asDiagonal() * frame.transpose();
  }
  [[nodiscard]] rila_subspace find(index_t rank, const rila_options& options = {}) const {
    return find_rila_subspace(view(forget), view(retain), rank, options);
  }
};
}  // namespace

TEST_CASE("G3: directions, retain basis, factors and weight, by every solver") {
  for (const rila_solver solver : all_solvers) {
    layer<double> l(g3::weight, 2, 2);
    const auto report = rila(view(g3::forget), view(g3::retain), l.w(), l.site, l.parameters,
                             {.beta = 0.7, .basis_rank = 2, .epsilon = 1e-4, .solver = solver});
    const rila_subspace& found = report.subspace;
    CHECK(found.solver == solver);
    CHECK(found.values(0) == Approx(g3::values[3]).epsilon(1e-11));
    CHECK(found.values(1) == Approx(g3::values[2]).epsilon(1e-10));
    // The largest value is first here, last in the printed vectors.
    CHECK(largest(l.b() - g3::b.rowwise().reverse()) <= 1e-8);
    CHECK(largest(l.a() - g3::a.colwise().reverse()) <= 1e-8);
    CHECK(largest(l.now() - g3::left) <= 1e-8);
    CHECK(largest(projector(found.directions) - g3::projector) <= 1e-8);
    CHECK((l.b().transpose() * g3::delta * l.b()).trace() == Approx(g3::trace).epsilon(1e-10));
    CHECK(l.changed() <= 5e-16);
    CHECK(report.start.deviation <= 2.3e-16);
    CHECK(found.effective_rank == 2);
    REQUIRE(found.basis.cols() == 2);
    CHECK(largest(projector(found.basis) - projector(g3::basis)) <= 1e-8);
    CHECK(found.basis_values(1) == Approx(g3::retain_values[0]).epsilon(1e-11));
    CHECK(found.basis_values(0) == Approx(g3::retain_values[1]).epsilon(1e-11));
    CHECK(found.basis_share == Approx(1));
    CHECK(found.residual <= 1e-10);
    CHECK(l.others_untouched());
    const auto even =
        find_rila_subspace(view(g3::forget), view(g3::retain), 4, {.beta = 0.5, .epsilon = 1e-4, .solver = solver});
    for (index_t i = 0; i < 4; ++i) CHECK(even.values(i) == Approx(g3::half_values[3 - i]).epsilon(1e-10));
    CHECK(largest(naive_delta(g3::forget, g3::retain, 0.7) + 1e-4 * (1 - 1.4) * matrix::Identity(4, 4) - g3::delta) <=
          1e-14);
  }
}

TEST_CASE(
    "the low-rank solver equals the dense one on projectors and eigenvalues to 1e-10; the iterative one to 1e-7") {
  for (const auto& [d, n_forget, n_retain] :
       {std::array<index_t, 3>{120, 30, 20}, {200, 64, 64}, {90, 1, 40}, {60, 58, 1}}) {
    const sets s(d, n_forget, n_retain, 5);
    for (const double beta : {0.0, 0.3, 0.7}) {
      const index_t rank = (std::min)(n_forget, index_t{12});
      const auto exact = s.find(rank, {.beta = beta, .basis_rank = 10});
      const auto dense = s.find(rank, {.beta = beta, .basis_rank = 10, .solver = rila_solver::dense});
      const auto iterated = s.find(rank, {.beta = beta, .basis_rank = 10, .solver = rila_solver::iterative});
      CHECK(exact.solver == rila_solver::low_rank);
      CHECK((exact.values - dense.values).cwiseAbs().maxCoeff() <= 1e-10);
      CHECK(largest(projector(exact.directions) - projector(dense.directions)) <= 1e-10);
      CHECK(largest(projector(exact.basis) - projector(dense.basis)) <= 1e-10);
      CHECK((exact.basis_values - dense.basis_values).cwiseAbs().maxCoeff() <= 1e-10);
      CHECK(exact.effective_rank == dense.effective_rank);
      CHECK((exact.values - iterated.values).cwiseAbs().maxCoeff() <= 1e-10);
      CHECK(largest(projector(exact.directions) - projector(iterated.directions)) <= 1e-7);
      CHECK(largest(projector(exact.basis) - projector(iterated.basis)) <= 1e-7);
      for (const auto& found : {exact, dense, iterated}) {
        CHECK(skew(found.directions) <= 1e-12);
        CHECK(found.residual <= 1e-10);
        const matrix delta = naive_delta(s.forget, s.retain, beta);
        CHECK((found.directions.transpose() * delta * found.directions).trace() ==
              Approx(found.values.sum()).epsilon(1e-10));
      }
    }
  }
}

TEST_CASE("Ky Fan: no random frame, nor a turn of the found one, has more") {
  const sets s(40, 15, 15, 9);
  const matrix delta = naive_delta(s.forget, s.retain, 0.7);
  const auto found = s.find(5);
  const auto gain = [&](const matrix& q) { return (q.transpose() * delta * q).trace(); };
  const double best = gain(found.directions);
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    CHECK(gain(random_frame(40, 5, 100 + seed)) <= best);
    const matrix turned =
        linalg::orthonormal_part(matrix(40, 0), found.directions + 0.01 * normal_matrix(40, 5, 400 + seed));
    CHECK(gain(turned) <= best);
  }
}

TEST_CASE("epsilon moves eigenvalues and nothing else; strides, storage and order of the columns do not matter") {
  const sets s(50, 12, 9, 13);
  const auto plain = s.find(4, {.basis_rank = 3}), shifted = s.find(4, {.basis_rank = 3, .epsilon = 0.5});
  CHECK(plain.directions == shifted.directions);
  CHECK(plain.basis == shifted.basis);
  for (index_t i = 0; i < 4; ++i) CHECK(shifted.values(i) - plain.values(i) == Approx(0.5 * (1 - 1.4)));
  for (index_t i = 0; i < 3; ++i) CHECK(shifted.basis_values(i) - plain.basis_values(i) == Approx(0.5));
  const auto f = row_major<float>(s.forget), r = row_major<float>(s.retain);
  const matrix_view<const float> fs(f.data(), 12, 50), rs(r.data(), 9, 50);
  const auto floats = find_rila_subspace(fs, rs, 4);
  CHECK(largest(projector(floats.directions) - projector(plain.directions)) <= 1e-5);
  const matrix turn = random_frame(50, 50, 14);  // outputs in other coordinates
  const auto turned = find_rila_subspace(view(matrix(s.forget * turn)), view(matrix(s.retain * turn)), 4);
  CHECK(largest(turn * projector(turned.directions) * turn.transpose() - projector(plain.directions)) <= 1e-10);
}

TEST_CASE("streamed moments give what samples give, for any cut and executor") {
  const sets s(80, 700, 600, 17);
  thread_pool pool(3);
  linalg::second_moments<double> forget(80), retain(80);
  forget.add(view(s.forget));
  retain.add(view(s.retain), pool);
  for (const rila_solver solver : {rila_solver::dense, rila_solver::iterative}) {
    const auto streamed = find_rila_subspace(forget, retain, 6, {.basis_rank = 5, .solver = solver}, pool);
    const auto sampled = s.find(6, {.basis_rank = 5, .solver = solver});
    CHECK(largest(projector(streamed.directions) - projector(sampled.directions)) <= 1e-6);
    CHECK((streamed.values - sampled.values).cwiseAbs().maxCoeff() <= 1e-10);
    CHECK(largest(projector(streamed.basis) - projector(sampled.basis)) <= 1e-6);
    const auto serial_one = find_rila_subspace(forget, retain, 6, {.basis_rank = 5, .solver = solver});
    CHECK(serial_one.directions == streamed.directions);
  }
  CHECK(find_rila_subspace(forget, retain, 6).solver == rila_solver::dense);  // the default of 80 outputs
  CHECK(s.find(6).solver == rila_solver::dense);                              // more samples than outputs
  CHECK_THROWS_WITH(find_rila_subspace(forget, retain, 6, {.solver = rila_solver::low_rank}),
                    Catch::Contains("needs samples"));
  layer<float> l(80, 20, 6, 2);
  rila(forget, retain, l.w(), l.site, l.parameters, {}, pool);
  CHECK(l.changed() <= 1e-6);
}

TEST_CASE("centred moments are covariances: a common shift of all samples does nothing") {
  const sets s(30, 10, 12, 19);
  matrix shifted_forget = s.forget, shifted_retain = s.retain;
  shifted_forget.rowwise() += normal_matrix(1, 30, 20).row(0);
  shifted_retain.rowwise() -= normal_matrix(1, 30, 21).row(0);
  for (const rila_solver solver : {rila_solver::low_rank, rila_solver::dense}) {
    const auto a = s.find(3, {.centred = true, .solver = solver});
    const auto b =
        find_rila_subspace(view(shifted_forget), view(shifted_retain), 3, {.centred = true, .solver = solver});
    CHECK(largest(projector(a.directions) - projector(b.directions)) <= 1e-10);
  }
  linalg::second_moments<double> f(30), r(30);
  f.add(view(shifted_forget));
  r.add(view(shifted_retain));
  const auto streamed = find_rila_subspace(f, r, 3, {.centred = true});
  CHECK(largest(projector(streamed.directions) - projector(s.find(3, {.centred = true}).directions)) <= 1e-9);
}

TEST_CASE("deficient sets: the effective rank is told, and the rest is completed alike, or shrunk") {
  const index_t d = 20;
  const sets s(d, 3, 4, 23);
  for (const rila_solver solver : {rila_solver::low_rank, rila_solver::dense}) {
    const auto found = s.find(6, {.solver = solver});
    CHECK(found.effective_rank == 3);
    CHECK(found.directions.cols() == 6);
    CHECK(skew(found.directions) <= 1e-12);
    CHECK(found.values.tail(3).isZero());
    // The completion has no energy of either set.
    CHECK(largest(s.forget * found.directions.rightCols(3)) <= 1e-12);
    CHECK(largest(s.retain * found.directions.rightCols(3)) <= 1e-12);
    CHECK(largest(projector(found.directions) - projector(s.find(6).directions)) <= 1e-10);
    CHECK(s.find(6, {.shrink = true, .solver = solver}).directions.cols() == 3);
    // 3 positive and 4 negative eigenvalues: of 20 directions the last 4 are the negative ones.
    const auto whole = s.find(d, {.solver = solver});
    CHECK(skew(whole.directions) <= 1e-12);
    CHECK(whole.values.segment(3, 13).isZero());
    CHECK(whole.values(16) < 0);
    for (index_t i = 17; i < d; ++i) CHECK(whole.values(i) <= whole.values(i - 1));
    const matrix delta = naive_delta(s.forget, s.retain, 0.7);
    CHECK(largest(whole.directions * whole.values.asDiagonal() * whole.directions.transpose() - delta) <= 1e-12);
  }
  const auto iterated = s.find(6, {.solver = rila_solver::iterative});
  CHECK(iterated.effective_rank == 3);
  CHECK(largest(s.retain * iterated.directions.rightCols(3)) <= 1e-8);

  layer<double> l(d, 9, 6, 2);
  const index_t size = l.site.size();
  rila(view(s.forget), view(s.retain), l.w(), l.site, l.parameters, {.shrink = true});
  CHECK(l.site.rank == 3);
  CHECK(l.changed() <= 1e-14);
  for (index_t i = l.site.size(); i < size; ++i) CHECK(l.parameters[static_cast<std::size_t>(l.site.offset + i)] == 0);
  CHECK(l.parameters.back() == 7);
}

TEST_CASE("beta at its ends: PCA of the forget outputs, and what retain uses least") {
  const sets s(24, 30, 40, 29);
  const auto forget_only = s.find(4, {.beta = 0});
  const auto pca = linalg::dense_eigen(naive_delta(s.forget, s.retain, 0));
  CHECK(largest(projector(forget_only.directions) - projector(pca.vectors.leftCols(4))) <= 1e-10);
  const auto least = s.find(4, {.beta = 1});
  const auto retain = linalg::dense_eigen(naive_delta(s.retain, s.forget, 0));
  CHECK(largest(projector(least.directions) - projector(retain.vectors.rightCols(4))) <= 1e-8);
  CHECK(least.effective_rank == 0);
  CHECK_THROWS_WITH(s.find(4, {.beta = 1, .shrink = true}), Catch::Contains("no direction"));
  const sets few(24, 5, 6, 31);  // there is a null space: nothing that retain uses
  CHECK(largest(few.retain * few.find(4, {.beta = 1}).directions) <= 1e-12);
}

TEST_CASE("the retain basis: as many directions as asked for, as there are, or as hold the energy") {
  const sets s(60, 10, 8, 37);
  CHECK(s.find(2).basis.cols() == 8);
  CHECK(s.find(2).basis_share == Approx(1));
  CHECK(s.find(2, {.basis_rank = 0}).basis.cols() == 0);
  const vector values = s.find(2).basis_values;
  const double total = values.sum();
  for (const double energy : {0.3, 0.6, 0.9}) {
    index_t k = 0;
    for (double held = 0; held < energy * total; ++k) held += values(k);
    for (const rila_solver solver : all_solvers) {
      const auto found = s.find(2, {.basis_energy = energy, .solver = solver});
      CHECK(found.basis.cols() == k);
      CHECK(found.basis_share == Approx(values.head(k).sum() / total));
    }
  }
  CHECK(s.find(2, {.basis_rank = 2, .basis_energy = 0.999}).basis.cols() == 2);
  const matrix zero = matrix::Zero(4, 60);
  const auto none = find_rila_subspace(view(s.forget), view(zero), 2);
  CHECK(none.basis.cols() == 0);
  CHECK(none.basis_share == 0);
}

TEMPLATE_TEST_CASE("RILA in the storage type: factors rounded first, so that the function stays", "", float, bfloat16) {
  const sets s(70, 20, 20, 41);
  layer<TestType> l(70, 33, 8, 2);
  const auto report = rila(view(s.forget), view(s.retain), l.w(), l.site, l.parameters);
  CHECK(l.changed() <= half_ulp<TestType> * largest(l.now()) + 1e-14);
  CHECK(std::abs(report.start.deviation - l.changed()) <= 1e-13);
  CHECK(largest(l.b() - report.subspace.directions) <= half_ulp<TestType>);
  CHECK(largest(l.a() - report.subspace.directions.transpose() * l.original()) <=
        half_ulp<TestType> * largest(l.a()) + 1e-12);
}

TEST_CASE("SC-LoRA is RILA by another name") {
  const sets s(30, 9, 9, 43);
  layer<double> a(30, 10, 3, 2), b = a;
  rila(view(s.forget), view(s.retain), a.w(), a.site, a.parameters, {.beta = 0.8});
  sc_lora(view(s.forget), view(s.retain), b.w(), b.site, b.parameters, {.beta = 0.8});
  CHECK(a.parameters == b.parameters);
  CHECK(a.weight == b.weight);
}

TEST_CASE("zero outputs have no direction of their own, and get the first unit vectors") {
  const matrix zero = matrix::Zero(3, 10);
  for (const rila_solver solver : {rila_solver::low_rank, rila_solver::dense}) {
    const auto found = find_rila_subspace(view(zero), view(zero), 2, {.solver = solver});
    CHECK(found.effective_rank == 0);
    CHECK(found.directions == matrix::Identity(10, 2));
    CHECK(found.residual == 0);
  }
  matrix one = zero;
  for (const double extreme : {-1e200, 1e-200}) {  // squares of it over- and underflow
    one(1, 4) = extreme;
    for (const rila_solver solver : all_solvers)
      CHECK(largest(find_rila_subspace(view(one), view(zero), 1, {.basis_rank = 0, .solver = solver}).directions -
                    matrix::Identity(10, 10).col(4)) <= 1e-9);
  }
}

TEST_CASE("RILA refuses what makes no sense, and writes nothing then") {
  sets s(10, 4, 4, 47);
  layer<float> l(10, 6, 2, 2);
  const auto refused = [&](const matrix& forget, const matrix& retain, const rila_options& options, const char* why) {
    CHECK_THROWS_WITH(rila(view(forget), view(retain), l.w(), l.site, l.parameters, options), Catch::Contains(why));
    CHECK(l.now() == l.original());
    for (const float x : l.parameters) CHECK(x == 7);
    CHECK(l.site.rank == 2);
  };
  refused(matrix(0, 10), s.retain, {}, "forget: has no sample");
  refused(s.forget, matrix(0, 10), {}, "retain: has no sample");
  refused(s.forget, normal_matrix(4, 9, 1), {}, "has rows of 9 elements");
  refused(normal_matrix(4, 9, 1), normal_matrix(4, 9, 2), {}, "9 outputs");
  refused(s.forget, s.retain, {.beta = -0.1}, "beta");
  refused(s.forget, s.retain, {.beta = 1.1}, "beta");
  refused(s.forget, s.retain, {.beta = std::nan("")}, "beta");
  refused(s.forget, s.retain, {.epsilon = -1}, "epsilon");
  refused(s.forget, s.retain, {.basis_rank = -1}, "basis_rank");
  refused(s.forget, s.retain, {.basis_energy = 0}, "basis_energy");
  CHECK_THROWS_WITH(s.find(0), Catch::Contains("rank: must be in [1, 10], the outputs, is 0"));
  CHECK_THROWS_WITH(s.find(11), Catch::Contains("rank: must be in [1, 10], the outputs, is 11"));
  s.forget(1, 2) = std::numeric_limits<double>::quiet_NaN();
  s.retain(3, 0) = std::numeric_limits<double>::infinity();
  refused(s.forget, s.retain, {}, "2 elements are not finite");
  linalg::second_moments<float> f(10), r(10);
  CHECK_THROWS_WITH(find_rila_subspace(f, r, 2), Catch::Contains("forget: has no sample"));
  f.add(view(s.forget));
  r.add(view(s.retain));
  CHECK_THROWS_WITH(find_rila_subspace(f, r, 2), Catch::Contains("2 elements are not finite"));
}

#if defined(__linux__)
namespace {
/// The most memory this process held since `reset`, from what Linux says of it; 0 where it does not.
struct memory_peak {
  static bool reset() {
    std::ofstream file("/proc/self/clear_refs");
    return static_cast<bool>(file << 5 << std::flush);
  }
  static double mebibytes() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;)
      if (double kibibytes = 0; word == "VmHWM:" && status >> kibibytes) return kibibytes / 1024;
    return 0;
  }
};
}  // namespace

TEST_CASE("the low-rank solver holds its samples once in double") {
  const index_t d = 4096, samples = 256;
  std::vector<float> elements(static_cast<std::size_t>(2 * samples * d));
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(philox{5, 0}.normal(i));
  const matrix_view<const float> forget(elements.data(), samples, d),
      retain(&elements[elements.size() / 2], samples, d);
  if (!memory_peak::reset()) {
    WARN("skipped: the system does not say how much memory was held");
    return;
  }
  const double before = memory_peak::mebibytes();
  const auto found = find_rila_subspace(forget, retain, 32, {.basis_rank = 128});
  const double held = memory_peak::mebibytes() - before, once = 2.0 * samples * d * sizeof(double) / (1 << 20);
  INFO(held << " MiB for samples of " << once);
  CHECK(found.solver == rila_solver::low_rank);
  CHECK(held >= 0.9 * once);
  CHECK(held <= 1.6 * once);  // with the directions, the basis, and products of 512 x 512
}
#endif
