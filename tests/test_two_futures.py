"The small world with two futures: what can be computed about it exactly, whatever a training finds."
import math

import numpy as np
import pytest
import torch
from scipy.special import i0, i1

from adrec.baselines import DreamRec
from adrec.checks import InputError
from adrec.data import history_batch
from adrec.model import ADRec
from adrec.ranking import evaluate
from adrec.sasrec import SASRec, last_real
from adrec.two_futures import (
    best_softmax,
    circle_table,
    fix_items,
    recall_of_mean,
    two_futures_data,
)

def chances(moves, items=60):
    "What comes behind each item, (N, N), from {move: probability}."
    return sum(p * np.roll(np.eye(items), move, axis=1) for move, p in moves.items())


COIN, JUMP, ALWAYS = chances({10: 1/2, -10: 1/2}), chances({0: 2/3, 20: 1/6, -20: 1/6}), chances({10: 1.0})


# ---- the data

@pytest.mark.parametrize("items, step, length", [(60, 10, 5), (7, 2, 3), (12, 5, 9)])
def test_every_step_is_a_fair_coin_from_any_item(items, step, length):
    data = two_futures_data(users=4000, items=items, step=step, length=length, seed=3)
    walks = data.items.reshape(4000, length)
    assert (data.n_users, data.n_items) == (4000, items) and data.items.min() == 1 and data.items.max() == items
    moves = np.diff(walks) % items
    assert set(np.unique(moves)) == {step, items - step}
    ups = moves == step
    assert abs(ups.mean() - 0.5) < 4 * np.sqrt(0.25 / ups.size)
    if length > 3: assert abs((ups[:, 0] == ups[:, 1]).mean() - 0.5) < 4 * np.sqrt(0.25 / 4000), "the past should not matter"
    starts = np.bincount(walks[:, 0], minlength=items + 1)[1:]
    assert abs(starts - 4000 / items).max() < 5 * np.sqrt(4000 / items)


def test_the_same_seed_gives_the_same_walks():
    first, again, other = (two_futures_data(users=20, seed=s).fingerprint() for s in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("wrong", [dict(step=30), dict(step=0), dict(step=60), dict(users=0), dict(length=2)])
def test_a_world_without_two_futures_is_refused(wrong):
    with pytest.raises(InputError, match="two futures: needs"): two_futures_data(**wrong)


# ---- the table

def test_items_stand_evenly_on_a_circle():
    table = circle_table(items=8, dim=5, radius=3)
    angles = np.radians(45) * np.subtract.outer(np.arange(8), np.arange(8))
    np.testing.assert_allclose(table @ table.T, 9 * np.cos(angles), atol=1e-12)
    assert table.shape == (8, 5) and not table[:, 2:].any()
    with pytest.raises(InputError, match="at least 2"): circle_table(dim=1)


@pytest.mark.parametrize("system", [SASRec, ADRec, DreamRec])
def test_fixed_items_stay_while_the_rest_learns(system):
    torch.manual_seed(0)
    table = circle_table(items=60, dim=8)
    model = fix_items(system(60, dim=8, heads=2), table)
    moving = [w for w in model.parameters() if w.requires_grad]
    before, optimizer = [w.clone() for w in moving], torch.optim.Adam(moving, lr=0.1)
    batch = history_batch([[1, 11], [5, 55]])
    batch = type(batch)(batch.users, batch.history, batch.lengths, torch.tensor([[11, 21], [55, 45]]))
    sum(a / b for a, b in model.losses(batch, torch.Generator().manual_seed(0)).values()).backward()
    optimizer.step()
    np.testing.assert_allclose(model.item_embeddings().detach(), table, rtol=1e-6)
    assert not model.item_embedding.weight[0].any(), "the padding row should stay zero"
    assert all((w != old).any() for w, old in zip(moving, before) if w.grad is not None and w.grad.any())


# ---- what a loss can see

@pytest.mark.parametrize("loss", ["cross-entropy", "squared error"])
@pytest.mark.parametrize("future, equal", [(JUMP, True), (ALWAYS, False)])
def test_a_gradient_sees_the_mean_of_the_future_alone(loss, future, equal):
    torch.manual_seed(1)
    model = fix_items(SASRec(60, dim=16, heads=2, dropout=0, embedding_dropout=0).double(), circle_table(dim=16, radius=2))
    E, batch = model.item_embeddings(), history_batch([[i] for i in range(1, 61)])
    learning = [w for w in model.parameters() if w.requires_grad]

    def gradient(p):
        p, answer = torch.tensor(p), model.represent(batch)
        if loss == "cross-entropy": value = -(p * (answer @ E.T).log_softmax(-1)).sum()
        else: value = (p * (answer[:, None] - E).square().sum(-1)).sum()
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, learning)])
    one, other = gradient(COIN), gradient(future)
    assert ((one - other).norm() < 1e-10 * one.norm()) == equal


