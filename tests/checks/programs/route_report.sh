# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: route_report.
# Twelve prompts in two files, with a line break, a comma and doubled quotes inside fields; `score` tells which the weak
# model gets right. The second file has CRLF.
mkdir outcomes
{
  echo 'prompt,tiny,huge,score'
  printf '"two\nlines",True,True,0.95\n"a ""quoted"" word",False,True,0.15\n"one, two",True,True,0.7\n'
  echo 'ßßß,True,False,.55'
  printf 'plain,False,True,.45\nother,False,True,0.3\n'
} >outcomes/b.csv
{
  printf 'prompt,tiny,huge,score\r\nfirst,True,True,0.85\r\n"sec\r\nond",False,True,0.6\r\nthird,False,True,0.2\r\n'
  printf 'fourth,False,False,0.4\r\n'
} >outcomes/c.csv
route() { # what is read, the router, more
  local scores=$1 router=$2
  shift 2
  echo "$programs/route_report" --scores "$scores" --weak tiny --strong huge --router "$router" --bootstrap 50 "$@"
}
run $(route outcomes column:score --json out.json)
[ "$(sed 's|±|+|g' "$work.out" | awk 'length > 80' | wc -l)" -eq 0 ] || complain "route_report is wider than 80 columns"
# A value in the JSON: a number to its last digit if it has four decimals or more, else exactly; or how a text begins.
value() {
  local expected=$1 found
  shift
  found=$(json out.json "$@")
  if [[ $expected =~ ^[0-9.]+$ ]]; then
    awk -v expected="$expected" -v found="$found" 'BEGIN {
      decimals = expected
      sub(/^[0-9]*\.?/, "", decimals)
      apart = expected - found
      exit !(found ~ /^[0-9]/ && (apart < 0 ? -apart : apart) <= (length(decimals) < 4 ? 1e-9 : 10 ^ -length(decimals)))
    }' || complain "route_report: $* is $found, not $expected"
  else
    [[ $found == "$expected"* ]] || complain "route_report: $* is $found, not $expected"
  fi
}
# The reference vectors' toy table.
value 10 n
value 0.9583333333 auroc
value 0.75 apgr
value 0.75 apgr_tie_averaged
value 0.75 apgr_routellm
value 8 cpt 0
value 20 cpt 1
value 42 cpt 2
value 0.61666666 lpm
value 0.11925 brier
value 'no point of the curve is in the band' reasons hcr
value 'no point of the curve is in the band' reasons mpm
for key in hcr mpm; do [ -z "$(json out.json $key)" ] || complain "route_report: an empty band has a $key"; done
for key in auroc lpm brier ece; do
  json out.json intervals $key 1 >/dev/null || complain "route_report: no interval of $key"
done
json out.json oracle 200 1 >/dev/null || complain "route_report: no oracle curve"
run $(route outcomes column:score --json again.json)
cmp -s out.json again.json || complain "route_report: two runs differ"
run $(route outcomes column:score --bands 0,0.1,0.91,0.92 --json out.json)
value 0.40909090 lpm
value 0.675 mpm
# Files in the order of their names, a file is a subject, length in code points.
run $(route outcomes subject_prior --json out.json)
value 0.625 auroc
run $(route outcomes prompt_length --json out.json)
value 0.5416666666 auroc
printf '{"eval_prompt": "two\\nlines"}\n{"prompt": "\\u00df\\u00df\\u00df"}\n' >drop.jsonl
run $(route outcomes oracle --drop drop.jsonl --json out.json)
value 8 n
value 2 dropped
value 'scores are not all in [0, 1]' reasons brier
value 'quantiles of the scores coincide' reasons apgr_routellm
run $(route outcomes oracle_weak --json out.json)
value 1 auroc
value 0 brier

