"Run folders: a run can be interrupted, continued, read back and moved, and what is damaged is named."
import copy as copies
import json
import os
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_examples import EVERY, OPTIONS, RECIPE, Pull, contents, equal, timeless

from adrec import folders, runs
from adrec.checks import InputError
from adrec.data import synthetic_data
from adrec.folders import RunFolder
from adrec.ranking import evaluate
from adrec.read import load_data
from adrec.recipes import Settings, Stage, one_stage, three_stages
from adrec.runs import continue_run, extend_run, load_run, run_data, start_run
from adrec.tables import pretrained_items
from adrec.training import read_checkpoint, train_stages

def epochs_of(run): return timeless(run.folder.read_history())


# ---- resuming

def go(out, data, callbacks=()): return continue_run(out, data, callbacks, device="cpu", progress=False)

def same_run(a, b):
    "Do two finished run folders hold the same results?"
    assert {p.name for p in a.iterdir()} == {p.name for p in b.iterdir()} == {
        "config.json", "items.csv", "stage1.safetensors", "history.jsonl", "checkpoint.safetensors", "model.safetensors", "metrics.json"}
    for name in ("config.json", "items.csv", "metrics.json"): assert (a/name).read_text() == (b/name).read_text(), name
    for name in ("stage1.safetensors", "model.safetensors"): assert equal(load_file(a/name), load_file(b/name)), name
    assert timeless(RunFolder(a).read_history()) == timeless(RunFolder(b).read_history())


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    "A run that was never interrupted."
    out = tmp_path_factory.mktemp("whole")/"run"
    start_run(out, data, RECIPE, EVERY, OPTIONS, seed=1)
    go(out, data)
    return out


@pytest.mark.parametrize("event, when", [
    ("on_step", lambda s: s.system == "stage1" and s.epoch == 0),                                  # before any checkpoint
    ("on_step", lambda s: s.system == "stage1" and s.epoch == 3 and s.step % 3 == 1),              # within an epoch of stage 1
    ("on_stage", lambda s: s.system == "stage1" and s.stage == "end"),                             # stage 1 is over, not written
    ("on_stage", lambda s: s.system == "adrec" and s.stage == "warm-up"),                          # between the stages
    ("on_step", lambda s: s.system == "adrec" and s.epoch == 0),                                   # ADRec, before its checkpoint
    ("on_step", lambda s: s.stage == "warm-up" and s.epoch == 2 and s.step % 3 == 2),
    ("on_stage", lambda s: s.stage == "fine-tune"),                                                # at the thaw
    ("on_step", lambda s: s.stage == "fine-tune" and s.epoch == 4),
    ("on_stage", lambda s: s.system == "adrec" and s.stage == "end"),                              # trained, nothing written
], ids=["start", "stage 1", "end of stage 1", "between", "start of ADRec", "warm-up", "thaw", "fine-tune", "end"])
def test_a_run_interrupted_anywhere_ends_with_the_same_numbers(event, when, data, whole, tmp_path):
    out = tmp_path/"run"
    start_run(out, data, RECIPE, EVERY, OPTIONS, seed=1)
    with pytest.raises(KeyboardInterrupt): go(out, data, [Pull(event, when)])
    assert not (out/"metrics.json").exists() and not list(out.glob(".*"))
    torch.manual_seed(777)  # a new process knows nothing of the old one's random numbers
    go(out, data)
    same_run(out, whole)


def test_a_run_interrupted_at_every_stage_again_and_again(data, whole, tmp_path):
    out, left = tmp_path/"run", {2, 5, 8, 11, 14, 17, 20, 23, 26}
    start_run(out, data, RECIPE, EVERY, OPTIONS, seed=1)
    total = 0
    class Often:
        def on_step(self, state):
            nonlocal total
            total += 1
            if total in left: raise KeyboardInterrupt
    for _ in range(len(left) + 1):
        try: go(out, data, [Often()])
        except KeyboardInterrupt: continue
        break
    same_run(out, whole)


@pytest.mark.parametrize("name, nth", [*product(["checkpoint.safetensors", "history.jsonl"], [1, 3, 6]), ("history.jsonl", 9),
                                       ("stage1.safetensors", 1), ("model.safetensors", 1), ("metrics.json", 1)])
