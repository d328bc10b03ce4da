"""ADRec against numbers computed with the authors' implementation (nbs/results/parity.npz).

The file holds a small random ADRec (D = 32, 4 heads, T = 8, λ = 0.05, no dropout) and everything that their
code computes with it, for sequences that fill their window (`full`) and for left-padded ones (`left_padded`).
"""
from pathlib import Path

import numpy as np
import pytest
import torch

from adrec.data import Batch
from adrec.model import ADRec

numbers = np.load(Path(__file__).parent.parent / "nbs/results/parity.npz")
CLOSE = dict(rtol=1e-5, atol=1e-5)


def tensor(name): return torch.from_numpy(numbers[name])


def encoder_weights(part):
    for b in (0, 1):
        theirs, ours = f"weight/{part}.block{b}.", f"{part}.blocks.{b}."
        for kind in ("weight", "bias"):
            yield ours + f"attention.query_key_value.{kind}", torch.cat([tensor(f"{theirs}attn.{p}.{kind}") for p in "qkv"])
            yield ours + f"attention.out.{kind}", tensor(f"{theirs}attn.out.{kind}")
            yield ours + f"feed_forward.0.{kind}", tensor(f"{theirs}ffn.in.{kind}")
            yield ours + f"feed_forward.3.{kind}", tensor(f"{theirs}ffn.out.{kind}")
            for norm in ("norm1", "norm2"): yield ours + f"{norm}.{kind}", tensor(f"{theirs}{norm}.{kind}")


def model_with(**options):
    model = ADRec(len(numbers["weight/item_embedding"]) - 1, dim=32, steps=int(numbers["meta/T"]),
                  heads=int(numbers["meta/heads"]), noise_scale=float(numbers["meta/lambda"]), max_length=12, **options)
    weights = {"item_embedding.weight": tensor("weight/item_embedding")}
    for kind in ("weight", "bias"):
        weights[f"input_norm.{kind}"] = tensor(f"weight/input_norm.{kind}")
        for i in (0, 2): weights[f"time_embedding.mlp.{i}.{kind}"] = tensor(f"weight/time_mlp.{i}.{kind}")
    for part in ("cam", "adm"): weights.update(encoder_weights(part))
    model.load_state_dict(weights)  # strict: every parameter of ours has one of theirs
    return model.eval()


def right_padded(array, lengths):
    "Move the real tokens of left-padded rows to the front."
    out = torch.zeros_like(array)
    for row, (source, n) in enumerate(zip(array, lengths)): out[row, :n] = source[len(source) - n:]
    return out


def case(name):
    history = tensor(f"{name}/history")
    lengths = (history > 0).sum(1)
    batch = Batch(torch.arange(len(history)), right_padded(history, lengths), lengths, right_padded(tensor(f"{name}/target"), lengths))
    return batch, *(right_padded(tensor(f"{name}/{key}"), lengths) for key in ("t", "eps"))


CASES = [("full", {}), ("left_padded", {"attention_sink": True}), ("full", {"attention_sink": True})]


@pytest.mark.parametrize("name, options", CASES)
@torch.no_grad()
def test_every_stage_of_the_forward_pass(name, options):
    model, (batch, t, eps) = model_with(**options), case(name)
    compare = lambda ours, key: torch.testing.assert_close(ours[batch.mask], right_padded(tensor(f"{name}/{key}"), batch.lengths)[batch.mask], **CLOSE)
    compare(model.input_norm(model.item_embedding(batch.history)), "input")
    compare(model.context(batch)[0][:, int(model.attention_sink):], "cam")
    compare(model.diffusion.q_sample(model.item_embedding(batch.target), t, eps), "x_t")
    compare(model(batch, t, eps)[0], "x0_hat")


@pytest.mark.parametrize("name, options", CASES)
@pytest.mark.parametrize("padding_class, key", [(False, "ce_items_only"), (True, "ce_with_padding_class")])
@torch.no_grad()
def test_losses(name, options, padding_class, key):
    model, (batch, t, eps) = model_with(padding_class=padding_class, **options), case(name)
    losses = {loss: total / count for loss, (total, count) in model.losses(batch, t=t, eps=eps).items()}
    torch.testing.assert_close(losses["mse"], tensor(f"{name}/mse"), **CLOSE)
    torch.testing.assert_close(losses["cross_entropy"], tensor(f"{name}/{key}"), **CLOSE)


@pytest.mark.parametrize("name, options", CASES)
@torch.no_grad()
def test_sampler_with_the_same_noise(name, options):
    model, (batch, _, _) = model_with(padding_class=True, **options), case(name)
    sampled = model.represent(batch, noise=tensor(f"{name}/sampler_noise_last"))
    torch.testing.assert_close(sampled, tensor(f"{name}/sampled_last"), **CLOSE)
    scores = sampled @ model.item_embedding.weight.T
    torch.testing.assert_close(scores, tensor(f"{name}/scores"), **CLOSE)


@torch.no_grad()
def test_without_the_sink_left_padding_does_not_matter():
    "With the correct mask a history gives the same numbers left-padded under a key mask, right-padded, or alone."
    model, (batch, t, eps) = model_with(), case("left_padded")
    together = model(batch, t, eps)[0]
    for row, n in enumerate(batch.lengths):
        alone = Batch(batch.users[row:row + 1], batch.history[row:row + 1, :n], batch.lengths[row:row + 1], batch.target[row:row + 1, :n])
        torch.testing.assert_close(together[row, :n], model(alone, t[row:row + 1, :n], eps[row:row + 1, :n])[0][0], **CLOSE)
    left = left_padded_with_key_mask(model)
    torch.testing.assert_close(right_padded(left, batch.lengths)[batch.mask], together[batch.mask], **CLOSE)


def left_padded_with_key_mask(model):
    "The authors' left-padded layout, but with the padding mask where it belongs: on the keys."
    history, target, t, eps = (tensor(f"left_padded/{key}") for key in ("history", "target", "t", "eps"))
    ahead = torch.ones(12, 12, dtype=torch.bool).triu(1)
    hidden = (ahead | (history == 0)[:, None]) & ~torch.eye(12, dtype=torch.bool)  # padding rows keep themselves, so that no row is empty
    bias = torch.zeros(hidden.shape).masked_fill(hidden, float("-inf"))[:, None]
    context = model.cam(model.input_norm(model.item_embedding(history)), bias)
    x_t = model.diffusion.q_sample(model.item_embedding(target), t, eps)
    return model.adm(context + model.noise_scale * (x_t + model.time_embedding(t)), bias)


def test_the_two_masks_really_differ():
    "The parity of the sink is only worth something if the default fails on the padded case."
    model, (batch, t, eps) = model_with(), case("left_padded")
    theirs = right_padded(tensor("left_padded/x0_hat"), batch.lengths)
    with torch.no_grad(): difference = (model(batch, t, eps)[0] - theirs)[batch.mask].abs().max()
    assert difference > 1e-2
