"Training: the same numbers however it is cut, one rule for stopping, and nothing half-written."
import os
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_examples import EVERY, OPTIONS, RECIPE, Pull, contents, equal, timeless

from adrec import systems, training
from adrec.checks import InputError, write_atomically
from adrec.data import training_updates
from adrec.model import ADRec
from adrec.ranking import evaluate
from adrec.recipes import Settings, Stage, one_stage, three_stages
from adrec.systems import build_system, known_options, set_items
from adrec.training import (
    SIX_METRICS,
    Training,
    combine_losses,
    project_conflicts,
    read_checkpoint,
    train_stages,
)

def adrec(data, seed=0):
    torch.manual_seed(seed)
    return ADRec(data.n_items, **OPTIONS)

def begin(model, data, settings=EVERY, **more): return Training(model, data, settings, "adrec", device="cpu", **more)


# ---- resuming

def test_a_resumed_training_hears_in_which_stage_it_is(data, tmp_path):
    saved, heard = tmp_path/"c.safetensors", []
    stages = RECIPE[1:]
    with pytest.raises(KeyboardInterrupt):
        begin(adrec(data), data).fit(stages, [Pull("on_step", lambda s: s.epoch == 2)], False, lambda t: t.save(saved))
    listener = SimpleNamespace(on_stage=lambda s: heard.append((s.stage, s.epoch)))
    begin(adrec(data, 5), data).load(saved).fit(stages, [listener], False)
    assert heard == [("warm-up", 2), ("fine-tune", 3), ("end", 5)]


# ---- the same numbers

def test_a_seed_settles_every_number_and_another_seed_changes_them(data):
    runs = [train_stages(data, RECIPE, EVERY, OPTIONS, seed, device="cpu", progress=False) for seed in (0, 0, 1)]
    weights, histories = [model.state_dict() for model, _ in runs], [timeless(history) for _, history in runs]
    assert equal(weights[0], weights[1]) and histories[0] == histories[1]
    assert not equal(weights[0], weights[2]) and histories[0] != histories[2]


def test_the_surrounding_random_state_does_not_matter(data):
    models = []
    for seed in (5, 6):
        torch.manual_seed(seed); np.random.seed(seed)
        models.append(train_stages(data, one_stage("adrec", 2), EVERY, OPTIONS, 0, device="cpu", progress=False)[0])
    assert equal(models[0].state_dict(), models[1].state_dict())


@pytest.mark.parametrize("name", ["sasrec", "stage1", "adrec"])
def test_grouped_and_padded_gradients_agree(name, data):
    torch.manual_seed(0)
    model = systems.build_for(name, data.n_items, EVERY, OPTIONS).eval()  # dropout off
    t, eps = torch.randint(4, (data.n_users, 50)), torch.randn(data.n_users, 50, 8)
    def gradients(groups):
        parts, update = [], next(training_updates(data, np.random.default_rng(0), groups=groups))
        for part in update:
            given = dict(t=t[part.users, :part.history.shape[1]], eps=eps[part.users, :part.history.shape[1]]) if name == "adrec" else {}
            parts.append(model.losses(part, **given))
        losses = combine_losses(parts)
        return len(update), torch.autograd.grad(sum(losses.values()) / len(losses), list(model.parameters()))
    (many, grouped), (one, padded) = gradients(6), gradients(1)
    assert many > 1 and one == 1
    for ours, theirs in zip(grouped, padded): torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_combine_losses_is_no_mean_of_means():
    parts = [{"a": (torch.tensor(6.0), 2)}, {"a": (torch.tensor(1.0), 1)}]
    assert combine_losses(parts)["a"].item() == pytest.approx(7 / 3)


def test_the_history_says_what_was_minimised(data):
    rows = begin(adrec(data), data).fit(one_stage("adrec", 3), progress=False).history
    for row in rows: assert row["loss"] == pytest.approx((row["cross_entropy"] + row["mse"]) / 2)
    assert [row["step"] for row in rows] == [3, 6, 9] and [row["epoch"] for row in rows] == [0, 1, 2]


# ---- freezing

@pytest.mark.parametrize("pcgrad", [False, True])
def test_a_frozen_table_does_not_move_in_a_single_bit_until_the_thaw(pcgrad, data):
    seen = {"warm-up": [], "fine-tune": []}
    watcher = SimpleNamespace(on_step=lambda s: seen[s.stage].append(s.model.item_embedding.weight.detach().clone()))
    model = adrec(data)
    start, others = model.item_embedding.weight.detach().clone(), model.cam.blocks[0].norm1.weight.detach().clone()
    begin(model, data, replace(EVERY, pcgrad=pcgrad)).fit(RECIPE[1:], [watcher], False)
    assert all(torch.equal(table, start) for table in seen["warm-up"]) and len(seen["warm-up"]) == 9
    assert not any(torch.equal(table, start) for table in seen["fine-tune"])
    assert not torch.equal(model.cam.blocks[0].norm1.weight, others) and model.item_embedding.weight.requires_grad


