"Ranking against brute force and scikit-learn."
import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize, stats
from sklearn.metrics import ndcg_score

from adrec import ranking
from adrec.checks import InputError
from adrec.counting import BASELINES, Popularity
from adrec.data import SequenceData, evaluation_batches, history_batch, synthetic_data
from adrec.experiments import interval_table
from adrec.ranking import (
    TIES,
    System,
    TargetRanks,
    TrainableSystem,
    _average_metric,
    answer_nll,
    check_system,
    confidence_interval,
    evaluate,
    evaluation_notes,
    fit_temperature,
    hit_rate,
    log_rank,
    metric_names,
    metric_scale,
    metric_text,
    metrics_that_fit,
    mrr,
    ndcg,
    protocol_text,
    rank_metrics,
    target_ranks,
    top_items,
)
from adrec.read import load_data
from adrec.systems import SYSTEMS

@pytest.fixture(scope="module")
def movies(): return load_data("ml-100k")

@pytest.fixture(scope="module")
def synthetic(): return synthetic_data(seed=1)[0]

@pytest.fixture
def tied(): # small whole numbers, so nearly everything ties
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 5, (40, 25)).astype(np.float32)), torch.from_numpy(rng.integers(1, 26, 40))


class Fixed: # scores that were written down beforehand, a row per user of the data set
    def __init__(self, scores): self.scores, self.batches = scores, []
    def score(self, batch, generator=None):
        self.batches.append(batch)
        return self.scores[batch.users]

class Noisy(torch.nn.Module): # scores drawn from the generator
    def __init__(self, n):
        super().__init__()
        self.n, self.dropout, self.frozen = n, torch.nn.Dropout(0.5), torch.nn.Dropout(0.5).eval()
    def score(self, batch, generator):
        assert not self.training and not self.dropout.training and not torch.is_grad_enabled()
        return torch.rand(len(batch.users), self.n, generator=generator)


def sequences(*users, n_items):
    "Data made of these item numbers, a sequence per user."
    lengths = [len(items) for items in users]
    return SequenceData(
        name="small", items=np.concatenate([np.array(items, dtype=np.int64) for items in users] or [np.array([], dtype=np.int64)]),
        offsets=np.cumsum([0, *lengths]), timestamps=np.concatenate([np.arange(n) for n in lengths] or [np.array([])]),
        user_ids=np.array([f"u{i}" for i in range(len(users))]),
        item_info=pd.DataFrame({"item_id": [f"i{i}" for i in range(1, n_items + 1)]}, index=pd.RangeIndex(1, n_items + 1, name="item")))

def repeats(share, users=60, n_items=40, length=8, seed=0):
    "Random sequences; this share of the users takes something again at the end, and at the validation item."
    rng, made = np.random.default_rng(seed), []
    for user in range(users):
        items = rng.permutation(n_items)[:length] + 1
        if user < share * users: items[-2:] = items[rng.integers(0, length - 2, 2)]
        made.append(items)
    return sequences(*made, n_items=n_items)


# --- places and what they are worth

def test_ranks_match_brute_force(tied):
    scores, answers = tied
    ranks = target_ranks(scores, answers)
    for row, answer in enumerate(answers.tolist()):
        others = [s for j, s in enumerate(scores[row].tolist(), start=1) if j != answer]
        own = scores[row, answer - 1].item()
        assert ranks.better[row] == sum(s > own for s in others) and ranks.tied[row] == sum(s == own for s in others)

@pytest.mark.parametrize("k", [1, 3, 5, 10, 25])
def test_ndcg_matches_sklearn_which_averages_ties(tied, k):
    scores, answers = tied
    truth = np.eye(25)[answers.numpy() - 1]
    sklearn = [ndcg_score(truth[[i]], scores.numpy()[[i]], k=k) for i in range(len(truth))]
    np.testing.assert_allclose(ndcg(target_ranks(scores, answers), k, "expected"), sklearn, rtol=1e-12, atol=1e-15)

@pytest.mark.parametrize("ties", TIES)
def test_without_ties_every_convention_is_a_sort(ties):
    scores = torch.rand(30, 50, generator=torch.Generator().manual_seed(0)).double()
    answers = torch.randint(1, 51, (30,), generator=torch.Generator().manual_seed(1))
    place = np.array([row.argsort(descending=True).tolist().index(a - 1) for row, a in zip(scores, answers.tolist())])
    ranks = target_ranks(scores, answers)
    np.testing.assert_array_equal(hit_rate(ranks, 10, ties), place < 10)
    np.testing.assert_allclose(mrr(ranks, ties), 1 / (place + 1), rtol=1e-12)
    np.testing.assert_allclose(ndcg(ranks, 10, ties), (place < 10) / np.log2(place + 2), rtol=1e-12)

