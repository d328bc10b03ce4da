"The diagnostics of adrec.collapse against oracles, known answers, their noise nulls, and bad input."
import json, os
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2, entropy, ks_2samp, kstest, norm, skew
from sklearn.neighbors import NearestNeighbors
from torch import nn

from adrec import collapse
from adrec.collapse import VERDICTS, cone_limit, diagnose, hubness, hubness_null, linear_cka, low_rank_limit, nearest_items, neighbour_lift
from adrec.recorder import CollapseRecorder, load_recording, run_recorder
from adrec.spectra import alignment, alignment_null, as_table, cosine_null, covariance_eigenvalues, effective_rank, effective_rank_null, entropy_rank, information_abundance, information_abundance_null, iso_score, marchenko_pastur_cdf, marchenko_pastur_density, marchenko_pastur_edges, marchenko_pastur_spectrum, mean_cosine, mean_cosine_null_sd, noise_distance, noise_share, noise_spectra, noise_variance, outlier_count, participation_ratio, participation_ratio_null, rankme, sample_cosines, singular_values, spectral_nulls, spectral_scores, spectrum_decay, spectrum_variance_limit, stable_rank, stable_rank_null, uniformity, uniformity_null
from adrec.checks import InputError
from adrec.data import synthetic_data
from adrec.training import Settings, one_stage, train

SHAPES = [(3000, 64), (1008, 128), (12301, 128), (20000, 32), (60, 100)]
SCORES = [effective_rank, participation_ratio, mean_cosine]
RANKS = [effective_rank, participation_ratio, stable_rank, information_abundance, iso_score, rankme, spectrum_decay]


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


@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("padding", [0, 2, -1])
def test_padding_is_no_item(layer, padding):
    weight = rng().normal(size=(40, 6))
    table = layer(40, 6, padding_idx=padding).double()
    with torch.no_grad(): table.weight.copy_(torch.tensor(weight))
    keep = np.delete(np.arange(40), padding)
    assert np.array_equal(as_table(table), weight[keep])
    labels = np.arange(40) % 3
    found, own = diagnose(table, labels), diagnose(table, labels[keep])
    assert f"row {padding % 40} is padding" in found.warnings[0] and found.values == own.values
    assert np.array_equal(as_table(layer(40, 6)).shape, (40, 6))


class NoDouble(torch.Tensor):
    "A tensor on a device that has no float64, as Apple's."
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.cpu: return args[0].as_subclass(torch.Tensor)
        if func in (torch.Tensor.double, torch.Tensor.to, torch.Tensor.type, torch.Tensor.numpy):
            raise TypeError("this device has no float64")
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_device_without_float64():
    x = torch.randn(20, 4)
    with pytest.raises(TypeError): x.as_subclass(NoDouble).double()
    assert np.array_equal(as_table(x.as_subclass(NoDouble)), x.double().numpy())
    assert np.array_equal(as_table(Model(x.as_subclass(NoDouble))), x.double().numpy())


@pytest.mark.parametrize("bad, message", [(torch.ones(3, 2, dtype=torch.complex64), "real numbers.*complex64"),
                                          (torch.ones(3, 2, dtype=torch.bool), "real numbers.*bool"),
                                          (torch.ones(3, 2, device="meta"), "meta device"),
                                          (np.full((3, 2), np.longdouble("1e4000")), "infinite values in 3 of 3")])
def test_bad_numbers_get_an_error_and_no_warning(bad, message, recwarn):
    with pytest.raises(InputError, match=message): diagnose(bad)
    assert not recwarn.list


def test_sparse_tensors_are_tables_too():
    x = torch.eye(5)
    assert np.array_equal(as_table(x.to_sparse()), x.double().numpy())


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
    assert np.isnan(entropy_rank([0, 0])) and entropy_rank([3, 0, 0]) == pytest.approx(1) and entropy_rank([2] * 7) == pytest.approx(7)


@pytest.mark.parametrize("value", [0.1, -1e8, 1 / 3])
def test_complete_collapse_has_no_rank_and_cosine_one(value):
    x = np.full((70_000, 3), value)  # more than one chunk
    for score in (effective_rank, participation_ratio, stable_rank, information_abundance, iso_score, spectrum_decay,
                  outlier_count, noise_share, noise_distance): assert np.isnan(score(x)), score.__name__
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


# ---- the other ranks

def test_ranks_against_their_oracles(uneven):
    centred, sizes = uneven - uneven.mean(0), singular_values(uneven, center=False)
    assert stable_rank(uneven) == pytest.approx(np.linalg.norm(centred) ** 2 / np.linalg.norm(centred, 2) ** 2, rel=1e-9)
    assert information_abundance(uneven, center=False) == pytest.approx(np.linalg.norm(uneven, "nuc") / np.linalg.norm(uneven, 2))
    shares = sizes / sizes.sum() + 1e-7
    assert rankme(uneven) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-9)


def test_iso_score_is_the_published_one():
    "Algorithm 1 of Rudman et al. 2022, step by step."
    x = rng(3).normal(size=(500, 12)) * np.arange(1, 13)
    variances = np.sort(covariance_eigenvalues(x))
    unit = variances * np.sqrt(12) / np.linalg.norm(variances)
    defect = np.linalg.norm(unit - 1) / np.sqrt(2 * (12 - np.sqrt(12)))
    used = (12 - defect ** 2 * (12 - np.sqrt(12))) ** 2 / 144
    assert iso_score(x) == pytest.approx((12 * used - 1) / 11, rel=1e-9)
    assert np.isnan(iso_score(np.arange(5.0)[:, None]))


