// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from a model of a folder: masks become tokens step by step, shown where they are on a terminal, and a line a
/// step elsewhere.
#pragma once
#include "diffuse/alphabet.hpp"
#include "diffuse/corpus.hpp"
#include "diffuse/model.hpp"
#include "hone/eval/multiple_choice.hpp"
#include "hone/transformer/denoise.hpp"

namespace diffuse {

/// A text that changes, on stderr: drawn over on a terminal, elsewhere a line each time.
class canvas_view {
 public:
  void show(index_t step, index_t masked, const std::string& text) {
    if (!terminal_) {
      std::fprintf(stderr, "step %td, %td masked: %s\n", step, masked, program::one_line(text).c_str());
      return;
    }
    erase();
    const std::size_t width = program::columns();
    for (std::size_t at = 0; at <= text.size();) {  // line by line: what else is no character stays off the terminal
      const std::size_t end = (std::min)(text.find('\n', at), text.size());
      const std::string line = program::one_line(text.substr(at, end - at));
      std::fprintf(stderr, "%s%s", at > 0 ? "\n" : "", line.c_str());
      const auto columns = static_cast<std::size_t>(hone::eval::count_characters(line));
      lines_ += (at > 0 ? 1 : 0) + (columns > 0 ? (columns - 1) / width : 0);
      at = end + 1;
    }
    drawn_ = true;
  }
  /// Takes away what was drawn.
  void erase() {
    if (!drawn_) return;
    if (lines_ > 0) std::fprintf(stderr, "\033[%zuA", lines_);
    std::fputs("\r\033[J", stderr);
    lines_ = 0;
    drawn_ = false;
  }

