// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a student knows of each part of its curriculum, in JSON and in print.
#pragma once
#include "unlearn/student.hpp"

namespace unlearn {

using program::write_json;

struct report_card {
  knowledge::score forget, retain, holdout;
  bool holds_out;
};

inline report_card examine(student& pupil, const curriculum& c) {
  return {pupil.examine(c.forget, c.codec), pupil.examine(c.retain, c.codec), pupil.examine(c.holdout, c.codec),
          !c.holdout.empty()};
}

inline nlohmann::json to_json(const report_card& r) {
  const auto score = [](const knowledge::score& s) {
    return nlohmann::json{
        {"answer_probability", s.answer_probability}, {"exact_match", s.exact_match}, {"rouge_l", s.rouge_l}};
  };
  return {{"forget", score(r.forget)},
          {"retain", score(r.retain)},
          {"holdout", r.holds_out ? score(r.holdout) : nlohmann::json()}};
}

/// When a run ends before its steps do.
struct stop_rule {
  double at;         ///< probability of the answers to be forgotten; 0: not before
  const char* name;  ///< in JSON
  std::string words;
};

inline stop_rule stop_rule_of(const settings& s, const report_card& before) {
  if (s.stop_at > 0) return {s.stop_at, "told", program::text("until their probability is %g", s.stop_at)};
  const double unknown = before.holdout.answer_probability;
  if (s.stop_at < 0 && before.holds_out)
    return {unknown, "held_out", program::text("until their probability is that of pairs held out, %.3f", unknown)};
  return {0, "none",
          program::text("for all of %ld steps%s", s.steps,
                        s.stop_at < 0 ? ": no pair is held out that would say when to stop (--stop-at)" : "")};
}

/// The adapter of @p pupil; null without one.
inline nlohmann::json to_json(student& pupil) {
  const auto& a = pupil.adapter();
  if (a.sites.empty()) return {};
  return {{"sites", a.sites.size()}, {"parameters", pupil.trained_count()}, {"deviation", a.deviation}};
}

inline void print(const char* when, const report_card& r) {
  const auto row = [&](const char* what, const knowledge::score& s) {
    std::printf("%-7s %-8s %18.3f %12.3f %8.3f\n", when, what, s.answer_probability, s.exact_match, s.rouge_l);
  };
  row("forget", r.forget);
  row("retain", r.retain);
  if (r.holds_out) row("holdout", r.holdout);
}

}  // namespace unlearn
