# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: diffuse.
diffuse=("$programs/diffuse" --length 16 --experts 4 --expert-width 8 --width 8 --heads 2 --layers 2 --batch 4
  --held-out 8 --warmup 2)
timeless() { grep -v '"threads"\|"tokens_per_second"' "$1"; }
# The step of a checkpoint, whose metadata is JSON in JSON: that between what was counted and the text's fingerprint.
step_of() { head -c 100000 "$1" | grep -ao 'step\\":[0-9]*,\\"text\\"' | tr -dc 0-9; }
# The same bits from any number of threads, and from a checkpoint.
for router in 'expert_choice --schedule linear_reverse' zhou 'token_choice --capacity-factor 1.25' 'switch' loss_free \
  threshold; do
  with=("${diffuse[@]}" --router $router --steps 40 --report-every 10)
  run "${with[@]}" --threads 1 --json one.json --checkpoint one.run
  for try in 1 2 3 4 5; do
    rm -f half.run
    "${with[@]}" --threads 2 --checkpoint half.run --checkpoint-every 1 >/dev/null 2>&1 &
    until [ -f half.run ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    [ "$(step_of half.run)" = 40 ] || break
  done
  [ "$(step_of half.run)" -lt 40 ] || complain "diffuse --router $router: was over before it was killed"
  run "${with[@]}" --threads 2 --resume half.run --json two.json --checkpoint two.run
  cmp -s <(timeless one.json) <(timeless two.json) ||
    complain "diffuse --router $router: the JSON depends on threads or on the resuming"
  cmp -s one.run two.run || complain "diffuse --router $router: the checkpoint depends on threads or on the resuming"
done
for key in loss loss_by_ratio bound learning_efficiency slots_per_token padded_slots_per_token load_max_over_mean \
  uncovered dropped tokens_per_second flops entropy seed; do
  json one.json runs 0 $key >/dev/null || complain "diffuse: no $key in the JSON"
done
[ "$(json one.json runs 0 records 4 step)" = 40 ] || complain "diffuse: not a record every ten steps"
[ "$(json one.json interrupted)" = OFF ] || complain "diffuse: not interrupted, but says so"
run "${diffuse[@]}" --steps 2 --seeds 2 --sweep router=expert_choice,expert_choice:coverage=0,token_choice \
  --json sweep.json
[ "$(json sweep.json runs 5 config router)" = token_choice ] && [ "$(json sweep.json runs 5 seed)" = 2 ] ||
  complain "diffuse --sweep: not every combination was run"
[ "$(json sweep.json runs 1 config coverage)$(json sweep.json runs 2 config coverage)" = 0.00.0 ] &&
  [ "$(json sweep.json runs 0 config coverage)" = 0.01 ] || complain "diffuse --sweep: what a value brings along"
json sweep.json comparison 2 loss over_first_margin >/dev/null || complain "diffuse --sweep: no paired difference"
[ "$(json sweep.json comparison 0 loss over_first)" = 0.0 ] || complain "diffuse --sweep: the first over itself"

# A text of bytes, its model, and text from that.
for ((i = 0; i < 60; ++i)); do echo "All that is said here is said again, and again."; done >again.txt
run "${diffuse[@]}" --text again.txt --steps 20 --save made
[ -f made/tokenizer.json ] || complain "diffuse --save: no tokenizer"
run "$programs/diffuse" --sample made --prompt 'All th' --length 8 --order confidence
[ "$(head -c 6 "$work.out")" = 'All th' ] || complain "diffuse --sample does not begin with the prompt"
[ "$(grep -c '^step ' "$work.err")" -eq 8 ] || complain "diffuse --sample: not a line a step"
run "$programs/diffuse" --sample made --length 8 --threshold 0
[ "$(grep -c '^step ' "$work.err")" -eq 1 ] || complain "diffuse --sample --threshold 0: not all in one step"
for order in margin entropy random ancestral 'entropy_bound --gamma 0.5' 'confidence --guidance 1'; do
  run "$programs/diffuse" --sample made --prompt 'All' --length 8 --order $order
done
run "$programs/diffuse" --sample made --length 8 --block 4 --denoising-steps 4 --schedule linear_reverse
[ "$("$programs/diffuse" --sample made --length 8 --temperature 1 --samples 2 --seed 3 2>/dev/null)" = \
  "$("$programs/diffuse" --sample made --length 8 --temperature 1 --samples 2 --seed 3 2>/dev/null)" ] ||
  complain "diffuse --sample: another text with the same seed"

said() { grep -q -- "$1" "$work.err" || { complain "did not say '$1'"; cat "$work.err"; }; }
unsaid() { ! grep -q -- "$1" "$work.err" || { complain "said '$1'"; cat "$work.err"; }; }
run "$programs/diffuse" --sample made --length 8 --denoising-steps 100
said '^note: --denoising-steps 100: 8 tokens take 8$'

# A folder is one of its own, and may be written again.
run "${diffuse[@]}" --text again.txt --steps 2 --save made
cp -r made foreign
: >foreign/model.safetensors.index.json
refused '--save foreign has model.safetensors.index.json, which would stay' "${diffuse[@]}" --steps 2 --save foreign
refused '--save made holds made/tokenizer.json, which is to be read' "${diffuse[@]}" --steps 2 --save made \
  --text made/tokenizer.json
# A tokenizer.bin lies in no folder, and none that another model left is taken for it.
bin=("${diffuse[@]}" --text again.txt --tokenizer tokens.bin --steps 2 --save made.bins)
mkdir made.bins
cp made/tokenizer.json made.bins
run "${bin[@]}"
said '^note: made.bins gets no tokenizer.json: --sample wants --tokenizer tokens.bin$'
[ ! -e made.bins/tokenizer.json ] || complain "diffuse --save: another model's tokenizer stays"
run "$programs/diffuse" --sample made.bins --tokenizer tokens.bin --length 8
refused 'tokenizer.json' "$programs/diffuse" --sample made.bins --length 8
refused 'tokens.bin: 285 tokens, the model has 257' "$programs/diffuse" --sample made --tokenizer tokens.bin --length 8
# The tokenizer that a run began with is saved, whatever became of the file.
cp made/tokenizer.json moved.json
"${diffuse[@]}" --text again.txt --tokenizer moved.json --steps 20 --report-every 10 --save moved >moved.out 2>&1 &
until grep -q '^ *0 ' moved.out 2>/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
mv moved.json moved.away
wait $! || { complain "diffuse --save: wants the tokenizer's file at the end"; cat moved.out; }
cmp -s moved/tokenizer.json moved.away || complain "diffuse --save: another tokenizer than it began with"

for router in loss_free threshold zhou; do
  run "${diffuse[@]}" --router $router --steps 4 --save kept.$router
  run "$programs/diffuse" --sample kept.$router --length 4
done

# Routers that are swapped.
run "${diffuse[@]}" --router token_choice --steps 20 --save chosen
swap=("$programs/diffuse" --retrofit chosen --length 16 --batch 4 --held-out 8 --steps 8 --warmup 2)
run "${swap[@]}" --sweep care=none,keep,top1,homotopy,both --json swap.json
[ "$(json swap.json runs 1 kl_at_swap)" = 0.0 ] || complain "diffuse --retrofit --care keep: another model"
[ "$(json swap.json runs 2 uncovered 0)$(json swap.json runs 4 uncovered 1)" = 0.00.0 ] ||
  complain "diffuse --retrofit --care top1: tokens without an expert"
[ "$(json swap.json runs 3 steps)" = 8 ] || complain "diffuse --retrofit --care homotopy: another number of steps"
run "${swap[@]}" --care homotopy --json swap.json --report-every 3
[ "$(json swap.json runs 0 records 1 step)" = 2 ] || complain "diffuse --care homotopy: no record of the swap"
for key in width layers heads shared expert_width; do
  json swap.json config $key >/dev/null && complain "diffuse --retrofit: $key in the JSON, which the folder has"
done
run "${diffuse[@]}" --router switch --steps 1 --json switch.json
[ "$(json switch.json config k)" = 1 ] || complain "diffuse --router switch: k is not 1"
# Steps before the swap are a run's own: what they come to is kept, and goes on with the same bits.
with=("${swap[@]/#8/80}" --care both --report-every 10)
run "${with[@]}" --checkpoint one.swap --json one.json
for at in 4 40; do
  for try in 1 2 3 4 5; do
    rm -f half.swap
    "${with[@]}" --checkpoint half.swap --checkpoint-every $at >/dev/null 2>&1 &
    until [ -f half.swap ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
    kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    [ "$(step_of half.swap)" = 80 ] || break
  done
  run "${with[@]}" --resume half.swap --checkpoint two.swap --json two.json
  cmp -s one.swap two.swap || complain "diffuse --care both: depends on the resuming at step $at"
  cmp -s <(timeless one.json) <(timeless two.json) || complain "diffuse --care both: another JSON if resumed at $at"
done
refused 'half.swap: was made with mask_token null, not 32' "${with[@]}" --mask-token 32 --resume half.swap
refused '--mask-token 5: the mask of chosen is 32' "${swap[@]}" --mask-token 5
refused '--mask-token 5: the mask of chosen is 32' "$programs/diffuse" --sample chosen --mask-token 5
refused '--care homotopy: a quarter of --steps 3 is no step' "${swap[@]/#8/3}" --care homotopy
for care in none top1; do
  refused '--aux changes nothing without tokens that choose' "${swap[@]}" --care $care --aux 0.1
done
run "${swap[@]}" --care homotopy --aux 0.1
cp -r chosen blocks
sed -i 's/"block_length": 0/"block_length": 4/' blocks/config.json
refused 'blocks: sees in blocks' "$programs/diffuse" --retrofit blocks --length 16
cp -r chosen masked
sed -i 's/"mask_token_id": 32/"mask_token_id": 5/' masked/config.json
refused 'the grammar: has token 5, which is the mask' "$programs/diffuse" --retrofit masked --length 16
echo 'the old fox the old fox the old fox the old fox the old fox the old fox the old fox' >fox.txt
sed -i 's/"mask_token_id": 5/"mask_token_id": 8/' masked/config.json
refused 'fox.txt: has token 8, which is the mask' "$programs/diffuse" --retrofit masked --length 4 --text fox.txt
for care in none both; do
  run "${swap[@]}" --care $care --threads 1 --checkpoint one.swap --save swapped.$care
  run "${swap[@]}" --care $care --threads 2 --checkpoint two.swap
  cmp -s one.swap two.swap || complain "diffuse --retrofit --care $care: depends on threads"
  run "$programs/diffuse" --sample swapped.$care --prompt ' the old' --length 6
done
# LLaDA-MoE's folder, whose first layer is dense and which names neither mask nor tokenizer.
run "$programs/diffuse" --retrofit "$families/llada_moe" --tokenizer chosen/tokenizer.json --mask-token 63 --length 16 \
  --batch 4 --held-out 8 --steps 4 --warmup 2 --care top1 --save llada --json llada.json
[ "$(json llada.json runs 0 uncovered 0)" = 0.0 ] || complain "diffuse --retrofit: uncovered tokens of LLaDA-MoE"
json llada.json runs 0 uncovered 1 >/dev/null 2>&1 && complain "diffuse --retrofit: the routing of a dense layer"
awk -v x="$(json llada.json runs 0 slots_per_token)" 'BEGIN { exit !(x >= 2 && x < 2.5) }' ||
  complain "diffuse --retrofit: not two experts a token of the sparse layer"
run "$programs/diffuse" --sample llada --tokenizer chosen/tokenizer.json --prompt ' the old' --length 6
refused 'does not say which token is the mask' "$programs/diffuse" --retrofit "$families/llada_moe" --length 16 \
  --tokenizer chosen/tokenizer.json

"${diffuse[@]}" --steps 100000000 --report-every 10 --checkpoint stopped.run --json stopped.json \
  >stopped.out 2>stopped.err &
: >>stopped.out
until grep -q '^ *20 ' stopped.out || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] || { complain "exit $status of diffuse after Ctrl-C"; cat stopped.err; }
grep -q 'go on with --resume stopped.run' stopped.err || complain "diffuse does not say how to go on after Ctrl-C"
[ "$(json stopped.json interrupted)" = ON ] || complain "diffuse's JSON does not say that it was interrupted"

"${diffuse[@]}" --threads 1 --sweep router=expert_choice:steps=2,switch:steps=20000 --json part.json \
  >part.out 2>part.err &
: >>part.err
until grep -q '^switch:steps=20000, seed 1 2000/20000 ' part.err || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -INT $!
wait $! || true
[ "$(json part.json runs 0 config router)$(json part.json interrupted)" = expert_choiceON ] ||
  complain "diffuse --sweep after Ctrl-C: the run that had ended is lost"
grep -q '^Of no seed all runs ended: interrupted' part.out || complain "diffuse --sweep: what Ctrl-C left"
run "${diffuse[@]}" --steps 2 --seeds 2
grep -q '^expert_choice, seed 2 2/2 ' "$work.err" || complain "diffuse --seeds: progress without a name"

# Ctrl-C while a run that had its last step is measured changes nothing of it.
"${diffuse[@]}" --steps 4 --report-every 2 --bound-draws 4096 --json measured.json >measured.out \
  2>measured.err &
: >>measured.out
until grep -q '^ *4 ' measured.out || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -INT $! 2>/dev/null || complain "diffuse: was measured before Ctrl-C"
wait $! || complain "exit $? of diffuse, whose last step had been made, after Ctrl-C"
[ "$(json measured.json interrupted)$(json measured.json runs 0 interrupted)" = OFFOFF ] ||
  complain "diffuse: interrupted says a run that was complete"
# What is half masked is no result.
"$programs/diffuse" --sample made --length 16 --samples 100000 --temperature 1 >half.out 2>half.err &
: >>half.err
until grep -q '^step ' half.err || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -INT $!
status=0
wait $! || status=$?
[ $status -eq 130 ] || complain "exit $status of diffuse --sample after Ctrl-C"
! grep -q '·' half.out || complain "diffuse --sample after Ctrl-C: masks are written as a text"

# One arm whose gradient is not finite is left out, the others are compared.
run "${diffuse[@]}" --steps 30 --weight-decay 1e6 --seeds 2 --sweep rate=1e-9,1000 --json rates.json
said '^1000, seed 1: step .*: the gradient is not finite'
json rates.json runs 1 failure >/dev/null || complain "diffuse --sweep: does not say why a run failed"
[ "$(json rates.json comparison 0 arm)$(json rates.json comparison 0 seeds)" = 1e-92 ] ||
  complain "diffuse --sweep: a run that failed takes others along"
json rates.json comparison 1 >/dev/null && complain "diffuse --sweep: compares a run that failed"
"${diffuse[@]}" --steps 30 --weight-decay 1e6 --rate 1000 --checkpoint failed.run >/dev/null 2>"$work.err" &&
  complain "diffuse: a gradient that is not finite is no failure"
said 'the gradient is not finite; a lower --rate may help$'
[ "$(step_of failed.run)" -gt 0 ] || complain "diffuse: no checkpoint of the last step before one that failed"

# What is less, or other, than the options seem to say.
run "$programs/diffuse" --length 16 --experts 4 --expert-width 8 --width 8 --heads 2 --batch 4 --text again.txt \
  --held-out 100 --steps 2 --warmup 2 --json few.json
said '^note: again.txt: its last tenth has 18 sequences, fewer than --held-out 100$'
said '^note: --steps 2 end within --warmup 2: the rate does not reach --rate$'
[ "$(json few.json runs 0 held_out)" = 18 ] || complain "diffuse: held_out is what was asked for"
run "${diffuse[@]}" --steps 4
unsaid '^note'
run "${diffuse[@]}" --steps 4 --k 4 --schedule linear
said '^note: --schedule linear changes nothing: of 4 experts a token has 4$'
run "$programs/diffuse" --sample made --length 1
said '^note: each of 4 experts takes one of 1 tokens: 4.0 experts a token, not 2$'
refused '--length 1: 2 of 4 experts a token are less than one token an expert' "${diffuse[@]/#16/1}"

# Words that the tokenizer does not have.
for ((i = 0; i < 60; ++i)); do echo 'the old fox sees a quasar'; done >quasar.txt
run "${diffuse[@]}" --text quasar.txt --tokenizer chosen/tokenizer.json --steps 2
grep -q '^note: quasar.txt: .* % of its bytes are left out: the tokenizer has no token' "$work.err" ||
  complain "diffuse --text: does not say what the tokenizer leaves out"
run "${diffuse[@]}" --text again.txt --steps 2
! grep -q 'left out' "$work.err" || complain "diffuse --text: bytes are left out"
run "${diffuse[@]}" --schedule bell_gaussian --sigma 1e-320 --steps 2

cp again.txt other.txt
run "${diffuse[@]}" --text other.txt --steps 2 --checkpoint other.run
run "${diffuse[@]}" --text other.txt --steps 2 --resume other.run
sed -i 's/again/anew!/' other.txt
refused 'other.run: was made with another text than other.txt is now' "${diffuse[@]}" --text other.txt --steps 2 \
  --resume other.run
refused '--json and --checkpoint name the same file' "${diffuse[@]}" --steps 2 --checkpoint same.run --json ./same.run
refused '--schedule changes nothing without experts that choose' "${swap[@]}" --care keep --schedule linear
refused 'the model has room for 0' "$programs/diffuse" --sample made --prompt 'Seventeen letters' --length 1
printf 'too short' >short.txt
refused '--router' "${diffuse[@]}" --router best
refused '--schedule' "${diffuse[@]}" --schedule up
refused 'weight' "${diffuse[@]}" --weighting none
refused 'short.txt: has 9 tokens, fewer than a sequence of --length 16' "${diffuse[@]}" --text short.txt --json out.json
refused 'absent.txt: No such file' "${diffuse[@]}" --text absent.txt
refused 'no tokenizer' "${diffuse[@]}" --text again.txt --tokenizer model.bin
refused '--tokenizer changes nothing without --text' "${diffuse[@]}" --tokenizer tokens.bin
refused '--k 5: there are 4 experts' "${diffuse[@]}" --k 5
refused '--coverage: must be at least 0' "${diffuse[@]}" --coverage -1
refused '--threshold-decay: must be from 0 to 1, is 1.5' "${diffuse[@]}" --router threshold --threshold-decay 1.5
refused '--least-time: must be from' "${diffuse[@]}" --weighting inverse --least-time 2
refused '--least-time: must be from' "${diffuse[@]}" --weighting inverse --least-time 1
refused '--threads changes nothing without training' "$programs/diffuse" --sample made --threads 2
refused 'must be OPTION=VALUE,VALUE' "${diffuse[@]}" --sweep k=1,2,
refused '--swing changes nothing without a --schedule that is not static' "${diffuse[@]}" --swing 2
refused '--aux changes nothing without tokens that choose' "${diffuse[@]}" --aux 0.1
refused '--coverage changes nothing without experts that choose' "${diffuse[@]}" --router loss_free --coverage 0.1
refused '--bias-rate changes nothing without --router loss_free' "${diffuse[@]}" --bias-rate 0.1
refused '--k changes nothing without another --router' "${diffuse[@]}" --router switch --k 2
refused '--order changes nothing without --sample' "${diffuse[@]}" --order margin
refused '"length" is no option that can be swept' "$programs/diffuse" --sweep length=8,16
refused 'without --sweep and --seeds' "${diffuse[@]}" --seeds 2 --save out
refused '--width 8 with --heads 3: the width must be a multiple of twice the heads' "$programs/diffuse" --width 8 \
  --heads 3
refused '--checkpoint-every changes nothing without --checkpoint' "${diffuse[@]}" --checkpoint-every 2
refused 'stopped.run: was made with steps' "${diffuse[@]}" --resume stopped.run --steps 7 --report-every 10
refused 'is no checkpoint of diffuse' "${diffuse[@]}" --resume made/model.safetensors
head -c 3000 one.run >half.run
refused 'half.run' "${diffuse[@]}" --router threshold --report-every 10 --steps 40 --resume half.run
refused '--json names a file that is to be read' "${diffuse[@]}" --text again.txt --json again.txt
refused 'dense: has no experts that could choose' "$programs/diffuse" --retrofit "$families/qwen3" --text again.txt
refused 'writes from left to right' "$programs/diffuse" --retrofit "$families/mixtral" --text again.txt
refused 'its tokens do not choose experts' "$programs/diffuse" --retrofit made --text again.txt --length 16
refused 'made/tokenizer.json' "$programs/diffuse" --retrofit chosen --length 16 --tokenizer made/tokenizer.json
refused '--mask-token 33: the vocabulary has 33' "${swap[@]}" --mask-token 33
refused '--length 17: the model takes 16' "$programs/diffuse" --retrofit chosen --length 17
refused '--k changes nothing without a model that is made' "${swap[@]}" --k 1
refused '--care changes nothing without --retrofit' "${diffuse[@]}" --care top1
cp -r chosen early
head -c 5000 chosen/model.safetensors >early/model.safetensors
refused 'early' "$programs/diffuse" --retrofit early --length 16
refused '--threshold: must be from 0 to 1, is 1.5' "$programs/diffuse" --sample made --threshold 1.5
refused '--block 3 does not divide the 8 tokens' "$programs/diffuse" --sample made --length 8 --block 3
refused '--denoising-steps 3: 2 blocks do not divide them' "$programs/diffuse" --sample made --length 8 --block 4 \
  --denoising-steps 3
refused '--mask-token 257: the vocabulary has 257' "$programs/diffuse" --sample made --mask-token 257
refused '--length 17: after a prompt of 0 tokens' "$programs/diffuse" --sample made --length 17
refused 'a model that writes from left to right' "$programs/diffuse" --sample model.bin
refused '--steps changes nothing without training' "$programs/diffuse" --sample made --steps 3
refused '--denoising-steps changes nothing without an order of so many' "$programs/diffuse" --sample made \
  --denoising-steps 4 --threshold 0.5
refused '--guidance changes nothing without --prompt' "$programs/diffuse" --sample made --guidance 1
cp -r made half
head -c 5000 made/model.safetensors >half/model.safetensors
refused 'half' "$programs/diffuse" --sample half
cp -r made wrong
cp bytes/tokenizer.json wrong/tokenizer.json
refused 'a tokenizer of 259 tokens, the model has 257' "$programs/diffuse" --sample wrong
