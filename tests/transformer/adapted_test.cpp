// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/adapted.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/transformer/generate.hpp"
#include "hone/transformer/trainer.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

#include <map>

using namespace hone;
using namespace hone::transformer;

namespace {

/// Adapters on everything that can have one.
std::vector<lora::site> everywhere(const config& c, index_t rank, double scale) {
  using enum role;
  std::vector<lora::site> sites = adapter_sites(c, {wq, wk, wv, wo, w1, w2, w3}, rank, scale);
  const auto add = [&](bool present, std::initializer_list<role> targets) {
    if (!present) return;
    const auto more = adapter_sites(c, targets, rank, scale);
    sites.insert(sites.begin(), more.begin(), more.end());
  };
  add(!c.tie_embeddings, {wcls});
  add(c.experts.count >= rank, {router});
  add(c.experts.shared_d_ff > 0, {shared_w1, shared_w2, shared_w3});
  lora::lay_out(sites);
  return sites;
}

/// Random A; B too, or zero.
template <class T>
std::vector<T> numbers(const std::vector<lora::site>& sites, bool b) {
  auto x = normals<T>(sites.back().offset + sites.back().size(), 9, 0.3);
  for (const lora::site& s : sites)
    for (index_t i = 0; !b && i < s.outputs * s.rank; ++i) s.b(x.data()).data()[i] = 0;
  return x;
}

}  // namespace

TEST_CASE("sites are the matrices of every layer, by the names of the table") {
  const config c = small_models()[1];
  const auto sites = adapter_sites(c, {role::w2, role::wcls}, 2, 0.5);
  REQUIRE(sites.size() == 2);
  CHECK((sites[0].name == "w2.0" && sites[0].outputs == 12 && sites[0].inputs == 7 && sites[0].scale == 0.5));
  CHECK((sites[1].name == "wcls" && sites[1].outputs == 17 && sites[1].offset == 2 * (12 + 7)));
  CHECK_THROWS_WITH(adapter_sites(c, {role::tok_emb}, 2, 1), Catch::Contains("is no matrix of this model"));
  CHECK_THROWS_WITH(adapter_sites(c, {role::q_norm}, 2, 1), Catch::Contains("is no matrix of this model"));
  CHECK_THROWS_WITH(adapter_sites(small_models()[0], {role::wcls}, 2, 1),
                    Catch::Contains("is no matrix of this model"));
  CHECK_THROWS_WITH(adapter_sites(c, {role::w2}, 8, 1), Catch::Contains("rank 8 of a 12 x 7 matrix"));
}

TEST_CASE("the weight of a site is its matrix in a buffer of the model") {
  const decoder<float> model(small_models()[0]);
  std::vector<float> parameters(static_cast<std::size_t>(model.parameters()));
  const lora::site s = adapter_sites(model.shape(), {role::wk}, 2, 1.0)[1];
  const auto w = site_weight(model, std::span(parameters), s);
  CHECK(w.data() == parameters.data() + model.layout()[model.tensor_index({role::wk, 1})].offset);
  CHECK((w.rows() == s.outputs && w.cols() == s.inputs));
  CHECK_THROWS_WITH(site_weight(model, std::span(parameters), {"wz.0", 12, 12, 2, 1}),
                    Catch::Contains("wz.0: is no matrix"));
  CHECK_THROWS_WITH(site_weight(model, std::span(parameters), {s.name, s.outputs, s.inputs + 1, 2, 1}),
                    Catch::Contains("the matrix is"));
  CHECK_THROWS_WITH(site_weight(model, std::span(parameters).first(3), s), Catch::Contains("parameters: has 3"));
}

