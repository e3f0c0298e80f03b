// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/linear_loss.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/policy/anchor.hpp"
#include "hone/policy/objective.hpp"
#include "hone/policy/rows.hpp"
#include "hone/transformer/adapted.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

/// A head of 70 tokens, 37 inputs and 131 ids, its loss and gradients.
template <class T>
struct head {
  index_t rows = 70, inputs = 37, vocab = 131;
  std::vector<T> hidden = normals<T>(rows * inputs, 1), w = normals<T>(vocab * inputs, 2, 0.3);
  std::vector<std::int32_t> targets;
  head() {
    for (index_t t = 0; t < rows; ++t)
      targets.push_back(t % 9 == 4 ? loss::ignored : static_cast<std::int32_t>((t * 37 + 5) % vocab));
  }
  [[nodiscard]] std::span<const std::int32_t> targets_of(index_t first, index_t count) const {
    return std::span(targets).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  }
};

template <class T>
struct outcome {
  std::vector<double> log_probability;
  std::vector<T> dhidden, dw;
  bool operator==(const outcome&) const = default;
};

template <class T>
outcome<T> likelihood_of(const head<T>& h, index_t chunk, index_t workers) {
  thread_pool pool(workers);
  linear_loss<T> chunks(h.inputs, h.vocab, chunk);
  outcome<T> o{std::vector<double>(static_cast<std::size_t>(h.rows)), std::vector<T>(h.hidden.size(), T{99}),
               std::vector<T>(h.w.size(), T{0.5})};
  const auto hidden = as_rows(h.hidden, h.rows), w = as_rows(h.w, h.vocab);
  index_t expected = 0;
  chunks.forward(
      hidden, w,
      [&](index_t first, const matrix_view<T>& logits) {
        CHECK(first == expected);
        CHECK(logits.rows() == (std::min)(chunk, h.rows - first));
        expected += logits.rows();
        policy::measure(
            logits, h.targets_of(first, logits.rows()), {},
            {.log_probability = std::span(o.log_probability)
                                    .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(logits.rows()))},
            1.0, pool);
      },
      pool);
  CHECK(expected == h.rows);
  chunks.backward(
      hidden, w,
      [&](index_t first, const matrix_view<T>& logits) {
        loss::likelihood(logits, h.targets_of(first, logits.rows()), {}, pool);
      },
      as_rows(o.dhidden, h.rows), as_rows(o.dw, h.vocab), pool);
  return o;
}

}  // namespace

TEMPLATE_TEST_CASE("log-probabilities and gradients are the same to the bit for any chunk and any workers", "", float,
                   double) {
  const head<TestType> h;
  const auto one = likelihood_of(h, 1, 1);
  for (const index_t chunk : {1, 7, 64, 70, 500})
    for (const index_t workers : {1, 2, 3}) CHECK(likelihood_of(h, chunk, workers) == one);
}

TEST_CASE("the logits of a chunk are the bits of multiply_rows") {
  const head<float> h;
  std::vector<float> memory(static_cast<std::size_t>(panels<float>::size(h.inputs, h.vocab))),
      expected(static_cast<std::size_t>(h.rows * h.vocab)), seen;
  const panels<float> p(memory.data(), h.inputs, h.vocab);
  p.pack(matrix_view<const float>(h.w.data(), h.inputs, h.vocab, 1, h.inputs));
  multiply_rows<float>(as_rows(h.hidden, h.rows), p, as_rows(expected, h.rows));
  linear_loss<float>(h.inputs, h.vocab, 13)
      .forward(as_rows(h.hidden, h.rows), as_rows(h.w, h.vocab), [&](index_t, const matrix_view<float>& logits) {
        seen.insert(seen.end(), logits.data(), logits.data() + logits.rows() * logits.cols());
      });
  CHECK(seen == expected);
}

TEST_CASE("gradients of a chunked likelihood are those of whole products") {
  const head<double> h;
  std::vector<double> logits(static_cast<std::size_t>(h.rows * h.vocab)), dhidden(h.hidden.size()), dw(h.w.size(), 0.5);
  const auto hidden = as_rows(h.hidden, h.rows), w = as_rows(h.w, h.vocab);
  linear_forward<double>(hidden, w, as_rows(logits, h.rows));
  loss::likelihood(as_rows(logits, h.rows), h.targets);
  linear_backward_input<double>(as_rows(logits, h.rows), w, as_rows(dhidden, h.rows), into::overwrite);
  linear_backward_weight<double>(as_rows(logits, h.rows), hidden, as_rows(dw, h.vocab));
  const auto o = likelihood_of(h, 16, 2);
  for (std::size_t i = 0; i < dw.size(); ++i) REQUIRE(o.dw[i] == Approx(dw[i]).epsilon(1e-11).margin(1e-12));
  for (std::size_t i = 0; i < dhidden.size(); ++i)
    REQUIRE(o.dhidden[i] == Approx(dhidden[i]).epsilon(1e-11).margin(1e-12));
}