@pytest.mark.parametrize("pcgrad", [False, True])
def test_warm_up_decay_shrinks_the_frozen_table(pcgrad, data):
    model = adrec(data)
    start = model.item_embeddings().detach().clone()
    begin(model, data, replace(EVERY, warm_up_decay=True, validate_every=50, pcgrad=pcgrad)).fit([Stage("warm-up", "adrec", 1, True)], progress=False)
    moved = start - model.item_embeddings().detach()
    steps = 3 * EVERY.learning_rate
    large = start.abs() > 2 * steps   # Adam divides the tiny decay by its own size: about one learning rate a step, towards 0
    torch.testing.assert_close(moved[large], steps * start[large].sign(), rtol=0.1, atol=0)
    assert not model.item_embedding.weight[0].any(), "the padding row is 0 and stays 0"


# ---- validation, early stopping, the best weights

def scripted(monkeypatch, *columns):
    "Let validations see these values: one {metric: value} a validation, 0 where nothing is said."
    values = iter(columns)
    fake = lambda model, data, split, **more: SimpleNamespace(metrics=dict.fromkeys((*SIX_METRICS, "MRR"), 0.0) | next(values))
    monkeypatch.setattr(training, "evaluate", fake)


def test_validation_epochs_are_5_10_15_and_the_last(data):
    rows = begin(adrec(data), data, replace(EVERY, validate_every=5)).fit(one_stage("adrec", 18), progress=False).history
    assert [row["epoch"] for row in rows if "NDCG@20" in row] == [5, 10, 15, 17]


def test_it_stops_after_so_many_validations_without_improvement(data, monkeypatch):
    scripted(monkeypatch, *({"NDCG@20": v, "HR@5": i} for i, v in enumerate((.1, .3, .2, .3, .4, .4, .1, .2))))
    done = begin(adrec(data), data, replace(EVERY, patience=3)).fit(one_stage("adrec", 100), progress=False)
    assert [row["NDCG@20"] for row in done.history if "NDCG@20" in row] == [.1, .3, .2, .3, .4, .4, .1, .2]
    assert done.stopped and done.best_metrics == {"NDCG@20": .4}


def test_any_of_six_metrics_against_its_own_best(data, monkeypatch):
    values = [{"HR@5": .2, "NDCG@20": .5}, {"HR@5": .3, "NDCG@20": .1}, {"NDCG@10": .1}, {"MRR": .9}, {"HR@5": .3}]
    scripted(monkeypatch, *values)
    done = begin(adrec(data), data, replace(EVERY, patience=2, any_metric=True)).fit(one_stage("adrec", 100), progress=False)
    assert len(done.history) == 1 + len(values), "MRR is none of the six, and equal is not better"
    assert done.best_metrics["HR@5"] == .3 and done.best_metrics["NDCG@20"] == .5 and done.best_metrics["NDCG@10"] == .1


def test_the_weights_of_the_best_validation_are_restored(data, monkeypatch):
    scripted(monkeypatch, *({"NDCG@20": v} for v in (.1, .3, .2, .3, .2)))
    kept = {}
    keep = lambda t: kept.setdefault(t.epoch - 1, {name: w.clone() for name, w in t.model.state_dict().items()})
    done = begin(adrec(data), data, replace(EVERY, patience=3)).fit(one_stage("adrec", 100), progress=False, save_checkpoint=keep)
    assert list(kept) == [1, 2, 3, 4, 5] and equal(done.model.state_dict(), kept[2])


@pytest.mark.parametrize("monitor", ["NDCG@20", "HR@5", "MRR"])
def test_the_restored_model_has_the_best_metric_of_its_history(monitor, data):
    settings = replace(EVERY, monitor=monitor, patience=3)
    model, history = train_stages(data, one_stage("sasrec", 12), settings, {"dim": 8}, device="cpu", progress=False)
    best = max(row[monitor] for row in history if monitor in row)
    assert evaluate(model, data, "validation").metrics[monitor] == best


