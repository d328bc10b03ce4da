"The diagnostics of adrec.collapse against oracles, known answers, their noise nulls, and bad input."
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import entropy
from torch import nn

from adrec import collapse
from adrec.collapse import (as_table, covariance_eigenvalues, effective_rank, effective_rank_null, entropy_rank,
                            marchenko_pastur_edges, marchenko_pastur_spectrum, mean_cosine, mean_cosine_null_sd,
                            participation_ratio, participation_ratio_null, singular_values)
from adrec.data import InputError

SHAPES = [(3000, 64), (1008, 128), (12301, 128), (20000, 32), (60, 100)]
SCORES = [effective_rank, participation_ratio, mean_cosine]


def rng(seed=0): return np.random.default_rng(seed)


def orthonormal(n, k, seed=0):
    x = rng(seed).normal(size=(n, k))
    return np.linalg.qr(x - x.mean(axis=0))[0]


@pytest.fixture(scope="module")
def uneven():  # nothing special: an offset, falling variances, correlated columns
    return rng(1).normal(size=(500, 20)) * np.arange(1, 21) ** -0.7 @ rng(2).normal(size=(20, 20)) + 0.3


# ---- as_table

class Model(nn.Module):
    def __init__(self, table):
        super().__init__()
        self.table = table
    def item_embeddings(self): return self.table


@pytest.mark.parametrize("wrap", [
    lambda x: x, lambda x: x.astype(np.float32), lambda x: x.tolist(), pd.DataFrame, np.asfortranarray,
    lambda x: torch.tensor(x, requires_grad=True), lambda x: torch.tensor(x, dtype=torch.bfloat16),
    lambda x: nn.Embedding.from_pretrained(torch.tensor(x)), lambda x: Model(torch.tensor(x)), lambda x: Model(x)])
def test_every_kind_of_table_gives_the_same_float64_array(wrap):
    x = np.arange(12.0).reshape(4, 3)
    table = as_table(wrap(x))
    assert table.dtype == np.float64 and np.array_equal(table, x)


def test_integers_are_numbers_too():
    assert as_table(np.eye(3, dtype=int)).dtype == np.float64


@pytest.mark.parametrize("bad, message", [
    (np.ones(3), r"\(3,\)"), (np.ones((2, 3, 4)), r"\(2, 3, 4\)"), (np.ones((5, 0)), r"\(5, 0\)"),
    (np.ones((1, 4)), "at least 2 items, got 1"), (np.ones((0, 4)), "got 0"), ([[1, 2], [3]], "equal length"),
    ("items.npy", "real numbers, got a str"), (None, "real numbers, got a NoneType"),
    (np.array([["a", "b"]] * 2), "real numbers"), (np.ones((3, 2), dtype=complex), "real numbers"),
    (Model(None), "Model has no item vectors")])
def test_bad_tables_get_one_clear_line(bad, message):
    with pytest.raises(InputError, match=message) as error: as_table(bad)
    assert "\n" not in str(error.value)


def test_not_finite_counts_rows_and_names_the_first():
    x = np.ones((100, 4))
    x[10:20, 1], x[50, 2], x[50, 3] = np.nan, np.inf, -np.inf
    with pytest.raises(InputError, match=r"11 of 100 rows \(rows 10, 11, 12, 13, 14, …\)"): as_table(x)


@pytest.mark.parametrize("score", [*SCORES, singular_values, covariance_eigenvalues])
def test_scores_do_not_change_their_input(score, uneven):
    before = uneven.copy()
    score(uneven)
    assert np.array_equal(before, uneven)


# ---- spectra

@pytest.mark.parametrize("center", [True, False])
def test_eigenvalues_agree_with_svd_and_numpy(center, uneven):
    degrees = 499 if center else 500
    values = covariance_eigenvalues(uneven, center)
    assert np.allclose(values, singular_values(uneven, center) ** 2 / degrees, rtol=1e-9)
    if center: assert np.allclose(values[::-1], np.linalg.eigvalsh(np.cov(uneven.T)), rtol=1e-9)


