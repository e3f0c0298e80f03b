// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/policy/recipe_table.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "hone/policy/recipes.hpp"
#include "support/catch.hpp"

using namespace hone;
using namespace hone::policy;

namespace {

std::string text(double x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

/// What a row of the page says of each part.
struct words {
  std::string operator()(const reward_itself&) const { return "`reward_itself{}`"; }
  std::string operator()(const grpo&) const { return "`grpo{}`"; }
  std::string operator()(const dr_grpo&) const { return "`dr_grpo{}`"; }
  std::string operator()(const rloo&) const { return "`rloo{}`"; }
  std::string operator()(const remax&) const { return "`remax`"; }
  std::string operator()(const opo&) const { return "`opo`"; }
  std::string operator()(const gpg&) const { return "`gpg{}`"; }
  std::string operator()(const pass_k_best&) const { return "`pass_k_best{}`"; }
  std::string operator()(const sequence_value&) const { return "`sequence_value_advantage`"; }
  std::string operator()(const sequence_deviation&) const { return "`sequence_deviation_advantage`"; }
  std::string operator()(const reward_to_go&) const { return "`returns_to_go`"; }
  std::string operator()(const token_value& v) const {
    const std::string adaptive = text(v.options.length_adaptive);
    const std::string lambda = v.options.length_adaptive > 0 ? "1 − 1 / (" + adaptive + " n)" : text(v.options.lambda);
    return "`gae`, λ = " + lambda + (lambda == text(v.critic_lambda) ? "" : ", the critic's " + text(v.critic_lambda));
  }

  std::string operator()(const token_ratio&) const { return "token_ratio"; }
  std::string operator()(const sequence_ratio&) const { return "sequence_ratio"; }
  std::string operator()(const geometric_ratio&) const { return "geometric_ratio"; }
  std::string operator()(const clipped_geometric_ratio& r) const {
    return "clipped_geometric_ratio{" + text(r.low) + ", " + text(r.high) + "}";
  }

  std::string operator()(const ppo_clip& s) const {
    return "ppo_clip{" + text(s.low) + ", " + text(s.high) + (s.dual < 1e300 ? ", .dual = " + text(s.dual) : "") + "}";
  }
  std::string operator()(const unclipped&) const { return "unclipped{}"; }
  std::string operator()(const reinforce&) const { return "reinforce{}"; }
  std::string operator()(const cispo& s) const { return "cispo{" + text(s.lower) + ", " + text(s.upper) + "}"; }
  std::string operator()(const sapo& s) const { return "sapo{" + text(s.positive) + ", " + text(s.negative) + "}"; }
  std::string operator()(const vespo& s) const {
    return "vespo{" + text(s.positive_k) + ", " + text(s.positive_lambda) + ", " + text(s.negative_k) + ", " +
           text(s.negative_lambda) + "}";
  }
  template <class S>
  std::string operator()(const support_anchor<S>& s) const {
    return "support_anchor{" + (*this)(s.base) + ", " + text(s.push) + ", " + text(s.pull) + "}";
  }
  template <class R, class S>
  std::string operator()(const objective<R, S>& f) const {
    return "`" + (*this)(f.ratio) + "` | `" + (*this)(f.surrogate) + "`";
  }

  std::string operator()(averaging a) const {
    switch (a) {
      case averaging::token_mean: return "`token_mean`";
      case averaging::sequence_token_mean: return "`sequence_token_mean`";
      case averaging::sequence_token_mean_with_empty: return "`sequence_token_mean(counts, true)`";
      case averaging::sequence_token_sum: return "`sequence_token_sum`";
      case averaging::constant_mean: return "`constant_mean`";
    }
    return "";
  }
  std::string operator()(const clip_cov& c) const {
    return "weights of `clip_cov{" + text(c.share) + ", " + text(c.low) + ", " + text(c.high) + "}`";
  }
  std::string operator()(const held_by_covariance& c) const {
    return text(c.coefficient) + " `log_ratio_distance` of `kl_cov{" + text(c.choice.share) + "}`";
  }
  std::string operator()(std::monostate) const { return ""; }
};

std::string row_of(const recipe_row& row) {
  const recipe r = make_recipe({.name = std::string(row.name)});
  std::string beside;
  const auto add = [&](bool is, const std::string& what) {
    if (is && !what.empty()) beside += (beside.empty() ? "" : "; ") + what;
  };
  add(r.needs.critic == critic_kind::sequence, "a critic of prompts");
  add(r.needs.critic == critic_kind::token, "a critic of tokens");
  add(make_recipe({.name = std::string(row.name), .kl = 1}).reward_kl > 0, "a KL is in the reward");
  add(r.needs.greedy, "rewards of greedy responses");
  add(row.informative, "groups whose rewards differ");
  add(row.imitation > 0, text(row.imitation) + " of the likelihood of right answers");
  add(true, std::visit(words{}, row.choice));
  return "| `" + std::string(row.name) + "` | " + std::string(row.source) + " | " + std::visit(words{}, row.advantage) +
         (row.whitens ? ", `whiten`" : "") + " | " + std::visit(words{}, r.objective) + " | " + words{}(row.average) +
         " | " + beside + " |\n";
}

}  // namespace

TEST_CASE("recipe table: the page's table is this one") {
  std::string expected =
      "| recipe | source | advantage | ratio | surrogate | mean | beside |\n|---|---|---|---|---|---|---|\n";
  for (const recipe_row& row : recipe_table) expected += row_of(row);
  std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "../../docs/policy.md");
  std::ostringstream page;
  page << file.rdbuf();
  INFO("docs/policy.md must have\n" << expected);
  CHECK(page.str().find("\n" + expected + "\n") != std::string::npos);
}

TEST_CASE("recipe table: names are those of one row each, and every row is a recipe") {
  std::set<std::string_view> names;
  for (const recipe_row& row : recipe_table) {
    INFO(row.name);
    CHECK(names.insert(row.name).second);
    CHECK(!row.source.empty());
    CHECK_NOTHROW(make_recipe({.name = std::string(row.name)}));
  }
  CHECK(names.size() == 24);
}

TEST_CASE("recipe table: an average is the aggregation of its name") {
  const batch_counts counts{6, 4, 3};
  const auto same = [](const aggregation& a, const aggregation& b) {
    return a.mean_of_tokens == b.mean_of_tokens && a.denominator == b.denominator;
  };
  CHECK(same(aggregation_of(averaging::token_mean, counts, 4), {false, 6}));
  CHECK(same(aggregation_of(averaging::sequence_token_mean, counts, 4), {true, 3}));
  CHECK(same(aggregation_of(averaging::sequence_token_mean_with_empty, counts, 4), {true, 4}));
  CHECK(same(aggregation_of(averaging::sequence_token_sum, counts, 4), {false, 3}));
  CHECK(same(aggregation_of(averaging::constant_mean, counts, 4), {false, 16}));
  const auto average = [](const char* name) { return make_recipe({.name = name}).average; };
  CHECK(average("dapo") == averaging::token_mean);
  CHECK(average("dr_grpo") == averaging::constant_mean);
  CHECK(average("grpo") == averaging::sequence_token_mean_with_empty);
  CHECK(average("sppo") == averaging::sequence_token_mean);
  CHECK(average("luspo") == averaging::sequence_token_sum);
}
