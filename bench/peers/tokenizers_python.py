#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The rows encode_* of bench/io as Hugging Face's tokenizers package does them, on one core: the same files, the same
text, as one string and line by line (which is faster there). Prints MB/s of both, of the same machine, and the ratio.

  pip install tokenizers; bash bench/run.sh --benchmark_filter=NONE
  python3 bench/peers/tokenizers_python.py [build-bench/bench/hone_bench]
"""
import json
import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

import hone_bench

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/io/golden")
FAMILIES = "gpt2", "llama3", "qwen2", "smollm2", "llama2"


def text_of(english):
    lines = [json.loads(line) for line in open(os.path.join(GOLDEN, "texts.jsonl"))]
    some = "".join(line + "\n" for line in (lines[:31] if english else lines[31:105]))
    return some * -(-(1 << 20) // len(some.encode()))


def rate(encode, size, repeats=5):
    return size / hone_bench.median_seconds(encode, repeats) / 1e6


def main():
    print(f"tokenizers {tokenizers.__version__}; MB/s, medians; ratio: to the faster of the two")
    print(f"{'':28} {'one string':>10} {'lines':>8} {'hone':>8} {'ratio':>8}")
    for family in FAMILIES:
        t = tokenizers.Tokenizer.from_file(os.path.join(GOLDEN, f"{family}.json"))
        for english in True, False:
            text = text_of(english)
            lines, size = text.splitlines(keepends=True), len(text.encode())
            whole = rate(lambda: t.encode(text), size)
            by_line = rate(lambda: [t.encode(line) for line in lines], size)
            row = f"encode_{family}/{'english' if english else 'languages'}"
            here = 1e3 * hone_bench.row(f"^{row}/manual_time$")["rate"]
            print(f"{row:28} {whole:10.2f} {by_line:8.2f} {here:8.1f} {here / max(whole, by_line):7.1f}x")


if __name__ == "__main__":
    main()