@pytest.mark.parametrize("k", [3, 8])
def test_equal_directions_are_counted(k):
    x = orthonormal(300, k) @ np.linalg.qr(rng(3).normal(size=(16, 16)))[0][:k]
    assert stable_rank(x) == pytest.approx(k) and information_abundance(x) == pytest.approx(k, abs=1e-6)
    assert iso_score(x) == pytest.approx((k - 1) / 15) and rankme(x) == pytest.approx(k, abs=1e-3)
    assert outlier_count(orthonormal(300, 3) @ rng().normal(size=(3, 16))) == 3


def test_power_laws_have_their_exponent():
    x = orthonormal(400, 100) * np.arange(1, 101) ** -0.65
    assert spectrum_decay(x) == pytest.approx(1.3, abs=1e-9)
    assert np.isnan(spectrum_decay(x[:, :2])), "two points make any line"


@pytest.mark.parametrize("score", RANKS)
def test_ranks_do_not_feel_scale_rotation_and_order(score, uneven):
    rotation = np.linalg.qr(rng(5).normal(size=(20, 20)))[0]
    for same in (uneven * 1e-6, uneven @ rotation, uneven[::-1]): assert score(same) == pytest.approx(score(uneven), rel=1e-8)


@pytest.mark.parametrize("n, d", [(3000, 64), (1008, 128)])
def test_closed_nulls_are_near_the_monte_carlo(n, d):
    nulls = spectral_nulls(n, d)
    assert stable_rank_null(n, d) == pytest.approx(nulls["stable_rank"][0], rel=0.03)
    assert information_abundance_null(n, d) == pytest.approx(nulls["information_abundance"][0], rel=0.02)
    gamma = d / (n - 1)
    assert information_abundance_null(n, d) == pytest.approx(d * (1 - gamma / 8) / (1 + gamma ** 0.5), rel=0.02)
    assert effective_rank_null(n, d) == pytest.approx(nulls["effective_rank"][0], rel=2e-3)
    assert participation_ratio_null(n, d) == pytest.approx(nulls["participation_ratio"][0], rel=1e-3)


# ---- Marchenko and Pastur

# share of the law below `value`, by adaptive quadrature of the density (absolute error below 1e-11)
GOLDEN = [(3000, 64, 1.0, 0.787606530047094, 0.06814626604556), (3000, 64, 1.0, 1.1966408843919885, 0.88550558592001),
          (1008, 128, 2.5, 2.3542927924685295, 0.48566036488168), (1008, 128, 2.5, 3.8873512137747874, 0.91463685451019),
          (100, 100, 1.0, 1.4874813461662195, 0.72225108587), (60, 100, 1.0, 2.0179329171370037, 0.65110187072)]


@pytest.mark.parametrize("n, d, variance, value, share", GOLDEN)
def test_distribution_function_golden(n, d, variance, value, share):
    assert float(marchenko_pastur_cdf(value, n, d, variance)) == pytest.approx(share, abs=1e-10)


@pytest.mark.parametrize("n, d", [(3000, 64), (1008, 128), (60, 100), (129, 128), (50, 10)])
def test_density_and_distribution_are_one_law(n, d):
    low, high = marchenko_pastur_edges(n, d)
    assert quad(lambda v: marchenko_pastur_density(v, n, d), low, high, limit=200)[0] == pytest.approx(1, abs=1e-6)
    values = np.linspace(low - 1, high + 1, 301)
    cdf = marchenko_pastur_cdf(values, n, d)
    assert (np.diff(cdf) >= -1e-12).all() and cdf[0] == pytest.approx(0, abs=1e-9) and cdf[-1] == pytest.approx(1)
    assert marchenko_pastur_density([low - 0.1, high + 0.1, 0.0], n, d).tolist() == [0, 0, 0]
    inner = marchenko_pastur_spectrum(n, d)[:min(n - 1, d)]
    assert np.allclose(1 - marchenko_pastur_cdf(inner, n, d), (np.arange(len(inner)) + 0.5) / len(inner), atol=5e-3)


@pytest.mark.parametrize("n, d", [(200, 20), (60, 100), (50, 3)])
@pytest.mark.parametrize("unit", [False, True])
def test_bartlett_draws_are_noise(n, d, unit):
    direct = pd.DataFrame([spectral_scores(covariance_eigenvalues(x, unit_rows=unit), n) for x in rng(4).normal(size=(200, n, d))])
    null = spectral_nulls(n, d, unit)
    for name in ("participation_ratio", "spectrum_variance", "noise_distance", "top_eigenvalue", "information_abundance"):
        mean, sd = null[name]
        assert abs(direct[name].mean() - mean) < 5 * max(sd, direct[name].std()) / 10, name
        assert sd == pytest.approx(direct[name].std(), rel=0.35), name


def test_noise_spectra_are_the_same_at_every_call_and_cannot_be_damaged():
    first = noise_spectra(100, 8)
    first *= 0
    assert np.array_equal(noise_spectra(100, 8).mean(1).round(9), np.ones(200))


def test_noise_variance_ignores_strong_directions():
    x = 3 * rng().normal(size=(3000, 64))
    x[:, :5] *= 10
    assert noise_variance(x) == pytest.approx(9, rel=0.03)
    assert outlier_count(x) == 5 and noise_share(x) == pytest.approx(64 * 9 / (59 * 9 + 5 * 900), rel=0.05)


def test_noise_distance_by_hand(uneven):
    values = covariance_eigenvalues(uneven)
    assert noise_distance(uneven, unit_rows=False) == pytest.approx(
        kstest(values / values.mean(), lambda v: marchenko_pastur_cdf(v, 500, 20)).statistic, abs=1e-12)


def test_lengths_of_rows_do_not_make_structure():
    x = rng().normal(size=(3000, 64)) * np.exp(rng(1).normal(size=(3000, 1)))
    assert outlier_count(x) > 5 and diagnose(x).verdict == ["noise"]


# ---- angles

