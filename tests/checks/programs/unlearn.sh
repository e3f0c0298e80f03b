# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: unlearn.
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

# A vocabulary larger than the tokenizer's, and a name that is no UTF-8.
padded=("${unlearn[@]/#tokens.bin/bytes/tokenizer.json}") odd=$(printf 'odd\xff.bin')
cp model.bin "$odd"
run "${padded[@]/#model.bin/$odd}" --steps 2 --stop-at 0 --json odd.json --adapter lora --rank 2 --save-adapter odd
json odd.json after forget rouge_l >/dev/null || complain "a name that is no UTF-8 ends in no JSON"

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
: >>stopped.out
until grep -q 'before.*holdout' stopped.out || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] || { complain "exit $status after Ctrl-C"; cat stopped.err; }
[ "$(json stopped.json interrupted)" = ON ] || complain "the JSON does not say that it was interrupted"
json stopped.json after retain rouge_l >/dev/null || complain "no scores after Ctrl-C"
run "$programs/generate" --checkpoint stopped.bin --tokenizer tokens.bin --tokens 4

# The rule that ends a run is said.
run "${unlearn[@]}" --steps 2 --json rule.json
grep -q 'until their probability is that of pairs held out' "$work.out" &&
  [ "$(json rule.json stop_rule)" = held_out ] ||
  complain "does not say that pairs held out end the run"
run "${unlearn[@]/#4/5}" --steps 2 --json rule.json
[ "$(json rule.json stop_rule)" = held_out ] || complain "does not hold out a part of a short file"
run "${unlearn[@]}" --holdout 0 --steps 2 --json rule.json
grep -q 'for all of 2 steps: no pair is held out' "$work.out" && [ "$(json rule.json stop_rule)" = none ] ||
  complain "does not say that nothing ends the run before its steps"
run "${unlearn[@]}" --steps 2 --stop-at 0.001 --json rule.json
[ "$(json rule.json stop_rule)" = told ] || complain "does not say that --stop-at ends the run"
head -1 forget.json >>both.json; cat retain.json >>both.json
run "${unlearn[@]/#retain.json/both.json}" --steps 2
grep -q 'note: 1 of 4 pairs of --forget are also in --retain' "$work.err" ||
  complain "does not say that pairs are in both"

# Ctrl-C among made-up facts: the run that it ends is left out, and named.
"$programs/unlearn" --seeds 1 --learn-steps 5 --steps 100000000 --stop-at 0 --combine sago --json stopped.json \
  >stopped.out 2>stopped.err &
: >>stopped.out
until grep -q 'forgets 20 by' stopped.out || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] && grep -q 'Interrupted in sago 1, seed 1, which is left out: 0 of 4 runs ended' stopped.out &&
  [ "$(json stopped.json cut)" = 'sago 1, seed 1' ] ||
  { complain "exit $status of the experiment after Ctrl-C, or no name of what it cut"; cat stopped.out stopped.err; }

# What would fail after the teaching is refused before it: it would take days.
long=(timeout 60 "${unlearn[@]}" --learn-first --learn-steps 100000000 --learn-until 1)
refused 'nowhere/out.json: cannot create' "${long[@]}" --json nowhere/out.json
refused 'nowhere/out.bin: cannot create' "${long[@]}" --save nowhere/out.bin
refused 'folder: cannot create' "${long[@]}" --json folder
refused 'forget.json/out: cannot create' "${long[@]}" --save forget.json/out
refused 'question 1 has 0 perturbed answers' "${long[@]}" --save new/deep/out --forget-perturbed forget.json
refused '--rank changes nothing without an --adapter' "${long[@]}" --rank 4
refused '--basis changes nothing without --orthogonal or --project' "${long[@]}" --adapter lora --basis 4
refused '--seeds changes nothing without made-up facts' "${long[@]}" --seeds 2
refused '--learn-steps changes nothing without --learn-first' "${unlearn[@]}" --learn-steps 5
for option in --steering --delta --layer; do
  refused "$option changes nothing without" "${long[@]}" $option 1
done
refused '--beta changes nothing without an --objective that has one' "${long[@]}" --objective idk --beta 1
refused '--retain-weight changes nothing without a loss on what is to be kept' "${long[@]}" --objective grad_ascent \
  --retain-weight 2
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
refused 'names a file that is to be read' "${long[@]}" --json forget.json
refused '--json names a file that is to be read' "${long[@]}" --json ./folder/../forget.json
cp -r "$families/qwen3" brought
cp forget.json brought
refused '--save brought holds brought/forget.json, which is to be read' "${long[@]/#forget.json/brought/forget.json}" \
  --save brought
rm brought/forget.json
mkdir other
: >other/adapter_model.safetensors
refused '--save other has adapter_model.safetensors, which would stay' "${long[@]}" --save other
for file in config.json model.safetensors sub/new.json; do
  refused "--json brought/$file lies in brought, which is to be read" "${long[@]/#model.bin/brought}" \
    --json brought/$file
