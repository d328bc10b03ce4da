"Noise schedules: the authors' numbers, an independent library, properties and bad input."
from pathlib import Path

import numpy as np
import pytest
from diffusers import DDPMScheduler
from scipy import stats

from adrec.schedule import (
    SCHEDULES,
    alphas_cumprod,
    betas_from_curve,
    check_betas,
    noise_schedule,
    signal_to_noise,
)

PARITY = np.load(Path(__file__).parent.parent / "nbs/results/parity.npz")
BETAS = [k for k in PARITY.files if k.startswith("betas/")]


def test_every_schedule_has_an_authors_case():
    assert {k.split("/")[1] for k in BETAS} == set(SCHEDULES)


@pytest.mark.parametrize("key", BETAS)
def test_betas_equal_the_authors(key):
    _, name, steps = key.split("/")
    betas = noise_schedule(name, int(steps))
    assert betas.dtype == np.float64 and betas.shape == (int(steps),)
    np.testing.assert_allclose(betas, PARITY[key], rtol=1e-13)


def test_alphas_cumprod_equal_the_authors():
    "The parity file's own eight-step process is the default schedule."
    np.testing.assert_allclose(alphas_cumprod(noise_schedule("trunc_lin", 8)), PARITY["schedule8/alphas_cumprod"], rtol=1e-14)


@pytest.mark.parametrize("name,library,tol", [("linear", "linear", 1e-6), ("cosine", "squaredcos_cap_v2", 1e-6)])
def test_thousand_steps_equal_diffusers(name, library, tol):
    "At T = 1000 the two classical schedules are those of diffusers, which keeps float32."
    theirs = DDPMScheduler(num_train_timesteps=1000, beta_schedule=library, beta_start=1e-4, beta_end=0.02)
    betas = noise_schedule(name, 1000)
    np.testing.assert_allclose(betas, theirs.betas.numpy(), rtol=1e-5, atol=tol)
    np.testing.assert_allclose(alphas_cumprod(betas), theirs.alphas_cumprod.numpy(), rtol=1e-4, atol=tol)


@pytest.mark.parametrize("steps", [4, 32, 100])
def test_beta_is_the_quantile_function(steps):
    u = np.arange(1, steps + 1) / steps
    np.testing.assert_allclose(alphas_cumprod(noise_schedule("beta", steps)), stats.beta.ppf(1 - u, 0.3, 10), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [21, 32, 100, 1000])
def test_every_schedule_removes_signal_at_every_step(name, steps):
    betas = noise_schedule(name, steps)
    alpha_bar = alphas_cumprod(betas)
    assert ((0 < betas) & (betas <= 1)).all()
    assert (np.diff(alpha_bar, prepend=1.0) < 0).all() and (alpha_bar >= 0).all()
    assert (np.diff(signal_to_noise(alpha_bar)) < 0).all()


@pytest.mark.parametrize("steps", [1, 2, 5, 19])
@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("linear", "pw_lin")])
def test_few_steps_are_fine_for_most_schedules(name, steps):
    assert check_betas(noise_schedule(name, steps)).shape == (steps,)


def test_linear_needs_twenty_steps():
    for steps in range(2, 20):  # a single step never leaves the start of the line
        with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"): check_betas(noise_schedule("linear", steps))
    for steps in range(20, 60): check_betas(noise_schedule("linear", steps))


def test_trunc_lin_flattens_only_when_it_must():
    for steps in range(2, 21): assert noise_schedule("trunc_lin", steps)[-1] == pytest.approx(1 / steps + 0.01)
    for steps in range(21, 60): assert noise_schedule("trunc_lin", steps)[-1] == pytest.approx(20 / steps + 0.01)


def test_pw_lin_needs_more_than_ten_steps():
    for steps in (1, 10):
        with pytest.raises(ValueError, match="more than 10 steps"): noise_schedule("pw_lin", steps)
    assert len(noise_schedule("pw_lin", 11)) == 11


def test_betas_from_curve_and_alphas_cumprod_are_inverse():
    curve = lambda u: np.exp(-3 * u)
    np.testing.assert_allclose(alphas_cumprod(betas_from_curve(curve, 12)), curve(np.arange(1, 13) / 12), rtol=1e-12)


def test_cosine_is_capped():
    assert noise_schedule("cosine", 32).max() == 0.999


@pytest.mark.parametrize("name,near", [("trunc_line", "trunc_lin"), ("cosin", "cosine"), ("pwlin", "pw_lin")])
def test_unknown_name_suggests_the_nearest(name, near):
    with pytest.raises(ValueError, match=f"Did you mean '{near}'"): noise_schedule(name, 32)


def test_unknown_name_far_from_all_lists_them():
    with pytest.raises(ValueError, match="There are trunc_lin, linear"): noise_schedule("zzz", 32)


@pytest.mark.parametrize("steps", [0, -3, 2.5, "32", True, None])
def test_bad_number_of_steps(steps):
    with pytest.raises(ValueError, match="whole number from 1 up"): noise_schedule("trunc_lin", steps)


@pytest.mark.parametrize("bad,step", [([0.1, 0.0], 1), ([-0.1, 0.2], 0), ([0.1, 0.2, 1.0001], 2),
                                      ([0.1, np.nan], 1), ([np.inf], 0)])
def test_check_betas_names_the_first_bad_step(bad, step):
    with pytest.raises(ValueError, match=f"beta at step {step} of {len(bad)}"): check_betas(bad)


@pytest.mark.parametrize("bad", [[], [[0.1, 0.2]], 0.1])
def test_check_betas_wants_one_row(bad):
    with pytest.raises(ValueError, match="one row"): check_betas(bad)