 private:
  bool terminal_ = isatty(STDERR_FILENO) != 0, drawn_ = false;
  std::size_t lines_ = 0;  ///< below the first
};

/// What @p answer says after @p prompt, a dot for each mask.
inline std::string text_after(const io::tokenizer& of, std::span<const std::int32_t> prompt,
                              std::span<const std::int32_t> answer, std::int32_t mask) {
  std::string text;
  io::tokenizer::decoder_state state;  // one for both: the first token of a text may lose its space
  for (const std::int32_t id : prompt) program::append_text(of, id, state, text);
  const std::size_t begin = text.size();
  for (const std::int32_t id : answer)
    if (id == mask)
      text += "\xc2\xb7";
    else
      program::append_text(of, id, state, text);
  return text.substr(begin);
}

/// @throws std::runtime_error unless the tokens of @p prompt say it again.
inline std::vector<std::int32_t> tokens_of_prompt(const alphabet& of, const std::string& prompt) {
  const std::vector<std::int32_t> ids = of.encode(prompt);
  const std::string again = program::text_of(of.tokens(), ids);
  program::require(again == prompt || again == " " + prompt,
                   "--prompt: \"%.40s\" has what the tokenizer has no token for", prompt.c_str());
  return ids;
}

/// What the options say of one text of @p length tokens. @throws std::runtime_error, in the words of the command line.
inline transformer::denoise_options how_to_denoise(const settings& s, index_t length) {
  program::require(s.block == 0 || length % s.block == 0, "--block %td does not divide the %td tokens to be made",
                   s.block, length);
  const index_t blocks = s.block > 0 ? length / s.block : 1;
  const bool as_needed = s.threshold || s.order == "entropy_bound";
  const index_t steps = as_needed ? 0 : s.denoising_steps > 0 ? s.denoising_steps : length;
  program::require(steps % blocks == 0, "--denoising-steps %td: %td blocks do not divide them", steps, blocks);
  return {.length = length,
          .block = s.block,
          .steps = steps,
          .sampler = {.by = s.threshold ? diffusion::order::threshold : program::find(orders, s.order).is,
                      .sampling = {.temperature = s.temperature, .seed = seed_of(s.seed, stream::sampling)},
                      .threshold = s.threshold.value_or(0.9),
                      .gamma = s.gamma.value_or(0.1)},
          .guidance = s.guidance};
}

/// What experts that choose take of a canvas of @p prompt and @p length tokens; empty: what the router says.
/// @throws std::runtime_error where a schedule has no canvas that it is of.
inline std::vector<index_t> budget_of_canvas(const settings& s, const transformer::config& c, index_t prompt,
                                             index_t length) {
  const bool choose = c.experts.count > 0 && c.experts.router.chosen == moe::selection::column_top;
  const bool follows = s.curve() != moe::schedule::constant;
  program::require(choose || !follows, "--schedule %s: no experts of %s choose", s.schedule.c_str(), s.sample.c_str());
  if (!choose) return {};
  const index_t whole = prompt + length, pool = c.block > 0 ? (std::min)(c.block, whole) : whole;
  program::require(whole % pool == 0 || !follows,
                   "--schedule %s: experts choose in blocks of %td tokens, of which %td of the prompt and %td to be "
                   "made are no whole number",
                   s.schedule.c_str(), pool, prompt, length);
  if (whole % pool != 0) return {};
  const index_t k = c.experts.router.per_token, experts = c.experts.count;
  if (k * pool < experts)
    std::fprintf(stderr, "note: each of %td experts takes one of %td tokens: %.1f experts a token, not %td\n", experts,
                 pool, static_cast<double>(experts) / static_cast<double>(pool), k);
  if (follows && k == experts)
    std::fprintf(stderr, "note: --schedule %s changes nothing: of %td experts a token has %td\n", s.schedule.c_str(),
                 experts, k);
  return s.budget_of(pool, k, experts);
}

/// Writes --samples texts to stdout. @param told whether --length was. @throws std::runtime_error and what readers do.
inline int write_text(const settings& s, bool told) {
  io::checkpoint model = program::read_finite_model(s.sample);
  transformer::config& c = model.config;
  require_masked_diffusion(s.sample, c, s.mask_token);
  const alphabet tokens(s.sample, s.tokenizer, c.vocab);
  const std::vector<std::int32_t> prompt = tokens_of_prompt(tokens, s.prompt);
  const index_t room = c.max_seq - std::ssize(prompt), length = told ? s.length : room;
  program::require(length >= 1 && length <= room,
                   "--length %td: after a prompt of %td tokens the model has room for %td", length, std::ssize(prompt),
                   (std::max)(room, index_t{0}));
  transformer::denoise_options how = how_to_denoise(s, length);
  if (how.steps > length && s.order != "ancestral")
    std::fprintf(stderr, "note: --denoising-steps %td: %td tokens take %td\n", how.steps, length, length);
  const std::vector<index_t> budget = budget_of_canvas(s, c, std::ssize(prompt), length);
  how.capacities.budget = budget;
  const transformer::decoder<float> decoder(c);
  const transformer::denoiser<float> denoise(decoder, model.parameters);
  canvas_view view;
  for (index_t i = 0; i < s.samples && !program::interrupted(); ++i) {
    transformer::token_rows rows;
    rows.add(prompt);
    how.first_sequence = static_cast<std::uint32_t>(i);
    index_t left = length;
    const auto text_of = [&](std::span<const std::int32_t> answer) {
      return s.prompt + text_after(tokens.tokens(), prompt, answer, c.mask_token);
    };
    const auto made = denoise(rows.batch(), how, hone::serial{}, [&](const transformer::denoise_step& step) {
      left = step.masked;
      view.show(step.step + 1, step.masked, text_of(step.answer));
      return left == 0 || !program::interrupted();
    });
    view.erase();
    if (left > 0) {
      std::fprintf(stderr, "interrupted with %td of %td tokens still masked\n", left, length);
      return 130;
    }
    std::printf("%s\n", text_of(made[0].tokens).c_str());
    std::fprintf(stderr, "%td tokens in %td steps, %td passes\n", length, made[0].steps, made[0].passes);
    if (i + 1 == s.samples) return 0;
  }
  return 130;  // between two texts
}

}  // namespace diffuse