def test_a_crash_in_the_middle_of_a_write_leaves_no_trace(name, nth, data, whole, tmp_path, monkeypatch):
    out, calls, replace_file = tmp_path/"run", 0, os.replace
    start_run(out, data, RECIPE, EVERY, OPTIONS, seed=1)
    def crash(source, target):
        nonlocal calls
        if os.path.basename(target) == name:
            calls += 1
            if calls == nth: raise OSError(28, "No space left on device")
        replace_file(source, target)
    with monkeypatch.context() as m:
        m.setattr(os, "replace", crash)
        with pytest.raises(OSError, match="No space"): go(out, data)
    assert not list(out.glob(".*")), "a half-written file was left behind"
    RunFolder(out).read_history()  # what is there can be read
    if (out/"checkpoint.safetensors").exists(): read_checkpoint(out/"checkpoint.safetensors")
    go(out, data)
    same_run(out, whole)


def test_a_file_that_a_killed_process_left_is_swept_away(data, whole, tmp_path):
    out = tmp_path/"run"
    start_run(out, data, RECIPE, EVERY, OPTIONS, seed=1)
    (out/".checkpoint.safetensors.4711").write_bytes(b"half")
    go(out, data)
    same_run(out, whole)


def test_a_run_that_lacks_only_its_metrics_is_completed_without_training(data, whole, tmp_path):
    out = tmp_path/"run"
    start_run(out, data, RECIPE, EVERY, OPTIONS, seed=1)
    with pytest.MonkeyPatch.context() as m, pytest.raises(KeyboardInterrupt):
        m.setattr(runs, "evaluate_system", lambda model, data, split="test", **more: pull(split) or evaluate(model, data, split, **more))
        def pull(split):
            if split == "test": raise KeyboardInterrupt  # the very last thing that a run computes
        go(out, data)
    assert (out/"model.safetensors").exists() and not (out/"metrics.json").exists()
    steps = SimpleNamespace(on_step=lambda state: pytest.fail("it trained again"))
    go(out, data, [steps])
    same_run(out, whole)


def test_a_finished_run_is_only_read(data, whole):
    before = contents(whole)
    run = go(whole, None, [SimpleNamespace(on_step=lambda s: pytest.fail("it trained"))])  # not even the data are needed
    assert contents(whole) == before and run.metrics == json.loads((whole/"metrics.json").read_text())


def test_early_stopping_survives_a_resume(data, tmp_path):
    "It stops in the same epoch, whether or not it was interrupted while waiting."
    settings, runs = replace(EVERY, patience=2, learning_rate=1e-6), []
    for name in ("straight", "cut"):
        out = tmp_path/name
        start_run(out, data, one_stage("sasrec", 40), settings, {"dim": 8}, seed=0)
        if name == "cut":
            with pytest.raises(KeyboardInterrupt): go(out, data, [Pull("on_step", lambda s: s.waited == 1)])
        runs.append(go(out, data))
    assert epochs_of(runs[0]) == epochs_of(runs[1])
    assert len(runs[0].history) < 40 and runs[0].metrics == runs[1].metrics


# ---- what cannot work is said before anything is written

@pytest.mark.parametrize("wrong, message", [
    (dict(stages=one_stage("sasrek")), "system 'sasrek'. Did you mean 'sasrec'"),
    (dict(stages=()), "at least one epoch"),
    (dict(stages=three_stages(0)), "at least one epoch"),
    (dict(options={"dmi": 8}), "option 'dmi'. Did you mean 'dim'"),
    (dict(options={"dim": 10}), "heads must divide dim"),
    (dict(options={"schedule": "cosin"}), "cosin"),
    (dict(options={"steps": 4, "schedule": "linear"}), "adrec: "),
    (dict(stages=one_stage("sasrec"), options={"attention_sink": True}), "attention_sink needs positions=False"),
    (dict(stages=(Stage("pre-train", "sasrec", 3), *RECIPE[1:]), options={"attention_sink": True}), "attention_sink needs positions=False"),
    (dict(stages=one_stage("sasrec"), options={"steps": 4}), "option 'steps'"),
    (dict(options={"positions": True}), "option 'positions'"),
    (dict(pretrained=torch.zeros(30, 9)), r"\(30, 9\).*\(30, 128\)"),
    (dict(pretrained=torch.zeros(29, 128)), r"\(29, 128\).*\(30, 128\)"),
    (dict(pretrained=torch.full((30, 128), torch.nan)), "30 rows.*finite"),
    (dict(precision="fp17"), "precision 'fp17'"),
    (dict(seed=-1), "seed"),
])
def test_a_run_that_cannot_work_leaves_nothing_behind(wrong, message, data, tmp_path):
    with pytest.raises(InputError, match=message): start_run(tmp_path/"run", data, **wrong)
    assert not list(tmp_path.iterdir())


