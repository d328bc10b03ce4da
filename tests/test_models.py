"""The trainable systems: what must not reach them, and routes that must agree."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from adrec.data import evaluation_batches, history_batch, synthetic_data
from adrec.model import ADRec
from adrec.ranking import evaluate
from adrec.sasrec import SASRec

data, _ = synthetic_data(seed=3)
SYSTEMS = {
    "sasrec": lambda: SASRec(data.n_items, dim=16),
    "stage1": lambda: SASRec(data.n_items, dim=16, positions=False),
    "stage1 with sink": lambda: SASRec(data.n_items, dim=16, positions=False, attention_sink=True),
    "adrec": lambda: ADRec(data.n_items, dim=16, noise_scale=0.5),
    "adrec with sink": lambda: ADRec(data.n_items, dim=16, noise_scale=0.5, attention_sink=True),
    "adrec with padding class": lambda: ADRec(data.n_items, dim=16, padding_class=True),
}


@pytest.fixture(params=SYSTEMS)
def system(request):
    torch.manual_seed(0)
    return SYSTEMS[request.param]().eval()


def scores(system, batch, seed=0):
    with torch.no_grad(): return system.score(batch, torch.Generator().manual_seed(seed))


def test_no_target_reaches_the_scores(system):
    batch, _ = next(evaluation_batches(data, "test", users_per_batch=40))
    assert batch.target is None
    nonsense = replace(batch, target=torch.randint(1, data.n_items, batch.history.shape))
    torch.testing.assert_close(scores(system, nonsense), scores(system, batch), rtol=0, atol=0)


@pytest.mark.parametrize("split, held_out", [("test", 1), ("validation", 2)])
def test_scores_do_not_change_when_the_held_out_items_do(system, split, held_out):
    items = data.items.copy()
    for back in range(1, held_out + 1): items[data.offsets[1:] - back] = 1 + (items[data.offsets[1:] - back] + 7) % data.n_items
    other = replace(data, items=items)
    for (batch, answers), (changed, other_answers) in zip(evaluation_batches(data, split), evaluation_batches(other, split)):
        assert (answers != other_answers).any()
        torch.testing.assert_close(scores(system, batch), scores(system, changed), rtol=0, atol=0)


def test_a_history_scores_the_same_alone_and_in_a_batch(system):
    histories = [data.sequence(int(u))[:n] for u, n in zip(np.argsort(-data.lengths)[:4], (1, 2, 9, 5))]
    noise_free = replace(history_batch(histories), target=None)
    if isinstance(system, ADRec):
        noise = torch.randn(33, 4, 16)
        together = system.represent(noise_free, noise=noise)
        alone = [system.represent(history_batch([h]), noise=noise[:, i:i + 1]) for i, h in enumerate(histories)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    else:
        torch.testing.assert_close(scores(system, noise_free), torch.cat([scores(system, history_batch([h])) for h in histories]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_cache_equals_reading_everything_again_with_the_sink():
    "The page proves it without the sink; here every history length from 1 to the whole window, with it."
    torch.manual_seed(1)
    model = ADRec(data.n_items, dim=16, noise_scale=0.5, attention_sink=True, max_length=7, steps=8, schedule="cosine").eval()
    batch, noise = history_batch([np.arange(1, n + 1) for n in range(1, 8)]), torch.randn(9, 7, 16)
    rows, last = torch.arange(7), batch.lengths - 1
    context, bias = model.context(batch)
    targets = model.item_embedding(torch.nn.functional.pad(batch.history[:, 1:], (0, 1)))

    def plainly(x_t, t):
        sequence, steps = targets.clone(), torch.zeros_like(batch.history)
        sequence[rows, last], steps[rows, last] = x_t, t
        return model.denoise(context, sequence, steps, bias)[rows, last]

    torch.testing.assert_close(model.represent(batch, noise=noise), model.diffusion.sample(plainly, noise[0], noise[1:]), rtol=1e-4, atol=1e-5)


def test_a_full_window_has_no_sink():
    "log(L − n) = −∞ for a history that fills the window: such users must score as without the option."
    torch.manual_seed(0)
    plain, sink = (ADRec(data.n_items, dim=16, max_length=6, attention_sink=on).eval() for on in (False, True))
    sink.load_state_dict(plain.state_dict())
    batch, noise = history_batch([[1, 2, 3, 4, 5, 6], [1, 2, 3]]), torch.randn(33, 2, 16)
    with torch.no_grad(): a, b = plain.represent(batch, noise=noise), sink.represent(batch, noise=noise)
    torch.testing.assert_close(a[0], b[0], rtol=1e-5, atol=1e-6)
    assert (a[1] - b[1]).abs().max() > 1e-3


def test_gradients_reach_the_table_through_both_losses():
    model, history = ADRec(data.n_items, dim=16), history_batch([[1, 2, 3]])
    batch = replace(history, target=torch.tensor([[2, 3, 4]]))
    for name in ("cross_entropy", "mse"):
        model.zero_grad()
        total, count = model.losses(batch, torch.Generator().manual_seed(0))[name]
        (total / count).backward()
        assert model.item_embedding.weight.grad[4].abs().sum() > 0, f"{name} should move the target's row"
        assert model.item_embedding.weight.grad[0].abs().sum() == 0, "the padding row stays as it is"


def test_levels():
    batch = replace(history_batch([[1, 2, 3], [4, 5]]), target=torch.tensor([[2, 3, 4], [5, 6, 0]]))
    seen = []
    for level in ("token", "sequence"):
        model = ADRec(data.n_items, dim=16, level=level).eval()
        model.denoise = lambda context, x_t, t, bias=None: seen.append(t) or x_t
        model.losses(batch, torch.Generator().manual_seed(4))
    assert (seen[0] != seen[0][:, :1]).any() and (seen[1] == seen[1][:, :1]).all()


def test_evaluate_is_repeatable_and_restores_the_mode(system):
    system.train()
    first, second = (evaluate(system, data, seed=1).metrics for _ in range(2))
    assert first == second and system.training and 0 < first["HR@20"] < 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_scores_as_the_cpu_does(system):
    batch = history_batch([data.sequence(0), data.sequence(1)])
    if isinstance(system, ADRec):
        noise = torch.randn(33, 2, 16)
        score = lambda s, device: s.to(device).represent(batch.to(device), noise=noise.to(device)).cpu()
    else: score = lambda s, device: s.to(device).score(batch.to(device)).cpu()
    with torch.no_grad(): torch.testing.assert_close(score(system, "cuda"), score(system, "cpu"), rtol=1e-3, atol=1e-4)