TEMPLATE_TEST_CASE("with B = 0 logits and hidden states are the base's to the bit", "", double, float) {
  using T = TestType;
  for (const config& c : all_models()) {
    const decoder<T> model(c);
    const auto parameters = normals<T>(model.parameters(), 1, 0.4);
    const auto sites = everywhere(c, 2, 0.7);
    const adapted_decoder<T> adapted(model, parameters, sites);
    const auto adapter = numbers<T>(sites, false);
    CHECK(adapted.parameters() == static_cast<index_t>(adapter.size()));
    CHECK(adapted.merged(adapter) == parameters);
    const sequences t(c);
    workspace<T> plain(c, 24), under(c, 24);
    model.forward(parameters, t.all(), plain);
    adapted.forward(adapter, t.all(), under);
    for (index_t i = 0; i < 24 * c.vocab; ++i) REQUIRE(under.logits().data()[i] == plain.logits().data()[i]);
    for (index_t i = 0; i < 24 * c.d_model; ++i)
      REQUIRE(under.hidden(c.n_layers).data()[i] == plain.hidden(c.n_layers).data()[i]);
  }
}

TEMPLATE_TEST_CASE("unmerged logits are the naive decoder's of W + scale B A", "", double, float) {
  using T = TestType;
  for (const config& c : all_models()) {
    const decoder<T> model(c);
    const auto parameters = normals<T>(model.parameters(), 1, 0.4);
    const auto sites = everywhere(c, 3, 0.7);
    const adapted_decoder<T> adapted(model, parameters, sites);
    const auto adapter = numbers<T>(sites, true);
    std::vector<double> merged(parameters.begin(), parameters.end());
    for (const lora::site& s : sites)
      for (const tensor& w : model.table())
        for (index_t i = 0; w.name == s.name && i < w.rows; ++i)
          for (index_t j = 0; j < w.cols; ++j)
            for (index_t r = 0; r < s.rank; ++r)
              merged[static_cast<std::size_t>(w.offset + i * w.cols + j)] +=
                  s.scale * static_cast<double>(s.b(adapter.data())(i, r)) *
                  static_cast<double>(s.a(adapter.data())(r, j));
    const double tolerance = std::is_same_v<T, double> ? 1e-11 : 2e-3;
    const auto library = adapted.merged(adapter);
    for (std::size_t i = 0; i < merged.size(); ++i)
      REQUIRE(static_cast<double>(library[i]) == Approx(merged[i]).margin(tolerance));
    const sequences t(c);
    workspace<T> w(c, 24);
    adapted.forward(adapter, t.all(), w);
    for (index_t s = 0; s < 4; ++s) {
      const auto begin = t.all().begin(s), end = t.all().end(s);
      const naive_decoder naive(c, merged, {t.tokens.begin() + begin, t.tokens.begin() + end});
      for (index_t row = begin; row < end; ++row)
        for (index_t v = 0; v < c.vocab; ++v)
          REQUIRE(static_cast<double>(w.logits()(row, v)) ==
                  Approx(naive.logits[static_cast<std::size_t>(row - begin)][static_cast<std::size_t>(v)])
                      .margin(tolerance));
    }
  }
}

TEST_CASE("the adapter passes the gradient check, with gradients on logits and on every tap") {
  for (const config& c : all_models()) {
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 2, 0.3);
    const auto sites = everywhere(c, 2, 0.7);
    const adapted_decoder<double> adapted(model, parameters, sites);
    CHECK(tapped_gradient_error(adapted, numbers<double>(sites, true)) < 1e-6);
  }
}

TEST_CASE("the gradient is the chain rule on that of the merged model: dA = s B^T dW, dB = s dW A^T") {
  for (const config& c : all_models()) {
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 2, 0.3);
    const auto sites = everywhere(c, 2, 0.7);
    const adapted_decoder<double> adapted(model, parameters, sites);
    const auto adapter = numbers<double>(sites, true);
    const sequences t(c);
    workspace<double> w(c, 24);
    adapted.forward(adapter, t.all(), w);
    loss::likelihood(w.logits(), t.targets);
    std::vector<double> gradient(adapter.size(), 0.0), full(parameters.size(), 0.0);
    adapted.backward(adapter, t.all(), w, gradient);
    const auto merged = adapted.merged(adapter);
    model.forward(merged, t.all(), w);
    loss::likelihood(w.logits(), t.targets);
    model.backward(merged, t.all(), w, full);
    for (const lora::site& s : sites)
      for (const tensor& at : model.table()) {
        if (at.name != s.name) continue;
        const matrix_view<const double> dw(full.data() + at.offset, at.rows, at.cols);
        for (index_t r = 0; r < s.rank; ++r) {
          for (index_t j = 0; j < s.inputs; ++j) {
            double expected = 0;
            for (index_t i = 0; i < s.outputs; ++i) expected += s.scale * s.b(adapter.data())(i, r) * dw(i, j);
            REQUIRE(s.a(gradient.data())(r, j) == Approx(expected).margin(1e-11));
          }
          for (index_t i = 0; i < s.outputs; ++i) {
            double expected = 0;
            for (index_t j = 0; j < s.inputs; ++j) expected += s.scale * dw(i, j) * s.a(adapter.data())(r, j);
            REQUIRE(s.b(gradient.data())(i, r) == Approx(expected).margin(1e-11));
          }
        }
      }
  }
}

