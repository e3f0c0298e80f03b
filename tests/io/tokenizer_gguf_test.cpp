// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The vocabulary of a tokenizer.json, written as GGUF metadata, gives the same ids.
#include "hone/io/tokenizer_gguf.hpp"

#include "hone/io/tokenizer_json.hpp"
#include "io/support.hpp"

#include <limits>

using namespace hone::io;
using nlohmann::json;

namespace {

const std::filesystem::path golden = std::filesystem::path(__FILE__).parent_path() / "golden";

json golden_json(const std::string& name) { return json::parse(to_text(read_file(golden / name))); }

/// The keys of a GGUF file made from the golden tokenizer of @p family.
gguf_vocabulary converted(const std::string& family, const std::string& model, const std::string& pre) {
  const json file = golden_json(family + ".json");
  gguf_vocabulary v{.model = model, .pre = pre};
  const auto put = [&](const std::string& text, std::size_t id, std::int32_t type) {
    v.tokens.resize((std::max)(v.tokens.size(), id + 1));
    v.token_type.resize(v.tokens.size(), 5);
    v.tokens[id] = text;
    v.token_type[id] = type;
  };
  for (const auto& [text, id] : file["model"]["vocab"].items())
    put(text, id, model == "llama" && byte_of_piece(text) >= 0 ? 6 : 1);
  for (const auto& added : file["added_tokens"])
    put(added["content"], added["id"], added["content"] == "<unk>" ? 2 : added["special"] ? 3 : 4);
  v.scores.assign(model == "llama" ? v.tokens.size() : 0, -1e9f);
  float score = 0;
  for (const auto& merge : file["model"]["merges"]) {
    const std::string pair =
        merge.is_string() ? merge.get<std::string>() : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    v.merges.push_back(pair);
    std::string joined = pair;
    joined.erase(joined.find(' '), 1);
    if (model == "llama") v.scores[file["model"]["vocab"][joined].get<std::size_t>()] = --score;
  }
  if (model == "llama") v.unknown_token_id = 0, v.bos_token_id = 1, v.eos_token_id = 2;
  return v;
}

void compare(const gguf_vocabulary& v, const std::string& family, const std::string& skipped) {
  INFO(family);
  const tokenizer t(parse_tokenizer_gguf(v, "model.gguf"));
  const tokenizer reference = read_tokenizer_json(golden / (family + ".json"));
  CHECK(t.vocab() == reference.vocab());
  const std::string lines = to_text(read_file(golden / "texts.jsonl"));
  int compared = 0;
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) {
    const std::string line = json::parse(lines.substr(at, lines.find('\n', at) - at));
    if (!skipped.empty() && line.find(skipped) != std::string::npos) continue;
    REQUIRE(t.encode(line) == reference.encode(line));
    REQUIRE(t.decode(t.encode(line)) == reference.decode(reference.encode(line)));
    ++compared;
  }
  CHECK(compared >= 200);
}

std::string reason_of(const gguf_vocabulary& v) {
  const auto error = format_error_of([&] { (void)parse_tokenizer_gguf(v, "model.gguf"); });
  REQUIRE(error);
  CHECK(error->file() == "model.gguf");
  return error->reason();
}

const gguf_vocabulary letters{.model = "gpt2", .pre = "gpt-2", .tokens = {"a", "b", "ab"}, .merges = {"a b"}};
const gguf_vocabulary scored{.model = "llama", .tokens = {"a", "b"}, .scores = {0, 0}};

}  // namespace

TEST_CASE("GGUF metadata give the ids of the tokenizer.json that they were made from") {
  compare(converted("gpt2", "gpt2", "gpt-2"), "gpt2", "");
  compare(converted("smollm2", "gpt2", "smollm"), "smollm2", "");
  // Metadata do not say that an added token is looked for in normalized text.
  compare(converted("qwen2", "gpt2", "qwen2"), "qwen2", "\xe1\xbb\x87");
  gguf_vocabulary llama3 = converted("llama3", "gpt2", "llama-bpe");
  llama3.bos_token_id = golden_json("llama3.json")["added_tokens"][0]["id"].get<token_id>();
  compare(llama3, "llama3", "");
  compare(converted("llama2", "llama", ""), "llama2", "[INST]");
}

