// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Text from a model of a folder: masks become tokens step by step, shown where they are on a terminal, and a line a
/// step elsewhere.
#pragma once
#include "diffuse/alphabet.hpp"
#include "diffuse/corpus.hpp"
#include "diffuse/settings.hpp"
#include "hone/transformer/denoise.hpp"

namespace diffuse {

/// A text that changes, on stderr: drawn over on a terminal, elsewhere a line each time.
class canvas_view {
 public:
  void show(index_t step, index_t masked, const std::string& text) {
    if (!terminal_) {
      std::string line;
      for (const char c : text) line += c == '\n' ? ' ' : c;
      std::fprintf(stderr, "step %td, %td masked: %s\n", step, masked, line.c_str());
      return;
    }
    erase();
    std::fputs(text.c_str(), stderr);
    winsize size{};
    const std::size_t width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    std::size_t column = 0;
    for (const char c : text) {
      if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) continue;
      if (c == '\n' || column == width) ++lines_, column = 0;
      if (c != '\n') ++column;
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

/// The text of @p ids, a dot for each mask.
inline std::string text_with_masks(const alphabet& of, std::span<const std::int32_t> ids, std::int32_t mask) {
  std::string text;
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t end = i;
    while (end < ids.size() && ids[end] != mask) ++end;
    text += program::text_of(of.tokens(), ids.subspan(i, end - i));
    for (i = end; i < ids.size() && ids[i] == mask; ++i) text += "\xc2\xb7";
  }
  return text;
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

/// Writes --samples texts to stdout. @param told whether --length was. @throws std::runtime_error and what readers do.
inline int write_text(const settings& s, bool told) {
  io::checkpoint model = program::read_finite_model(s.sample);
  transformer::config& c = model.config;
  program::require(!c.causal, "%s: a model that writes from left to right, as `generate` does", s.sample.c_str());
  program::require(c.mask_token >= 0 || s.mask_token, "%s: does not say which token is the mask (--mask-token does)",
                   s.sample.c_str());
  if (s.mask_token) {
    program::require(*s.mask_token < c.vocab, "--mask-token %td: the vocabulary has %td", *s.mask_token, c.vocab);
    c.mask_token = static_cast<std::int32_t>(*s.mask_token);
  }
  const alphabet tokens(s.sample, s.tokenizer, c.vocab);
  const std::vector<std::int32_t> prompt = tokens_of_prompt(tokens, s.prompt);
  const index_t room = c.max_seq - std::ssize(prompt), length = told ? s.length : room;
  program::require(length >= 1 && length <= room,
                   "--length %td: after a prompt of %td tokens the model has room for %td", length, std::ssize(prompt),
                   (std::max)(room, index_t{0}));
  transformer::denoise_options how = how_to_denoise(s, length);
  std::vector<index_t> budget;
  if (s.curve() != moe::schedule::constant) {
    program::require(c.experts.count > 0 && c.experts.router.chosen == moe::selection::column_top,
                     "--schedule %s: no experts of %s choose", s.schedule.c_str(), s.sample.c_str());
    const index_t whole = std::ssize(prompt) + length, pool = c.block > 0 ? (std::min)(c.block, whole) : whole;
    program::require(whole % pool == 0,
                     "--schedule %s: experts choose in blocks of %td tokens, of which %td of the prompt and %td to be "
                     "made are no whole number",
                     s.schedule.c_str(), pool, std::ssize(prompt), length);
    how.capacities.budget = budget = s.budget_of(pool, c.experts.router.per_token, c.experts.count);
  }
  const transformer::decoder<float> decoder(c);
  const transformer::denoiser<float> denoise(decoder, model.parameters);
  canvas_view view;
  for (index_t i = 0; i < s.samples && !program::interrupted(); ++i) {
    transformer::token_rows rows;
    rows.add(prompt);
    how.first_sequence = static_cast<std::uint32_t>(i);
    const auto made = denoise(rows.batch(), how, hone::serial{}, [&](const transformer::denoise_step& step) {
      view.show(step.step + 1, step.masked, s.prompt + text_with_masks(tokens, step.answer, c.mask_token));
      return !program::interrupted();
    });
    view.erase();
    std::printf("%s%s\n", s.prompt.c_str(), text_with_masks(tokens, made[0].tokens, c.mask_token).c_str());
    std::fprintf(stderr, "%td tokens in %td steps, %td passes\n", length, made[0].steps, made[0].passes);
  }
  return program::interrupted() ? 130 : 0;
}

}  // namespace diffuse