def test_expected_is_the_mean_over_the_tied_places_and_lies_between(tied):
    ranks = target_ranks(*tied)
    for measure in (lambda t: hit_rate(ranks, 5, t), lambda t: ndcg(ranks, 5, t), lambda t: mrr(ranks, t)):
        low, middle, high = map(measure, TIES)
        assert (low <= middle + 1e-12).all() and (middle <= high + 1e-12).all() and low.mean() < middle.mean() < high.mean()
    by_hand = [np.mean([p < 5 for p in range(b, b + t + 1)]) for b, t in zip(*ranks)]
    np.testing.assert_allclose(hit_rate(ranks, 5), by_hand, rtol=1e-12)

def test_seen_items_do_not_compete_and_a_seen_answer_is_a_miss(tied):
    scores, answers = tied
    again = np.arange(len(answers)) % 2 == 0 # every other user has met the answer before; 0 is padding
    new = torch.where(answers > 2, answers, 3) # 1 and 2 are seen by everybody
    seen = [[1, 2, 0, a] if met else [1, 2, 0] for a, met in zip(new.tolist(), again)]
    ranks = target_ranks(scores, new, seen)
    np.testing.assert_array_equal(ranks.hidden, again)
    for row, answer in enumerate(new.tolist()):
        if again[row]: continue
        rivals = [scores[row, j - 1] for j in range(3, 26) if j != answer]
        assert ranks.better[row] == sum(s > scores[row, answer - 1] for s in rivals)
        assert ranks.tied[row] == sum(s == scores[row, answer - 1] for s in rivals)
    for ties in TIES: # a miss earns exactly nothing, in every measure
        for earned in (hit_rate(ranks, 25, ties), ndcg(ranks, 25, ties), mrr(ranks, ties)):
            assert (earned[again] == 0).all() and (earned[~again] > 0).all()

