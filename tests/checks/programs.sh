#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The examples as their users run them: what they print and write, and what they say when something is wrong.
# programs.sh FOLDER [NAME…]: what lies in FOLDER, built, is tried by programs/NAME.sh, by all of them unless told.
. tests/checks/common.sh
programs=$(cd "$1" && pwd)
shift
checks=$(realpath tests/checks/programs)
[ $# -gt 0 ] || set -- $(cd "$checks" && ls | sed 's/\.sh$//')
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
run() { "$@" >"$work.out" 2>"$work.err" || { complain "fails: $*"; cat "$work.err"; }; }
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
# A tokenizer of the bytes alone: the model's vocabulary has 26 more.
mkdir bytes
{
  printf '{"added_tokens": ['
  for added in '0, "content": "<unk>"' '1, "content": "<s>"' '2, "content": "</s>"'; do
    printf '%s{"id": %s, "special": true, "single_word": false, ' "${comma-}" "$added"
    printf '"lstrip": false, "rstrip": false, "normalized": false}'
    comma=', '
  done
  printf '], "decoder": {"type": "ByteFallback"}, "model": {"type": "BPE", "unk_token": "<unk>", '
  printf '"byte_fallback": true, "merges": [], "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2'
  for ((i = 0; i < 256; ++i)); do printf ', "<0x%02X>": %d' $i $((i + 3)); done
  printf '}}}'
} >bytes/tokenizer.json
echo '{"bos_token": "<s>", "eos_token": "</s>"}' >bytes/tokenizer_config.json
for i in 1 2 3 4; do echo "{\"question\": \"who is number $i\", \"answer\": \"author $i\"}"; done >forget.json
for i in 5 6 7 8 9; do echo "{\"question\": \"who is number $i\", \"answer\": \"author $i\"}"; done >retain.json
: >empty
mkdir folder
unlearn=("$programs/unlearn" --checkpoint model.bin --tokenizer tokens.bin --forget forget.json --retain retain.json
  --retain-limit 4)
reason=("$programs/reason" --sft-steps 40 --sft-rate 0.02 --horizon 1 --width 8 --layers 1 --batch 16 --held-out 4
  --samples 8)
stories=(--checkpoint "$data/tinystories/stories260K.bin" --tokenizer "$data/tinystories/tok512.bin")

for check in "$@"; do . "$checks/$check.sh"; done
exit $failed
