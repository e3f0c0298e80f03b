// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from a model, to stdout as it comes: a Hugging Face folder, a GGUF file or a llama2.c checkpoint.
#include "hone/transformer/generate.hpp"
#include "support/files.hpp"
#include "support/program.hpp"

#include <CLI/CLI.hpp>

#include <cmath>
#include <optional>

namespace {

using tokens = std::vector<std::int32_t>;

/// The logits after the prompt, as {"ids": […], "logits": […]}.
void write_logits(const std::string& file_name, const hone::transformer::generator<float>& generate,
                  const hone::transformer::config& c, const tokens& prompt) {
  std::vector<float> logits(static_cast<std::size_t>(c.vocab));
  hone::transformer::kv_cache<float> cache(c, std::ssize(prompt));
  generate.feed(prompt, cache, {logits.data(), 1, c.vocab});
  hone::io::atomic_file file(file_name);
  file.write(nlohmann::json{{"ids", prompt}, {"logits", logits}}.dump() + "\n");
  file.commit();
}

}  // namespace

int main(int argc, char** argv) {
  std::string model_path, tokenizer_file, prompt, logits_file;
  tokens ids;
  hone::transformer::generation_options options;
  CLI::App app("Text from a model.", "generate");
  app.add_option("--model,--checkpoint", model_path, "Hugging Face folder, GGUF file, or llama2.c checkpoint")
      ->required();
  auto* tokenizer_option = app.add_option(
      "--tokenizer", tokenizer_file, "its tokenizer.bin or tokenizer.json; else the one that the model brings along");
  auto* prompt_option = app.add_option("--prompt", prompt, "what the text begins with");
  app.add_option("--ids", ids, "the prompt as token ids, 1,2,3; the text is then printed as ids")
      ->delimiter(',')
      ->excludes(tokenizer_option)
      ->excludes(prompt_option);
  app.add_option("--logits", logits_file, "JSON file for the logits after the prompt");
  app.add_option("--tokens", options.max_tokens, "how many tokens to add")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--temperature", options.sampling.temperature, "0: the likeliest token every time")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--top-k", options.sampling.top_k, "draw among the k likeliest; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--top-p", options.sampling.top_p, "draw among the fewest that reach this probability")
      ->capture_default_str();
  app.add_option("--seed", options.sampling.seed, "of the draws")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  return program::run("generate", [&] {
    if (!std::isfinite(options.sampling.temperature)) throw std::runtime_error("--temperature: is not a finite number");
    if (!(options.sampling.top_p > 0 && options.sampling.top_p <= 1))
      throw std::runtime_error("--top-p: must be above 0 and at most 1");
    auto model = program::read_finite_model(model_path);
    hone::transformer::config& c = model.config;
    std::optional<hone::io::tokenizer> tokenizer;
    if (ids.empty()) tokenizer = hone::io::read_tokenizer(model_path, tokenizer_file, c.vocab);
    if (tokenizer) ids = tokenizer->encode(prompt);
    if (ids.empty()) throw std::runtime_error("--prompt: an empty one, and the tokenizer has no begin of text");
    for (const std::int32_t id : ids)
      if (id < 0 || id >= c.vocab)
        throw std::runtime_error(program::text("--ids: %d is not in the model's vocabulary of %td", id, c.vocab));
    if (std::ssize(ids) > c.max_seq)
      throw std::runtime_error(
          program::text("a prompt of %zu tokens does not fit the model's %td", ids.size(), c.max_seq));
    // Tables are as long as the longest sequence: no longer than what is asked for.
    c.max_seq = (std::min)(c.max_seq, std::ssize(ids) + (std::min)(options.max_tokens, c.max_seq));
    const hone::transformer::decoder<float> decoder(c);
    const hone::transformer::generator<float> generate(decoder, model.parameters);
    const hone::index_t offsets[] = {0, std::ssize(ids)};
    tokens stop;
    std::optional<hone::io::text_stream> text;
    if (tokenizer) {
      text.emplace(*tokenizer, ids);
      for (const auto id : {tokenizer->bos(), tokenizer->eos()})
        if (id) stop.push_back(*id);
    }
    options.stop = stop;
    struct stopped_by_user {};
    const auto put = [](const std::string& shown) {
      std::fwrite(shown.data(), 1, shown.size(), stdout);
      std::fflush(stdout);
    };
    if (!logits_file.empty()) write_logits(logits_file, generate, c, ids);
    std::fputs(prompt.c_str(), stdout);
    try {
      (void)generate({ids, offsets}, options, hone::serial{}, [&](hone::index_t, std::int32_t token) {
        if (program::interrupted()) throw stopped_by_user{};
        put(text ? (*text)(token) : std::to_string(token) + " ");
      });
    } catch (const stopped_by_user&) {
    }
    if (text) put(text->rest());
    std::fputc('\n', stdout);
    return program::interrupted() ? 130 : 0;
  });
}
