"The options that an ablation switches: each does what it says, and nothing while it is off."
from dataclasses import replace

import numpy as np
import pytest
import torch

from adrec.baselines import DiffuRec, DreamRec
from adrec.checks import InputError
from adrec.data import evaluation_batches, history_batch, synthetic_data, training_updates
from adrec.model import ADRec
from adrec.recipes import Settings, Stage, check_recipe, one_stage, recipe_arguments, three_stages
from adrec.runs import load_run, train
from adrec.sasrec import SASRec
from adrec.training import train_stages

QUICK = Settings(users_per_update=50, max_length=10)
SMALL = {"dim": 8, "steps": 4}


@pytest.fixture(scope="module")
def data(): return synthetic_data(users=60, items=30, seed=0)[0]


@pytest.fixture(scope="module")
def batch(data): return next(training_updates(data, np.random.default_rng(0), 10, 50, 1))[0]


def seeded(): return torch.Generator().manual_seed(0)


def built(system, **options):
    torch.manual_seed(0)
    return system(30, dim=8, **({} if system is SASRec else {"steps": 4}), **options).eval()


@pytest.mark.parametrize("system, usual", [(SASRec, 0.1), (ADRec, 0.1), (DreamRec, 1.0), (DiffuRec, 1.0)])
def test_init_std_scales_the_items_and_nothing_else(system, usual):
    plain, wide = built(system), built(system, init_std=3 * usual)
    for (name, a), b in zip(plain.state_dict().items(), wide.state_dict().values()):
        torch.testing.assert_close(b, 3 * a if name == "item_embedding.weight" else a)
    assert not wide.item_embedding.weight[0].any()
    with pytest.raises(InputError, match="init_std must be above 0"): built(system, init_std=0.0)


@pytest.mark.parametrize("system", [SASRec, ADRec])
@pytest.mark.parametrize("padding_class", [False, True])
def test_item_bias_is_added_to_scores_and_loss(system, padding_class, batch):
    plain, biased = (built(system, item_bias=on, padding_class=padding_class) for on in (False, True))
    torch.testing.assert_close(biased.score(batch, seeded()), plain.score(batch, seeded()))
    with torch.no_grad(): biased.item_bias += torch.arange(31.0)
    bias = torch.tensor([*range(1, 31), 0.0] if padding_class else range(1, 31))
    torch.testing.assert_close(biased.score(batch, seeded()), plain.score(batch, seeded()) + bias)
    total, count = biased.losses(batch, seeded())["cross_entropy"]
    total.backward()
    assert biased.item_bias.grad.abs().sum() > 0 and bool(biased.item_bias.grad[0]) is padding_class
    # the plain way, where there is no noise to draw
    if system is SASRec:
        scores = plain(batch)[batch.mask] @ plain.item_embedding.weight.T + biased.item_bias
        if not padding_class: scores[:, 0] = -torch.inf
        expected = torch.nn.functional.cross_entropy(scores, batch.target[batch.mask], reduction="sum")
        torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-4)


def test_weights_of_the_losses(batch):
    plain = built(ADRec).losses(batch, seeded())
    weighed = built(ADRec, ce_weight=0.25, mse_weight=3.0).losses(batch, seeded())
    for name, weight in (("cross_entropy", 0.25), ("mse", 3.0)): torch.testing.assert_close(weighed[name][0], weight * plain[name][0])
    assert list(built(ADRec, ce_weight=0).losses(batch, seeded())) == ["mse"]
    assert list(built(ADRec, mse_weight=0).losses(batch, seeded())) == ["cross_entropy"]
    for weights in ((0, 0), (-1, 1), (float("nan"), 1)):
        with pytest.raises(InputError, match="not both 0"): built(ADRec, ce_weight=weights[0], mse_weight=weights[1])


@pytest.mark.parametrize("system", [ADRec, DreamRec])
def test_a_detached_target_feels_no_pull(system):
    batch = replace(history_batch([[1, 2, 3]]), target=torch.tensor([[2, 3, 9]]))  # item 9 is never read
    def loss(detach):
        model = built(system, detach_target=detach)
        model.losses(batch, seeded())["mse"][0].backward()
        return model.losses(batch, seeded())["mse"][0], model.item_embedding.weight.grad[9]
    (plain, pulled), (detached, left) = loss(False), loss(True)
    assert torch.equal(plain, detached), "the loss itself is the same"
    # noise still carries the target into the denoiser: at ADRec's volume next to nothing comes back through it
    assert pulled.norm() > 0.1 and (pulled - left).norm() > 0.1
    if system is ADRec: assert left.norm() < 0.01 * pulled.norm()


