#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes include/hone/io/detail/unicode_{classes,canonical}.hpp.

  pip install unicodedata2==16.0.0; python3 tests/io/golden/unicode_tables.py
"""
import os

import unicodedata2 as ucd

FOLDER = os.path.join(os.path.dirname(__file__), "../../../include/hone/io/detail")
POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
SPACES = {*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
# Alphabetic beyond the categories L, M and Nl (Other_Alphabetic of PropList.txt); zero-width (non-)joiners.
WORDS = {0x200C, 0x200D, *range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A),
         *range(0x1F170, 0x1F18A)}
HANGUL = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # composed by arithmetic


def canonical(c):
    text = ucd.decomposition(c)
    return [] if not text or text.startswith("<") else [chr(int(x, 16)) for x in text.split()]


PAIRS = {c: canonical(c) for c in POINTS if canonical(c)}
COMPOSED = {c: p for c, p in PAIRS.items() if len(p) == 2 and ucd.normalize("NFC", "".join(p)) == c}
ONE_WAY = {c: p for c, p in PAIRS.items() if c not in COMPOSED}
SECONDS = {p[1] for p in COMPOSED.values()} | {chr(c) for c in HANGUL}


def bits(c):
    category = ucd.category(c)
    word = category[0] in "LM" or category in ("Nl", "Nd", "Pc") or ord(c) in WORDS
    may_change = ucd.combining(c) > 0 or c in SECONDS or ucd.normalize("NFC", c) != c
    return (category[0] == "L") + 2 * (category[0] == "N") + 4 * (ord(c) in SPACES) + 8 * word + 16 * may_change


def runs(f):
    """[first, last, value] of the runs of equal values over all code points; surrogates have value 0."""
    out = []
    for c in range(0x110000):
        value = 0 if 0xD800 <= c < 0xE000 else f(chr(c))
        if out and out[-1][2] == value:
            out[-1][1] = c
        else:
            out.append([c, c, value])
    return out


def table(name, kind, doc, items):
    lines, line = [], " "
    for item in items:
        if len(line) + len(item) + 2 > 120:
            lines.append(line)
            line = " "
        line += f" {item},"
    lines.append(line)
    return f"/// {doc}\ninline constexpr {kind} {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def write(stem, what, *tables):
    with open(os.path.join(FOLDER, f"unicode_{stem}.hpp"), "w") as out:
        out.write(f"""// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// {what} of Unicode {ucd.unidata_version}; written by tests/io/golden/unicode_tables.py.
#pragma once
#include "hone/core/flags.hpp"

namespace HONE_NAMESPACE::io::detail {{

""" + "\n".join(tables) + "\n}  // namespace HONE_NAMESPACE::io::detail\n")


write("classes", "Letters, numbers, white space, word characters",
      table("class_runs", "unsigned", "Length times 32, plus `unicode` bits, of each run of code points, from 0 on.",
            [str((last - first + 1) * 32 + value) for first, last, value in runs(bits)]))
write("canonical", "Canonical decompositions",
      table("composites", "char32_t", "Character and the two that it is composed of.",
            [f"{ord(c)}, {ord(p[0])}, {ord(p[1])}" for c, p in sorted(COMPOSED.items())]),
      table("one_way", "char32_t",
            "Character and the one or two (else 0) that it becomes and is not composed from again.",
            [f"{ord(c)}, {ord(p[0])}, {ord(p[1]) if len(p) > 1 else 0}" for c, p in sorted(ONE_WAY.items())]),
      table("combining_runs", "char32_t", "First, last and combining class of runs of characters whose class is not 0.",
            [f"{a}, {b}, {v}" for a, b, v in runs(ucd.combining) if v]))
