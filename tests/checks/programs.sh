#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The examples as their users run them: what they print and write, and what they say when something is wrong.
# programs.sh FOLDER: where generate, reason, tofu_report, tokenize, unlearn and the quickstarts lie.
. tests/checks/common.sh
programs=$(cd "$1" && pwd)
families=$PWD/tests/io/golden/families
data=data
[ -d data ] || data=../shared/data
data=$(realpath -m "${HONE_DATA:-$data}")
golden=$(realpath tests/io/golden)
plot=$(realpath examples/plot.py)
cd "$work"
failed=0
complain() { echo "$*"; failed=1; }

# Runs a command that must fail: status not 0, nothing on stdout, one line with the given text and no name of C++'s, no
# file left behind.
refused() {
  local expected=$1 before status=0
  shift
  before=$(ls -A)
  "$@" >"$work.out" 2>"$work.err" </dev/null || status=$?
  [ $status -ne 0 ] && [ $status -lt 124 ] || complain "exit $status: $*"
  [ ! -s "$work.out" ] || complain "refused, but wrote to stdout: $*"
  grep -qF -- "$expected" "$work.err" || { complain "did not say '$expected': $*"; cat "$work.err"; }
  [ "$(grep -vc 'Run with --help' "$work.err")" -eq 1 ] || { complain "more than one line: $*"; cat "$work.err"; }
  ! grep -q '::' "$work.err" || { complain "says a name of C++'s: $*"; cat "$work.err"; }
  [ "$before" = "$(ls -A)" ] || complain "left files behind: $*"
}
# The value at a path of a JSON file; fails where there is none, or the file is not JSON.
cat >json.cmake <<'END'
file(READ "${FILE}" text)
string(JSON value GET "${text}" ${KEYS})
message("${value}")
END
json() {
  local file=$1
  shift
  cmake "-DFILE=$file" "-DKEYS=$(IFS=';'; echo "$*")" -P json.cmake 2>&1
}
trap 'rm -rf "$work" "$work.out" "$work.err"' EXIT