# What has no value says why, and is null.
table() { # a file of rows "outcome,outcome,score"
  local file=$1 row
  shift
  { echo tiny,huge,score; for row in "$@"; do echo "$row"; done; } >$file
}
table right.csv True,True,1 True,True,2 True,True,3
run $(route right.csv column:score --json out.json)
value 'all outcomes are the same' reasons auroc
value 'all outcomes are the same' reasons auprc
value 'the strong model is no better than the weak one' reasons apgr
value 'the strong model is no better than the weak one' reasons hcr
[ -z "$(json out.json auroc)" ] || complain "route_report: one class has an AUROC"
table equal.csv True,True,3 False,True,3 True,True,3 False,False,3
run $(route equal.csv column:score --json out.json)
value 0.5 auroc
value 0.5 apgr_tie_averaged
table infinite.csv True,True,inf False,True,inf True,True,inf False,True,-inf
run $(route infinite.csv column:score --json out.json)
value 0.75 auroc
table worse.csv True,False,1 False,False,2 True,True,3
run $(route worse.csv column:score --json out.json)
value 'the strong model is no better than the weak one' reasons cpt_50
grep -q 'the strong model is no better' "$work.out" || complain "route_report prints no reason"
table graded.csv 3.5,8,1 7,6,2 2,9,3 5,5,0
run $(route graded.csv column:score --json out.json)
value 'weak no worse' label
value 0.25 auroc

refused '--router is required' "$programs/route_report" --scores outcomes --weak tiny --strong huge
refused 'must be subject_prior, ' $(route outcomes best --json no.json)
refused 'absent.csv: No such file' $(route absent.csv oracle --json no.json)
refused 'folder: no file ending in .csv is in it' $(route folder oracle --json no.json)
refused 'outcomes/b.csv: no column "huger"' "$programs/route_report" --scores outcomes --weak tiny --strong huger \
  --router oracle --json no.json
refused 'outcomes/b.csv: no column "score2"' $(route outcomes column:score2 --json no.json)
refused 'equal.csv: no column "prompt"' $(route equal.csv prompt_length --json no.json)
refused 'equal.csv: no column "prompt"' $(route equal.csv oracle --drop drop.jsonl --json no.json)
refused 'empty: no header row' $(route empty oracle --json no.json)
table header.csv
refused 'header.csv: no rows after the header' $(route header.csv oracle --json no.json)
table nan.csv True,True,1 False,True,nan
refused 'nan.csv:3: "score" is "nan", must be a number, and NaN has no order' \
  $(route nan.csv column:score --json no.json)
table word.csv True,True,1 False,True,1x
refused 'word.csv:3: "score" is "1x"' $(route word.csv column:score --json no.json)
table maybe.csv True,True,1 Maybe,True,2
refused 'maybe.csv:3: "tiny" is "Maybe", must be True, False or a number from' $(route maybe.csv oracle)
table large.csv True,1e12,1 True,1.1e12,2
refused 'large.csv:3: "huge" is "1.1e12"' $(route large.csv oracle)
table blank.csv True,,1
refused 'blank.csv:2: "huge" is ""' $(route blank.csv oracle)
table broken.csv True,True,1 '"a
b",True,2'
refused 'broken.csv:3: "tiny" is "a\nb", must be' $(route broken.csv oracle)
refused 'no column "sc\x1bore\n", but "tiny", "huge", "score"' "$programs/route_report" --scores equal.csv \
  --weak tiny --strong huge --router $'column:sc\eore\n'
table infinity.csv True,inf,1
refused 'infinity.csv:2: "huge" is "inf"' $(route infinity.csv oracle)
head -c 40 outcomes/b.csv >cut.csv
refused 'cut.csv:' $(route cut.csv oracle --json no.json)
head -c 58 outcomes/b.csv >cut.csv
refused "cut.csv:4: a field's quote that opens here is not closed" $(route cut.csv oracle --json no.json)
mkdir partly && cp outcomes/b.csv partly && : >partly/z.csv
refused 'partly/z.csv: no header row' $(route partly oracle --json no.json)
# A header of one column says what it is: these have other separators.
printf 'tiny;huge;score\nTrue;True;0,5\n' >semicolons.csv
refused 'semicolons.csv:2: a row of 2 fields, the header has 1, "tiny;huge;score"' $(route semicolons.csv oracle)
tr ';' '\t' <semicolons.csv | tr , . >tabs.csv
refused 'no column "tiny", but "tiny\x09huge\x09score"' $(route tabs.csv oracle)
printf '\xff\xfet\0i\0' >wide.csv
refused 'wide.csv: the text is UTF-16' $(route wide.csv oracle)
refused '/dev/null: not a regular file' $(route /dev/null oracle)
refused '--weak and --strong name the same column' "$programs/route_report" --scores equal.csv --weak tiny \
  --strong tiny --router oracle