def test_a_configuration_that_is_no_json_leaves_nothing_behind(data, tmp_path):
    with pytest.raises(InputError, match="options.dim. should be a whole number"): start_run(tmp_path/"run", data, options={"dim": {8}})
    assert not list(tmp_path.iterdir())


def test_too_few_items(tmp_path):
    few = synthetic_data(users=30, items=18, clusters=3, dim=4)[0]
    one = replace(few, items=np.ones_like(few.items), item_info=few.item_info[:1])
    with pytest.raises(InputError, match="1 item: .*at least 2"): start_run(tmp_path/"run", one, options=OPTIONS)
    with pytest.raises(InputError, match="1 item: .*at least 2"): train_stages(one, RECIPE, EVERY, OPTIONS)
    with pytest.raises(InputError, match="max_length is 50 in the settings and 9 in the options"): start_run(tmp_path/"run", few, options={"max_length": 9})
    assert not list(tmp_path.iterdir())


def test_a_taken_folder_is_refused(data, whole, tmp_path):
    before = contents(whole)
    with pytest.raises(InputError, match="already there.*--resume"): start_run(whole, data)
    (tmp_path/"file").write_text("")
    with pytest.raises(InputError, match="already there"): start_run(tmp_path/"file", data)
    assert contents(whole) == before
    (tmp_path/"empty").mkdir()
    assert (start_run(tmp_path/"empty", data, options=OPTIONS)/"config.json").exists()


# ---- damaged and foreign folders

@pytest.fixture
def copy(whole, tmp_path):
    "A finished run to spoil."
    out = tmp_path/"run"
    out.mkdir()
    for name, content in contents(whole).items(): (out/name).write_bytes(content)
    return out