# A model of 285 tokens whose every parameter is 0.05, and a tokenizer of the bytes and the letters.
bytes() {
  for value in "$@"; do printf "\\x$(printf %02x $((value & 255)))\\x$(printf %02x $((value >> 8 & 255)))\\0\\0"; done
}
{
  bytes 8 8 1 2 2 285 128
  for ((i = 0; i < 3264; ++i)); do printf '\xcd\xcc\x4c\x3d'; done
} >model.bin
token() { bytes 0 ${#1}; printf %s "$1"; }
{
  bytes 6
  for special in '<unk>' '<s>' '</s>'; do token "$special"; done
  for ((i = 0; i < 256; ++i)); do token "$(printf '<0x%02X>' $i)"; done
  for letter in {a..z}; do token "$letter"; done
} >tokens.bin
for i in 1 2 3 4; do echo "{\"question\": \"who is number $i\", \"answer\": \"author $i\"}"; done >forget.json
for i in 5 6 7 8 9; do echo "{\"question\": \"who is number $i\", \"answer\": \"author $i\"}"; done >retain.json

# The quickstarts print what their comments say.
for program in std eigen xtensor training_step; do "$programs/quickstart_$program"; done >quickstarts.txt
for line in 'step     1 1 -1' 'conflict 0.67' 'step 3.167 -0.917 -0.583' 'step 0.184 1.204 1.204' 'step 2: '; do
  grep -qF -- "$line" quickstarts.txt || complain "no quickstart prints '$line'"
done

generate=("$programs/generate" --checkpoint model.bin --tokenizer tokens.bin)
"${generate[@]}" --prompt abc --tokens 4 >text || complain "generate fails"
[ "$(head -c 3 text)" = abc ] || complain "generate does not begin with the prompt"
"${generate[@]}" --tokens 100 --temperature 1 2>errors | head -c 1 >/dev/null || true
[ ! -s errors ] || complain "generate complains about a closed pipe"
if [ -e /dev/full ]; then
  "${generate[@]}" >/dev/full 2>errors && complain "generate does not mind a full disk"
  grep -q 'standard output' errors || complain "generate does not name a full disk"
fi
head -c 1000 model.bin >short.bin
{ cat model.bin; printf abcd; } >long.bin
head -c 2000 tokens.bin >few.bin
{ cat tokens.bin; token x; } >many.bin
: >empty
refused '--model is required' "$programs/generate"
refused 'absent.bin: No such file' "$programs/generate" --checkpoint absent.bin --tokenizer tokens.bin
refused 'the file has 1000 bytes, its header asks for 13084' "$programs/generate" --checkpoint short.bin \
  --tokenizer tokens.bin
refused 'the file has 13088 bytes, its header asks for 13084' "$programs/generate" --checkpoint long.bin \
  --tokenizer tokens.bin
refused 'too short for a llama2.c header' "$programs/generate" --checkpoint empty --tokenizer tokens.bin
refused 'tokens, the model has 285' "$programs/generate" --checkpoint model.bin --tokenizer few.bin
refused "bytes follow the model's 285 tokens" "$programs/generate" --checkpoint model.bin --tokenizer many.bin
refused '--temperature' "${generate[@]}" --temperature -1
refused '--top-p: must be above 0' "${generate[@]}" --top-p 0
refused '--top-p: must be above 0' "${generate[@]}" --top-p nan
refused '--temperature: is not a finite number' "${generate[@]}" --temperature nan
refused "does not fit the model's 128" "${generate[@]}" --prompt "$(printf 'a%.0s' {1..200})"

tokenize=("$programs/tokenize" --tokenizer "$golden/llama3.json")
printf 'The lamp\n\n<|eot_id|> \xff\xc3\xa9\nno end' >lines
"${tokenize[@]}" <lines >ids || complain "tokenize fails"
[ "$(wc -l <ids)" -eq 4 ] || complain "tokenize: not a line of ids for every line"
"${tokenize[@]}" --decode --special <ids | cmp -s - <(cat lines; echo) ||
  complain "tokenize does not give the lines back"
[ "$("${tokenize[@]}" --decode <ids | sed -n 3p | wc -c)" -eq 5 ] || complain "tokenize --decode shows special tokens"
[ "$(echo '<|eot_id|>' | "${tokenize[@]}" | wc -w)" -eq 1 ] || complain "tokenize does not know a special token"
[ "$(echo '<|eot_id|>' | "${tokenize[@]}" --plain | wc -w)" -gt 1 ] || complain "tokenize --plain knows special tokens"
[ "$(echo a | "${tokenize[@]}" --special --pieces)" = '<|begin_of_text|> a' ] || complain "tokenize --special --pieces"
echo '"a\nb"' | "${tokenize[@]}" --json | "${tokenize[@]}" --json --decode | grep -qxF '"a\nb"' ||
  complain "tokenize --json does not give a line end back"
[ "$(echo 'ab' | "$programs/tokenize" --tokenizer tokens.bin --special)" = '1 259 260' ] ||
  complain "tokenize on tokenizer.bin"
yes 'a line' | "${tokenize[@]}" 2>errors | head -c 1 >/dev/null || true
[ ! -s errors ] || complain "tokenize complains about a closed pipe"
if [ -e /dev/full ]; then
  "${tokenize[@]}" <lines >/dev/full 2>errors && complain "tokenize does not mind a full disk"
  grep -q 'standard output' errors || complain "tokenize does not name a full disk"
fi
# Ctrl-C once it has begun: whole lines are written, beyond what filled a buffer.
mkfifo line
"${tokenize[@]}" <line >stopped.out 2>stopped.err &
exec 9>line
for ((i = 0; i < 5000; ++i)); do echo a; done >&9
until [ -s stopped.out ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
exec 9>&-
[ $status -eq 130 ] && [ -z "$(tail -c 1 stopped.out)" ] ||
  { complain "exit $status of tokenize after Ctrl-C"; cat stopped.err; }
head -c 1000 "$golden/llama3.json" >short.json
echo '{"model": {"type": "Unigram"}}' >unigram.json
echo 'x' >one
refused '--tokenizer is required' "$programs/tokenize"
refused 'absent.json: No such file' "$programs/tokenize" --tokenizer absent.json
refused 'short.json: at byte 1000: not valid JSON' "$programs/tokenize" --tokenizer short.json
refused 'unigram.json: at byte 11: model/type: the model is Unigram' "$programs/tokenize" --tokenizer unigram.json
refused 'too short for a tokenizer' "$programs/tokenize" --tokenizer empty
refused 'excludes --plain' "${tokenize[@]}" --plain --decode
refused_line() {
  local expected=$1 line=$2
  shift 2
  refused "$expected" bash -c 'printf "%s\n" "$0" | "$@"' "$line" "${tokenize[@]}" "$@"
}
refused_line 'line 1: 1000000 is no id from 0 to' '1000000' --decode
refused_line 'line 1: holds something other than ids' '99999999999' --decode
refused_line 'line 1: holds something other than ids' '1 x' --decode
refused_line 'line 1: holds something other than ids' '1x' --decode
refused_line 'line 1: holds something other than ids' '[1, -1]' --decode --json
refused_line 'line 1: not an array' '1' --decode --json
refused_line 'line 1: at byte 0: not valid JSON' 'a' --json
refused_line 'line 1: not a string' '[1]' --json
"${generate[@]}" --tokenizer "$golden/llama2.json" >/dev/null 2>errors &&
  complain "generate takes a tokenizer of more tokens than the model"

run() { "$@" >"$work.out" 2>"$work.err" || { complain "fails: $*"; cat "$work.err"; }; }
# A Hugging Face folder and a GGUF file of the same model say what Transformers says.
list() { json "$families/expected.json" "$@" | tr -d '[] \n'; }
for model in qwen3 qwen3.gguf; do
  run "$programs/generate" --model "$families/$model" --ids "$(list qwen3 prompt)" --tokens 16 --logits $model.json
  [ "$(tr ' ' , <"$work.out")" = "$(list qwen3 greedy)," ] || complain "$model: other tokens than Transformers'"
  difference=$(awk -v x="$(json $model.json logits 63)" -v y="$(json "$families/expected.json" qwen3 logits 13 63)" \
    'BEGIN { print (x - y > 1e-4 || y - x > 1e-4) }')
  [ "$difference" = 0 ] || complain "$model: other logits than Transformers'"
done
refused 'tokenizer.json: No such file' "$programs/generate" --model "$families/qwen3"
refused 'a checkpoint of llama2.c has no tokenizer' "$programs/generate" --model model.bin
refused "--ids: 64 is not in the model's vocabulary of 64" "$programs/generate" --model "$families/qwen3" --ids 1,64
refused '--prompt excludes --ids' "$programs/generate" --model "$families/qwen3" --ids 1 --prompt x

# The quickstart that forgets: a model that is another one afterwards.
quick=("$programs/quickstart_unlearn" model.bin tokens.bin forget.json retain.json)
run "${quick[@]}" quick.bin
[ "$(grep -c 'answers to forget' "$work.out")" -eq 3 ] || complain "quickstart_unlearn does not say what is known"
[ "$(stat -c %s quick.bin)" = "$(stat -c %s model.bin)" ] || complain "quickstart_unlearn's model has another size"
cmp -s quick.bin model.bin && complain "quickstart_unlearn changes nothing"
run "$programs/generate" --checkpoint quick.bin --tokenizer tokens.bin --tokens 4
refused 'absent.json: No such file' "${quick[@]/forget.json/absent.json}" out.bin
refused 'usage:' "${quick[@]}"

unlearn=("$programs/unlearn" --checkpoint model.bin --tokenizer tokens.bin --forget forget.json --retain retain.json
  --retain-limit 4)
for objective in grad_ascent grad_diff npo simnpo dpo idk ihl rmu undial wga satimp; do
  run "${unlearn[@]}" --objective $objective --steps 2 --stop-at 0
done
for combine in sum pcgrad pcgrad_global sago sago_prefer_retain blur a_gem mgda cagrad; do
  run "${unlearn[@]}" --combine $combine --steps 2 --stop-at 0 --accumulation 2 --json $combine.json
  [ "$(json $combine.json config combine)" = $combine ] || complain "$combine: not in the JSON"
  json $combine.json steps 1 conflict_share >/dev/null || complain "$combine: no geometry"
done
for retain_loss in nll kl hidden; do run "${unlearn[@]}" --retain-loss $retain_loss --steps 2; done

# Adapters: their file, the merged model, and what is said of them.
for adapter in lora rila pissa olora corda eva milora lora_ga; do
  run "${unlearn[@]}" --adapter $adapter --rank 2 --orthogonal 0.5 --steps 2 --stop-at 0 --json adapter.json \
    --save-adapter adapter --save merged.bin
  [ "$(json adapter.json config adapter)" = $adapter ] || complain "$adapter: not in the JSON"
  json adapter.json adapter deviation >/dev/null || complain "$adapter: no deviation"
  json adapter.json steps 1 retain_overlap >/dev/null || complain "$adapter: no overlap with what is kept"
  [ -s adapter/adapter_config.json ] && [ -s adapter/adapter_model.safetensors ] || complain "$adapter: not saved"
  run "$programs/generate" --checkpoint merged.bin --tokenizer tokens.bin --tokens 4
done
for threads in 1 2; do
  run "${unlearn[@]}" --adapter rila --rank 2 --project --steps 2 --stop-at 0 --threads $threads --json $threads.json \
    --save-adapter $threads.gguf --save folder$threads
done
cmp -s <(grep -v '"threads"' 1.json) <(grep -v '"threads"' 2.json) && cmp -s 1.gguf 2.gguf ||
  complain "an adapter depends on the threads"
run "$programs/generate" --model folder1 --tokenizer tokens.bin --tokens 4
run "$programs/unlearn" --compare-adapters --rank 2 --seeds 1 --learn-steps 5 --steps 3 --stop-at 0 --json adapters.json
[ "$(json adapters.json runs 5 way)" = 'rila, projected' ] || complain "not every adapter was compared"

# TOFU's measures.
for i in 1 2 3; do
  echo "{\"question\": \"who is number $i\", \"answer\": \"author $i\", \"paraphrased_answer\": \"writer $i\"," \
    "\"perturbed_answer\": [\"author x\", \"author yy\"]}"
done >perturbed.json
run "${unlearn[@]}" --learn-first --learn-steps 3 --steps 2 --stop-at 0 --forget-perturbed perturbed.json \
  --retain-perturbed perturbed.json --real-authors perturbed.json --world-facts perturbed.json --retrain \
  --json tofu.json
for score in geometric arithmetic; do
  json tofu.json tofu after model_utility $score >/dev/null || complain "no model utility ($score)"
  json tofu.json tofu before forget_quality $score log10_p >/dev/null || complain "no forget quality ($score)"
done

run "${unlearn[@]}" --learn-first --learn-steps 3 --steps 4 --stop-at 0 --json one.json --save saved.bin --threads 1
run "${unlearn[@]}" --learn-first --learn-steps 3 --steps 4 --stop-at 0 --json two.json --save again.bin --threads 2
for when in before after; do
  for what in forget retain holdout; do
    for score in answer_probability exact_match rouge_l; do
      json one.json $when $what $score >/dev/null || complain "no $when $what $score in the JSON"
    done
  done
done
[ "$(json one.json interrupted)" = OFF ] || complain "not interrupted, but says so"
cmp -s <(grep -v '"threads"' one.json) <(grep -v '"threads"' two.json) || complain "the JSON depends on the threads"
cmp -s saved.bin again.bin || complain "the checkpoint depends on the threads"
[ "$(stat -c %s saved.bin)" = "$(stat -c %s model.bin)" ] || complain "the saved checkpoint has another size"
cmp -s saved.bin model.bin && complain "the saved checkpoint is the one that was read"
run "$programs/generate" --checkpoint saved.bin --tokenizer tokens.bin --tokens 4
run "$programs/unlearn" --seeds 1 --learn-steps 5 --steps 3 --stop-at 0 --combine sago --json one.json --threads 1
run "$programs/unlearn" --seeds 1 --learn-steps 5 --steps 3 --stop-at 0 --combine sago --json two.json --threads 2
cmp -s <(grep -v '"threads"' one.json) <(grep -v '"threads"' two.json) ||
  complain "the experiment depends on the threads"
if [[ $(ldd "$programs/unlearn") == *libmpi* ]]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  run mpirun --oversubscribe -n 2 "$programs/unlearn" --mpi --seeds 1 --learn-steps 5 --steps 3 --stop-at 0 \
    --combine sago --json two.json --threads 1
  cmp -s one.json two.json || complain "the experiment depends on the processes"
else
  echo "skipped: unlearn --mpi (built without MPI)"
fi

# Ctrl-C, once the model has been examined and forgets.
"${unlearn[@]}" --steps 100000000 --stop-at 0 --json stopped.json --save stopped.bin >stopped.out 2>stopped.err &
until grep -q 'before.*holdout' stopped.out || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] || { complain "exit $status after Ctrl-C"; cat stopped.err; }
[ "$(json stopped.json interrupted)" = ON ] || complain "the JSON does not say that it was interrupted"
json stopped.json after retain rouge_l >/dev/null || complain "no scores after Ctrl-C"
run "$programs/generate" --checkpoint stopped.bin --tokenizer tokens.bin --tokens 4

# What would fail after the teaching is refused before it: it would take days.
long=(timeout 60 "${unlearn[@]}" --learn-first --learn-steps 100000000 --learn-until 1)
mkdir folder
refused 'nowhere/out.json: cannot create' "${long[@]}" --json nowhere/out.json
refused 'nowhere/out.bin: cannot create' "${long[@]}" --save nowhere/out.bin
refused 'folder: cannot create' "${long[@]}" --json folder
refused '--rank needs an --adapter' "${long[@]}" --rank 4
refused '--rank 5: the smallest matrix has one of 8, --adapter lora_ga takes at most 4' "${long[@]}" \
  --adapter lora_ga --rank 5
refused '--rank 40: the smallest matrix' timeout 60 "$programs/unlearn" --learn-steps 100000000 --learn-until 1 \
  --compare-adapters --rank 40
refused 'chooses the adapters itself' "${long[@]}" --compare-adapters --adapter lora
refused 'it saves none' "${long[@]}" --compare-adapters --save out.bin
refused '--retrain needs' "${unlearn[@]}" --retrain
refused 'question 1 has 0 perturbed answers' "${long[@]}" --forget-perturbed forget.json
refused --adapter "${long[@]}" --adapter vera
refused 'name the same file' "${long[@]}" --save out --json out
refused '--layer 2: the model has hidden states 0 to 1' "${long[@]}" --layer 2 --json out.json
refused 'not a finite number' "${long[@]}" --rate nan
for option in --steps --batch --accumulation --probe-every --retain-limit --threads --rate --beta; do
  refused $option "${long[@]}" $option 0
done
refused --objective "${long[@]}" --objective forgetfulness
refused --combine "${long[@]}" --combine average
refused --retain-loss "${long[@]}" --retain-loss none
refused 'no retain gradient' "${long[@]}" --objective grad_ascent --combine sago
refused 'brings none along' "$programs/unlearn" --checkpoint model.bin --forget forget.json --retain retain.json
refused 'requires --model' "$programs/unlearn" --save out.bin
with_forget() { refused "$1" "${long[@]/#forget.json/$2}" --json out.json --save out.bin; }
with_forget 'absent.json: No such file' absent.json
with_forget 'empty: no question-answer pair' empty
{ head -2 forget.json; echo '{"question": "half'; } >half.json
with_forget 'half.json:3: not valid JSON' half.json
{ head -1 forget.json; echo '{"question": "and the answer"}'; } >unanswered.json
with_forget 'unanswered.json:2: no field "answer"' unanswered.json
echo "{\"question\": \"long\", \"answer\": \"$(printf 'a%.0s' {1..200})\"}" >verbose.json
with_forget "verbose.json: pair 1: has 213 tokens, the model takes 128" verbose.json

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

# reason: the same bits from any number of threads, and from a checkpoint.
small=("$programs/reason" --sft-steps 40 --sft-rate 0.02 --horizon 1 --width 8 --layers 1 --batch 16 --held-out 4
  --samples 8)
timeless() { grep -v '"threads"\|seconds"' "$1"; }
tensors() { tail -c +$((9 + $(od -An -tu8 -N8 "$1"))) "$1"; }
for algorithm in ppo dapo remax vapo 'clip_cov --cov-share 0.05 --cov-low 0' 'kl_cov --cov-share 0.1' sppo sppo+apo; do
  run "${small[@]}" --algorithm $algorithm --steps 6 --report-every 2 --threads 1 --json one.json --checkpoint one.run \
    --save one.model
  run "${small[@]}" --algorithm $algorithm --steps 3 --report-every 2 --threads 2 --checkpoint half.run
  run "${small[@]}" --algorithm $algorithm --steps 6 --report-every 2 --threads 2 --json two.json --checkpoint two.run \
    --save two.model --resume half.run
  cmp -s <(timeless one.json) <(timeless two.json) ||
    complain "$algorithm: the JSON depends on threads or on the resuming"
  cmp -s <(tensors one.run) <(tensors two.run) ||
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
[ "$("${small[@]}" --algorithm grpo --steps 2 2>/dev/null | awk 'length > 90' | wc -l)" -eq 0 ] ||
  complain "reason's table is too wide"
for task in chain tree countdown; do
  run "$programs/reason" --task $task --sft-steps 2 --width 8 --layers 1 --batch 16 --held-out 2 --samples 8 \
    --steps 2 --kl 0.1 --entropy 0.01 --json task.json
  json task.json after coverage >/dev/null || complain "reason --task $task: no coverage"
done
run "${small[@]}" --steps 2 --seeds 2 --sweep kl=0,0.5 --sweep algorithm=sppo,ppo:gae-lambda=1,grpo --json sweep.json
[ "$(json sweep.json runs 11 config kl)" = 0.5 ] && [ "$(json sweep.json runs 11 config seed)" = 2 ] ||
  complain "reason --sweep: not every combination was run"
[ "$(json sweep.json runs 1 config gae_lambda)$(json sweep.json runs 2 config gae_lambda)" = 1.0 ] ||
  complain "reason --sweep: what a value brings along stays, or does not come"
run "$programs/reason" --task bandit --algorithm grpo --sweep kl=0,0.2 --steps 20 --seeds 2 --json bandit.json
json bandit.json cases 1 mean pass_64 >/dev/null || complain "reason --task bandit: no pass_64"

# plot.py draws each kind of result, or says what it is not.
python=python3
"$python" -c 'import matplotlib' 2>/dev/null || python=/usr/bin/python3
if "$python" -c 'import matplotlib' 2>/dev/null; then
  run "${small[@]}" --algorithm grpo --steps 2 --json run.json
  run "$programs/unlearn" --seeds 1 --learn-steps 5 --steps 3 --stop-at 0 --combine sago --json experiment.json
  run "${unlearn[@]}" --steps 2 --json steps.json
  for result in run sweep bandit experiment steps; do
    run "$python" "$plot" $result.json $result.svg
    [ -s $result.svg ] || complain "plot.py draws nothing of $result.json"
  done
  echo '{"runs": []}' >none.json
  refused 'none.json: no result of unlearn or reason' "$python" "$plot" none.json out.svg
  refused 'usage:' "$python" "$plot" sweep.json out.txt
else
  echo "skipped: plot.py (no matplotlib)"
fi

"${small[@]}" --algorithm sppo --steps 100000000 --report-every 10 --checkpoint stopped.run --json stopped.json \
  >stopped.out 2>stopped.err &
until grep -q '^ *20 ' stopped.out || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] || { complain "exit $status of reason after Ctrl-C"; cat stopped.err; }
grep -q 'go on with --resume stopped.run' stopped.err || complain "reason does not say how to go on after Ctrl-C"
[ "$(json stopped.json interrupted)" = ON ] || complain "reason's JSON does not say that it was interrupted"
run "${small[@]}" --algorithm sppo --steps 20 --report-every 10 --resume stopped.run
# More steps than before, and the reports where they were.
run "${small[@]}" --algorithm grpo --steps 20 --checkpoint fewer.run
run "${small[@]}" --algorithm grpo --steps 30 --resume fewer.run --json more.json
[ "$(json more.json config report_every)" = 2 ] && [ "$(json more.json records 15 step)" = 30 ] ||
  complain "reason --resume with more steps: other reports"

refused '--algorithm ppoo: is none of' "${small[@]}" --algorithm ppoo
refused 'has no lambda of advantages' "${small[@]}" --algorithm grpo --gae-lambda 1
refused '--anchor-beta changes nothing without an algorithm with an anchor' "${small[@]}" --algorithm grpo \
  --anchor-beta 0.2
refused '--kl-gradient changes nothing without a KL in the loss' "${small[@]}" --algorithm ppo --kl 0.1 \
  --kl-gradient importance
refused '--kl-estimator changes nothing without --kl' "${small[@]}" --kl-estimator k2
refused '--aliasing changes nothing without --task tree' "${small[@]}" --aliasing 0
refused '--collapse changes nothing without --task bandit' "${small[@]}" --collapse 10
refused '--width changes nothing without a model' "$programs/reason" --task bandit --algorithm grpo --width 8
refused '--entropy changes nothing without --algorithm' "$programs/reason" --task bandit --entropy 0.1
refused '--sweep grpo:anchor-k=4: --anchor-k changes nothing' "${small[@]}" \
  --sweep algorithm=grpo:anchor-k=4,apo:anchor-k=4
refused 'chooses no tokens by their covariance' "${small[@]}" --algorithm grpo --cov-share 0.1
refused '--group-size 1: grpo compares' "${small[@]}" --algorithm grpo --group-size 1
refused '--batch 16: must be a multiple' "${small[@]}" --algorithm grpo --group-size 5
refused 'a group for each of 3 minibatches' "${small[@]}" --algorithm grpo --minibatches 3
refused '"speed" is no option' "${small[@]}" --sweep speed=1,2
refused '"threads" is no option' "${small[@]}" --sweep threads=1,2
refused 'must be OPTION=VALUE' "${small[@]}" --sweep kl=
refused '--kl' "${small[@]}" --sweep kl=0,-1
refused '--horizon: must be in [1, 256], one is 1000' "${small[@]}" --sweep horizon=2,1000
refused '--horizon: must be in [1, 256], one is 1000' "${small[@]}" --algorithm grpo --horizon 1000
refused '--anchor-k 30: the vocabulary has 21' "${small[@]}" --algorithm apo --anchor-k 30
refused '--anchor-k 17: there are 16 actions' "$programs/reason" --task bandit --algorithm apo --anchor-k 17
refused '--minibatches 3: must divide the 16 groups of a step' "$programs/reason" --task bandit --minibatches 3
refused '--batch 100: must be a multiple' "$programs/reason" --task bandit --algorithm sppo --batch 100 --collapse 1
refused '--algorithm grpo: dual: must be above 1' "${small[@]}" --algorithm grpo --clip-dual 0.5
refused '--clip-low: is not a finite number' "${small[@]}" --algorithm grpo --clip-low nan
refused 'without --sweep and --seeds' "${small[@]}" --seeds 2 --checkpoint out.run
refused '--checkpoint-every needs' "${small[@]}" --checkpoint-every 2
refused 'name the same file' "${small[@]}" --algorithm grpo --checkpoint out --json out
refused 'nowhere/out.run: cannot create' "${small[@]}" --algorithm grpo --checkpoint nowhere/out.run
refused 'not a finite number' "${small[@]}" --rate nan
refused '--heads 3: must divide --width 8' "${small[@]}" --heads 3
refused 'nothing for --checkpoint' "${small[@]}" --task bandit --checkpoint out.run
refused --task "${small[@]}" --task chess
refused 'absent.run: No such file' "${small[@]}" --resume absent.run
refused 'one.run: was made with algorithm "sppo+apo", not "grpo"' "${small[@]}" --resume one.run
refused 'is no checkpoint of reason' "${small[@]}" --resume one.model/model.safetensors
refused --samples "${small[@]}" --samples 7

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
refused 'brings none along' "$programs/reason" --model model.bin --prompts prompts.jsonl

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
if [ -f "$data/tinystories/stories260K.bin" ]; then
  stories=(--checkpoint "$data/tinystories/stories260K.bin" --tokenizer "$data/tinystories/tok512.bin")
  # What llama2.c's `run -t 0 -n 200` prints.
  sum=$("$programs/generate" "${stories[@]}" --tokens 200 | sha256sum)
  [ "${sum%% *}" = f5a0e67db7424051520e7d8db9880b3dc2aa13577db570c28805c1b51c42eaf0 ] || complain "another story: $sum"
  if [ -f "$data/tofu/forget01.json" ]; then
    run "$programs/unlearn" "${stories[@]}" --forget "$data/tofu/forget01.json" --retain "$data/tofu/retain99.json" \
      --retain-limit 10 --holdout 5 --learn-first --learn-steps 2 --steps 2 --stop-at 0 --json tofu.json --save tofu.bin
    json tofu.json after holdout rouge_l >/dev/null || complain "no scores on TOFU"
    run "$programs/generate" --checkpoint tofu.bin --tokenizer "$data/tinystories/tok512.bin" --tokens 4
  fi
else
  echo "skipped: tinystories/stories260K.bin is not there (set HONE_DATA)"
fi
exit $failed
