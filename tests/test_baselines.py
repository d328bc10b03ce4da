"DreamRec and DiffuRec: oracles, what must not reach them, and prefix augmentation."
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from adrec.backbone import Block, Encoder, key_padding_bias
from adrec.baselines import DiffuRec, DreamRec
from adrec.checks import InputError
from adrec.data import (
    Batch,
    evaluation_batches,
    history_batch,
    synthetic_data,
    training_examples,
    training_updates,
)
from adrec.ranking import evaluate
from adrec.recipes import Settings, one_stage
from adrec.runs import continue_run, start_run
from adrec.systems import build_system
from adrec.training import train_stages

data, _ = synthetic_data(seed=3)
few, _ = synthetic_data(users=80, items=30, mean_length=8, seed=3)  # where something is trained or ranked as a whole
STEPS = 6
SMALL = dict(dim=16, steps=STEPS, schedule="cosine")
SYSTEMS = {
    "dreamrec": lambda: DreamRec(data.n_items, **SMALL),
    "dreamrec with guidance": lambda: DreamRec(data.n_items, guidance=2.0, condition_dropout=0.1, **SMALL),
    "dreamrec with sink": lambda: DreamRec(data.n_items, attention_sink=True, **SMALL),
    "dreamrec with padding class": lambda: DreamRec(data.n_items, padding_class=True, **SMALL),
    "diffurec": lambda: DiffuRec(data.n_items, noise_scale=0.5, **SMALL),
    "diffurec with padding class": lambda: DiffuRec(data.n_items, noise_scale=0.5, padding_class=True, **SMALL),
}
HISTORIES = [[5], [3, 9], [8, 1, 2, 7, 4, 6, 10, 12, 11], [20, 30, 40, 50]]


@pytest.fixture(params=SYSTEMS)
def system(request):
    torch.manual_seed(0)
    return SYSTEMS[request.param]().eval()


def seeded(seed=0): return torch.Generator().manual_seed(seed)


def example():
    "Histories of 9 to 1 items, with targets."
    batch = history_batch(HISTORIES)
    return replace(batch, target=torch.where(batch.mask, batch.history % data.n_items + 1, 0))


def given(system, batch, seed=0):
    "Noise for the sampler and for the losses; only DiffuRec has λ."
    (users, length), g = batch.history.shape, seeded(seed)
    sampling = dict(noise=torch.randn(STEPS + 1, users, 16, generator=g))
    training = dict(t=torch.arange(users) % STEPS, eps=torch.randn(users, 16, generator=g))
    if isinstance(system, DiffuRec):
        sampling["scales"] = 0.5 * torch.randn(STEPS, users, length, 16, generator=g)
        training["scales"] = 0.5 * torch.randn(users, length, 16, generator=g)
    return sampling, training


def part_of(tensors, user, length):
    "What `given` gave, for one user alone."
    one = slice(user, user + 1)
    cut = {"noise": lambda x: x[:, one], "t": lambda x: x[one], "eps": lambda x: x[one]}
    cut["scales"] = lambda x: x[..., one, :length, :]
    return {name: cut[name](x) for name, x in tensors.items()}


@torch.no_grad()
def test_no_target_reaches_the_scores(system):
    batch, _ = next(evaluation_batches(data, "test", users_per_batch=40))
    nonsense = replace(batch, target=torch.randint(1, data.n_items, batch.history.shape))
    assert batch.target is None
    torch.testing.assert_close(system.score(nonsense, seeded()), system.score(batch, seeded()), rtol=0, atol=0)


@torch.no_grad()
def test_only_the_last_target_counts_in_training(system):
    batch = example()
    _, training = given(system, batch)
    (total, count), = system.losses(batch, **training).values()
    earlier = batch.target.clone()
    earlier[torch.arange(9) < batch.lengths[:, None] - 1] = 33
    (same, _), = system.losses(replace(batch, target=earlier), **training).values()
    assert total == same and count == len(HISTORIES)
    last = batch.target.clone()
    last[torch.arange(4), batch.lengths - 1] = 33
    (other, _), = system.losses(replace(batch, target=last), **training).values()
    assert total != other


@torch.no_grad()
def test_alone_and_in_a_batch_and_with_rubbish_behind(system):
    batch = example()
    sampling, training = given(system, batch)
    together = system.represent(batch, **sampling)
    (total, _), = system.losses(batch, **training).values()
    rubbish = replace(batch, history=batch.history.masked_fill(~batch.mask, 7), target=batch.target.masked_fill(~batch.mask, 7))
    torch.testing.assert_close(system.represent(rubbish, **sampling), together, rtol=1e-4, atol=1e-5)
    parts = 0
    for user, n in enumerate(batch.lengths):
        alone = Batch(*(x[user:user + 1] for x in (batch.users, batch.history[:, :n], batch.lengths, batch.target[:, :n])))
        torch.testing.assert_close(system.represent(alone, **part_of(sampling, user, n)), together[user:user + 1], rtol=1e-4, atol=1e-5)
        parts += next(iter(system.losses(alone, **part_of(training, user, n)).values()))[0]
    torch.testing.assert_close(parts, total, rtol=1e-5, atol=1e-5)


