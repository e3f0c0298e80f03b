// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/adapter_start.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/lora/named_start.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

labelled_rows pairs(std::int32_t first) {
  labelled_rows rows;
  for (std::int32_t s = 0; s < 5; ++s)
    rows.add(std::vector{first, (first + 3 * s) % 11, s}, std::vector{(5 * s + first) % 11, (first + s) % 11});
  return rows;
}

const labelled_rows forget = pairs(1), retain = pairs(6);
using float_learner = learner<float>;

std::vector<lora::site> sites_of(const float_learner& l) {
  return adapter_sites(l.shape(), {role::wq, role::wv, role::w2}, 2, 2.0);
}

double difference(const std::vector<double>& x, const std::vector<double>& y) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::fmax(worst, std::abs(x[i] - y[i]));
  return worst;
}

}  // namespace

TEST_CASE("adapter start: what the model says stays as it is, and the adapter is what is trained") {
  const config c = small_models()[0];
  for (const lora::named_start& start : lora::named_starts) {
    INFO(start.name);
    float_learner l(c, initial_parameters<float>(c, 1));
    const std::vector<float> before = l.parameters();
    const std::vector<double> nll = l.sequence_nll(forget);
    const auto begun = start_adapter(l, sites_of(l), forget, retain, start, {.random = {1, 100}});
    CHECK(begun.sites.size() == 6);
    CHECK(begun.bases.empty());
    CHECK(begun.deviation < 1e-6);
    CHECK(std::equal(begun.initial.begin(), begun.initial.end(), l.trained().begin(), l.trained().end()));
    CHECK((l.parameters() != before) == start.compensates);
    CHECK(difference(l.sequence_nll(forget), nll) < 1e-4);
  }
}

TEST_CASE("adapter start: a site's is that of its method on what was observed, whatever the executor") {
  const config c = small_models()[0];
  float_learner l(c, initial_parameters<float>(c, 1)), other(c, initial_parameters<float>(c, 1));
  std::vector<lora::site> sites = sites_of(l);
  std::vector<float> weights = l.parameters(), adapter(static_cast<std::size_t>(lora::lay_out(sites)));
  const auto f = observe_sites<float>(l.model(), weights, sites, forget.batch());
  const auto r = observe_sites<float>(l.model(), weights, sites, retain.batch());
  for (std::size_t i = 0; i < sites.size(); ++i)
    lora::rila(f.outputs[i].view(), r.outputs[i].view(), site_weight(l.model(), std::span<float>(weights), sites[i]),
               sites[i], adapter);
  thread_pool pool(2);
  const auto begun = start_adapter(l, sites_of(l), forget, retain, lora::find_start("rila"), {}, pool);
  CHECK(begun.initial == adapter);
  CHECK(l.parameters() == weights);
  start_adapter(other, sites_of(other), forget, retain, lora::find_start("rila"));
  CHECK(other.parameters() == weights);
}

TEST_CASE("adapter start: the gradient that lora_ga looks at is the mean likelihood's") {
  const config c = small_models()[0];
  float_learner l(c, initial_parameters<float>(c, 1));
  std::vector<lora::site> sites = sites_of(l);
  std::vector<float> weights = l.parameters(), gradient(weights.size()),
                     adapter(static_cast<std::size_t>(lora::lay_out(sites)));
  l.likelihood(forget, gradient, 1 / static_cast<double>(forget.label_count()));
  for (const lora::site& s : sites)
    lora::initialise(
        lora::lora_ga{.gradient = linalg::copy_of(site_weight(l.model(), std::span<const float>(gradient), s))},
        site_weight(l.model(), std::span<float>(weights), s), s, adapter);
  CHECK(start_adapter(l, sites_of(l), forget, {}, lora::find_start("lora_ga")).initial == adapter);
  CHECK(l.parameters() == weights);
}

TEST_CASE("adapter start: retain subspaces, and B out of them where it is asked for") {
  const config c = small_models()[0];
  for (const char* name : {"rila", "pissa", "lora"}) {
    INFO(name);
    float_learner l(c, initial_parameters<float>(c, 1));
    const std::vector<double> nll = l.sequence_nll(forget);
    auto begun = start_adapter(l, sites_of(l), forget, retain, lora::find_start(name), {.basis = 2, .project = true});
    REQUIRE(begun.bases.size() == begun.sites.size());
    for (std::size_t i = 0; i < begun.sites.size(); ++i) {
      const linalg::matrix& p = begun.bases[i];
      CHECK(p.cols() == (std::min)(index_t{2}, begun.sites[i].outputs / 4));
      const linalg::matrix b = linalg::copy_of(begun.sites[i].b(std::as_const(begun.initial).data()));
      CHECK((p.transpose() * b).cwiseAbs().maxCoeff() < 1e-5);
    }
    CHECK(difference(l.sequence_nll(forget), nll) < 1e-4);
  }
}

