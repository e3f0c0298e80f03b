// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/transformer/responses.hpp"

#include "hone/core/thread_pool.hpp"
#include "support/catch.hpp"
#include "transformer/support.hpp"

using namespace hone;
using namespace hone::transformer;

namespace {

using ids = std::vector<std::int32_t>;

token_rows two_prompts() {
  token_rows prompts;
  prompts.add(ids{1, 2, 3});
  prompts.add(ids{4, 5});
  return prompts;
}

}  // namespace

TEST_CASE("responses are what the generator says, with their stop tokens, rewarded where they came to one") {
  const config c = small_models()[0];
  const decoder<float> model(c);
  const auto parameters = normals<float>(model.parameters(), 1, 0.4);
  const generator<float> generate(model, parameters);
  const token_rows prompts = two_prompts();
  constexpr std::int32_t stop = 7;
  const generation_options options{.max_tokens = 9, .sampling = {.temperature = 1, .seed = 3}, .first_sequence = 5};
  const auto reward = [](index_t b, std::span<const std::int32_t> tokens) {
    return static_cast<double>(b) + 0.01 * static_cast<double>(tokens.size());
  };
  const responses r = draw_responses(generate, prompts.batch(), 6, stop, options, reward);

  token_rows repeated;
  for (const ids& prompt : {ids{1, 2, 3}, ids{4, 5}})
    for (int i = 0; i < 6; ++i) repeated.add(prompt);
  generation_options own = options;
  own.stop = {&stop, 1};
  const auto said = generate(repeated.batch(), own);
  CHECK(r.count() == 12);
  CHECK(r.groups == std::vector<index_t>{0, 6, 12});
  CHECK(r.group_count() == 2);
  index_t stopped = 0, tokens = 0;
  labelled_rows expected;
  for (std::size_t b = 0; b < 12; ++b) {
    ids answer = said[b].tokens;
    CHECK(r.rewards[b] == (said[b].stopped ? reward(static_cast<index_t>(b), answer) : 0));
    stopped += said[b].stopped;
    if (said[b].stopped) answer.push_back(stop);
    tokens += std::ssize(answer);
    expected.add(b < 6 ? ids{1, 2, 3} : ids{4, 5}, answer);
  }
  CHECK(stopped > 0);
  CHECK(stopped < 12);
  CHECK(r.tokens() == tokens);
  CHECK(r.rows.tokens == expected.tokens);
  CHECK(r.rows.targets == expected.targets);
  CHECK(r.rows.offsets == expected.offsets);
  CHECK(r.prompts().tokens == prompts.tokens);
  CHECK(r.prompts().offsets == prompts.offsets);

  thread_pool pool(3);
  const responses again = draw_responses(generate, prompts.batch(), 6, stop, options, reward, pool);
  CHECK(again.rows.tokens == r.rows.tokens);
  CHECK(again.rewards == r.rewards);
  CHECK_THROWS_WITH(draw_responses(generate, prompts.batch(), 0, stop, options, reward), Catch::Contains("group"));
}

TEST_CASE("responses: groups of another batch are the same groups") {
  responses r;
  for (const std::int32_t i : {1, 2, 3, 4, 5, 6}) {
    r.rows.add(ids{i <= 2 ? 8 : i <= 5 ? 9 : 10}, ids{i, 7});
    r.rewards.push_back(i);
  }
  r.groups = {0, 2, 5, 6};
  responses picked;
  picked.add(r, 2);
  picked.add(r, 1);
  CHECK(picked.rewards == std::vector<double>{6, 3, 4, 5});
  CHECK(picked.groups == std::vector<index_t>{0, 1, 4});
  CHECK(picked.rows.tokens == ids{10, 6, 9, 3, 9, 4, 9, 5});
  CHECK(picked.prompts().tokens == ids{10, 9});
}

TEST_CASE("informative groups are drawn again until there are enough of them, or no more rounds") {
  // Groups of two, a reward each: "01" is informative, "11" and "00" are not.
  const std::vector<std::vector<std::string>> rounds = {{"11", "01"}, {"00", "11"}, {"10", "01"}};
  index_t asked = 0;
  const auto draw = [&](index_t round) {
    CHECK(round == asked++);
    responses r;
    for (const std::string& rewards : rounds[static_cast<std::size_t>(round)]) {
      for (const char x : rewards) {
        r.rows.add(ids{static_cast<std::int32_t>(round)}, ids{x == '1', 7});
        r.rewards.push_back(x == '1');
      }
      r.groups.push_back(r.rows.sequences());
    }
    return r;
  };
  const auto drawn = [&](index_t wanted, index_t most) {
    asked = 0;
    return draw_informative(wanted, most, draw);
  };
  const responses two = drawn(2, 3);
  CHECK(asked == 3);
  CHECK(two.groups == std::vector<index_t>{0, 2, 4});
  CHECK(two.rewards == std::vector<double>{0, 1, 1, 0});
  CHECK(two.rows.tokens == ids{0, 0, 0, 1, 2, 1, 2, 0});
  CHECK(drawn(1, 3).rewards == std::vector<double>{0, 1});
  CHECK(asked == 1);
  CHECK(drawn(2, 2).group_count() == 1);
  CHECK(drawn(3, 3).group_count() == 3);
  const responses none = draw_informative(2, 1, [&](index_t) { return draw(asked = 1); });
  CHECK(none.rewards == std::vector<double>{0, 0, 1, 1});
}
