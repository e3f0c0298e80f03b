# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: treat.
printf 'x,t,y\n0.2,0,1\n-0.4,1,-1\n0.9,0,0.5\nnan,1,1\n-0.1,0,-0.5\n0.6,1,0\n' >three.csv
treat=("$programs/treat" --data three.csv --treatment t --outcome y --features x --row-bound 1 --outcome-bound 1)
# Data sets of one shape have as many outputs: an arm that never occurs, a cell that is no number, one arm alone.
run "${treat[@]}" --arms 0,1,2 --weights entropy --loss a_learning --epsilon 1 --delta 1e-6 --json out.json
[ "$(json out.json theta 1 1)" ] || complain "treat: no parameters of the third arm"
[ "$(json out.json private)" = ON ] || complain "treat: a private fit is not said to be"
awk -v x="$(json out.json spent epsilon)" 'BEGIN { exit !(x > 0.999 && x <= 1) }' || complain "treat: epsilon is not 1"
awk -v x="$(json out.json lattice)" 'BEGIN { exit !(x > 0) }' || complain "treat: the default is not a lattice"
sed 's/,1,/,0,/' three.csv >one.csv
sed 's/^[-0-9.]*,/word,/' three.csv >words.csv
for file in one words; do
  run "$programs/treat" --data $file.csv --treatment t --outcome y --features x --row-bound 1 --outcome-bound 1 \
    --epsilon 1 --json $file.json
  [ "$(json $file.json theta 0 1)" ] || complain "treat: $file.csv has other outputs"
done
for key in weights balance; do
  if json out.json $key >/dev/null 2>&1; then complain "treat: a private fit tells $key"; fi
done
run "${treat[@]}" --epsilon inf --json out.json
[ "$(json out.json config epsilon)" = inf ] || complain "treat: epsilon inf is written otherwise"
[ "$(json out.json weights 5)" ] || complain "treat: the plain fit tells no weights"
[ "$(json out.json weights 3)" = 0 ] || [ "$(json out.json weights 3)" = 0.0 ] || complain "treat: nan has a weight"
run "${treat[@]}" --weights known --propensity 0.5,0.5 --outcome-scale -10 --epsilon 1
run "${treat[@]}" --weights cbps --ridge-weights 2 --mechanism composition --epsilon 1
run "${treat[@]}" --weights mmd --kernel-features 4 --loss huber --epsilon 1 --delta 1e-5
run "${treat[@]}" --weights overlap --mechanism objective --ideal --ridge 1 --epsilon 2
run "${treat[@]}" --mechanism composition --ideal --epsilon 2 --json out.json
[[ $(json out.json mechanism) == composition,* ]] || complain "treat: a composition is none"
# A ledger ends it over runs, before data: the file that it would read is not even a table.
run "${treat[@]}" --epsilon 1 --ledger spent.jsonl --total 2,1e-5
run "${treat[@]}" --epsilon 1 --ledger spent.jsonl --total 2,1e-5
refused 'exhausted' "${treat[@]}" --epsilon 1 --ledger spent.jsonl --total 2,1e-5
refused 'names a file that is to be read' "${treat[@]}" --epsilon 1 --json three.csv
# The owner's errors, with their line, before the budget is touched.
{ cat three.csv; echo '0.1,1'; } >short.csv
{ cat three.csv; echo '0.1,"1,0'; } >quote.csv
for file in short quote; do
  rm -f l.jsonl
  refused "$file.csv:8: " "$programs/treat" --data $file.csv --treatment t --outcome y --features x --row-bound 1 \
    --outcome-bound 1 --epsilon 1 --ledger l.jsonl --total 2,1e-5
  [ ! -e l.jsonl ] || complain "treat: the ledger was begun before $file.csv was read"
done
refused 'no column "z"' "$programs/treat" --data three.csv --treatment t --outcome y --features x,z --row-bound 1 \
  --outcome-bound 1 --epsilon 1
refused 'data needs --row-bound' "$programs/treat" --data three.csv --treatment t --outcome y --features x \
  --outcome-bound 1 --epsilon 1
refused 'ideal admits' "${treat[@]}" --epsilon 1 --mechanism gamma
refused 'curvature alone costs' "${treat[@]}" --epsilon 0.01 --mechanism objective --ideal
refused 'are 3, and this loss knows two' "${treat[@]}" --arms 0,1,2 --epsilon 1
refused 'epsilon' "${treat[@]}" --epsilon 0
refused 'changes nothing without' "$programs/treat" --epsilon 1
refused '--delta changes nothing without' "$programs/treat" --delta 0.1
refused '--mechanism changes nothing without' "${treat[@]}" --epsilon inf --mechanism lattice
refused '--ideal changes nothing without' "${treat[@]}" --epsilon 1 --mechanism lattice --ideal
refused '--ridge-weights changes nothing without' "${treat[@]}" --epsilon 1 --weights known --propensity 0.5,0.5 \
  --ridge-weights 2
# A matrix of all pairs that would be too large is refused before the ledger is charged.
{ echo x,t,y; for ((i = 0; i <= 16384; ++i)); do echo "0.1,$((i % 2)),1"; done; } >many.csv
refused 'would be too large' "$programs/treat" --data many.csv --treatment t --outcome y --features x --row-bound 1 \
  --outcome-bound 1 --weights mmd --epsilon 1 --ledger l.jsonl --total 2,1e-5
[ ! -e l.jsonl ] || complain "treat: a refused matrix began the ledger"
refused '--arms: 1 and 1.0 are one' "${treat[@]}" --epsilon 1 --arms 0,1,1.0
refused '--least-propensity is for a column' "${treat[@]}" --epsilon 1 --weights known --propensity 0.5,0.5 \
  --least-propensity 0.1
# The simulation repeats itself, whatever the threads.
run "$programs/treat" --rows 100 --epsilons 4 --repetitions 3 --threads 1 --json one.json
run "$programs/treat" --rows 100 --epsilons 4 --repetitions 3 --threads 2 --json two.json
[ "$(json one.json comparisons 0 joint 2)" = "$(json two.json comparisons 0 joint 2)" ] ||
  complain "treat: threads change the simulation"
# An experiment of 20,190 person-years, where it is.
if [ -f "${HONE_DATA:-}/randhie/randhie.csv" ]; then
  run "$programs/treat" --data "$HONE_DATA/randhie/randhie.csv" --treatment idp --outcome mdvis --outcome-scale -10 \
    --features physlm,disea/60,hlthg,hlthf,hlthp --weights overlap --row-bound 1 --outcome-bound 1 --epsilon 1 \
    --delta 1e-6 --json out.json
  awk -v x="$(json out.json theta 0 2)" 'BEGIN { exit !(x > 0.05 && x < 0.2) }' ||
    complain "treat: another rule of randhie"
else
  echo "skipped: randhie/randhie.csv (set HONE_DATA)"
fi
