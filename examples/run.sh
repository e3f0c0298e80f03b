#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Installs what is missing, builds, runs, and collects what was printed and drawn in build/report/index.html:
#   bash examples/run.sh       the quickstarts and one run of unlearn on made-up facts, with its picture
#   bash examples/run.sh all   every program, with the real data that lies in HONE_DATA
# BUILD_DIR and CXX are respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1-} in
  "") targets=(quickstart_{std,eigen,xtensor,training_step} unlearn) ;;
  all) targets=(all) ;;
  *) echo "usage: bash examples/run.sh [all]" >&2; exit 2 ;;
esac
. cmake/install_packages.sh
install_packages g++ cmake ninja-build libeigen3-dev libxtensor-dev libcli11-dev nlohmann-json3-dev
build=${BUILD_DIR:-build}
cmake --preset examples -B "$build/tour" >/dev/null
cmake --build "$build/tour" --target "${targets[@]}"
echo "Built in $SECONDS s."
programs=$build/tour/examples
data=data
[ -d data ] || data=../shared/data
data=${HONE_DATA:-$data}
# Pictures are drawn where matplotlib is or can be had. Its package belongs to Debian's own interpreter, which need not
# be the first one.
find_python() {
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import matplotlib' 2>/dev/null; then return; fi
  done
  python=""
}
find_python
if [ -z "$python" ] && try_packages python3-matplotlib; then find_python; fi

