# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes routers.hpp: whom the authors' own code chooses for random logits, with which gates, what it drops, gradients
of gates by autograd, balance losses and updates.

  pip install megatron-core==0.16.1 transformers==5.24.0 torch jax
  python3 routers.py CLONES > routers.hpp

CLONES is a folder with clones of the repositories below, by name. What is run is a function of a file at a commit,
without what else its file would import. Logits are multiples of 1/1024, and nothing that is ranked is within 2e-6 of
another, so that no rounding and no order of ties decides.
"""
import __future__
import ast
import contextlib
import json
import math
import os
import subprocess
import sys
import types
import warnings
from unittest import mock

warnings.filterwarnings("ignore")
import jax
import jax.numpy as jnp
import numpy
import torch
import transformers
from megatron.core import __version__ as megatron_version
from megatron.core.transformer.moe import moe_utils as megatron
from megatron.core.transformer.moe.router import TopKRouter
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as deepseek_v3
from transformers.models.mixtral import modeling_mixtral as mixtral
from transformers.models.olmoe import modeling_olmoe as olmoe
from transformers.models.qwen3_moe import modeling_qwen3_moe as qwen3_moe
from transformers.models.switch_transformers import modeling_switch_transformers as switch

commits = {
    "EC-DLM": "f01d09fbef7e3e59f8855dc9443659f7db43685e",  # zhangshuibai
    "ReMoE": "463c6af38ffaa841941ea834470ee09f8d515652",  # thu-ml
    "flaxformer": "399ea3a85e9807ada653fd0de1a9de627eb0acde",  # google
    "Tutel": "ac0e51b943bb7084d4a6a7243e44a4afe04b9911",  # microsoft
    "DeepSpeed": "edaa7221267243c7be7fb49c5d5f5c4fb97b4641",  # deepspeedai
    "torchtitan": "b5bcd76c66d0acb1a08b176d9639425bc55e0b2a",  # pytorch
}
torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=torch.distributed.HashStore())
quiet = open(os.devnull, "w")
some = types.SimpleNamespace


def parsed(repository, path):
    folder = os.path.join(sys.argv[1], repository)
    return ast.parse(subprocess.check_output(["git", "-C", folder, "show", f"{commits[repository]}:{path}"], text=True))


def borrow(repository, path, names, **scope):
    """The functions with these names, those of a class as class.function, without decorators."""
    found = []
    for node in parsed(repository, path).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for f in inner:
            if not isinstance(f, ast.FunctionDef):
                continue
            name = f"{node.name}.{f.name}" if isinstance(node, ast.ClassDef) else f.name
            if name in names:
                f.name, f.decorator_list = name.replace(".", "_"), []
                found.append(f)
    assert len(found) == len(names), (path, names)
    scope = {"torch": torch, "math": math, "types": types, **scope}
    exec(compile(ast.Module(found, []), path, "exec", flags=__future__.annotations.compiler_flag), scope)
    return some(**scope)


def gap(x):
    """The least distance between two that are not 0 of a row or of a column."""
    least = 1.0
    for table in (x, x.T):
        for line in table:
            line = line[line != 0].double().sort().values
            if len(line) > 1:
                least = min(least, float((line[1:] - line[:-1]).min()))
    return least


def selected(x, k):
    return torch.zeros_like(x).scatter(1, x.topk(k, 1).indices, 1)


def draw(tokens, experts, seed):
    """Random logits and a bias whose every score is apart from others that it is ranked with."""
    while True:
        seed += 1
        g = torch.Generator().manual_seed(seed)
        x = torch.round(1.25 * torch.randn(tokens, experts, generator=g) * 1024) / 1024
        # In steps of 1/16384, each of another remainder of 1/1024.
        b = torch.round(torch.randn(experts, generator=g) * 200) / 1024 + torch.arange(experts) / 16384
        p = torch.softmax(x, 1)
        top = [p * selected(x, k) for k in (2, 4)]
        tables = [x, x + b, p, torch.sigmoid(x), torch.sigmoid(x) + b] + [t / t.sum(1, keepdim=True) for t in top]
        if min(map(gap, tables)) > 2e-6 and gap(megatron.sinkhorn(x) * tokens) > 2e-6:
            return x, b


small, small_bias = draw(24, 8, 0)
wide, wide_bias = draw(40, 16, 0)
inputs, bias = {"small": small, "wide": wide}, {"small": small_bias, "wide": wide_bias}


def worth(x):
    """What a gate is worth in the sum whose gradient is taken."""
    t, e = torch.meshgrid(torch.arange(x.shape[0]), torch.arange(x.shape[1]), indexing="ij")
    return ((5 * t + 3 * e) % 17 - 8) / 8


routed = []


def add(name, of, route, gradient=False):
    """route(logits) gives gates (tokens x experts), the chosen that stayed, and all chosen or None."""
    x = inputs[of].clone().requires_grad_(gradient)
    with contextlib.redirect_stdout(quiet):
        gates, kept, chosen = route(x)
    kept = kept.bool()
    dropped = chosen.bool() & ~kept if chosen is not None else torch.zeros_like(kept)
    slope = torch.autograd.grad((gates * worth(x)).sum(), x)[0][::3] if gradient else torch.zeros(0)
    routed.append((name, of, kept, dropped, gates.detach(), slope))


def spread(indices, values, x):
    """k indices and values of each token as a table and a map."""
    table = torch.zeros_like(x).scatter(1, indices, values.to(x.dtype))
    return table, torch.zeros_like(x).scatter(1, indices, 1).bool(), None


# Megatron-LM.
def megatron_top(k, factor=None, policy="probs", **options):
    def route(x):
        gates, chosen = megatron.topk_routing_with_score_function(x, k, **options)
        if factor is None:
            return gates, chosen, None
        return *megatron.apply_router_token_dropping(gates, chosen, k, factor, policy), chosen
    return route


def megatron_sinkhorn(k, training=True):
    me = some(topk=k, training=training, config=some(moe_aux_loss_coeff=0))
    return lambda x: (*TopKRouter.sinkhorn_load_balancing(me, x), None)


pre, sigmoid = {"use_pre_softmax": True}, {"score_function": "sigmoid"}
add("megatron post", "wide", megatron_top(4))
add("megatron post, gradient", "small", megatron_top(2), True)
add("megatron pre", "small", megatron_top(3, **pre))
add("megatron pre, k = 1", "small", megatron_top(1, **pre), True)
add("megatron post, probs, 1", "small", megatron_top(2, 1.0), True)
add("megatron post, probs, 5/4", "wide", megatron_top(2, 1.25))
add("megatron pre, probs, 3/4", "small", megatron_top(2, 0.75, **pre), True)
add("megatron post, position, 1", "small", megatron_top(2, 1.0, "position"))
add("megatron pre, position, 1", "small", megatron_top(3, 1.0, "position", **pre))
add("megatron sigmoid", "small", megatron_top(2, **sigmoid), True)
add("megatron sigmoid, bias, scaled", "wide",
    megatron_top(4, expert_bias=bias["wide"], scaling_factor=2.5, **sigmoid))
add("megatron sigmoid, k = 1", "small", megatron_top(1, **sigmoid))
add("megatron sinkhorn, k = 1", "small", megatron_sinkhorn(1))
add("megatron sinkhorn, k = 2", "wide", megatron_sinkhorn(2))
add("megatron sinkhorn, k = 1, inference", "small", megatron_sinkhorn(1, False))
add("megatron sinkhorn, k = 2, inference", "wide", megatron_sinkhorn(2, False))

# EC-DLM. Its tokens are sequence positions x batch; these are sequence after sequence.
moe = "megatron/core/transformer/moe/"
ec = borrow("EC-DLM", moe + "moe_utils.py",
            ["expert_choice_softmax_with_capacity", "topk_softmax_with_capacity", "get_capacity",
             "compute_ec_scaling_factors", "compute_tc_scaling_factor", "_normalize_cache_path", "_ec_cache_key",
             "_tc_cache_key", "_read_scaling_factor_from_disk", "_write_scaling_factor_to_disk",
             "ec_load_balancing_loss_func", "sequence_load_balancing_loss_func"],
            np=numpy, json=json, os=os, _EC_SCALING_FACTORS_CACHE={}, _TC_SCALING_FACTOR_CACHE={})
ec_router = borrow("EC-DLM", moe + "router.py",
                   ["TopKRouter.loss_free_load_balancing", "TopKRouter.update_expert_bias"],
                   topk_softmax_with_capacity=ec.topk_softmax_with_capacity)


def ec_config(**changes):
    return some(**{**dict(moe_shared_expert_intermediate_size=None, shared_experts_with_logits=False,
                          moe_router_activation_function="softmax", enable_scaling_factor=False,
                          expert_choice_routing_expert_scaling_factors=None, moe_router_topk_scaling_factor=None,
                          moe_ffn_hidden_size=16), **changes})


def swap(x, first, second):
    return x.view(first, second, -1).transpose(0, 1).reshape(first * second, -1)


def expert_choice(k, sequences, per_sequence=None, pre=False, batch=False, **changes):
    def route(x):
        length = x.shape[0] // sequences
        gates, chosen, _ = ec.expert_choice_softmax_with_capacity(
            ec_config(**changes), swap(x, sequences, length), sequences, length, k,
            use_batch_level_expert_choice=batch, use_pre_softmax=pre,
            dynamic_topk=None if per_sequence is None else torch.tensor(per_sequence))
        return swap(gates, length, sequences), swap(chosen, length, sequences), None
    return route


scaling = {"enable_scaling_factor": True, "moe_shared_expert_intermediate_size": 32}
add("ec-dlm", "small", expert_choice(2, 2), True)
add("ec-dlm, 1 sequence", "wide", expert_choice(3, 1))
add("ec-dlm, batch", "wide", expert_choice(2, 2, batch=True))
add("ec-dlm, sigmoid", "small", expert_choice(2, 2, moe_router_activation_function="sigmoid"), True)
add("ec-dlm, k of each sequence", "small", expert_choice(2, 3, [1, 2, 5]), True)
add("ec-dlm, k of each sequence, sigmoid", "wide",
    expert_choice(2, 2, [4, 1], moe_router_activation_function="sigmoid"))
add("ec-dlm, k of each sequence, batch", "small", expert_choice(2, 2, [1, 3], batch=True))
add("ec-dlm, pre", "small", expert_choice(3, 2, pre=True), True)
add("ec-dlm, pre, batch", "wide", expert_choice(2, 2, pre=True, batch=True))
add("ec-dlm, scaled", "small", expert_choice(3, 2, **scaling))


def ec_tokens(k, factor, policy="probs", **changes):
    def route(x):
        gates, kept, _ = ec.topk_softmax_with_capacity(ec_config(**changes), x, k, factor, drop_policy=policy)
        return gates, kept, selected(x, k)
    return route


add("ec-dlm, tokens choose, scaled", "small", ec_tokens(2, 1.25, **scaling))


def ec_loss_free(k, of, factor=None):
    me = some(expert_bias=bias[of], topk=k, training=False, config=ec_config(
        moe_expert_capacity_factor=factor, moe_pad_expert_input_to_capacity=False, moe_token_drop_policy="probs",
        moe_router_pre_softmax=False, moe_router_topk_limited_devices=None, deterministic_mode=False))
    return lambda x: (*ec_router.TopKRouter_loss_free_load_balancing(me, x), selected(x + bias[of], k))


add("ec-dlm, loss-free", "small", ec_loss_free(2, "small"))
add("ec-dlm, loss-free, capacity 1", "small", ec_loss_free(2, "small", 1.0))


# Transformers: a router whose weight is the identity has its input as logits.
def identity(router, x, **options):
    router.weight.data = torch.eye(x.shape[1])
    _, values, indices = router(x)
    return spread(indices, values, x)


def topk_config(x, k, **changes):
    return some(num_experts_per_tok=k, num_local_experts=x.shape[1], num_experts=x.shape[1], hidden_size=x.shape[1],
                **changes)


def deepseek(x):
    router = deepseek_v3.DeepseekV3TopkRouter(
        topk_config(x, 3, n_group=1, topk_group=1, norm_topk_prob=True, routed_scaling_factor=2.5))
    router.e_score_correction_bias = bias["small"]
    return identity(router, x)


def switch_router(capacity, sequences):
    def route(x):
        experts = x.shape[1]
        router = switch.SwitchTransformersTop1Router(some(
            num_experts=experts, expert_capacity=capacity, hidden_size=experts, router_bias=False,
            router_jitter_noise=0, router_ignore_padding_tokens=False, router_dtype="float32"))
        router.classifier.weight.data = torch.eye(experts)
        kept, gate, _ = router(x.view(sequences, -1, experts))
        kept = kept.view(x.shape)
        return kept * gate.view(-1, 1), kept, selected(x, 1)
    return route


add("mixtral", "small", lambda x: identity(mixtral.MixtralTopKRouter(topk_config(x, 2)), x))
add("olmoe", "small", lambda x: identity(olmoe.OlmoeTopKRouter(topk_config(x, 3, norm_topk_prob=False)), x))
add("qwen3-moe", "small", lambda x: identity(qwen3_moe.Qwen3MoeTopKRouter(topk_config(x, 3, norm_topk_prob=True)), x))
add("deepseek-v3", "small", deepseek)
add("switch", "small", switch_router(4, 1))  # ceil(24 / 8 * 5 / 4)
add("switch, each sequence's", "small", switch_router(2, 2))  # ceil(12 / 8 * 5 / 4)

# flaxformer.
flax = borrow("flaxformer", "flaxformer/architectures/moe/routing.py",
              ["ExpertsChooseMaskedRouter._compute_routing_instructions",
               "TokensChooseMaskedRouter._compute_routing_instructions", "_top_k", "_take_along_axis",
               "_favor_one_hot_slices", "_load_balancing_loss", "_router_z_loss"],
              jax=jax, jnp=jnp, RouterMask=lambda mask, combine, loss: (mask, combine, loss))


def flaxformer(rule, capacity, groups=1, k=1, padding=None):
    me = some(num_selected_experts=k, batch_prioritized_routing=False, dtype=jnp.float32)

    def route(x):
        p = jax.nn.softmax(jnp.array(x.detach().numpy()).reshape(groups, -1, x.shape[1]), axis=-1)
        mask, combine, _ = getattr(flax, rule + "_compute_routing_instructions")(
            me, p, None if padding is None else jnp.array(padding, jnp.float32)[None], capacity)
        mask, combine = (torch.tensor(numpy.array(jnp.sum(v, axis=-1))).view(x.shape) for v in (mask, combine))
        real = torch.ones(len(x), 1) if padding is None else torch.tensor(padding)[:, None]
        return combine, mask, selected(x, k) * real if rule.startswith("Tokens") else None
    return route


add("flaxformer, experts choose", "small", flaxformer("ExpertsChooseMaskedRouter_", 3, groups=2))
add("flaxformer, experts choose, batch", "wide", flaxformer("ExpertsChooseMaskedRouter_", 5))
add("flaxformer, k = 1", "small", flaxformer("TokensChooseMaskedRouter_", 3, k=1))
add("flaxformer, k = 2", "small", flaxformer("TokensChooseMaskedRouter_", 5, k=2))
add("flaxformer, k = 4", "wide", flaxformer("TokensChooseMaskedRouter_", 10, k=4))
padding = [0 if t % 4 == 1 else 1 for t in range(24)]
add("flaxformer, padding", "small", flaxformer("TokensChooseMaskedRouter_", 5, k=2, padding=padding))
add("flaxformer, experts choose padding", "small", flaxformer("ExpertsChooseMaskedRouter_", 20, padding=padding))

# Tutel. Its capacity is k int(factor ceil(T / E)).
tutel_losses = borrow("Tutel", "tutel/impls/losses.py", ["_one_hot_with_dtype", "gshard_loss"])
tutel = borrow("Tutel", "tutel/impls/fast_dispatch.py", ["extract_critical"], losses=tutel_losses,
               fast_cumsum_sub_one=lambda data: torch.cumsum(data, dim=0) - 1, get_world_rank=lambda group: 1)


def tutel_top(k, factor, normalised):
    def route(x):
        (_, experts, places, gates, room, _), _ = tutel.extract_critical(
            torch.softmax(x, 1), k, capacity_factor=factor, normalize_gate=normalised)
        experts, places, gates = (torch.stack(v, 1) for v in (experts, places, gates))
        table, chosen, _ = spread(experts.long(), gates, x)
        kept = torch.zeros_like(x).scatter(1, experts.long(), (places < room).to(x.dtype))
        return table * kept, kept, chosen
    return route


add("tutel, k = 2", "small", tutel_top(2, 1.0, True), True)
add("tutel, k = 4, not normalised", "wide", tutel_top(4, 1.0, False))  # 4 int(ceil(40 / 16)) = 12

# DeepSpeed.
speed = borrow("DeepSpeed", "deepspeed/moe/sharded_moe.py",
               ["top1gating", "top2gating", "topkgating", "_capacity", "_top_idx", "_one_hot_to_float", "einsum"],
               USE_EINSUM=True, F=torch.nn.functional, Tensor=torch.Tensor)


def deepspeed(gating, k, *arguments, **options):
    def route(x):
        _, combine, mask, _ = getattr(speed, gating)(x, *arguments, **options)
        return combine.sum(2), mask.sum(2), selected(x, k)
    return route


add("deepspeed, k = 2, roomy", "small", deepspeed("top2gating", 2, 4.0, 1, top2_2nd_expert_sampling=False))
add("deepspeed, k = 2", "small", deepspeed("top2gating", 2, 1.0, 1, top2_2nd_expert_sampling=False))
add("deepspeed, k = 1", "small", deepspeed("top1gating", 1, 1.0, 1, use_rts=False))
add("deepspeed, probs", "wide", deepspeed("topkgating", 4, 4, 1.0, 1))
add("deepspeed, position", "small", deepspeed("topkgating", 2, 2, 1.0, 1, drop_policy="position"))

# torchtitan.
titan = borrow("torchtitan", "torchtitan/models/common/moe.py", ["TokenChoiceTopKRouter.forward"],
               F=torch.nn.functional)


def torchtitan(k, score, normalised, scale, added=None):
    me = some(gate=lambda x: x, score_func=score, num_expert_groups=None, top_k=k, _debug_force_load_balance=False,
              route_norm=normalised, route_scale=scale)

    def route(x):
        values, indices, _ = titan.TokenChoiceTopKRouter_forward(me, x, added)
        return spread(indices, values, x)
    return route


add("torchtitan, sigmoid", "small", torchtitan(3, "sigmoid", True, 1.5, bias["small"]))
add("torchtitan, softmax", "small", torchtitan(2, "softmax", False, 1.0))

# ReMoE.
remoe = borrow("ReMoE", moe + "router.py", ["ReLURouter.l1_reg_load_balancing"])
add("remoe", "small",
    lambda x: (*remoe.ReLURouter_l1_reg_load_balancing(some(training=False), x), None), True)

# Where others differ.
different = {}


def room(tokens, experts, k, factor):
    return megatron.get_capacity(tokens * k, experts, factor)


# The least example below the number of tokens for which the product of rounded factors is rounded up once too often.
numerator, denominator = 11, 10
tokens, experts, k = next(
    (t, e, k) for t in range(1, 41) for e in range(2, 17) for k in range(1, 5)
    if k <= e and room(t, e, k, numerator / denominator) not in (-(-t * k * numerator // (e * denominator)),)
    and room(t, e, k, numerator / denominator) <= t)
different["capacity"] = [tokens, experts, k, room(tokens, experts, k, numerator / denominator)]
equal = torch.zeros(6, 8)
different["tied experts"] = torch.topk(equal, 2, 1).indices[0].sort().values.tolist()
different["tied tokens"] = torch.topk(equal, 2, 0).indices[:, 0].sort().values.tolist()
holes = small.clone()
holes[5, 3] = float("nan")
gates, chosen, _ = expert_choice(1, 1)(holes)
different["nan gates of token 5"] = [int(e) for e in range(8) if gates[5, e].isnan()]
different["nan plans of 100"] = [int(megatron.sinkhorn(torch.tensor([[100.0, 0], [0, 1]])).isnan().sum())]

# Balance losses, coefficient 1, with their gradients.
losses = []


def loss(name, f, gradient=True):
    x = small.clone().requires_grad_(gradient)
    value = f(x)
    value = value if isinstance(value, torch.Tensor) else torch.tensor(value)
    slope = torch.autograd.grad(value, x)[0][::3] if value.requires_grad else torch.zeros(0)
    losses.append((name, float(value), slope))


def count(x, k):
    return selected(x, k).sum(0)


def sequence_aux(x):
    seen = []
    me = some(get_aux_loss_coeff=lambda name: 1.0, tp_cp_group=torch.distributed.group.WORLD, topk=2,
              config=some(num_moe_experts=8, moe_router_fusion=False),
              attach_and_log_load_balancing_loss=lambda probs, c, value, *rest, **more: seen.append(value))
    y = swap(x, 2, 12)
    chosen, scores = megatron.compute_routing_scores_for_aux_loss(y, 2, "softmax")
    TopKRouter._apply_seq_aux_loss(me, y, scores, chosen, 12, 2)
    return seen[0]


def coverage(x):
    k = 2
    _, _, each = ec.expert_choice_softmax_with_capacity(ec_config(), x, 1, len(x), k)
    return ec.ec_load_balancing_loss_func(torch.softmax(x, 0), each, k, 1.0)[1]


def relu_loss(x):
    seen = []
    scope = borrow("ReMoE", moe + "moe_utils.py", ["switch_load_balancing_loss_func"])
    l1 = borrow("ReMoE", moe + "router.py", ["ReLURouter.apply_l1_reg"],
                parallel_state=some(get_tensor_and_context_parallel_group=lambda: None),
                switch_load_balancing_loss_func=scope.switch_load_balancing_loss_func,
                save_to_aux_losses_tracker=lambda *a, **b: None,
                MoEAuxLossAutoScaler=some(apply=lambda activation, value: seen.append(value)))
    me = some(topk=2, layer_number=1, config=some(moe_relu_l1_reg_coeff=torch.tensor(1.0), num_layers=1,
                                                  moe_token_dispatcher_type="alltoall"))
    probs = torch.relu(x)
    l1.ReLURouter_apply_l1_reg(me, probs, (probs > 0).sum(0), probs)
    return seen[0]


real = torch.tensor(padding).bool()
loss("megatron switch", lambda x: megatron.switch_load_balancing_loss_func(
    torch.softmax(x, 1), count(x, 2), len(x), 2, 8, 1.0))
loss("megatron switch, padding", lambda x: megatron.switch_load_balancing_loss_func(
    torch.softmax(x, 1), count(x[real], 2), int(real.sum()), 2, 8, 1.0, padding_mask=real))
loss("megatron sequence", sequence_aux)
loss("megatron z", lambda x: megatron.z_loss_func(x, 1.0))
loss("megatron z, padding", lambda x: megatron.z_loss_func(x, 1.0, ~real))
loss("ec-dlm coverage", coverage)
loss("remoe", relu_loss)
loss("mixtral", lambda x: mixtral.load_balancing_loss_func((x,), 8, 2))
loss("mixtral, 2 layers", lambda x: mixtral.load_balancing_loss_func((x, x.flip(1)), 8, 2), False)
loss("flaxformer", lambda x: float(flax._load_balancing_loss(
    jax.nn.softmax(jnp.array(x.numpy())[None], axis=-1), jnp.array(x.topk(2, 1).indices.numpy())[None])), False)
loss("deepspeed, k = 2", lambda x: speed.top2gating(x, 1.0, 1, top2_2nd_expert_sampling=False)[0], False)
loss("deepspeed, k = 3", lambda x: speed.topkgating(x, 3, 1.0, 1)[0], False)
loss("tutel", lambda x: tutel_losses.gshard_loss(torch.softmax(x, 1), x.topk(2, 1).indices))

# Updates.
updates = {}
counts = torch.tensor([9, 3, 5, 6, 6, 2, 14, 3])
step = 0.001
with mock.patch("torch.distributed.all_reduce"), mock.patch.object(megatron, "parallel_state"):
    updates["megatron bias"] = megatron.get_updated_expert_bias(counts.float(), bias["small"].clone(), step)
me = some(_num_microbatch_accumulations=1, _accumulated_tokens_per_expert=counts.float(),
          expert_bias=bias["small"].clone(), bias_update_rate=step)
ec_router.TopKRouter_update_expert_bias(me)
updates["ec-dlm bias"] = me.expert_bias
hooks = []
optimizer = borrow("torchtitan", "torchtitan/components/optimizer/optimizer.py", ["register_moe_load_balancing_hook"],
                   nn=torch.nn, cast=lambda kind, x: x, _MoELike=None, CheckpointImpl=some(NO_REENTRANT=0))


class Block(torch.nn.Module):
    moe_enabled = True
    moe = some(load_balance_coeff=step, tokens_per_expert_E=counts.clone(), expert_bias_E=bias["small"].clone())


block = Block()
optimizer.register_moe_load_balancing_hook(
    some(register_step_pre_hook=hooks.append), [torch.nn.ModuleDict({"layers": torch.nn.ModuleDict({"0": block})})],
    some(get_optional_mesh=lambda name: None, ep_enabled=False))
hooks[0]()
updates["torchtitan bias"] = block.moe.expert_bias_E

# ReMoE's coefficient: the statements of its training loop.
body = [node for node in ast.walk(parsed("ReMoE", "megatron/training/training.py"))
        if isinstance(node, ast.If) and "config.moe_relu_l1_reg_coeff *=" in ast.unparse(node)
        and "target_sparsity =" in ast.unparse(node) and ast.unparse(node.test) == "config.moe_relu_routing"][0].body
body = [node for node in body if "distributed" not in ast.unparse(node) and "item()" not in ast.unparse(node)]
body = [node for node in body if "num_microbatches" not in ast.unparse(node)]
config = some(moe_relu_l1_reg_coeff=1e-8, moe_relu_l1_reg_coeff_multiplier=1.2, moe_router_topk=2, num_moe_experts=8)
lambdas = []
active = [384, 97, 95, 40, 300, 96]  # of 24 tokens in 2 layers and 8 experts: 96 are the target
for n in active:
    config.moe_relu_sparsity = 1 - n / (2 * 24 * 8)
    exec(compile(ast.Module(body, []), "training.py", "exec"), {"config": config})
    lambdas.append(config.moe_relu_l1_reg_coeff)

with contextlib.redirect_stdout(quiet):
    scales = ec.compute_ec_scaling_factors(8, 2).double()
    token_scale = float(ec.compute_tc_scaling_factor(8, 2, 2))


def numbers(x):
    """Times 10^7."""
    return "{" + ", ".join(str(round(float(v) * 1e7)) for v in x) + "}"


def exact(x):
    return "{" + ", ".join(repr(float(v)) for v in x) + "}"


def masks(table):
    """Experts of each token as bits; nothing where no token has any."""
    bits = (table.long() << torch.arange(table.shape[1])).sum(1).tolist()
    return "{" + ", ".join(map(str, bits if any(bits) else [])) + "}"


print(f"""// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Written by routers.py: Megatron-LM {megatron_version}, Transformers {transformers.__version__}, PyTorch \
{torch.__version__.split("+")[0]}, JAX {jax.__version__},
/// and the repositories at the commits that it names.
#pragma once
#include <string>
#include <vector>

