// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/pair_codec.hpp"

#include "hone/io/tokenizer_json.hpp"
#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

using ids = std::vector<std::int32_t>;

/// A letter an id.
pair_codec letters() {
  const auto of = [](const std::string& text) { return ids(text.begin(), text.end()); };
  return {.question = [of](const std::string& q) { return of(q + "?"); },
          .answer = of,
          .text = [](const ids& tokens) { return std::string(tokens.begin(), tokens.end()); }};
}

}  // namespace

TEST_CASE("pairs: begin of text and question are the prompt, answer and end of text what is learnt") {
  const auto pairs = encode_pairs({{"ab", "c", {}, {}}, {"d", "ef", {}, {}}}, letters(), 6);
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].prompt == ids{1, 'a', 'b', '?'});
  CHECK(pairs[0].answer == ids{'c', 2});
  CHECK(pairs[1].prompt == ids{1, 'd', '?'});
  CHECK(pairs[1].answer == ids{'e', 'f', 2});
  CHECK(pairs[1].answer_text == "ef");
  const transformer::labelled_rows rows = labelled_rows_of(pairs);
  CHECK(rows.tokens == ids{1, 'a', 'b', '?', 'c', 1, 'd', '?', 'e', 'f'});
  CHECK(rows.labels == std::vector<index_t>{2, 3});
  CHECK(encode_pairs({}, letters(), 1).empty());
  CHECK_THROWS_WITH(encode_pairs({{"a", "c", {}, {}}, {"ab", "c", {}, {}}}, letters(), 5),
                    Catch::Contains("pair 2: has 6 tokens, the model takes 5"));
}

TEST_CASE("pairs: a tokenizer's codec gives the answer back, with one space before it") {
  for (const auto& [name, end] : {std::pair("llama2.json", "</s>"), std::pair("qwen2.json", "<|endoftext|>")}) {
    INFO(name);
    const scratch_folder folder;
    std::filesystem::copy_file(golden_file(name), folder.path / "tokenizer.json");
    write_bytes(folder.path / "tokenizer_config.json", to_bytes(nlohmann::json{{"eos_token", end}}.dump()));
    const tokenizer t = read_tokenizer_json(folder.path / "tokenizer.json");
    REQUIRE(t.eos());
    const pair_codec codec = question_answer_codec(t, name);
    CHECK(codec.begin.size() == (t.bos() ? 1u : 0u));
    CHECK(t.piece(codec.end) == end);
    const ids question = codec.question("Who is it?"), answer = codec.whole_answer("a lamp");
    CHECK(answer.back() == codec.end);
    ids together = question;
    together.insert(together.end(), answer.begin(), answer.end() - 1);
    CHECK(codec.text(together).ends_with("Q: Who is it?\nA: a lamp"));
    // The answer's tokens are those that it has in the whole text.
    CHECK(together == t.encode("Q: Who is it?\nA: a lamp", {false, false}));
  }
}

TEST_CASE("pairs: a tokenizer without an end of text is refused, by name") {
  const tokenizer t = read_tokenizer_json(golden_file("qwen2.json"));
  REQUIRE(!t.eos());
  const auto error = format_error_of([&] { question_answer_codec(t, "some.json"); });
  REQUIRE(error);
  CHECK(std::string(error->what()).find("some.json") != std::string::npos);
  CHECK(std::string(error->what()).find("end of text") != std::string::npos);
}
