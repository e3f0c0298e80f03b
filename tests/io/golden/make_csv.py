# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes csv.jsonl: texts, and the rows that Python's csv module makes of them with the lines where they begin; and a
hash of the rows of each file of RouteLLM's MMLU answers, where they are given:

    python make_csv.py csv.jsonl [folder of routellm_mmlu]
"""

import csv
import io
import json
import pathlib
import random
import sys


def rows_of(text):
    """Pairs of the line where a row begins and its fields; blank rows are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, line = [], 1
    for row in reader:
        if row:
            rows.append([line, row])
        line = reader.line_num + 1
    return rows


def written(random, end):
    letters = ["a", "b", " ", ",", '"', "\n", "\r\n", "é", "中", "\t", "'", ";"]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=end, quoting=random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    columns = random.randint(1, 4)
    writer.writerow([f"column {i}" for i in range(columns)])
    for _ in range(random.randint(0, 5)):
        writer.writerow(["".join(random.choices(letters, k=random.randint(0, 6))) for _ in range(columns)])
    return out.getvalue()


def hash_of(rows):
    """FNV-1a of the lines and fields of rows, each followed by a byte 31."""
    h = 0xCBF29CE484222325
    for line, fields in rows:
        for text in [str(line), *fields]:
            for byte in text.encode() + b"\x1f":
                h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


texts = [
    "a,b\n1,2\n",
    "a,b\r\n1,2\r\n",
    "a,b\n1,2",
    "a\n",
    "a",
    'a\n""\n',
    "a,b\n,\n",
    'a,b\n"",""\n',
    'a,b\n"1,2","3"\n',
    'a,b\n"say ""x""",""""\n',
    'a,b\n"two\nlines",x\n3,4\n',
    'a,b\n"two\r\nlines\n\n",x\r\n3,4\r\n',
    "a,b\n\n\n1,2\n\n3,4\n\n",
    '"a","b"\n1,2\n',
    '"first\nline",b\n1,2\n',
    "a, b\n 1 , 2 \n",
    "Größe,中文\né,\u20ac\n",
]
seeded = random.Random(12)
texts += [written(seeded, end) for end in ["\n", "\r\n"] * 40]
lines = [{"text": text, "rows": rows_of(text)} for text in texts]
for file in sorted(pathlib.Path(sys.argv[2]).glob("*.csv")) if len(sys.argv) > 2 else []:
    rows = rows_of(file.read_bytes().decode())
    lines.append({"file": file.name, "rows": len(rows) - 1, "hash": hash_of(rows)})
pathlib.Path(sys.argv[1]).write_text("".join(json.dumps(line) + "\n" for line in lines))