TEST_CASE("an adapter of upper layers alone has the gradient that it has among others") {
  const config c = small_models()[2];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 2, 0.3);
  const auto all = everywhere(c, 2, 0.7);
  std::vector<lora::site> upper;
  for (const lora::site& s : all)
    if (s.name.ends_with(".2")) upper.push_back(s);
  const adapted_decoder<double> everything(model, parameters, all), few(model, parameters, upper);
  auto adapter = numbers<double>(all, false);  // B = 0: dB alone is not zero, and is the same
  auto own = std::vector<double>(static_cast<std::size_t>(few.parameters()), 0.0);
  const auto copy_site = [](const lora::site& from, const double* x, const lora::site& to, double* y) {
    for (index_t i = 0; i < from.size(); ++i) y[to.offset + i] = x[from.offset + i];
  };
  for (const lora::site& to : few.sites())
    for (const lora::site& from : all)
      if (from.name == to.name) copy_site(from, adapter.data(), to, own.data());
  const sequences t(c);
  const auto gradient = [&](const adapted_decoder<double>& m, const std::vector<double>& a) {
    workspace<double> w(c, 24);
    m.forward(a, t.all(), w);
    loss::likelihood(w.logits(), t.targets);
    std::vector<double> g(a.size(), 0.0);
    m.backward(a, t.all(), w, g);
    return g;
  };
  const auto wide = gradient(everything, adapter), narrow = gradient(few, own);
  CHECK(squared_norm(narrow) > 0);
  for (const lora::site& to : few.sites())
    for (const lora::site& from : all)
      if (from.name == to.name)
        for (index_t i = 0; i < to.size(); ++i)
          REQUIRE(narrow[static_cast<std::size_t>(to.offset + i)] == wide[static_cast<std::size_t>(from.offset + i)]);
}

TEST_CASE("the trainer takes the adapter for the model: one batch's gradient, the same bits for any workers") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.3);
  const auto sites = everywhere(c, 2, 2.0);
  const adapted_decoder<float> adapted(model, parameters, sites);
  const auto adapter = numbers<float>(sites, true);
  const sequences t(c);
  const auto loss = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(t.targets));
  };
  gradient_lanes<float> lanes(adapted, 15, 2);
  std::vector<float> expected(adapter.size(), 0.0f), whole(adapter.size(), 0.0f);
  const auto sum = accumulate_gradient(adapted, adapter, t.all(), loss, lanes, expected);
  for (const index_t workers : {1, 3}) {
    thread_pool pool(workers);
    std::vector<float> again(adapter.size(), 0.0f);
    CHECK(accumulate_gradient(adapted, adapter, t.all(), loss, lanes, again, pool).sum == sum.sum);
    CHECK(again == expected);
    CHECK(evaluate(adapted, adapter, t.all(), loss, lanes, pool).sum == sum.sum);
  }
  workspace<float> w(c, 24);
  adapted.forward(adapter, t.all(), w);
  loss::likelihood(w.logits(), t.targets);
  adapted.backward(adapter, t.all(), w, whole);
  for (std::size_t i = 0; i < whole.size(); ++i) REQUIRE(expected[i] == Approx(whole[i]).epsilon(1e-4).margin(1e-4));
}

