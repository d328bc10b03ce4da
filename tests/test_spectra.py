"The instruments of adrec.spectra against oracles, known answers, their noise nulls, and bad input."
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2, entropy, ks_2samp, kstest
from small_examples import SHAPES, Model, rng
from torch import nn

from adrec import spectra
from adrec.checks import InputError
from adrec.spectra import (
    MarchenkoPastur,
    alignment,
    alignment_null,
    as_table,
    cosine_null,
    covariance_eigenvalues,
    effective_rank,
    effective_rank_null,
    information_abundance,
    information_abundance_null,
    iso_score,
    mean_cosine,
    mean_cosine_null_sd,
    noise_distance,
    noise_share,
    noise_spectra,
    noise_variance,
    outlier_count,
    participation_ratio,
    participation_ratio_null,
    popularity_share,
    popularity_share_null,
    rankme,
    read_embeddings,
    sample_cosines,
    singular_values,
    spectral_nulls,
    spectral_scores,
    spectrum_decay,
    spectrum_variance_limit,
    stable_rank,
    stable_rank_null,
    uniformity,
    uniformity_null,
)

SCORES = [effective_rank, participation_ratio, mean_cosine]
RANKS = [effective_rank, participation_ratio, stable_rank, information_abundance, iso_score, rankme, spectrum_decay]


def orthonormal(n, k, seed=0):
    x = rng(seed).normal(size=(n, k))
    return np.linalg.qr(x - x.mean(axis=0))[0]


# ---- as_table

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
    assert read_embeddings(table).padding == padding % 40 == read_embeddings(Model(table)).padding
    assert as_table(layer(40, 6)).shape == (40, 6) and read_embeddings(layer(40, 6)).padding is None


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
                                          (np.full((3, 2), np.longdouble("1e4000")), "infinite values in 3 of 3"),
                                          (np.ma.array(np.ones((3, 2)), mask=[[0, 0], [0, 1], [0, 0]]), "1 of 3 rows .rows 1.")])
def test_bad_numbers_get_an_error_and_no_warning(bad, message, recwarn):
    with pytest.raises(InputError, match=message): as_table(bad)
    assert not recwarn.list


class Matrix(np.ndarray): "A subclass of an array, as libraries of units and labels make them."


VECTORS = np.arange(12.0).reshape(4, 3)
WORDS = SimpleNamespace(vectors=VECTORS.astype(np.float32), index_to_key=list("abcd"))  # gensim's KeyedVectors


def transformer(layer):
    "A model as Hugging Face's: no item_embeddings, a method for the layer."
    model = nn.Sequential(layer)
    model.get_input_embeddings = lambda: model[0]
    return model


def polars(columns):
    "A data frame without an index whose types answer questions, as polars' do."
    kinds = [SimpleNamespace(is_float=lambda a=a: a.dtype.kind == "f", is_integer=lambda a=a: a.dtype.kind in "iu") for a in columns.values()]
    return SimpleNamespace(columns=list(columns), dtypes=kinds, to_numpy=lambda: np.column_stack(list(columns.values())))


@pytest.mark.parametrize("held, ids, padding", [
    (WORDS, "abcd", None), (SimpleNamespace(wv=WORDS), "abcd", None), (SimpleNamespace(vectors=VECTORS, ids=None), None, None),
    (SimpleNamespace(vectors=torch.tensor(VECTORS), ids=range(4)), range(4), None),
    (dict(zip("abcd", VECTORS)), "abcd", None), (dict(zip("abcd", VECTORS.tolist())), "abcd", None),
    (dict(zip("abcd", torch.tensor(VECTORS, requires_grad=True))), "abcd", None),
    (list(torch.tensor(VECTORS, requires_grad=True)), None, None), (VECTORS.view(Matrix), None, None),
    (torch.tensor(VECTORS).as_subclass(NoDouble), None, None), (dict(zip("abcd", torch.tensor(VECTORS).as_subclass(NoDouble))), "abcd", None),
    (nn.Parameter(torch.tensor(VECTORS)), None, None), (nn.Embedding.from_pretrained(torch.tensor(VECTORS)), None, None),
    (transformer(nn.Embedding.from_pretrained(torch.tensor(np.vstack([VECTORS[:1], VECTORS])), padding_idx=1)), None, 1),
    (transformer(nn.Embedding.from_pretrained(torch.tensor(VECTORS, dtype=torch.bfloat16))), None, None),
    (pd.DataFrame(VECTORS), None, None), (pd.DataFrame(VECTORS, index=list("abcd")), "abcd", None),
    (pd.DataFrame(VECTORS.astype(int), columns=["weight", "vectors", "wv"]), None, None),
    (pd.DataFrame(VECTORS, dtype="Float32"), None, None),
    (polars({"x": VECTORS[:, 0], "y": VECTORS[:, 1], "z": VECTORS[:, 2]}), None, None)])