def test_an_extra_column_competes_but_is_never_recommended(synthetic):
    n, users = synthetic.n_items, synthetic.n_users
    plain = torch.rand(users, n, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([plain, torch.full((users, 1), 2.0)], dim=1)
    a, b = (evaluate(Fixed(s), synthetic, ks=(5,)).ranks for s in (plain, padded))
    np.testing.assert_array_equal(b.better, a.better + 1)
    batch = next(evaluation_batches(synthetic))[0]
    assert torch.equal(top_items(Fixed(plain), batch, 5, n)[1], top_items(Fixed(padded), batch, 5, n)[1])


# --- the whole evaluation

def test_batches_bound_the_memory_and_do_not_change_the_result(movies):
    scores = torch.rand(movies.n_users, movies.n_items, generator=torch.Generator().manual_seed(0))
    small, large = Fixed(scores), Fixed(scores)
    a, b = (evaluate(system, movies, users_per_batch=n, likelihood=False) for system, n in ((small, 100), (large, 1000)))
    assert max(len(batch.users) for batch in small.batches) == 100 and len(large.batches) == 1
    assert a.metrics == b.metrics
    np.testing.assert_array_equal(a.user_rows, np.arange(movies.n_users))
    answers = torch.from_numpy(movies.items[movies.offsets[1:] - 1])
    np.testing.assert_array_equal(a.ranks.better, target_ranks(scores, answers).better) # users are back in their order

def test_result_has_the_keys_of_the_command_line(movies):
    found = evaluate(Popularity().fit(movies), movies).as_dict()
    assert {"HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20", "MRR", "log rank", "NLL", "users", "split", "ties"} <= set(found)
    assert found["users"] == 938 and found["split"] == "test" and found["ties"] == "expected"

@pytest.mark.parametrize("split, cut", [("test", 1), ("validation", 2)])
def test_the_filter_reaches_further_back_than_the_window(movies, split, cut):
    user = int(np.argmax(movies.lengths))
    early, answer = movies.sequence(user)[0], movies.sequence(user)[-cut]
    scores = torch.zeros(movies.n_users, movies.n_items)
    scores[user, early - 1], scores[user, answer - 1] = 2, 1 # only an item from long ago stands above the answer
    assert evaluate(Fixed(scores), movies, split).ranks.better[user] == 1
    assert evaluate(Fixed(scores), movies, split, filter_seen=True).ranks.better[user] == 0

def test_same_seed_same_result_and_modes_come_back(synthetic):
    system = Noisy(synthetic.n_items).train()
    system.frozen.eval()
    a, b, c = (evaluate(system, synthetic, seed=s).metrics for s in (1, 1, 2))
    assert a == b != c
    assert system.training and system.dropout.training and not system.frozen.training

def test_modes_come_back_after_an_error(synthetic):
    system = Noisy(3).train() # too few columns
    with pytest.raises(InputError, match=r"Noisy\.score gave shape"): evaluate(system, synthetic)
    assert system.training and system.dropout.training and torch.is_grad_enabled()

@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_by_name(synthetic, bad):
    scores = torch.zeros(synthetic.n_users, synthetic.n_items)
    scores[17, 4] = bad
    with pytest.raises(InputError, match="item 5 for user row 17.*finite"): evaluate(Fixed(scores), synthetic)
    with pytest.raises(InputError, match="must be finite"): top_items(Fixed(scores[17:18]), history_batch([[1]]), 5, synthetic.n_items)

@pytest.mark.parametrize("wrong, message", [
    (dict(ties="expectd"), "Did you mean 'expected'"), (dict(average="user"), "Did you mean 'users'"), (dict(split="tests"), "Did you mean 'test'"),
    (dict(ks=(5, 61)), "k = 61 is impossible: synthetic has 60 items"), (dict(ks=(0,)), "k = 0 is impossible")])
def test_wrong_choices_are_named(synthetic, wrong, message):
    with pytest.raises(InputError, match=message): evaluate(Popularity().fit(synthetic), synthetic, **wrong)

def test_batch_means_weigh_the_last_batch_more():
    values = np.random.default_rng(0).random(1100)
    assert _average_metric(values) == pytest.approx(values.mean())
    by_hand = (values[:512].mean() + values[512:1024].mean() + values[1024:].mean()) / 3
    assert _average_metric(values, "batches") == pytest.approx(by_hand)


# --- answers that were seen before

SYSTEM_NAMES = [*BASELINES, "sasrec", "adrec", "dreamrec", "diffurec"]

def system_on(name, data):
    if name in BASELINES: return BASELINES[name]().fit(data)
    torch.manual_seed(0)
    return SYSTEMS[name](data.n_items, dim=8, max_length=50)

@pytest.mark.parametrize("split", ["test", "validation"])
@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_a_list_without_seen_items_never_holds_a_seen_answer(name, split):
    data = repeats(1.0)
    found = evaluate(system_on(name, data), data, split, filter_seen=True)
    assert found.metrics.pop("log rank") == pytest.approx(np.log(data.n_items)), "a miss stands at the very end"
    assert set(found.metrics.values()) == {0.0} and found.hidden_answers == data.n_users
    assert found.users == data.n_users # nobody is left out
    assert evaluate(system_on(name, data), data, split).hidden_answers == 0 # without the filter nothing is hidden

@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_some_answers_seen_before_against_brute_force(name):
    data = repeats(0.4)
    system = system_on(name, data)
    found = evaluate(system, data, ks=(5, 40), filter_seen=True, seed=3)
    (batch, answers), = evaluation_batches(data, users_per_batch=data.n_users)
    with torch.no_grad():
        if name not in BASELINES: system.eval()
        scores = system.score(batch, torch.Generator().manual_seed(3)).double().numpy()
    hits, hidden, ranked = np.zeros(data.n_users), 0, np.zeros(data.n_users)
    for row, user, answer in zip(scores, batch.users.tolist(), answers.tolist()):
        seen = set(data.sequence(user)[:-1].tolist())
        if answer in seen:
            hidden += 1
            continue
        rivals = [row[j - 1] for j in range(1, data.n_items + 1) if j not in seen and j != answer]
        better, level = (int(sum(compare(r, row[answer - 1]) for r in rivals)) for compare in (np.greater, np.equal))
        hits[user] = np.mean([place < 5 for place in range(better, better + level + 1)])
        ranked[user] = np.mean([1 / (place + 1) for place in range(better, better + level + 1)])
    assert 0 < hidden == found.hidden_answers < data.n_users
    np.testing.assert_allclose(found.per_user["HR@5"], hits, atol=1e-12)
    np.testing.assert_allclose(found.per_user["MRR"], ranked, atol=1e-12)
    assert found.metrics["HR@40"] == pytest.approx(1 - hidden / data.n_users) # everything that is listed is on a page of 40
    note, = (n for n in evaluation_notes(found.as_dict()) if "seen before" in n)
    assert note.startswith(f"{hidden} of {data.n_users} answers") and "misses" in note

@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("name", ["sasrec", "adrec", "dreamrec", "diffurec"])
def test_the_hit_rate_is_what_the_recommended_list_holds(name, k):
    data = repeats(0.4, seed=1)
    system = system_on(name, data)
    (batch, answers), = evaluation_batches(data, users_per_batch=data.n_users)
    seen = [data.sequence(user)[:-1] for user in batch.users.tolist()]
    _, best = top_items(system, batch, k, data.n_items, True, torch.Generator().manual_seed(0), seen)
    share = (best == answers[:, None]).any(1).double().mean().item()
    assert evaluate(system, data, ks=(k,), filter_seen=True).metrics[f"HR@{k}"] == pytest.approx(share)


# --- how likely the answer was

def by_brute_force(scores, answers):
    "The best inverse temperature and its mean loss, by a search that knows no derivative."
    def loss(beta): return -torch.log_softmax(beta * scores.double(), 1)[torch.arange(len(answers)), answers - 1].mean().item()
    found = optimize.minimize_scalar(lambda log_beta: loss(np.exp(log_beta)), bounds=(-12, 8), method="bounded", options={"xatol": 1e-10})
    return np.exp(found.x), found.fun

@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("informed", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_best_one(informed, scale, dtype):
    g = torch.Generator().manual_seed(0)
    scores, answers = torch.randn(300, 40, generator=g), torch.randint(1, 41, (300,), generator=g)
    scores[torch.arange(300), answers - 1] += informed
    scores = (scale * scores).to(dtype)
    beta, loss = by_brute_force(scores, answers)
    found = fit_temperature(scores, answers)
    assert 1 / found == pytest.approx(beta, rel=1e-4) and answer_nll(scores, answers, found).mean() == pytest.approx(loss, abs=1e-5)
    assert loss < np.log(40)

def test_likelihoods_match_torch_and_never_fall_below_zero(tied):
    scores, answers = tied
    for t in (0.01, 1, 50): # the answer's own term is exp(0), so no rounding makes a probability above 1
        want = torch.nn.functional.cross_entropy(scores.double() / t, answers - 1, reduction="none")
        np.testing.assert_allclose(answer_nll(scores, answers, t), want, rtol=1e-5, atol=1e-5)
    assert (answer_nll(1e6 * torch.eye(25)[answers - 1], answers) == 0).all() and np.isfinite(answer_nll(-1e30 * torch.eye(25)[answers - 1], answers)).all()

@pytest.mark.parametrize("scores", [torch.zeros(30, 7), torch.full((30, 7), -1e9), -torch.eye(7)[torch.arange(30) % 7]])
def test_scores_that_know_nothing_have_an_infinite_temperature(scores):
    answers = torch.arange(30) % 7 + 1
    assert fit_temperature(scores, answers) == np.inf
    np.testing.assert_allclose(answer_nll(scores, answers, np.inf), np.log(7), rtol=1e-6)

def test_who_is_always_right_gets_a_finite_temperature():
    answers = torch.arange(30) % 7 + 1
    found = fit_temperature(torch.eye(7)[answers - 1], answers)
    assert 0 < found < 0.1 and answer_nll(torch.eye(7)[answers - 1], answers, found).max() < 1e-6
    assert np.isfinite(answer_nll(torch.zeros(30, 7).index_fill(1, torch.tensor([0]), 1), answers, found)).all()

@pytest.mark.parametrize("name", SYSTEM_NAMES)
@pytest.mark.parametrize("split", ["test", "validation"])
def test_the_likelihood_takes_nothing_from_the_ranks(name, split, movies):
    data = repeats(0.0)
    system = system_on(name, data)
    plain, both = (evaluate(system, data, split, seed=3, likelihood=likelihood) for likelihood in (False, True))
    assert "NLL" not in plain.metrics and plain.temperature is None and plain.as_dict()["inverse_temperature"] is None
    assert {k: v for k, v in both.metrics.items() if k != "NLL"} == plain.metrics, "bit by bit"
    for a, b in zip(plain.ranks, both.ranks): np.testing.assert_array_equal(a, b)
    batch, answers = next(evaluation_batches(data, split, users_per_batch=data.n_users))
    with torch.no_grad():
        if name not in BASELINES: system.eval()
        scores = system.score(batch, torch.Generator().manual_seed(3)).double() / both.temperature
    want = torch.nn.functional.cross_entropy(scores, answers - 1, reduction="none").numpy()[np.argsort(batch.users.numpy())]
    np.testing.assert_allclose(both.per_user["NLL"], want, rtol=1e-4)
    assert both.metrics["NLL"] == pytest.approx(want.mean(), rel=1e-4) and both.as_dict()["inverse_temperature"] == pytest.approx(1 / both.temperature)

def test_the_temperature_is_that_of_the_validation_answers_and_does_not_see_the_test(movies):
    system = BASELINES["itemknn"]().fit(movies)
    found = evaluate(system, movies)
    batch, answers = next(evaluation_batches(movies, "validation", users_per_batch=movies.n_users))
    assert found.temperature == pytest.approx(fit_temperature(system.score(batch), answers), rel=1e-9)
    best = min(evaluate(system, movies, temperature=float(t)).metrics["NLL"] for t in np.geomspace(0.5, 2, 9) * found.temperature)
    assert 0 <= found.metrics["NLL"] - best < 0.01, "near the best on the test answers, without having seen them"

def test_a_temperature_that_is_given_is_used_as_it_is(synthetic):
    system = Popularity().fit(synthetic)
    for t in (2, 2.5, np.float32(2.5), np.inf):
        found = evaluate(system, synthetic, temperature=t)
        assert found.temperature == t and ("NLL" in protocol_text(found.as_dict()))
    assert found.metrics["NLL"] == pytest.approx(np.log(60)) and found.as_dict()["inverse_temperature"] == 0
    assert any("that of guessing" in note for note in evaluation_notes(found.as_dict())) and json.loads(json.dumps(found.as_dict(), allow_nan=False))
    once = Fixed(torch.rand(synthetic.n_users, 60))
    evaluate(once, synthetic, temperature=1.0)
    assert sum(len(batch.users) for batch in once.batches) == synthetic.n_users, "nothing had to be fitted"

@pytest.mark.parametrize("wrong, message", [
    (dict(temperature=0), "must be above 0"), (dict(temperature=-1.0), "must be above 0"), (dict(temperature=np.nan), "must be above 0"), (dict(temperature="1"), "must be a number"),
    (dict(temperature=True), "must be a number"), (dict(temperature=1.0, likelihood=False), "likelihood=False"), (dict(temperature=1.0, filter_seen=True), "filter_seen=True")])
def test_impossible_temperatures_are_refused(synthetic, wrong, message):
    with pytest.raises(InputError, match=message): evaluate(Popularity().fit(synthetic), synthetic, **wrong)

def test_a_filtered_list_has_no_likelihood_and_says_so(synthetic):
    found = evaluate(Popularity().fit(synthetic), synthetic, filter_seen=True)
    assert "NLL" not in found.metrics and found.temperature is None and any("no NLL" in note for note in evaluation_notes(found.as_dict()))
    assert not any("no NLL" in note for note in evaluation_notes(evaluate(Popularity().fit(synthetic), synthetic).as_dict()))

def test_the_fit_uses_users_who_have_a_validation_answer_and_a_bounded_sample(synthetic, monkeypatch):
    short = sequences([1, 2], [3, 4], n_items=5)
    with pytest.raises(InputError, match="nobody has a validation answer.*likelihood=False"): evaluate(Gives(lambda b: torch.rand(b, 5)), short)
    assert evaluate(Gives(lambda b: torch.zeros(b, 5)), short, likelihood=False).users == 2
    for limit, most in (("_FITTED_USERS", 50), ("_FITTED_SCORES", 50 * synthetic.n_items)):
        with monkeypatch.context() as m:
            m.setattr(ranking, limit, most)
            system = Fixed(torch.rand(synthetic.n_users, 60, generator=torch.Generator().manual_seed(0)))
            first, again, other = (evaluate(system, synthetic, seed=seed).temperature for seed in (0, 0, 1))
            assert first == again != other and sum(len(batch.users) for batch in system.batches) == 3 * (50 + synthetic.n_users)

def test_batches_do_not_change_the_likelihood(movies):
    system = Popularity().fit(movies)
    assert evaluate(system, movies, users_per_batch=100).metrics == evaluate(system, movies, users_per_batch=1000).metrics


# --- log rank, and how a metric is written

@pytest.mark.parametrize("ties", TIES)
def test_log_rank_by_brute_force(tied, ties):
    ranks = target_ranks(*tied)
    ranks = TargetRanks(np.where(np.arange(40) == 7, np.iinfo(np.int64).max, ranks.better), np.where(np.arange(40) == 7, 0, ranks.tied))
    places = [[25] if h else range(b + 1, b + t + 2) for b, t, h in zip(*ranks, ranks.hidden)]
    want = [{"pessimistic": np.log(max(p)), "optimistic": np.log(min(p)), "expected": np.mean(np.log(p))}[ties] for p in places]
    np.testing.assert_allclose(log_rank(ranks, 25, ties), want, rtol=1e-12)

def test_metrics_of_stored_ranks_in_any_shape(tied):
    ranks = target_ranks(*tied)
    flat = rank_metrics(ranks, 25, (5, 10), "optimistic")
    square = rank_metrics(TargetRanks(*(part.reshape(4, 10) for part in ranks)), 25, (5, 10), "optimistic")
    assert list(flat) == list(square) == metric_names(flat)
    for name in flat: np.testing.assert_array_equal(flat[name].reshape(4, 10), square[name])

def test_how_metrics_are_written():
    assert [metric_text(name, 0.12345) for name in ("HR@3", "NDCG@20", "MRR", "log rank", "NLL")] == ["12.35 %"] * 3 + ["0.123 nats"] * 2
    assert metric_scale("NDCG@5").write(-0.01, "+") == "-1.00" and metric_scale("NLL").write(0.0794, "+") == "+0.079"
    assert [metric_scale(name).better for name in ("HR@3", "NDCG@20", "MRR", "log rank", "NLL")] == [1, 1, 1, -1, -1]
    assert metric_names({"MRR": 0, "users": 1, "NLL": 2, "HR@9": 3, "split": 4}) == ["MRR", "NLL", "HR@9"]


# --- which window

class Reads: # says what it was shown
    def __init__(self, **attributes): self.__dict__ = {"shown": 0, **attributes}
    def score(self, batch, generator):
        self.shown = max(self.shown, batch.history.shape[1])
        return torch.zeros(len(batch.history), 200)

@pytest.mark.parametrize("attributes, asked, shown", [({}, None, 50), ({}, 90, 90), ({"max_length": None}, 3, 3),
                                                 ({"max_length": 10}, None, 10), ({"max_length": 10}, 4, 4), ({"max_length": 80}, None, 80)])
def test_a_system_is_shown_its_own_window(attributes, asked, shown):
    data, system = sequences(range(1, 121), range(1, 8), n_items=120), Reads(**attributes)
    found = evaluate(system, data, max_length=asked)
    assert (system.shown, found.max_length, found.as_dict()["max_length"]) == (shown, shown, shown)

@pytest.mark.parametrize("attributes, asked, message", [({"max_length": 10}, 11, "max_length = 11 is impossible: this Reads reads the 10 most recent"),
    ({}, 0, "from 1 up, not 0"), ({}, -3, "not -3"), ({}, 2.5, "not 2.5"), ({}, True, "not True"), ({"max_length": "ten"}, None, "Reads.max_length must be.*'ten'")])
def test_impossible_windows_are_refused(attributes, asked, message):
    system = Reads(**attributes)
    with pytest.raises(InputError, match=message): evaluate(system, sequences(range(1, 121), n_items=120), max_length=asked)
    assert system.shown == 0

def test_a_batch_longer_than_the_window_is_refused_not_an_index_error():
    batch = history_batch([range(1, 16)])
    with pytest.raises(InputError, match="reads the 4 most recent items"): top_items(SYSTEMS["sasrec"](30, dim=8, max_length=4), batch, 5, 30)


# --- few items, cold answers, and everything that can be asked wrongly

@pytest.mark.parametrize("n_items, ks, left_out", [(20, (5, 10, 20), ()), (19, (5, 10), (20,)), (15, (5, 10), (20,)), (9, (5,), (10, 20)), (3, (), (5, 10, 20)), (1, (), (5, 10, 20))])
def test_cut_offs_that_do_not_fit_are_left_out_and_said(n_items, ks, left_out):
    data = sequences([1] * 4, [n_items, 1, n_items, 1], n_items=n_items)
    found = evaluate(Popularity().fit(data), data)
    assert list(found.metrics) == [f"{m}@{k}" for k in ks for m in ("HR", "NDCG")] + ["MRR", "log rank", "NLL"]
    assert found.left_out == left_out and found.as_dict()["left_out"] == list(left_out)
    assert any(f"fewer than {min(left_out, default=0)} items" in note for note in evaluation_notes(found.as_dict())) == bool(left_out)
    assert list(interval_table({"p": found}).columns.levels[0]) == sorted(metrics_that_fit(("HR@20", "NDCG@20"), n_items))

@pytest.mark.parametrize("asked, n_items, found", [("NDCG@20", 20, "NDCG@20"), ("NDCG@20", 19, "NDCG@10"), ("HR@20", 9, "HR@5"), ("HR@5", 15, "HR@5"), ("NDCG@10", 4, "MRR"), ("MRR", 1, "MRR")])
def test_the_largest_cut_off_that_fits(asked, n_items, found): assert metrics_that_fit((asked,), n_items) == (found,)

def test_a_missing_metric_is_a_gap_in_the_table_and_one_that_nobody_has_is_refused(synthetic):
    both = {"five": evaluate(Popularity().fit(synthetic), synthetic, ks=(5,)), "all": evaluate(Popularity().fit(synthetic), synthetic)}
    table = interval_table(both, ("HR@5", "HR@20"))
    assert table.loc["five", "HR@20"].isna().all() and table.loc["all"].notna().all() and table["HR@5"].notna().all().all()
    with pytest.raises(InputError, match="unknown metric 'HR@7'"): interval_table(both, ("HR@7",))

@pytest.mark.parametrize("split", ["test", "validation"])
def test_cold_answers_are_counted(split):
    data = sequences([1, 2, 3, 9], [2, 1, 9, 1], [1, 3, 8, 7], [3, 2, 2, 2], n_items=9) # trained: 1, 2, 3
    trained = {item for user in range(4) for item in data.sequence(user)[:-2]}
    count = sum(data.sequence(user)[-1 if split == "test" else -2] not in trained for user in range(4))
    found = evaluate(Popularity().fit(data), data, split)
    assert found.cold_answers == found.as_dict()["cold_answers"] == count == 2
    assert f"{count} of 4 answers are items that no training sequence holds" in evaluation_notes(found.as_dict())

@pytest.mark.parametrize("ks", [(0,), (-5,), (2.0,), ("5",), (True,), (5, 61), (None,)])
def test_impossible_cut_offs_are_named(synthetic, ks):
    with pytest.raises(InputError, match="is impossible: synthetic has 60 items, so k is a whole number from 1 to 60"): evaluate(Popularity().fit(synthetic), synthetic, ks=ks)

@pytest.mark.parametrize("ks", [5, "5", b"5"])
def test_cut_offs_are_several(synthetic, ks):
    with pytest.raises(InputError, match="several numbers"): evaluate(Popularity().fit(synthetic), synthetic, ks=ks)

def test_cut_offs_given_twice_or_by_numpy_count_once(synthetic):
    found = evaluate(Popularity().fit(synthetic), synthetic, ks=np.array([7, 3, 7])).metrics
    assert list(found) == ["HR@7", "NDCG@7", "HR@3", "NDCG@3", "MRR", "log rank", "NLL"]

@pytest.mark.parametrize("size", [0, -1, 2.5, None, True])
def test_impossible_batch_sizes_are_refused(synthetic, size):
    with pytest.raises(InputError, match="users_per_batch must be a whole number from 1 up"): evaluate(Popularity().fit(synthetic), synthetic, users_per_batch=size)

def test_empty_and_short_data_are_refused():
    with pytest.raises(InputError, match="no users"): evaluate(Reads(), sequences(n_items=5))
    short = sequences([1, 2, 3], [4, 5], n_items=5)
    with pytest.raises(InputError, match="user 'u1' has 2 items; the validation split needs 3"): evaluate(Reads(), short, "validation")
    assert evaluate(Reads(), short).users == 2 # the test split can do with one item before the answer
    with pytest.raises(InputError, match="there is no device 'nowhere'"): evaluate(Reads(), short, device="nowhere")

class Gives: # a system of somebody's own, without anything but `score`
    def __init__(self, answer): self.answer = answer
    def score(self, batch, generator): return self.answer(len(batch.history))

@pytest.mark.parametrize("answer, message", [
    (lambda b: torch.zeros(b), r"shape \(\d+,\), want \(\d+, 60\)"), (lambda b: torch.zeros(b, 59), r"want \(\d+, 60\)"), (lambda b: torch.zeros(b + 1, 60), r"want \(\d+, 60\)"),
    (lambda b: torch.zeros(b, 1, 60), r"want \(\d+, 60\)"), (lambda b: np.zeros((b, 60)), r"a ndarray; want a torch.Tensor of shape \(\d+, 60\)"),
    (lambda b: None, "a NoneType; want a torch.Tensor"), (lambda b: torch.zeros(b, 60, dtype=torch.complex64), "complex")])
def test_scores_of_another_kind_are_refused_by_name(synthetic, answer, message):
    with pytest.raises(InputError, match=f"Gives.score gave .*{message}"): evaluate(Gives(answer), synthetic)

@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float16, torch.float64])
def test_scores_of_any_real_type_are_ranked(synthetic, dtype):
    system = Gives(lambda b: torch.arange(60).flip(0).expand(b, -1).to(dtype))
    for filter_seen in (False, True): assert evaluate(system, synthetic, filter_seen=filter_seen).users == synthetic.n_users

