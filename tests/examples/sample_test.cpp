// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "diffuse/sample.hpp"

#include "support/catch.hpp"

using namespace diffuse;

namespace {

/// Words that begin with U+2581, which stands for a space that the first of a text loses.
io::tokenizer sentence_pieces() {
  const auto json = R"({"added_tokens": [], "model": {"type": "BPE", "merges": [], "vocab": {
      "▁once": 0, "▁upon": 1, "▁a": 2, "▁time": 3, "x": 4}},
      "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})";
  return io::tokenizer(io::parse_tokenizer_json(json, "tokenizer.json"));
}

}  // namespace

TEST_CASE("sample: an answer goes on from its prompt, with its space") {
  const io::tokenizer t = sentence_pieces();
  using ids = std::vector<std::int32_t>;
  CHECK(text_after(t, ids{0, 1}, ids{2, 3}, 5) == " a time");
  CHECK(text_after(t, ids{}, ids{2, 3}, 5) == "a time");
  CHECK(text_after(t, ids{0}, ids{5, 5, 2, 5, 3}, 5) == "·· a· time");
  CHECK(text_after(t, ids{}, ids{5, 1, 5, 2}, 5) == "·upon· a");
  CHECK(text_after(t, ids{0}, ids{4, 9, 3}, 5) == "x\xef\xbf\xbd time");  // beyond the tokenizer's
}

TEST_CASE("sample: what experts take of a canvas is what they took of a sequence") {
  settings s;
  transformer::config c;
  c.experts = {.count = 16, .d_ff = 8, .router = moe::expert_choice(2)};
  CHECK(budget_of_canvas(s, c, 10, 42) == std::vector<index_t>(52, 7));  // 6.5 each
  CHECK(s.budget(52) == std::vector<index_t>(52, 7));
  CHECK(s.budget(50) == std::vector<index_t>(50, 6));  // 6.25
  s.schedule = "linear";
  CHECK(budget_of_canvas(s, c, 10, 42) == s.budget(52));
  c.block = 8;
  CHECK_THROWS_WITH(budget_of_canvas(s, c, 10, 42), Catch::Contains("are no whole number"));
  CHECK(std::ssize(budget_of_canvas(s, c, 10, 38)) == 8);
  s.schedule = "static";
  CHECK(budget_of_canvas(s, c, 10, 42).empty());
  c.experts.router = moe::top_k_then_softmax(2);
  CHECK(budget_of_canvas(s, c, 10, 42).empty());
  s.schedule = "linear";
  CHECK_THROWS_WITH(budget_of_canvas(s, c, 10, 42), Catch::Contains("no experts of"));
}