def test_vectors_ids_and_padding_are_reached_wherever_they_are(held, ids, padding):
    found = read_embeddings(held)
    assert np.array_equal(found.vectors, VECTORS) and found.vectors.dtype == np.float64
    assert found.ids == (None if ids is None else list(ids)) and found.padding == padding
    assert read_embeddings(found) is found and np.array_equal(as_table(held), VECTORS)


@pytest.mark.parametrize("held, message", [
    (nn.Linear(3, 4, bias=False).state_dict(), r"one vector per id, and 'weight' has shape \(4, 3\)"), ({}, r"got \(0,\)"),
    ({"a": [1, 2], "b": [3]}, "equal length"), (nn.Sequential(), r"Sequential has no method `item_embeddings\(\)`"),
    (pd.DataFrame(VECTORS).assign(title=list("abcd")), r"column 'title' looks like something else: `adrec.diagnose"),
    (pd.DataFrame(VECTORS).assign(item=range(4)), "column 'item' looks like"), (pd.DataFrame(VECTORS > 3), "looks like"),
    (polars({"x": VECTORS[:, 0], "name": np.array(list("abcd"))}), "column 'name' looks like"),
    (pd.DataFrame(np.where(VECTORS == 4, np.nan, VECTORS), index=list("abcd")), r"1 of 4 rows \(rows 'b'\)"),
    (pd.DataFrame([[1, None], [2, 3]], dtype="Int64"), "NaN or infinite values in 1 of 2 rows")])
def test_what_holds_no_table_says_so(held, message):
    with pytest.raises(InputError, match=message) as error: as_table(held)
    assert "\n" not in str(error.value)


def test_arrays_are_measured_without_torch_and_pandas():
    program = """if True:
        import sys, numpy as np, adrec.spectra
        assert not {"torch", "pandas"} & set(sys.modules), "spectra"
        import adrec.collapse, adrec.recorder
        adrec.collapse.diagnose(np.random.default_rng(0).normal(size=(30, 4)), labels=["a", "b"] * 15)
        assert "torch" not in sys.modules, "collapse, recorder" """
    subprocess.run([sys.executable, "-c", program], check=True)


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
    assert np.allclose(spectra._gram(uneven, True, rows), x.T @ x, rtol=1e-10, atol=1e-10)
    assert np.allclose(spectra._gram(uneven, False, rows), uneven.T @ uneven, rtol=1e-10)


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
    for null in (effective_rank_null, participation_ratio_null, MarchenkoPastur, mean_cosine_null_sd):
        for shape in ((1, 5), (5, 0)):
            with pytest.raises(InputError, match="at least 2 items and 1 dimension"): null(*shape)


def test_effective_rank_null_meets_its_closed_form_for_many_items():
    assert effective_rank_null(64_669, 128) == pytest.approx(128 * np.exp(-128 / 64_668 / 8), rel=1e-5)


@pytest.mark.parametrize("n, d", [(1001, 250), (1001, 64), (101, 100)])
def test_marchenko_pastur_spectrum_follows_the_law(n, d):
    variance, gamma = 2.5, d / (n - 1)
    low, high = MarchenkoPastur(n, d, variance).edges
    def density(x): return np.sqrt(max((high - x) * (x - low), 0)) / (2 * np.pi * gamma * variance * x)
    spectrum = MarchenkoPastur(n, d, variance).spectrum()
    assert (np.diff(spectrum) < 0).all() and low < spectrum[-1] and spectrum[0] < high
    for j in (0, d // 4, d // 2, d - 2):
        above = quad(density, spectrum[j], high, limit=200)[0]
        assert above == pytest.approx((j + 0.5) / d, abs=2e-3)
    assert spectrum.mean() == pytest.approx(variance)
    assert spectrum.var() == pytest.approx(gamma * variance ** 2, rel=0.03)


@pytest.mark.parametrize("n, d", SHAPES[:4])
def test_noise_stays_inside_its_edges(n, d):
    low, high = MarchenkoPastur(n, d).edges
    values = covariance_eigenvalues(rng(7).normal(size=(n, d)))
    assert 0.97 * low < values[-1] and values[0] < 1.03 * high


def test_fewer_rows_than_dimensions():
    spectrum = MarchenkoPastur(40, 100).spectrum()
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
    assert float(MarchenkoPastur(n, d, variance).cdf(value)) == pytest.approx(share, abs=1e-10)


@pytest.mark.parametrize("n, d", [(3000, 64), (1008, 128), (60, 100), (129, 128), (50, 10)])
def test_density_and_distribution_are_one_law(n, d):
    law = MarchenkoPastur(n, d)
    low, high = law.edges
    assert quad(law.density, low, high, limit=200)[0] == pytest.approx(1, abs=1e-6)
    values = np.linspace(low - 1, high + 1, 301)
    cdf = law.cdf(values)
    assert (np.diff(cdf) >= -1e-12).all() and cdf[0] == pytest.approx(0, abs=1e-9) and cdf[-1] == pytest.approx(1)
    assert law.density([low - 0.1, high + 0.1, 0.0]).tolist() == [0, 0, 0]
    inner = law.spectrum()[:min(n - 1, d)]
    assert np.allclose(1 - law.cdf(inner), (np.arange(len(inner)) + 0.5) / len(inner), atol=5e-3)


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
        kstest(values / values.mean(), MarchenkoPastur(500, 20).cdf).statistic, abs=1e-12)


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


