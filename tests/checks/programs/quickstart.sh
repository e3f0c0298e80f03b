# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: the quickstarts.
# The quickstarts print what their comments say.
for program in std eigen xtensor training_step; do "$programs/quickstart_$program"; done >quickstarts.txt
for line in 'step     1 1 -1' 'conflict 0.67' 'step 3.167 -0.917 -0.583' 'step 0.184 1.204 1.204' 'step 2: '; do
  grep -qF -- "$line" quickstarts.txt || complain "no quickstart prints '$line'"
done

# The quickstart that forgets: a model that is another one afterwards.
quick=("$programs/quickstart_unlearn" model.bin tokens.bin forget.json retain.json)
run "${quick[@]}" quick.bin
[ "$(grep -c 'answers to forget' "$work.out")" -eq 3 ] || complain "quickstart_unlearn does not say what is known"
[ "$(stat -c %s quick.bin)" = "$(stat -c %s model.bin)" ] || complain "quickstart_unlearn's model has another size"
cmp -s quick.bin model.bin && complain "quickstart_unlearn changes nothing"
run "$programs/generate" --checkpoint quick.bin --tokenizer tokens.bin --tokens 4
refused 'absent.json: No such file' "${quick[@]/forget.json/absent.json}" out.bin
refused 'usage:' "${quick[@]}"
