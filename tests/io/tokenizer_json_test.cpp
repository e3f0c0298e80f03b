// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Golden files: small tokenizers of every family and the ids of Hugging Face's package (golden/tokenizers_ids.py).
#include "hone/io/tokenizer_json.hpp"

#include "io/support.hpp"

using namespace hone::io;
using nlohmann::json;

namespace {

const std::filesystem::path golden = std::filesystem::path(__FILE__).parent_path() / "golden";

std::string text_of(const std::filesystem::path& path) { return to_text(read_file(path)); }

std::vector<std::string> texts() {
  std::vector<std::string> all;
  const std::string lines = text_of(golden / "texts.jsonl");
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1)
    all.push_back(json::parse(lines.substr(at, lines.find('\n', at) - at)));
  return all;
}

/// The smallest file of some interest: two letters and their pair.
json small() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 3, "content": "<e>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
              "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}})");
}

tokenizer of(const json& file) { return tokenizer(parse_tokenizer_json(file.dump(), "tokenizer.json")); }

/// @p file with the value at @p pointer replaced.
json with(json file, const std::string& pointer, json value) {
  file[json::json_pointer(pointer)] = std::move(value);
  return file;
}

std::string reason_of(const std::string& text) {
  const auto error = format_error_of([&] { (void)parse_tokenizer_json(text, "tokenizer.json"); });
  REQUIRE(error);
  CHECK(error->file() == "tokenizer.json");
  CHECK(error->where().in != position::unit::line);
  CHECK(error->where().at <= text.size());
  return error->reason();
}
std::string reason_with(const std::string& pointer, json value) {
  return reason_of(with(small(), pointer, std::move(value)).dump());
}

using ids = std::vector<token_id>;

}  // namespace

TEST_CASE("the ids and texts of every family are those of Hugging Face's tokenizers") {
  const auto lines = texts();
  CHECK(lines.size() >= 200);
  for (const std::string family : {"gpt2", "llama3", "qwen2", "smollm2", "llama2", "mistral", "metaspace"}) {
    INFO(family);
    const tokenizer t = read_tokenizer_json(golden / (family + ".json"));
    const json expected = json::parse(text_of(golden / (family + ".ids.json")));
    REQUIRE(expected["ids"].size() == lines.size());
    const auto otherwise = [&](const char* key, std::size_t i, const auto& usual) {
      const json& others = expected[key];
      return others.contains(std::to_string(i)) ? others[std::to_string(i)].get<std::decay_t<decltype(usual)>>()
                                                : usual;
    };
    for (std::size_t i = 0; i < lines.size(); ++i) {
      INFO("line " << i + 1);
      const ids all = t.encode(lines[i]), plain = t.encode(lines[i], {.add_special = false, .parse_special = false});
      REQUIRE(all == expected["ids"][i].get<ids>());
      const auto usual = static_cast<std::ptrdiff_t>((std::min)(plain.size(), all.size()));  // plain may be longer
      REQUIRE(plain == otherwise("plain", i, ids(all.end() - usual, all.end())));
      const std::string decoded = t.decode(all), expected_text = otherwise("decoded", i, lines[i]);
      REQUIRE(decoded == expected_text);
      REQUIRE(t.decode(all, false) == otherwise("decoded_with_special", i, expected_text));
    }
  }
}

TEST_CASE("byte-level tokenizers give every text back, and any bytes") {
  std::string bytes;
  for (int i = 0; i < 1024; ++i) bytes += static_cast<char>(i * i / 3 % 256);
  for (const std::string family : {"gpt2", "llama3", "smollm2"}) {
    const tokenizer t = read_tokenizer_json(golden / (family + ".json"));
    for (const std::string& line : texts())
      REQUIRE(t.decode(t.encode(line, {.add_special = false, .parse_special = false}), false) == line);
    for (std::size_t length = 0; length <= bytes.size(); length += 13)
      REQUIRE(t.decode(t.encode(bytes.substr(0, length))) == bytes.substr(0, length));
  }
  const tokenizer qwen = read_tokenizer_json(golden / "qwen2.json");
  for (const std::string& line : texts()) {
    std::string storage;
    const std::string normal(normalize_form_c(line, storage));
    REQUIRE(qwen.decode(qwen.encode(line, {.parse_special = false}), false) == normal);
  }
}