@pytest.mark.parametrize("system, message", [(object(), r"object cannot be ranked: it has no method score\(batch, generator\)"), (Popularity, "Popularity is a class"),
    (type("Short", (), {"score": lambda self, batch: None})(), "Short.score must take two arguments")])
def test_what_is_no_system_is_told_what_is_missing(synthetic, system, message):
    with pytest.raises(InputError, match=message): evaluate(system, synthetic)

class Complete(torch.nn.Module): # everything that the protocols ask for
    def score(self, batch, generator=None): return torch.zeros(len(batch.history), 60)
    def item_embeddings(self): return None
    def losses(self, batch, generator=None): return {"nothing": (torch.zeros(()), 1)}

def without(name): return type("Part", (torch.nn.Module,), {k: v for k, v in vars(Complete).items() if k in ("score", "item_embeddings", "losses") and k != name})()

def test_what_a_protocol_asks_for_is_enough(synthetic):
    whole = Complete()
    assert isinstance(whole, System) and isinstance(whole, TrainableSystem)
    check_system(whole, trained=True)
    assert evaluate(without("item_embeddings"), synthetic).users == synthetic.n_users # ranked without vectors
    for name in SYSTEM_NAMES:
        system = system_on(name, synthetic)
        assert isinstance(system, System) and isinstance(system, TrainableSystem) == (name not in BASELINES)
        if name not in BASELINES: check_system(system, trained=True)

