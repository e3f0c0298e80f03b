# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: diffuse.
diffuse=("$programs/diffuse" --length 16 --experts 4 --expert-width 8 --width 8 --heads 2 --layers 2 --batch 4
  --held-out 8 --warmup 2)
timeless() { grep -v '"threads"\|"tokens_per_second"' "$1"; }
# The same bits from any number of threads, and from a checkpoint.
for router in 'expert_choice --schedule linear_reverse' zhou 'token_choice --capacity-factor 1.25' 'switch' loss_free \
  threshold; do
  with=("${diffuse[@]}" --router $router --steps 40 --report-every 10)
  run "${with[@]}" --threads 1 --json one.json --checkpoint one.run
  rm -f half.run
  "${with[@]}" --threads 2 --checkpoint half.run --checkpoint-every 4 >/dev/null 2>&1 &
  until [ -f half.run ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
  kill -9 $! 2>/dev/null || true
  wait $! 2>/dev/null || true
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

# Words that the tokenizer does not have.
for ((i = 0; i < 60; ++i)); do echo 'the old fox sees a quasar'; done >quasar.txt
run "${diffuse[@]}" --text quasar.txt --tokenizer chosen/tokenizer.json --steps 2
grep -q '^quasar.txt: .* % of its bytes are left out: the tokenizer has no token' "$work.err" ||
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
