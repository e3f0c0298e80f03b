# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes words.hpp: what rouge-score (with NLTK's stemmer) and the package rouge make of pairs of texts, and the stems.

  pip install rouge-score==0.1.2 nltk==3.10.4 rouge==1.0.1; python words.py > words.hpp

The texts are made here, of words that the stemmer has rules for, with punctuation, capitals, digits and other letters.
"""
import random

import nltk.stem.porter
from rouge import Rouge
from rouge_score import rouge_scorer

random.seed(4)
ROOTS = """run hop fall hiss fizz fail fil plaster motor sing agree feed caress poni tie cat conflat troubl siz tann
relat condition ration valenc hesit digit conform radic differ vile analog vietnam predic oper feud decis hope callous
formal sensit sens triplic form electric good reviv allow infer airlin gyroscop adjust defens irrit replac depend
adopt homolog commun activ angular effect bowdler prob rat ceas control roll happ sky enjoy spy fly tr d l y syzyg toy
by oat iv orrer privat archaeo geo theo full beauti care love author write publish novel win award born live
year""".split()
ENDS = """ s es ies ied ing ed eed y ly ational tional enci anci izer bli abli alli entli eli ousli ization ation ator
alism iveness fulness ousness aliti iviti biliti fulli logi logies icate ative alize iciti ical ful ness al ance ence
er ic able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll lle ally fully ably""".split() + [""]
IRREGULAR = """sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed
succeed died dies spied flies ties yyyy syzygy yay say sayed employed 2000s 1990ing a i abc 3rd 42 ied ies eed bleed
agreed""".split()


def word():
    if random.random() < 0.15:
        return random.choice(IRREGULAR)
    return random.choice(ROOTS) + random.choice(ENDS)


vocabulary = sorted({word() for _ in range(1000)} | set(IRREGULAR))
GLUE = [" "] * 12 + [", ", ". ", " - ", "; ", "'", "\n", "\t", "  ", "... ", "_", " \u00e9", " \u212a", "\u0130 ",
                     "\u00a0", "\u3000", "."]


def text(words):
    out = ""
    for w in words:
        shown = random.choice([w, w, w, w.capitalize(), w.upper()])
        out += shown + random.choice(GLUE)
    return out


def pair():
    kinds = random.sample(vocabulary, random.choice([1, 2, 3, 8, 20]))
    reference = [random.choice(kinds) for _ in range(random.choice([0, 1, 2, 5, 12, 30, 63, 64, 65, 130]))]
    candidate = [w for w in reference if random.random() < 0.8]
    for _ in range(random.randrange(6)):
        candidate.insert(random.randrange(len(candidate) + 1), random.choice(kinds + vocabulary))
    return text(reference), text(candidate)


def literal(s):
    return '"' + "".join(f"\\{b:03o}" if b < 32 or b > 126 or chr(b) in '"\\' else chr(b) for b in s.encode()) + '"'


def numbers(values):
    return "{" + ", ".join(repr(float(v)).removesuffix(".0") for v in values) + "}"


scorer = {stem: rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=stem) for stem in (True, False)}
union = Rouge(metrics=["rouge-l"])


def row(reference, candidate):
    out = [literal(reference), literal(candidate)]
    for stem in (True, False):
        score = scorer[stem].score(reference, candidate)
        sides = [side for k in ("rouge1", "rouge2", "rougeL") for side in score[k][:2]]
        out.append(numbers(sides + [score["rougeL"].fmeasure]))
    try:
        s = union.get_scores(candidate, reference)[0]["rouge-l"]
        out.append(numbers((s["p"], s["r"], s["f"])))
    except ValueError:
        out.append(numbers((0, 0, 0)))
    return "    {" + ",\n     ".join(out) + "},"


print("// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception")
print("/// Written by words.py, rouge-score 0.1.2, NLTK 3.10.4, rouge 1.0.1.")
print("#pragma once\n")
print("struct golden_rouge {\n  const char *reference, *candidate;")
print("  double stemmed[7], plain[7];  ///< precision and recall of ROUGE-1, 2, L, and the last one's f1")
print("  double joined[3];             ///< rouge's ROUGE-L: precision, recall, f1\n};\n")
print("inline constexpr golden_rouge golden_rouges[] = {")
FIXED = [("", ""), ("a", ""), ("", "a"), ("...", "a b"), ("a b", "."), (" ", "a"), ("a. b", "b. a"),
         ("a b c d", "d c b a"),
         ("The cat sat. On the mat.", "the cat sat on the mat"), ("x y z x y z", "z y x z y x"), (". .", " . "),
         ("a b c. c b a", "a c. b. c a b"), ("don't stop", "dont stop"), ("a\u2003b", "a b"), ("A\u00c9B", "a b")]
for fixed in FIXED:
    print(row(*fixed))
for _ in range(150):
    print(row(*pair()))
print("};\n")
stem = nltk.stem.porter.PorterStemmer().stem
print("struct golden_stem {\n  const char *word, *stem;\n};\n\ninline constexpr golden_stem golden_stems[] = {")
for w in vocabulary:
    print(f'    {{"{w}", "{stem(w)}"}},')
print("};")
