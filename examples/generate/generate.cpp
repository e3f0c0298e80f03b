// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from a llama2.c checkpoint, to stdout as it comes.
#include "hone/io/llama2c.hpp"
#include "hone/io/read_tokenizer.hpp"
#include "hone/transformer/generate.hpp"
#include "support/program.hpp"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  std::string checkpoint_file, tokenizer_file, prompt;
  hone::transformer::generation_options options;
  CLI::App app("Text from a llama2.c checkpoint.", "generate");
  app.add_option("--checkpoint", checkpoint_file, "llama2.c checkpoint, version 0 or 1")->required();
  app.add_option("--tokenizer", tokenizer_file, "its tokenizer.bin or tokenizer.json")->required();
  app.add_option("--prompt", prompt, "what the text begins with");
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
    const auto checkpoint = hone::io::read_llama2c(checkpoint_file);
    const auto tokenizer = hone::io::read_tokenizer(tokenizer_file, checkpoint.config.vocab);
    if (checkpoint.nonfinite > 0)
      throw std::runtime_error(checkpoint_file + ": " + std::to_string(checkpoint.nonfinite) +
                               " parameters are not finite");
    const hone::transformer::decoder<float> model(checkpoint.config);
    const hone::transformer::generator<float> generate(model, checkpoint.parameters);

    const std::vector<std::int32_t> tokens = tokenizer.encode(prompt);
    const hone::index_t offsets[] = {0, static_cast<hone::index_t>(tokens.size())};
    std::vector<std::int32_t> stop;
    for (const auto id : {tokenizer.bos(), tokenizer.eos()})
      if (id) stop.push_back(*id);
    options.stop = stop;
    if (tokens.empty()) throw std::runtime_error("--prompt: an empty one, and the tokenizer has no begin of text");
    struct stopped_by_user {};
    const auto put = [](const std::string& shown) {
      std::fwrite(shown.data(), 1, shown.size(), stdout);
      std::fflush(stdout);
    };
    if (std::ssize(tokens) > checkpoint.config.max_seq)
      throw std::runtime_error(program::text("a prompt of %zu tokens does not fit the model's %td", tokens.size(),
                                             checkpoint.config.max_seq));
    validate(options.sampling);
    hone::io::text_stream text(tokenizer, tokens);
    std::fputs(prompt.c_str(), stdout);
    try {
      (void)generate({tokens, offsets}, options, hone::serial{}, [&](hone::index_t, std::int32_t token) {
        if (program::interrupted()) throw stopped_by_user{};
        put(text(token));
      });
    } catch (const stopped_by_user&) {
    }
    put(text.rest());
    std::fputc('\n', stdout);
    return program::interrupted() ? 130 : 0;
  });
}