TEST_CASE("bytes that are no UTF-8 fall back on byte tokens") {
  const tokenizer t = read_tokenizer_json(golden / "mistral.json");
  for (const std::string text : {"\xff", "a\xff\xfe", "\xe2\x96 \x81", "\x80\x80\x80\x80\x80"})
    CHECK(t.decode(t.encode(text)) == text);
}

TEST_CASE("begin and end of text come from the post-processor, or the configuration beside the file") {
  CHECK(read_tokenizer_json(golden / "llama2.json").bos() == 1);
  CHECK_FALSE(read_tokenizer_json(golden / "llama2.json").eos());
  CHECK_FALSE(read_tokenizer_json(golden / "gpt2.json").bos());
  const scratch_folder folder;
  std::filesystem::copy_file(golden / "llama2.json", folder.path / "tokenizer.json");
  const auto configure = [&](const std::string& text) {
    atomic_file file(folder.path / "tokenizer_config.json");
    file.write(text);
    file.commit();
    return read_tokenizer_json(folder.path / "tokenizer.json");
  };
  CHECK(configure(R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}})").eos() == 2);
  CHECK(configure(R"({"bos_token": null})").bos() == 1);
  CHECK_THROWS_WITH(configure(R"({"eos_token": "<eos>"})"), Catch::Contains("eos_token: \"<eos>\" is no token"));
  CHECK_THROWS_WITH(configure(R"({"eos_token": 7})"), Catch::Contains("eos_token: not a string"));
  CHECK_THROWS_AS(configure("[]"), format_error);
}

TEST_CASE("prefix and suffix of one and of several templates") {
  const auto around = [](const char* before, const char* after) {
    return json{{"type", "TemplateProcessing"},
                {"single",
                 {{{"SpecialToken", {{"id", before}, {"type_id", 0}}}},
                  {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                  {{"SpecialToken", {{"id", after}, {"type_id", 0}}}}}},
                {"special_tokens", {{"x", {{"ids", {0}}}}, {"y", {{"ids", {1, 2}}}}}}};
  };
  const tokenizer one = of(with(small(), "/post_processor", around("x", "y")));
  CHECK(one.encode("b") == ids{0, 1, 1, 2});
  CHECK(one.encode("b", {.add_special = false}) == ids{1});
  CHECK(one.bos() == 0);
  CHECK(one.eos() == 2);
  const json two = {{"type", "Sequence"}, {"processors", {around("x", "y"), around("y", "x")}}};
  CHECK(of(with(small(), "/post_processor", two)).encode("b") == ids{1, 2, 0, 1, 1, 2, 0});
  for (const auto& [pointer, value] : std::vector<std::pair<std::string, json>>{{"/single", json::array()},
                                                                                {"/single/0/SpecialToken/id", "z"},
                                                                                {"/single/1/Sequence/id", "B"},
                                                                                {"/special_tokens/x/ids/0", 4},
                                                                                {"/single/0", 1}})
    CHECK_FALSE(reason_with("/post_processor", with(around("x", "y"), pointer, value)).empty());
}

TEST_CASE("unknown characters vanish, are one token each, or one in a row; some fall back on bytes") {
  CHECK(of(small()).encode("bxxaab") == ids{1, 0, 2});
  CHECK(of(small()).encode("axxb") == ids{2});
  const json known = with(with(small(), "/model/vocab/u", 4), "/model/unk_token", "u");
  CHECK(of(known).encode("axxa") == ids{0, 4, 4, 0});
  CHECK(of(with(known, "/model/fuse_unk", true)).encode("axxaxx") == ids{0, 4, 0, 4});
  // What Hugging Face's 0.23 gives where some bytes have a token and some have not.
  const json bytes = with(with(known, "/model/byte_fallback", true), "/model/vocab/<0x79>", 5);
  CHECK(of(bytes).encode("axya") == ids{0, 5, 4, 0});
  CHECK(of(bytes).encode("xyx") == ids{5, 4, 4});
}

TEST_CASE("spaces that become several characters are merged like others") {
  const json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "ab"}};
  CHECK(of(with(small(), "/normalizer", replace)).encode("a b") == ids{0, 2, 1});
  const json apart = with(with(small(), "/model/merges", json::array()), "/normalizer", replace);
  CHECK(of(apart).encode(" ") == ids{0, 1});
}

