#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Draws what `unlearn --json`, `reason --json`, `route --json` or `route_report --json` wrote.

    plot.py RESULT.json PICTURE.png|.svg

The experiment on made-up facts becomes retained against forgotten knowledge: the way that every combination takes
(first seed, greatest weight), and what is kept once forgetting is done, over weights; a run on files its losses,
cosines and probabilities over the steps. Runs that reason become learning curves over the generated tokens, and,
if they are a sweep's, pass@1 against pass@k at the end; the bandit has the latter alone. A router becomes its curve,
between the best possible one and chance, with either model as a line; several that were trained on models made for
them, curves in and out of the domains that they learnt from. Means over seeds, with 95 %
intervals; the experiment's, which compares few seeds, with their range. PICTURE appears whole or not at all.
"""
import collections
import json
import math
import os
import sys

try:
    import matplotlib
except ModuleNotFoundError:
    sys.exit("plot.py: there is no matplotlib (Debian: apt-get install python3-matplotlib, for /usr/bin/python3)")

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hone"})  # small, and the same on every run
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
    weights = sorted({weight for by_weight in groups.values() for weight in by_weight})
    kept.set_xticks(weights, [f"{weight:g}" for weight in weights])
    kept.minorticks_off()
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


def student_quantile(freedom):
    """The t that a whole number of degrees of freedom exceeds with probability 0.025 (Abramowitz, Stegun 26.7.3-4)."""
    def inside(t):
        angle, odd = math.atan(t / math.sqrt(freedom)), freedom % 2
        term, total = math.cos(angle) if odd else 1, 0
        for k in range(1 + odd, freedom, 2):
            total += term
            term *= math.cos(angle) ** 2 * k / (k + 1)
        total *= math.sin(angle)
        return 2 / math.pi * (angle + total) if odd else total

    low, high = 0, 13
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < 0.95 else (low, middle)
    return high


def mean_and_interval(values):
    """The mean and half of its 95 % interval; of one value there is none."""
    n, mean = len(values), sum(values) / len(values)
    if n < 2:
        return mean, 0
    return mean, student_quantile(n - 1) * math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)


def draw_frontier(axis, points, k):
    """Points are (label, (mean, interval) of pass@1, that of pass@k)."""
    for number, (label, one, many) in enumerate(points):
        axis.errorbar(many[0], one[0], xerr=many[1], yerr=one[1], capsize=2, markersize=5, label=label,
                      color=f"C{number}", marker="os^Dv<>PX"[number % 9], linestyle="none")
    axis.set_xlabel(f"pass@{k}")
    axis.set_ylabel("pass@1")


def draw_reason(result):
    runs = result.get("runs", [result])
    options = [text.split("=")[0] for text in result.get("sweep", [])]
    panels = collections.defaultdict(lambda: collections.defaultdict(list))  # a column each; all but the last option
    for run in runs:
        told = [str(run.get("sweep", {}).get(option)) for option in options]
        panels[", ".join(map("=".join, zip(options[:-1], told)))][told[-1] if told else "pass@1"].append(run)
    rows = 2 if options else 1
    figure, axes = plt.subplots(rows, len(panels), figsize=(max(7, 5 * len(panels)), 4.5 * rows), squeeze=False)
    for column, (title, ways) in enumerate(panels.items()):
        curves = axes[0][column]
        for number, (way, seeds) in enumerate(ways.items()):
            # A run that was interrupted, or spent its tokens, has fewer records.
            records = list(zip(*(run["records"] for run in seeds)))
            tokens = [sum(r["generated"] for r in record) / len(record) for record in records]
            for key, line in (("pass_1", "-"), ("pass_8", "--")):
                middle, half = zip(*(mean_and_interval([r[key] for r in record]) for record in records))
                label = way if key == "pass_1" else None if options else "pass@8"
                curves.plot(tokens, middle, line, color=f"C{number}", label=label)
                if len(seeds) > 1:
                    curves.fill_between(tokens, [m - h for m, h in zip(middle, half)],
                                        [m + h for m, h in zip(middle, half)], color=f"C{number}", alpha=0.1)
        curves.set_xlabel("generated tokens")
        curves.set_title(title)
        curves.legend(fontsize=8)
        if options:
            draw_frontier(axes[1][column], [(way, *(mean_and_interval([run["after"][key] for run in seeds])
                                                    for key in ("pass_1", "pass_all"))) for way, seeds in ways.items()],
                          runs[0]["config"]["samples"])
    axes[0][0].set_ylabel("pass@1, dashed: pass@8")
    return figure


def draw_bandit(result):
    parts = collections.defaultdict(list)
    for case in result["cases"]:
        after = f", after {case['collapse']} of GRPO" if case["collapse"] else ""
        parts[f"{case['steps']} steps{after}{', the right strategy told' if case['identifiable'] else ''}"].append(case)
    figure, axes = plt.subplots(1, len(parts), figsize=(max(7, 5 * len(parts)), 6), squeeze=False)
    for axis, (title, cases) in zip(axes[0], parts.items()):
        draw_frontier(axis, [(c["name"], *((c["mean"][key], c["interval"][key] or 0) for key in ("pass_1", "pass_64")))
                             for c in cases], 64)
        axis.set_title(title)
        axis.legend(fontsize=7)
    return figure


def plain(name):
    """A name as it is: between two dollars matplotlib reads formulas."""
    return name.replace("$", r"\$")


def draw_router(result):
    figure, axis = plt.subplots(figsize=(7, 5))
    config = result["config"]
    axis.plot(*zip(*result["oracle"]), color="C2", label="oracle")
    axis.plot(*zip(*result["curve"]), color="C0", label=plain(config["router"]))
    axis.plot([0, 1], [result["weak"], result["strong"]], "--", color="gray", label="random")
    for model, line in (("weak", ":"), ("strong", "-.")):
        axis.axhline(result[model], color="gray", linestyle=line, linewidth=0.8,
                     label=f"{model}: {plain(config[model])}")
    axis.set_xlabel("share of prompts that the strong model answers")
    axis.set_ylabel("mean quality")
    figures = [f"{name} {result[key]:.4f}" for key, name in (("auroc", "AUROC"), ("apgr_tie_averaged", "APGR"))
               if result[key] is not None]
    axis.set_title(", ".join([f"n = {result['n']}"] + figures))
    axis.legend(fontsize=8)
    return figure


def draw_routers(result):
    figure, axes = plt.subplots(1, 2, figsize=(13, 5))
    groups = collections.defaultdict(list)
    for run in result["runs"]:
        groups[run.get("free") or ", ".join(map(str, run["sweep"].values())) or "router"].append(run)
    for axis, key, title in ((axes[0], "curve_in", "in domain"), (axes[1], "curve_out", "out of domain")):
        for number, (name, runs) in enumerate(groups.items()):
            curves = [run[key] for run in runs]
            mean = [(curves[0][i][0], sum(c[i][1] for c in curves) / len(curves)) for i in range(len(curves[0]))]
            axis.plot(*zip(*mean), color=f"C{number % 10}", linestyle=":" if "free" in runs[0] else "-",
                      linewidth=1.2 if number < 10 else 0.8, label=plain(name))
        ends = [(sum(run[key][i][1] for run in result["runs"]) / len(result["runs"])) for i in (0, -1)]
        axis.plot([0, 1], ends, "--", color="gray", label="random")
        axis.set_xlabel("share of prompts that the large model answers")
        axis.set_ylabel("mean quality")
        axis.set_title(title)
    axes[1].legend(fontsize=7)
    return figure


def draw(result):
    if "oracle" in result:
        return draw_router(result)
    if "cases" in result:
        return draw_bandit(result)
    runs = result.get("runs", [result])
    if not runs or ("runs" not in result and "steps" not in result and "records" not in result):
        raise ValueError("no result of unlearn, reason, route or route_report")
    if "curve_in" in runs[0]:
        return draw_routers(result)
    if "curve" in runs[0]:
        raise ValueError("a router on an engine's states has its curve in runs[].curve alone")
    if "records" in runs[0]:
        return draw_reason(result)
    return draw_experiment(result) if "runs" in result else draw_run(result)


def main(arguments):
    if len(arguments) != 2 or not arguments[1].endswith((".png", ".svg")):
        return "usage: plot.py RESULT.json PICTURE.png|.svg"
    source, picture = arguments
    try:
        with open(source, encoding="utf-8") as file:
            result = json.load(file)
        figure = draw(result)
        figure.tight_layout()
        stem, kind = os.path.splitext(picture)
        figure.savefig(stem + ".partial" + kind, dpi=120)
        os.replace(stem + ".partial" + kind, picture)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = repr(error) if isinstance(error, KeyError) else " ".join(str(error).split())
        return f"plot.py: {source}: {reason}"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