# ---- fame

def test_popularity_share_is_a_squared_correlation(uneven):
    counts = np.floor(rng(2).pareto(1, size=len(uneven)) * 5)
    centred = uneven - uneven.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    assert popularity_share(uneven, counts) == pytest.approx(np.corrcoef(left[:, 0], np.log1p(counts))[0, 1] ** 2, rel=1e-6)
    fame = np.log1p(counts) - np.log1p(counts).mean()
    residual = fame - centred @ np.linalg.lstsq(centred, fame, rcond=None)[0]
    assert popularity_share(uneven, counts, uneven.shape[1]) == pytest.approx(1 - residual @ residual / (fame @ fame), rel=1e-6)
    shares = [popularity_share(uneven, counts, m) for m in range(1, uneven.shape[1] + 1)]
    assert (np.diff(shares) >= 0).all() and shares[-1] < 1, "more components never explain less"
    rotation = np.linalg.qr(rng(5).normal(size=(20, 20)))[0]
    assert popularity_share(3 * uneven @ rotation + 2, counts, 4) == pytest.approx(popularity_share(uneven, counts, 4), rel=1e-6)


@pytest.mark.parametrize("n, d, m", [(30, 4, 1), (30, 4, 4), (200, 10, 3)])
def test_popularity_share_of_dealt_counts_has_its_null(n, d, m):
    table, counts = rng(1).normal(size=(n, d)) * np.arange(1, d + 1), np.floor(rng(2).pareto(1, size=n) * 5)
    drawn = np.array([popularity_share(table, rng(s).permutation(counts), m) for s in range(400)])
    assert abs(drawn.mean() - popularity_share_null(n, m)) < 4 * drawn.std() / 20


def test_popularity_share_where_there_is_nothing_to_explain():
    table = rng().normal(size=(10, 3))
    assert np.isnan(popularity_share(table, np.ones(10))) and np.isnan(popularity_share(np.full((10, 3), 0.1), np.arange(10)))
    line = np.outer(np.log1p(np.arange(10.0)), [1.0, 2.0, 3.0])
    assert popularity_share(line, np.arange(10), 3) == pytest.approx(1), "directions without variance are left out"
    assert popularity_share_null(4, 3) == popularity_share_null(4, 9) == 1
    for bad in (np.arange(9), np.arange(10) - 1, np.full(10, np.nan)):
        with pytest.raises(InputError, match="10 numbers from 0 up"): popularity_share(table, bad)
    with pytest.raises(InputError, match="between 1 and 3, got 4"): popularity_share(table, np.arange(10), 4)


@pytest.mark.parametrize("n, d", [(200, 4), (60, 100), (1008, 128)])
def test_the_variance_of_a_spectrum_follows_johns_law(n, d):
    "Its limit for one in a million, checked where it can be seen: one noise table in ten lies above the limit for one in ten."
    small, large = sorted((n - 1, d))
    large *= (small + 2) / small
    u = d / small * (1 + 2 * chi2.isf(0.1, small * (small + 1) / 2 - 1) / (small * large)) - 1
    drawn = noise_spectra(n, d, unit_rows=True, draws=400).var(axis=1)
    assert 0.06 < (drawn > u).mean() < 0.15 and drawn.max() < spectrum_variance_limit(n, d)


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
    ours = spectra._wishart_spectra(small, large, 1000)
    for power in (2, 3, 4):
        a, b = (np.array(bartlett) ** power).mean(axis=1), (ours ** power).mean(axis=1)
        assert abs(a.mean() - b.mean()) < 4 * np.hypot(a.std(), b.std()) / 1000 ** 0.5
        assert b.std() == pytest.approx(a.std(), rel=0.25)
    for j in (0, small // 2, small - 1): assert ks_2samp(np.array(bartlett)[:, j], ours[:, j]).pvalue > 1e-3


def test_nulls_cannot_be_damaged():
    spectral_nulls(100, 8).clear()
    assert "noise_distance" in spectral_nulls(100, 8)