TEST_CASE("adapter start: what does not fit is refused, and the learner is what it was") {
  using Catch::Contains;
  const config c = small_models()[0];
  float_learner l(c, initial_parameters<float>(c, 1));
  const lora::named_start &rila = lora::find_start("rila"), &plain = lora::find_start("lora");
  CHECK_THROWS_WITH(start_adapter(l, sites_of(l), forget, retain, rila, {.project = true}), Contains("basis"));
  CHECK_THROWS_WITH(start_adapter(l, {{"wz.0", 12, 12, 2, 1}}, forget, retain, rila), Contains("wz.0: is no matrix"));
  CHECK_THROWS_WITH(start_adapter(l, {{"wz.0", 12, 12, 2, 1}}, forget, retain, plain), Contains("wz.0: is no matrix"));
  CHECK(l.parameters() == initial_parameters<float>(c, 1));
  CHECK(l.trained().data() == l.parameters().data());
  start_adapter(l, sites_of(l), forget, retain, plain);
  CHECK_THROWS_WITH(start_adapter(l, sites_of(l), forget, retain, plain), Contains("trains an adapter already"));
}

TEST_CASE("adapter start: the page's example") {
  const config c = small_models()[0];
  thread_pool pool(2);
  learner<float> l(c, initial_parameters<float>(c, 1));
  const std::vector<lora::site> sites = adapter_sites(l.shape(), {role::wq, role::wv}, 2, 2.0);
  const auto begun = start_adapter(l, sites, forget, retain, lora::find_start("rila"), {.basis = 4}, pool);
  CHECK(begun.bases.size() == 4);
}

namespace {

/// A start that notes what it is shown, and says that it moved the first site by 2, the second by 5, the others by 1.
struct noting_start {
  bool compensates = false, needs_inputs = false, needs_outputs = false, needs_gradient = false;
  std::vector<std::vector<index_t>>& shown;

  lora::initialisation operator()(const lora::start_evidence<float>& seen, const matrix_view<float>&, const lora::site&,
                                  std::vector<float>&, const serial&) const {
    shown.push_back({seen.inputs.rows(), seen.forget.rows(), seen.retain.rows(), seen.gradient.rows(),
                     static_cast<index_t>(seen.random.seed), static_cast<index_t>(seen.random.stream)});
    return {.deviation = shown.size() == 1 ? 2.0 : shown.size() == 2 ? 5.0 : 1.0};
  }
};

}  // namespace

TEST_CASE(
    "adapter start: a start is shown what it asks for alone, each site its stream; the largest deviation is told") {
  const config c = small_models()[0];
  labelled_rows kept = pairs(6);
  kept.add(std::vector{1}, std::vector{2});
  for (int asks = 0; asks < 4; ++asks) {
    float_learner l(c, initial_parameters<float>(c, 1));
    std::vector<std::vector<index_t>> shown;
    const noting_start start{
        .needs_inputs = asks == 1, .needs_outputs = asks == 2, .needs_gradient = asks == 3, .shown = shown};
    const auto begun = start_adapter(l, sites_of(l), forget, kept, start, {.random = {7, 100}});
    CHECK(begun.deviation == 5);
    REQUIRE(shown.size() == 6);
    const bool observed = asks == 1 || asks == 2;
    for (std::size_t i = 0; i < 6; ++i)
      CHECK(shown[i] == std::vector<index_t>{observed ? std::ssize(forget.tokens) : 0, observed ? 5 : 0,
                                             asks == 2 ? 6 : 0, asks == 3 ? begun.sites[i].outputs : 0, 7,
                                             100 + static_cast<index_t>(i)});
  }
  std::vector<std::vector<index_t>> shown;  // a basis needs the outputs
  float_learner l(c, initial_parameters<float>(c, 1));
  CHECK(start_adapter(l, sites_of(l), forget, kept, noting_start{.shown = shown}, {.basis = 1}).bases.size() == 6);
  CHECK((shown[0][1] == 5 && shown[0][2] == 6));
}
