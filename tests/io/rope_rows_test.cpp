// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/rope_rows.hpp"

#include "hone/transformer/rotary.hpp"

#include "support/catch.hpp"

#include <vector>

using hone::index_t;
using hone::matrix_view;
using hone::io::copy_rope_rows;
using hone::io::gguf_rope_layout;
using enum hone::transformer::rope_layout;

namespace {

std::vector<double> moved(const std::vector<double>& in, index_t cols, index_t head_size,
                          hone::transformer::rope_layout from, hone::transformer::rope_layout to) {
  std::vector<double> out(in.size());
  const index_t rows = static_cast<index_t>(in.size()) / cols;
  copy_rope_rows(matrix_view<const double>(in.data(), rows, cols), matrix_view<double>(out.data(), rows, cols),
                 head_size, from, to);
  return out;
}

std::vector<double> counted(std::size_t size) {
  std::vector<double> x(size);
  for (std::size_t i = 0; i < size; ++i) x[i] = static_cast<double>(i);
  return x;
}

}  // namespace

TEST_CASE("rows of halves become interleaved as view(heads, 2, size/2, cols).transpose(1, 2) says") {
  for (const index_t heads : {1, 3})
    for (const index_t size : {2, 4, 10})
      for (const index_t cols : {1, 5}) {
        const auto in = counted(static_cast<std::size_t>(heads * size * cols));
        std::vector<double> expected;
        for (index_t head = 0; head < heads; ++head)
          for (index_t i = 0; i < size / 2; ++i)
            for (index_t k = 0; k < 2; ++k)
              for (index_t col = 0; col < cols; ++col)
                expected.push_back(in[static_cast<std::size_t>(((head * 2 + k) * (size / 2) + i) * cols + col)]);
        CHECK(moved(in, cols, size, half, interleaved) == expected);
        CHECK(moved(expected, cols, size, interleaved, half) == in);
        CHECK(moved(in, cols, size, half, half) == in);
        CHECK(moved(in, cols, size, interleaved, interleaved) == in);
      }
}

TEST_CASE("queries that were moved and turned are the turned queries, moved") {
  hone::transformer::config c{.d_model = 16, .n_heads = 2, .n_kv_heads = 1, .max_seq = 7};
  for (const index_t heads : {1, 2}) {
    const index_t width = 8 * heads;
    std::vector<double> x = counted(static_cast<std::size_t>(7 * width));
    std::vector<double> y(x.size());
    const auto as_row = [&](std::vector<double>& v, index_t t) { return v.data() + t * width; };
    for (index_t t = 0; t < 7; ++t)
      copy_rope_rows(matrix_view<const double>(as_row(x, t), width, 1), matrix_view<double>(as_row(y, t), width, 1), 8,
                     half, interleaved);
    c.rope = half;
    hone::transformer::rotary_table<double>(c).rotate({x.data(), 7, width}, 0, hone::transformer::turn::forward);
    c.rope = interleaved;
    hone::transformer::rotary_table<double>(c).rotate({y.data(), 7, width}, 0, hone::transformer::turn::forward);
    std::vector<double> back(y.size());
    for (index_t t = 0; t < 7; ++t)
      copy_rope_rows(matrix_view<const double>(as_row(y, t), width, 1), matrix_view<double>(as_row(back, t), width, 1),
                     8, interleaved, half);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(back[i] == Approx(x[i]).epsilon(1e-14).margin(1e-14));
  }
}

TEST_CASE("llama.cpp's architectures have a layout each, others are refused") {
  CHECK(gguf_rope_layout("llama") == interleaved);
  CHECK(gguf_rope_layout("qwen2") == half);
  CHECK(gguf_rope_layout("qwen3") == half);
  CHECK(gguf_rope_layout("olmoe") == half);
  CHECK(gguf_rope_layout("qwen3moe") == half);
  for (const std::string name : {"", "Llama", "qwen", "gemma"})
    CHECK_THROWS_WITH(gguf_rope_layout(name), Catch::Contains("\"" + name + "\" is not one of llama, qwen2, qwen3"));
}

TEST_CASE("rows that are no heads, and rows in one place, are refused") {
  std::vector<float> x(24), y(24);
  const matrix_view<const float> in(x.data(), 12, 2);
  CHECK_THROWS_AS(copy_rope_rows(in, matrix_view<float>(y.data(), 6, 4), 4, half, interleaved), std::invalid_argument);
  for (const index_t size : {0, -4, 3, 8})
    CHECK_THROWS_AS(copy_rope_rows(in, matrix_view<float>(y.data(), 12, 2), size, half, interleaved),
                    std::invalid_argument);
  CHECK_THROWS_AS(copy_rope_rows(in, matrix_view<float>(y.data(), 12, 2, 1, 1), 4, half, interleaved),
                  std::invalid_argument);
  CHECK(y == std::vector<float>(24));
  copy_rope_rows(matrix_view<const float>(), matrix_view<float>(), 4, half, interleaved);
}

TEST_CASE("queries and keys, their biases and norms have rows of RoPE") {
  int count = 0;
  for (hone::index_t r = 0; r < hone::transformer::roles; ++r)
    count += hone::io::has_rope_rows(static_cast<hone::transformer::role>(r));
  CHECK(count == 6);
  CHECK((hone::io::has_rope_rows(hone::transformer::role::bq) &&
         hone::io::has_rope_rows(hone::transformer::role::k_norm)));
  CHECK_FALSE(hone::io::has_rope_rows(hone::transformer::role::wv));
}

TEST_CASE("of a model's tensors those with rows of RoPE are moved, where the file has the other layout") {
  using namespace hone::transformer;
  const config c{.d_model = 8,
                 .d_ff = 3,
                 .n_layers = 2,
                 .n_heads = 4,
                 .n_kv_heads = 2,
                 .vocab = 5,
                 .rope = interleaved,
                 .head_width = 6,
                 .qkv_bias = true,
                 .output_bias = true,
                 .qk_norm = query_key_norm::heads};
  std::vector<float> parameters(static_cast<std::size_t>(parameter_count(c)));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(i);
  std::vector<std::vector<float>> moved, untouched;
  std::size_t with_rows = 0;
  for (const tensor& t : tensor_table(c)) {
    CAPTURE(t.name);
    const std::span<const float> own(parameters.data() + t.offset, static_cast<std::size_t>(t.size()));
    const auto out = hone::io::laid_out(parameters, c, t, half, moved);
    REQUIRE(out.size() == own.size());
    CHECK(hone::io::laid_out(parameters, c, t, interleaved, untouched).data() == own.data());
    const std::string_view name = t.name;
    const bool turned = name.starts_with("wq") || name.starts_with("bq") || name.starts_with("q_norm") ||
                        name.starts_with("wk") || name.starts_with("bk") || name.starts_with("k_norm");
    with_rows += turned;
    const index_t cols = turned && name[0] == 'w' ? t.cols : 1;
    for (index_t i = 0; i < t.size(); ++i) {  // row 2i + k of a head of 6 is row i + 3k in halves
      const index_t row = i / cols, r = row % 6, to = turned ? row - r + r / 2 + r % 2 * 3 : row;
      REQUIRE(out[static_cast<std::size_t>(to * cols + i % cols)] == own[static_cast<std::size_t>(i)]);
    }
  }
  CHECK(with_rows == 12);
  CHECK(moved.size() == 12);
  CHECK(untouched.empty());
}