def half(content): return content[:len(content) // 2]

@pytest.mark.parametrize("name", ["config.json", "metrics.json", "history.jsonl", "items.csv", "model.safetensors"])
@pytest.mark.parametrize("spoil", [half, lambda c: b"", lambda c: b"[1]", lambda c: b"\xff\xfe{"], ids=["half", "empty", "list", "bytes"])
def test_a_damaged_file_is_named(name, spoil, copy):
    (copy/name).write_bytes(spoil((copy/name).read_bytes()))
    with pytest.raises(InputError, match=name.replace(".", r"\.")) as e: load_run(copy)
    assert "\n" not in str(e.value)


def test_items_that_changed_places_are_named(copy, monkeypatch, data):
    run = load_run(copy)
    monkeypatch.setattr(folders, "load_data", lambda **arguments: data)
    monkeypatch.setattr(runs, "_find_data", lambda *given: {})
    assert run.data() is data
    rows = (copy/"items.csv").read_text().splitlines()
    first, second = (row.split(",", 1) for row in rows[1:3])
    rows[1:3] = [f"1,{second[1]}", f"2,{first[1]}"]
    (copy/"items.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r"items\.csv: item 1 is .* in the data, and not"): load_run(copy).data()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_vectors_that_are_no_numbers_are_not_exported(number, copy, tmp_path):
    run = load_run(copy)
    for parameter in run.model.parameters(): parameter.data[...] = number
    with pytest.raises(InputError, match="NaN or infinity"): run.export_items(tmp_path/"items.npy")
    assert not (tmp_path/"items.npy").exists()


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "history.jsonl", "items.csv", "model.safetensors"])
def test_a_missing_file_is_named(name, copy):
    (copy/name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")): load_run(copy)


def test_a_damaged_line_of_history_is_named(copy):
    lines = (copy/"history.jsonl").read_text().splitlines()
    for bad in (lines[3][:30], '{"epoch": 3}', "null"):
        (copy/"history.jsonl").write_text("\n".join([*lines[:3], bad, *lines[4:]]))
        with pytest.raises(InputError, match=r"history\.jsonl, line 4: "): RunFolder(copy).read_history()


def test_settings_of_another_version_are_named(copy, data):
    config = json.loads((copy/"config.json").read_text())
    config["settings"]["warp"] = 9
    (copy/"config.json").write_text(json.dumps(config))
    (copy/"metrics.json").unlink()
    with pytest.raises(InputError, match="config.json.*warp"): go(copy, data)


def test_files_that_do_not_fit_together(copy, data):
    save_file({"x": torch.zeros(2)}, copy/"model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors does not fit config\.json"): load_run(copy)
    save_file({"x": torch.zeros(2)}, copy/"stage1.safetensors")
    with pytest.raises(InputError, match=r"stage1\.safetensors"): pretrained_items(copy, data)


def test_a_run_belongs_to_its_data(copy, data):
    with pytest.raises(InputError, match="other data.*fingerprint"): go(copy, synthetic_data(users=80, items=30, clusters=3, dim=4, seed=4)[0])
    with pytest.raises(InputError, match="from memory.*pass them again"): load_run(copy).data()
    (copy/"metrics.json").unlink()
    with pytest.raises(InputError, match="from memory"): go(copy, None)


# ---- tables from elsewhere

def test_a_pretrained_table_from_a_run_or_a_file(data, whole, tmp_path):
    table = load_file(whole/"stage1.safetensors")["items"]
    np.save(tmp_path/"t.npy", table.numpy()); save_file({"any name": table}, tmp_path/"t.safetensors")
    np.save(tmp_path/"double.npy", table.double().numpy())
    for source in (whole, whole/"stage1.safetensors", tmp_path/"t.npy", tmp_path/"t.safetensors", tmp_path/"double.npy"):
        assert torch.equal(pretrained_items(source, data), table)
    start_run(tmp_path/"run", data, RECIPE, EVERY, OPTIONS, seed=1, pretrained=table)
    run = go(tmp_path/"run", data)
    assert equal(run.model.state_dict(), load_run(whole).model.state_dict()), "stages 2 and 3 are the same from the same table"
    assert set(run.history.system) == {"adrec"}


def test_a_run_without_stage_1_gives_its_final_table(data, tmp_path):
    start_run(tmp_path/"run", data, one_stage("sasrec", 2), EVERY, {"dim": 8})
    run = go(tmp_path/"run", data)
    assert torch.equal(pretrained_items(tmp_path/"run", data), run.model.item_embeddings())


def test_a_recipe_of_pre_training_alone_can_be_resumed_at_its_very_end(data, tmp_path):
    start_run(tmp_path/"run", data, RECIPE[:1], EVERY, {"dim": 8})
    with pytest.MonkeyPatch.context() as m, pytest.raises(KeyboardInterrupt):
        def fail(*_): raise KeyboardInterrupt
        m.setattr(RunFolder, "write_model", fail)
        go(tmp_path/"run", data)
    assert len(go(tmp_path/"run", data).history) == 5


def test_no_pickle_is_ever_loaded(data, tmp_path):
    class Bomb:
        def __reduce__(self): return (os.mkdir, (str(tmp_path/"exploded"),))
    np.save(tmp_path/"bomb.npy", np.array([Bomb()] * 30, dtype=object), allow_pickle=True)
    torch.save({"items": Bomb()}, tmp_path/"bomb.safetensors")
    (tmp_path/"empty.npy").write_bytes(b""); (tmp_path/"text.npy").write_text("hello"); np.save(tmp_path/"words.npy", np.array(["a"] * 30))
    for path in [*tmp_path.glob("*.npy"), *tmp_path.glob("*.safetensors")]:
        with pytest.raises(InputError, match=path.name): pretrained_items(path, data)
    assert not (tmp_path/"exploded").exists()


def test_tables_of_other_items(data, whole, tmp_path):
    np.save(tmp_path/"few.npy", np.zeros((7, 8))); save_file({"a": torch.zeros(30, 8), "b": torch.zeros(30, 8)}, tmp_path/"two.safetensors")
    for source, message in ((tmp_path/"few.npy", r"\(7, 8\).*30 rows"), (tmp_path/"two.safetensors", "holds 2 tables"), (tmp_path/"none.npy", "no such"), (tmp_path, "not a run folder")):
        with pytest.raises(InputError, match=message): pretrained_items(source, data)
    with pytest.raises(InputError, match="other data"): pretrained_items(whole, synthetic_data(seed=9)[0])


# ---- what a run is for

def test_seen_items_are_not_recommended(data, whole):
    run, ids = load_run(whole), data.item_info.item_id
    for user in range(0, 80, 9):
        history = ids.loc[data.sequence(user)].tolist()
        best = run.recommend(history, k=10)
        assert not set(best.item_id) & set(history) and best["rank"].tolist() == list(range(1, 11))
        assert best.score.is_monotonic_decreasing and best.item_id.is_unique
        assert (best.title == run.items.set_index("item_id").title.loc[best.item_id].values).all()
    assert len(run.recommend(ids.tolist()[:20], k=10)) == 10, "all ten others"
    with pytest.raises(InputError, match="k = 11"): run.recommend(ids.tolist()[:20], k=11)
    assert set(run.recommend(["i1"], k=30, filter_seen=False).item_id) == set(ids)
    with pytest.raises(InputError, match="no item 'i99'"): run.recommend(["i99"])
    pd.testing.assert_frame_equal(run.recommend(["i1", "i2"]), run.recommend(["i1", "i2"]))


def test_seen_long_ago_is_seen(data, tmp_path):
    start_run(tmp_path/"run", data, one_stage("sasrec", 1), replace(EVERY, max_length=3), {"dim": 8})
    run, ids = go(tmp_path/"run", data), data.item_info.item_id.tolist()
    assert not set(run.recommend(ids[:12], k=18).item_id) & set(ids[:12])


def test_the_item_table_goes_out_and_comes_back(data, whole, tmp_path):
    run = load_run(whole)
    vectors = run.model.item_embeddings().detach().numpy()
    npy, ids = run.export_items(tmp_path/"items.npy")
    np.testing.assert_array_equal(np.load(npy, allow_pickle=False), vectors)
    pd.testing.assert_frame_equal(pd.read_csv(ids), run.items.reset_index(drop=True))
    for name, read in (("t.csv", pd.read_csv), ("t.parquet", pd.read_parquet)):
        table = read(run.export_items(tmp_path/name)[0])
        assert table.item_id.tolist() == data.item_info.item_id.tolist() and table.title.tolist() == data.item_info.title.tolist()
        np.testing.assert_allclose(table.filter(regex=r"^dim\d+$").to_numpy(np.float32), vectors, rtol=1e-6)
    assert torch.equal(pretrained_items(npy, data), torch.from_numpy(vectors))
    before = set(tmp_path.iterdir())
    for bad in ("t.xlsx", "t", "nosuch/t.csv"):
        with pytest.raises(InputError, match=bad): run.export_items(tmp_path/bad)
    assert set(tmp_path.iterdir()) == before


def test_strange_ids_and_titles_come_back_as_they_were(data, tmp_path):
    info = data.item_info.copy()
    info["item_id"] = [["NA", "007", 'a,"b"', "zwei\nZeilen", "ünï", "1e5", " "][i] if i < 7 else f"x{i}" for i in range(30)]
    info.loc[3, "title"] = None
    odd = replace(data, item_info=info)
    start_run(tmp_path/"run", odd, one_stage("sasrec", 1), EVERY, {"dim": 8})
    run = go(tmp_path/"run", odd)
    assert run.items.item_id.tolist() == info.item_id.tolist() and run.items.title.isna().tolist() == info.title.isna().tolist()
    assert run.recommend(["007", "NA"], k=3).shape[0] == 3


# ---- every key of every JSON file, spoilt in every way

WRONG = [None, True, 1, -1, 1.5, "x", "", [], {}, [{}], float("nan"), 10**30, 10**12, "\ud800", [[[[]]]]]

def places(value, path=()):
    "The paths of all keys and elements of a JSON value."
    steps = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        yield (*path, step)
        yield from places(value[step], (*path, step))

def mutated(value, path, new):
    "The value with another one at a path; `...` removes it."
    value = copies.deepcopy(value)
    at = value
    for step in path[:-1]: at = at[step]
    if new is ...: del at[path[-1]]
    else: at[path[-1]] = new
    return value

def read_or_refuse(read):
    "Nothing but an answer or an `InputError` of one line that is not too long may come."
    try: read()
    except InputError as e: assert "\n" not in str(e) and len(str(e)) < 600, e

def is_refused(name, copy, data) -> bool:
    "Read a folder in which that file is spoilt; if it can be read, do what the commands do, short of long computations."
    try: run = load_run(copy)
    except InputError as e:
        assert "\n" not in str(e) and len(str(e)) < 600 and (name in str(e) or "items" in str(e)), e
        return True
    read_or_refuse(lambda: run_data(run.folder, run.config, data))
    if name == "config.json": read_or_refuse(lambda: run.recommend(["i1"], k=3))  # the other files have no part in it
    return False

def keep_model(copy, monkeypatch):
    "The model does not depend on the other files: read it once."
    model = load_run(copy).model
    monkeypatch.setattr(RunFolder, "read_model", lambda *given: model)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
def test_every_key_of_a_json_file_may_be_spoilt(name, copy, data, monkeypatch):
    whole, refused = json.loads((copy/name).read_text()), 0
    if name != "config.json": keep_model(copy, monkeypatch)
    for path in places(whole):
        for new in (..., *WRONG):
            (copy/name).write_text(json.dumps(mutated(whole, path, new)))
            refused += is_refused(name, copy, data)
    assert refused > 100


def test_every_key_of_a_history_may_be_spoilt(copy, data, monkeypatch):
    keep_model(copy, monkeypatch)
    lines = (copy/"history.jsonl").read_text().splitlines()
    whole = json.loads(lines[1])
    for path in places(whole):
        for new in (..., *WRONG):
            (copy/"history.jsonl").write_text("\n".join([lines[0], json.dumps(mutated(whole, path, new)), *lines[2:]]))
            is_refused("history.jsonl", copy, data)
    (copy/"history.jsonl").write_text("\n".join([*lines[:2], json.dumps(whole | {"seconds": "long"})]))
    with pytest.raises(InputError, match=r"history\.jsonl, line 3: 'seconds' should be a number, not 'long'"): load_run(copy)


def test_a_spoilt_configuration_cannot_be_resumed(copy, data):
    whole = json.loads((copy/"config.json").read_text())
    (copy/"metrics.json").unlink()
    class Enough(Exception): pass
    def stop(state): raise Enough
    for path in places(whole):
        for new in (..., None, "x", [], {}, float("nan"), 10**30, -1):
            (copy/"config.json").write_text(json.dumps(mutated(whole, path, new)))
            def resume():
                try: go(copy, data, [SimpleNamespace(on_step=stop)])
                except Enough: pass
            read_or_refuse(resume)


@pytest.mark.parametrize("path, new, message", [
    (("data",), 1, "'data' should be an object, not 1"),
    (("data", "arguments"), "x", "'data.arguments' should be an object or null, not 'x'"),
    (("data", "arguments"), ..., "'data.arguments' is missing"),
    (("data", "arguments"), {"source": 1}, "'data.arguments.source' should be text, not 1"),
    (("data", "arguments"), {"source": "a.csv", "usr": "u"}, "'data.arguments.usr' is not known here. Did you mean 'user'"),
    (("data", "fingerprint"), ..., "'data.fingerprint' is missing; it should be text"),
    (("versions",), "", "'versions' should be an object, not ''"),
    (("settings", "max_length"), 2.5, "'settings.max_length' should be a whole number, not 2.5"),
    (("settings", "patience"), -1, "patience"),
    (("options", "dim"), "8", "'options.dim' should be a whole number, not '8'"),
    (("options", "noise_scale"), "x", "'options.noise_scale' should be a number, not 'x'"),
    (("stages",), [], "'stages' is empty"),
    (("stages", 1, "epochs"), True, r"'stages\[1\].epochs' should be a whole number, not True"),
    (("stages", 0, "system"), "x" * 1000, r"'stages\[0\].system' should be one of sasrec, .*, not 'x{30,60} \.\.\. x+'"),
    (("precision",), "fp8", "'precision' should be one of no, bf16, not 'fp8'"),
    (("system",), "\x1b]0;gone", r"not '\\x1b"),
])
def test_a_wrong_value_is_named_with_what_would_be_right(path, new, message, copy):
    whole = json.loads((copy/"config.json").read_text())
    (copy/"config.json").write_text(json.dumps(mutated(whole, path, new)))
    with pytest.raises(InputError, match=rf"config\.json: .*{message}"): load_run(copy)


@pytest.mark.parametrize("text", ["9" * 5000, '{"seed": ' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 50_000, "{", "", "\ufeff"])
def test_json_that_breaks_a_parser(text, copy):
    for name in ("config.json", "metrics.json", "history.jsonl"):
        before = (copy/name).read_bytes()
        (copy/name).write_text(text, encoding="utf-8")
        if (name, text) not in (("history.jsonl", ""), ("history.jsonl", "\ufeff")):
            with pytest.raises(InputError, match=name.replace(".", r"\.")) as e: load_run(copy)
            assert "\n" not in str(e.value) and len(str(e.value)) < 400
        (copy/name).write_bytes(before)
    load_run(copy)


def test_a_mark_of_byte_order_and_missing_settings_are_no_faults(copy):
    config = json.loads((copy/"config.json").read_text())
    del config["settings"]["weight_decay"]
    (copy/"config.json").write_text(json.dumps(config), encoding="utf-8-sig")
    assert load_run(copy).config["settings"]["weight_decay"] == Settings().weight_decay


def test_options_that_could_not_be_read_again_are_refused_at_once(data, tmp_path):
    with pytest.raises(InputError, match="'options.noise_scale' should be a number"):
        start_run(tmp_path/"run", data, RECIPE, EVERY, OPTIONS | {"noise_scale": "much"})
    assert not list(tmp_path.iterdir())


def test_the_item_file_must_be_in_order(copy):
    items = pd.read_csv(copy/"items.csv")
    items.sort_values("item_id").to_csv(copy/"items.csv", index=False)
    with pytest.raises(InputError, match="items.csv: the column 'item' should count"): load_run(copy)
    items.assign(item_id="i1").to_csv(copy/"items.csv", index=False)
    with pytest.raises(InputError, match="items.csv: 'i1' stands in two rows"): load_run(copy)
    items.assign(interactions="many").to_csv(copy/"items.csv", index=False)
    with pytest.raises(InputError, match="items.csv is not the item file"): load_run(copy)
    items.drop(columns="interactions").to_csv(copy/"items.csv", index=False)
    assert load_run(copy).counts is None and not len(load_run(copy).untrained())


def test_tensors_are_copies_so_that_their_file_can_be_replaced(copy):
    tensors = RunFolder(copy).read_tensors("model.safetensors")
    (copy/"model.safetensors").write_bytes(b"")  # a mapped file would end the process here
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_a_folder_that_was_there_before_stays_when_a_run_cannot_begin(data, tmp_path, monkeypatch):
    def full(*_): raise OSError(28, "No space left on device")
    monkeypatch.setattr(RunFolder, "write_stage1", full)
    (tmp_path/"empty").mkdir()
    for name in ("empty", "new"):
        with pytest.raises(OSError): start_run(tmp_path/name, data, RECIPE, EVERY, OPTIONS, pretrained=torch.zeros(30, 8))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]
    with pytest.raises(InputError, match="name of the run folder is empty"): start_run("", data, RECIPE, EVERY, OPTIONS)


