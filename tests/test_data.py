"""adrec.data: known counts and order, sequences, and properties of batches."""
import os
from itertools import combinations
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch
from adrec.checks import InputError
from adrec.data import SequenceData, _gather_padded, _length_groups, build_sequences, evaluation_batches, history_batch, k_core, synthetic_data, training_pairs, training_updates
from adrec.read import load_data, ml100k_tables

@pytest.fixture(scope="module")
def ml100k(): return load_data("ml-100k")


# Known counts and order

def test_ml100k_counts_and_fingerprint(ml100k):
    assert (ml100k.n_users, ml100k.n_items, ml100k.n_interactions) == (938, 1008, 54413)
    assert ml100k.preprocessing == {"min_rating": 4, "k_core": 5}
    assert ml100k.fingerprint() == "a1583b8034d63334"  # pins the order, not only the counts

def test_ml100k_order_against_plain_python(ml100k):
    "A second route: Python dictionaries, the k-core by repeated filtering, and the stable `sorted`."
    log = [r[:2] + (r[3],) for r in ml100k_tables()[0][["user_id", "item_id", "rating", "timestamp"]].itertuples(index=False, name=None) if r[2] >= 4]
    while True:
        n_user, n_item = {}, {}
        for u, i, _ in log: n_user[u], n_item[i] = n_user.get(u, 0) + 1, n_item.get(i, 0) + 1
        left = [r for r in log if n_user[r[0]] >= 5 and n_item[r[1]] >= 5]
        if len(left) == len(log): break
        log = left
    histories = {}
    for u, i, t in log: histories.setdefault(u, []).append((t, i))
    ids = ml100k.item_info.item_id.to_numpy()
    assert list(ml100k.user_ids) == list(histories)
    assert list(ids) == list(dict.fromkeys(i for _, i, _ in log)), "items are numbered by first appearance"
    for row, history in enumerate(histories.values()):
        assert ids[ml100k.sequence(row) - 1].tolist() == [i for _, i in sorted(history, key=lambda pair: pair[0])]

def test_ml100k_tie_facts(ml100k):
    user = np.repeat(np.arange(938), ml100k.lengths)
    moments, last = pd.DataFrame({"u": user, "t": ml100k.timestamps}), ml100k.offsets[1:] - 1
    assert round(moments.duplicated().mean(), 3) == 0.415
    assert round((ml100k.timestamps[last] == ml100k.timestamps[last - 1]).mean(), 3) == 0.325
    ids = ml100k.item_info.item_id.astype(int).to_numpy()[ml100k.items - 1]
    by_id = ml100k.items[np.lexsort((ids, ml100k.timestamps, user))]
    assert round((by_id[last] != ml100k.items[last]).mean(), 2) == 0.20

def test_ml100k_titles_and_genres(ml100k):
    info = ml100k.item_info
    assert list(info.columns) == ["item_id", "title", "genres"] and info.index.name == "item" and not info.isna().any().any()
    assert ml100k.titles(ml100k.item_numbers(["1", "50"])) == ["Toy Story (1995)", "Star Wars (1977)"]
    assert info.genres[info.item_id == "1"].item() == "Animation|Children's|Comedy"

@pytest.mark.parametrize("name, counts", [("baby", (11761, 4731, 92823)), ("beauty", (10553, 6086, 94148))])
def test_amazon_counts_and_order(name, counts):
    folder = os.environ.get("ADREC_TEST_DATA")
    if not folder or not (path := Path(folder)/f"{name}.csv.gz").exists(): pytest.skip("needs ADREC_TEST_DATA")
    data = load_data(path)
    assert (data.n_users, data.n_items, data.n_interactions) == counts
    assert data.preprocessing == {"min_rating": None, "k_core": None}, "a file without ratings is taken as it is"
    raw = pd.read_csv(path, dtype=str)  # each user's rows already stand together, in time order
    ids = data.item_info.item_id.to_numpy()
    assert dict(zip(data.user_ids, (ids[data.sequence(u) - 1].tolist() for u in range(data.n_users)))) == raw.groupby("user_id").item_id.agg(list).to_dict()
    assert load_data(path, k_core=5).fingerprint() == data.fingerprint(), "it is a 5-core already"

def test_unknown_ids(ml100k):
    with pytest.raises(InputError, match="no user '9999'"): ml100k.user_row("9999")
    with pytest.raises(InputError, match="no item '5000'"): ml100k.item_numbers(["1", "5000"])
    with pytest.raises(InputError, match="no item number 1009"): ml100k.titles([1, 1009])
    assert ml100k.user_row(196) == ml100k.user_row("196"), "numbers are taken as ids, too"

def test_unused_and_numeric_categories():
    log = pd.DataFrame({"user_id": pd.Categorical([7] * 4, categories=[1, 7]), "item_id": list("xyzx"), "timestamp": range(4)})
    data = build_sequences(log, "log")
    assert data.user_ids.tolist() == ["7"] and data.sequence(0).tolist() == [1, 2, 3, 1]


