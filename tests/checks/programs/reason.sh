# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: reason.
# reason: the same bits from any number of threads, and from a checkpoint.
timeless() { grep -v '"threads"\|seconds"' "$1"; }
for algorithm in ppo dapo remax vapo 'clip_cov --cov-share 0.05 --cov-low 0' 'kl_cov --cov-share 0.1' sppo sppo+apo; do
  with=("${reason[@]}" --algorithm $algorithm --report-every 2)
  run "${with[@]}" --steps 6 --threads 1 --json one.json --checkpoint one.run --save one.model
  run "${with[@]}" --steps 3 --threads 2 --checkpoint half.run
  run "${with[@]}" --steps 6 --threads 2 --json two.json --checkpoint two.run --save two.model --resume half.run
  cmp -s <(timeless one.json) <(timeless two.json) ||
    complain "$algorithm: the JSON depends on threads or on the resuming"
  cmp -s one.run two.run ||
    complain "$algorithm: the checkpoint depends on threads or on the resuming"
  cmp -s one.model/model.safetensors two.model/model.safetensors ||
    complain "$algorithm: the model depends on threads or on the resuming"
  [ "$(json one.json records 3 step)" = 6 ] || complain "$algorithm: not a record every two steps"
done
for key in pass_1 pass_8 pass_all coverage entropy kl support_mass length; do
  json one.json after $key >/dev/null || complain "reason: no $key in the JSON"
done
for key in brier calibration_error; do
  json one.json after critic $key >/dev/null || complain "reason: no $key of the critic in the JSON"
done
for key in reward advantage_variance negative_active generated; do
  json one.json records 2 $key >/dev/null || complain "reason: no $key in a record"
done
[ "$(json one.json interrupted)" = OFF ] || complain "reason: not interrupted, but says so"
[ "$("${reason[@]}" --algorithm grpo --steps 2 2>/dev/null | awk 'length > 90' | wc -l)" -eq 0 ] ||
  complain "reason's table is too wide"
for task in chain tree countdown; do
  run "$programs/reason" --task $task --sft-steps 2 --width 8 --layers 1 --batch 16 --held-out 2 --samples 8 \
    --steps 2 --kl 0.1 --entropy 0.01 --json task.json
  json task.json after coverage >/dev/null || complain "reason --task $task: no coverage"
done
run "${reason[@]}" --steps 2 --seeds 2 --sweep kl=0,0.5 --sweep algorithm=sppo,ppo:gae-lambda=1,grpo --json sweep.json
[ "$(json sweep.json runs 11 config kl)" = 0.5 ] && [ "$(json sweep.json runs 11 config seed)" = 2 ] ||
  complain "reason --sweep: not every combination was run"
[ "$(json sweep.json runs 1 config gae_lambda)$(json sweep.json runs 2 config gae_lambda)" = 1.0 ] ||
  complain "reason --sweep: what a value brings along stays, or does not come"
run "$programs/reason" --task bandit --algorithm grpo --sweep kl=0,0.2 --steps 20 --seeds 2 --json bandit.json
json bandit.json cases 1 mean pass_64 >/dev/null || complain "reason --task bandit: no pass_64"

"${reason[@]}" --algorithm sppo --steps 100000000 --report-every 10 --checkpoint stopped.run --json stopped.json \
  >stopped.out 2>stopped.err &
: >>stopped.out
until grep -q '^ *20 ' stopped.out || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] || { complain "exit $status of reason after Ctrl-C"; cat stopped.err; }
grep -q 'go on with --resume stopped.run' stopped.err || complain "reason does not say how to go on after Ctrl-C"
[ "$(json stopped.json interrupted)" = ON ] || complain "reason's JSON does not say that it was interrupted"
run "${reason[@]}" --algorithm sppo --steps 20 --report-every 10 --resume stopped.run
# More steps than before, and the reports where they were.
run "${reason[@]}" --algorithm grpo --steps 20 --checkpoint fewer.run
run "${reason[@]}" --algorithm grpo --steps 30 --resume fewer.run --json more.json
[ "$(json more.json config report_every)" = 2 ] && [ "$(json more.json records 15 step)" = 30 ] ||
  complain "reason --resume with more steps: other reports"

refused '--algorithm ppoo: is none of' "${reason[@]}" --algorithm ppoo
refused 'has no lambda of advantages' "${reason[@]}" --algorithm grpo --gae-lambda 1
refused '--anchor-beta changes nothing without an algorithm with an anchor' "${reason[@]}" --algorithm grpo \
  --anchor-beta 0.2
refused '--kl-gradient changes nothing without a KL in the loss' "${reason[@]}" --algorithm ppo --kl 0.1 \
  --kl-gradient importance