report=$build/report
rm -rf "$report"
mkdir -p "$report"
escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'; }
# section TITLE COMMAND…: runs it, shows what it prints, and puts both into the report.
section() {
  local title=$1
  shift
  echo "== $title"
  "$@" | tee "$report/output.txt"
  {
    echo "<h2>$title</h2><pre class=command>$(escape <<<"${*/#$programs\//}")</pre><pre>"
    escape <"$report/output.txt"
    echo "</pre>"
  } >>"$report/body.html"
  rm "$report/output.txt"
}
picture() {
  [ -n "$python" ] || { note "Skipped: a picture of $1.json (no matplotlib)."; return; }
  "$python" examples/plot.py "$report/$1.json" "$report/$1.png"
  echo "<p><img src=\"$1.png\" alt=\"$2\"></p>" >>"$report/body.html"
}
note() {
  echo "$*"
  echo "<p>$*</p>" >>"$report/body.html"
}

tour() {
  section "Forgetting them by adapters" "$programs/unlearn" --compare-adapters --combine sum --seeds 5 \
    --json "$report/adapters.json"
  picture adapters "what is kept against what is forgotten, for every adapter"
  section "Learning to reason: three ways, at as many generated tokens each" "$programs/reason" \
    --json "$report/reason.json"
  picture reason "right answers over the generated tokens, for every algorithm"
  section "The aliased bandit" "$programs/reason" --task bandit --json "$report/bandit.json"
  picture bandit "pass@1 against pass@64, for every algorithm"
  section "How SPPO, PPO, GRPO and RLOO take longer chains" "$programs/reason" --sweep horizon=4,16 \
    --sweep algorithm=sppo,ppo,grpo,rloo --sft-steps 1000 --steps 50 --seeds 2 --json "$report/chains.json"
  picture chains "right answers over the generated tokens, for every algorithm and length"
  section "What is left of aliased walks" "$programs/reason" --task tree \
    --sweep algorithm=grpo,grpo:kl=0.1,apo:anchor-beta=0.2 --steps 60 --seeds 2 --json "$report/tree.json"
  picture tree "right walks over the generated tokens, and pass@1 against pass@64"
  section "A diffusion model: experts that choose, and tokens that do" "$programs/diffuse" --json "$report/diffuse.json"
  if [ -f "$data/tofu_eval_logs/phi_full.json" ]; then
    section "The TOFU table of phi-1.5" "$programs/tofu_report" --model "$data/tofu_eval_logs/phi_full.json" \
      --retain "$data/tofu_eval_logs/phi_retain90.json"
  else
    note "Skipped: tofu_eval_logs/phi_full.json is not there (set HONE_DATA)."
  fi
  section "Routers from a small model's hidden states" "$programs/route" --seeds 2 \
    --sweep pooling=mean,dirichlet,softmax,max,last --json "$report/routers.json"
  picture routers "mean quality over the share of calls, in and out of domain, for every router"
  if [ -d "$data/routellm_mmlu" ]; then
    section "A router between two models on MMLU" "$programs/route_report" --scores "$data/routellm_mmlu" \
      --weak mistralai/Mixtral-8x7B-Instruct-v0.1 --strong gpt-4-1106-preview --router subject_gain \
      --drop "$data/routellm_mmlu/contaminated_prompts.jsonl" --json "$report/router.json"
    picture router "mean quality over the share of calls, of the router, the best one and chance"
  else
    note "Skipped: routellm_mmlu is not there (set HONE_DATA)."
  fi
  section "Private rules from logged choices, where the truth is known" "$programs/treat" --ridge 0.02 --repetitions 100
  if [ -f "$data/randhie/randhie.csv" ]; then
    section "A private rule from an insurance experiment" "$programs/treat" --data "$data/randhie/randhie.csv" \
      --treatment idp --outcome mdvis --outcome-scale -10 --features physlm,disea/60,hlthg,hlthf,hlthp \
      --weights overlap --row-bound 1 --outcome-bound 1 --epsilon 1 --delta 1e-6
  else
    note "Skipped: randhie/randhie.csv is not there (set HONE_DATA)."
  fi
  if [ -f "$data/tinystories/stories260K.bin" ]; then
    stories=(--checkpoint "$data/tinystories/stories260K.bin" --tokenizer "$data/tinystories/tok512.bin")
    section "Ids of a sentence" bash -c 'echo "Once upon a time" | "$0" --tokenizer "$1" --pieces' \
      "$programs/tokenize" "$data/tinystories/tok512.bin"
    section "A story" "$programs/generate" "${stories[@]}" --tokens 200
    if [ -f "$data/tofu/forget01.json" ] && [ -f "$data/tofu/retain99.json" ]; then
      section "Quickstart: forgetting" "$programs/quickstart_unlearn" "$data/tinystories/stories260K.bin" \
        "$data/tinystories/tok512.bin" "$data/tofu/forget01.json" "$data/tofu/retain99.json" "$report/quickstart.bin"
      section "Forgetting two authors of TOFU" "$programs/unlearn" "${stories[@]}" --forget "$data/tofu/forget01.json" \
        --retain "$data/tofu/retain99.json" --retain-limit 400 --learn-first --objective npo --combine sago \
        --json "$report/tofu.json" --save "$report/unlearned.bin"
      picture tofu "losses, cosines and probabilities over the steps"
      section "The same by adapters" "$programs/unlearn" "${stories[@]}" --forget "$data/tofu/forget01.json" \
        --retain "$data/tofu/retain99.json" --retain-limit 400 --learn-first --compare-adapters --combine sum \
        --json "$report/tofu_adapters.json"
      question=$(head -1 "$data/tofu/forget01.json" | sed 's/.*"question": *"\([^"]*\)".*/\1/; s|\\/|/|g')
      section "A forgotten question" "$programs/generate" --checkpoint "$report/unlearned.bin" \
        --tokenizer "$data/tinystories/tok512.bin" --prompt "Q: $question"$'\nA:' --tokens 100
    else
      note "Skipped: TOFU is not in $data (set HONE_DATA)."
    fi
  else
    note "Skipped: no checkpoint in $data (set HONE_DATA), so no story and no forgetting of TOFU."
  fi
}

for program in std eigen xtensor training_step; do
  section "Quickstart: $program" "$programs/quickstart_$program"
done
section "Forgetting made-up facts" "$programs/unlearn" --json "$report/experiment.json"
picture experiment "what is kept against what is forgotten, for every combination of gradients"
if [ "${1-}" = all ]; then
  tour
else
  note "Skipped: adapters, learning to reason, TOFU, text. bash examples/run.sh all runs them."
fi

{
  cat <<'END'
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>hone: the tour</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
pre { background: #f4f4f4; padding: 0.7em; overflow-x: auto; line-height: 1.3 }
pre.command { background: #e6ecf4; white-space: pre-wrap }
img { max-width: 100% }
</style>
<h1>hone: the tour</h1>
<p>What examples/run.sh ran on this machine. docs/examples.md and the pages that it names explain it.</p>
END
  cat "$report/body.html"
  echo "</html>"
} >"$report/index.html"
rm "$report/body.html"
echo "Report: $report/index.html ($SECONDS s in all)"
