// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from a model, to stdout as it comes: a Hugging Face folder, a GGUF file or a llama2.c checkpoint.
#include "hone/transformer/generate.hpp"
#include "support/files.hpp"
#include "support/idle.hpp"
#include "support/options.hpp"
#include "support/program.hpp"

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

struct settings {
  std::string model, tokenizer, prompt, logits;
  tokens ids;
  hone::transformer::generation_options how;
};

/// A row for every option.
program::options options_of(settings& s) {
  using namespace program;
  options row;
  row("--model,--checkpoint", s.model, "Hugging Face folder, GGUF file, or llama2.c checkpoint");
  row("--tokenizer", s.tokenizer, "its tokenizer.json or tokenizer.bin; else the one that the model brings along");
  row("--prompt", s.prompt, "what the text begins with", CLI::Validator(""));
  row("--ids", s.ids, "the prompt as token ids, 1,2,3; the text is then printed as ids", at_least(0, most_count));
  row("--logits", s.logits, "JSON file for the logits after the prompt");
  row("--tokens", s.how.max_tokens, "how many tokens to add, at most", at_least(0, most_count));
  row("--temperature", s.how.sampling.temperature, "of the draws; 0: the likeliest token every time",
      at_least(0, most_weight));
  row("--top-k", s.how.sampling.top_k, "draw among the k likeliest; 0: all", at_least(0, most_count));
  row("--top-p", s.how.sampling.top_p, "draw among the fewest that reach this probability", above(0, 1));
  row("--seed", s.how.sampling.seed, "of the draws");
  return row;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App app("Text from a model.", "generate");
  options_of(s).declare(app);
  app.get_option("--model")->required();
  for (const char* option : {"--tokenizer", "--prompt"}) app.get_option("--ids")->excludes(app.get_option(option));
  CLI11_PARSE(app, argc, argv);

  return program::run("generate", [&] {
    program::refuse_idle_on(
        app, {{"a --temperature above 0", s.how.sampling.temperature > 0, {"--top-k", "--top-p", "--seed"}}});
    if (s.ids.empty()) program::require_tokenizer(s.model, s.tokenizer);
    program::require_outputs({{"--logits", s.logits}}, {s.model, s.tokenizer});
    tokens& ids = s.ids;
    auto model = program::read_finite_model(s.model);
    hone::transformer::config& c = model.config;
    std::optional<hone::io::tokenizer> tokenizer;
    if (ids.empty()) tokenizer = program::read_tokenizer(s.model, s.tokenizer, c.vocab);
    if (tokenizer) ids = tokenizer->encode(s.prompt);
    if (ids.empty()) throw std::runtime_error("--prompt: an empty one, and the tokenizer has no begin of text");
    for (const std::int32_t id : ids)
      if (id < 0 || id >= c.vocab)
        throw std::runtime_error(program::text("--ids: %d is not in the model's vocabulary of %td", id, c.vocab));
    if (std::ssize(ids) > c.max_seq)
      throw std::runtime_error(
          program::text("a prompt of %zu tokens does not fit the model's %td", ids.size(), c.max_seq));
    const hone::index_t context = c.max_seq;
    // Tables are as long as the longest sequence: no longer than what is asked for.
    c.max_seq = (std::min)(c.max_seq, std::ssize(ids) + (std::min)(s.how.max_tokens, c.max_seq));
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
    s.how.stop = stop;
    struct stopped_by_user {};
    const auto put = [](const std::string& shown) {
      std::fwrite(shown.data(), 1, shown.size(), stdout);
      std::fflush(stdout);
    };
    if (!s.logits.empty()) write_logits(s.logits, generate, c, ids);
    std::fputs(s.prompt.c_str(), stdout);
    bool context_is_full = false;
    try {
      const auto said = generate({ids, offsets}, s.how, hone::serial{}, [&](hone::index_t, std::int32_t token) {
        if (program::interrupted()) throw stopped_by_user{};
        if (!text)
          put(std::to_string(token) + " ");
        else if (token < tokenizer->vocab())
          put((*text)(token));
        else  // the vocabulary of a model is often padded
          put(text->rest() + program::unknown_character);
      });
      context_is_full = !said[0].stopped && std::ssize(said[0].tokens) < s.how.max_tokens;
    } catch (const stopped_by_user&) {
    }
    if (text) put(text->rest());
    std::fputc('\n', stdout);
    if (context_is_full)
      std::fprintf(stderr, "note: ends where the model's context of %td tokens is full, before --tokens %td\n", context,
                   s.how.max_tokens);
    return program::interrupted() ? 130 : 0;
  });
}