TEST_CASE("GGUF: what is put around a text is what the keys say, or the model's custom") {
  gguf_vocabulary v = converted("llama2", "llama", "");
  const auto encoded = [&] { return tokenizer(parse_tokenizer_gguf(v, "model.gguf")).encode("a"); };
  CHECK(encoded().front() == 1);
  v.add_eos_token = true;
  CHECK(encoded().back() == 2);
  v.add_bos_token = false;
  CHECK(encoded().front() != 1);
  const auto with_prefix = encoded();
  v.add_space_prefix = false;
  CHECK(encoded() != with_prefix);
  CHECK(tokenizer(parse_tokenizer_gguf(v, "model.gguf")).decode(encoded()) == "a");
}

TEST_CASE("GGUF: the vocabulary is what the keys below tokenizer.ggml say") {
  gguf file;
  const gguf_vocabulary none = vocabulary_of(file, "model.gguf");
  CHECK((none.model.empty() && none.tokens.empty() && !none.bos_token_id && !none.add_bos_token));
  using texts = std::vector<std::string>;
  file.metadata = {{"tokenizer.ggml.model", std::string("gpt2")},
                   {"tokenizer.ggml.pre", std::string("qwen2")},
                   {"tokenizer.ggml.tokens", gguf_array(texts{"a", "b", "ab"})},
                   {"tokenizer.ggml.merges", gguf_array(texts{"a b"})},
                   {"tokenizer.ggml.scores", gguf_array(std::vector<float>{1, 2, 3})},
                   {"tokenizer.ggml.token_type", gguf_array(std::vector<std::int32_t>{1, 1, 3})},
                   {"tokenizer.ggml.bos_token_id", std::uint32_t{0}},
                   {"tokenizer.ggml.eos_token_id", std::int64_t{1}},
                   {"tokenizer.ggml.unknown_token_id", std::uint8_t{2}},
                   {"tokenizer.ggml.add_bos_token", true},
                   {"tokenizer.ggml.add_eos_token", false},
                   {"tokenizer.ggml.add_space_prefix", true}};
  const gguf_vocabulary v = vocabulary_of(file, "model.gguf");
  CHECK((v.model == "gpt2" && v.pre == "qwen2"));
  CHECK(v.tokens == texts{"a", "b", "ab"});
  CHECK(v.merges == texts{"a b"});
  CHECK(v.scores == std::vector<float>{1, 2, 3});
  CHECK(v.token_type == std::vector<std::int32_t>{1, 1, 3});
  CHECK((v.bos_token_id == 0 && v.eos_token_id == 1 && v.unknown_token_id == 2));
  CHECK((v.add_bos_token == true && v.add_eos_token == false && v.add_space_prefix == true));
  for (std::size_t i = 0; i < file.metadata.size(); ++i) {
    gguf other;
    other.metadata = file.metadata;
    other.metadata[i].second = 0.5;
    const auto error = format_error_of([&] { vocabulary_of(other, "model.gguf"); });
    REQUIRE(error);
    CHECK(error->where().in == position::unit::none);
    CHECK_THAT(error->reason(), Catch::StartsWith(other.metadata[i].first + ": is "));
  }
}