def test_unit_rows_are_what_they_say(uneven):
    middle = uneven.mean(0)
    for _ in range(100):
        lengths = np.linalg.norm(uneven - middle, axis=1)
        middle = (uneven / lengths[:, None]).sum(0) / (1 / lengths).sum()
    unit = (uneven - middle) / np.linalg.norm(uneven - middle, axis=1, keepdims=True)
    assert np.linalg.norm(unit.mean(0)) < 1e-9, "directions from the spatial median cancel"
    assert np.allclose(covariance_eigenvalues(uneven, unit_rows=True), covariance_eigenvalues(unit), rtol=1e-3)
    noise = rng().normal(size=(500, 20))
    unit = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    assert np.allclose(covariance_eigenvalues(noise, unit_rows=True), covariance_eigenvalues(unit), rtol=1e-9), "0 is in the middle"


def test_cosines_of_noise_are_beta():
    assert kstest(sample_cosines(rng().normal(size=(3000, 16)), 4000), cosine_null(16).cdf).pvalue > 0.01
    assert cosine_null(16).std() == pytest.approx(0.25)
    with pytest.raises(InputError, match="1 dimension"): cosine_null(1)


def test_squared_cosines_are_the_participation_ratio(uneven):
    unit = uneven / np.linalg.norm(uneven, axis=1, keepdims=True)
    assert ((unit @ unit.T) ** 2).mean() == pytest.approx(1 / participation_ratio(unit, center=False))


def test_uniformity_oracle_and_null():
    x = torch.tensor(rng().normal(size=(300, 64)))
    unit = nn.functional.normalize(x)
    assert uniformity(x) == pytest.approx(torch.pdist(unit).pow(2).mul(-2).exp().mean().log().item(), rel=1e-9)
    assert uniformity_null(64) == pytest.approx(-3.8752, abs=5e-5) and uniformity_null(5000) == pytest.approx(-4 + 8 / 5000, abs=1e-5)
    assert uniformity(rng().normal(size=(5000, 64))) == pytest.approx(uniformity_null(64), abs=3e-3)


def test_alignment_of_all_pairs_is_its_null():
    x = rng().normal(size=(30, 5)) + 0.4
    assert alignment(x, np.argwhere(~np.eye(30, dtype=bool))) == pytest.approx(alignment_null(x))
    assert alignment(x, [[3, 3]]) == pytest.approx(0, abs=1e-12)
    for bad in ([[0, 30]], [[-1, 0]], [0, 1], [[0.5, 1]], np.empty((0, 2), dtype=int)):
        with pytest.raises(InputError, match="pairs"): alignment(x, bad)


# ---- neighbours

@pytest.mark.parametrize("offset", [0, 3, 300])
def test_neighbours_agree_with_scikit_learn(offset):
    x = rng().normal(size=(300, 10)) + offset
    oracle = NearestNeighbors(n_neighbors=9, metric="cosine", algorithm="brute").fit(x).kneighbors(return_distance=False)
    assert np.array_equal(nearest_items(x, 9), oracle)
    assert np.array_equal(nearest_items(x, 9, rows=[7, 3]), oracle[[7, 3]])


def test_neighbours_bad_k_and_zero_rows():
    for k in (0, 5):
        with pytest.raises(InputError, match="between 1 and 4"): nearest_items(np.eye(5), k)
    with pytest.raises(InputError, match="all zeros"): nearest_items(np.zeros((5, 2)), 1)


def test_lift_by_brute_force():
    x, labels = rng().normal(size=(60, 4)), rng(1).integers(3, size=60)
    near = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(x).kneighbors(return_distance=False)
    same = labels[:, None] == labels
    chance = same[~np.eye(60, dtype=bool)].mean()
    lift = neighbour_lift(x, labels, k=5)
    assert lift.chance == pytest.approx(chance) and lift.queries == lift.items == 60
    assert lift.value == pytest.approx((labels[near] == labels[:, None]).mean() / chance)


def test_lift_of_sets_is_jaccard():
    x = rng().normal(size=(40, 4))
    names = [["a|b", "b", "a|b|c", "c"][i] for i in rng(1).integers(4, size=40)]
    sets = [set(name.split("|")) for name in names]
    jaccard = np.array([[len(a & b) / len(a | b) for b in sets] for a in sets])
    near = nearest_items(x, 3)
    for labels in (names, sets, pd.Series(names), [sorted(s) for s in sets]):
        lift = neighbour_lift(x, labels, k=3)
        assert lift.chance == pytest.approx(jaccard[~np.eye(40, dtype=bool)].mean())
        assert lift.value == pytest.approx(np.take_along_axis(jaccard, near, 1).mean() / lift.chance)


def test_lift_knows_its_limits():
    labels = np.arange(600) % 6
    apart = np.eye(6)[labels] + 1e-3 * rng().normal(size=(600, 6))
    lift = neighbour_lift(apart, labels)
    assert lift.value == pytest.approx(1 / lift.chance) and abs(lift.null - 1) < 0.05
    noise = neighbour_lift(rng().normal(size=(600, 6)), labels)
    assert abs(noise.value - 1) < 5 * noise.sd


def test_sampled_queries_are_reported_and_agree():
    labels = np.arange(2000) % 5
    x = rng(2).normal(size=(5, 8))[labels] + 2 * rng(3).normal(size=(2000, 8))
    few, every = neighbour_lift(x, labels, queries=500), neighbour_lift(x, labels)
    assert (few.queries, every.queries, few.items) == (500, 2000, 2000)
    assert few.value == pytest.approx(every.value, abs=5 * few.sd)
    assert "500 of 2,000 items" in diagnose(x, labels, queries=500).reasons[3]


def test_label_arrays():
    x = rng().normal(size=(40, 4))
    sets = [["a", "b"], ["a"], ["c"], []] * 10
    want = neighbour_lift(x, sets)
    ragged = np.empty(40, dtype=object)
    ragged[:] = [np.array(s, dtype=object) for s in sets]
    for labels in (ragged, list(ragged), pd.Series(ragged), [[*s, None, ""] for s in sets]): assert neighbour_lift(x, labels) == want
    assert want.items == 30
    with pytest.raises(InputError, match=r"labels have shape \(40, 3\)"): neighbour_lift(x, np.eye(40, 3))


