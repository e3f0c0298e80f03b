# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes authors.hpp: what the code of LLaDA's and MDLM's authors makes of a toy model: likelihoods, losses of training
and fine-tuning, canvases of decoding, chances of ancestral steps.

  pip install torch
  python3 authors.py CLONES > authors.hpp

CLONES is a folder with clones of the repositories below, by name. What is run are functions of a file at a commit, or a
block of code of a page, without what else its file would import; what they draw is written down beside what they say.
The toy's logits are multiples of 1/64, which float32 holds.
"""
import ast
import math
import os
import re
import subprocess
import sys
import types

import torch
import torch.nn.functional as F

commits = {
    "LLaDA": "b7e6c3565f194352da44b38dd12b6970597309f3",  # ML-GSAI
    "mdlm": "c112c526d193436838c98d81455ee51f90309470",  # kuleshov-group
}
some = types.SimpleNamespace
vocab, mask = 7, 6


def text(repository, path):
    folder = os.path.join(sys.argv[1], repository)
    return subprocess.check_output(["git", "-C", folder, "show", f"{commits[repository]}:{path}"], text=True)


def borrow(repository, path, names, **scope):
    """The functions with these names, those of a class as class.function, without decorators."""
    found = []
    for node in ast.parse(text(repository, path)).body:
        for f in node.body if isinstance(node, ast.ClassDef) else [node]:
            if not isinstance(f, ast.FunctionDef):
                continue
            name = f"{node.name}.{f.name}" if isinstance(node, ast.ClassDef) else f.name
            if name in names:
                f.name, f.decorator_list = name.replace(".", "_"), []
                found.append(f)
    assert len(found) == len(names), (path, names)
    scope = {"torch": torch, "F": F, "math": math, "np": some(inf=math.inf), **scope}
    exec(compile(ast.Module(found, []), path, "exec"), scope)
    return scope


def toy(x):
    """Logits (rows x length x vocab) of canvases."""
    b, n = x.shape
    i, v = torch.arange(n)[:, None], torch.arange(vocab)[None]
    z = (((7 * i + 13 * v + 5 * i * v) % 23 - 11) / 8).repeat(b, 1, 1)
    for j in range(n):
        z = z + ((3 * x[:, j, None, None] + 11 * v + 17 * (i - j).abs()) % 19 - 9) / 64
    z[:, :, mask] = -40
    return z


seen = []


def model(x=None, input_ids=None, attention_mask=None):
    x = input_ids if x is None else x
    seen.append(x.clone())
    return some(logits=toy(x))


model.device = torch.device("cpu")


def ids(x):
    return "{" + ", ".join(str(int(v)) for v in x.flatten()) + "}"


def canvases(rows):
    return "{" + ", ".join(ids(x) for x in rows) + "}"


torch.manual_seed(1)
print(f"""// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Written by authors.py: PyTorch {torch.__version__.split("+")[0]}, and the repositories at the commits that it names.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace golden {{

using ids = std::vector<std::int32_t>;