def test_cold_answers_against_sets():
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = pd.DataFrame({"user_id": np.repeat(range(6), 5), "item_id": rng.integers(0, 25, 30), "timestamp": range(30)})
        data = build_sequences(table, "log")
        rows, items = training_pairs(data)
        assert [items[rows == u].tolist() for u in range(6)] == [data.sequence(u)[:-2].tolist() for u in range(6)]
        for split, place in (("test", -1), ("validation", -2)):
            assert data.cold_answers(split) == sum(data.sequence(u)[place] not in set(items) for u in range(6))

def test_ids_are_found_as_text_and_as_numbers():
    table = pd.DataFrame({"user_id": [7.0, 7.0, np.nan, 7.0], "item_id": [1.5, 2, 3, 4], "timestamp": range(4)}).dropna()
    data = build_sequences(table, "log")
    assert data.user_ids.tolist() == ["7"] and data.item_info.item_id.tolist() == ["1.5", "2", "4"]
    assert data.user_row(7.0) == data.user_row("7") == 0 and data.item_numbers([1.5, 2.0, 4, "4"]).tolist() == [1, 2, 3, 3]

def test_what_a_notebook_shows(ml100k):
    page = ml100k._repr_html_()
    for text in ("938 users, 1,008 items, 54,413 interactions", "from 1997-09-20 to 1998-04-22", "ratings from 4 up, 5-core", "Space Jam (1996)"): assert text in page
    assert repr(ml100k) == "SequenceData('ml-100k': 938 users, 1,008 items, 54,413 interactions)"
    assert synthetic_data()[0].preprocessing_text() == "none"

def test_a_notebook_shows_no_markup_from_a_file():
    evil = "<script>alert(1)</script>"
    table = pd.DataFrame({"user_id": [evil] * 4, "item_id": [evil + c for c in "abcd"], "timestamp": range(4)})
    info = pd.DataFrame({"title": [evil] * 4}, index=table.item_id)
    page = build_sequences(table, evil, info=info, source=evil, notes=[evil])._repr_html_()
    assert "<script" not in page and page.count("&lt;script") >= 10

def test_an_empty_set_can_be_shown():
    info = pd.DataFrame({"item_id": ["a"]}, index=pd.RangeIndex(1, 2, name="item"))
    empty = SequenceData("empty", *(np.array(a, dtype=np.int64) for a in ([], [0], [], [])), info)
    assert "0 users, 1 items, 0 interactions" in empty._repr_html_()


# The k-core

def test_k_core_is_the_largest_stable_set():
    rng = np.random.default_rng(0)
    for _ in range(50):
        users, items = rng.integers(0, 12, size=40), rng.integers(0, 9, size=40)
        keep = k_core(users, items, 3)
        if keep.any():
            assert np.unique(users[keep], return_counts=True)[1].min() >= 3 and np.unique(items[keep], return_counts=True)[1].min() >= 3
        slow = np.ones(40, dtype=bool)  # drop one offender at a time, in random order: the result is the same
        while True:
            bad = [r for r in np.flatnonzero(slow) if (slow & (users == users[r])).sum() < 3 or (slow & (items == items[r])).sum() < 3]
            if not bad: break
            slow[rng.choice(bad)] = False
        assert (slow == keep).all()


# Batches

def ragged(rng, users=700, most=90):
    lengths = 3 + rng.geometric(0.08, size=users).clip(max=most)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = np.concatenate([np.arange(1, n + 1) + 1000 * u for u, n in enumerate(lengths)])  # every item tells its user and place
    info = pd.DataFrame({"item_id": [""]})
    return SequenceData("ragged", items, offsets, items, np.arange(users).astype(str), info)

