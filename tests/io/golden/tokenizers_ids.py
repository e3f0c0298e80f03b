#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains a small tokenizer with each family's configuration on texts.jsonl and writes it as <family>.json, with the ids
and the decoded texts of the tokenizers package in <family>.ids.json.

  pip install tokenizers==0.23.3; python3 tests/io/golden/tokenizers_ids.py
"""
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = [json.loads(line) for line in open(os.path.join(HERE, "texts.jsonl"))]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = ["Ġthird", "Ġfloor", "nobody", "Ġremembered"]
QWEN2 = LLAMA3.replace("{1,3}", "")


def special(*contents, **flags):
    return [AddedToken(content, special=True, normalized=False, **flags) for content in contents]


def byte_level(regex, *before, words=()):
    """Merging begins with bytes; @p before cuts first; no merge leads to the pieces @p words."""
    t = Tokenizer(models.BPE())
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    t.pre_tokenizer = pre_tokenizers.Sequence([*before, last]) if before else last
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=576, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    state = json.loads(t.to_str())
    state["model"]["vocab"] |= {word: len(state["model"]["vocab"]) + i for i, word in enumerate(words)}
    return Tokenizer.from_str(json.dumps(state))


def template(t, bos, *others):
    t.post_processor = processors.Sequence([*others, processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, t.token_to_id(bos))])])


def gpt2():
    t = byte_level(True)
    t.add_special_tokens([AddedToken("<|endoftext|>", special=True, normalized=True)])
    return t


def llama3():
    t = byte_level(False, pre_tokenizers.Split(Regex(LLAMA3), "isolated"), words=WORDS)
    t.model.ignore_merges = True
    t.add_special_tokens(special("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                                 "<|eot_id|>"))
    template(t, "<|begin_of_text|>", processors.ByteLevel(trim_offsets=False))
    return t


def qwen2():
    t = byte_level(False, pre_tokenizers.Split(Regex(QWEN2), "isolated"), words=WORDS)
    t.normalizer = normalizers.NFC()
    t.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
    t.add_tokens([AddedToken("e\u0323\u0302", normalized=True), AddedToken("<tool call>", normalized=False)])
    return t


def smollm2():
    t = byte_level(True, pre_tokenizers.Digits(individual_digits=True))
    t.add_special_tokens(special("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file sep>"))
    return t


def sentence_piece(bytes_too=True, pieces=300):
    """Trained word by word; what encodes is set by the caller."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=bytes_too))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=259 * bytes_too + 3 * (not bytes_too) + pieces, limit_alphabet=170, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>"] + BYTES * bytes_too))
    state = json.loads(t.to_str())
    state["added_tokens"] = state["added_tokens"][:3]  # the bytes are no added tokens
    t = Tokenizer.from_str(json.dumps(state))
    t.pre_tokenizer = None
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    template(t, "<s>")
    return t


def llama2():
    t = sentence_piece()
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.add_tokens([AddedToken("[INST]", normalized=True), AddedToken("[/INST]", normalized=False)])
    return t


def mistral():
    t = sentence_piece()
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.add_tokens([AddedToken("[TOOL]", normalized=False, lstrip=True, rstrip=True),
                  AddedToken("wordy", normalized=False, single_word=True)])
    t.add_special_tokens(special("<mask>", lstrip=True))
    return t


def metaspace():
    """No bytes to fall back on; every word apart."""
    t = sentence_piece(bytes_too=False)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    return t


def finished(name, t):
    """Older files have merges as strings."""
    state = json.loads(t.to_str())
    if name in ("gpt2", "llama2"):
        state["model"]["merges"] = [" ".join(pair) for pair in state["model"]["merges"]]
    return json.dumps(state, ensure_ascii=False, separators=(",", ":"))


for make in gpt2, llama3, qwen2, smollm2, llama2, mistral, metaspace:
    name = make.__name__
    text = finished(name, make())
    t = Tokenizer.from_str(text)
    ids = [t.encode(x).ids for x in TEXTS]
    decoded = [t.decode(x) for x in ids]
    shown = [t.decode(x, skip_special_tokens=False) for x in ids]
    t.encode_special_tokens = True
    plain = [t.encode(x, add_special_tokens=False).ids for x in TEXTS]
    bare = [x[len(x) - len(y):] for x, y in zip(ids, plain)]
    with open(os.path.join(HERE, f"{name}.json"), "w") as out:
        out.write(text + "\n")
    with open(os.path.join(HERE, f"{name}.ids.json"), "w") as out:
        json.dump({
            "ids": ids,
            # Where they are not what they mostly are: the text, the decoded text, the ids without begin of text.
            "decoded": {i: x for i, x in enumerate(decoded) if x != TEXTS[i]},
            "decoded_with_special": {i: x for i, x in enumerate(shown) if x != decoded[i]},
            "plain": {i: x for i, x in enumerate(plain) if x != bare[i]},
        }, out, separators=(",", ":"))
        out.write("\n")