refused 'absent.jsonl: No such file' $(route outcomes oracle --drop absent.jsonl --json no.json)
refused 'folder' $(route outcomes oracle --drop folder --json no.json)
refused 'empty: no prompts' $(route outcomes oracle --drop empty --json no.json)
echo '{"text": 1}' >other.jsonl
refused 'other.jsonl:1: no field "prompt"' $(route outcomes oracle --drop other.jsonl --json no.json)
echo '{"prompt": ' >half.jsonl
refused 'half.jsonl:1: ' $(route outcomes oracle --drop half.jsonl --json no.json)
for prompt in first 'sec\r\nond' third fourth; do echo "{\"prompt\": \"$prompt\"}"; done >all.jsonl
refused 'outcomes/c.csv: no row is left' $(route outcomes/c.csv oracle --drop all.jsonl --json no.json)
refused 'bands: rates must be' $(route outcomes oracle --bands .3,.2,0,1 --json no.json)
refused '--bands' $(route outcomes oracle --bands .3,.2,0 --json no.json)
refused 'must be from 2 to' "$programs/route_report" --scores outcomes --weak tiny --strong huge --router oracle \
  --bootstrap 1
refused 'nowhere/out.json: cannot create' $(route outcomes oracle --json nowhere/out.json)
refused 'which is to be read' $(route outcomes oracle --json outcomes/out.json)
refused '--json - is not standard output' $(route outcomes oracle --json -)

# Of a folder the tables are read: no other files, no hidden ones.
mkdir mixed && cp outcomes/b.csv mixed && cp outcomes/c.csv mixed/C.CSV
echo no table >mixed/notes.txt && cp mixed/notes.txt mixed/._b.csv && ln -s ../outcomes/c.csv mixed/link.csv
run $(route mixed oracle --json out.json)
value 14 n
# A link is not replaced.
mkdir results && ln -s results/out.json link.json
run $(route outcomes oracle --json link.json)
[ -L link.json ] && json results/out.json n >/dev/null || complain "route_report: a link is replaced"

# Ctrl-C ends the bootstrap, which would take hours, and nothing is written.
for i in {1..20000}; do echo "True,False,$((i * 7919 % 1009))"; echo "False,True,$((i * 7919 % 1013))"; done |
  cat header.csv - >many.csv
"$programs/route_report" --scores many.csv --weak tiny --strong huge --router column:score --bootstrap 1000000 \
  --json stopped.json >stopped.out 2>stopped.err &
until [ -e stopped.err ]; do sleep 0.1; done
for i in {1..100}; do # the first one may come before the program waits for it
  kill -INT $! 2>/dev/null || break
  for j in {1..100}; do sleep 0.1; kill -0 $! 2>/dev/null || break 2; done
done
status=0
wait $! || status=$?
[ $status -eq 130 ] && grep -q 'interrupted, nothing is written' stopped.err && [ ! -s stopped.out ] &&
  [ -z "$(ls -A | grep '^stopped.json')" ] || { complain "exit $status of route_report after Ctrl-C"; cat stopped.err; }

# Real data, where it is there.
if [ -d "$data/routellm_mmlu" ]; then
  for router in subject_prior subject_gain prompt_length; do
    run "$programs/route_report" --scores "$data/routellm_mmlu" --weak mistralai/Mixtral-8x7B-Instruct-v0.1 \
      --strong gpt-4-1106-preview --router $router --drop "$data/routellm_mmlu/contaminated_prompts.jsonl" \
      --bootstrap 50 --json $router.json
    mv $router.json out.json
    value 14037 n
    case $router in
      prompt_length)
        value 0.5503754332 auroc
        value 0.5858308255 apgr
        value 0.5858190672 apgr_tie_averaged ;;
      subject_prior)
        value 0.7230534711 auroc
        value 0.5969116561 apgr
        value 0.5961773815 apgr_tie_averaged
        value 0.6056949872 apgr_routellm
        value 0.7295955926 lpm
        value 0.21 hcr
        value 0.7628173161 mpm
        value 0.1874393732 brier ;;
      subject_gain)
        value 0.7084400821 apgr
        value 0.7077058075 apgr_tie_averaged
        value 0.7036507970 apgr_routellm
        value 6.6659 cpt 0
        value 25.1122 cpt 1
        value 52.3103 cpt 2
        value 0.7472038185 lpm
        value 0.34 hcr
        value 0.7710057094 mpm ;;
    esac
  done
else
  echo "skipped: routellm_mmlu is not there (set HONE_DATA)"
fi
