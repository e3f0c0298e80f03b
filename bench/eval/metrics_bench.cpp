// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The metrics that cost something: ROUGE-L beside the table that its definition is, moments of a row
/// of logits. Each row says how many a second.
#include "hone/eval/membership.hpp"
#include "hone/eval/rouge_union.hpp"

#include "hone/core/random.hpp"
#include "support/rate.hpp"

namespace {

using namespace hone;
using namespace hone::eval;

std::uint32_t draw(std::uint32_t stream, std::uint64_t index, std::uint32_t count) {
  return philox{1, stream}.bits(index)[0] % count;
}

/// Pairs of texts of about @p words words, as answers are: the candidate keeps two thirds of the reference.
std::vector<std::pair<std::string, std::string>> texts(std::size_t words) {
  static constexpr const char* roots[] = {"author",    "novel",  "award",   "relation", "happy", "write",
                                          "celebrate", "famous", "child",   "live",     "city",  "influence",
                                          "explore",   "career", "inspire", "theme"};
  static constexpr const char* ends[] = {"", "s", "ing", "ed", "ly", "ational", "ness", "er"};
  std::vector<std::pair<std::string, std::string>> pairs(100);
  for (std::size_t p = 0; p < pairs.size(); ++p)
    for (std::size_t w = 0; w < words; ++w) {
      const std::uint64_t at = p * words + w;
      const std::string word =
          std::string(" ") + roots[draw(1, at, 16)] + ends[draw(2, at, 8)] + (draw(3, at, 8) == 0 ? "," : "");
      pairs[p].first += word;
      if (draw(4, at, 3) > 0) pairs[p].second += word;
      if (draw(5, at, 3) == 0) pairs[p].second += std::string(" ") + roots[draw(6, at, 16)];
    }
  return pairs;
}

double lcs_by_table(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<index_t> above(b.size() + 1, 0), row(b.size() + 1, 0);
  for (const std::string& word : a) {
    for (std::size_t j = 1; j <= b.size(); ++j)
      row[j] = word == b[j - 1] ? above[j - 1] + 1 : (std::max)(above[j], row[j - 1]);
    std::swap(above, row);
  }
  return static_cast<double>(above.back()) / static_cast<double>(a.size());
}

void of_texts(benchmark::State& state, auto&& score) {
  const auto pairs = texts(static_cast<std::size_t>(state.range(0)));
  rate(state, static_cast<double>(pairs.size()), "pairs", [&] {
    for (const auto& [reference, candidate] : pairs) benchmark::DoNotOptimize(score(reference, candidate));
  });
}
void rouge_l_of_texts(benchmark::State& state) {
  of_texts(state, [](const auto& a, const auto& b) { return rouge_l(std::string_view(a), std::string_view(b)); });
}
void rouge_l_union_of_texts(benchmark::State& state) {
  of_texts(state, [](const auto& a, const auto& b) { return rouge_l_union(a, b); });
}

void of_words(benchmark::State& state, auto&& score) {
  std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> pairs;
  for (const auto& [a, b] : texts(static_cast<std::size_t>(state.range(0))))
    pairs.emplace_back(rouge_words(a), rouge_words(b));
  rate(state, static_cast<double>(pairs.size()), "pairs", [&] {
    for (const auto& [reference, candidate] : pairs) benchmark::DoNotOptimize(score(reference, candidate));
  });
}
void rouge_l_of_words(benchmark::State& state) {
  of_words(state, [](const auto& a, const auto& b) { return rouge_l(std::span(a), std::span(b)); });
}
void rouge_l_of_words_by_table(benchmark::State& state) { of_words(state, lcs_by_table); }

std::vector<double> normals(std::uint32_t stream, index_t count) {
  std::vector<double> x;
  for (index_t i = 0; i < count; ++i) x.push_back(philox{1, stream}.normal(static_cast<std::uint64_t>(i)));
  return x;
}

void token_moments_of_row(benchmark::State& state) {
  const auto z = normals(1, state.range(0));
  const std::vector<float> row(z.begin(), z.end());
  rate(state, 1, "rows", [&] { benchmark::DoNotOptimize(moments_of(row, 0)); });
}

BENCHMARK(rouge_l_of_texts)->ArgName("words")->Arg(20)->Arg(40)->Arg(200)->UseManualTime();
BENCHMARK(rouge_l_union_of_texts)->ArgName("words")->Arg(20)->Arg(40)->Arg(200)->UseManualTime();
BENCHMARK(rouge_l_of_words)->ArgName("words")->Arg(20)->Arg(40)->Arg(200)->Arg(1000)->UseManualTime();
BENCHMARK(rouge_l_of_words_by_table)->ArgName("words")->Arg(20)->Arg(40)->Arg(200)->Arg(1000)->UseManualTime();
BENCHMARK(token_moments_of_row)->ArgName("vocabulary")->Arg(32000)->Arg(131072)->UseManualTime();

}  // namespace