def test_the_same_generator_gives_the_same(system):
    batch = example()
    with torch.no_grad(): first, second, other = (system.represent(batch, seeded(s)) for s in (1, 1, 2))
    assert first.equal(second) and not first.equal(other)
    system.train()
    losses = []
    for _ in range(2):
        torch.manual_seed(5)
        losses.append(next(iter(system.losses(batch, seeded(1)).values()))[0].item())
    assert losses[0] == losses[1]


def test_noise_of_the_wrong_shape_is_refused(system):
    with pytest.raises(ValueError, match="noise must have shape"): system.represent(example(), noise=torch.randn(STEPS, 4, 16))


def test_gradients_reach_every_part(system):
    batch = example()
    system.train()
    (total, count), = system.losses(batch, seeded()).values()
    (total / count).backward()
    table = system.item_embedding.weight.grad
    last = batch.target[torch.arange(4), batch.lengths - 1]
    assert (table[last].abs().sum(1) > 0).all(), "the target is not detached: its row should move"
    if not system.padding_class: assert table[0].abs().sum() == 0, "the padding row stays as it is"
    for name, weight in system.named_parameters():
        if name != "no_history" and not name.startswith("item"): assert weight.grad.abs().sum() > 0, f"{name} gets no gradient"


def test_evaluate_is_repeatable(system):
    first, second = (evaluate(system, data, seed=1).metrics for _ in range(2))
    assert first == second and 0 <= first["HR@20"] < 1


# ---- oracles

@torch.no_grad()
def test_the_pre_norm_block_is_that_of_pytorch():
    ours = Block(16, heads=4, norm_first=True).eval()
    theirs = nn.TransformerEncoderLayer(16, 4, 64, activation=lambda x: F.gelu(x, approximate="tanh"), batch_first=True,
                                        norm_first=True, layer_norm_eps=1e-12).eval()
    pairs = {"self_attn.in_proj_": "attention.query_key_value.", "self_attn.out_proj.": "attention.out.", "linear1.": "feed_forward.0.",
             "linear2.": "feed_forward.3.", "norm1.": "norm1.", "norm2.": "norm2."}
    weights = ours.state_dict()
    theirs.load_state_dict({a + kind: weights[b + kind] for a, b in pairs.items() for kind in ("weight", "bias")})
    x, lengths = torch.randn(3, 7, 16), torch.tensor([7, 3, 1])
    padding = torch.arange(7) >= lengths[:, None]
    got, want = ours(x, key_padding_bias(lengths, 7)), theirs(x, src_key_padding_mask=padding)
    torch.testing.assert_close(got[~padding], want[~padding], rtol=1e-4, atol=1e-5)


def test_post_norm_stays_the_default():
    torch.manual_seed(0); default = Encoder(16)
    torch.manual_seed(0); post = Encoder(16, norm_first=False)
    x = torch.randn(2, 5, 16)
    with torch.no_grad(): assert default.eval()(x).equal(post.eval()(x))
    assert abs(default(x).mean(-1)).max() < 1e-5, "a post-norm block ends in a norm"


@torch.no_grad()
def test_dreamrec_by_hand():
    torch.manual_seed(1)
    model, batch = DreamRec(data.n_items, **SMALL).eval(), example()
    sampling, training = given(model, batch)
    e = model.input_norm(model.item_embedding(batch.history))
    c = model.cam(e)[torch.arange(4), batch.lengths - 1]
    first, _, _, second, third, _, _, fourth, _, norm = model.head

    def head(x, t):
        h = torch.cat([x, model.time_embedding(torch.full((4,), t) if isinstance(t, int) else t), c], -1)
        return norm(fourth(F.silu(third(second(F.silu(first(h)))))))
    x0 = model.item_embedding(batch.target[torch.arange(4), batch.lengths - 1])
    guess = head(model.diffusion.q_sample(x0, training["t"], training["eps"]), training["t"])
    total, count = model.losses(batch, **training)["mse"]
    torch.testing.assert_close(total / count, ((guess - x0) ** 2).mean())
    x = sampling["noise"][0]
    for t, eps in zip(reversed(range(STEPS)), sampling["noise"][1:]): x = model.diffusion.p_sample(head(x, t), x, t, eps)
    torch.testing.assert_close(model.represent(batch, noise=sampling["noise"]), x)


