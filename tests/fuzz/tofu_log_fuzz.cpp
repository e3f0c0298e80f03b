// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a log whose sizes fit or a format_error that names one of its bytes; a log survives writing and reading,
/// and can be scored.
#include "hone/io/tofu_log.hpp"

#include "fuzz/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

nlohmann::json set_of(const tofu_log_set& set) {
  nlohmann::json json;
  const std::size_t n = set.answer.size(), wrongs = set.wrong.size() / n;
  require(n > 0 && set.right.size() == n && set.rouge_l.size() == n && set.wrong.size() == n * wrongs && wrongs > 0);
  for (std::size_t i = 0; i < n; ++i) {
    const std::string name = std::to_string(n - i);
    json["avg_gt_loss"][name] = set.answer[i];
    json["avg_paraphrased_loss"][name] = set.right[i];
    json["rougeL_recall"][name] = set.rouge_l[i];
    for (std::size_t k = 0; k < wrongs; ++k) json["average_perturb_loss"][name].push_back(set.wrong[i * wrongs + k]);
  }
  for (const auto kind : {eval::truth_ratio::geometric, eval::truth_ratio::arithmetic}) {
    const auto score = eval::score_tofu(set, eval::tofu_part::forget, kind);
    require(score.rouge_l.mean >= 0 && score.rouge_l.mean <= 1);
    require(eval::forget_quality(set, set, kind).nans > 0 || eval::forget_quality(set, set, kind).p_value == 1);
  }
  return json;
}

}  // namespace

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const tofu_log log = parse_tofu_log(input.text(), "fuzz");
    const nlohmann::json written = {{"eval_log_forget.json", set_of(log.forget)},
                                    {"eval_log.json", set_of(log.retain)},
                                    {"eval_real_author_wo_options.json", set_of(log.real_authors)},
                                    {"eval_real_world_wo_options.json", set_of(log.world_facts)}};
    const tofu_log again = parse_tofu_log(written.dump(), "again");
    require(again.forget.answer.size() == log.forget.answer.size() &&
            again.retain.wrong.size() == log.retain.wrong.size());
    auto sorted = log.world_facts.answer, back = again.world_facts.answer;
    std::sort(sorted.begin(), sorted.end());
    std::sort(back.begin(), back.end());
    require(sorted == back);
  });
}