# ---- data that have moved

def test_data_that_have_moved_are_named_and_can_be_pointed_to(tmp_path):
    rows = [(f"u{u}", f"i{(u + j) % 25}", j) for u in range(40) for j in range(6)]
    pd.DataFrame(rows, columns=["who", "item_id", "timestamp"]).to_csv(tmp_path/"log.csv", index=False)
    (tmp_path/"lag.csv").write_text("who,item_id,timestamp\n")  # near in name, and not meant
    arguments = dict(source=str(tmp_path/"log.csv"), user="who")
    start_run(tmp_path/"run", load_data(**arguments), one_stage("sasrec", 1), EVERY, {"dim": 8})
    run = go(tmp_path/"run", None)
    (tmp_path/"log.csv").rename(tmp_path/"moved.csv")
    with pytest.raises(InputError, match="log.csv, and there is no such file now: .*--data FILE") as e: run.data()
    assert "lag.csv" not in str(e.value) and "Did you mean" not in str(e.value)
    assert run.data({"source": str(tmp_path/"moved.csv")}).n_users == 40, "the column `who` is remembered"
    with pytest.raises(InputError, match="other data"): run.data({"source": "synthetic"})
    with pytest.raises(InputError, match="nosuch.csv"): run.data({"source": str(tmp_path/"nosuch.csv")})