TEST_CASE("a word that is a piece is that token where merges are ignored, else only if merges lead there") {
  json file = with(small(), "/model/vocab/ba", 4);
  CHECK(of(file).encode("ba") == ids{1, 0});
  CHECK(of(with(file, "/model/ignore_merges", true)).encode("ba") == ids{4});
  CHECK(of(with(file, "/model/ignore_merges", true)).encode("baa") == ids{1, 0, 0});
}

TEST_CASE("decoders: none, metaspace, replacements and a strip") {
  CHECK(of(with(small(), "/decoder", nullptr)).decode(ids{0, 1, 3, 2}) == "a b ab");
  const json marks = with(small(), "/model/vocab", {{"_a", 0}, {"b", 1}, {"_", 2}});
  json file = with(marks, "/model/merges", json::array());
  const json meta = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}};
  CHECK(of(with(file, "/decoder", meta)).decode(ids{0, 0, 1, 2}) == "a ab ");
  CHECK(of(with(file, "/decoder", with(meta, "/prepend_scheme", "never"))).decode(ids{0, 0}) == " a a");
  const json strip = {{"type", "Sequence"},
                      {"decoders",
                       {{{"type", "Replace"}, {"pattern", {{"String", "_"}}}, {"content", " "}},
                        {{"type", "Fuse"}},
                        {{"type", "Strip"}, {"content", " "}, {"start", 2}, {"stop", 0}}}}};
  CHECK(of(with(file, "/decoder", strip)).decode(ids{2, 2, 2, 0, 1}) == "  ab");
  CHECK(of(with(file, "/decoder", strip)).decode(ids{1, 2}) == "b ");
}

TEST_CASE("holes between ids are no tokens and stand for nothing") {
  const tokenizer t = of(with(small(), "/model/vocab/c", 9));
  CHECK(t.vocab() == 10);
  CHECK(t.piece(5).empty());
  CHECK(t.decode(ids{0, 5, 9}) == "ac");
  CHECK_THROWS_AS(t.decode(ids{10}), std::invalid_argument);
}

TEST_CASE("what is not JSON, or JSON of another shape, is refused with its place") {
  CHECK(reason_of("") == "not valid JSON");
  CHECK(reason_of("{\"model\": ") == "not valid JSON");
  CHECK(reason_of("[]") == "not a JSON object");
  CHECK(reason_of("{}") == "model: missing");
  CHECK_THAT(reason_of(R"({"model": {}, "model": {}})"), Catch::Contains("twice"));
  CHECK_THAT(reason_of(R"({"model": {"vocab": {"a": 0, "a": 1}}})"), Catch::Contains("twice"));
  CHECK_THAT(reason_of(std::string(100000, '[')), Catch::Contains("deep"));
  CHECK(reason_with("/version", "2.0") == "version: the version is \"2.0\", \"1.0\" is read");
  CHECK(reason_with("/model", 1) == "model: not an object");
  CHECK(reason_with("/model/vocab", nullptr) == "model/vocab: missing");
  CHECK(reason_with("/model/vocab", json::array()) == "model/vocab: not an object");
  CHECK(reason_with("/model/merges", "a b") == "model/merges: not an array");
  CHECK(reason_with("/model/fuse_unk", 1) == "model/fuse_unk: neither true nor false");
  CHECK(reason_with("/added_tokens", json::object()) == "added_tokens: not an array");
  CHECK(reason_with("/added_tokens/0/special", nullptr) == "added_tokens/0/special: missing");
  CHECK(reason_with("/added_tokens/0/content", 1) == "added_tokens/0/content: not a string");
  const std::string text = with(small(), "/model/vocab", 1).dump();
  const auto error = format_error_of([&] { (void)parse_tokenizer_json(text, "tokenizer.json"); });
  CHECK(error->where().in == position::unit::byte);
  CHECK(error->where().at == text.find("\"vocab\""));
  const auto absent = format_error_of([] { (void)parse_tokenizer_json("{}", "tokenizer.json"); });
  CHECK(absent->what() == std::string("tokenizer.json: model: missing"));
}