namespace golden {{

using list = std::vector<double>;

/// Logits by token, times 1024.""")
for name, x in inputs.items():
    print(f"inline const std::vector<int> {name} = {{{', '.join(str(int(v)) for v in (x * 1024).flatten())}}};")
for name, x in bias.items():
    print(f"inline const list {name}_bias = {exact(x)};")
print("""
struct routed {
  std::string name;
  bool wide;                       // 40 tokens x 16 experts, else 24 x 8
  std::vector<int> kept, dropped;  // experts of each token as bits; empty: none
  std::vector<int> gates;          // of what is kept, by token, then expert, times 10^7
  std::vector<int> gradient;       // of the sum of gate ((5 t + 3 e) mod 17 - 8) / 8, every third token, times 10^7
};

inline const std::vector<routed> all_routed = {""")
for name, of, kept, dropped, gates, slope in routed:
    print(f'{{"{name}", {"true" if of == "wide" else "false"}, {masks(kept)}, {masks(dropped)}, '
          f'{numbers(gates[kept])}, {numbers(slope.flatten())}}},')
print("""};

struct balance_loss {
  std::string name;
  double value;
  std::vector<int> gradient;  // of every third token, times 10^7; empty: not asked for
};

inline const std::vector<balance_loss> losses = {""")
for name, value, slope in losses:
    print(f'{{"{name}", {value!r}, {numbers(slope.flatten())}}},')
print(f"""}};

inline const std::vector<long> counts = {{{", ".join(map(str, counts.tolist()))}}};""")
for name, x in updates.items():
    print(f'inline const list {name.replace(" ", "_").replace("-", "_")} = {exact(x)};')
print(f"""inline const std::vector<long> active = {{{", ".join(map(str, active))}}};
inline const list lambdas = {exact(lambdas)};
inline const list scales = {exact(scales)};
inline const double token_scale = {token_scale!r};

// Where others differ.""")
for name, x in different.items():
    print(f'inline const std::vector<long> {name.replace(" ", "_")} = {{{", ".join(map(str, x))}}};')
print("\n}  // namespace golden")