# ---- the best that one vector can do

@pytest.mark.parametrize("present", [0, 17])
@pytest.mark.parametrize("radius", [1.0, 20.0])
def test_the_best_softmax_is_von_mises(present, radius):
    table = circle_table(radius=radius)
    x_hat, p, nll = best_softmax(table, COIN[present])
    kappa = radius * np.linalg.norm(x_hat)
    assert kappa == pytest.approx(1.1593, abs=1e-4) and i1(kappa) / i0(kappa) == pytest.approx(0.5, abs=1e-6)
    angles = 2 * np.pi * (np.arange(60) - present) / 60
    np.testing.assert_allclose(p, np.exp(kappa * np.cos(angles)) / np.exp(kappa * np.cos(angles)).sum(), atol=1e-7)
    np.testing.assert_allclose(p @ table, COIN[present] @ table, atol=1e-6 * radius)
    assert nll == pytest.approx(math.log(60 * i0(kappa)) - kappa / 2, abs=1e-6)
    assert nll == pytest.approx(3.83, abs=0.005)
    for truth in ((present + 10) % 60, (present - 10) % 60): assert (p > p[truth] + 1e-9).sum() == 19
    assert p.argmax() == present


def test_no_other_vector_does_better():
    "On a table of any kind; the optimum is compared with PyTorch's on the plain problem."
    rng = np.random.default_rng(0)
    table, future = rng.normal(size=(9, 4)), rng.dirichlet(np.ones(9))
    x_hat, p, nll = best_softmax(table, future)
    E, q = torch.tensor(table), torch.tensor(future)
    x = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([x], max_iter=200, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe")
    def loss(): return -(q * (E @ x).log_softmax(0)).sum()
    def closure():
        optimizer.zero_grad(); value = loss(); value.backward(); return value
    optimizer.step(closure)
    np.testing.assert_allclose(x_hat, x.detach(), atol=1e-6)
    assert nll == pytest.approx(loss().item(), abs=1e-10) and p.sum() == pytest.approx(1)
    entropy = lambda d: -(d * np.log(d)).sum()
    null = np.linalg.svd(np.c_[table, np.ones(9)].T)[2][5:]        # moves that change neither the mean nor the sum
    for step in rng.normal(size=(20, len(null))):
        moved = p + 0.1 * p.min() * (step @ null) / np.abs(step @ null).max()
        np.testing.assert_allclose(moved @ table, p @ table, atol=1e-10)
        assert entropy(moved) < entropy(p), "the best softmax has the largest entropy of all with its mean"


def test_a_roomy_table_has_two_humps():
    "With as many dimensions as items every future is within reach, as closely as one likes."
    _, p, nll = best_softmax(np.eye(12), chances({3: 1/2, -3: 1/2}, 12)[0])
    assert nll == pytest.approx(math.log(2), abs=1e-3) and p[[3, 9]].min() > 0.499


@pytest.mark.parametrize("future", [np.full(59, 1/59), np.full(60, 1/59), np.r_[2.0, -1.0, np.zeros(58)]])
def test_what_is_no_future_is_refused(future):
    with pytest.raises(InputError, match="one probability for each of 60 items"): best_softmax(circle_table(), future)


# ---- two coins

@pytest.mark.parametrize("draws", [1, 2, 8])
def test_exact_draws_find_the_answer_as_often_as_coins_do(draws):
    "Through the models' own `samples`: an ADRec whose walk is replaced by an exact draw."
    data = two_futures_data(users=2000, seed=5)
    model = fix_items(ADRec(60, dim=8, heads=2, samples=draws), circle_table(dim=8, radius=40))
    def represent(batch, generator=None):
        now = last_real(batch.history, batch.lengths) - 1
        side = torch.randint(2, (len(now),), generator=generator) * 20 - 10
        return model.item_embeddings()[(now + side) % 60]
    model.represent = represent
    p = 1 - 2.0 ** -draws
    assert abs(evaluate(model, data, ks=(2,)).metrics["HR@2"] - p) < 4 * np.sqrt(p * (1 - p) / 2000)


# ---- when a mean hurts

def test_a_mean_is_found_in_many_dimensions_and_lost_in_few():
    for futures in (2, 3, 5):
        assert recall_of_mean(2, futures, others=300, trials=20) < 0.15 and recall_of_mean(128, futures, others=300, trials=20) > 0.95
    assert recall_of_mean(16, 1) == 1, "the mean of one item is that item"
    assert recall_of_mean(8, 3, trials=5, seed=1) == recall_of_mean(8, 3, trials=5, seed=1)
