#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Draws what `unlearn --json` wrote.

    plot.py RESULT.json PICTURE.png|.svg

The experiment on made-up facts becomes retained against forgotten knowledge: the way that every combination takes
(first seed, greatest weight), and what is kept once forgetting is done, over weights; a run on files its losses,
cosines and probabilities over the steps. PICTURE appears whole or
not at all.
"""
import collections
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw_experiment(result):
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for run in result["runs"]:
        groups[run["way"]][run["config"]["forget_weight"]].append(run)
    figure, (way, kept) = plt.subplots(1, 2, figsize=(13, 5))
    for number, (method, by_weight) in enumerate(groups.items()):
        style = {"color": f"C{number}", "marker": "os^Dv<>PX"[number % 9], "label": method, "markersize": 4}
        run = by_weight[max(by_weight)][0]
        # The last step was shortened: where it led is in "after".
        points = ([(run["before"]["forget"]["answer_probability"], run["before"]["retain"]["answer_probability"])]
                  + [(s["forget_probability"], s["retain_probability"]) for s in run["steps"][:-1]
                     if "forget_probability" in s]
                  + [(run["after"]["forget"]["answer_probability"], run["after"]["retain"]["answer_probability"])])
        way.plot(*zip(*points), **style)

        # Where some seed did not forget there is nothing to compare.
        done = [w for w in sorted(by_weight)
                if all(r["after"]["forget"]["answer_probability"] <= r["config"]["stop_at"] for r in by_weight[w])]
        if done:
            values = [[r["after"]["retain"]["answer_probability"] for r in by_weight[w]] for w in done]
            middle = [sum(v) / len(v) for v in values]
            spread = [[m - min(v) for m, v in zip(middle, values)], [max(v) - m for m, v in zip(middle, values)]]
            aside = 1.02 ** (number - len(groups) / 2)
            kept.errorbar([w * aside for w in done], middle, yerr=spread, capsize=2, **style)
    way.invert_xaxis()
    way.set_xlabel("probability of the answers to be forgotten")
    way.set_title("the way there: first seed, greatest weight")
    kept.set_xscale("log")
    kept.set_xlabel("weight of the forget loss")
    kept.set_title("once the others are forgotten: mean and range of the seeds")
    for axis in (way, kept):
        axis.set_ylabel("probability of the answers to be kept")
    way.legend(fontsize=8)
    return figure


def draw_run(result):
    steps = result["steps"]

    def curve(axis, key, label):
        points = [(s["step"], s[key]) for s in steps if key in s]
        if points:
            axis.plot(*zip(*points), label=label, marker="." if len(points) < 40 else None)

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5))
    curve(axes[0], "forget_loss", f"forget ({result['config']['objective']})")
    curve(axes[0], "retain_loss", f"retain ({result['config']['retain_loss']})")
    axes[0].set_title("losses")
    curve(axes[1], "cosine", "forget and retain gradient")
    curve(axes[1], "cosine_forget", "step and forget gradient")
    curve(axes[1], "cosine_retain", "step and retain gradient")
    curve(axes[1], "conflict_share", "share of conflicting elements")
    axes[1].axhline(0, color="gray", linewidth=0.5)
    axes[1].set_title(f"geometry ({result['config']['combine']})")
    curve(axes[2], "forget_probability", "to be forgotten")
    curve(axes[2], "retain_probability", "to be kept")
    if result["before"]["holdout"]:
        axes[2].axhline(result["before"]["holdout"]["answer_probability"], color="gray", linewidth=0.5,
                        label="held out, before")
    axes[2].set_title("probability of the answers")
    for axis in axes:
        axis.set_xlabel("step")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    return figure


def main(arguments):
    if len(arguments) != 2 or not arguments[1].endswith((".png", ".svg")):
        return "usage: plot.py RESULT.json PICTURE.png|.svg"
    source, picture = arguments
    try:
        with open(source, encoding="utf-8") as file:
            result = json.load(file)
        if "runs" not in result and "steps" not in result:
            raise ValueError("neither a run nor an experiment of unlearn")
        figure = draw_experiment(result) if "runs" in result else draw_run(result)
        figure.tight_layout()
        stem, kind = os.path.splitext(picture)
        figure.savefig(stem + ".partial" + kind, dpi=120)
        os.replace(stem + ".partial" + kind, picture)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"plot.py: {source}: {error!r}" if isinstance(error, KeyError) else f"plot.py: {source}: {error}"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