TEST_CASE("an anchored policy in two visits: central differences, the same bits for any chunk, in place") {
  const index_t rows = 6, inputs = 5, vocab = 9, k = 3;
  const auto hidden = normals<double>(rows * inputs, 3), w = normals<double>(vocab * inputs, 4),
             reference = normals<double>(rows * vocab, 5);
  const std::vector<index_t> offsets = {0, 2, 6};
  const std::vector<std::int32_t> targets = {1, 8, 0, -1, 4, 7};
  const std::vector<double> advantage = {1, 1, -1, -1, -1, -1}, old = {-2, -3, -2.5, 0, -2, -4};
  std::vector<std::int32_t> ids(18);
  std::vector<double> q(18), mass(6);
  policy::top_k_support(as_rows(reference, rows), targets, k, {ids, q, mass});
  const policy::support_view support{ids, q, k};
  const auto support_of = [&](index_t first, index_t n) {
    const auto from = static_cast<std::size_t>(first * k), count = static_cast<std::size_t>(n * k);
    return policy::support_view{std::span(support.ids).subspan(from, count),
                                std::span(support.probability).subspan(from, count), k};
  };
  const policy::objective apo{policy::geometric_ratio{}, policy::support_anchor{policy::unclipped{}, 1.05, 0.1}};
  std::vector<loss::row_terms> terms(6);
  const auto measured = [&](linear_loss<double>& chunks, const std::vector<double>& x, const std::vector<double>& m) {
    std::vector<double> log_p(6), log_mass(6);
    chunks.forward(as_rows(x, rows), as_rows(m, vocab), [&](index_t first, const matrix_view<double>& logits) {
      const auto from = static_cast<std::size_t>(first), n = static_cast<std::size_t>(logits.rows());
      policy::measure(
          logits, std::span(targets).subspan(from, n), support_of(first, logits.rows()),
          {.log_probability = std::span(log_p).subspan(from, n), .log_mass = std::span(log_mass).subspan(from, n)});
    });
    return policy::policy_loss(apo,
                               {.offsets = offsets,
                                .targets = targets,
                                .log_probability = log_p,
                                .old = old,
                                .advantage = advantage,
                                .log_mass = log_mass,
                                .reference_mass = mass},
                               policy::constant_sum(1), {terms})
        .sum;
  };
  std::vector<double> first_dx, first_dw;
  for (const index_t chunk : {1, 4, 6}) {
    linear_loss<double> chunks(inputs, vocab, chunk);
    measured(chunks, hidden, w);
    auto x = hidden;
    std::vector<double> dw(w.size());
    chunks.backward(
        as_rows(x, rows), as_rows(w, vocab),
        [&](index_t first, const matrix_view<double>& logits) {
          const auto from = static_cast<std::size_t>(first), n = static_cast<std::size_t>(logits.rows());
          policy::write_gradient(logits, std::span(targets).subspan(from, n), std::span(terms).subspan(from, n),
                                 support_of(first, logits.rows()));
        },
        as_rows(x, rows), as_rows(dw, vocab));
    if (chunk == 1) {
      first_dx = x;
      first_dw = dw;
      CHECK(gradient_error(hidden, x, [&](const std::vector<double>& h) { return measured(chunks, h, w); }) < 1e-6);
      CHECK(gradient_error(w, dw, [&](const std::vector<double>& m) { return measured(chunks, hidden, m); }) < 1e-6);
    }
    CHECK(x == first_dx);
    CHECK(dw == first_dw);
  }
}