refused '--kl-estimator changes nothing without --kl' "${reason[@]}" --kl-estimator k2
refused '--aliasing changes nothing without --task tree' "${reason[@]}" --aliasing 0
refused '--collapse changes nothing without --task bandit' "${reason[@]}" --collapse 10
refused '--width changes nothing without a model' "$programs/reason" --task bandit --algorithm grpo --width 8
refused '--entropy changes nothing without --algorithm' "$programs/reason" --task bandit --entropy 0.1
refused '--sweep grpo:anchor-k=4: --anchor-k changes nothing' "${reason[@]}" \
  --sweep algorithm=grpo:anchor-k=4,apo:anchor-k=4
refused 'chooses no tokens by their covariance' "${reason[@]}" --algorithm grpo --cov-share 0.1
refused '--group-size 1: grpo compares' "${reason[@]}" --algorithm grpo --group-size 1
refused '--batch 16: must be a multiple' "${reason[@]}" --algorithm grpo --group-size 5
refused 'a group for each of 3 minibatches' "${reason[@]}" --algorithm grpo --minibatches 3
refused '"speed" is no option' "${reason[@]}" --sweep speed=1,2
refused '"threads" is no option' "${reason[@]}" --sweep threads=1,2
refused 'must be OPTION=VALUE' "${reason[@]}" --sweep kl=
refused '--kl' "${reason[@]}" --sweep kl=0,-1
refused '--horizon: must be in [1, 256], one is 1000' "$programs/reason" --sweep horizon=2,1000
refused '--horizon is told, and --sweep horizon' "${reason[@]}" --sweep horizon=2,3
refused '--kl is told, and --sweep kl' "${reason[@]}" --sweep kl=0,0.1 --kl 3
refused '--sweep: sets --kl twice' "${reason[@]}" --sweep kl=0,3 --sweep kl=0.1
refused '--sweep: sets --kl twice' "${reason[@]}" --sweep algorithm=grpo,grpo:kl=1 --sweep kl=0,3
refused '--sweep: sets --kl twice' "${reason[@]}" --sweep kl=0,3 --sweep algorithm=grpo,grpo:kl=1
refused '--sweep kl: has the value 0.10 twice' "${reason[@]}" --sweep kl=0.1,0.10
refused '--horizon: must be in [1, 256], one is 1000' "${reason[@]}" --algorithm grpo --horizon 1000
refused '--anchor-k 30: the vocabulary has 21' "${reason[@]}" --algorithm apo --anchor-k 30
refused '--anchor-k 17: there are 16 actions' "$programs/reason" --task bandit --algorithm apo --anchor-k 17
refused '--minibatches 3: must divide the 16 groups of a step' "$programs/reason" --task bandit --minibatches 3
refused '--batch 100: must be a multiple' "$programs/reason" --task bandit --algorithm sppo --batch 100 --collapse 1
refused '--clip-dual: must be above 1, is 0.5' "${reason[@]}" --algorithm grpo --clip-dual 0.5
refused '--clip-low with --algorithm cispo: lower: must be' "${reason[@]}" --algorithm cispo --clip-low 2
refused '--cov-low with --algorithm clip_cov: low: must be at most high' "${reason[@]}" --algorithm clip_cov --cov-low 9
for option in --kl --entropy --rate --sft-rate --critic-rate --weight-decay --clip --temperature --clip-low; do
  refused "$option: must be " timeout 60 "$programs/reason" --algorithm ppo --sft-steps 100000000 $option 1e300
done
refused '--kl-estimator: k4 is none of k1, k2, k3' "${reason[@]}" --kl 1 --kl-estimator k4
refused '--seed: must be at least 0, is -1' "${reason[@]}" --seed -1
refused '--clip-low: nan is not a finite number' "${reason[@]}" --algorithm grpo --clip-low nan
refused 'without --sweep and --seeds' "${reason[@]}" --seeds 2 --checkpoint out.run
refused '--checkpoint-every needs' "${reason[@]}" --checkpoint-every 2
refused 'name the same file' "${reason[@]}" --algorithm grpo --checkpoint out --json out
refused 'nowhere/out.run: cannot create' "${reason[@]}" --algorithm grpo --checkpoint nowhere/out.run
refused 'not a finite number' "${reason[@]}" --rate nan
refused '--width 8 with --heads 3: the width must be a multiple of twice the heads' "${reason[@]}" --heads 3
refused '--width 7 with --heads 2' "$programs/reason" --algorithm grpo --width 7
refused 'nothing for --checkpoint' "${reason[@]}" --task bandit --checkpoint out.run
refused --task "${reason[@]}" --task chess
refused 'absent.run: No such file' "${reason[@]}" --resume absent.run
refused 'one.run: was made with algorithm "sppo+apo", not "grpo"' "${reason[@]}" --resume one.run
refused 'is no checkpoint of reason' "${reason[@]}" --resume one.model/model.safetensors
refused --samples "${reason[@]}" --samples 7

