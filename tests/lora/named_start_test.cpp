// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/named_start.hpp"

#include "lora/support.hpp"

using namespace hone;
using namespace hone::lora;
using linalg::matrix;
using linalg::view;

namespace {

/// A weight and its adapter of rank 2, and what there is to see of them.
struct example {
  matrix weight = normal_matrix(6, 10, 1), inputs = normal_matrix(30, 10, 2), forget = normal_matrix(5, 6, 3),
         retain = normal_matrix(4, 6, 4), gradient = normal_matrix(6, 10, 5);
  std::vector<site> sites = {{"w", 6, 10, 2, 0.5}};
  std::vector<double> parameters = std::vector<double>(static_cast<std::size_t>(lay_out(sites)));

  [[nodiscard]] start_evidence<double> seen() const {
    return {view(inputs), view(forget), view(retain), view(gradient), {7, 3}};
  }
  initialisation start(std::string_view name) { return find_start(name)(seen(), view(weight), sites[0], parameters); }
  /// Whether @p method does what the start called @p name does.
  template <class M>
  bool is(const char* name, const M& method) {
    example other = *this;
    const double deviation = initialise(method, view(other.weight), sites[0], other.parameters).deviation;
    return start(name).deviation == deviation && parameters == other.parameters && weight == other.weight;
  }
};

}  // namespace

TEST_CASE("a named start is its method, to the bit") {
  const example e;
  CHECK(example().is("lora", standard{.random = {7, 3}}));
  CHECK(example().is("rila", find_rila_subspace(view(e.forget), view(e.retain), 2)));
  CHECK(example().is("pissa", pissa{}));
  CHECK(example().is("olora", olora{}));
  CHECK(example().is("milora", milora{}));
  corda_moment moment(10);
  moment.add(view(e.inputs));
  CHECK(example().is("corda", corda{.moment = moment.mean()}));
  incremental_pca pca(10, 2);
  pca.add(view(e.inputs));
  CHECK(example().is("eva", eva{pca}));
  CHECK(example().is("lora_ga", lora_ga{.gradient = e.gradient}));
}

TEST_CASE("a named start says whether the weight gives anything up, and needs what it says and no more") {
  for (const named_start& row : named_starts) {
    INFO(row.name);
    example e, again;
    CHECK(&find_start(row.name) == &row);
    const auto begun = e.start(row.name);
    CHECK((e.weight != example().weight) == row.compensates);
    CHECK(begun.deviation < 1e-12);
    start_evidence<double> least{.random = {7, 3}};
    if (row.needs_inputs) least.inputs = view(std::as_const(again.inputs));
    if (row.needs_outputs)
      least.forget = view(std::as_const(again.forget)), least.retain = view(std::as_const(again.retain));
    if (row.needs_gradient) least.gradient = view(std::as_const(again.gradient));
    row(least, view(again.weight), again.sites[0], again.parameters);
    CHECK(again.parameters == e.parameters);
    if (!row.needs_inputs && !row.needs_outputs && !row.needs_gradient) continue;
    CHECK_THROWS_AS(row(start_evidence<double>(), view(again.weight), again.sites[0], again.parameters),
                    std::invalid_argument);
  }
}

TEST_CASE("a start that has no name is refused with those that have one") {
  using Catch::Contains;
  CHECK_THROWS_WITH(find_start("vera"), Contains("vera: is none of lora rila pissa") && Contains("lora_ga"));
  CHECK_THROWS_WITH(example().start("vera"), Contains("is none of"));
}
