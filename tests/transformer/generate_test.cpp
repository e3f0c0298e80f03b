// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/generate.hpp"

#include "hone/core/thread_pool.hpp"
#include "hone/io/llama2c.hpp"
#include "hone/io/read_tokenizer.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

TEMPLATE_TEST_CASE("cached decoding gives the logits of the full forward pass, however the tokens were fed", "", double,
                   float) {
  using T = TestType;
  for (const config& c : all_models()) {
    if (!c.causal) continue;
    const decoder<T> model(c);
    const auto parameters = normals<T>(model.parameters(), 1, 0.4);
    const generator<T> generate(model, parameters);
    std::vector<std::int32_t> tokens;
    for (index_t i = 0; i < 37; ++i) tokens.push_back(static_cast<std::int32_t>((i * 7 + 3) % c.vocab));
    const std::vector<index_t> offsets = {0, 37};
    workspace<T> w(c, 37);
    model.forward(parameters, {tokens, offsets}, w);

    std::vector<T> at_once(static_cast<std::size_t>(37 * c.vocab)), in_parts(at_once.size());
    kv_cache<T> whole(c, 37), parts(c, 37);
    generate.feed(tokens, whole, as_rows(at_once, 37));
    for (std::size_t done = 0; done < 37;) {
      const std::size_t count = (std::min)(done % 5 + 1, 37 - done);
      generate.feed(std::span(tokens).subspan(done, count), parts,
                    {in_parts.data() + static_cast<index_t>(done) * c.vocab, static_cast<index_t>(count), c.vocab});
      done += count;
    }
    CHECK(at_once == in_parts);
    const double tolerance = std::is_same_v<T, double> ? 1e-11 : 5e-4;
    for (index_t t = 0; t < 37; ++t)
      for (index_t v = 0; v < c.vocab; ++v)
        REQUIRE(static_cast<double>(as_rows(at_once, 37)(t, v)) ==
                Approx(static_cast<double>(w.logits()(t, v))).margin(tolerance));
  }
}

TEST_CASE("what a sequence says does not depend on its neighbours or on workers") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 2, 0.5);
  const generator<float> generate(model, parameters);
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  for (index_t s = 0; s < 31; ++s) {
    for (index_t t = 0; t <= s % 4; ++t) tokens.push_back(static_cast<std::int32_t>((s + t) % c.vocab));
    offsets.push_back(static_cast<index_t>(tokens.size()));
  }
  const std::vector<std::int32_t> stop = {4};
  const generation_options options{
      .max_tokens = 20, .stop = stop, .sampling = {.temperature = 1, .top_p = 0.95, .seed = 3}};
  const auto together = generate({tokens, offsets}, options);
  index_t stopped = 0;
  for (index_t s = 0; s < 31; ++s) {
    const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(s)]);
    const auto own =
        std::span(tokens).subspan(begin, static_cast<std::size_t>(offsets[static_cast<std::size_t>(s) + 1]) - begin);
    const std::vector<index_t> border = {0, static_cast<index_t>(own.size())};
    auto alone = options;
    alone.first_sequence = static_cast<std::uint32_t>(s);
    const auto result = generate({own, border}, alone);
    const generated& other = together[static_cast<std::size_t>(s)];
    REQUIRE(result[0].tokens == other.tokens);
    REQUIRE(result[0].log_probabilities == other.log_probabilities);
    REQUIRE(result[0].stopped == other.stopped);
    REQUIRE(other.log_probabilities.size() == other.tokens.size());
    stopped += other.stopped;
    if (!other.stopped) REQUIRE(other.tokens.size() == 20);
  }
  CHECK((stopped > 0 && stopped < 31));
  thread_pool pool(3);
  const auto parallel = generate({tokens, offsets}, options, pool);
  for (std::size_t s = 0; s < 31; ++s) CHECK(parallel[s].tokens == together[s].tokens);
}

TEST_CASE("generation ends where the context is full, and hears of every token") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 3, 0.5);
  const generator<float> generate(model, parameters);
  const std::vector<std::int32_t> tokens(50, 1);
  const std::vector<index_t> offsets = {0, 50};
  std::vector<std::int32_t> heard;
  const auto result = generate({tokens, offsets}, {.max_tokens = 1000}, serial{},
                               [&](index_t, std::int32_t token) { heard.push_back(token); });
  CHECK(result[0].tokens.size() == 11);  // the last one has no position of its own
  CHECK(heard == result[0].tokens);
  const index_t endless = (std::numeric_limits<index_t>::max)();
  CHECK(generate({tokens, offsets}, {.max_tokens = endless})[0].tokens == result[0].tokens);
  CHECK(generate({tokens, offsets}, {.max_tokens = 0})[0].tokens.empty());
}

