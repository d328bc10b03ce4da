"The quick ways against the plain ones: the same losses, gradients, scores. Nothing here looks at a clock."
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import nn

from adrec.backbone import CausalSelfAttention, Encoder, FastDropout, KeyValueCache, attend
from adrec.data import evaluation_batches, history_batch, synthetic_data, training_updates
from adrec.diffusion import GaussianDiffusion
from adrec.model import ADRec
from adrec.sasrec import full_cross_entropy
from adrec.schedule import SCHEDULES, noise_schedule

sys.path.insert(0, str(Path(__file__).parent.parent/"benchmarks"))
from plain import PlainADRec, pad_to_window

data, _ = synthetic_data(users=120, items=300, mean_length=12, seed=5)
CLOSE = dict(rtol=1e-4, atol=1e-5)


def seeded(seed): return torch.Generator().manual_seed(seed)


@pytest.fixture
def pair():
    "ADRec and the plain way with the same weights; λ large, so that noise matters; no dropout, so that they can agree."
    torch.manual_seed(0)
    quiet = dict(dim=16, steps=8, schedule="cosine", noise_scale=0.5, dropout=0.0, embedding_dropout=0.0)
    ours = ADRec(data.n_items, **quiet)
    plain = PlainADRec(data.n_items, **quiet)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


# ---- the plain way

def test_losses_and_gradients_are_those_of_the_plain_way(pair):
    ours, plain = pair
    parts = next(training_updates(data, np.random.default_rng(0), users_per_update=100, groups=5))
    wide = pad_to_window(parts)
    t, eps = torch.randint(8, wide.target.shape, generator=seeded(1)), torch.randn(100, 50, 16, generator=seeded(2))
    sums, first = {}, 0
    for part in parts:
        rows, length = slice(first, first + len(part.users)), part.history.shape[1]
        for name, pieces in ours.losses(part, t=t[rows, :length], eps=eps[rows, :length]).items():
            sums[name] = [a + b for a, b in zip(sums.get(name, (0, 0)), pieces)]
        first += len(part.users)
    quick, slow = {name: total / count for name, (total, count) in sums.items()}, plain.losses(wide, t, eps)
    for name in ("cross_entropy", "mse"):
        torch.testing.assert_close(quick[name], slow[name], **CLOSE)
        ours.zero_grad(); plain.zero_grad()
        quick[name].backward(retain_graph=True); slow[name].backward(retain_graph=True)
        for (weight, a), b in zip(ours.named_parameters(), plain.parameters()):
            torch.testing.assert_close(a.grad, b.grad, **CLOSE, msg=lambda m: f"{name}, {weight}: {m}")
    assert ours.item_embedding.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("users_per_batch", [1, 7, 120])
def test_scores_are_those_of_the_plain_way(pair, users_per_batch):
    ours, plain = (model.eval() for model in pair)
    for batch, _ in list(evaluation_batches(data, users_per_batch=users_per_batch))[::17]:
        noise = torch.randn(9, len(batch.users), 16, generator=seeded(3))
        with torch.no_grad(): quick = ours.represent(batch, noise=noise) @ ours.item_embeddings().T
        torch.testing.assert_close(quick, plain.score(pad_to_window([batch]), noise), **CLOSE)


def test_the_plain_way_trains_with_the_same_dropout_rates():
    ours, plain = ADRec(50, dim=8), PlainADRec(50, dim=8)
    rates = lambda model: sorted(m.p for m in model.modules() if isinstance(m, nn.Dropout))
    assert [m.attention.dropout for m in plain.cam.blocks] == [m.attention.dropout.p for m in ours.cam.blocks] == [0.1, 0.1]
    assert rates(ours) == sorted(rates(plain) + [0.1] * 4)  # the plain attention holds a number instead of a layer


# ---- dropout