@torch.no_grad()
def test_diffurec_by_hand():
    torch.manual_seed(1)
    model, batch = DiffuRec(data.n_items, noise_scale=0.5, **SMALL).eval(), example()
    sampling, training = given(model, batch)
    rows, last = torch.arange(4), batch.lengths - 1
    look = torch.zeros(4, 1, 1, 9).masked_fill(~batch.mask[:, None, None], -1e9)

    def guess(x, t, scales):
        z = model.input_norm(model.item_embedding(batch.history)) + scales * (x + model.time_embedding(t))[:, None]
        for block in model.encoder.blocks: z = block(z, look)
        return model.norm(z)[rows, last]
    target = batch.target[rows, last]
    x_t = model.diffusion.q_sample(model.item_embedding(target), training["t"], training["eps"])
    scores = guess(x_t, training["t"], training["scales"]) @ model.item_embeddings().T
    total, count = model.losses(batch, **training)["cross_entropy"]
    torch.testing.assert_close(total / count, F.cross_entropy(scores, target - 1))
    x = sampling["noise"][0]
    for t, eps, scales in zip(reversed(range(STEPS)), sampling["noise"][1:], sampling["scales"]):
        x = model.diffusion.p_sample(guess(x, torch.full((4,), t), scales), x, t, eps)
    torch.testing.assert_close(model.represent(batch, **sampling), x, rtol=1e-4, atol=1e-5)


def test_shapes_as_designed():
    dreamrec, diffurec = DreamRec(9), DiffuRec(9)
    shapes = [tuple(m.weight.shape) for m in dreamrec.head if isinstance(m, nn.Linear)]
    assert shapes == [(512, 384), (128, 512), (512, 128), (128, 512)] and dreamrec.no_history is None
    assert len(dreamrec.cam.blocks) == 2 and len(diffurec.encoder.blocks) == 4
    assert all(b.norm_first for b in diffurec.encoder.blocks) and not any(b.norm_first for b in dreamrec.cam.blocks)
    for model in (DreamRec(2000), DiffuRec(2000)):
        assert abs(model.item_embeddings().std().item() - 1) < 0.01 and model.item_embedding.weight[0].abs().sum() == 0


# ---- λ, guidance, options

def test_lambda_is_drawn_afresh_at_every_call_and_step():
    model, drawn = DiffuRec(data.n_items, **SMALL).eval(), []
    original = model.draw_scales
    model.draw_scales = lambda *args: drawn.append(original(*args)) or drawn[-1]
    with torch.no_grad():
        model.losses(example(), seeded())
        model.represent(example(), seeded())
    assert len(drawn) == 1 + STEPS and all(x.shape == (4, 9, 16) for x in drawn)
    assert not any(a.equal(b) for i, a in enumerate(drawn) for b in drawn[:i])
    many = original(Batch(torch.arange(500), torch.zeros(500, 20, dtype=torch.int64), torch.full((500,), 20)), seeded())
    assert abs(many.mean() - 1e-3) < 1e-5 and abs(many.std() - 1e-3) < 1e-5


@torch.no_grad()
def test_guidance_moves_beyond_the_led_guess():
    torch.manual_seed(0)
    model, batch = SYSTEMS["dreamrec with guidance"]().eval(), example()
    noise, c = torch.randn(STEPS + 1, 4, 16), model.condition(batch)
    free = model.no_history.expand(4, -1)
    guess = lambda x, t: 3 * model.denoise(c, x, t) - 2 * model.denoise(free, x, t)
    torch.testing.assert_close(model.represent(batch, noise=noise), model.diffusion.sample(guess, noise[0], noise[1:]))


def test_histories_are_hidden_in_training_only():
    torch.manual_seed(0)
    model, batch = DreamRec(data.n_items, condition_dropout=0.5, dropout=0.0, embedding_dropout=0.0, **SMALL), example()
    _, training = given(model, batch)
    losses = lambda: [model.losses(batch, seeded(s), **training)["mse"][0].item() for s in range(5)]
    assert len(set(losses())) > 1
    model.eval()
    assert len(set(losses())) == 1
    model.train()
    hidden = torch.ones(4, dtype=torch.bool)
    model.losses(batch, drop=hidden, **training)["mse"][0].backward()
    assert model.no_history.grad.abs().sum() > 0
    assert all(p.grad is None or not p.grad.any() for p in model.cam.parameters()), "hidden histories teach the reader nothing"


@pytest.mark.parametrize("name, options, complaint", [
    ("dreamrec", dict(guidance=2.0), "set condition_dropout"),
    ("dreamrec", dict(guidance=-1.0, condition_dropout=0.1), "guidance must be"),
    ("dreamrec", dict(guidance=float("nan")), "guidance must be"),
    ("dreamrec", dict(condition_dropout=1.0), "condition_dropout must be"),
    ("dreamrec", dict(condition_dropout=-0.1), "condition_dropout must be"),
    ("dreamrec", dict(schedule="linar"), "Did you mean 'linear'"),
    ("diffurec", dict(attention_sink=True), "attention_sink is not for DiffuRec"),
    ("diffurec", dict(dim=10), "heads must divide dim"),
])
def test_bad_options(name, options, complaint):
    with pytest.raises(InputError, match=complaint): build_system(name, 20, **options)


