"Remedies do what they say: a round table with the same ranking, a bias that is there first, vectors in the order of the users."
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import adrec
from adrec.agreement import linear_cka
from adrec.checks import InputError
from adrec.counting import Popularity
from adrec.data import evaluation_batches, synthetic_data
from adrec.model import ADRec
from adrec.remedies import StartItemBias, fit_whitening, representations, whiten
from adrec.sasrec import SASRec
from adrec.spectra import covariance_eigenvalues, popularity_share
from adrec.tables import compare_tables

def rng(seed=0): return np.random.default_rng(seed)


def table(n=120, d=9, seed=0): return rng(seed).normal(size=(n, d)) @ rng(seed + 1).normal(size=(d, d)) + 3


@pytest.fixture(scope="module")
def data(): return synthetic_data(users=60, items=30, clusters=3, dim=4, mean_length=8, seed=3)[0]


# ---- whitening

@pytest.mark.parametrize("method", ["zca", "pca"])
def test_a_white_table_is_round_and_as_large_as_before(method):
    x = table()
    before, after = covariance_eigenvalues(x), covariance_eigenvalues(whiten(x, method))
    assert after == pytest.approx(np.full(9, before.mean())) and whiten(x, method).mean(0) == pytest.approx(np.zeros(9), abs=1e-9)
    assert whiten(x, method, 1) @ whiten(x, method, 1).T == pytest.approx((x - x.mean(0)) @ (x - x.mean(0)).T)
    assert linear_cka(whiten(x), whiten(x, method)) == pytest.approx(1), "one table, rotated"


def test_zca_is_symmetric_and_no_rotation_of_it_is_nearer():
    x = table()
    found = fit_whitening(x)
    assert found.matrix == pytest.approx(found.matrix.T)
    distance = np.linalg.norm(found.items(x) - (x - x.mean(0)))
    for seed in range(20):
        small = np.linalg.qr(np.eye(9) + 0.1 * rng(seed).normal(size=(9, 9)))[0]
        assert np.linalg.norm(found.items(x) @ (small * np.sign(np.diag(small))) - (x - x.mean(0))) > distance


def test_whitening_forgets_every_stretching():
    x = table()
    for seed in range(5): assert linear_cka(whiten(x), whiten(x @ rng(seed).normal(size=(9, 9)) - 2)) == pytest.approx(1)


def test_shrinkage_goes_from_round_to_untouched():
    x, ratios = table(), []
    for s in (0, 0.1, 0.5, 0.9, 1):
        values = covariance_eigenvalues(whiten(x, shrinkage=s))
        ratios.append(values[0] / values[-1])
        sizes = covariance_eigenvalues(x)
        mean = sizes.mean()
        assert values == pytest.approx(np.sort(mean * sizes / ((1 - s) * sizes + s * mean))[::-1])
    assert (np.diff(ratios) > 0).all() and ratios[0] == pytest.approx(1)


@pytest.mark.parametrize("method, shrinkage", [("zca", 0.0), ("pca", 0.0), ("zca", 0.4)])
def test_questions_that_are_turned_along_keep_every_ranking(method, shrinkage):
    x, asked = table(), rng(5).normal(size=(40, 9))
    found = fit_whitening(x, method, shrinkage)
    lost = asked @ x.T - found.questions(asked) @ found.items(x).T
    assert lost == pytest.approx(np.repeat((asked @ x.mean(0))[:, None], 120, axis=1)), "each score changes by r·μ, the same for all items"


def test_what_is_flat_cannot_be_made_round():
    x = table()
    flat = np.hstack([x, x[:, :1]])
    for bad in (flat, x[:9], np.full((5, 2), 0.1)):
        with pytest.raises(InputError, match="without any variance.*shrinkage above 0"): whiten(bad)
    assert np.isfinite(whiten(flat, shrinkage=0.1)).all()
    with pytest.raises(InputError, match="between 0 and 1, got 1.5"): whiten(x, shrinkage=1.5)
    with pytest.raises(InputError, match="unknown method 'zka'. Did you mean 'zca'"): whiten(x, "zka")


def test_no_invertible_map_takes_fame_out_of_a_table():
    x, counts = table(), np.floor(rng(2).pareto(1, size=120) * 9)
    assert popularity_share(whiten(x), counts, 9) == pytest.approx(popularity_share(x, counts, 9))


# ---- the bias

def test_the_bias_starts_at_fame_once():
    model, counts = SASRec(5, dim=8, item_bias=True), [0, 9, 3, 1, 1]
    callback, fame = StartItemBias(counts), np.log1p(counts) - np.log1p(counts).mean()
    callback.on_stage(SimpleNamespace(model=model, step=0))
    assert model.item_bias.detach().numpy() == pytest.approx([0, *fame], abs=1e-6) and model.item_bias.requires_grad
    with torch.no_grad(): model.item_bias += 1
    callback.on_stage(SimpleNamespace(model=model, step=7))
    assert model.item_bias.detach().numpy() == pytest.approx([1, *(fame + 1)], abs=1e-6), "what was learned stays"
    for bad, message in ((SASRec(5, dim=8), "SASRec has no item bias to start.*item_bias=True"), (SASRec(6, dim=8, item_bias=True), "5 counts for 6 items")):
        with pytest.raises(InputError, match=message): callback.on_stage(SimpleNamespace(model=bad, step=0))
    for bad in ([[1, 2]], [1, np.nan], [1, -3]):
        with pytest.raises(InputError, match="numbers from 0 up"): StartItemBias(bad)


def test_a_training_starts_from_it(data):
    counts = Popularity().fit(data).counts
    quick = dict(epochs=1, dim=8, users_per_update=64, learning_rate=1e-6, device="cpu", progress=False, item_bias=True)
    run = adrec.train(data, "sasrec", callbacks=[StartItemBias(counts)], **quick)
    bias = run.model.item_bias.detach().numpy()[1:]
    assert np.corrcoef(bias, np.log1p(counts))[0, 1] > 0.999
    plain = adrec.train(data, "sasrec", **quick)
    assert abs(plain.model.item_bias).max() < 1e-3
    agreement = compare_tables(run, plain)
    assert agreement.n == 30 and not agreement.notes and agreement.words.startswith("the same"), "one seed, one start, hardly trained"


# ---- what histories ask

@pytest.mark.parametrize("make", [lambda n: SASRec(n, dim=8), lambda n: ADRec(n, dim=8, blocks=1, heads=2, steps=3)])
def test_representations_are_what_scores_are_made_of(make, data):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make(data.n_items)
    model.train()
    found = representations(model, data, "validation", seed=5)
    assert found.shape == (data.n_users, 8) and model.training, "left as it was"
    assert np.array_equal(found, representations(model, data, "validation", seed=5))
    generator = torch.Generator().manual_seed(5)
    for batch, _ in evaluation_batches(data, "validation"):
        with torch.no_grad(): scores = model.eval().score(batch, generator)
        ours = found[batch.users.numpy()] @ model.item_embeddings().detach().numpy().T
        assert ours == pytest.approx(scores.numpy(), abs=1e-4)


def test_what_only_counts_has_no_representations(data):
    with pytest.raises(InputError, match="Popularity has no `represent`"): representations(Popularity().fit(data), data)