@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.999])
def test_fast_dropout_keeps_the_right_share_and_the_mean(p):
    torch.manual_seed(0)
    n = 1_000_003  # not a multiple of four
    x = FastDropout(p)(torch.ones(n))
    kept, error = (x > 0).double().mean().item(), (p * (1 - p) / n) ** 0.5
    assert abs(kept - (1 - p)) < 5 * error + 2**-17
    assert len(x.unique()) == 2 and abs(x.max().item() * (1 - p) - 1) < 0.01
    assert abs(x.mean().item() - 1) < 5 * error / (1 - p) + 0.01 * (p > 0.9)


def test_fast_dropout_bits_are_independent():
    torch.manual_seed(1)
    gone = (FastDropout(0.5)(torch.ones(400_000)) == 0).double()
    for lag in (1, 2, 3, 4, 5, 8): assert abs(torch.corrcoef(torch.stack([gone[lag:], gone[:-lag]]))[0, 1]) < 0.008, lag
    for place in range(4): assert abs(gone[place::4].mean() - 0.5) < 0.008, "one of the four sixteenths of a draw is not fair"


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-6])
def test_fast_dropout_at_the_ends_is_the_ordinary_one(p):
    x = torch.randn(5, 7)
    torch.manual_seed(2); ours = FastDropout(p)(x)
    torch.manual_seed(2); theirs = nn.Dropout(p)(x)
    assert torch.equal(ours, theirs)


def test_fast_dropout_otherwise():
    layer, x = FastDropout(0.4), torch.randn(3, 5, 2, requires_grad=True)
    assert layer.eval()(x) is x and repr(layer) == "FastDropout(p=0.4, inplace=False)"
    layer.train(); torch.manual_seed(3); y = layer(x); (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)  # the same mask on the way back
    torch.manual_seed(3); assert torch.equal(layer(x), y)
    for dtype in (torch.bfloat16, torch.float64): assert layer(x.to(dtype)).dtype == dtype
    assert layer(torch.ones(4, 6).T).shape == (6, 4) and layer(torch.ones(0, 3)).shape == (0, 3)
    with pytest.raises(ValueError): FastDropout(1.5)


# ---- attention

@pytest.mark.parametrize("length", [1, 2, 9])
def test_attention_in_training_is_that_of_evaluation_when_nothing_is_dropped(length):
    torch.manual_seed(0)
    layer, x = CausalSelfAttention(16, 4, dropout=0.1), torch.randn(3, length, 16)
    layer.dropout.forward = lambda weights: weights
    bias = torch.randn(3, 1, length, length)
    for b in (None, bias): torch.testing.assert_close(layer.train()(x, b), layer.eval()(x, b), **CLOSE)