@pytest.mark.parametrize("groups, size, longest", [(6, 512, 50), (1, 100, 50), (3, 64, 7), (50, 512, 1)])
def test_training_updates_against_a_loop(groups, size, longest):
    data, seen, updates = ragged(np.random.default_rng(1)), [], 0
    for parts in training_updates(data, np.random.default_rng(2), longest, size, groups):
        updates += 1
        assert 1 <= len(parts) <= groups and sum(len(part.users) for part in parts) <= size
        for part in parts:
            assert part.history.dtype == part.target.dtype == torch.int64 and part.history.shape == part.target.shape == part.mask.shape
            assert part.history.shape[1] == part.lengths.max(), "padded further than its own longest history"
            for u, h, t, n in zip(part.users.tolist(), part.history, part.target, part.lengths.tolist()):
                expected = data.sequence(u)[:-2][-(longest + 1):]
                assert h[:n].tolist() == expected[:-1].tolist() and t[:n].tolist() == expected[1:].tolist()
                assert not h[n:].any() and not t[n:].any()
                seen.append(u)
    learners = np.flatnonzero(data.lengths >= 4)
    assert sorted(seen) == learners.tolist() and updates == -(-len(learners) // size)

def test_updates_are_uniform_draws():
    "Length must not decide who is in which update; the same generator state gives the same epoch."
    data = ragged(np.random.default_rng(1))
    first = lambda seed: torch.cat([p.users for p in next(training_updates(data, np.random.default_rng(seed), users_per_update=100))])
    assert torch.equal(first(3), first(3)) and not torch.equal(first(3).sort().values, first(4).sort().values)
    learners = data.lengths[data.lengths >= 4]
    means = [data.lengths[first(seed).numpy()].mean() for seed in range(200)]
    assert abs(np.mean(means) - learners.mean()) < 4 * learners.std() / np.sqrt(100 * 200)

def test_one_state_advances_to_another_epoch():
    data, rng = ragged(np.random.default_rng(1)), np.random.default_rng(0)
    epochs = [torch.cat([p.users for parts in training_updates(data, rng, users_per_update=50, groups=1) for p in parts]) for _ in range(2)]
    assert not torch.equal(*epochs)

def test_nobody_to_learn_from():
    with pytest.raises(InputError, match="nothing to learn from"): next(training_updates(synthetic_data(mean_length=3)[0], np.random.default_rng(0)))

@pytest.mark.parametrize("split, held", [("validation", 2), ("test", 1)])
def test_evaluation_against_a_loop(split, held):
    data, seen = ragged(np.random.default_rng(1)), []
    for batch, answers in evaluation_batches(data, split, max_length=20, users_per_batch=64):
        assert batch.target is None and len(batch.users) <= 64
        for u, h, n, a in zip(batch.users.tolist(), batch.history, batch.lengths.tolist(), answers.tolist()):
            assert a == data.sequence(u)[-held] and h[:n].tolist() == data.sequence(u)[:-held][-20:].tolist() and not h[n:].any()
            seen.append(u)
    assert sorted(seen) == list(range(data.n_users))
    with pytest.raises(InputError, match="Did you mean 'validation'"): next(evaluation_batches(data, "valid"))

def test_length_groups_are_optimal():
    rng = np.random.default_rng(0)
    cost = lambda lengths, cuts: sum((b - a) * lengths[b - 1] for a, b in zip(cuts, cuts[1:]))
    for _ in range(40):
        lengths = np.sort(rng.integers(1, rng.integers(2, 12), size=10))
        for groups in (1, 2, 3, 4, 10):
            cuts = _length_groups(lengths, groups)
            assert cuts[0] == 0 and cuts[-1] == 10 and (np.diff(cuts) > 0).all() and len(cuts) <= groups + 1
            best = min(cost(lengths, (0, *inner, 10)) for g in range(groups) for inner in combinations(range(1, 10), g))
            assert cost(lengths, cuts) == best
    assert _length_groups(np.array([7]), 6).tolist() == [0, 1]

def test_groups_save_what_the_page_says(ml100k):
    share = lambda groups: 1 - np.divide(*np.sum([(p.lengths.sum(), p.history.numel()) for parts in training_updates(ml100k, np.random.default_rng(0), groups=groups) for p in parts], axis=0))
    assert 0.3 < share(1) < 0.4 and share(6) < 0.07

def test_gather_history_and_device():
    items = np.arange(10)
    assert _gather_padded(items, np.array([8, 2]), np.array([2, 3])).tolist() == [[8, 9, 0], [2, 3, 4]]
    batch = history_batch([[1, 2, 3], np.array([4])], max_length=2).to("cpu")
    assert batch.history.tolist() == [[2, 3], [4, 0]] and batch.target is None and batch.mask.tolist() == [[True, True], [True, False]]
    for empty in ([], [[1], []]):
        with pytest.raises(InputError, match="empty"): history_batch(empty)


# Synthetic data

def test_synthetic_truth():
    data, truth = synthetic_data(users=50, items=31, clusters=4, dim=3, stay=0.6, mean_length=5, seed=3)
    assert truth.vectors.shape == (31, 3) and np.allclose(np.linalg.norm(truth.vectors, axis=1), 1)
    assert np.allclose(truth.transition.sum(1), 1) and np.linalg.matrix_rank(truth.transition) == 4
    assert np.bincount(truth.clusters).tolist() == [8, 8, 8, 7] and data.n_items == 31 and data.lengths.min() >= 3
    inside = np.delete(np.arange(data.n_interactions - 1), data.offsets[1:-1] - 1)
    assert (truth.transition[data.items[inside] - 1, data.items[inside + 1] - 1] > 0).all(), "an impossible step was taken"

def test_synthetic_is_reproducible_and_checked():
    assert synthetic_data(seed=5)[0].fingerprint() == synthetic_data(seed=5)[0].fingerprint() != synthetic_data(seed=6)[0].fingerprint()
    assert load_data("synthetic").fingerprint() == synthetic_data()[0].fingerprint()
    for wrong in (dict(clusters=1), dict(clusters=61), dict(stay=1.5), dict(mean_length=2), dict(users=0), dict(dim=0)):
        with pytest.raises(InputError, match="synthetic: needs"): synthetic_data(**wrong)