@pytest.mark.parametrize("name, call", [("score", "score(batch, generator)"), ("losses", "losses(batch, generator)"), ("item_embeddings", "item_embeddings()")])
def test_what_cannot_be_trained_is_told_what_is_missing(name, call):
    assert not isinstance(without(name), TrainableSystem)
    with pytest.raises(InputError) as error: check_system(without(name), trained=True)
    assert str(error.value) == f"Part cannot be trained: it has no method {call}"

def test_training_needs_a_module_and_the_right_arguments():
    plain = type("Plain", (), {k: getattr(Complete, k) for k in ("score", "item_embeddings", "losses")})()
    with pytest.raises(InputError, match="Plain cannot be trained: it is no torch.nn.Module"): check_system(plain, trained=True)
    short = type("Short", (Complete,), {"losses": lambda self, batch: {}})()
    check_system(short) # it can be ranked
    with pytest.raises(InputError, match=r"Short.losses must take two arguments, losses\(batch, generator\)"): check_system(short, trained=True)
    with pytest.raises(InputError, match="no method score.* and no losses.* and no item_embeddings"): check_system(object(), trained=True)

@pytest.mark.parametrize("k", [2.0, True, "5", -1])
def test_impossible_list_lengths_are_refused(k):
    with pytest.raises(InputError, match="whole number from 1 to 60"): top_items(Fixed(torch.zeros(1, 60)), history_batch([[1, 2]]), k, 60)


