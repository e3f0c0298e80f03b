# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: route, on models made here and on an engine's states.
shape=(--width 16 --model-layers 2)
quick() { # more options
  "$programs/route" "${shape[@]}" --large-width 16 --heads 2 --prompts 60 --test 30 --epochs 5 --steps 3 \
    --large-steps 3 "$@" </dev/null
}
run quick --seeds 2 --sweep pooling=mean,dirichlet:noise=delta,chain --threads 1 --json one.json
grep -qF 'Means and 95 % intervals over 2 seeds' "$work.out" || complain "route does not say of how many seeds"
run quick --seeds 2 --sweep pooling=mean,dirichlet:noise=delta,chain --threads 3 --json three.json
cmp -s one.json three.json || complain "route depends on --threads"
[ "$(json one.json runs 0 sweep pooling)" = mean ] || complain "route: the JSON does not say what was swept"
[ "$(json one.json runs 3 free)" = "max probability" ] || complain "route: the JSON has no free scores"
[ "$(json one.json comparison 9 router)" = "answer's log p" ] || complain "route: the comparison lacks a free score"
json one.json runs 1 layers weights 2 >/dev/null || complain "route: the JSON has no weights of layers"
run quick --save-model small
[ -s small/model.safetensors ] && [ -s small/tokenizer.json ] || complain "route: --save-model wrote no folder"

