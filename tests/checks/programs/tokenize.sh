# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: tokenize.
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
refused 'no tokenizer, it seems to be a checkpoint of llama2.c' "$programs/tokenize" --tokenizer model.bin
refused 'no tokenizer, it seems to be JSON lines' "$programs/tokenize" --tokenizer forget.json
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