def test_the_learning_rate_comes_down_half_a_cosine(data):
    settings = Settings(learning_rate=0.01, cosine_epochs=20)
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for epoch in range(21):
        assert settings.learning_rate_at(epoch) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step(); schedule.step()
    assert settings.learning_rate_at(50) == 0
    used = []
    watcher = SimpleNamespace(on_step=lambda s: used.append(s.optimizer.param_groups[0]["lr"]))
    done = begin(adrec(data), data, replace(EVERY, learning_rate=0.01, cosine_epochs=20)).fit(RECIPE[1:], [watcher], False)
    assert used[::3] == [settings.learning_rate_at(e) for e in range(5)] == [row["learning_rate"] for row in done.history], "one schedule through stages 2 and 3"


def test_callbacks_hear_a_stage_before_its_steps(data):
    heard = []
    everything = SimpleNamespace(on_step=lambda s: heard.append(s.step), on_stage=lambda s: heard.append(f"{s.system} {s.stage}"))
    train_stages(data, three_stages(2, warm_up=1), EVERY, OPTIONS, callbacks=[everything, object()], device="cpu", progress=False)
    assert heard == ["stage1 pre-train", 1, 2, 3, 4, 5, 6, "stage1 end", "adrec warm-up", 1, 2, 3, "adrec fine-tune", 4, 5, 6, "adrec end"]


# ---- PCGrad

def by_hand(gradients, orders):
    "Algorithm 1 of Yu et al. (2020) with lists and loops."
    result = []
    for g, order in zip(gradients, orders):
        g = list(g)
        for j in order:
            dot = sum(a * b for a, b in zip(g, gradients[j]))
            if gradients[j] is gradients[len(result)] or dot >= 0: continue
            norm = sum(b * b for b in gradients[j])
            g = [a - dot / norm * b for a, b in zip(g, gradients[j])]
        result.append(g)
    return result


@pytest.mark.parametrize("seed, count", [*product(range(6), (2, 3, 5))])
def test_pcgrad_against_loops(seed, count):
    drawn = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(count, generator=generator).tolist() for _ in range(count)]
    ours = project_conflicts(list(drawn), torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(torch.stack(ours).numpy(), by_hand(drawn.tolist(), orders), rtol=1e-12, atol=1e-14)


def test_pcgrad_leaves_its_input_alone_and_survives_zeros():
    given = [torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0]), torch.zeros(2)]
    before = [g.clone() for g in given]
    ours = project_conflicts(given)
    assert all(map(torch.equal, given, before)) and torch.isfinite(torch.stack(ours)).all() and not ours[2].any()


class TwoLosses(torch.nn.Module):
    "A system whose two losses pull the table along given directions."
    def __init__(self, first, second):
        super().__init__()
        self.item_embedding = torch.nn.Embedding(31, 2, padding_idx=0)
        torch.nn.init.ones_(self.item_embedding.weight)
        self.directions = {"first": torch.tensor(first), "second": torch.tensor(second)}
    def item_embeddings(self): return self.item_embedding.weight[1:]
    def losses(self, batch, generator=None): return {name: ((self.item_embeddings() @ d).sum(), 1) for name, d in self.directions.items()}
    def score(self, batch, generator=None): return torch.zeros(len(batch.users), 30)


def one_gradient(directions, data, **settings):
    done = begin(TwoLosses(*directions), data, replace(EVERY, length_groups=1, **settings))
    done.update(next(training_updates(data, np.random.default_rng(0), groups=1)))
    return done.model.item_embedding.weight.grad[1:], done.model.item_embedding.weight.detach()


def test_a_pcgrad_step_is_the_plain_step_where_gradients_agree(data):
    agreeing = ([1.0, 2.0], [2.0, 0.5])
    (g1, w1), (g2, w2) = one_gradient(agreeing, data), one_gradient(agreeing, data, pcgrad=True)
    torch.testing.assert_close(g1, g2); torch.testing.assert_close(w1, w2)
    opposed = ([1.0, 0.0], [-1.0, 1.0])
    (g1, _), (g2, _) = one_gradient(opposed, data), one_gradient(opposed, data, pcgrad=True)
    torch.testing.assert_close(g1, torch.tensor([0.0, 0.5]).expand(30, 2))
    torch.testing.assert_close(g2, torch.tensor([0.25, 0.75]).expand(30, 2))  # ([½, ½] + [0, 1]) / 2


# ---- device and precision

