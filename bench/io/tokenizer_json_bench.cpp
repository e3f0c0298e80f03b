// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Encoding and decoding a megabyte with each family's pipeline. The vocabularies are the tests' (some hundred tokens,
/// so that nearly every word is merged; a published one, which knows most words, is no slower), the text their English
/// and code, or their other languages, over and over.
#include "hone/io/tokenizer_json.hpp"

#include "support/roof.hpp"

#include <numeric>

namespace {

const std::filesystem::path golden = std::filesystem::path(__FILE__).parent_path() / "../../tests/io/golden";

/// bench/peers/tokenizers_python.py makes the same.
std::string text_of(bool english) {
  const auto bytes = hone::io::read_file(golden / "texts.jsonl");
  std::string_view lines(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string some, text;
  for (int i = 0; i < 105; ++i) {
    const std::size_t end = lines.find('\n');
    if ((i < 31) == english) some += nlohmann::json::parse(lines.substr(0, end)).get<std::string>() + "\n";
    lines.remove_prefix(end + 1);
  }
  while (text.size() < 1 << 20) text += some;
  return text;
}

/// The roof is one read of the text.
void run(benchmark::State& state, const std::string& family, bool english, bool decode) {
  const hone::io::tokenizer t = hone::io::read_tokenizer_json(golden / (family + ".json"));
  const std::string text = text_of(english);
  const auto ids = t.encode(text);
  const auto read = [&] { benchmark::DoNotOptimize(std::accumulate(text.begin(), text.end(), 0)); };
  const auto bytes = static_cast<double>(text.size());
  if (decode)
    against_roof(state, bytes, [&] { benchmark::DoNotOptimize(t.decode(ids)); }, read);
  else
    against_roof(state, bytes, [&] { benchmark::DoNotOptimize(t.encode(text)); }, read);
}

[[maybe_unused]] const bool registered = [] {
  for (const std::string family : {"gpt2", "llama3", "qwen2", "smollm2", "llama2"})
    for (const bool decode : {false, true})
      for (const bool english : {true, false})
        benchmark::RegisterBenchmark(
            ((decode ? "decode_" : "encode_") + family + (english ? "/english" : "/languages")).c_str(),
            [=](benchmark::State& state) { run(state, family, english, decode); })
            ->UseManualTime();
  return true;
}();

}  // namespace
