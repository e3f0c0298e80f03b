# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: tofu_report.
# A log of two questions a set; the arguments are losses of the two forgotten answers' paraphrases.
log() {
  local set separator="{"
  for set in eval_log eval_real_author_wo_options eval_real_world_wo_options eval_log_forget; do
    printf '%s"%s.json": {"avg_gt_loss": {"0": 0.5, "1": 1}, "avg_paraphrased_loss": {"0": %s, "1": %s},
      "average_perturb_loss": {"0": [2, 3, 4], "1": [1, 1.5, 0.5]}, "rougeL_recall": {"0": 1, "1": 0.5}}\n' \
      "$separator" $set "$1" "$2"
    separator=,
  done
  echo '}'
}
log 1.5 0.25 >model.json
log 3 4 >retrained.json
tofu_report=("$programs/tofu_report" --model model.json --retain)
run "${tofu_report[@]}" retrained.json --json report.json
grep -q '^forget quality' "$work.out" || complain "tofu_report prints no forget quality"
[ "$(sed 's|±|+|g' "$work.out" | awk 'length > 80' | wc -l)" -eq 0 ] || complain "tofu_report is wider than 80 columns"
for kind in geometric arithmetic; do
  for key in ks p_value log10_p; do
    json report.json forget_quality $kind $key >/dev/null || complain "no forget_quality $kind $key in the JSON"
  done
  json report.json model_utility $kind >/dev/null || complain "no model_utility $kind in the JSON"
  json report.json model forget truth_ratio $kind mean >/dev/null || complain "no truth ratio in the JSON"
done
[ "$(json report.json forget_quality geometric ks)" = 1.0 ] ||
  complain "the two models' truth ratios are apart, but D is not 1"
run "${tofu_report[@]}" model.json --json same.json
[ "$(json same.json forget_quality geometric p_value)" = 1.0 ] || complain "a model differs from itself"
refused '--model is required' "$programs/tofu_report"
refused '--retain is required' "$programs/tofu_report" --model model.json
refused 'absent.json: No such file' "${tofu_report[@]}" absent.json --json out.json
refused 'folder: ' "${tofu_report[@]}" folder --json out.json
refused 'nowhere/out.json: cannot create' "${tofu_report[@]}" retrained.json --json nowhere/out.json
refused 'names a file that is to be read' "${tofu_report[@]}" retrained.json --json retrained.json
refused 'empty: at byte 0: not valid JSON' "${tofu_report[@]}" empty --json out.json
log 3 NaN >diverged.json
refused 'diverged.json: at byte 92: not valid JSON: NaN and Infinity' "${tofu_report[@]}" diverged.json --json out.json
log 3 '"4"' >text.json
refused 'text.json: at byte 92: eval_log.json/avg_paraphrased_loss/1 is a string, must be a number' \
  "${tofu_report[@]}" text.json
head -3 retrained.json >half.log
refused 'half.log: at byte' "${tofu_report[@]}" half.log
if [ -e /dev/full ]; then
  "${tofu_report[@]}" retrained.json >/dev/full 2>errors && complain "tofu_report does not mind a full disk"
  grep -q 'standard output' errors || complain "tofu_report does not name a full disk"
fi

# Real data, where it is there.
if [ -f "$data/tofu_eval_logs/phi_full.json" ]; then
  run "$programs/tofu_report" --model "$data/tofu_eval_logs/phi_full.json" \
    --retain "$data/tofu_eval_logs/phi_retain90.json" --json tofu.json
  for line in 'model utility .* 0.5221 .* 0.5034' 'geometric .* 0.3467 .* 2.194e-16 .* -15.6587' \
    'arithmetic .* 0.3567 .* 2.431e-17 .* -16.6142'; do
    grep -q -- "$line" "$work.out" || complain "tofu_report does not print '$line'"
  done
  [[ $(json tofu.json model_utility geometric) == 0.52207371* ]] || complain "another model utility"
else
  echo "skipped: tofu_eval_logs/phi_full.json is not there (set HONE_DATA)"
fi