# ---- prefixes

@pytest.mark.parametrize("groups, size, longest", [(1, 512, 50), (6, 100, 50), (3, 64, 4), (6, 512, 1)])
def test_prefixes_against_a_loop(groups, size, longest):
    want = set()
    for user in range(data.n_users):
        items = data.sequence(user)[:-2][-(longest + 1):].tolist()
        want |= {(user, tuple(items[:n]), tuple(items[1:n + 1])) for n in range(1, len(items))}
    got, updates = [], list(training_updates(data, np.random.default_rng(2), longest, size, groups, prefixes=True))
    for parts in updates:
        assert 1 <= len(parts) <= groups
        for part in parts:
            assert part.history.shape[1] == part.lengths.max()
            got += [(u, tuple(h[:n]), tuple(t[:n])) for u, h, n, t in zip(*(x.tolist() for x in (part.users, part.history, part.lengths, part.target)))]
    assert len(got) == len(want) and set(got) == want
    sizes = [sum(len(part.users) for part in parts) for parts in updates]
    assert set(sizes[:-1]) <= {size} and 0 < sizes[-1] <= size


def test_prefixes_are_shuffled_over_users_and_lengths():
    first = next(training_updates(data, np.random.default_rng(0), users_per_update=200, groups=1, prefixes=True))[0]
    again = next(training_updates(data, np.random.default_rng(0), users_per_update=200, groups=1, prefixes=True))[0]
    other = next(training_updates(data, np.random.default_rng(1), users_per_update=200, groups=1, prefixes=True))[0]
    assert first.history.equal(again.history) and not first.users.equal(other.users)
    assert len(set(first.users.tolist())) > 60, "an update should be a random sample of examples, not of users"


def test_without_prefixes_nothing_has_changed():
    users, lengths = training_examples(data)
    assert (users == np.flatnonzero(data.lengths >= 4)).all() and (lengths == np.minimum(data.lengths[users] - 3, 50)).all()
    shortest, _ = synthetic_data(mean_length=3)
    for prefixes in (False, True):
        with pytest.raises(InputError, match="nothing to learn from"): training_examples(shortest, prefixes=prefixes)


def steps_of_an_epoch(system, **settings):
    options = {"dim": 16} if system == "sasrec" else SMALL
    return train_stages(few, one_stage(system, 1), Settings(users_per_update=100, **settings), options, progress=False)[1][-1]["step"]


def test_the_trainer_gives_prefixes_to_those_who_want_them():
    whole, prefixes = (-(-len(training_examples(few, prefixes=p)[0]) // 100) for p in (False, True))
    assert steps_of_an_epoch("dreamrec") == steps_of_an_epoch("sasrec") == whole
    assert steps_of_an_epoch("diffurec") == steps_of_an_epoch("sasrec", prefixes=True) == prefixes > whole


# ---- through the same door as every system

@pytest.mark.parametrize("name, loss", [("dreamrec", "mse"), ("diffurec", "cross_entropy")])
def test_a_run_from_training_to_recommendation(name, loss, tmp_path):
    options = {"dim": 16, "steps": 4, "schedule": "cosine"} | ({"guidance": 2.0, "condition_dropout": 0.1} if name == "dreamrec" else {})
    start_run(tmp_path / "run", few, one_stage(name, 2), Settings(users_per_update=30), options)
    run = continue_run(tmp_path / "run", few, device="cpu", progress=False)
    assert run.history[loss].iloc[-1] < run.history[loss].iloc[0] and 0 <= run.metrics["test"]["HR@20"] <= 1
    ids = run.items.item_id.tolist()
    table = run.recommend(ids[:3], k=5)
    assert len(table) == 5 and not set(table.item_id) & set(ids[:3])
    assert table.equals(run.recommend(ids[:3], k=5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu(system):
    batch = example()
    sampling, training = given(system, batch)
    compute = lambda device: (system.to(device).represent(batch.to(device), **{k: v.to(device) for k, v in sampling.items()}).cpu(),
                              next(iter(system.losses(batch.to(device), **{k: v.to(device) for k, v in training.items()}).values()))[0].cpu())
    with torch.no_grad(): torch.testing.assert_close(compute("cuda"), compute("cpu"), rtol=1e-3, atol=1e-3)
    system.to("cuda").train()
    next(iter(system.losses(batch.to("cuda"), torch.Generator("cuda").manual_seed(0)).values()))[0].backward()