@pytest.mark.parametrize("rows", [1, 7, 499, 500, 10_000])
def test_chunks_do_not_change_the_gram_matrix(rows, uneven):
    x = uneven - uneven.mean(axis=0)
    assert np.allclose(collapse._gram(uneven, True, rows), x.T @ x, rtol=1e-10, atol=1e-10)
    assert np.allclose(collapse._gram(uneven, False, rows), uneven.T @ uneven, rtol=1e-10)


def test_wide_tables_have_zeros_after_their_rank():
    values = covariance_eigenvalues(rng().normal(size=(5, 30)))
    assert values.shape == (30,) and (values[:4] > 0).all() and (values[4:] == 0).all()


def test_a_far_offset_leaves_the_shape_alone():
    x = rng().normal(size=(400, 3)) @ rng(1).normal(size=(3, 16))
    assert np.isclose(effective_rank(x + 1e6), effective_rank(x), rtol=1e-5)
    assert np.count_nonzero(covariance_eigenvalues(x)) == 3


# ---- scores: oracles, known answers, invariances

def test_effective_rank_is_the_entropy_of_singular_values(uneven):
    for center in (True, False):
        assert np.isclose(effective_rank(uneven, center), np.exp(entropy(singular_values(uneven, center))), rtol=1e-9)


def test_participation_ratio_oracle(uneven):
    c = np.cov(uneven.T)
    assert np.isclose(participation_ratio(uneven), np.trace(c) ** 2 / (c ** 2).sum(), rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5, 16])
def test_k_equal_directions_score_k(k):
    x = orthonormal(300, k) @ np.linalg.qr(rng(3).normal(size=(16, 16)))[0][:k]
    assert np.isclose(effective_rank(x), k, atol=1e-9)
    assert np.isclose(participation_ratio(x), k, atol=1e-9)


def test_power_law_known_answer():
    x = orthonormal(400, 128) * np.arange(1, 129) ** -0.5
    assert participation_ratio(x) == pytest.approx(18.0308, abs=5e-5)


@pytest.mark.parametrize("score", SCORES)
def test_scale_rotation_and_order_do_not_matter(score, uneven):
    rotation = np.linalg.qr(rng(5).normal(size=(20, 20)))[0]
    for same in (uneven * 1e-6, uneven * 1e6, uneven @ rotation, uneven[::-1]):
        assert score(same) == pytest.approx(score(uneven), rel=1e-9)


def test_entropy_rank_edges():
    assert entropy_rank([0, 0]) == 0 and entropy_rank([3, 0, 0]) == pytest.approx(1) and entropy_rank([2] * 7) == pytest.approx(7)


@pytest.mark.parametrize("value", [0.1, -1e8, 1 / 3])
def test_complete_collapse_has_rank_zero_and_cosine_one(value):
    x = np.full((70_000, 3), value)  # more than one chunk
    assert effective_rank(x) == participation_ratio(x) == 0
    assert mean_cosine(x) == pytest.approx(1)


def test_standardised_columns_would_hide_a_collapse():
    x = rng().normal(size=(3000, 64)) * np.where(np.arange(64) == 0, 1, 1e-4)
    assert effective_rank(x) == pytest.approx(1.07, abs=0.01)
    assert effective_rank((x - x.mean(0)) / x.std(0)) == pytest.approx(63.8, abs=0.05)


def test_mean_cosine_is_the_off_diagonal_mean(uneven):
    unit = uneven / np.linalg.norm(uneven, axis=1, keepdims=True)
    assert mean_cosine(uneven) == pytest.approx((unit @ unit.T)[~np.eye(500, dtype=bool)].mean(), abs=1e-12)
    assert mean_cosine([[1, 0], [-2, 0]]) == pytest.approx(-1)


def test_cone_is_seen_by_the_cosine_and_by_uncentred_ranks_only():
    noise = rng().normal(size=(3000, 64))
    assert mean_cosine(noise + 2) == pytest.approx(0.8, abs=0.01)
    assert participation_ratio(noise + 2) == pytest.approx(participation_ratio(noise), rel=1e-9)
    assert participation_ratio(noise + 2, center=False) == pytest.approx(1.55, abs=0.03)


def test_zero_rows_have_no_direction():
    x = np.ones((6, 3))
    x[[2, 4]] = 0
    with pytest.raises(InputError, match="2 of 6 rows are all zeros.*row 2.*padding"): mean_cosine(x)


