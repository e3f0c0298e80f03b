// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a tokenizer or a format_error, and any tokenizer encodes and decodes any bytes. The input is a
/// tokenizer.json, a zero byte, and what is encoded.
#include "hone/io/tokenizer_json.hpp"

#include <cstdlib>

using namespace hone::io;

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t border = (std::min)(input.find('\0'), size);
  const std::string_view file = input.substr(0, border), text = input.substr((std::min)(border + 1, size));
  try {
    const tokenizer t(parse_tokenizer_json(file, "fuzz"));
    for (const bool special : {false, true}) {
      const std::vector<token_id> ids = t.encode(text, {.add_special = special, .parse_special = special});
      for (const token_id id : ids) require(id >= 0 && id < t.vocab());
      const std::string decoded = t.decode(ids, !special);
      text_stream stream(t, {}, !special);
      std::string streamed;
      for (const token_id id : ids) streamed += stream(id);
      require(streamed + stream.rest() == decoded);
    }
  } catch (const format_error& error) {
    require(error.where().at <= border);
  }
  return 0;
}
