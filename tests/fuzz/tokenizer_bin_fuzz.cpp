// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any bytes are a tokenizer or a format_error, and any tokenizer encodes any text as the definition says.
#include "hone/io/tokenizer_bin.hpp"

#include "fuzz/support.hpp"
#include "io/tokenizer_bin_reference.hpp"

#include <fuzzer/FuzzedDataProvider.h>

using namespace hone::io;

namespace {

void parse_and_encode(std::span<const std::byte> bytes, hone::index_t vocab, const std::string& text) {
  read_or_refused(bytes.size(), [&] {
    const tokenizer t = parse_tokenizer_bin(bytes, vocab, "fuzz");
    const std::vector<token_id> ids = t.encode(text, {.add_special = false});
    require(ids == reference_tokenizer(tokens_of(bytes)).encode(text));
    std::string pieces;
    for (const token_id id : ids) pieces += t.piece(id);
    const std::string decoded = t.decode(ids);
    require(decoded.size() <= pieces.size());
  });
}

}  // namespace

FUZZ(whole) {
  FuzzedDataProvider raw(whole.data, whole.count);
  const auto vocab = raw.ConsumeIntegral<std::int16_t>();
  const std::string some_text = raw.ConsumeRandomLengthString(64);
  const std::vector<std::uint8_t> rest = raw.ConsumeRemainingBytes<std::uint8_t>();
  parse_and_encode(std::as_bytes(std::span(rest)), vocab, some_text);

  // The same with a sound file: few letters, so that pairs meet tokens, and few scores, so that they are equal.
  FuzzedDataProvider input(whole.data, whole.count);
  constexpr char alphabet[] = {' ', 'a', 'b', '\xc3', '\xa9', '\x80', '<', '0'};
  const auto letters = [&](std::size_t most) {
    std::string text;
    const auto length = input.ConsumeIntegralInRange<std::size_t>(0, most);
    for (std::size_t i = 0; i < length; ++i) text += input.PickValueInArray(alphabet);
    return text;
  };
  std::vector<token> tokens = {{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}};
  const auto count = input.ConsumeIntegralInRange<std::size_t>(0, 40);
  for (std::size_t i = 0; i < count; ++i) {
    std::string piece = letters(4);
    if (piece.empty()) piece = "a";
    tokens.push_back({std::move(piece), static_cast<float>(input.ConsumeIntegralInRange<int>(-2, 2))});
  }
  const std::string text = letters(200);
  parse_and_encode(tokenizer_bytes(tokens), static_cast<hone::index_t>(tokens.size()), text);
}