TEST_CASE("GGUF metadata that do not fit together are refused with their key") {
  CHECK_NOTHROW(parse_tokenizer_gguf(letters, "model.gguf"));
  CHECK_NOTHROW(parse_tokenizer_gguf(scored, "model.gguf"));
  const auto changed = [](gguf_vocabulary v, auto&& change) {
    change(v);
    return reason_of(v);
  };
  CHECK(changed(letters, [](auto& v) { v.model = "bert"; }) ==
        "tokenizer.ggml.model: \"bert\" is neither gpt2 nor llama");
  CHECK(changed(letters, [](auto& v) { v.pre = "deepseek-llm"; }) ==
        "tokenizer.ggml.pre: \"deepseek-llm\" is not known");
  CHECK(changed(letters, [](auto& v) { v.tokens.clear(); }) == "tokenizer.ggml.tokens: no token");
  CHECK(changed(letters, [](auto& v) { v.token_type = {1}; }) == "tokenizer.ggml.token_type: not one a token");
  CHECK(changed(letters, [](auto& v) { v.token_type = {1, 1, 7}; }) == "tokenizer.ggml.token_type: token 2 has type 7");
  CHECK(changed(letters, [](auto& v) { v.token_type = {1, 1, 0}; }) == "tokenizer.ggml.token_type: token 2 has type 0");
  CHECK(changed(letters, [](auto& v) { v.merges = {"a x"}; }) == "tokenizer.ggml.merges: 0: \"x\" is no token");
  CHECK(changed(letters, [](auto& v) { v.merges = {"a b", "b"}; }) == "tokenizer.ggml.merges: 1: \"\" is no token");
  CHECK(changed(letters, [](auto& v) { v.merges = {"b a"}; }) == "tokenizer.ggml.merges: 0: \"ba\" is no token");
  CHECK(changed(letters, [](auto& v) { v.merges = {""}; }) == "tokenizer.ggml.merges: 0: \"\" is no token");
  CHECK(changed(letters, [](auto& v) { v.bos_token_id = 3; }) == "tokenizer.ggml.bos_token_id: 3 is no token");
  CHECK(changed(letters, [](auto& v) { v.eos_token_id = -1; }) == "tokenizer.ggml.eos_token_id: -1 is no token");
  CHECK(changed(scored, [](auto& v) { v.unknown_token_id = 2; }) == "tokenizer.ggml.unknown_token_id: 2 is no token");
  CHECK(changed(scored, [](auto& v) { v.scores.pop_back(); }) == "tokenizer.ggml.scores: not one a token");
  CHECK(changed(scored, [](auto& v) { v.scores[1] = std::numeric_limits<float>::quiet_NaN(); }) ==
        "tokenizer.ggml.scores: not a number");
}

TEST_CASE("GGUF: types of tokens, and what a text begins with, by model") {
  gguf_vocabulary v{.model = "gpt2",
                    .pre = "gpt-2",
                    .tokens = {"a", "b", "<c>", "<u>", "<unk>", "<n>"},
                    .token_type = {1, 1, 3, 4, 2, 5},
                    .bos_token_id = 2,
                    .eos_token_id = 2};
  const auto of = [&] { return tokenizer(parse_tokenizer_gguf(v, "model.gguf")); };
  using ids = std::vector<token_id>;
  CHECK(of().encode("a<c><u><unk>b") == ids{0, 2, 3, 4, 1});  // control, user-defined and unknown tokens
  CHECK(of().encode("<c><u>", {.parse_special = false}) == ids{3});
  CHECK(of().decode(ids{0, 2, 3, 4, 1}) == "a<u>b");
  CHECK(of().encode("<n>").empty());
  CHECK((of().bos() == 2 && of().eos() == 2));
  for (const char* pre : {"gpt-2", "smollm", "qwen2", "llama-bpe", "llama3", "llama-v3"}) {
    v.pre = pre;
    CHECK((of().encode("a").front() == 2) == std::string_view(pre).starts_with("llama"));
  }
  v.add_bos_token = false;
  CHECK(of().encode("a") == ids{0});
  v.add_bos_token = v.add_eos_token = true;
  CHECK(of().encode("a") == ids{2, 0, 2});
  v.bos_token_id = v.eos_token_id = {};
  CHECK(of().encode("a") == ids{0});
  // Llama 3 takes a word that is a token, whatever the merges.
  v.tokens = {"a", "b", "ab"}, v.token_type = {};
  CHECK(of().encode("ab") == ids{2});
  v.pre = "gpt-2";
  CHECK(of().encode("ab") == ids{0, 1});
  gguf_vocabulary s{.model = "llama",
                    .tokens = {"<unk>", "\xe2\x96\x81", "a"},
                    .scores = {0, 0, 0},
                    .token_type = {2, 1, 1},
                    .unknown_token_id = 0};
  CHECK(tokenizer(parse_tokenizer_gguf(s, "f")).encode("xxa") == ids{1, 0, 2});  // one for several in a row
}