# ---- more epochs

FIVE = replace(EVERY, validate_every=5)

@pytest.mark.parametrize("recipe, few, many", [
    (lambda n: one_stage("sasrec", n), 7, 12), (lambda n: one_stage("sasrec", n), 6, 11), (lambda n: one_stage("sasrec", n), 2, 7),
    (lambda n: one_stage("adrec", n), 12, 13), (three_stages, 6, 8), (three_stages, 3, 7)])
@pytest.mark.parametrize("cut", [None, 1, 4])
def test_a_run_with_more_epochs_is_the_run_that_had_them_from_the_start(recipe, few, many, cut, data, tmp_path):
    start_run(tmp_path/"long", data, recipe(many), FIVE, OPTIONS if recipe is three_stages else {"dim": 8}, seed=2)
    start_run(tmp_path/"short", data, recipe(few), FIVE, OPTIONS if recipe is three_stages else {"dim": 8}, seed=2)
    straight = go(tmp_path/"long", data)
    if cut is None: go(tmp_path/"short", data)
    else:
        with pytest.raises(KeyboardInterrupt): go(tmp_path/"short", data, [Pull("on_step", lambda s: s.epoch == min(cut, few - 1))])
    extend_run(tmp_path/"short", many)
    torch.manual_seed(99)
    longer = go(tmp_path/"short", data)
    assert longer.config == straight.config and longer.metrics == straight.metrics and epochs_of(longer) == epochs_of(straight)
    for name in ("model.safetensors", *("stage1.safetensors",) * (recipe is three_stages)):
        assert equal(load_file(tmp_path/"short"/name), load_file(tmp_path/"long"/name))