@pytest.mark.parametrize("system", [ADRec, DreamRec, DiffuRec])
def test_samples_pool_opinions(system, data):
    model = built(system, **({} if system is DreamRec else {"noise_scale": 1.0}))
    batch, _ = next(iter(evaluation_batches(data, "test", 10)))
    generator = seeded()
    with torch.no_grad():
        opinions = [model.score(batch, generator).softmax(-1) for _ in range(3)]
        model.set_sampling(samples=3)
        pooled = model.score(batch, seeded())
    assert (opinions[0] - opinions[1]).abs().max() > 1e-4, "the draws should differ"
    torch.testing.assert_close(pooled.exp(), sum(opinions) / 3)
    for samples in (0, 1.5, -1):
        with pytest.raises(InputError, match="samples must be a whole number"): model.set_sampling(samples=samples)
    with pytest.raises(ValueError, match="steps|count"): model.set_sampling(sampling_steps=99)


def test_pooling_asks_the_same_random_numbers_as_one_after_the_other(data):
    batch, _ = next(iter(evaluation_batches(data, "test", 10)))
    few = built(DreamRec, samples=2, sampling_steps=2)
    with torch.no_grad(): assert torch.equal(few.score(batch, seeded()), few.score(batch, seeded()))


@pytest.mark.parametrize("words", [{}, {"warm_up": 0}, {"pre_train": False}, {"freeze_items": True}, {"table_std": 2.0}, {"warm_up": 0, "table_std": 0.5, "pre_train": False}])
def test_a_recipe_gives_back_its_words(words):
    stages = three_stages(12, **words)
    assert three_stages(**recipe_arguments(stages)) == stages


@pytest.mark.parametrize("warm_up", [0, 1])
def test_the_table_is_rescaled_after_stage_1_and_stays_when_frozen(data, warm_up):
    tables = {}
    class Watch:
        def on_stage(self, training): tables.setdefault(f"{training.system} {training.stage}", training.model.item_embeddings().detach().clone())
    stages = three_stages(2, warm_up=warm_up, table_std=1.0, freeze_items=True)
    model, _ = train_stages(data, stages, QUICK, SMALL, callbacks=[Watch()], device="cpu", progress=False)
    first = tables["adrec warm-up" if warm_up else "adrec fine-tune"]
    assert abs(first.std(correction=0).item() - 1) < 1e-5
    assert torch.equal(first, model.item_embeddings()), "frozen throughout"
    ratio = first / tables["stage1 end"]
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))


@pytest.mark.parametrize("stages, message", [
    ([*three_stages(9), Stage("more", "adrec", 3, table_std=1.0)], "first stage of adrec"),
    ([Stage("a", "sasrec", 3), Stage("b", "sasrec", 3, table_std=1.0)], "first stage of sasrec")])
def test_a_table_in_training_is_not_rescaled(data, stages, message):
    with pytest.raises(InputError, match=message): check_recipe(data, stages, QUICK)


@pytest.mark.parametrize("std", [0, -1.0, float("inf"), "1"])
def test_a_size_that_makes_no_sense(std):
    with pytest.raises(InputError, match="table_std"): one_stage("sasrec", 3, table_std=std)


def test_five_lines_with_every_word(data, tmp_path):
    run = train(data, out=tmp_path/"run", epochs=2, warm_up=1, freeze_items=True, table_std=1.0, settings=QUICK, mse_weight=0, samples=2, progress=False, **SMALL)
    again = load_run(tmp_path/"run", data=data)
    assert again.config["options"]["samples"] == 2 == again.model.samples
    assert run.metrics == again.metrics and again.evaluate().metrics["MRR"] == run.metrics["test"]["MRR"]
    scratch = train(data, epochs=1, pre_train=False, settings=QUICK, progress=False, **SMALL)
    assert set(scratch.history.system) == {"adrec"}
    with pytest.raises(InputError, match="pre_train is a stage of adrec"): train(data, "sasrec", pre_train=False, epochs=1)
    frozen = train(data, "dreamrec", pretrained=run.item_vectors(), freeze_items=True, epochs=1, settings=QUICK, progress=False, **SMALL)
    torch.testing.assert_close(torch.tensor(frozen.item_vectors()), torch.tensor(run.item_vectors()))