TEST_CASE("generation under an adapter has the logits of the unmerged forward pass; with B = 0, the base's bits") {
  for (const config& c : all_models()) {
    if (!c.causal) continue;
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 1, 0.4);
    const auto sites = everywhere(c, 3, 0.7);
    const adapted_decoder<double> adapted(model, parameters, sites);
    const sequences t(c);
    const std::vector<index_t> offsets = {0, 24};
    const auto logits = [&](const generator<double>& generate) {
      std::vector<double> z(static_cast<std::size_t>(24 * c.vocab));
      kv_cache<double> cache(c, 24);
      generate.feed(std::span(t.tokens).first(11), cache, {z.data(), 11, c.vocab});
      generate.feed(std::span(t.tokens).subspan(11), cache, {z.data() + 11 * c.vocab, 13, c.vocab});
      return z;
    };
    const auto nothing = numbers<double>(sites, false), adapter = numbers<double>(sites, true);
    CHECK(logits(generator<double>(adapted, nothing)) == logits(generator<double>(model, parameters)));
    workspace<double> w(c, 24);
    adapted.forward(adapter, {t.tokens, offsets}, w);
    const auto z = logits(generator<double>(adapted, adapter));
    for (index_t i = 0; i < 24 * c.vocab; ++i)
      REQUIRE(z[static_cast<std::size_t>(i)] == Approx(w.logits().data()[i]).margin(1e-10));
  }
}

TEST_CASE("an observer sees inputs and outputs of every product, in order") {
  for (const config& c : all_models()) {
    const decoder<double> model(c);
    const auto parameters = normals<double>(model.parameters(), 1, 0.4);
    const auto sites = everywhere(c, 2, 0.7);
    const adapted_decoder<double> adapted(model, parameters, sites);
    const auto adapter = numbers<double>(sites, true);
    const sequences t(c);
    workspace<double> w(c, 24);
    const auto seen = [&](bool under_adapter) {
      std::string order;
      const auto observe = [&](const tensor_id& id, const matrix_view<const double>& x, const matrix_view<double>& y) {
        const tensor& seen_tensor = model.table()[static_cast<std::size_t>(model.tensor_index(id))];
        order += seen_tensor.name + " ";
        REQUIRE((x.rows() == 24 && x.cols() == seen_tensor.cols && y.rows() == 24 && y.cols() == seen_tensor.rows));
        const lora::site* s = nullptr;
        for (const lora::site& candidate : sites)
          if (under_adapter && candidate.name == seen_tensor.name) s = &candidate;
        for (const index_t row : {0, 23})
          for (index_t i = 0; i < y.cols(); ++i) {
            double expected = 0;
            for (const tensor& bias : model.table())
              if (bias.kind == tensor_kind::bias && bias.id.layer == seen_tensor.id.layer &&
                  seen_tensor.name[0] == 'w' && bias.name.substr(1) == seen_tensor.name.substr(1))
                expected = parameters[static_cast<std::size_t>(bias.offset + i)];
            for (index_t j = 0; j < x.cols(); ++j)
              expected += parameters[static_cast<std::size_t>(seen_tensor.offset + i * x.cols() + j)] * x(row, j);
            for (index_t r = 0; s != nullptr && r < s->rank; ++r)
              expected += s->scale * s->b(adapter.data())(i, r) * dot(s->a(adapter.data()).row(r), x.row(row));
            REQUIRE(y(row, i) == Approx(expected).margin(1e-11));
          }
      };
      if (under_adapter)
        adapted.forward(adapter, t.all(), w, observe);
      else
        model.forward(parameters, t.all(), w, observe);
      return order;
    };
    std::string expected;
    for (index_t l = 0; l < c.n_layers; ++l)
      for (const char* name : {"wq.", "wk.", "wv.", "wo.", "w1.", "w3.", "w2."})
        expected += name + std::to_string(l) + " ";
    expected += c.tie_embeddings ? "tok_emb " : "wcls ";
    CHECK(seen(false) == expected);
    CHECK(seen(true) == expected);
  }
}