def test_more_epochs_go_on_from_the_checkpoint(data, tmp_path):
    start_run(tmp_path/"run", data, one_stage("sasrec", 7), FIVE, {"dim": 8})
    go(tmp_path/"run", data)
    assert extend_run(tmp_path/"run", 9) == ""
    heard = []
    go(tmp_path/"run", data, [SimpleNamespace(on_stage=lambda s: heard.append(s.epoch))])
    assert heard == [6, 9], "epoch 5 was the last one after which a validation was due"


def test_a_stage_1_that_stopped_by_itself_is_kept(data, tmp_path):
    settings = replace(EVERY, patience=1, learning_rate=1e-6)
    for name, epochs in (("short", 10), ("long", 15)): start_run(tmp_path/name, data, three_stages(epochs), settings, OPTIONS)
    short, straight = (go(tmp_path/name, data) for name in ("short", "long"))
    before = contents(tmp_path/"short")
    assert (short.history.system == "stage1").sum() < 10, "stage 1 should have stopped"
    note = extend_run(tmp_path/"short", 15)
    longer = go(tmp_path/"short", data)
    assert before["stage1.safetensors"] == (tmp_path/"short"/"stage1.safetensors").read_bytes() and "begins again" not in note
    assert equal(longer.model.state_dict(), straight.model.state_dict()) and longer.metrics == straight.metrics


