// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Lines of stdin to ids, or back.
#include "hone/io/read_tokenizer.hpp"
#include "support/program.hpp"
#include "support/seems.hpp"

#include <charconv>
#include <limits>

#include <CLI/CLI.hpp>

namespace {

/// The next line without its end, which may be the file's; false if there is none.
bool read_line(std::string& line) {
  line.clear();
  for (;;) {
    const int c = std::getc(stdin);
    if (program::interrupted()) return false;
    if (c == EOF && std::ferror(stdin) != 0) throw std::runtime_error("standard input cannot be read");
    if (c == '\n' || c == EOF) return c == '\n' || !line.empty();
    line += static_cast<char>(c);
  }
}

[[noreturn]] void fail(long number, const std::string& reason) {
  throw std::runtime_error("line " + std::to_string(number) + ": " + reason);
}

nlohmann::json json_of(const std::string& line, long number) {
  return hone::io::parse_json(line, "line " + std::to_string(number)).root;
}

/// Ids between spaces, or a JSON array of them.
std::vector<hone::io::token_id> ids_of(const std::string& line, bool json, long number) {
  std::vector<hone::io::token_id> ids;
  if (json) {
    const nlohmann::json array = json_of(line, number);
    if (!array.is_array()) fail(number, "not an array");
    for (const auto& id : array) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > (std::numeric_limits<hone::io::token_id>::max)())
        fail(number, "holds something other than ids");
      ids.push_back(id.get<hone::io::token_id>());
    }
    return ids;
  }
  const char* at = line.data();
  const char* const end = at + line.size();
  const auto skip_spaces = [&] {
    while (at != end && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
  };
  for (skip_spaces(); at != end; skip_spaces()) {
    const auto [next, error] = std::from_chars(at, end, ids.emplace_back());
    if (error != std::errc() || (next != end && *next != ' ' && *next != '\t' && *next != '\r'))
      fail(number, "holds something other than ids");
    at = next;
  }
  return ids;
}

void put(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::string tokenizer_file;
  bool decode = false, special = false, plain = false, json = false, pieces = false;
  CLI::App app("Lines of standard input to ids, a line of them each, or back.", "tokenize");
  app.add_option("--tokenizer", tokenizer_file, "tokenizer.json, or llama2.c's tokenizer.bin")->required();
  auto* backwards = app.add_flag("--decode", decode, "ids to text");
  app.add_flag("--special", special, "with what the tokenizer puts around a text; decoding, with special tokens");
  app.add_flag("--plain", plain, "special tokens that a text spells out are plain text")->excludes(backwards);
  app.add_flag("--pieces", pieces, "the tokens as they are stored, not their ids")->excludes(backwards);
  app.add_flag("--json", json, "lines are JSON: strings and arrays, so that a text may hold line ends");
  app.footer(
      "A text comes back as it was from --special and --decode. Without --special some tokenizers, tokenizer.bin's "
      "among "
      "them, leave the space in front that they put before every text.");
  CLI11_PARSE(app, argc, argv);

  return program::run("tokenize", [&] {
    const hone::io::tokenizer tokenizer = program::saying_what_it_seems(
        tokenizer_file, "tokenizer", [&] { return hone::io::read_tokenizer(tokenizer_file); });
    const auto dump = [](const nlohmann::json& value) {
      return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    };
    std::string line;
    for (long number = 1; std::ferror(stdout) == 0 && read_line(line); ++number) {
      if (decode) {
        const auto ids = ids_of(line, json, number);
        for (const auto id : ids)
          if (id < 0 || id >= tokenizer.vocab())
            fail(number, std::to_string(id) + " is no id from 0 to " + std::to_string(tokenizer.vocab() - 1));
        const std::string text = tokenizer.decode(ids, !special);
        put(json ? dump(text) : text);
        continue;
      }
      if (json) {
        const nlohmann::json text = json_of(line, number);
        if (!text.is_string()) fail(number, "not a string");
        line = text.get<std::string>();
      }
      nlohmann::json out = nlohmann::json::array();
      for (const auto id : tokenizer.encode(line, {.add_special = special, .parse_special = !plain})) {
        if (pieces)
          out.push_back(tokenizer.piece(id));
        else
          out.push_back(id);
      }
      std::string shown;
      if (!json)
        for (const auto& item : out)
          shown += (shown.empty() ? "" : " ") + (pieces ? item.get<std::string>() : item.dump());
      put(json ? dump(out) : shown);
    }
    return program::interrupted() ? 130 : 0;
  });
}
