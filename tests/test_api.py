"Five lines from a table to a report, in memory and in a folder; and a system of one's own, which another process loads."
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import adrec
from adrec.checks import InputError
from adrec.counting import BASELINES
from adrec.data import synthetic_data
from adrec.model import ADRec
from adrec.ranking import evaluate
from adrec.recipes import Settings, Stage
from adrec.runs import continue_run, extend_run
from adrec.systems import SYSTEMS, find_system, known_options, register_system
from adrec.training import Training

QUICK = dict(dim=8, users_per_update=32, validate_every=1, learning_rate=3e-3, device="cpu", progress=False)
SMALL = dict(QUICK, blocks=1, heads=2, steps=4)


@pytest.fixture(scope="module")
def data(): return synthetic_data(users=60, items=30, clusters=3, dim=4, mean_length=8, seed=3)[0]


@pytest.fixture(scope="module")
def run(data): return adrec.train(data, "adrec", epochs=3, warm_up=1, seed=1, **SMALL)


def log(users=40, length=8, items=25):
    "A log with text ids, and times as people write them."
    rng = np.random.default_rng(0)
    rows = [(f"user {u}", f"{(u + j) % items}", pd.Timestamp("2024-01-01") + pd.Timedelta(hours=int(24 * u + j))) for u in range(users) for j in range(length)]
    table = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).sample(frac=1, random_state=rng.integers(99))
    return table.assign(timestamp=table.timestamp.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def same_folder(a, b):
    "Do two run folders hold the same, but for the times that the epochs took?"
    assert {p.name for p in a.iterdir()} == {p.name for p in b.iterdir()}
    for name in ("config.json", "items.csv", "metrics.json", "model.safetensors", "stage1.safetensors"):
        if (a/name).exists(): assert (a/name).read_bytes() == (b/name).read_bytes(), name
    ours, theirs = (adrec.load_run(folder).history.drop(columns="seconds") for folder in (a, b))
    pd.testing.assert_frame_equal(ours, theirs)


# ---- the package

def test_importing_is_quick_and_the_names_are_there():
    code = "import sys, time; t = time.perf_counter(); import adrec; print(time.perf_counter() - t, 'torch' in sys.modules, 'numpy' in sys.modules, 'train' in dir(adrec))"
    took, *rest = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert rest == ["False", "False", "True"] and float(took) < 0.1
    assert adrec.train.__module__ == "adrec.runs" and adrec.InputError is InputError
    with pytest.raises(AttributeError, match="no attribute 'trian'"): _ = adrec.trian


# ---- five lines

def test_five_lines_from_a_data_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try: data = adrec.load_data(log())
    except (TypeError, InputError): pytest.skip("this load_data takes no DataFrame")
    run = adrec.train(data, "adrec", epochs=2, **SMALL)
    assert 0 <= run.evaluate().metrics["NDCG@20"] <= 1 and run.metrics["test"]["users"] == 40
    best = run.recommend(["5", "6", "7"], k=4)
    assert best.item_id.isin(data.item_info.item_id).all() and not best.item_id.isin(["5", "6", "7"]).any()
    assert run.diagnose().verdict and run.recommend(user="user 3", k=2).shape[0] == 2
    run.save("runs/x")
    run.report()
    assert (tmp_path/"report.html").stat().st_size > 1000
    again = adrec.load_run("runs/x", data=data)
    assert again.evaluate().metrics == run.evaluate().metrics and again.name == "x"


def test_a_run_in_memory_is_the_run_in_a_folder(run, data, tmp_path):
    assert run.folder is None and run.recording.boundaries[-1][2] == "end" and run.unsaved is not None
    saved = run.save(tmp_path/"saved")
    adrec.train(data, "adrec", out=tmp_path/"out", epochs=3, warm_up=1, seed=1, **SMALL)
    same_folder(tmp_path/"saved", tmp_path/"out")
    assert np.array_equal(saved.recording.steps, run.recording.steps)
    assert saved.evaluate("validation").metrics == run.evaluate("validation").metrics
    pd.testing.assert_frame_equal(saved.recommend(["i1", "i2"]), run.recommend(["i1", "i2"]))
    assert saved.diagnose().as_dict() | {"name": ""} == run.diagnose().as_dict() | {"name": ""}
    same_folder(saved.save(tmp_path/"copied").folder.path, tmp_path/"out")
    assert "3 pre-train + 1 warm-up + 2 fine-tune" in repr(run) and "in memory" in run._repr_html_()


def test_a_run_finds_the_file_of_its_data_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log().rename(columns={"user_id": "who"}).to_csv("log.csv", index=False)
    data = adrec.load_data("log.csv", user="who", k_core=3)
    runs = [adrec.train(data, "sasrec", epochs=1, out="made", **QUICK), adrec.train(data, "sasrec", epochs=1, **QUICK).save("saved")]
    (tmp_path/"elsewhere").mkdir()
    monkeypatch.chdir(tmp_path/"elsewhere")
    for run, name in zip(runs, ("made", "saved")):
        again = adrec.load_run(tmp_path/name)
        assert again.config["data"]["arguments"] == dict(source=str((tmp_path/"log.csv").resolve()), user="who", k_core=3)
        assert again.data_at_hand is None and again.evaluate().metrics == run.evaluate().metrics
    assert adrec.train(data, "popularity").config["data"]["arguments"] == data.arguments


def test_a_saved_run_can_be_given_more_epochs(data, tmp_path):
    adrec.train(data, "sasrec", epochs=4, **QUICK).save(tmp_path/"short")
    extend_run(tmp_path/"short", 6)
    continue_run(tmp_path/"short", data, device="cpu", progress=False)
    adrec.train(data, "sasrec", out=tmp_path/"long", epochs=6, **QUICK)
    ours, theirs = (adrec.load_run(tmp_path/name).model.state_dict() for name in ("short", "long"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_taken_folder_is_refused_and_stays_as_it_is(run, data, tmp_path):
    (tmp_path/"mine.txt").write_text("precious")
    for write in (lambda: run.save(tmp_path), lambda: adrec.train(data, "sasrec", out=tmp_path, epochs=1, **QUICK),
                  lambda: adrec.train(data, ADRec(30, dim=8), out=tmp_path, epochs=1, device="cpu", progress=False)):
        with pytest.raises(InputError, match="already there and not empty"): write()
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("option, nearest", [("epoch", "epochs"), ("learning_rat", "learning_rate"), ("setps", "steps"), ("head", "heads")])
def test_a_word_that_nobody_knows_gets_the_nearest(option, nearest, data):
    with pytest.raises(InputError, match=f"unknown option '{option}'. Did you mean '{nearest}'"): adrec.train(data, **{option: 1})


def test_what_makes_no_sense_is_said_before_the_training(data, run):
    for wrong, message in ((dict(system="sasrek"), "Did you mean 'sasrec'"), (dict(system="sasrec", warm_up=3), "warm_up is a stage of adrec"),
                           (dict(system=3), "a class or a function is wanted"), (dict(epochs=-1), "epochs must be 0 or more"), (dict(seed=-1), "a seed is"),
                           (dict(dim="wide"), "options.dim' should be a whole number, not 'wide'"), (dict(learning_rate="x"), "learning_rate must be a number"),
                           (dict(pretrained=np.zeros((3, 8)), dim=8), "item table has shape"), (dict(device="abacus", epochs=1), "no device")):
        with pytest.raises(InputError, match=message): adrec.train(data, **wrong)
    with pytest.raises(InputError, match="to whom"): run.recommend()
    with pytest.raises(InputError, match="no user"): run.recommend(user="nobody")
    with pytest.raises(InputError, match="no item"): run.recommend("i99")


def test_a_run_gives_its_items_to_another(run, data):
    again = adrec.train(data, "adrec", pretrained=run, epochs=1, warm_up=1, **SMALL)
    assert again.epochs_trained() == "1 warm-up" and np.array_equal(again.item_vectors(), run.item_vectors()), "frozen, and taken over"
    other = synthetic_data(users=60, items=30, clusters=3, dim=4, mean_length=8, seed=4)[0]
    with pytest.raises(InputError, match="other data"): adrec.train(other, "adrec", pretrained=run, **SMALL)


@pytest.mark.parametrize("system", list(BASELINES))
def test_what_counts_is_a_run_too(system, data, tmp_path):
    run = adrec.train(data, system)
    assert run.evaluate().metrics == evaluate(BASELINES[system]().fit(data), data).metrics == {k: run.metrics["test"][k] for k in run.evaluate().metrics}
    assert len(run.recommend(["i1"], k=3)) == 3 and "needs none" in repr(run)
    for refused in (lambda: run.save(tmp_path/"x"), lambda: adrec.train(data, system, out=tmp_path/"x")):
        with pytest.raises(InputError, match="count"): refused()
    for refused in (run.diagnose, run.report, lambda: run.export_items(tmp_path/"x.csv")):
        with pytest.raises(InputError, match="no item vectors"): refused()
    with pytest.raises(InputError, match="unknown option 'kk'"): adrec.train(data, "itemknn", kk=3)
    assert not list(tmp_path.iterdir())


# ---- systems of one's own

MINE = """
from torch import nn
from torch.nn.functional import cross_entropy
from adrec.sasrec import last_real

class MeanOfItems(nn.Module):
    def __init__(self, n_items, dim=16):
        super().__init__()
        self.table = nn.Embedding(n_items + 1, dim, padding_idx=0)
    def item_embeddings(self): return self.table.weight[1:]
    def score(self, batch, generator=None): return self.table(batch.history).sum(1) / batch.lengths[:, None] @ self.item_embeddings().T
    def losses(self, batch, generator=None):
        return {"cross_entropy": (cross_entropy(self.score(batch), last_real(batch.target, batch.lengths) - 1, reduction="sum"), len(batch.users))}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    "The class of a module `mymodels`, which is importable in this test alone."
    (tmp_path/"mymodels.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mymodels", raising=False)
    from mymodels import MeanOfItems
    yield MeanOfItems
    for name in [name for name in SYSTEMS if "MeanOfItems" in name or name == "mean"]: del SYSTEMS[name]
    sys.modules.pop("mymodels", None)


def elsewhere(code, cwd):
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    return done.stdout + done.stderr[-2000:]


def test_eight_lines_are_trained_saved_and_loaded_in_a_new_process(mine, data, tmp_path):
    run = adrec.train(data, mine, out=tmp_path/"run", epochs=8, **QUICK)
    assert run.config["system"] == "mymodels:MeanOfItems" and run.item_vectors().shape == (30, 8) and len(run.recording.steps) > 5
    load = ("import adrec, sys\nfrom adrec.data import synthetic_data\n"
            "data = synthetic_data(users=60, items=30, clusters=3, dim=4, mean_length=8, seed=3)[0]\n"
            "try: run = adrec.load_run('run', data=data, allow_code={})\n"
            "except adrec.InputError as e: print('mymodels' in sys.modules, e); raise SystemExit\n"
            "print(run.evaluate().metrics['NDCG@20'], *run.diagnose().verdict)")
    told = elsewhere(load.format("()"), tmp_path)
    assert told.startswith("False ") and "allow_code=('mymodels',)" in told, told
    ndcg, verdict = elsewhere(load.format("('mymodels',)"), tmp_path).split(" ", 1)
    assert float(ndcg) == run.metrics["test"]["NDCG@20"] and verdict.split() == list(run.diagnose().verdict)


def test_a_system_of_ones_own_goes_on_after_an_interruption(mine, data, tmp_path):
    whole = adrec.train(data, mine, epochs=6, **QUICK)
    class Pull:
        def on_step(self, state):
            if state.epoch == 4: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): adrec.train(data, mine, out=tmp_path/"run", epochs=6, callbacks=[Pull()], **QUICK)
    again = continue_run(tmp_path/"run", data, device="cpu", progress=False)
    assert np.array_equal(whole.item_vectors(), again.item_vectors())


def test_names_of_systems(mine, data, tmp_path):
    assert find_system(mine) == register_system("mean", mine) == find_system("mean") == "mymodels:MeanOfItems" and known_options("mean") == {"dim"}
    assert adrec.train(data, "mean", epochs=1, **QUICK).save(tmp_path/"run").config["system"] == "mymodels:MeanOfItems"
    for wrong, allowed, message in (("mymodels:Mean", ("mymodels",), "Did you mean 'MeanOfItems'"), ("os:system", ("mymodels",), "allow_code"),
                                    ("mymodels:nn", ("mymodels",), "no class or function"), ("nosuch:Thing", ("nosuch",), "cannot be imported"),
                                    ("mymodels2:X", ("mymodels",), "allow_code")):
        with pytest.raises(InputError, match=message): find_system(wrong, allowed)
    with pytest.raises(InputError, match="built in"): register_system("adrec", mine)
    del SYSTEMS["mymodels:MeanOfItems"]
    assert find_system("mymodels:MeanOfItems", "mymodels") == "mymodels:MeanOfItems"


def test_without_an_item_embedding_nothing_can_be_frozen_or_replaced(mine, data):
    training = Training(mine(30), data, Settings(), "mine", device="cpu")
    with pytest.raises(InputError, match="no table of items to freeze"): training.fit([Stage("a", "mine", 1, freeze_items=True)], progress=False)
    with pytest.raises(InputError, match="no table of items to replace"): adrec.train(data, mine, pretrained=np.zeros((30, 8)), **QUICK)


def test_what_cannot_be_trained_is_told_what_it_lacks(data):
    class Nothing(nn.Module):
        def __init__(self, n_items=30): super().__init__()
    class Means(nn.Linear):
        def __init__(self, n_items): super().__init__(4, n_items)
        def item_embeddings(self): return self.weight
        def score(self, batch, generator=None): return self.bias.expand(len(batch.users), -1)
        def losses(self, batch, generator=None): return {"loss": self.bias.sum()}
    class Short(Means):
        def item_embeddings(self): return self.weight[1:]
    for system, message in ((Nothing, "Nothing cannot be trained: it has no method score"), (Nothing(), "and no losses"), (nn.Linear, "Linear"),
                            (Means, "Means.losses must return"), (Short, r"shape \(29, 4\), want \(30, D\)")):
        with pytest.raises(InputError, match=message): adrec.train(data, system, epochs=1, device="cpu", progress=False)


def test_an_object_is_trained_as_it_is_and_saved_if_it_can_be_built_again(data, tmp_path):
    model = ADRec(30, dim=8, blocks=1, heads=2, steps=4, noise_scale=0.5)
    run = adrec.train(data, model, epochs=2, users_per_update=32, device="cpu", progress=False)
    assert run.model is model and run.epochs_trained() == "2 train"
    with pytest.raises(InputError, match="cannot be built again"): run.save(tmp_path/"run")
    assert not (tmp_path/"run").exists()
    options = dict(dim=8, blocks=1, heads=2, steps=4)
    with pytest.raises(InputError, match="it gives other scores"):
        adrec.train(data, model, epochs=1, device="cpu", progress=False, **options).save(tmp_path/"run")
    saved = adrec.train(data, model, out=tmp_path/"run", epochs=1, device="cpu", progress=False, noise_scale=0.5, **options)
    assert saved.folder.path == tmp_path/"run" and torch.equal(saved.model.item_embedding.weight, model.item_embedding.weight)


def test_a_shorter_window_of_an_object_is_its_own(data):
    run = adrec.train(data, ADRec(30, dim=8, blocks=1, heads=2, steps=4, max_length=6), epochs=1, device="cpu", progress=False)
    assert run.config["settings"]["max_length"] == 6 and run.evaluate().max_length == 6