TEST_CASE("a listener hears each sequence's own tokens, by its number, however sequences are put together") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 4, 0.5);
  const generator<float> generate(model, parameters);
  const index_t count = 150;
  std::vector<std::int32_t> tokens;
  std::vector<index_t> offsets = {0};
  for (index_t s = 0; s < count; ++s) {
    tokens.push_back(static_cast<std::int32_t>(s % c.vocab));
    offsets.push_back(s + 1);
  }
  std::vector<std::vector<std::int32_t>> heard(static_cast<std::size_t>(count));
  thread_pool pool(3);
  for (int serially = 0; serially < 2; ++serially) {
    for (auto& h : heard) h.clear();
    const auto listen = [&](index_t s, std::int32_t token) { heard.at(static_cast<std::size_t>(s)).push_back(token); };
    const generation_options options{.max_tokens = 5, .sampling = {.temperature = 1, .seed = 5}};
    const auto result = serially ? generate({tokens, offsets}, options, serial{}, listen)
                                 : generate({tokens, offsets}, options, pool, listen);
    for (std::size_t s = 0; s < heard.size(); ++s) REQUIRE(heard[s] == result[s].tokens);
  }
}

TEST_CASE("a model whose logits are not finite generates nothing: it is refused, from every worker") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  auto parameters = normals<float>(model.parameters(), 3, 0.5);
  parameters.back() = std::numeric_limits<float>::quiet_NaN();
  const generator<float> generate(model, parameters);
  const std::vector<std::int32_t> tokens(8, 1);
  std::vector<index_t> offsets;
  for (index_t s = 0; s <= 8; ++s) offsets.push_back(s);
  thread_pool pool(3);
  for (const double temperature : {0.0, 1.0}) {
    CHECK_THROWS_WITH(generate({tokens, offsets}, {.sampling = {.temperature = temperature}}),
                      Catch::Contains("logits"));
    CHECK_THROWS_WITH(generate({tokens, offsets}, {.sampling = {.temperature = temperature}}, pool),
                      Catch::Contains("logits"));
  }
}

TEST_CASE("prompts and options that do not fit are refused") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const std::vector<float> parameters(static_cast<std::size_t>(model.parameters())), few(3);
  const generator<float> generate(model, parameters);
  const std::vector<std::int32_t> tokens(61, 1), strange = {11};
  const std::vector<index_t> all = {0, 61}, none = {0, 0, 61}, one = {0, 1}, wrong = {0, 5};
  CHECK_THROWS_WITH(generator<float>(model, few), Catch::Contains("parameters"));
  CHECK_THROWS_WITH(generate({tokens, all}), Catch::Contains("prompt 0 has 61 tokens"));
  CHECK_THROWS_WITH(generate({tokens, none}), Catch::Contains("prompt 0 has 0 tokens"));
  CHECK_THROWS_WITH(generate({tokens, wrong}), Catch::Contains("offsets"));
  CHECK_THROWS_WITH(generate({strange, one}), Catch::Contains("token 11"));
  CHECK_THROWS_WITH(generate({std::span(tokens).first(1), one}, {.max_tokens = -1}), Catch::Contains("max_tokens"));
  CHECK_THROWS_WITH(generate({std::span(tokens).first(1), one}, {.sampling = {.top_p = 2}}), Catch::Contains("top_p"));
  kv_cache<float> cache(c, 4);
  std::vector<float> row(static_cast<std::size_t>(c.vocab));
  const matrix_view<float> twice(row.data(), 2, c.vocab, 0, 1);
  CHECK_THROWS_WITH(generate.feed(std::span(tokens).first(2), cache, twice), Catch::Contains("feed: logits: is 2 x"));
  CHECK(cache.length == 0);
  const decoder<float> both_ways(small_models()[2]);
  const std::vector<float> p(static_cast<std::size_t>(both_ways.parameters()));
  CHECK_THROWS_WITH(generator<float>(both_ways, p)({std::span(tokens).first(1), one}),
                    Catch::Contains("bidirectional"));
  config critic = small_models()[1];
  critic.outputs = 1;
  const decoder<float> values(critic);
  const std::vector<float> v(static_cast<std::size_t>(values.parameters()));
  CHECK_THROWS_WITH(generator<float>(values, v)({std::span(tokens).first(1), one}), Catch::Contains("has 1 outputs"));
}