def test_dropout_falls_on_the_weights_of_attention():
    "Every output is a sum of values with weights that are zero or 1/(1 − p) times what they were."
    torch.manual_seed(0)
    q, k = torch.randn(2, 2, 6, 4)
    whole = attend(q, k, torch.eye(6))
    dropped = attend(q, k, torch.eye(6), dropout=FastDropout(0.5))
    ratio = (dropped / whole)[whole > 0]
    assert set(ratio.round(decimals=4).tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("norm_first", [False, True])
def test_remembering_fills_the_caches_that_reading_fills(norm_first):
    torch.manual_seed(0)
    encoder, x = Encoder(16, 3, 4, norm_first=norm_first).eval(), torch.randn(2, 5, 16)
    read = [KeyValueCache() for _ in encoder.blocks]
    encoder(x, caches=read)
    for a, b in zip(encoder.fill_caches(x), read): assert torch.equal(a.keys, b.keys) and torch.equal(a.values, b.values)


# ---- the loss

@pytest.mark.parametrize("tokens", [1, 255, 256, 257, 600])
@pytest.mark.parametrize("padding_class", [False, True])
def test_cross_entropy_in_pieces(tokens, padding_class):
    torch.manual_seed(0)
    batch = replace(history_batch([range(1, tokens + 1)], max_length=tokens), target=torch.randint(1, 701, (1, tokens)))
    vectors, table = torch.randn(1, tokens, 8, requires_grad=True), torch.randn(701, 8, requires_grad=True)
    first = 0 if padding_class else 1
    total, count = full_cross_entropy(vectors, batch, table, padding_class)
    plain = F.cross_entropy(vectors[0] @ table[first:].T, batch.target[0] - first, reduction="sum")
    torch.testing.assert_close(total, plain, **CLOSE)
    assert count == tokens
    for a, b in zip(torch.autograd.grad(total / 3, (vectors, table)), torch.autograd.grad(plain / 3, (vectors, table))):
        torch.testing.assert_close(a, b, **CLOSE)
    with torch.no_grad(): torch.testing.assert_close(full_cross_entropy(vectors, batch, table, padding_class)[0], plain, **CLOSE)


# ---- fewer sampling steps

@pytest.mark.parametrize("schedule", sorted(set(SCHEDULES)))
def test_ddim_steps_equal_those_of_diffusers(schedule):
    betas = noise_schedule(schedule, 32)
    ours = GaussianDiffusion(betas)
    theirs = DDIMScheduler(32, trained_betas=betas, prediction_type="sample", clip_sample=False, timestep_spacing="trailing")
    for count in (32, 8, 4, 1):
        theirs.set_timesteps(count)
        assert ours.spaced_steps(count) == theirs.timesteps.tolist()
        x = expected = torch.randn(5, 3, generator=seeded(count))
        guess = lambda x, t: torch.tanh(0.3 * x) + 0.01 * t
        for t in theirs.timesteps: expected = theirs.step(guess(expected, int(t)), t, expected, eta=0).prev_sample
        torch.testing.assert_close(ours.sample_ddim(guess, x, count), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 31, 32])
def test_any_number_of_steps_recovers_what_the_denoiser_knows(count):
    process, x0 = GaussianDiffusion(noise_schedule("trunc_lin", 32)), torch.randn(4, 3)
    seen = []
    def oracle(x, t): seen.append(t); return x0
    assert torch.equal(process.sample_ddim(oracle, torch.randn(4, 3), count), x0)
    assert seen == process.spaced_steps(count) and seen[0] == 31 and len(set(seen)) == count and min(seen) >= 0


def test_the_noise_on_the_way_stays_the_same():
    "With the right guess, x stays on the line √ᾱ·x0 + √(1−ᾱ)·ε with the ε of the start."
    process = GaussianDiffusion(noise_schedule("cosine", 32))
    x0, eps = torch.randn(2, 4, 3)
    x = process.q_sample(x0, 31, eps)
    for t, s in ((31, 20), (20, 19), (19, 3)):
        x = process.ddim_step(x0, x, t, s)
        torch.testing.assert_close(x, process.q_sample(x0, s, eps), rtol=1e-3, atol=1e-3)


def test_sampling_steps_of_adrec():
    torch.manual_seed(0)
    batch, noise = history_batch([[1, 2, 3], [4]]), torch.randn(33, 2, 16)
    model = ADRec(30, dim=16, noise_scale=0.5).eval()
    other = ADRec(30, dim=16, noise_scale=0.5, sampling_steps=8).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        few, again = (other.represent(batch, noise=n) for n in (noise, torch.cat([noise[:1], torch.randn(32, 2, 16)])))
        assert torch.equal(few, again), "only the start is random"
        assert not torch.allclose(few, model.represent(batch, noise=noise))
        calls, denoise = [], other.denoise
        other.denoise = lambda *a: calls.append(1) or denoise(*a)
        other.represent(batch)
    assert len(calls) == 8
    for wrong in (0, 33, -1):
        with pytest.raises(ValueError, match=f"from 1 to 32, got {wrong}"): ADRec(30, dim=16, sampling_steps=wrong)