TEST_CASE("ids that are no ids, too large for the number of tokens, or given twice are refused") {
  for (const json& id : std::vector<json>{-1, 1.5, "0", nullptr, true, 1000000000, 18446744073709551615u, 65536 + 8}) {
    CHECK_THAT(reason_with("/model/vocab/b", id), Catch::StartsWith("model/vocab/b: "));
    CHECK_THAT(reason_with("/added_tokens/0/id", id), Catch::StartsWith("added_tokens/0/id: "));
  }
  CHECK_NOTHROW(of(with(small(), "/model/vocab/b", 65535 + 8)));
  CHECK(reason_with("/model/vocab/b", 0) == "model/vocab: \"b\" has the id 0 of \"a\"");
  CHECK(reason_with("/added_tokens/0/id", 2) == "added_tokens/0: \"<e>\" has the id 2 of \"ab\"");
  CHECK(reason_with("/added_tokens/0/content", "a") == "added_tokens/0: \"a\" has the id 3 here and 0 in model/vocab");
  json twice = small();
  twice["added_tokens"].push_back(twice["added_tokens"][0]);
  CHECK(reason_of(twice.dump()) == "added_tokens/1: \"<e>\" comes twice");
  json none = with(with(small(), "/model/vocab", json::object()), "/added_tokens", json::array());
  CHECK(reason_of(none.dump()) == "model/vocab: no token");
}

TEST_CASE("merges that name no token, or are no pairs, are refused") {
  const auto reason = [](json merge) { return reason_with("/model/merges/0", std::move(merge)); };
  CHECK(reason("a x") == "model/merges/0: \"x\" is not in model/vocab");
  CHECK(reason({"x", "b"}) == "model/merges/0: \"x\" is not in model/vocab");
  CHECK(reason("b a") == "model/merges/0: \"ba\" is not in model/vocab");
  CHECK(reason("ab") == "model/merges/0: \"ab\" is not two tokens with a space between");
  CHECK(reason("a b c") == "model/merges/0: \"a b c\" is not two tokens with a space between");
  for (const json& merge : std::vector<json>{1, nullptr, {"a"}, {"a", "b", "c"}, {"a", 1}, json::object()})
    CHECK(reason(merge) == "model/merges/0: neither a string nor two");
}

TEST_CASE("what is not read is refused by its name") {
  for (const auto& [pointer, value, name] : std::vector<std::tuple<std::string, json, std::string>>{
           {"/model/type", "Unigram", "the model is Unigram"},
           {"/model/dropout", 0.1, "model/dropout"},
           {"/model/end_of_word_suffix", "</w>", "model/end_of_word_suffix"},
           {"/model/continuing_subword_prefix", "##", "model/continuing_subword_prefix"},
           {"/model/unk_token", "<unk>", "\"<unk>\" is not in model/vocab"},
           {"/normalizer", {{"type", "Lowercase"}}, "the normalizer Lowercase"},
           {"/normalizer",
            {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}}}},
            "normalizers/0: the normalizer NFKC"},
           {"/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "a"}}}, {"content", ""}}, "not a String"},
           {"/normalizer", {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", ""}}, "pattern: empty"},
           {"/normalizer", {{"typ", "NFC"}}, "normalizer/type: missing"},
           {"/pre_tokenizer", {{"type", "Whitespace"}}, "the pre-tokenizer Whitespace"},
           {"/pre_tokenizer",
            {{"type", "Split"}, {"pattern", {{"Regex", "\\d+"}}}, {"behavior", "Isolated"}, {"invert", false}},
            "the regular expression \\d+ is not known"},
           {"/pre_tokenizer",
            {{"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "Isolated"}, {"invert", false}},
            "not a Regex"},
           {"/pre_tokenizer",
            {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Removed"}, {"invert", false}},
            "Split with Removed"},
           {"/pre_tokenizer",
            {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}},
            "\"last\" is neither"},
           {"/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", ""}}, "replacement: not one character"},
           {"/pre_tokenizer",
            {{"type", "Sequence"}, {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}},
            "Digits after ByteLevel"},
           {"/post_processor", {{"type", "BertProcessing"}}, "the post-processor BertProcessing"},
           {"/decoder", {{"type", "WordPiece"}}, "the decoder WordPiece"},
           {"/decoder",
            {{"type", "Sequence"}, {"decoders", {{{"type", "Fuse"}}, {{"type", "ByteFallback"}}}}},
            "ByteFallback"},
           {"/decoder", {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}, "Strip"},
           {"/decoder",
            {{"type", "Sequence"},
             {"decoders", {{{"type", "Fuse"}}, {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 1}}}}},
            "stop: must be 0"}}) {
    INFO(pointer);
    CHECK_THAT(reason_with(pointer, value), Catch::Contains(name));
  }
}