# reason on somebody's own model and prompts.
for i in 1 2 3 4; do echo "{\"prompt\": \"$i and 1 is\", \"answer\": $((i + 1))}"; done >prompts.jsonl
own=("$programs/reason" --model model.bin --tokenizer tokens.bin --prompts prompts.jsonl --held-out 2 --longest 8
  --batch 8 --samples 8 --steps 1 --algorithm sppo)
run "${own[@]}" --sft-steps 2 --save own.bin --json own.json
[ "$(json own.json config prompts)" = prompts.jsonl ] && json own.json after pass_1 >/dev/null ||
  complain "no scores on own prompts"
run "$programs/generate" --checkpoint own.bin --tokenizer tokens.bin --tokens 4
refused 'requires --prompts' "$programs/reason" --model model.bin
refused 'absent.jsonl: No such file' "${own[@]/prompts.jsonl/absent.jsonl}" --json out.json
{ cat prompts.jsonl; echo '{"prompt": '; } >half.jsonl
refused 'half.jsonl:5: not valid JSON' "${own[@]/prompts.jsonl/half.jsonl}"
refused 'leaves none of 4 prompts' "${own[@]/#2/4}"
refused 'prompt 1 has' "${own[@]}" --form "$(printf 'a%.0s' {1..200}) {}"
refused '--task changes nothing without problems that are made up' "${own[@]}" --task chain
refused '--form: has no {}' "${own[@]}" --form nothing
refused '--json names a file that is to be read' "${own[@]}" --json ./prompts.jsonl
cp -r "$families/qwen3" asked
refused '--json asked/config.json lies in asked, which is to be read' "${own[@]/model.bin/asked}" \
  --json asked/config.json
refused '--checkpoint asked/model.safetensors lies in asked' "${own[@]/model.bin/asked}" \
  --checkpoint asked/model.safetensors
{ echo '{"prompt": "", "answer": 1}'; cat prompts.jsonl; } >empty.jsonl
refused 'prompt 1 is empty' "${own[@]/prompts.jsonl/empty.jsonl}"
refused 'no model, it seems to be a tokenizer.bin' "${own[@]/model.bin/tokens.bin}"
{ cat prompts.jsonl; echo "{\"prompt\": \"$(printf 'a%.0s' {1..120})\", \"answer\": \"long long\"}"; } >long.jsonl
run "$programs/reason" --model model.bin --tokenizer tokens.bin --prompts long.jsonl --held-out 2 --longest 100 \
  --batch 8 --samples 8 --steps 1 --algorithm sppo --sft-steps 20 --sft-batch 8
grep -q -- "--longest 100 does not fit the model's context of 128" "$work.err" || complain "does not say what fits"
run "${own[@]}" --save tuned
run "${own[@]}" --save tuned
cp -r tuned told
: >told/tokenizer.json
refused '--save told has tokenizer.json, which would stay beside what is saved' "${own[@]}" --save told
# The first exam says that it runs, and Ctrl-C ends it.
for ((i = 0; i < 5000; ++i)); do echo "{\"prompt\": \"$i is\", \"answer\": $i}"; done >many.jsonl
"$programs/reason" --model model.bin --tokenizer tokens.bin --prompts many.jsonl --held-out 4999 --longest 64 \
  --batch 8 --samples 256 --steps 1 --algorithm sppo --checkpoint first.run >first.out 2>first.err &
: >>first.err
until grep -q 'examines the model first' first.err || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] && grep -q 'interrupted after step 0: go on with --resume first.run' first.err ||
  { complain "exit $status after Ctrl-C in the first exam"; cat first.err; }
# A vocabulary larger than the tokenizer's, and a name that is no UTF-8.
odd=$(printf 'odd\xff.bin')
cp model.bin "$odd"
run "$programs/reason" --model "$odd" --tokenizer bytes/tokenizer.json --prompts many.jsonl --held-out 64 --longest 16 \
  --batch 8 --samples 64 --steps 1 --algorithm sppo --json own.json --checkpoint own.run
json own.json after pass_1 >/dev/null || complain "a name that is no UTF-8 ends in no JSON"
refused '--save out.bin: c: llama2.c knows only interleaved RoPE' "${reason[@]}" --algorithm grpo --save out.bin
refused 'tuned/tokenizer.json: No such file or directory (--tokenizer names another)' "$programs/reason" --model tuned \
  --prompts prompts.jsonl
refused 'brings no tokenizer along' "$programs/reason" --model model.bin --prompts prompts.jsonl