inline constexpr std::int32_t vocab = {vocab}, mask = {mask};
""")

# LLaDA: the likelihood of an answer.
llada = borrow("LLaDA", "get_log_likelihood.py", ["forward_process", "get_logits", "get_log_likelihood"])
print("""/// get_log_likelihood: canvases that it drew, and the sum of log p over the answer.
struct likelihood {
  ids prompt, answer;
  double guidance;
  int batch;  // canvases whose counts belong together
  std::vector<ids> noised;
  double value;
};
inline const std::vector<likelihood> likelihoods = {""")
cases = [(2, 5, 0.0, 4, 8), (0, 6, 0.0, 3, 3), (3, 4, 1.5, 8, 16), (1, 1, 0.0, 2, 2)]
for length, answer, guidance, batch, total in cases:
    prompt, target = torch.randint(0, mask, (length,)), torch.randint(0, mask, (answer,))
    seen.clear()
    value = llada["get_log_likelihood"](model, prompt, target, total, batch, guidance, mask)
    noised = torch.cat([x[:batch] for x in seen])
    print(f"{{{ids(prompt)}, {ids(target)}, {guidance!r}, {batch}, {canvases(noised)}, {value!r}}},")
print("};\n")

# LLaDA's training and fine-tuning, as the guidelines have them.
blocks = re.findall(r"```angular2html\n(.*?)```", text("LLaDA", "GUIDELINES.md"), re.S)
training = next(b for b in blocks if b.startswith("def forward_process"))
tuning = next(b for b in blocks if b.startswith("input_ids, prompt"))
swap = lambda code: code.replace("126336", str(mask))
print("""/// The loss of a batch of sequences of one length, masked with these probabilities.
struct trained {
  std::vector<ids> clean, noised;
  std::vector<double> probability;
  std::vector<int> prompt;  // tokens of each that are never masked
  double loss;
};
inline const std::vector<trained> llada_losses = {""")
for prompts in (None, torch.tensor([3, 1, 5])):
    clean = torch.randint(0, mask, (3, 8))
    scope = {"torch": torch, "F": F, "model": model, "batch": {"input_ids": clean, "prompt_lengths": prompts}}
    code = swap(training if prompts is None else tuning)
    if prompts is None:  # the whole length
        code = code.replace("torch.rand(1) < 0.01", "False")
    else:  # names that differ on the page
        exec(swap(training[: training.index("# The data is")]), scope)
        code = code.replace("prompt_length.unsqueeze", "prompt_lengths.unsqueeze").replace(
            "answer_length.repeat", "answer_lengths.repeat")
    exec(code, scope)
    loss = scope["loss" if prompts is None else "ce_loss"]
    print(f'{{{canvases(clean)}, {canvases(scope["noisy_batch"])}, '
          f'{{{", ".join(repr(float(p)) for p in scope["p_mask"][:, 0])}}}, '
          f'{ids(torch.zeros(3) if prompts is None else prompts)}, {float(loss)!r}}},')
print("};\n")

# LLaDA's decoding.
decode = borrow("LLaDA", "generate.py", ["add_gumbel_noise", "get_num_transfer_tokens", "generate"])
print("""/// generate, greedy: the canvas before each step, and the last one.
struct decoded {
  ids prompt;
  int length, block, steps;
  double guidance;
  std::vector<ids> canvases;
};
inline const std::vector<decoded> decodings = {""")
for n, length, block, steps, guidance in [(3, 8, 8, 4, 0.0), (2, 8, 4, 8, 0.0), (4, 9, 3, 6, 0.0), (3, 8, 4, 6, 1.0)]:
    prompt = torch.randint(0, mask, (1, n))
    seen.clear()
    # With guidance it reads a mask of the attention that only a caller can have set.
    attends = torch.ones_like(prompt) if guidance > 0 else None
    result = decode["generate"](model, prompt, attends, steps=steps, gen_length=length, block_length=block,
                                temperature=0.0, cfg_scale=guidance, remasking="low_confidence", mask_id=mask)
    print(f"{{{ids(prompt)}, {length}, {block}, {steps}, {guidance!r}, {canvases([x[:1] for x in seen] + [result])}}},")
print("};\n")

# MDLM.
noise = borrow("mdlm", "noise_schedule.py", ["LogLinearNoise.rate_noise", "LogLinearNoise.total_noise"])
schedule = some(eps=1e-3)
sigma_of = lambda t: (noise["LogLinearNoise_total_noise"](schedule, t), noise["LogLinearNoise_rate_noise"](schedule, t))
drawn = []


def sampled(chances):
    drawn.append(chances.clone())
    return chances.argmax(-1)


mdlm = borrow("mdlm", "diffusion.py",
              ["Diffusion._subs_parameterization", "Diffusion._sample_t", "Diffusion.q_xt",
               "Diffusion._forward_pass_diffusion", "Diffusion._ddpm_caching_update", "Diffusion._ddpm_update"],
              utils=some(print_nans=lambda *_: None), _sample_categorical=sampled)
it = some(antithetic_sampling=True, importance_sampling=False, change_of_variables=False, sampling_eps=1e-3, T=0,
          mask_index=mask, neg_infinity=-1000000.0, parameterization="subs", noise=sigma_of,
          config=some(noise=some(type="loglinear")))
method = lambda name: lambda *a: mdlm["Diffusion_" + name](it, *a)
times, canvas = [], []


def forward(x, sigma):
    canvas.append(x.clone())
    return mdlm["Diffusion__subs_parameterization"](it, toy(x).double(), x)


it.forward, it.q_xt = forward, method("q_xt")
it._sample_t = lambda n, device: (times.append(mdlm["Diffusion__sample_t"](it, n, device)), times[-1])[1]
print("/// _forward_pass_diffusion, SUBS and log-linear noise: the loss over all tokens; the probability is the time.\n"
      "inline const std::vector<trained> mdlm_losses = {")
for rows in (4, 1):
    clean = torch.randint(0, mask, (rows, 8))
    loss = mdlm["Diffusion__forward_pass_diffusion"](it, clean).mean()
    print(f'{{{canvases(clean)}, {canvases(canvas[-1])}, {{{", ".join(repr(float(t)) for t in times[-1])}}}, '
          f'{ids(torch.zeros(rows))}, {float(loss)!r}}},')
print("};\n")
print("""/// _ddpm_caching_update and _ddpm_update: chances of every token at a masked place, the mask's that it stays.
struct ancestral {
  ids canvas;
  double from, to;
  std::vector<std::vector<double>> chances[2];  // cached, plain
};
inline const std::vector<ancestral> ancestral_steps = {""")
for t, dt in ((1.0, 0.25), (0.6, 0.2), (0.3, 0.25)):
    x = torch.tensor([[2, mask, 0, mask, mask, 5]])
    drawn.clear()
    mdlm["Diffusion__ddpm_caching_update"](it, x, torch.full((1, 1), t), dt)
    mdlm["Diffusion__ddpm_update"](it, x, torch.full((1, 1), t), dt)
    chances = ["{" + ", ".join("{" + ", ".join(repr(float(p)) for p in row / row.sum()) + "}"
                               for row in q[0][x[0] == mask].double()) + "}" for q in drawn]
    print(f"{{{ids(x)}, {t!r}, {t - dt!r}, {{{', '.join(chances)}}}}},")
print("};\n\n}  // namespace golden")