TEST_CASE("patterns of the published files are known, isolated or with what lies between removed") {
  for (const known_pattern& known : known_patterns)
    for (const bool invert : {false, true}) {
      const json split = {{"type", "Split"},
                          {"pattern", {{"Regex", known.text}}},
                          {"behavior", invert ? "Removed" : "Isolated"},
                          {"invert", invert}};
      CHECK(of(with(small(), "/pre_tokenizer", split)).encode("ab ab") == ids{2, 2});
    }
}

TEST_CASE("a tokenizer.json cut short anywhere is refused") {
  const std::string text = small().dump();
  for (std::size_t length = 0; length < text.size(); ++length)
    REQUIRE(format_error_of([&] { (void)parse_tokenizer_json(text.substr(0, length), "tokenizer.json"); }));
}

TEST_CASE("a megabyte of one letter, a word without end, is encoded") {
  const std::string letters(1 << 20, 'a');
  for (const std::string family : {"gpt2", "qwen2", "llama2", "mistral"}) {
    const tokenizer t = read_tokenizer_json(golden / (family + ".json"));
    CHECK(t.decode(t.encode(letters)) == letters);
  }
}

TEST_CASE("fields that may be missing have the defaults of Hugging Face's package") {
  json bare = small();
  for (const char* key : {"version", "normalizer", "pre_tokenizer", "post_processor", "added_tokens"}) bare.erase(key);
  for (const char* key : {"type", "dropout", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges"})
    bare["model"].erase(key);
  CHECK(of(bare).encode("ab") == ids{2});
  CHECK(of(with(small(), "/model/dropout", 0.0)).encode("ab") == ids{2});
  // ByteLevel: a space in front, and words of a regular expression.
  json level = with(small(), "/model/vocab", {{"a", 0}, {"b", 1}, {"\u0120", 2}, {"a\u0120", 4}});
  level["model"]["merges"] = json::array({json::array({"a", "\u0120"})});
  level["pre_tokenizer"] = {{"type", "ByteLevel"}};
  CHECK(of(level).encode("a b") == ids{2, 0, 2, 1});
  CHECK(of(with(level, "/pre_tokenizer/add_prefix_space", false)).encode("a b") == ids{0, 2, 1});
  CHECK(of(with(level, "/pre_tokenizer/use_regex", false)).encode("a b") == ids{2, 4, 1});
  CHECK(reason_of(with(level, "/model/byte_fallback", true).dump()) ==
        "model/byte_fallback: not read together with ByteLevel");
  // Metaspace: marks in front of every piece, cut before each.
  json meta = with(small(), "/model/vocab", {{"a", 0}, {"_", 1}, {"_a", 2}, {"a_", 4}});
  meta["model"]["merges"] = json::array({json::array({"a", "_"}), json::array({"_", "a"})});
  meta["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}};
  CHECK(of(meta).encode("a a") == ids{2, 2});
  CHECK(of(with(meta, "/pre_tokenizer/split", false)).encode("a a") == ids{1, 4, 0});
  CHECK(of(with(meta, "/pre_tokenizer/add_prefix_space", false)).encode("a a") == ids{0, 2});
  json digits = with(with(small(), "/model/vocab/1", 4), "/model/vocab/11", 5);
  digits["model"]["merges"].push_back(json::array({"1", "1"}));
  digits["pre_tokenizer"] = {{"type", "Digits"}};
  CHECK(of(digits).encode("11") == ids{5});
  CHECK(of(with(digits, "/pre_tokenizer/individual_digits", true)).encode("11") == ids{4, 4});
}

TEST_CASE("a strip of nothing, a replacement of two characters and a file that is too large are refused") {
  const json strip = {
      {"type", "Sequence"},
      {"decoders", {{{"type", "Fuse"}}, {{"type", "Strip"}, {"content", ""}, {"start", 1}, {"stop", 0}}}}};
  CHECK_THAT(reason_with("/decoder", strip), Catch::Contains("content: empty"));
  CHECK_THAT(reason_with("/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "ab"}}),
             Catch::Contains("replacement: not one character"));
  const scratch_folder folder;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    write_bytes(folder.path / "tokenizer.json", to_bytes(small().dump()));
    write_bytes(folder.path / name, {});
    std::filesystem::resize_file(folder.path / name, (std::uint64_t{1} << 28) + 1);
    CHECK_THROWS_WITH(read_tokenizer_json(folder.path / "tokenizer.json"),
                      Catch::Contains(std::string(name) + ": the file has 268435457 bytes, at most 268435456 are"));
  }
}