# ---- what noise gives

@pytest.mark.parametrize("n, d", SHAPES)
@pytest.mark.parametrize("center", [True, False])
def test_nulls_are_where_noise_is(n, d, center):
    # ten draws stray by less than 0.2 %; the wrong γ or a missing e^(−γ/8) by more, except at tiny γ
    draws = [rng(s).normal(size=(n, d)) for s in range(10 if n * d < 2e5 else 2)]
    for score, null in ((effective_rank, effective_rank_null), (participation_ratio, participation_ratio_null)):
        assert np.mean([score(x, center) for x in draws]) == pytest.approx(null(n, d, center), rel=4e-3)


@pytest.mark.parametrize("n, d", [(3, 2), (8, 20), (30, 5)])
def test_participation_null_is_exact_for_small_tables(n, d):
    inverse = np.array([1 / participation_ratio(x) for x in rng().normal(size=(1500, n, d))])
    assert abs(inverse.mean() - 1 / participation_ratio_null(n, d)) < 4 * inverse.std() / 1500 ** 0.5


def test_nulls_at_the_edge_of_the_possible():
    assert participation_ratio_null(100, 1) == effective_rank_null(100, 1) == 1
    assert participation_ratio_null(2, 50) == 1 and effective_rank_null(2, 50) == pytest.approx(1)
    for null in (effective_rank_null, participation_ratio_null, marchenko_pastur_edges, marchenko_pastur_spectrum, mean_cosine_null_sd):
        for shape in ((1, 5), (5, 0)):
            with pytest.raises(InputError, match="at least 2 items and 1 dimension"): null(*shape)


def test_effective_rank_null_meets_its_closed_form_for_many_items():
    assert effective_rank_null(64_669, 128) == pytest.approx(128 * np.exp(-128 / 64_668 / 8), rel=1e-5)


@pytest.mark.parametrize("n, d", [(1001, 250), (1001, 64), (101, 100)])
def test_marchenko_pastur_spectrum_follows_the_law(n, d):
    variance, gamma = 2.5, d / (n - 1)
    low, high = marchenko_pastur_edges(n, d, variance)
    def density(x): return np.sqrt(max((high - x) * (x - low), 0)) / (2 * np.pi * gamma * variance * x)
    spectrum = marchenko_pastur_spectrum(n, d, variance)
    assert (np.diff(spectrum) < 0).all() and low < spectrum[-1] and spectrum[0] < high
    for j in (0, d // 4, d // 2, d - 2):
        above = quad(density, spectrum[j], high, limit=200)[0]
        assert above == pytest.approx((j + 0.5) / d, abs=2e-3)
    assert spectrum.mean() == pytest.approx(variance)
    assert spectrum.var() == pytest.approx(gamma * variance ** 2, rel=0.03)


@pytest.mark.parametrize("n, d", SHAPES[:4])
def test_noise_stays_inside_its_edges(n, d):
    low, high = marchenko_pastur_edges(n, d)
    values = covariance_eigenvalues(rng(7).normal(size=(n, d)))
    assert 0.97 * low < values[-1] and values[0] < 1.03 * high


def test_fewer_rows_than_dimensions():
    spectrum = marchenko_pastur_spectrum(40, 100)
    assert np.count_nonzero(spectrum) == 39 and spectrum.mean() == pytest.approx(1)
    draws = np.mean([covariance_eigenvalues(rng(s).normal(size=(40, 100))) for s in range(20)], axis=0)
    assert np.allclose(draws, spectrum, rtol=0.06)


def test_mean_cosine_null():
    drawn = np.array([mean_cosine(x) for x in rng().normal(size=(1000, 50, 8))])
    assert drawn.std() == pytest.approx(mean_cosine_null_sd(50, 8), rel=0.1)
    assert abs(drawn.mean()) < 4 * mean_cosine_null_sd(50, 8) / 1000 ** 0.5


def test_noise_has_the_highest_rank_of_all():
    noise, labels = rng().normal(size=(3000, 64)), np.arange(3000) % 12
    clusters = rng(1).normal(size=(12, 64))[labels] + noise
    assert effective_rank(clusters) < effective_rank(noise) and participation_ratio(clusters) < 0.6 * participation_ratio(noise)
