// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Somebody's own prompts as a task for a model with a tokenizer.
#pragma once
#include "hone/io/pair_codec.hpp"
#include "hone/io/prompts.hpp"
#include "support/files.hpp"
#include "support/tasks/task.hpp"

namespace reason {

using namespace tasks;

class questions final : public task {
 public:
  /// @param form of a prompt, "{}" where the line's own goes. The first @p held_out prompts are never drawn.
  /// @throws std::runtime_error if one leaves no room for an answer in the model's context, or none is left to learn
  ///         from.
  questions(std::vector<hone::io::prompt> all, const hone::io::tokenizer& tokenizer, const std::string& name,
            const std::string& form, index_t held_out, index_t longest, index_t max_seq)
      : all_(std::move(all)), tokenizer_(tokenizer), codec_(hone::io::question_answer_codec(tokenizer, name)),
        held_out_(held_out), longest_response_(longest), max_seq_(max_seq) {
    if (std::ssize(all_) <= held_out)
      throw std::runtime_error("--held-out " + std::to_string(held_out) + ": leaves none of " +
                               std::to_string(all_.size()) + " prompts to learn from");
    for (index_t id = 0; id < tokenizer.vocab(); ++id)
      words_.emplace_back(tokenizer.piece(static_cast<hone::io::token_id>(id)));
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (all_[i].text.empty()) throw std::runtime_error("prompt " + std::to_string(i + 1) + " is empty");
      std::string text = form;
      if (const auto at = text.find("{}"); at != std::string::npos) text.replace(at, 2, all_[i].text);
      std::vector<std::int32_t> ids = codec_.begin;
      const auto encoded = tokenizer.encode(text, {false, false});
      ids.insert(ids.end(), encoded.begin(), encoded.end());
      if (std::ssize(ids) >= max_seq)
        throw std::runtime_error("prompt " + std::to_string(i + 1) + " has " + std::to_string(ids.size()) +
                                 " tokens, the model takes " + std::to_string(max_seq) + " with the answer");
      longest_prompt_ = (std::max)(longest_prompt_, static_cast<index_t>(ids.size()));
      prompts_.push_back(std::move(ids));
    }
  }

  [[nodiscard]] const std::vector<std::string>& words() const override { return words_; }
  [[nodiscard]] std::int32_t stop() const override { return codec_.end; }
  [[nodiscard]] index_t longest_prompt() const override { return longest_prompt_; }
  [[nodiscard]] index_t longest_response() const override { return longest_response_; }

  /// Prompt @p number of the file.
  [[nodiscard]] problem numbered(std::size_t number) const {
    return {prompts_[number], {static_cast<std::int64_t>(number)}};
  }
  [[nodiscard]] problem draw(std::uint64_t seed, std::uint64_t number) const override {
    draws random(seed, 0x717500, number);
    return numbered(static_cast<std::size_t>(held_out_ + random.below(std::ssize(all_) - held_out_)));
  }
  /// The answer alone, in the form that a working would end in.
  [[nodiscard]] std::vector<std::int32_t> trace(const problem& p, std::uint64_t, std::uint64_t) const override {
    const hone::eval::expected_answer& a = answer_to(p);
    std::vector<std::int32_t> ids = codec_.answer((a.number ? "#### " : "") + a.text);
    const index_t most = (std::min)(longest_response_, max_seq_ - std::ssize(p.prompt));
    if (std::ssize(ids) >= most) ids.resize(static_cast<std::size_t>(most) - 1);
    ids.push_back(stop());
    return ids;
  }
  [[nodiscard]] verdict check(const problem& p, std::span<const std::int32_t> response) const override {
    return hone::eval::score_answer(answer_to(p), program::text_of(tokenizer_, response)) > 0 ? verdict{1, 1}
                                                                                              : verdict{};
  }
  [[nodiscard]] double solutions(const problem&) const override { return 1; }

 private:
  [[nodiscard]] const hone::eval::expected_answer& answer_to(const problem& p) const {
    return all_[static_cast<std::size_t>(p.hidden[0])].answer;
  }

  std::vector<hone::io::prompt> all_;
  const hone::io::tokenizer& tokenizer_;
  hone::io::pair_codec codec_;
  index_t held_out_, longest_response_, max_seq_, longest_prompt_ = 0;
  std::vector<std::string> words_;
  std::vector<std::vector<std::int32_t>> prompts_;
};

}  // namespace reason
