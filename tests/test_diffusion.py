"The diffusion process: the authors' numbers, diffusers, properties and bad input."
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.models.embeddings import get_timestep_embedding

from adrec.diffusion import (
    GaussianDiffusion,
    TimeEmbedding,
    draw_steps,
    noise_like,
    posterior_coefficients,
    sinusoid,
)
from adrec.schedule import SCHEDULES, noise_schedule

PARITY = np.load(Path(__file__).parent.parent / "nbs/results/parity.npz")
CASES = [(n, T) for n in SCHEDULES for T in (32, 100)]


def gen(seed=0): return torch.Generator().manual_seed(seed)
def parity(key): return torch.tensor(PARITY[key])


# --- the authors' numbers

def test_posterior_coefficients_equal_the_authors():
    names = ["posterior_mean_coef1", "posterior_mean_coef2", "posterior_variance"]
    for ours, name in zip(posterior_coefficients(noise_schedule("trunc_lin", 8)), names):
        np.testing.assert_allclose(ours, PARITY[f"schedule8/{name}"], rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("case", ["full", "left_padded"])
def test_noised_targets_equal_the_authors(case):
    target = parity(f"{case}/target")
    x0 = parity("weight/item_embedding")[target]
    x_t = GaussianDiffusion(noise_schedule("trunc_lin", 8)).q_sample(x0, parity(f"{case}/t"), parity(f"{case}/eps"))
    real = target > 0  # the authors' code leaves padding without noise; ours has no use for it
    torch.testing.assert_close(x_t[real], parity(f"{case}/x_t")[real], rtol=1e-6, atol=1e-6)


def test_process_refuses_the_authors_linear_8():
    with pytest.raises(ValueError, match="beta at step 3 of 8 is 1.079"): GaussianDiffusion(noise_schedule("linear", 8))


# --- an independent library

def library(betas, variance="fixed_large"):
    scheduler = DDPMScheduler(num_train_timesteps=len(betas), trained_betas=betas, prediction_type="sample",
                              variance_type=variance, clip_sample=False)
    scheduler.set_timesteps(len(betas))
    return scheduler


@pytest.mark.parametrize("name,steps", CASES)
def test_noising_equals_diffusers(name, steps):
    betas = noise_schedule(name, steps)
    g = gen()
    x0, eps = torch.randn(64, 5, generator=g), torch.randn(64, 5, generator=g)
    t = torch.randint(steps, (64,), generator=g)
    ours = GaussianDiffusion(betas).q_sample(x0, t, eps)
    torch.testing.assert_close(ours, library(betas).add_noise(x0, eps, t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name,steps", CASES)
def test_every_step_back_equals_diffusers(name, steps):
    "Same prediction, same noise: one step of ours is one step of theirs, mean and variance."
    betas = noise_schedule(name, steps)
    process, theirs = GaussianDiffusion(betas), library(betas)
    g = gen(1)
    x_t, x0_hat = torch.randn(7, 4, generator=g), torch.randn(7, 4, generator=g)
    for t in range(steps):
        noise = torch.randn(7, 4, generator=gen(t))  # the draw that their `step` makes from the same seed
        out = theirs.step(x0_hat, t, x_t, generator=gen(t)).prev_sample
        torch.testing.assert_close(process.p_sample(x0_hat, x_t, t, noise), out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name,steps", CASES)
def test_posterior_mean_and_variance_equal_diffusers(name, steps):
    "Their `fixed_small` step is a draw from the posterior: mean + standard deviation × noise."
    betas = noise_schedule(name, steps)
    process, theirs = GaussianDiffusion(betas), library(betas, "fixed_small")
    x_t, x0_hat = torch.randn(7, 4, generator=gen(1)), torch.randn(7, 4, generator=gen(2))
    for t in range(steps):
        noise = torch.randn(7, 4, generator=gen(t))
        ours = process.posterior_mean(x0_hat, x_t, t) + process.posterior_variance(t).sqrt() * noise
        out = theirs.step(x0_hat, t, x_t, generator=gen(t)).prev_sample
        torch.testing.assert_close(ours, out, rtol=1e-4, atol=1e-5)


# --- the forward process

@pytest.mark.parametrize("name", SCHEDULES)
def test_many_small_steps_equal_the_closed_form(name):
    "The mean and variance of the step-by-step recursion, in float64."
    betas = noise_schedule(name, 32)
    process = GaussianDiffusion(betas)
    scale, variance = 1.0, 0.0
    for t, b in enumerate(betas):
        scale, variance = np.sqrt(1 - b) * scale, (1 - b) * variance + b
        assert process.signal_scale[t] == pytest.approx(scale, rel=1e-6, abs=1e-12)
        assert process.noise_scale[t] ** 2 == pytest.approx(variance, rel=1e-6)


def test_a_step_per_token_touches_its_token_only():
    process = GaussianDiffusion(noise_schedule("trunc_lin", 32))
    g = gen()
    x0, eps = torch.randn(3, 6, 4, generator=g), torch.randn(3, 6, 4, generator=g)
    t = draw_steps(3, 6, 32, generator=g)
    x_t = process.q_sample(x0, t, eps)
    for b in range(3):
        for l in range(6):
            torch.testing.assert_close(x_t[b, l], process.q_sample(x0[b, l], int(t[b, l]), eps[b, l]))
    other = t.clone(); other[1, 2] = (t[1, 2] + 5) % 32
    moved = (process.q_sample(x0, other, eps) != x_t).any(-1)
    assert moved.sum() == 1 and moved[1, 2]


def test_shapes_of_t():
    process = GaussianDiffusion(noise_schedule("trunc_lin", 8))
    x = torch.ones(2, 3, 4)
    for t in (5, torch.tensor(5), torch.full((2,), 5), torch.full((2, 3), 5), torch.full((2, 1), 5)):
        torch.testing.assert_close(process.q_sample(x, t, x), process.q_sample(x, 5, x))
        torch.testing.assert_close(process.p_sample(x, 2 * x, t, x), process.p_sample(x, 2 * x, 5, x))


def test_gradients_reach_the_clean_vectors():
    "In fine-tuning the target embeddings are not detached: the noised input must carry a gradient to them."
    x0 = torch.ones(2, 3, 4, requires_grad=True)
    process = GaussianDiffusion(noise_schedule("trunc_lin", 8))
    process.q_sample(x0, torch.full((2, 3), 2), torch.zeros(2, 3, 4)).sum().backward()
    torch.testing.assert_close(x0.grad, process.signal_scale[2].expand(2, 3, 4))


# --- the posterior and the way back

@pytest.mark.parametrize("name", SCHEDULES)
def test_posterior_is_bayes_rule(name):
    "Two Gaussians multiplied: precisions add, means are weighted by precision (t = 0 and ᾱ = 0 apart)."
    betas = noise_schedule(name, 32)
    alpha_bar = np.cumprod(1 - betas)
    weight_x0, weight_xt, variance = posterior_coefficients(betas)
    for t in range(1, 31):
        prior, likelihood = 1 / (1 - alpha_bar[t - 1]), (1 - betas[t]) / betas[t]
        assert variance[t] == pytest.approx(1 / (prior + likelihood), rel=1e-9)
        assert weight_x0[t] == pytest.approx(variance[t] * prior * np.sqrt(alpha_bar[t - 1]), rel=1e-9)
        assert weight_xt[t] == pytest.approx(variance[t] * np.sqrt(1 - betas[t]) / betas[t], rel=1e-9)


def test_last_step_returns_the_prediction():
    process = GaussianDiffusion(noise_schedule("trunc_lin", 8))
    assert process.weight_x0[0] == 1 and process.weight_xt[0] == 0 and process.posterior_variance(0) == 0
    x = torch.randn(5, 3, generator=gen())
    torch.testing.assert_close(process.p_sample(x, 9 * x, 0, 9 * x), x)


def test_step_variance_is_beta():
    process = GaussianDiffusion(noise_schedule("trunc_lin", 8))
    zero = torch.zeros(1)
    std = torch.stack([process.p_sample(zero, zero, t, torch.ones(1)) for t in range(8)]).squeeze()
    np.testing.assert_allclose(std.numpy()[1:] ** 2, noise_schedule("trunc_lin", 8)[1:], rtol=1e-6)
    assert std[0] == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_oracle_denoiser_recovers_the_data(name):
    x0 = torch.randn(6, 4, generator=gen())
    out = GaussianDiffusion(noise_schedule(name, 32)).sample(lambda x, t: x0, noise_like(x0, gen(1)), generator=gen(2))
    torch.testing.assert_close(out, x0)


def test_sample_walks_down_and_uses_the_given_noise():
    "The loop written out by hand, with noise[0] at t = T−1."
    process = GaussianDiffusion(noise_schedule("trunc_lin", 8))
    start, noise = torch.randn(3, 4, generator=gen()), torch.randn(8, 3, 4, generator=gen(1))
    seen = []
    def denoise(x, t):
        seen.append(t)
        return 0.5 * x + 0.1 * t
    x = start
    for i in range(8):
        t = 7 - i
        x = process.p_sample(0.5 * x + 0.1 * t, x, t, noise[i])
    torch.testing.assert_close(process.sample(denoise, start, noise=noise), x)
    assert seen == list(range(7, -1, -1)) and all(type(t) is int for t in seen)


def test_sample_repeats_with_the_same_generator():
    process, start = GaussianDiffusion(noise_schedule("trunc_lin", 8)), torch.ones(3, 4)
    draw = lambda seed: process.sample(lambda x, t: 0.9 * x, start, generator=gen(seed))
    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))


def test_sample_leaves_the_global_generator_alone():
    torch.manual_seed(0); before = torch.get_rng_state()
    GaussianDiffusion(noise_schedule("trunc_lin", 8)).sample(lambda x, t: x, torch.ones(2, 2), generator=gen())
    draw_steps(2, 2, 8, generator=gen())
    assert torch.equal(before, torch.get_rng_state())


def test_noise_of_the_wrong_shape_is_refused():
    process = GaussianDiffusion(noise_schedule("trunc_lin", 8))
    for shape in [(7, 3, 4), (9, 3, 4), (8, 4), (8, 3, 1)]:
        with pytest.raises(ValueError, match=r"noise must have shape \(8, 3, 4\)"):
            process.sample(lambda x, t: x, torch.zeros(3, 4), noise=torch.zeros(shape))


@pytest.mark.parametrize("t", [-1, 8])
def test_a_step_outside_the_schedule_is_refused(t):
    process, x = GaussianDiffusion(noise_schedule("trunc_lin", 8)), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=f"time step {t} is outside 0…7"): process.q_sample(x, t, x)
    with pytest.raises(ValueError, match=f"time step {t} is outside 0…7"): process.p_sample(x, x, t, x)


# --- the process as a module

def test_tables_are_float32_and_not_saved():
    process = GaussianDiffusion(noise_schedule("trunc_lin", 32))
    assert process.steps == 32 and not process.state_dict() and not list(process.parameters())
    assert {b.dtype for b in process.buffers()} == {torch.float32}


def test_a_noiseless_and_a_signalless_step_give_finite_tables():
    for betas in ([1.0], [0.5, 1.0, 0.5], [1e-6, 0.1, 1.0]):
        for table in GaussianDiffusion(betas).buffers(): assert torch.isfinite(table).all()


@pytest.mark.parametrize("betas", [[], [0.1, 0.0], [0.1, -0.1], [0.1, 1.1], [float("nan")], [[0.1]]])
def test_bad_betas_are_refused(betas):
    with pytest.raises(ValueError, match="beta"): GaussianDiffusion(betas)


# --- time steps and their embedding

def test_token_level_steps_are_uniform_and_independent():
    t = draw_steps(4000, 8, 16, level="token", generator=gen())
    assert t.dtype == torch.int64 and t.shape == (4000, 8)
    share = torch.bincount(t.flatten(), minlength=16) / t.numel()
    assert (share - 1 / 16).abs().max() < 5 * (1 / 16 * 15 / 16 / t.numel()) ** 0.5
    correlation = torch.corrcoef(t.T.double()) - torch.eye(8)
    assert correlation.abs().max() < 5 / 4000 ** 0.5


def test_sequence_level_steps_are_one_per_row():
    t = draw_steps(4000, 8, 16, level="sequence", generator=gen())
    assert t.dtype == torch.int64 and t.shape == (4000, 8) and (t == t[:, :1]).all()
    share = torch.bincount(t[:, 0], minlength=16) / 4000
    assert (share - 1 / 16).abs().max() < 5 * (1 / 16 * 15 / 16 / 4000) ** 0.5
    t[:, 0] = 0  # the rows own their memory
    assert (t[:, 1:] != 0).any()


def test_unknown_level_is_refused():
    with pytest.raises(ValueError, match="unknown level 'word'"): draw_steps(2, 2, 8, level="word")


def test_sinusoid_equals_diffusers():
    s = 1000 * torch.arange(32) / 32
    theirs = get_timestep_embedding(s, 128, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(sinusoid(s, 128), theirs, rtol=1e-6, atol=1e-6)


def test_sinusoid_shapes():
    assert sinusoid(3.0, 6).shape == (6,) and sinusoid(torch.zeros(2, 5), 6).shape == (2, 5, 6)
    for dim in (0, 1, 7, -2):
        with pytest.raises(ValueError, match="even dimension"): sinusoid(3.0, dim)


@pytest.mark.parametrize("steps,dim", [(8, 32), (32, 128)])
def test_time_embedding_is_the_mlp_of_the_sinusoid(steps, dim):
    "The table looked up equals the formula, value and gradient."
    torch.manual_seed(0)
    embed = TimeEmbedding(dim, steps)
    t = draw_steps(5, 7, steps, generator=gen())
    direct = embed.mlp(sinusoid(1000 * t / steps, dim))
    torch.testing.assert_close(embed(t), direct, rtol=1e-5, atol=1e-6)
    grads = [torch.autograd.grad(out.square().sum(), list(embed.parameters())) for out in (embed(t), direct)]
    for a, b in zip(*grads): torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(embed(3), embed(torch.tensor([3]))[0])


def test_time_embedding_saves_only_its_weights():
    assert set(TimeEmbedding(32, 8).state_dict()) == {"mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"}


def test_time_embedding_takes_the_authors_weights():
    embed = TimeEmbedding(32, 8)
    embed.load_state_dict({k: parity(f"weight/time_{k}") for k in embed.state_dict()})
    assert torch.isfinite(embed(torch.arange(8))).all()


@pytest.mark.parametrize("t", [-1, 8])
def test_time_embedding_refuses_a_step_outside(t):
    with pytest.raises(IndexError): TimeEmbedding(32, 8)(t)
