// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/attention_block.hpp"

#include "support/catch.hpp"
#include "transformer/block_support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

/// A block's share of a workspace.
struct memory_of {
  memory_of(const config& c, index_t rows) : take(rows) {
    kept = attention_block<double>::share_activations(c, take);
    passing = attention_block<double>::share_scratch(c, rows, take);
  }
  arrays<double> take;
  attention_block<double>::activations kept;
  attention_block<double>::scratch passing;
};

attention_block<double> block_of(const one_layer& m) { return {m.c, 0, m.model.rotary()}; }
/// With the window on the only layer, too.
std::vector<config> shapes() {
  auto result = small_models();
  result[5].full_layers = 0;
  result.push_back(small_models()[5]);
  return result;
}

}  // namespace

TEST_CASE("the attention block adds what the naive decoder adds") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::w2});
    std::vector<double> y(m.x.size());
    memory_of s(m.c, 24);
    block_of(m).forward(m.products(m.parameters), m.tokens.offsets, as_rows(std::as_const(m.x), 24), s.kept, s.passing,
                        as_rows(y, 24));
    require_naive(m, y);
  }
}

TEST_CASE("the attention block passes the gradient check, for its input and its parameters") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::w2});
    check_gradients<memory_of>(
        m,
        [&](const auto& products, auto x, memory_of& s, auto y) {
          block_of(m).forward(products, m.tokens.offsets, x, s.kept, s.passing, y);
        },
        [&](const auto& products, auto x, memory_of& s, auto dx) {
          const memory_of fresh(m.c, 24);  // another block may have used what is passing
          block_of(m).backward(products, m.tokens.offsets, x, s.kept, fresh.passing, dx);
        });
  }
}

TEST_CASE("rows of the attention block with a cache are those of the batch, to rounding") {
  for (const config& shape : shapes()) {
    one_layer m(shape, {role::w2});
    if (!m.c.causal) continue;
    std::vector<double> y(m.x.size()), rows = m.x;
    memory_of s(m.c, 24);
    const auto p = m.products(m.parameters);
    block_of(m).forward(p, m.tokens.offsets, as_rows(std::as_const(m.x), 24), s.kept, s.passing, as_rows(y, 24));
    std::vector<kv_cache<double>> caches;
    std::vector<cached_row<double>> all;
    for (index_t sequence = 0; sequence < 4; ++sequence) caches.emplace_back(m.c, 24);
    for (index_t sequence = 0; sequence < 4; ++sequence)
      for (index_t t = m.tokens.all().begin(sequence); t < m.tokens.all().end(sequence); ++t)
        all.push_back({m.tokens.tokens[static_cast<std::size_t>(t)], t - m.tokens.all().begin(sequence),
                       &caches[static_cast<std::size_t>(sequence)]});
    attention_block<double>::row_memory memory;
    for (index_t first = 0; first < 24;) {  // one row, then more and more, of several sequences
      const index_t count = (std::min)(first / 3 + 1, 24 - first);
      block_of(m).forward_rows(p,
                               std::span<const cached_row<double>>(all).subspan(static_cast<std::size_t>(first),
                                                                                static_cast<std::size_t>(count)),
                               matrix_view<double>(rows.data() + first * m.c.d_model, count, m.c.d_model), memory);
      first += count;
    }
    for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(rows[i] == Approx(y[i]).margin(1e-12));
  }
}

TEST_CASE("an attention block's share has what norms and cuts of queries and keys need only where there are some") {
  for (const config& c : small_models()) {
    index_t kept = 0;
    const auto a = attention_block<float>::share_activations(c, [&](index_t width) {
      kept += width;
      static float memory;
      return &memory;
    });
    const bool norms = c.qk_norm != query_key_norm::none, changes = norms || c.clip_qkv > 0;
    const index_t plain = 1 + 2 * c.q_width() + 2 * c.kv_width() + c.n_heads;
    const index_t rms = c.qk_norm == query_key_norm::whole ? 2 : c.n_heads + c.n_kv_heads;
    CHECK(kept == plain + (changes ? c.q_width() + c.kv_width() : 0) + (norms ? rms : 0));
    CHECK((a.q_raw != nullptr) == changes);
    CHECK((a.q_rms != nullptr) == norms);
  }
}

TEST_CASE("queries, keys and values that are cut have no gradient, and NaN is not cut away") {
  config shape = small_models()[0];
  shape.clip_qkv = 1e-6;  // nothing is within
  one_layer m(shape, {role::w2});
  memory_of s(m.c, 24);
  const auto x = as_rows(std::as_const(m.x), 24);
  std::vector<double> y(m.x.size()), dx = normals<double>(24 * m.c.d_model, 3), gradient(m.parameters.size(), 0.0);
  const trained_products<double> trained{m.products(m.parameters), m.model.view(std::span(gradient))};
  block_of(m).forward(trained, m.tokens.offsets, x, s.kept, s.passing, as_rows(y, 24));
  block_of(m).backward(trained, m.tokens.offsets, x, s.kept, s.passing, as_rows(dx, 24));
  for (const role r : {role::wq, role::wk, role::wv})
    for (index_t i = 0; i < m.c.d_model; ++i) CHECK(m.model.view(std::span(gradient)).matrix({r, 0})(0, i) == 0);
  m.x[5] = std::numeric_limits<double>::quiet_NaN();
  block_of(m).forward(trained, m.tokens.offsets, x, s.kept, s.passing, as_rows(y, 24));
  CHECK(std::isnan(y[0]));
}
