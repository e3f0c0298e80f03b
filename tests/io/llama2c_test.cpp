// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/llama2c.hpp"

#include "io/support.hpp"
#include "support/allocations.hpp"
#include "support/data.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

using namespace hone::io;
using hone::index_t;
namespace transformer = hone::transformer;

namespace {

constexpr transformer::config small{
    .d_model = 8, .d_ff = 12, .n_layers = 2, .n_heads = 2, .n_kv_heads = 1, .vocab = 5, .max_seq = 3};

transformer::config untied(transformer::config c) {
  c.tie_embeddings = false;
  return c;
}

/// 1, 2, 3, …: every number tells where in the buffer it belongs.
std::vector<float> counted(const transformer::config& c) {
  std::vector<float> parameters(static_cast<std::size_t>(transformer::parameter_count(c)));
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = static_cast<float>(i + 1);
  return parameters;
}

/// A v0 file, put together from the layout in the format's description, its tables filled with NaN.
byte_vector version_0(const transformer::config& c, const std::vector<float>& parameters) {
  byte_vector bytes;
  for (const index_t field :
       {c.d_model, c.d_ff, c.n_layers, c.n_heads, c.n_kv_heads, c.tie_embeddings ? c.vocab : -c.vocab, c.max_seq})
    append_little_endian(bytes, static_cast<std::int32_t>(field));
  const std::size_t classifier = c.tie_embeddings ? 0 : static_cast<std::size_t>(c.vocab * c.d_model);
  for (std::size_t i = 0; i < parameters.size() - classifier; ++i) append_little_endian(bytes, parameters[i]);
  for (index_t i = 0; i < c.max_seq * c.head_size(); ++i)
    append_little_endian(bytes, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = parameters.size() - classifier; i < parameters.size(); ++i)
    append_little_endian(bytes, parameters[i]);
  return bytes;
}

/// A v1 file: its own order of the tensors, no tables.
byte_vector version_1(const transformer::config& c, const std::vector<float>& parameters) {
  byte_vector bytes = to_bytes("24ka");
  append_little_endian(bytes, std::int32_t{1});
  for (const index_t field : {c.d_model, c.d_ff, c.n_layers, c.n_heads, c.n_kv_heads, c.vocab, c.max_seq})
    append_little_endian(bytes, static_cast<std::int32_t>(field));
  append_little_endian(bytes, static_cast<std::uint8_t>(c.tie_embeddings));
  bytes.resize(256);
  const auto table = transformer::tensor_table(c);
  for (const std::string kind :
       {"att_norm", "ffn_norm", "final_norm", "tok_emb", "wq", "wk", "wv", "wo", "w1", "w2", "w3", "wcls"})
    for (const transformer::tensor& t : table)
      if (t.name == kind || t.name.starts_with(kind + "."))
        for (index_t i = 0; i < t.size(); ++i)
          append_little_endian(bytes, parameters[static_cast<std::size_t>(t.offset + i)]);
  return bytes;
}

void put_int32(byte_vector& bytes, std::size_t offset, std::int32_t value) {
  byte_vector raw;
  append_little_endian(raw, value);
  std::copy(raw.begin(), raw.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

/// The reader's error, which it must give without having asked for memory in bulk.
std::optional<format_error> error_of(const byte_vector& bytes) {
  allocations::largest = 0;
  const auto error = format_error_of([&] { parse_llama2c(bytes, "model.bin"); });
  if (error) {
    CHECK(allocations::largest < 1024);
    CHECK(error->file() == "model.bin");
    CHECK(error->where().in == position::unit::byte);
    CHECK(error->where().at <= bytes.size());
  }
  return error;
}

constexpr std::int32_t int32_min = (std::numeric_limits<std::int32_t>::min)();
constexpr std::int32_t int32_max = (std::numeric_limits<std::int32_t>::max)();

}  // namespace

TEST_CASE("both versions of a checkpoint give the same parameters, tied or not") {
  for (const transformer::config& c : {small, untied(small)}) {
    const auto parameters = counted(c);
    for (const byte_vector& bytes : {version_0(c, parameters), version_1(c, parameters)}) {
      const checkpoint read = parse_llama2c(bytes, "model.bin");
      CHECK(read.config == c);
      CHECK(read.parameters == parameters);
      CHECK(read.nonfinite == 0);  // the tables are NaN
    }
  }
}

TEST_CASE("a checkpoint that was written is read back, tied or not") {
  const scratch_folder folder;
  for (const transformer::config& c : {small, untied(small)}) {
    const auto parameters = counted(c);
    write_llama2c(folder.path / "model.bin", c, parameters);
    const checkpoint read = read_llama2c(folder.path / "model.bin");
    CHECK(read.config == c);
    CHECK(read.parameters == parameters);
    const byte_vector bytes = format_llama2c(c, parameters);
    CHECK(read_file(folder.path / "model.bin") == bytes);
    CHECK(bytes.size() == version_0(c, parameters).size());
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("the tables that are written hold cos and sin of every position and pair, before the classifier") {
  const transformer::config c = untied(small);
  const byte_vector bytes = format_llama2c(c, counted(c));
  std::size_t at = 28 + 4 * static_cast<std::size_t>(transformer::parameter_count(c) - c.vocab * c.d_model);
  for (const bool sine : {false, true})
    for (int position = 0; position < 3; ++position)
      for (int pair = 0; pair < 2; ++pair, at += 4) {
        const double angle = position * (pair == 0 ? 1 : 0.01);
        CHECK(load_little_endian<float>(bytes, at) == Approx(sine ? std::sin(angle) : std::cos(angle)).margin(1e-7));
      }
  CHECK(at + 4 * static_cast<std::size_t>(c.vocab * c.d_model) == bytes.size());
}

TEST_CASE("infinite and NaN parameters are kept and counted") {
  auto parameters = counted(untied(small));
  parameters.front() = std::numeric_limits<float>::infinity();
  parameters[100] = -std::numeric_limits<float>::infinity();
  parameters.back() = std::numeric_limits<float>::quiet_NaN();
  for (const byte_vector& bytes : {version_0(untied(small), parameters), version_1(untied(small), parameters),
                                   format_llama2c(untied(small), parameters)}) {
    const checkpoint read = parse_llama2c(bytes, "model.bin");
    CHECK(read.nonfinite == 3);
    CHECK(read.parameters.front() == std::numeric_limits<float>::infinity());
    CHECK(std::isnan(read.parameters.back()));
  }
}

TEST_CASE("a checkpoint cut short anywhere, or with a byte too many, is refused") {
  for (const transformer::config& c : {small, untied(small)})
    for (byte_vector bytes : {version_0(c, counted(c)), version_1(c, counted(c))}) {
      for (std::size_t length = 0; length < bytes.size(); ++length) {
        const auto error = error_of({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
        REQUIRE(error);
        REQUIRE(error->where().at == length);
      }
      bytes.push_back({});
      REQUIRE(error_of(bytes));
    }
}

TEST_CASE("the size that a header asks for is told beside the size that is there") {
  byte_vector bytes = version_0(small, counted(small));
  const std::string expected = std::to_string(bytes.size());
  bytes.resize(28);
  CHECK(error_of(bytes)->reason() == "the file has 28 bytes, its header asks for " + expected);
  for (const int field : {1, 2, 5, 6}) put_int32(bytes, static_cast<std::size_t>(4 * field), int32_max);
  put_int32(bytes, 0, int32_max - 3);
  CHECK_THAT(error_of(bytes)->reason(), Catch::Contains("asks for 23768448677725"));  // of 30 digits
}

TEST_CASE("a header field of 0, negative or INT_MIN is refused at its own byte") {
  const char* names[] = {"dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
  for (const bool versioned : {false, true})
    for (std::size_t field = 0; field < 7; ++field)
      for (const std::int32_t value : {0, -1, -8, int32_min}) {
        byte_vector bytes = versioned ? version_1(small, counted(small)) : version_0(small, counted(small));
        const std::size_t offset = (versioned ? 8 : 0) + 4 * field;
        put_int32(bytes, offset, value);
        const auto error = error_of(bytes);
        REQUIRE(error);
        if (!versioned && field == 5 && value < 0 && value != int32_min) continue;  // an untied classifier
        CHECK(error->where().at == offset);
        CHECK(error->reason() ==
              names[field] + std::string(" is ") + std::to_string(value) + ", must be in [1, 2^31 - 1]");
      }
}

TEST_CASE("a header field of INT_MAX, or one off, is refused") {
  for (const bool versioned : {false, true})
    for (std::size_t field = 0; field < 7; ++field)
      for (const std::int32_t change : {-1, 1, int32_max}) {
        if (versioned && field == 6) continue;  // no tensor depends on the length there
        byte_vector bytes = versioned ? version_1(small, counted(small)) : version_0(small, counted(small));
        const std::size_t offset = (versioned ? 8 : 0) + 4 * field;
        const auto value = load_little_endian<std::int32_t>(bytes, offset);
        put_int32(bytes, offset, change == int32_max ? int32_max : value + change);
        CHECK(error_of(bytes));
      }
}

TEST_CASE("the length of a version 1 checkpoint may be any positive number") {
  byte_vector bytes = version_1(small, counted(small));
  put_int32(bytes, 32, int32_max);
  CHECK(parse_llama2c(bytes, "model.bin").config.max_seq == int32_max);
}

TEST_CASE("heads that do not divide, and an odd head size, are refused with the reason") {
  const auto reason = [](std::size_t field, std::int32_t value) {
    byte_vector bytes = version_0(small, counted(small));
    put_int32(bytes, 4 * field, value);
    return error_of(bytes)->reason();
  };
  CHECK_THAT(reason(3, 3), Catch::Contains("n_heads: 3 does not divide dim 8"));
  CHECK_THAT(reason(3, int32_max), Catch::Contains("does not divide dim 8"));
  CHECK_THAT(reason(4, 3), Catch::Contains("n_kv_heads: 3 does not divide n_heads 2"));
  CHECK_THAT(reason(3, 8), Catch::Contains("head size 1 is odd"));
  CHECK_THAT(reason(0, 6), Catch::Contains("head size 3 is odd"));
}

TEST_CASE("version 2 is refused by name, other versions by number") {
  byte_vector bytes = version_1(small, counted(small));
  put_int32(bytes, 4, 2);
  CHECK_THAT(error_of(bytes)->what(), Catch::StartsWith("model.bin: at byte 4: version 2 (int8 groups)"));
  for (const std::int32_t version : {0, 3, -1, int32_max}) {
    put_int32(bytes, 4, version);
    CHECK(error_of(bytes)->reason() == "unknown version " + std::to_string(version));
  }
}

TEST_CASE("what a checkpoint cannot say is not written") {
  const auto parameters = counted(small);
  const auto refused = [&](auto change, const char* why) {
    transformer::config c = small;
    change(c);
    CHECK_THROWS_AS(format_llama2c(c, parameters), std::invalid_argument);
    CHECK_THROWS_WITH(format_llama2c(c, parameters), Catch::Contains(why));
  };
  refused([](auto& c) { c.rope = transformer::rope_layout::half; }, "interleaved");
  refused([](auto& c) { c.rope_base = 500000; }, "base 10000");
  refused([](auto& c) { c.norm_eps = 1e-6; }, "epsilon");
  refused([](auto& c) { c.causal = false; }, "causal");
  refused([](auto& c) { c.scaling.how = transformer::rope_scaling::method::linear; }, "does not scale RoPE");
  refused([](auto& c) { c.head_width = 2 * c.head_size(); }, "c.head_width");
  refused([](auto& c) { c.qkv_bias = true; }, "no biases");
  refused([](auto& c) { c.output_bias = true; }, "no biases");
  refused([](auto& c) { c.qk_norm = transformer::query_key_norm::heads; }, "no norms of heads");
  refused([](auto& c) { c.window = 4; }, "looks at all positions");
  refused([](auto& c) { c.clip_qkv = 4; }, "cuts no projections");
  refused([](auto& c) { c.experts = {.count = 2, .d_ff = 4}; }, "c.experts: llama2.c has none");
  refused([](auto& c) { c.tie_embeddings = false, c.outputs = 1; }, "c.outputs");
  refused([](auto& c) { c.n_heads = 0; }, "n_heads");
  refused([](auto& c) { c.tie_embeddings = false; }, "parameters");
  refused([](auto& c) { c.d_model = c.d_ff = c.n_layers = c.vocab = int32_max - 3; }, "parameters");
  const scratch_folder folder;
  CHECK_THROWS_AS(write_llama2c(folder.path / "model.bin", untied(small), parameters), std::invalid_argument);
  CHECK(folder.entries() == 0);
}

TEST_CASE("stories260K is read, and written byte for byte but for last bits of the tables") {
  const auto path = data_file("tinystories/stories260K.bin");
  if (!path) return;
  const byte_vector bytes = read_file(*path);
  CHECK(bytes.size() == 1056540);
  const checkpoint read = read_llama2c(*path);
  CHECK(read.config == transformer::config{});
  CHECK(read.parameters.size() == 260032);
  CHECK(read.nonfinite == 0);
  const byte_vector written = format_llama2c(read.config, read.parameters);
  REQUIRE(written.size() == bytes.size());
  const std::size_t tables = 28 + 4 * 260032;
  CHECK(std::equal(bytes.begin(), bytes.begin() + tables, written.begin()));
  float worst = 0;
  for (std::size_t at = tables; at < bytes.size(); at += 4)
    worst = (std::max)(worst, std::abs(load_little_endian<float>(bytes, at) - load_little_endian<float>(written, at)));
  CHECK(worst < 1e-7f);
}
