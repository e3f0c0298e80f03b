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
refused '--top-p: must be above 0' "${generate[@]}" --temperature 1 --top-p 0
refused '--top-p: nan is not a finite number' "${generate[@]}" --temperature 1 --top-p nan
for option in --top-k --top-p --seed; do
  refused "$option changes nothing without a --temperature above 0" "${generate[@]}" $option 1
done
refused '--seed: must be at least 0, is -1' "${generate[@]}" --temperature 1 --seed -1
refused '--tokens: "1e9x" is no whole number' "${generate[@]}" --tokens 1e9x
refused 'nowhere/out.json: cannot create' "${generate[@]}" --logits nowhere/out.json
refused '--logits names a file that is to be read' "${generate[@]}" --logits ./tokens.bin
cp -r "$families/qwen3" read
refused '--logits read/config.json lies in read' "$programs/generate" --model read --ids 1 --logits read/config.json
# A vocabulary larger than the tokenizer's, and a context that is full before the text ends.
"$programs/generate" --model model.bin --tokenizer bytes/tokenizer.json --prompt a --temperature 1 --tokens 100 \
  >text 2>errors ||
  complain "generate fails with a padded vocabulary"
grep -q "$(printf '\xef\xbf\xbd')" text || complain "no token beyond the tokenizer's"
"${generate[@]}" --tokens 200 >text 2>errors || complain "generate fails where the context is full"
grep -q "note: ends where the model's context of 128 tokens is full" errors || complain "does not say why it ends"
refused '--temperature: nan is not a finite number' "${generate[@]}" --temperature nan
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
refused 'brings no tokenizer along, name one by --tokenizer' "$programs/generate" --model model.bin
cp model.bin model.renamed
refused 'a checkpoint of llama2.c has no tokenizer (--tokenizer names another)' "$programs/generate" \
  --model model.renamed
# What was given for something else is called what it is.
refused 'no model, it seems to be a tokenizer.bin of llama2.c' "$programs/generate" --model tokens.bin \
  --tokenizer tokens.bin
refused 'no tokenizer, it seems to be a checkpoint of llama2.c' "$programs/generate" --model model.bin \
  --tokenizer model.bin
refused 'no model, it seems to be a tokenizer.json' "$programs/generate" --model "$golden/llama3.json" --ids 1
refused 'no model, it seems to be JSON lines' "$programs/generate" --model forget.json --ids 1
refused 'no tokenizer, it seems to be a GGUF file' "$programs/generate" --model model.bin \
  --tokenizer "$families/qwen3.gguf"
refused 'no tokenizer, it seems to be a Hugging Face folder' "$programs/generate" --model model.bin \
  --tokenizer "$families/qwen3"
refused 'it seems to be a folder without a config.json' "$programs/generate" --model folder --ids 1
refused 'no model, it seems to be a safetensors file' "$programs/generate" \
  --model "$families/qwen3/model.safetensors" --ids 1
for broken in short.bin long.bin; do
  "$programs/generate" --model $broken --ids 1 2>&1 | grep -q seems &&
    complain "a broken model seems to be something else"
done
refused 'File name too long' "$programs/generate" --model "$(printf 'a%.0s' {1..300})" --ids 1
refused "--ids: 64 is not in the model's vocabulary of 64" "$programs/generate" --model "$families/qwen3" --ids 1,64
refused '--prompt excludes --ids' "$programs/generate" --model "$families/qwen3" --ids 1 --prompt x
refused '--ids: "" is no whole number' "$programs/generate" --model "$families/qwen3" --ids ""
refused '--ids: must be at least 0, is -1' "$programs/generate" --model "$families/qwen3" --ids 1,-1

# Real data, where it is there.
if [ -f "${stories[1]}" ]; then
  # What llama2.c's `run -t 0 -n 200` prints.
  sum=$("$programs/generate" "${stories[@]}" --tokens 200 | sha256sum)
  [ "${sum%% *}" = f5a0e67db7424051520e7d8db9880b3dc2aa13577db570c28805c1b51c42eaf0 ] || complain "another story: $sum"
else
  echo "skipped: tinystories/stories260K.bin is not there (set HONE_DATA)"
fi
