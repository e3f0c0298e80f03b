# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Sourced by ../programs.sh: plot.py draws each kind of result, or says what it is not.
python=python3
"$python" -c 'import matplotlib' 2>/dev/null || python=/usr/bin/python3
if "$python" -c 'import matplotlib' 2>/dev/null; then
  run "${reason[@]}" --algorithm grpo --steps 2 --json run.json
  run "${reason[@]}" --steps 2 --seeds 2 --sweep kl=0,0.5 --sweep algorithm=sppo,grpo --json sweep.json
  run "$programs/reason" --task bandit --algorithm grpo --sweep kl=0,0.2 --steps 20 --seeds 2 --json bandit.json
  run "$programs/unlearn" --seeds 1 --learn-steps 5 --steps 3 --stop-at 0 --combine sago --json experiment.json
  run "${unlearn[@]}" --steps 2 --json steps.json
  # A name is no formula.
  printf '%s\n' 'prompt,$\frac{$,s' >outcomes.csv
  printf 'a,True,True\nbb,False,True\nccc,False,False\n' >>outcomes.csv
  run "$programs/route_report" --scores outcomes.csv --weak '$\frac{$' --strong s --router prompt_length \
    --bootstrap 10 --json router.json
  run "$programs/route" --width 8 --large-width 8 --heads 2 --model-layers 1 --steps 2 --large-steps 2 --prompts 20 \
    --test 10 --epochs 2 --seeds 2 --sweep pooling=mean,last --json routers.json
  for result in run sweep bandit experiment steps router routers; do
    run "$python" "$plot" $result.json $result.svg
    [ -s $result.svg ] || complain "plot.py draws nothing of $result.json"
  done
  echo '{"runs": []}' >none.json
  refused 'none.json: no result of unlearn, reason, route or route_report' "$python" "$plot" none.json out.svg
  refused 'usage:' "$python" "$plot" sweep.json out.txt
else
  echo "skipped: plot.py (no matplotlib)"
fi
