# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: generate.
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

"${generate[@]}" --tokenizer "$golden/llama2.json" >/dev/null 2>errors &&
  complain "generate takes a tokenizer of more tokens than the model"

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

# Real data, where it is there.
if [ -f "${stories[1]}" ]; then
  # What llama2.c's `run -t 0 -n 200` prints.
  sum=$("$programs/generate" "${stories[@]}" --tokens 200 | sha256sum)
  [ "${sum%% *}" = f5a0e67db7424051520e7d8db9880b3dc2aa13577db570c28805c1b51c42eaf0 ] || complain "another story: $sum"
else
  echo "skipped: tinystories/stories260K.bin is not there (set HONE_DATA)"
fi