done
refused '--json new/config.json lies in the folder of --save' "${long[@]}" --save new --json new/config.json
refused '--save-adapter new/./a lies in the folder of --save' "${long[@]}" --adapter lora --save new \
  --save-adapter new/./a
refused '--save new.bin: c.head_width: llama2.c knows only d_model / n_heads' "${long[@]/#model.bin/brought}" \
  --save new.bin
refused '--layer 2: the model has hidden states 0 to 1' "${long[@]}" --objective rmu --layer 2 --json out.json
refused '--rate: nan is not a finite number' "${long[@]}" --rate nan
refused '--steps: must be at least 1, is 0' "${long[@]}" --steps 0
refused '--steps: "1e9x" is no whole number' "${long[@]}" --steps 1e9x
refused '--json: is empty' "${long[@]}" --json ''
refused '--model: is empty' timeout 60 "$programs/unlearn" --model '' --forget forget.json --retain retain.json
refused '--seed: must be at least 0, is -1' "${long[@]}" --seed -1
for option in --rate --learn-rate --beta --forget-weight --retain-weight --weight-decay --clip --stop-at --warmup \
  --alpha --orthogonal; do
  refused "$option: must be " "${long[@]}" --adapter lora $option 1e300
done
refused '--rank 1000000000: the smallest' "${long[@]}" --adapter lora --rank 1000000000
refused '--save out.gguf: what does not end in .bin becomes a folder' "${long[@]}" --save out.gguf
refused '--save-adapter out.bin: what does not end in .gguf' "${long[@]}" --adapter lora --save-adapter out.bin
refused '--layer 4: the model has hidden states 0 to 3' timeout 60 "$programs/unlearn" --learn-steps 100000000 \
  --learn-until 1 --objective rmu --layer 4
echo "{\"question\": \"$(printf 'a%.0s' {1..110})\", \"answer\": \"b\"}" >asked.json
refused '--forget: pair 1: has 1' "${long[@]/#forget.json/asked.json}" --objective idk
refused 'name the same file: what is to be forgotten' "${long[@]/#retain.json/./forget.json}"
cp forget.json copy.json
refused 'every pair of --forget is also in --retain' "${long[@]/#retain.json/copy.json}"
for option in --steps --batch --accumulation --probe-every --retain-limit --threads --rate --beta; do
  refused $option "${long[@]}" $option 0
done
refused --objective "${long[@]}" --objective forgetfulness
refused --combine "${long[@]}" --combine average
refused --retain-loss "${long[@]}" --retain-loss none
refused '--combine changes nothing without a loss on what is to be kept' "${long[@]}" --objective grad_ascent \
  --combine sago
refused 'brings no tokenizer along, name one by --tokenizer' "$programs/unlearn" --checkpoint model.bin \
  --forget forget.json --retain retain.json
refused 'requires --model' "$programs/unlearn" --save out.bin
with_forget() { refused "$1" "${long[@]/#forget.json/$2}" --json out.json --save out.bin; }
with_forget 'absent.json: No such file' absent.json
with_forget 'empty: no question-answer pair' empty
{ head -2 forget.json; echo '{"question": "half'; } >half.json
with_forget 'half.json:3: not valid JSON' half.json
{ head -1 forget.json; echo '{"question": "and the answer"}'; } >unanswered.json
with_forget 'unanswered.json:2: no field "answer"' unanswered.json
echo '{"question": "", "answer": "b"}' >unasked.json
with_forget 'unasked.json: pair 1: the question is empty' unasked.json
echo '{"question": "a", "answer": ""}' >unanswered.json
with_forget 'unanswered.json: pair 1: the answer is empty' unanswered.json
{ echo '['; sed 's/$/,/' forget.json; echo ']'; } >array.json
with_forget "array.json:1: not valid JSON: a line is to be a whole value; jq -c '.[]' makes lines" array.json
echo "{\"question\": \"long\", \"answer\": \"$(printf 'a%.0s' {1..200})\"}" >verbose.json
with_forget "verbose.json: pair 1: has 213 tokens, the model takes 128" verbose.json

# Real data, where it is there.
if [ -f "${stories[1]}" ] && [ -f "$data/tofu/forget01.json" ]; then
  run "$programs/unlearn" "${stories[@]}" --forget "$data/tofu/forget01.json" --retain "$data/tofu/retain99.json" \
    --retain-limit 10 --holdout 5 --learn-first --learn-steps 2 --steps 2 --stop-at 0 --json tofu.json --save tofu.bin
  json tofu.json after holdout rouge_l >/dev/null || complain "no scores on TOFU"
  run "$programs/generate" --checkpoint tofu.bin --tokenizer "$data/tinystories/tok512.bin" --tokens 4
else
  echo "skipped: tinystories/stories260K.bin or tofu/forget01.json is not there (set HONE_DATA)"
fi