def test_more_epochs_for_a_run_that_stopped_change_nothing_and_say_so(data, tmp_path):
    start_run(tmp_path/"run", data, one_stage("sasrec", 40), replace(EVERY, patience=2, learning_rate=1e-6), {"dim": 8})
    assert len(go(tmp_path/"run", data).history) < 40
    before = contents(tmp_path/"run")
    assert "stopped improving" in extend_run(tmp_path/"run", 60) and contents(tmp_path/"run") == before


def test_epochs_that_would_make_no_sense(copy, data, tmp_path):
    config = json.loads((copy/"config.json").read_text())
    config["stages"][2]["epochs"] = 1
    (copy/"config.json").write_text(json.dumps(config))
    before = contents(copy)
    with pytest.raises(InputError, match="recipe of its own"): extend_run(copy, 9)
    assert contents(copy) == before
    start_run(tmp_path/"new", data, one_stage("sasrec", 3), EVERY, {"dim": 8})
    for epochs, message in ((2, "begun with epochs 3"), (501, "learning rate of this run is 0 from epoch 500")):
        with pytest.raises(InputError, match=message): extend_run(tmp_path/"new", epochs)


# ---- items without training

def test_items_that_training_never_saw_come_last(data, tmp_path):
    answers = data.items[data.offsets[1:] - 1]
    new = int(answers[0])
    keep = data.items != new
    keep[data.offsets[1:] - 1] = True  # it stays where it is the test answer
    lengths = np.add.reduceat(keep, data.offsets[:-1])
    assert lengths.min() >= 3
    rare = replace(data, items=data.items[keep], timestamps=data.timestamps[keep], offsets=np.concatenate([[0], lengths.cumsum()]))
    start_run(tmp_path/"run", rare, one_stage("sasrec", 1), EVERY, {"dim": 8})
    run = go(tmp_path/"run", rare)
    inside = np.concatenate([rare.sequence(u)[:-2] for u in range(rare.n_users)])
    assert run.untrained().tolist() == [new] and new not in inside
    assert run.counts.tolist() == np.bincount(inside, minlength=31)[1:].tolist()
    ids, lasts = rare.item_info.item_id, []
    for user in range(10):
        with torch.no_grad(): run.model.item_embedding.weight[new] *= 1000 if user == 0 else -1  # at one end by its score
        history = ids.loc[rare.sequence(user)[:-2]].tolist()
        best = run.recommend(history, k=30 - len(set(history)))
        assert best.item_id.iloc[-1] == ids[new] and best.item_id.is_unique and best.score[:-1].is_monotonic_decreasing
        assert ids[new] not in set(run.recommend(history, k=5).item_id)
        lasts.append(best.score.iloc[-1] > best.score.iloc[0])
    assert any(lasts), "by score alone it would have been the first somewhere"