TEST_CASE("adapters that do not fit the model are refused by the name of their site") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const std::vector<float> parameters(static_cast<std::size_t>(model.parameters()));
  std::vector<float> few(3);
  const auto make = [&](std::vector<lora::site> sites) { adapted_decoder<float>(model, parameters, std::move(sites)); };
  CHECK_THROWS_WITH(make({{"wz.0", 12, 12, 2, 1}}), Catch::Contains("wz.0: is no matrix of this model"));
  CHECK_THROWS_WITH(make({{"att_norm.0", 1, 12, 1, 1}}), Catch::Contains("att_norm.0: is no matrix"));
  CHECK_THROWS_WITH(make({{"tok_emb", 11, 12, 1, 1}}), Catch::Contains("tok_emb: is no matrix"));
  CHECK_THROWS_WITH(make({{"wcls", 11, 12, 1, 1}}), Catch::Contains("its classifier is the embedding"));
  CHECK_THROWS_WITH(make({{"wq.0", 12, 12, 2, 1}, {"wq.0", 12, 12, 2, 1}}), Catch::Contains("wq.0: has two adapters"));
  CHECK_THROWS_WITH(make({{"w1.1", 12, 20, 2, 1}}), Catch::Contains("the matrix is 20 x 12"));
  CHECK_THROWS_WITH(make({{"w1.1", 20, 12, 0, 1}}), Catch::Contains("rank 0"));
  CHECK_THROWS_WITH(adapted_decoder<float>(model, few, {}), Catch::Contains("parameters: has 3"));
  const adapted_decoder<float> adapted(model, parameters, {{"w1.1", 20, 12, 2, 1}});
  CHECK(adapted.parameters() == 64);
  std::vector<float> adapter(64), gradient(64);
  const std::vector<std::int32_t> tokens = {1, 2};
  const std::vector<index_t> offsets = {0, 2};
  workspace<float> w(c, 2);
  CHECK_THROWS_WITH(adapted.forward(few, {tokens, offsets}, w), Catch::Contains("adapter: has 3"));
  CHECK_THROWS_WITH(adapted.merged(few), Catch::Contains("adapter: has 3"));
  std::vector<float> merged(12, 7.0f);
  CHECK_THROWS_WITH(adapted.merge(0, adapter, matrix_view<float>(merged.data(), 11, 12, 0, 1)),
                    Catch::Contains("merge: to: is 11 x 12"));
  CHECK(merged == std::vector<float>(12, 7.0f));
  adapted.forward(adapter, {tokens, offsets}, w);
  CHECK_THROWS_WITH(adapted.backward(adapter, {tokens, offsets}, w, few), Catch::Contains("gradient: has 3"));
  const std::span<float> nowhere(static_cast<float*>(nullptr), 64);
  CHECK_THROWS_WITH(adapted.backward(adapter, {tokens, offsets}, w, nowhere), Catch::Contains("and no memory"));
}

TEST_CASE("docs: a model under an adapter, and an observer of it") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.4);
  const sequences t(c);
  const auto& [offsets, tokens, targets] = t;
  const auto loss = [&](microbatch<float>& part) {
    return loss::likelihood(part.activations.logits(), part.rows_of<std::int32_t>(t.targets));
  };
  const auto adapter = normals<float>(2 * 4 * (12 + 12) + 2 * 4 * (12 + 4), 2, 0.2);
  std::vector<float> gradient(adapter.size(), 0.0f);
  const adapted_decoder<float> adapted(model, parameters, adapter_sites(c, {role::wq, role::wv}, 4, 2.0));
  gradient_lanes<float> lanes(adapted, 128);
  accumulate_gradient(adapted, adapter, {tokens, offsets}, loss, lanes, gradient);  // dA and dB
  const generator<float> generate(adapted, adapter);                                // merged into its snapshot
  const std::vector<float> plain = adapted.merged(adapter);                         // a model without adapter
  CHECK(squared_norm(gradient) > 0);
  CHECK(plain != parameters);

  workspace<float> w(c, 24);
  std::map<tensor_id, std::pair<index_t, index_t>> seen;
  model.forward(parameters, {tokens, offsets}, w, [&](const tensor_id& id, const auto& inputs, const auto& outputs) {
    seen[id] = {inputs.cols(), outputs.cols()};
  });
  CHECK(seen.size() == 15);
  CHECK(seen.at({role::w2, 1}) == std::pair<index_t, index_t>(20, 12));
}