def test_labels_that_name_items_are_undefined():
    labels = [f"{i}|{i + 1}" for i in range(10_001)]
    found = diagnose(rng().normal(size=(10_001, 3)), labels)
    assert found.verdict == ["noise"] and "10,001 different sets of labels" in found.reasons[3]
    assert any("broader labels" in w for w in found.warnings)


def test_missing_labels_and_zero_rows_are_left_out():
    x, labels = rng().normal(size=(50, 4)), [["a", "b"][i % 2] for i in range(50)]
    labels[0], labels[1], labels[2] = None, float("nan"), ""
    x[3] = 0
    keep = np.arange(4, 50)
    assert neighbour_lift(x, labels).items == 46
    assert neighbour_lift(x, labels).value == pytest.approx(neighbour_lift(x[keep], [labels[i] for i in keep]).value)


def test_popularity_is_no_structure():
    popular = rng().exponential(size=600)
    x = rng(1).normal(size=(600, 16)) + 8 * np.outer(np.log(popular), np.eye(16)[0])
    labels = (rng(2).random(600) > popular / (1 + popular)).astype(int)
    naive, matched = neighbour_lift(x, labels), neighbour_lift(x, labels, popularity=popular)
    assert naive.value > naive.null + 5 * naive.sd and matched.value < matched.null + 5 * matched.sd
    assert naive.value == matched.value


def test_hubness_oracle_and_ring():
    x = rng().normal(size=(400, 20))
    counts = np.bincount(nearest_items(x, 10).ravel(), minlength=400)
    assert counts.mean() == 10 and hubness(x) == pytest.approx(skew(counts), rel=1e-9)
    angle = np.arange(40) * 2 * np.pi / 40
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    assert np.bincount(nearest_items(ring, 4).ravel()).tolist() == [4] * 40 and np.isnan(hubness(ring, 4))
    assert hubness_null(2000, 64) == pytest.approx(0.28, abs=0.1)


# ---- CKA

def test_cka_is_the_u_statistic():
    x, y = rng().normal(size=(30, 5)), rng(1).normal(size=(30, 7))
    y[:, :5] += x
    def hsic(a, b):
        n, k, l = len(a), a @ a.T, b @ b.T
        np.fill_diagonal(k, 0), np.fill_diagonal(l, 0)
        return ((k * l).sum() + k.sum() * l.sum() / (n - 1) / (n - 2) - 2 * (k @ l).sum() / (n - 2)) / (n * (n - 3))
    assert linear_cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)), rel=1e-9)


def test_cka_known_answers():
    x = rng().normal(size=(400, 128))
    assert linear_cka(x, 3 * x @ np.linalg.qr(rng(1).normal(size=(128, 128)))[0] - 7) == pytest.approx(1)
    assert np.mean([linear_cka(x, rng(s).normal(size=(400, 128))) for s in range(1, 9)]) == pytest.approx(0, abs=0.01)
    assert np.isnan(linear_cka(x, np.ones((400, 3))))
    with pytest.raises(InputError, match="400 and 399"): linear_cka(x, x[1:])
    with pytest.raises(InputError, match="at least 4"): linear_cka(x[:3], x[:3])


# ---- the verdict

def patients(n, d, seed):
    r = rng(seed)
    noise, labels = r.normal(size=(n, d)), r.integers(12, size=n)
    clusters = r.normal(size=(12, d))[labels] + r.normal(size=(n, d))
    eight = r.normal(size=(n, 8)) @ r.normal(size=(8, d)) + 1e-3 * r.normal(size=(n, d))
    white = np.linalg.svd(clusters - clusters.mean(0), full_matrices=False)[0] * np.sqrt(n - 1)
    power = r.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5
    return labels, [(noise, ["noise"]), (noise + 2, ["cone", "noise"]), (eight, ["low_rank"]), (clusters, ["structured"]),
                    (white, ["structured"]), (power, ["low_rank"])], np.linalg.qr(r.normal(size=(d, d)))[0]


# One seed a shape keeps the suite quick; ADREC_SEEDS=20 runs the whole table (a quarter of an hour on one core).
SEEDS = range(int(os.environ.get("ADREC_SEEDS", 1)))


def blindly(verdict):
    "The same without labels: structure cannot be seen, and the others stay."
    return [word for word in verdict if word != "structured"] if verdict[0] == "low_rank" else [
        "untested" if word in ("structured", "anisotropic") else word for word in verdict]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n, d", SHAPES[:4])
def test_truth_table(n, d, seed):
    labels, cases, rotation = patients(n, d, seed)
    for i, (table, verdict) in enumerate(cases):
        found = diagnose(table @ rotation if i % 2 == seed % 2 else table, labels, queries=500, seed=seed)
        assert found.verdict == verdict, (i, *found.reasons)
        blind = diagnose(table)
        assert blind.verdict == blindly(verdict) and "not tested" in blind.reasons[3], (i, *blind.reasons)