# --- recommendations

@pytest.mark.parametrize("filter_seen", [False, True])
def test_top_items_match_a_sort(synthetic, filter_seen):
    n = synthetic.n_items
    scores = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (3, n)).astype(float))
    histories = [[1, 2, 3], [5], [60, 59]]
    best, items = top_items(Fixed(scores), history_batch(histories), 7, n, filter_seen)
    for row, history in enumerate(histories):
        left = [j for j in range(1, n + 1) if not (filter_seen and j in history)]
        want = sorted(left, key=lambda j: (-scores[row, j - 1], j))[:7]
        assert items[row].tolist() == want and best[row].tolist() == [scores[row, j - 1] for j in want]

def test_top_items_hide_what_the_window_forgot(synthetic):
    scores = torch.arange(60.0, 0, -1)[None] # item 1 is best
    batch = history_batch([[1, 2, 3, 4]], max_length=2)
    assert top_items(Fixed(scores), batch, 2, 60)[1].tolist() == [[1, 2]]
    assert top_items(Fixed(scores), batch, 2, 60, seen=[[1, 2, 3, 4]])[1].tolist() == [[5, 6]]

@pytest.mark.parametrize("k, message", [(61, "catalogue has 60 items"), (0, "catalogue has 60 items"), (59, "only 58 left")])
def test_too_many_recommendations_are_refused(k, message):
    with pytest.raises(InputError, match=message): top_items(Fixed(torch.zeros(1, 60)), history_batch([[1, 2]]), k, 60)


