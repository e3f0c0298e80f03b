// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/routing/answers.hpp"

#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace hone;
using namespace hone::routing;

namespace {

using indices = std::vector<index_t>;
using texts = std::vector<std::string>;

answer_clusters cluster_texts(const texts& answers) {
  return cluster_answers(std::ssize(answers), [&](index_t i, index_t j) {
    return answers[static_cast<std::size_t>(i)] == answers[static_cast<std::size_t>(j)];
  });
}

}  // namespace

TEST_CASE("routing answers: likelihood and perplexity of one answer") {
  const std::vector<double> log_probabilities = {std::log(0.5), std::log(0.25), std::log(0.125)};
  const routing::answer_likelihood a = routing::measure_answer(log_probabilities);  // mean -1.39, perplexity 4
  CHECK(a.mean_log_probability == Approx(2 * std::log(0.5)).epsilon(1e-15));
  CHECK(a.perplexity == Approx(4).epsilon(1e-15));
  CHECK(a.tokens == 3);
  CHECK(a.invalid == 0);
  CHECK(measure_answer(std::vector<double>{0, 0}).perplexity == 1);
  const double infinity = std::numeric_limits<double>::infinity();
  const answer_likelihood impossible = measure_answer(std::vector<double>{-1, -infinity});
  CHECK(impossible.mean_log_probability == -infinity);
  CHECK(impossible.perplexity == infinity);
  CHECK(impossible.invalid == 0);
  for (const double bad : {std::nan(""), 0.1, infinity}) {
    const answer_likelihood broken = measure_answer(std::vector<double>{-1, bad, bad});
    CHECK(std::isnan(broken.mean_log_probability));
    CHECK(std::isnan(broken.perplexity));
    CHECK(broken.invalid == 2);
  }
  const answer_likelihood empty = measure_answer({});
  CHECK(std::isnan(empty.perplexity));
  CHECK(empty.tokens == 0);
}

TEST_CASE("routing answers: self-consistency and semantic entropy of answers") {
  const texts answers = {"42", "41", "42", "7", "42"};
  const auto same = [&](index_t i, index_t j) {
    return answers[static_cast<std::size_t>(i)] == answers[static_cast<std::size_t>(j)];
  };
  const routing::answer_clusters clusters = routing::cluster_answers(5, same);
  const routing::answer_consistency majority = routing::measure_consistency(clusters);  // share 0.6, answer 0
  const double certainty = routing::semantic_certainty(clusters);  // exp(-H) of the shares 0.6, 0.2, 0.2
  CHECK(clusters.cluster_of == indices{0, 1, 0, 2, 0});
  CHECK(clusters.first == indices{0, 1, 3});
  CHECK(clusters.count == indices{3, 1, 1});
  CHECK(majority.share == 0.6);
  CHECK(majority.answer == 0);
  CHECK(certainty == Approx(0.3866364090).margin(5e-11));
  CHECK(-std::log(certainty) == Approx(0.9502705392).margin(5e-11));
}

TEST_CASE("routing answers: ties, one answer, none, an order of another kind") {
  CHECK(measure_consistency(cluster_texts({"a", "b", "b", "a"})).answer == 0);
  CHECK(measure_consistency(cluster_texts({"a", "b", "b", "c"})).answer == 1);
  CHECK(semantic_certainty(cluster_texts({"a", "a", "a"})) == 1);
  CHECK(semantic_certainty(cluster_texts({"a", "b", "c", "d"})) == Approx(0.25).epsilon(1e-15));
  CHECK(semantic_certainty(cluster_texts({"a"})) == 1);
  CHECK(std::isnan(semantic_certainty(cluster_texts({}))));
  CHECK(std::isnan(measure_consistency(cluster_texts({})).share));
  CHECK(measure_consistency(cluster_texts({})).answer == -1);
  for (const texts& turned : {texts{"x", "y", "x", "z", "x"}, texts{"z", "x", "x", "x", "y"}}) {
    CHECK(measure_consistency(cluster_texts(turned)).share == 0.6);
    CHECK(semantic_certainty(cluster_texts(turned)) == Approx(0.3866364090).margin(5e-11));
  }
}

TEST_CASE("routing answers: each joins the most similar first answer above the threshold") {
  // Answer 2 is above the threshold for both clusters and nearer to the second; 3 is like 2, which is no first answer.
  const double similarity[5][5] = {{}, {0.5}, {0.8, 0.9}, {0.1, 0.7, 0.99}, {0.75, 0.75, 0, 0.75}};
  int calls = 0;
  const auto similar = [&](index_t i, index_t j) {
    ++calls;
    return similarity[i][j];
  };
  const answer_clusters c = cluster_answers(5, similar);
  CHECK(c.cluster_of == indices{0, 1, 1, 2, 0});  // 0.7 is not above 0.7; of equals the earliest
  CHECK(calls == 1 + 2 + 2 + 3);
  CHECK(cluster_answers(4, similar, 0.05).cluster_of == indices{0, 0, 0, 0});
  CHECK(cluster_answers(4, similar, 1).first == indices{0, 1, 2, 3});
  const answer_clusters broken = cluster_answers(3, [](index_t, index_t) { return std::nan(""); });
  CHECK(broken.first == indices{0, 1, 2});
  CHECK(broken.nans == 3);
  CHECK_THROWS_WITH(cluster_answers(-1, similar),
                    "hone::routing::cluster_answers: answers: must not be negative, is -1");
  CHECK_THROWS_WITH(cluster_answers(2, similar, std::nan("")), "hone::routing::cluster_answers: threshold: is NaN");
}