def outlying(n, d, seed):
    "Name → table, verdict with labels (None: as they come), labels of its own or None; the reason stands beside each."
    r = rng(seed)
    noise, labels, centres = r.normal(size=(n, d)), r.integers(12, size=n), r.normal(size=(12, d))
    clusters, lengths = centres[labels] + r.normal(size=(n, d)), r.normal(size=(n, 1))
    few = r.normal(size=(n, max(1, d // 16))) @ r.normal(size=(max(1, d // 16), d)) + 1e-3 * r.normal(size=(n, d))
    def longer(x, count, factor):
        x = x.copy()
        x[r.choice(n, count, replace=False)] *= factor
        return x
    def column(value):
        x = noise.copy()
        x[:, 0] = value * (x[:, 0] if value > 1 else 1)
        return x
    def twice(share):  # copies with the label of the original
        rows = np.arange(n)
        rows[:int(share * n)] = np.arange(int(share * n)) + n - int(share * n)
        return noise[rows], labels[rows]
    def spread(scale): return noise * np.exp(scale * norm.ppf((np.arange(d) + 0.5) / d))
    tenth = noise.copy()
    tenth[:n // 10] += 1.5 * centres[labels[:n // 10]]
    return labels, {
        # a long row is one item: the other rows, and so the angles, are still noise
        "one row x 30": (longer(noise, 1, 30), ["noise"]), "5 rows x 100": (longer(noise, 5, 100), ["noise"]),
        # lengths are no directions: noise of any lengths has no preferred direction
        "log-normal 1": (noise * np.exp(lengths), ["noise"]), "log-normal 2": (noise * np.exp(2 * lengths), ["noise"]),
        "Student rows": (noise / np.sqrt(r.chisquare(2, size=(n, 1)) / 2), ["noise"]),
        "Student numbers": (r.standard_t(3, size=(n, d)), ["noise"]),
        # preferred axes and labels dealt at random: not noise, and no structure; so unequal that few axes count: low rank
        "columns 0.3": (spread(0.3), ["anisotropic"]), "columns 1": (spread(1.0), ["low_rank"]) if d > 8 else (spread(0.7), ["anisotropic"]),
        # the tenth that was learned is in every neighbour list; too weak to be seen among a few hundred items
        "mixture": (tenth, ["structured"] if n >= 1000 and d >= 32 else None),
        # a copy is a point seen twice, with its label; the points are noise
        "5 % copies": (twice(0.05)[0], ["noise"], twice(0.05)[1]), "50 % copies": (twice(0.5)[0], ["noise"], twice(0.5)[1]),
        # a bias that is equal for all distinguishes nobody; one that outweighs all other columns leaves one direction
        "constant column": (column(0.5), ["noise"]), "long column": (column(3 * d ** 0.5), ["low_rank"]),
        # and what is there stays there, whatever a few rows do
        # (half the variance in 11 of 1,024 directions is few dimensions, too)
        "clusters, one row x 30": (longer(clusters, 1, 30), ["low_rank"] * (d > 500) + ["structured"]),
        "clusters, log-normal 1": (clusters * np.exp(lengths), ["structured"]),
        "few dimensions, one row x 30": (longer(few, 1, 30), ["low_rank"])}


def check_outlying(n, d, seed, names=None):
    labels, cases = outlying(n, d, seed)
    for name, (table, verdict, *own) in cases.items():
        if verdict is None or names and name not in names: continue
        found, blind = diagnose(table, own[0] if own else labels, queries=500, seed=seed), diagnose(table, seed=seed)
        assert found.verdict == verdict, (name, *found.reasons)
        seen = d > 8 or verdict != ["structured"]  # twelve centres in four dimensions point everywhere
        assert blind.verdict == blindly(verdict) or not seen, (name, *blind.reasons)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n, d", [(3000, 64), (1008, 128), (60, 100), (200, 32), (2000, 4), (200, 4)])
def test_a_few_rows_or_columns_do_not_decide(n, d, seed): check_outlying(n, d, seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n, d", [(20_000, 32), (3000, 1024)])
def test_a_few_rows_or_columns_do_not_decide_in_large_tables(n, d, seed):
    names = ["clusters, one row x 30", "log-normal 2", "columns 0.3", "mixture", "one row x 30"]
    check_outlying(n, d, seed, [names[seed % 5]])  # one a seed: these are slow


@pytest.mark.parametrize("n, d", [(200, 4), (60, 100), (1008, 128)])
def test_the_variance_of_a_spectrum_follows_johns_law(n, d):
    "Its limit for one in a million, checked where it can be seen: one noise table in ten lies above the limit for one in ten."
    small, large = sorted((n - 1, d))
    large *= (small + 2) / small
    u = d / small * (1 + 2 * chi2.isf(0.1, small * (small + 1) / 2 - 1) / (small * large)) - 1
    drawn = noise_spectra(n, d, unit_rows=True, draws=400).var(axis=1)
    assert 0.06 < (drawn > u).mean() < 0.15 and drawn.max() < spectrum_variance_limit(n, d)


@pytest.mark.parametrize("seed", range(3))
def test_no_cell_copy_or_long_row_decides(seed):
    r = rng(seed)
    noise = np.c_[r.normal(size=(1000, 64)), np.full(1000, 0.02)]
    noise[5, -1] = 0.03
    found = diagnose(noise)
    assert found.verdict == ["noise"] and any("constant columns: 1 of 65" in w for w in found.warnings)
    same = r.normal(size=(1000, 64))
    same[:200] = same[0]
    found = diagnose(same)
    assert found.verdict == ["noise"] and not any("length of rows" in w for w in found.warnings), found.warnings
    few = np.outer(r.normal(size=1000), r.normal(size=4)) + 1e-3 * r.normal(size=(1000, 4))
    few[:2] = 1e4 * np.eye(4)[:2]
    assert diagnose(few).verdict == ["low_rank"]
    assert diagnose(np.outer(r.normal(size=500), [1, 2])).verdict[0] == "low_rank"
    centres = r.normal(size=(12, 64))[r.integers(12, size=3000)]  # nothing but copies: few points are few dimensions
    assert diagnose(centres).verdict == ["low_rank"]


def test_long_rows_are_named():
    x = rng().normal(size=(3000, 64))
    x[7] *= 30
    found = diagnose(x, ids=[f"item-{i}" for i in range(3000)])
    share = 100 * (x[7] ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert found.verdict == ["noise"] and found.values["participation_ratio"][0] < low_rank_limit(3000, 64)
    assert any(f"1 of 3,000 rows carries {share:.0f} % of the variance (row 7, id 'item-7')" in w for w in found.warnings)
    assert "rows at equal length, 62." in found.reasons[1] and "rows as they are 14." in found.reasons[1]
    assert diagnose(rng().normal(size=(3000, 64))).warnings == []


@pytest.mark.parametrize("n, d", [(300, 64), (60, 100), (500, 8), (200, 3)])
def test_harmonic_ranks_have_closed_means(n, d):
    weights = np.arange(1, d + 1) ** -0.5
    for unit in (False, True):
        inverse = [1 / spectral_scores(covariance_eigenvalues(rng(s).normal(size=(n, d)) * weights, unit_rows=unit), n)["participation_ratio"]
                   for s in range(100)]
        assert abs(np.mean(inverse) - 1 / collapse._harmonic(n - 1, d, unit)) < 4 * np.std(inverse) / 10 + 0.004 * np.mean(inverse)


def test_few_means_less_than_half():
    for n, d in ((2000, 4), (500, 8), (60, 100), (5000, 4096)):
        for unit in (False, True): assert low_rank_limit(n, d, unit) <= participation_ratio_null(n, d) / 2


def test_a_learned_tenth_is_found_where_it_is():
    r, labels = rng(), np.arange(3000) % 12
    x, centres = r.normal(size=(3000, 64)), r.normal(size=(12, 64))
    x[:300] += 1.5 * centres[labels[:300]]
    popularity = -np.arange(3000)
    lift, found = neighbour_lift(x, labels, popularity=popularity), diagnose(x, labels, popularity)
    assert found.verdict == ["structured"] and lift.share == pytest.approx(0.1, abs=0.02)
    assert lift.by_popularity[-1][0] > 8 and all(0.7 < value < 1.5 for value, _ in lift.by_popularity[:-1])
    assert "the neighbours of 10 % of these items are better than chance" in found.reasons[3] and "popular tenth" in found.reasons[3]
    assert len(found.as_dict()["lift_by_popularity"]) == 10 and found.values["neighbour_share"] == (lift.share, 0.0)


def test_share_of_noise_is_none_and_of_perfect_groups_all():
    labels = np.arange(600) % 6
    shares = [neighbour_lift(rng(s).normal(size=(600, 6)), labels).share for s in range(20)]
    assert np.count_nonzero(shares) <= 3, "one table in twenty may have a discovery"
    assert neighbour_lift(np.eye(6)[labels] + 1e-3 * rng().normal(size=(600, 6)), labels).share == 1
    assert collapse._kept(np.array([0.9, 0.012, 0.01, 0.04])) == 2 and collapse._kept(np.array([0.2, 0.9])) == 0


def test_copies_are_no_structure_unless_they_are_all_there_is():
    x, labels = rng().normal(size=(300, 16)), rng(1).integers(5, size=300)
    both = neighbour_lift(np.vstack([x, x]), [*labels, *labels])
    assert both.items == 300 and abs(both.value - both.null) < 5 * both.sd
    assert neighbour_lift(np.eye(5)[labels], labels).value == pytest.approx(1 / neighbour_lift(x, labels).chance)


@pytest.mark.parametrize("shape", [(2, 1), (3, 2), (20, 1), (40, 1024)])
def test_noise_spectra_of_odd_shapes(shape): assert noise_spectra(*shape).mean(axis=1) == pytest.approx(np.ones(200))


@pytest.mark.parametrize("small, large", [(3, 5.0), (8, 30.5), (20, 20.0), (40, 400.0)])
def test_two_diagonals_have_the_moments_of_bartlett(small, large):
    "Both are BBᵀ of a triangular factor; one of them has been reflected until two diagonals are left."
    r, below, bartlett = rng(), np.tril_indices(small, -1), []
    for _ in range(1000):
        factor = np.diag(np.sqrt(r.chisquare(large - np.arange(small))))
        factor[below] = r.normal(size=len(below[0]))
        values = np.linalg.eigvalsh(factor @ factor.T)[::-1]
        bartlett.append(values / values.mean())
    ours = collapse._wishart_spectra(small, large, 1000)
    for power in (2, 3, 4):
        a, b = (np.array(bartlett) ** power).mean(axis=1), (ours ** power).mean(axis=1)
        assert abs(a.mean() - b.mean()) < 4 * np.hypot(a.std(), b.std()) / 1000 ** 0.5
        assert b.std() == pytest.approx(a.std(), rel=0.25)
    for j in (0, small // 2, small - 1): assert ks_2samp(np.array(bartlett)[:, j], ours[:, j]).pvalue > 1e-3


def test_nulls_cannot_be_damaged():
    spectral_nulls(100, 8).clear()
    assert "noise_distance" in spectral_nulls(100, 8)


def test_truth_table_numbers():
    "The figures of one shape, N = 3000 and d = 64, to the digits that do not depend on the seed."
    labels, cases, _ = patients(3000, 64, 0)
    want = dict(mean_cosine=[0, 0.8, 0, 0.04, 0, 0], noise_share=[1, 1, 0, 0.54, 1.01, 0.41],
                effective_rank=[63.8, 63.8, 7.8, 58.4, 64, 54.7], neighbour_lift=[1, 1, 1, 12, 9.6, 1])
    close = dict(mean_cosine=0.02, noise_share=0.03, effective_rank=0.4, neighbour_lift=0.6)
    for i, (table, _) in enumerate(cases):
        values = diagnose(table, labels, queries=1000).values
        for name in want: assert values[name][0] == pytest.approx(want[name][i], abs=close[name]), (i, name)
        if i in (2, 3, 4): assert values["outlier_count"][0] == [8, 11, 0][i - 2]


def test_both_words_where_both_are_true():
    labels = np.arange(3000) % 3
    centres = 2 * rng().normal(size=(3, 128))
    x = (centres - centres.mean(0))[labels] + rng(1).normal(size=(3000, 128))
    assert diagnose(x, labels).verdict == ["low_rank", "structured"]
    assert diagnose(x + 9, labels).verdict == ["cone", "low_rank", "structured"]


def test_limits_come_from_the_shape():
    assert cone_limit(3000, 64) == pytest.approx(2.33 / 8, rel=0.02) and cone_limit(500, 2) == cone_limit(500, 1) == 0.5
    assert cone_limit(3, 1) > 1, "three numbers of one sign are no cone"
    assert low_rank_limit(12_301, 128) == pytest.approx(1 + (participation_ratio_null(12_301, 128) - 1) / 4)
    assert participation_ratio_null(20_000, 32) / 4 < low_rank_limit(20_000, 32) == pytest.approx(10.2, abs=0.5)


@pytest.mark.parametrize("shape", [(2, 1), (2, 5), (3, 1), (4, 4), (20, 1), (30, 2), (50, 3), (12, 8), (40, 64), (65, 64)])
def test_small_noise_is_noise(shape):
    for seed in range(3): assert diagnose(rng(seed).normal(size=shape)).verdict == ["noise"]


def test_diagnosis_is_plain_json_and_prints_its_numbers():
    x = rng().normal(size=(500, 16))
    for table, labels in ((x, np.arange(500) % 4), (np.ones((9, 3)), None), (np.zeros((9, 3)), ["a"] * 9)):
        found = diagnose(table, labels, name="mine")
        record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
        assert (record["name"], record["n"], record["d"]) == ("mine", *table.shape) and record["verdict"] == found.verdict
        assert all(set(record[name]) == {"value", "null"} for name in found.values)
        assert "verdict: " + ", ".join(VERDICTS[word] for word in found.verdict) in str(found) and all(r in str(found) for r in found.reasons)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x.astype(np.float32), torch.tensor, lambda x: Model(torch.tensor(x)),
                                  lambda x: nn.Embedding.from_pretrained(torch.tensor(x))])
def test_diagnose_takes_every_kind_of_table(wrap):
    x = rng().normal(size=(200, 8))
    assert diagnose(wrap(x)).values["participation_ratio"][0] == pytest.approx(participation_ratio(x), rel=1e-5)


# ---- bad input: an error, or a number with a warning that says what it no longer means

@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_extreme_scales_change_nothing(scale):
    x = rng().normal(size=(300, 8))
    assert diagnose(x * scale).values["participation_ratio"][0] == pytest.approx(participation_ratio(x), rel=1e-9)


def test_diagnose_refuses_what_cannot_be_measured():
    x = rng().normal(size=(20, 4))
    broken = x.copy()
    broken[[3, 5], 1] = np.nan, np.inf
    for bad, message in ((broken, r"2 of 20 rows \(rows 3, 5\)"), (x[:1], "at least 2 items"), ("file.npy", "real numbers")):
        with pytest.raises(InputError, match=message): diagnose(bad)
    with pytest.raises(InputError, match="19 labels for 20 items"): diagnose(x, ["a"] * 19)
    for popularity in (np.ones(3), np.full(20, np.nan)):
        with pytest.raises(InputError, match="popularity needs 20 finite numbers"): diagnose(x, np.arange(20) % 2, popularity)


@pytest.mark.parametrize("labels, reason", [(["a"] * 40, "all labels are the same"), (range(40), "no two items share"),
                                            ([None] * 39 + ["a"], "only 1 item")])
def test_useless_labels_are_undefined_with_a_reason(labels, reason):
    found = diagnose(rng().normal(size=(40, 4)), list(labels))
    assert np.isnan(found.values["neighbour_lift"][0]) and found.verdict == ["noise"]
    assert any(reason in w for w in found.warnings) and reason in found.reasons[3]


@pytest.mark.parametrize("value, verdict", [(0.1, ["cone", "low_rank"]), (0.0, ["low_rank"])])
def test_one_point(value, verdict):
    found = diagnose(np.full((40, 4), value), np.arange(40) % 2)
    assert found.verdict == verdict and any("same point" in w for w in found.warnings)
    assert all(np.isnan(found.values[name][0]) for name in ("participation_ratio", "noise_distance", "neighbour_lift"))


def test_zero_rows_copies_and_few_items_are_warned_about():
    x = rng().normal(size=(100, 8))
    x[[4, 9]], x[50] = 0, x[10]
    warnings = " / ".join(diagnose(x).warnings)
    assert "rows of zeros: 2 of 100 (first: row 4)" in warnings
    assert "exact copies of earlier rows: 2 of 100 (first: row 9)" in warnings
    assert diagnose(x).values["mean_cosine"][0] == pytest.approx(mean_cosine(np.delete(x, [4, 9], 0)))
    assert "20 items in 30 dimensions: at most 19" in diagnose(rng().normal(size=(20, 30))).warnings[0]
    assert diagnose(rng().normal(size=(100, 8))).warnings == []


def test_copies_are_counted_exactly():
    x = rng().integers(3, size=(5000, 4)).astype(float)
    x[x == 0] = rng(1).choice([0.0, -0.0], size=(x == 0).sum())  # equal numbers, different bits
    assert len(collapse._copies(x)) == 5000 - len(np.unique(x + 0.0, axis=0))


def test_diagnose_leaves_its_input_alone(uneven):
    before = uneven.copy()
    diagnose(uneven, np.arange(500) % 3)
    assert np.array_equal(before, uneven)


# ---- recording

def state(model, step, system="a", stage="train"): return SimpleNamespace(model=Model(model), step=step, system=system, stage=stage, epoch=0)


def recorded(recorder, *steps, system="a", seed=0):
    for step in steps: recorder.on_step(state(rng(seed + step).normal(size=(30, 5)), step, system))
    return recorder


def test_recorder_keeps_every_kth_step_and_the_boundaries():
    recorder = CollapseRecorder(every=3, sample=[2, 30])
    table = rng().normal(size=(30, 5))
    for system, ends in (("a", 7), ("b", 6)):
        recorder.on_stage(state(table, 0, system, "warm-up"))
        for step in range(1, ends + 1): recorder.on_step(state(table, step, system))
        recorder.on_stage(state(table, ends, system, "end"))
    film = recorder.recording
    assert film.steps.tolist() == [0, 3, 6, 7, 7, 9, 12, 13], "steps are counted through all systems"
    assert film.boundaries == [(0, "a", "warm-up"), (3, "a", "end"), (4, "b", "warm-up"), (7, "b", "end")]
    assert np.allclose(film.eigenvalues, covariance_eigenvalues(table)) and (film.n_items, film.d) == (30, 5)
    assert np.allclose(film.vectors, table[[1, 29]], rtol=1e-3) and film.vectors.shape == (8, 2, 5)
    assert film.scores["mean_cosine"] == pytest.approx(mean_cosine(table))
    assert film.scores["outlier_count"] == pytest.approx(outlier_count(table))


def test_recording_survives_its_file(tmp_path):
    recorder = CollapseRecorder(every=1, sample=4)
    recorder.on_stage(state(rng().normal(size=(30, 5)), 0))
    film = recorded(recorder, 1, 2).recording
    again = load_recording(recorder.save(tmp_path/"spectra.npz"))
    assert again.boundaries == film.boundaries and (again.n_items, again.d) == (30, 5)
    for name in ("steps", "eigenvalues", "vectors", "sample_items"): assert np.allclose(getattr(again, name), getattr(film, name), rtol=1e-6)
    assert again.scores.keys() == film.scores.keys() and list(tmp_path.iterdir()) == [tmp_path/"spectra.npz"]


def test_a_long_training_is_recorded_less_often_and_boundaries_stay():
    recorder, table = CollapseRecorder(every=1, sample=2, most=10), rng().normal(size=(30, 5))
    for system, ends in (("a", 97), ("b", 61)):
        recorder.on_stage(state(table, 0, system, "warm-up"))
        for step in range(1, ends + 1):
            recorder.on_step(state(table, step, system))
            assert len(recorder.rows) <= 10
        recorder.on_stage(state(table, ends, system, "end"))
    film = recorder.recording
    assert [(film.steps[i], *rest) for i, *rest in film.boundaries] == [(0, "a", "warm-up"), (97, "a", "end"), (97, "b", "warm-up"),
                                                                       (158, "b", "end")]
    inner = np.setdiff1d(film.steps, [97, 158])
    assert np.ptp(np.diff(inner)) == 0 and len(film.vectors) == len(film.steps) == len(film.scores["mean_cosine"]) <= 11


def test_a_run_records_itself_in_the_first_process_only(tmp_path, monkeypatch):
    recorder, = run_recorder(tmp_path, 30)
    assert recorder.path == tmp_path/"spectra.npz" and recorder.sample == 30
    monkeypatch.setenv("RANK", "1"); monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_recorder(tmp_path, 30) == []


def test_an_interrupted_recording_goes_on(tmp_path):
    whole = CollapseRecorder(every=2)
    recorded(whole, *range(1, 11))
    path = tmp_path/"spectra.npz"
    first = CollapseRecorder(every=2, path=path)
    first.on_stage(state(rng().normal(size=(30, 5)), 0))
    recorded(first, *range(1, 8)).save(path)
    again = CollapseRecorder(every=2, path=path)
    recorded(again, *range(5, 11))  # the checkpoint was of step 4
    assert again.recording.steps.tolist() == [0, *whole.recording.steps.tolist()]
    assert np.allclose(again.recording.eigenvalues[1:], whole.recording.eigenvalues, rtol=1e-6)
    assert again.recording.boundaries == [(0, "a", "train")]


def test_recorder_survives_a_table_that_is_not_finite():
    recorder = CollapseRecorder(every=1)
    recorder.on_step(state(np.full((6, 3), np.nan), 1))
    assert np.isnan(recorder.recording.eigenvalues).all() and all(np.isnan(x).all() for x in recorder.recording.scores.values())
    recorder.on_step(state(np.full((6, 3), 0.0), 2))
    assert (recorder.recording.eigenvalues[1] == 0).all()


def test_recorder_bad_input(tmp_path):
    with pytest.raises(InputError, match="every"): CollapseRecorder(every=0)
    with pytest.raises(InputError, match="nothing was recorded"): CollapseRecorder().recording
    for sample in ([0], [31], 31, 0, []):
        with pytest.raises(InputError, match="sample"): recorded(CollapseRecorder(1, sample=sample), 1)
    with pytest.raises(InputError, match="no such recording"): load_recording(tmp_path/"none.npz")
    (tmp_path/"text.npz").write_text("spectra")
    np.savez(tmp_path/"other.npz", x=np.ones(3))
    np.savez(tmp_path/"pickled.npz", steps=np.array([{}], dtype=object))
    for name in ("text", "other", "pickled"):
        with pytest.raises(InputError, match=f"{name}.npz is not a recording"): load_recording(tmp_path/f"{name}.npz")


def test_recorder_in_a_training():
    data, _ = synthetic_data(users=60, items=24, clusters=3)
    recorder = CollapseRecorder(every=2, sample=3)
    model, _ = train(data, one_stage("sasrec", 3), Settings(users_per_update=20), {"dim": 8}, callbacks=[recorder], device="cpu", progress=False)
    film = recorder.recording
    assert film.steps[0] == 0 and (np.diff(film.steps) >= 0).all() and [b[2] for b in film.boundaries] == ["train", "end"]
    assert np.allclose(film.eigenvalues[-1], covariance_eigenvalues(model), rtol=1e-5)
    assert np.allclose(film.vectors[-1], model.item_embeddings().detach()[film.sample_items - 1], atol=1e-6)