TEMPLATE_TEST_CASE("a vocabulary masked in the chunk: the loss and gradients of the ids that are left", "", float,
                   double) {
  using T = TestType;
  const index_t rows = 9, inputs = 8, vocab = 1300, left = 200;
  const auto hidden = normals<T>(rows * inputs, 6), w = normals<T>(vocab * inputs, 7);
  std::vector<std::int64_t> targets, cut;
  for (index_t t = 0; t < rows; ++t) {
    targets.push_back(vocab - 1 - 7 * t);
    cut.push_back(left - 1 - 7 * t);
  }
  const std::vector<T> rest(w.end() - left * inputs, w.end());
  const auto run = [&](const std::vector<T>& weights, const std::vector<std::int64_t>& labels, std::vector<T>& dx,
                       std::vector<T>& dw) {
    const index_t n = std::ssize(weights) / inputs;
    linear_loss<T> chunks(inputs, n, 4);
    loss::loss_sum sum;
    chunks.backward(
        as_rows(hidden, rows), as_rows(weights, n),
        [&](index_t first, const matrix_view<T>& logits) {
          for (index_t t = 0; t < logits.rows(); ++t)
            for (index_t v = 0; v < n - left; ++v) logits(t, v) = -std::numeric_limits<T>::infinity();
          sum += loss::likelihood(
              logits,
              label_view(labels).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(logits.rows())),
              {.temperature = 0.6});
        },
        as_rows(dx, rows), as_rows(dw, n));
    return sum;
  };
  std::vector<T> dx(hidden.size()), dw(w.size()), dx_cut(hidden.size()), dw_cut(rest.size());
  const auto sum = run(w, targets, dx, dw), of_rest = run(rest, cut, dx_cut, dw_cut);
  CHECK(sum.sum == Approx(of_rest.sum).epsilon(1e-6));
  CHECK(sum.nonfinite == 0);
  for (std::size_t i = 0; i < dx.size(); ++i) REQUIRE(dx[i] == Approx(dx_cut[i]).epsilon(1e-4).margin(1e-5));
  const std::size_t masked = w.size() - rest.size();
  for (std::size_t i = 0; i < dw.size(); ++i)
    REQUIRE(dw[i] == Approx(i < masked ? 0 : dw_cut[i - masked]).epsilon(1e-4).margin(i < masked ? 0 : 1e-5));
}

TEST_CASE("no rows, no gradient wanted, and memory of a chunk alone") {
  const index_t rows = 512, inputs = 8, vocab = 2000, chunk = 16;
  const auto hidden = normals<float>(rows * inputs, 1), w = normals<float>(vocab * inputs, 2);
  std::vector<float> dhidden(hidden.size()), dw(w.size());
  std::vector<std::int32_t> targets(static_cast<std::size_t>(rows), 3);
  allocations::largest = 0;
  linear_loss<float> chunks(inputs, vocab, chunk);
  int calls = 0;
  const auto f = [&](index_t, const matrix_view<float>& logits) {
    ++calls;
    loss::likelihood(logits, std::span(targets).first(static_cast<std::size_t>(logits.rows())));
  };
  chunks.backward({hidden.data(), rows, inputs}, {w.data(), vocab, inputs}, f, {dhidden.data(), rows, inputs},
                  {dw.data(), vocab, inputs});
  CHECK(calls == rows / chunk);
  CHECK(allocations::largest <= static_cast<std::size_t>(chunk * vocab) * sizeof(float));
  const auto before = dw;
  chunks.backward({hidden.data(), 0, inputs}, {w.data(), vocab, inputs}, f, {}, {dw.data(), vocab, inputs});
  chunks.backward({hidden.data(), rows, inputs}, {w.data(), vocab, inputs}, f, {}, {});
  CHECK(calls == 2 * rows / chunk);
  CHECK(dw == before);
}

TEST_CASE("a head that does not fit is refused before anything is written") {
  CHECK_THROWS_WITH(linear_loss<float>(0, 3), Catch::Contains("inputs"));
  CHECK_THROWS_WITH(linear_loss<float>(3, 0), Catch::Contains("outputs"));
  CHECK_THROWS_WITH(linear_loss<float>(3, 3, 0), Catch::Contains("rows"));
  linear_loss<float> chunks(3, 4);
  const std::vector<float> x(6), w(12);
  std::vector<float> dx(6, 7), dw(12, 7);
  const auto never = [](index_t, const matrix_view<float>&) { FAIL(); };
  CHECK_THROWS_WITH(chunks.forward(as_rows(x, 3), as_rows(w, 4), never), Catch::Contains("hidden: is 3 x 2"));
  CHECK_THROWS_WITH(chunks.forward(as_rows(x, 2), as_rows(w, 3), never), Catch::Contains("w: is 3 x 4"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, as_rows(dx, 3), {}),
                    Catch::Contains("dhidden"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, {}, as_rows(dw, 3)), Catch::Contains("dw"));
  const matrix_view<float> one_row(dx.data(), 2, 3, 0, 1), nowhere(nullptr, 4, 3);
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, one_row, {}), Catch::Contains("dhidden: is"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, {}, nowhere), Catch::Contains("dw: is"));
  CHECK(dx == std::vector<float>(6, 7));
  const std::vector<float> apart(12);
  std::vector<float> out(24, 7);
  const matrix_view<const float> every_second(apart.data(), 2, 3, 6, 2);
  CHECK_THROWS_WITH(chunks.forward(every_second, as_rows(w, 4), never), Catch::Contains("hidden: is 2 x 3"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, {out.data(), 2, 3, 6, 2}, {}),
                    Catch::Contains("dhidden: is 2 x 3"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, {}, {out.data(), 4, 3, 6, 2}),
                    Catch::Contains("dw: is 4 x 3"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, {out.data(), 2, 2}, {}),
                    Catch::Contains("dhidden: is 2 x 2"));
  CHECK_THROWS_WITH(chunks.backward(as_rows(x, 2), as_rows(w, 4), never, {}, {out.data(), 4, 2}),
                    Catch::Contains("dw: is 4 x 2"));
  CHECK_THROWS_WITH(chunks.forward(as_rows(x, 2), matrix_view<const float>(w.data(), 4, 2), never),
                    Catch::Contains("w: is 4 x 2"));
  CHECK_THROWS_WITH(linear_loss<float>(-1, 3), Catch::Contains("inputs"));
  CHECK((chunks.rows() == 256 && linear_loss<float>(3, 4, 5).rows() == 5));
}