@pytest.mark.parametrize("name", ["sasrec", "adrec"])
def test_bfloat16_learns_the_same_to_its_own_precision(name, data):
    histories = [train_stages(data, one_stage(name, 4), EVERY, {"dim": 8}, device="cpu", precision=precision, progress=False) for precision in ("no", "bf16")]
    (full, rows), (half, half_rows) = histories
    assert all(w.dtype == torch.float32 for w in half.state_dict().values())
    assert not equal(full.state_dict(), half.state_dict()), "was the second one really in bfloat16?"
    np.testing.assert_allclose([r["loss"] for r in half_rows], [r["loss"] for r in rows], rtol=0.01)


def test_two_trainings_with_their_own_precision_side_by_side(data):
    def step(done):
        batch = next(training_updates(data, np.random.default_rng(0), groups=1))
        return done.update(batch)["cross_entropy"]
    alone = {p: step(begin(adrec(data).eval(), data, precision=p)) for p in ("no", "bf16")}
    both = {p: begin(adrec(data).eval(), data, precision=p) for p in ("bf16", "no")}
    torch.manual_seed(0)
    assert {p: step(both[p]) for p in ("no", "bf16")} == alone and alone["no"] != alone["bf16"]


def test_devices(data):
    assert begin(adrec(data), data).device.type == "cpu"
    if torch.accelerator.current_accelerator(check_available=True) is None:
        assert Training(adrec(data), data).device.type == "cpu", "auto is the CPU where there is nothing else"
    with pytest.raises(InputError, match="no device 'nosuch'"): Training(adrec(data), data, device="nosuch")
    with pytest.raises(InputError, match="precision 'bf61'. Did you mean 'bf16'"): Training(adrec(data), data, precision="bf61")


# ---- what cannot work is said

@pytest.mark.parametrize("wrong", [dict(monitor="NDCG@50"), dict(learning_rate=0), dict(learning_rate=float("nan")), dict(patience=0),
                                   dict(validate_every=0), dict(users_per_update=-1), dict(weight_decay=-1), dict(max_length=0)])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(InputError, match="metric" if "monitor" in wrong else f"{list(wrong)[0]} must be"): Settings(**wrong)


def test_each_system_takes_the_options_that_it_knows(data):
    assert {"steps", "schedule", "dim", "attention_sink", "max_length"} <= known_options("adrec")
    assert {"positions", "dim", "padding_class"} <= known_options("sasrec") and "steps" not in known_options("sasrec")
    assert known_options("stage1") == known_options("sasrec") - {"positions"}
    model, history = train_stages(data, three_stages(1), EVERY, OPTIONS, device="cpu", progress=False)
    assert model.diffusion.steps == 4 and model.item_embeddings().shape == (30, 8)
    assert [row["stage"] for row in history] == ["pre-train", "warm-up"]


def test_a_loss_that_is_no_number_ends_the_training_with_its_place(data):
    class Broken(TwoLosses):
        def losses(self, batch, generator=None):
            losses = super().losses(batch)
            if done.epoch == 2: losses["second"] = (losses["second"][0] * torch.nan, 1)
            return losses
    done = begin(Broken([1.0, 0.0], [0.0, 1.0]), data, replace(EVERY, length_groups=1))
    with pytest.raises(FloatingPointError, match=r"second nan.*epoch 2 of stage 'train'.*learning rate \(now 0.003\)"):
        done.fit(one_stage("adrec", 5), progress=False)
    assert len(done.history) == 2


# ---- files

def test_a_checkpoint_that_cannot_be_continued(data, tmp_path):
    done, path = begin(adrec(data), data), tmp_path/"c.safetensors"
    done.fit(one_stage("adrec", 1), progress=False).save(path)
    torch.manual_seed(0)
    with pytest.raises(InputError, match="does not fit this training"): begin(ADRec(data.n_items, dim=16), data).load(path)
    save_file(read_checkpoint(path)[0], path)
    with pytest.raises(InputError, match="not a checkpoint"): begin(adrec(data), data).load(path)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(InputError, match="not a checkpoint"): read_checkpoint(path)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path/"a.txt"
    write_atomically(path, "old")
    def fail(*_): raise KeyboardInterrupt
    for what in ("replace", "fsync"):
        with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
            m.setattr(os, what, fail)
            write_atomically(path, "new")
        assert contents(tmp_path) == {"a.txt": b"old"}
    assert write_atomically(path, "ä".encode()).read_bytes() == "ä".encode()
    assert write_atomically(path, "ü").read_text(encoding="utf-8") == "ü"


def test_set_items_keeps_the_padding_row(data):
    model = build_system("sasrec", 30, dim=8)
    set_items(model, torch.ones(30, 8))
    assert not model.item_embedding.weight[0].any() and (model.item_embeddings() == 1).all()
