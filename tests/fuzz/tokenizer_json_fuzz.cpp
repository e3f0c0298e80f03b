// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a tokenizer or a format_error, and any tokenizer encodes and decodes any bytes. The input is a
/// tokenizer.json, a zero byte, and what is encoded.
#include "hone/io/tokenizer_json.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

FUZZ(input) {
  const std::size_t border = (std::min)(input.text().find('\0'), input.size());
  const std::string_view file = input.text().substr(0, border);
  const std::string_view text = input.text().substr((std::min)(border + 1, input.size()));
  read_or_refused(border, [&] {
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
  });
}
