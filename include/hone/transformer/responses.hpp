// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Responses drawn from a policy, with their rewards, as rows of a decoder: what reinforcement learning begins with.
#pragma once
#include "hone/policy/reward.hpp"
#include "hone/transformer/generate.hpp"
#include "hone/transformer/labelled_rows.hpp"

namespace HONE_NAMESPACE::transformer {

/// The responses to each prompt, a group of them, side by side.
struct responses {
  labelled_rows rows;                 ///< a prompt and its response each; with the stop token, if it came to it
  std::vector<index_t> groups = {0};  ///< G + 1 offsets into the responses
  std::vector<double> rewards;        ///< of each response

  [[nodiscard]] index_t count() const { return rows.sequences(); }
  [[nodiscard]] index_t group_count() const { return static_cast<index_t>(groups.size()) - 1; }
  /// Tokens that were drawn.
  [[nodiscard]] index_t tokens() const { return rows.label_count(); }
  /// Each group's prompt.
  [[nodiscard]] token_rows prompts() const {
    token_rows result;
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) result.add(rows.prompt(groups[g]));
    return result;
  }
  /// Group @p g of @p other.
  void add(const responses& other, index_t g) {
    for (index_t b = other.groups[static_cast<std::size_t>(g)]; b < other.groups[static_cast<std::size_t>(g) + 1];
         ++b) {
      rows.add(other.rows, b);
      rewards.push_back(other.rewards[static_cast<std::size_t>(b)]);
    }
    groups.push_back(rows.sequences());
  }
};

/// @p group responses to each of @p prompts from the policy that @p generate holds.
/// @param stop ends a response, and is its last token then; `generation_options::stop` is not read.
/// @param reward reward(b, tokens) of response b, without its stop token; called from several threads. What did not
///        come to the stop token is no answer: it has the reward 0.
/// @throws std::invalid_argument as `generator`, or if group is not positive.
/// @note Bitwise for any executor.
template <class T, class Reward, executor E = const serial>
responses draw_responses(const generator<T>& generate, const batch& prompts, index_t group, std::int32_t stop,
                         generation_options options, Reward&& reward, E&& pool = serial{}) {
  invalid_argument_unless(group > 0, "hone::transformer::draw_responses", "group", "must be positive, is %td", group);
  const auto prompt_of = [&](index_t g) {
    return prompts.tokens.subspan(static_cast<std::size_t>(prompts.begin(g)),
                                  static_cast<std::size_t>(prompts.end(g) - prompts.begin(g)));
  };
  token_rows all;
  for (index_t g = 0; g < prompts.sequences(); ++g)
    for (index_t i = 0; i < group; ++i) all.add(prompt_of(g));
  options.stop = {&stop, 1};
  std::vector<generated> said = generate(all.batch(), options, pool);
  responses result;
  result.rewards.resize(said.size());
  pool.parallel_for(static_cast<index_t>(said.size()), index_t{8}, [&](index_t begin, index_t end) {
    for (index_t b = begin; b < end; ++b) {
      const generated& g = said[static_cast<std::size_t>(b)];
      result.rewards[static_cast<std::size_t>(b)] =
          g.stopped ? static_cast<double>(reward(b, std::span<const std::int32_t>(g.tokens))) : 0;
    }
  });
  for (index_t b = 0; b < static_cast<index_t>(said.size()); ++b) {
    generated& g = said[static_cast<std::size_t>(b)];
    if (g.stopped) g.tokens.push_back(stop);
    result.rows.add(prompt_of(b / group), g.tokens);
    if ((b + 1) % group == 0) result.groups.push_back(b + 1);
  }
  return result;
}

/// @p wanted groups whose rewards are not all equal, in the order in which they were drawn: draws again until there are
/// as many, at most @p rounds times, and gives back those that it found; if there is none at all, the last draw.
/// [Yu et al. 2025, DAPO, arXiv 2503.14476, dynamic sampling]
/// @param draw draw(round), round = 0, 1, …: `responses`, or what is derived from them and has an `add` of its own.
template <class Draw>
auto draw_informative(index_t wanted, index_t rounds, Draw&& draw) -> decltype(draw(index_t{})) {
  decltype(draw(index_t{})) kept;
  for (index_t round = 0;; ++round) {
    auto drawn = draw(round);
    std::vector<std::uint8_t> informative(static_cast<std::size_t>(drawn.group_count()));
    policy::informative_groups(drawn.rewards, drawn.groups, informative);
    for (index_t g = 0; g < drawn.group_count() && kept.group_count() < wanted; ++g)
      if (informative[static_cast<std::size_t>(g)] != 0) kept.add(drawn, g);
    if (kept.group_count() == wanted) return kept;
    if (round + 1 >= rounds) return kept.group_count() == 0 ? drawn : kept;
  }
}

}  // namespace HONE_NAMESPACE::transformer
