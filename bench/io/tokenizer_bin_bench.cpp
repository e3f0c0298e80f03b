// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// tokenizer.bin: encoding texts of growing length, beside the rescan of the text for every merge that run.c does. The
/// vocabulary is made here: letters, syllables, and words of one to three of them, as many as a small model has.
#include "hone/core/random.hpp"
#include "hone/io/tokenizer_bin.hpp"

#include "../../tests/io/tokenizer_bin_reference.hpp"

#include "support/roof.hpp"

#include <numeric>

namespace {

std::size_t pick(std::uint32_t stream, std::uint64_t index, std::size_t count) {
  return static_cast<std::size_t>(hone::philox{1, stream}.uniform(index) * static_cast<double>(count));
}

std::string syllable(std::size_t i) { return {"bdfgklmnprst"[i % 12], "aeiou"[i / 12 % 5]}; }

std::string word(std::size_t i) {
  std::string text = " ";
  for (std::uint64_t k = 0; k <= i % 3; ++k) text += syllable(pick(2, 4 * i + k, 60));
  return text;
}

/// Specials, bytes, letters, syllables, and each word's beginnings, whose scores fall with their number.
std::vector<token> vocabulary() {
  std::vector<token> tokens = {{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    char piece[8];
    std::snprintf(piece, sizeof piece, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.push_back({piece, 0});
  }
  const auto add = [&](std::string piece) { tokens.push_back({std::move(piece), -static_cast<float>(tokens.size())}); };
  for (std::size_t i = 0; i < 60; ++i) add(syllable(i));
  for (std::size_t i = 0; i < 600; ++i)
    for (std::size_t length = 3; length <= word(i).size(); length += 2) add(word(i).substr(0, length));
  for (const char letter : std::string(" bdfgklmnprstaeiou.")) add({letter});
  return tokens;
}

std::string text_of(std::size_t length) {
  std::string text;
  for (std::uint64_t i = 0; text.size() < length; ++i) text += word(pick(3, i, 600)) + (i % 9 == 8 ? "." : "");
  return text.substr(0, length);
}

/// The roof is one read of the text.
template <class Tokenizer>
void encode_with(benchmark::State& state, const Tokenizer& t) {
  const std::string text = text_of(static_cast<std::size_t>(state.range(0)));
  against_roof(
      state, static_cast<double>(text.size()), [&] { benchmark::DoNotOptimize(t.encode(text)); },
      [&] { benchmark::DoNotOptimize(std::accumulate(text.begin(), text.end(), 0)); });
}

void tokenizer_encode(benchmark::State& state) {
  const auto tokens = vocabulary();
  encode_with(state, hone::io::parse_tokenizer_bin(tokenizer_bytes(tokens), std::ssize(tokens), "made here"));
}

void tokenizer_encode_by_rescan(benchmark::State& state) { encode_with(state, reference_tokenizer(vocabulary())); }

BENCHMARK(tokenizer_encode)->ArgName("bytes")->Arg(100)->Arg(1000)->Arg(10000)->Arg(1000000)->UseManualTime();
BENCHMARK(tokenizer_encode_by_rescan)->ArgName("bytes")->Arg(100)->Arg(1000)->Arg(10000)->UseManualTime();

}  // namespace