# States of 40 prompts in that model: 3 of width 16, all 0.25 but the first element of the middle one, which says
# whether the small model is right. Bytes of a bfloat16 are easy to write.
word() { printf "\\x$(printf %02x $((($1) & 255)))\\x$(printf %02x $((($1) >> 8)))"; }
states() { # states FILE SHAPE METADATA IDS: what the labels say is in $right
  local shape=$2 metadata=$3 ids=$4 header count=0 i tensor
  local bytes=$((2 * $(tr -d '[]' <<<"$shape" | tr , '*')))
  header="{$metadata\"hidden_states\":{\"dtype\":\"BF16\",\"shape\":$shape,\"data_offsets\":[0,$bytes]}"
  local end=$((bytes + 4 * ${#right}))
  [ -z "$ids" ] || header+=",\"ids\":{\"dtype\":\"I32\",\"shape\":[${#right}],\"data_offsets\":[$bytes,$end]}"
  header+='}'
  {
    word ${#header}; printf '\x00\x00\x00\x00\x00\x00'
    printf %s "$header"
    for ((i = 0; i < ${#right}; ++i)); do
      for ((count = 0; count < 48; ++count)); do
        case $count$((${right:i:1})) in
          161) printf '\x80\x3f' ;;
          160) printf '\x80\xbf' ;;
          *) printf '\x80\x3e' ;;
        esac
      done
    done
    [ -z "$ids" ] || for ((i = 0; i < ${#right}; ++i)); do word $((100 - i)); printf '\x00\x00'; done
  } >"$1"
}
right=1101001110100101101011000111010011010010
states states.safetensors '[40,3,16]' '"__metadata__":{"last_state":"hugging_face","tokens":"mean"},' ids
for ((i = 0; i < 40; ++i)); do
  echo "{\"id\": $((100 - i)), \"small\": ${right:i:1}, \"large\": true}"
done | sort >labels.jsonl
engine=("$programs/route" --states states.safetensors --labels labels.jsonl --rate 0.1)
run "${engine[@]}" --model small --save router.safetensors --json out.json
grep -qF '25 prompts to learn from, 7 to choose by, 8 to judge by; label: the small model is right' "$work.out" ||
  complain "route does not say what the prompts are for"
[[ $(json out.json runs 0 auroc) =~ ^1(\.0*)?$ ]] || complain "route: a state that says it all has another AUROC than 1"
run "${engine[@]}" --pooling fixed --layer 1 --model small --save middle.safetensors
tr -d '\\ ' <middle.safetensors | head -c 2000 | grep -aq '"layers":\[1\]' ||
  complain "route: a router of one state has others"
run "${engine[@]}" --pooling fixed --layer 0 --json blind.json
[ "$(json blind.json runs 0 calibrated)" = OFF ] || complain "route: a state that says nothing is called calibrated"

# Decisions, a line for each line.
printf 'mod5 3 +2 *4 =\n\n%s\n' "$(yes mod5 | head -100 | tr '\n' ' ')" >lines.txt
serve=("$programs/route" --router router.safetensors --model)
"${serve[@]}" small <lines.txt >"$work.out" 2>"$work.err" || complain "route does not serve"
[ "$(wc -l <"$work.out")" -eq 3 ] || complain "route: not a line for each line"
head -1 "$work.out" >decision.json
[ "$(json decision.json tokens)" = 5 ] || complain "route read $(json decision.json tokens) tokens of 5"
json decision.json contributions 2 >/dev/null || complain "route does not say what each state adds"
tail -1 "$work.out" >decision.json
[ "$(json decision.json decision)" = large ] && [[ $(json decision.json reason) == "100 tokens, the model takes "* ]] ||
  complain "route: a prompt that is too long is not the large model's"
refused "--call-rate 0: the router's thresholds begin at" "${serve[@]}" small --call-rate 0
run quick --seed 2 --save-model other
refused 'was trained on the model' "${serve[@]}" other
"${serve[@]}" other --accept-copy <lines.txt >/dev/null 2>&1 ||
  complain "route refuses a copy that is accepted"
run "${engine[@]}" --chat-template --model small --save template.safetensors
refused '--form says it' "$programs/route" --router template.safetensors --model small

# What does not fit: one line, nothing written.
states none.safetensors '[40,3,16]' '' ids
stored() { # what is to be said, the states, the labels, more
  local expected=$1 states=$2 labels=$3
  shift 3
  refused "$expected" "$programs/route" --states "$states" --labels "$labels" --json x.json "$@"
}
stored '--convention does' none.safetensors labels.jsonl
stored '--tokens does' none.safetensors labels.jsonl --convention vllm
stored 'is of the other convention' states.safetensors labels.jsonl --convention vllm
stored 'pooled the other way' states.safetensors labels.jsonl --tokens last
head -c 3000 states.safetensors >cut.safetensors
stored 'cut.safetensors' cut.safetensors labels.jsonl
size=$(wc -c <states.safetensors)
{ head -c $((size - 1000)) states.safetensors; printf '\xc0\x7f'; tail -c 998 states.safetensors; } >nan.safetensors
stored 'is not finite' nan.safetensors labels.jsonl
sed 's/"id": 100,/"id": 7,/' labels.jsonl >strange.jsonl
stored 'is of the id "7", of which states.safetensors has no states' states.safetensors strange.jsonl
head -5 labels.jsonl >few.jsonl
stored '5 prompts are too few' states.safetensors few.jsonl
stored 'in it is named as a label' small labels.jsonl
shape=(--width 24 --model-layers 2)
run quick --save-model wide
refused 'is of width 16, the model of 24' "${engine[@]}" --model wide --json x.json
shape=(--width 16 --model-layers 3)
run quick --save-model deep
refused 'has 3 layers, the model 4 states' "${engine[@]}" --model deep --json x.json
run "${engine[@]}" --model deep --layers 0,1,3
refused '--layer 2: is none of --layers' "${engine[@]}" --model deep --layers 0,1,3 --pooling fixed --layer 2
refused '--save wants --model' "${engine[@]}" --save x.safetensors
refused 'only a linear head' "${engine[@]}" --pooling max --model small --save x.safetensors
refused 'must end in .safetensors' "${engine[@]}" --model small --save x.bin
refused '--noise delta is of a linear head' quick --noise delta --hidden 8
refused '--draws changes nothing without --noise sampled' quick --noise delta --draws 4
refused '--kl changes nothing without --pooling dirichlet' quick --pooling mean --kl 0.1
refused '--prompts changes nothing without' "${engine[@]}" --prompts 20
refused "--call-rate 0: a router's thresholds begin at 0.05" quick --call-rate 0
refused '--save-model is of one model' quick --sweep pooling=mean,max --save-model x
refused '--labels' "$programs/route" --states states.safetensors
