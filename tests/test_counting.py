"The three systems that count, against loops, scikit-learn and the numbers counted on the real data sets."
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from adrec.checks import InputError
from adrec.counting import BASELINES, ItemKNN, MarkovChain, Popularity, similar_items
from adrec.data import evaluation_batches, history_batch, synthetic_data, training_pairs
from adrec.ranking import TIES, System, evaluate, hit_rate, ndcg
from adrec.read import load_data


@pytest.fixture(scope="module")
def movies(): return load_data("ml-100k")

@pytest.fixture(scope="module")
def synthetic(): return synthetic_data(seed=1)[0]


@pytest.mark.parametrize("ties, hr, gain", [("pessimistic", 9.28, 3.48), ("expected", 9.81, 3.605), ("optimistic", 10.34, 3.73)])
def test_popularity_on_ml100k(movies, ties, hr, gain):
    metrics = evaluate(Popularity().fit(movies), movies, ties=ties).metrics
    assert 100 * metrics["HR@20"] == pytest.approx(hr, abs=0.005) and 100 * metrics["NDCG@20"] == pytest.approx(gain, abs=0.005)

@pytest.mark.skipif("ADREC_TEST_DATA" not in os.environ, reason="ADREC_TEST_DATA names no folder with the Amazon data")
@pytest.mark.parametrize("name, hr, gains", [("baby", 2.90, (1.07, 1.07, 1.07)), ("beauty", 1.85, (0.69, 0.70, 0.70))])
def test_popularity_on_amazon_reviews(name, hr, gains):
    data = load_data(Path(os.environ["ADREC_TEST_DATA"]) / f"{name}.csv.gz")
    ranks = evaluate(Popularity().fit(data), data, ks=(20,)).ranks
    for ties, gain in zip(TIES, gains):
        assert 100 * hit_rate(ranks, 20, ties).mean() == pytest.approx(hr, abs=0.005)
        assert 100 * ndcg(ranks, 20, ties).mean() == pytest.approx(gain, abs=0.005)

def test_markov_chain_matches_a_double_loop(synthetic):
    n = synthetic.n_items
    counts, share = np.zeros((n, n)), np.zeros(n)
    for user in range(synthetic.n_users):
        train = synthetic.sequence(user)[:-2]
        for a, b in zip(train[:-1], train[1:]): counts[a - 1, b - 1] += 1
        for a in train: share[a - 1] += 1
    expected = counts + share / share.sum()
    expected /= expected.sum(1, keepdims=True)
    chain = MarkovChain().fit(synthetic)
    found = chain.score(history_batch([[3, i] for i in range(1, n + 1)])).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)

def test_markov_chain_looks_at_the_last_real_item_not_at_the_padding(synthetic):
    chain = MarkovChain().fit(synthetic)
    together, alone = chain.score(history_batch([[5], [1, 2, 3, 4]]))[0], chain.score(history_batch([[5]]))[0]
    assert torch.equal(together, alone)

@pytest.mark.parametrize("k, shrink", [(5, 0.0), (20, 10.0), (60, 3.0)])
def test_item_neighbours_match_sklearn(synthetic, k, shrink):
    members = np.zeros((synthetic.n_users, synthetic.n_items))
    rows, items = training_pairs(synthetic)
    members[rows, items - 1] = 1
    norms = np.linalg.norm(members, axis=0)
    cosine = cosine_similarity(members.T) * np.outer(norms, norms) / (np.outer(norms, norms) + shrink)
    np.fill_diagonal(cosine, 0)
    kept = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        best = np.argsort(-row.round(12), kind="stable")[:k]
        kept[i, best] = row[best]
    system = ItemKNN(k, shrink).fit(synthetic)
    # rounding may decide which of equal neighbours stays, so compare the sorted rows
    np.testing.assert_allclose(np.sort(system.neighbours.toarray()), np.sort(kept), atol=1e-12)
    histories = [[1, 2, 3], [60]]
    want = [sum(system.neighbours.toarray()[i - 1] for i in h) for h in histories]
    np.testing.assert_allclose(system.score(history_batch(histories)), want, atol=1e-12)

def test_neighbours_do_not_depend_on_the_chunks(movies):
    rows, items = training_pairs(movies)
    members = sparse.csc_array((np.ones(len(items)), (rows, items - 1)), shape=(movies.n_users, movies.n_items))
    a, b = similar_items(members, 20, 10, items_per_chunk=97), similar_items(members, 20, 10, items_per_chunk=5000)
    assert (a != b).nnz == 0 and np.diff(a.indptr).max() <= 20 and a.diagonal().sum() == 0

@pytest.mark.parametrize("wrong", [dict(k=0), dict(shrink=-1)])
def test_item_knn_refuses_impossible_settings(wrong):
    with pytest.raises(InputError, match="ItemKNN needs"): ItemKNN(**wrong)

def test_a_known_chain_is_found(synthetic): # 80 % of the steps stay among ten items: order and neighbours must beat popularity
    metrics = {name: evaluate(make().fit(synthetic), synthetic).metrics["HR@10"] for name, make in BASELINES.items()}
    assert metrics["markov"] > 1.5 * metrics["popularity"] and metrics["itemknn"] > 1.5 * metrics["popularity"]

def test_registry_and_embeddings():
    assert list(BASELINES) == ["popularity", "markov", "itemknn"]
    assert all(make().item_embeddings() is None for make in BASELINES.values())

def test_every_counting_system_has_the_surface_of_a_system(synthetic):
    for make in BASELINES.values():
        system = make()
        assert isinstance(system, System) and system.fit(synthetic) is system
        (batch, _), = evaluation_batches(synthetic, users_per_batch=synthetic.n_users)
        assert torch.equal(system.score(batch), system.score(batch, torch.Generator())), "counting draws nothing"


def test_no_target_reaches_a_system_and_changed_answers_change_nothing(synthetic):
    altered = synthetic.items.copy()
    altered[synthetic.offsets[1:] - 1] = 7
    other = replace(synthetic, items=altered)
    for make in BASELINES.values():
        for (batch, _), (same, _) in zip(evaluation_batches(synthetic), evaluation_batches(other)):
            assert batch.target is None
            assert torch.equal(make().fit(synthetic).score(batch), make().fit(other).score(same))