# --- intervals

def test_interval_over_users_is_the_normal_one():
    values = np.random.default_rng(0).random(500)
    low, high = stats.norm.interval(0.9, values.mean(), stats.sem(values))
    found = confidence_interval(values, level=0.9)
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high) and found.standard_error == pytest.approx(stats.sem(values))

def test_an_interval_over_users_needs_two():
    with pytest.raises(InputError, match="at least two users"): confidence_interval(np.array([0.5]))


def test_interval_table_is_in_percent_and_keeps_the_order(synthetic):
    evaluations = {name: evaluate(BASELINES[name]().fit(synthetic), synthetic) for name in ("markov", "popularity")}
    table = interval_table(evaluations)
    assert list(table.index) == ["markov", "popularity"]
    assert table.loc["markov", ("HR@20", "mean")] == pytest.approx(100 * evaluations["markov"].metrics["HR@20"])
    assert (table["HR@20"].low < table["HR@20"]["mean"]).all() and (table["HR@20"]["mean"] < table["HR@20"].high).all()


# --- what a notebook shows

def test_an_evaluation_shows_numbers_protocol_and_notes():
    found = evaluate(Popularity().fit(data := repeats(0.4)), data, filter_seen=True, ties="pessimistic")
    page, interval = found._repr_html_(), confidence_interval(found.per_user["HR@10"])
    for text in (f"{100 * interval.mean:.2f}", f"{100 * interval.low:.2f} to {100 * interval.high:.2f}", "60 users, test answers", protocol_text(found.as_dict()), *evaluation_notes(found.as_dict())): assert text in page
    assert repr(found).startswith("Evaluation(60 users, test: HR@5 ") and len(repr(found)) < 200
    assert "mean over batches of users" in evaluate(Popularity().fit(data), data, average="batches")._repr_html_()

def test_one_user_has_no_interval_but_is_shown():
    data = sequences([1, 2, 3], n_items=5)
    assert "95 %" not in evaluate(Popularity().fit(data), data)._repr_html_()

@pytest.mark.parametrize("ties, text", [("pessimistic", "worst"), ("expected", "average"), ("optimistic", "best")])
def test_the_protocol_in_words(ties, text):
    found = protocol_text(dict(ties=ties, filter_seen=False))
    assert found.startswith(f"leave-one-out; ties: {ties} (an answer takes the {text}") and found.endswith("seen items not filtered")
    assert protocol_text(dict(ties=ties, filter_seen=True, max_length=7)).endswith("(an answer among them is a miss); the last 7 items of a history are read")