TEST_CASE("stories260K tells the story that run.c tells") {
  const auto checkpoint_file = data_file("tinystories/stories260K.bin"),
             tokenizer_file = data_file("tinystories/tok512.bin");
  if (!checkpoint_file || !tokenizer_file) return;
  const auto checkpoint = io::read_llama2c(*checkpoint_file);
  const auto tokenizer = io::read_tokenizer(*tokenizer_file, checkpoint.config.vocab);
  const decoder<float> model(checkpoint.config);
  const generator<float> generate(model, checkpoint.parameters);
  const std::vector<std::int32_t> begin = {1};
  const std::vector<index_t> offsets = {0, 1};
  // run.c -t 0 -n 200
  const auto tokens = generate({begin, offsets}, {.max_tokens = 200})[0].tokens;
  const std::vector<std::int32_t> expected = {
      403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401, 396, 267, 337,
      410, 408, 419, 292, 411, 322, 265, 282, 295, 433, 426, 385, 328, 432, 358, 394, 261, 370, 432, 352,
      266, 268, 388, 426, 338, 391, 266, 267, 337, 335, 312, 432, 398, 312, 286, 267, 414, 270, 333, 415,
      426, 13,  438, 310, 439, 419, 357, 336, 432, 313, 438, 310, 432, 278, 316, 439, 419, 298, 414, 267,
      265, 282, 295, 433, 426, 436, 317, 286, 296, 418, 269, 279, 292, 416, 439, 413, 409, 416, 327, 263};
  REQUIRE(tokens.size() == 200);
  CHECK(std::vector<std::int32_t>(tokens.begin(), tokens.begin() + 100) == expected);
  std::vector<std::int32_t> all = begin;
  all.insert(all.end(), tokens.begin(), tokens.end());
  const std::string text = tokenizer.decode(all);
  CHECK(
      text.starts_with("Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
                       "One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"
                       "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do."));
  // FNV-1a of the text whose SHA-256, with a newline after it, is run.c's f5a0e67d….
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  CHECK(hash == 0x7b55aec7519f96abu);
}

TEST_CASE("log-probabilities are those of the decoder's logits, up to a context that is full") {
  const config c = small_models()[0];
  const decoder<double> model(c);
  const auto parameters = normals<double>(model.parameters(), 3, 0.5);
  const generator<double> generate(model, parameters);
  std::vector<std::int32_t> tokens = {1, 4, 2, 9, 1};
  const std::vector<index_t> offsets = {0, 2, 5};
  const auto said = generate({tokens, offsets}, {.max_tokens = 7, .sampling = {.temperature = 1, .seed = 2}});
  for (std::size_t s = 0; s < 2; ++s) {
    REQUIRE(said[s].tokens.size() == 7);
    CHECK_FALSE(said[s].stopped);
    std::vector<std::int32_t> whole(tokens.begin() + offsets[s], tokens.begin() + offsets[s + 1]);
    const index_t start = std::ssize(whole);
    whole.insert(whole.end(), said[s].tokens.begin(), said[s].tokens.end());
    const std::vector<index_t> border = {0, std::ssize(whole)};
    workspace<double> w(c, border[1]);
    model.forward(parameters, {whole, border}, w);
    for (index_t t = 0; t < 7; ++t)
      CHECK(said[s].log_probabilities[static_cast<std::size_t>(t)] ==
            Approx(loss::log_probability(w.logits().row(start + t - 1), said[s].tokens[static_cast<std::size_t>(t)]))
                .epsilon(1e-9));
  }
  const std::vector<std::int32_t> full(60, 1), negative = {-1};
  const std::vector<index_t> all = {0, 60}, late = {1, 60}, one = {0, 1};
  CHECK(generate({full, all})[0].tokens.size() == 1);  // it has no position of its own
  CHECK_THROWS_WITH(generate({full, late}), Catch::Contains("offsets must begin with 0"));
  CHECK_THROWS_WITH(generate({negative, one}), Catch::Contains("token -1, the vocabulary has 11"));
}
