// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a run is on: a text in tokens, and the model before its first step, which is made, or a folder's.
#pragma once
#include "diffuse/corpus.hpp"
#include "diffuse/retrofit.hpp"

namespace diffuse {

/// The model that is made.
inline transformer::config shape_for(const settings& s, index_t vocab) {
  transformer::config c{.d_model = s.width,
                        .d_ff = s.expert_width,
                        .n_layers = s.layers,
                        .n_heads = s.heads,
                        .n_kv_heads = s.heads,
                        .vocab = vocab,
                        .max_seq = s.length,
                        .tie_embeddings = false,
                        .causal = false,
                        .mask_token = static_cast<std::int32_t>(vocab - 1),
                        .rope = transformer::rope_layout::half};
  c.experts = {.count = s.experts,
               .d_ff = s.expert_width,
               .shared_d_ff = s.shared * s.expert_width,
               .router = s.make_router(),
               .selection_bias = s.kind().has_bias};
  return c;
}

class setup {
 public:
  /// @throws what readers of models, tokenizers and texts throw, and std::runtime_error if they do not fit together.
  explicit setup(const settings& s) : settings_(s) {
    if (s.retrofit.empty()) {
      tokens_.emplace(!s.text.empty(), s.tokenizer);
      shape_ = shape_for(s, tokens_->vocab());
    } else {
      io::checkpoint model = program::read_finite_model(s.retrofit);
      shape_ = std::move(model.config);
      stored_ = std::move(model.parameters);
      require_retrofits(s.retrofit, shape_, s.mask_token);
      program::require(s.length <= shape_.max_seq, "--length %td: the model takes %td", s.length, shape_.max_seq);
      settings_ = on_model(s, shape_);
      if (!s.retrofit_care().keeps) require_tokens_for_experts(s.length, settings_.k, settings_.experts);
      tokens_.emplace(s.retrofit, s.tokenizer, shape_.vocab);
      program::require(!s.text.empty() || tokens_->encode(" the old fox") == std::vector<std::int32_t>{0, 8, 16},
                       "%s: its tokens are not the grammar's words: --text names what it is to learn from",
                       s.retrofit.c_str());
    }
    text_.emplace(read_corpus(s.text, *tokens_, s.length));
    program::require(!text_->has(shape_.mask_token), "%s: has token %d, which is the mask",
                     s.text.empty() ? "the grammar" : s.text.c_str(), shape_.mask_token);
    if (!s.save.empty()) program::require_holds(s.save, trained_shape(), parameters());
  }

  /// The options, those that the model has with them.
  [[nodiscard]] const settings& options() const { return settings_; }
  [[nodiscard]] const alphabet& tokens() const { return *tokens_; }
  [[nodiscard]] const corpus& text() const { return *text_; }
  /// Before the first step.
  [[nodiscard]] const transformer::config& shape() const { return shape_; }
  /// After the last.
  [[nodiscard]] transformer::config trained_shape() const {
    const care_kind& care = settings_.retrofit_care();
    return settings_.retrofit.empty() || care.keeps ? shape_ : transformer::experts_choose(shape_, care.best);
  }
  /// A folder's parameters; empty of a model that is made.
  [[nodiscard]] std::span<const float> stored() const { return stored_; }
  /// Those before the first step.
  [[nodiscard]] std::vector<float> parameters() const {
    return stored_.empty() ? transformer::initial_parameters<float>(shape_, seed_of(settings_.seed, stream::parameters))
                           : stored_;
  }

  /// Says what will be held: parameters, moments, a gradient and those of the lanes; activations of the lanes; tokens,
  /// labels and weights of a step's sequences. Of a retrofit also the model as it was and, of a homotopy, a whole
  /// step's activations, and the three that are carried over.
  void note_memory() const {
    const auto f = [](index_t x) { return static_cast<double>(x); };
    const transformer::learner_options own;
    const bool old = !stored_.empty(), homotopy = old && settings_.retrofit_care().homotopy;
    const double parameters = f(transformer::parameter_count(shape_)), lanes = f(own.lanes);
    const double copies = 4 + lanes + (old ? 1 : 0) + (homotopy ? 3 : 0);
    const double a_row =
        f(shape_.n_layers) * (8 * f(shape_.d_model) + f(shape_.experts.count) + 3 * f(shape_.experts.shared_d_ff) +
                              2 * f(shape_.experts.router.per_token * shape_.experts.d_ff)) +
        2 * f(shape_.vocab);
    const double tokens = f((std::max)(settings_.batch, settings_.held_out)) * f(settings_.length);
    const double rows = lanes * f((std::max)(shape_.max_seq, own.rows)) + (homotopy ? tokens : 0);
    std::fprintf(stderr, "%.2f million parameters, about %.0f MB of memory\n", parameters / 1e6,
                 (copies * parameters + rows * a_row + 5 * tokens) * 4 / 1e6);
  }
  /// What is not as its options seem to say, a line each.
  [[nodiscard]] std::vector<std::string> notes() const {
    using program::text;
    const settings& s = settings_;
    std::vector<std::string> lines;
    if (text_->left_out() > 0.01)
      lines.push_back(s.text + text(": %.0f %% of its bytes are left out: the tokenizer has no token for them",
                                    100 * text_->left_out()));
    const index_t held_out = std::ssize(text_->held_out(s.held_out).offsets) - 1;
    if (held_out < s.held_out)
      lines.push_back(s.text +
                      text(": its last tenth has %td sequences, fewer than --held-out %td", held_out, s.held_out));
    if (s.steps > 0 && s.steps <= s.warmup)
      lines.push_back(text("--steps %ld end within --warmup %ld: the rate does not reach --rate", s.steps, s.warmup));
    const bool choose = trained_shape().experts.router.chosen == moe::selection::column_top;
    if (choose && s.k == s.experts && s.curve() != moe::schedule::constant)
      lines.push_back(
          text("--schedule %s changes nothing: of %td experts a token has %td", s.schedule.c_str(), s.experts, s.k));
    if (!s.save.empty() && !tokens_->can_be_saved())
      lines.push_back(s.save + " gets no tokenizer.json: --sample wants --tokenizer " +
                      (s.tokenizer.empty() ? std::string("FILE") : s.tokenizer));
    return lines;
  }

 private:
  settings settings_;
  std::optional<alphabet> tokens_;
  std::optional<corpus> text_;
  transformer::config shape_;
  std::vector<float> stored_;
};

}  // namespace diffuse