TEST_CASE("a 16-bit W has the bits of its floats") {
  const index_t rows = 21, inputs = 37, outputs = 301;
  const auto x = normals<float>(rows * inputs, 1);
  const auto w = stored_as<bfloat16>(normals<float>(outputs * inputs, 2));
  const auto wide = converted_from<float>(w);
  const auto gradients = [&](const stored_matrix& m) {
    linear_loss<float> chunks(inputs, outputs, 8);
    std::vector<float> dx(x.size()), dw(wide.size()), all(dx);
    chunks.backward(
        as_rows(x, rows), m,
        [&](index_t, const matrix_view<float>& z) {
          for (index_t t = 0; t < z.rows(); ++t)
            for (index_t i = 0; i < z.cols(); ++i) all.push_back(z(t, i) *= 0.5f);
        },
        as_rows(dx, rows), as_rows(dw, outputs));
    all.insert(all.end(), dx.begin(), dx.end());
    all.insert(all.end(), dw.begin(), dw.end());
    return all;
  };
  CHECK(gradients(as_rows(w, outputs)) == gradients(as_rows(wide, outputs)));
}

TEST_CASE("a decoder without logits, its head in chunks, has the gradient of one with them") {
  for (const config& c : small_models()) {
    const sequences s(c);
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 5, 0.3);
    workspace<double> whole(c, 24), features(c, 24, false);
    std::vector<double> expected(parameters.size()), gradient(parameters.size());
    model.forward(parameters, s.all(), whole);
    loss::likelihood(whole.logits(), s.targets);
    model.backward(parameters, s.all(), whole, expected);

    linear_loss<double> chunks(c.d_model, c.vocab, 10);
    std::vector<double> dfeatures(static_cast<std::size_t>(24 * c.d_model));
    model.forward(parameters, s.all(), features);
    chunks.backward(
        features.features(), model.view(std::span<const double>(parameters)).matrix({role::wcls}),
        [&](index_t first, const matrix_view<double>& logits) {
          loss::likelihood(logits, std::span(s.targets).subspan(static_cast<std::size_t>(first),
                                                                static_cast<std::size_t>(logits.rows())));
        },
        as_rows(dfeatures, 24), model.view(std::span(gradient)).matrix({role::wcls}));
    const std::vector<tap_gradient<double>> taps = {{c.n_layers + 1, as_rows(std::as_const(dfeatures), 24)}};
    model.backward(parameters, s.all(), features, features.logits(), taps, gradient);
    CHECK(features.logits().rows() == 0);
    double error = 0, scale = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      error = worst(error, std::abs(gradient[i] - expected[i]));
      scale = worst(scale, std::abs(expected[i]));
    }
    CHECK(error <= 1e-12 * scale);
  }
}

TEST_CASE("an adapter on the classifier asks for logits") {
  const config c = small_models()[1];
  const sequences s(c);
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 5, 0.3);
  const adapted_decoder<double> adapted(model, parameters, adapter_sites(c, {role::wcls}, 2, 1.0)),
      inside(model, parameters, adapter_sites(c, {role::wq}, 2, 1.0));
  workspace<double> features(c, 24, false);
  const std::vector<double> adapter(static_cast<std::size_t>(adapted.parameters())),
      other(static_cast<std::size_t>(inside.parameters()));
  CHECK_THROWS_WITH(adapted.forward(adapter, s.all(), features), Catch::Contains("has no logits"));
  inside.forward(other, s.all(), features);
  CHECK(features.features()(23, 0) != 0);
}
