"Grids: killed and continued, wrong in one word, never overwritten, never averaged with what is different."
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import adrec
from adrec.checks import InputError
from adrec.counting import BASELINES
from adrec.data import synthetic_data
from adrec.experiments import compare_variants
from adrec.grid import make_grid, read_grid, run_grid
from adrec.recipes import three_stages
from adrec.results import GridResults, collect_grid, load_grid
from adrec.systems import SYSTEMS, register_system
from adrec.training import Training

FOUR = ["sasrec", "diffurec", "dreamrec", "adrec"]
QUIET = dict(processes=1, device="cpu", progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A folder with a small log, as a file."
    data = synthetic_data(users=30, items=24, clusters=3, dim=4, mean_length=6, seed=3)[0]
    rows = np.repeat(np.arange(data.n_users), data.lengths)
    log = pd.DataFrame({"user_id": data.user_ids[rows], "item_id": data.item_info.item_id.loc[data.items].to_numpy(), "timestamp": data.timestamps})
    out = tmp_path_factory.mktemp("grid")
    log.to_csv(out/"clicks.csv", index=False)
    log.iloc[:-1].to_csv(out/"others.csv", index=False)
    return out


def content(folder, **more):
    "A small grid, as its file would say it."
    return dict(data=[str(folder/"clicks.csv")], seeds=[0, 1], epochs=2, settings=dict(validate_every=1),
                options=dict(dim=8, blocks=1, heads=2), variants=dict(sasrec=dict(system="sasrec"))) | more


def toml(value):
    "Plain values as TOML: the top level as lines, everything below inline."
    def inline(v):
        if isinstance(v, dict): return "{" + ", ".join(f"{json.dumps(k)} = {inline(x)}" for k, x in v.items()) + "}"
        if isinstance(v, list): return "[" + ", ".join(map(inline, v)) + "]"
        return json.dumps(v)
    return "".join(f"{k} = {inline(v)}\n" for k, v in value.items())


def numbers(results):
    "Everything that must not depend on when and where it was computed."
    table = results.table.drop(columns=["training_seconds", "ranking_seconds"])
    keys = [(r["data"]["name"], r["variant"], r["seed"], r["label"]) for r in results.records]
    return table, dict(zip(keys, results.arrays)), {k: (r["start"], r["weights"], r["config_hash"]) for k, r in zip(keys, results.records)}


def assert_same(ours, theirs):
    (a, ranks, origins), (b, others, their_origins) = numbers(ours), numbers(theirs)
    pd.testing.assert_frame_equal(a, b)
    assert origins == their_origins
    assert ranks.keys() == others.keys()
    for key in ranks:
        for name, values in ranks[key].items(): np.testing.assert_array_equal(values, others[key][name], err_msg=f"{key} {name}")


# ---- killed and continued

@pytest.fixture(scope="module")
def wanted(folder):
    "Seven systems and five seeds."
    variants = {name: dict(system=name) | (dict(warm_up=1) if name == "adrec" else {}) for name in FOUR}
    return content(folder, seeds=[0, 1, 2, 3, 4], variants=variants, options=dict(dim=8, blocks=1, heads=2, steps=2),
                   inference=dict(fewer=dict(sampling_steps=[1], variants=["adrec"])))


@pytest.fixture(scope="module")
def whole(wanted, tmp_path_factory):
    "The grid, undisturbed, in one process."
    out = tmp_path_factory.mktemp("whole")
    assert run_grid(make_grid(wanted), out, **QUIET) == {}
    return out


def living(group):
    "Processes of a group that are more than an entry in a table."
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX": found.append(path)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_killed_grid_continues_to_the_same_numbers(wanted, whole, folder, tmp_path):
    (tmp_path/"grid.toml").write_text(toml(wanted))
    out, environment = tmp_path/"out", {**os.environ, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "adrec", "compare", str(tmp_path/"grid.toml"), "--out", str(out), "--processes", "2", "--device", "cpu"]
    process = subprocess.Popen(line, start_new_session=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while sum(path.parent.parent.name not in BASELINES for path in out.rglob("result.json")) < 4:
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.02)
    finally: process.kill()
    process.wait()
    for _ in range(500):
        if not living(process.pid): break
        time.sleep(0.02)
    assert not living(process.pid), "workers outlive their parent"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert 4 <= len(before) < len(list(whole.rglob("result.json")))
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert_same(load_grid(out), load_grid(whole))
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), "what was finished was done again"


def test_all_start_from_the_table_of_their_seed(whole, wanted):
    results = load_grid(whole)
    assert len(results.records) == len(BASELINES) + 5 * (len(FOUR) + 1) + 5
    tables = {r["seed"]: r["start"]["table"] for r in results.records if r["variant"] == "adrec"}
    assert len(set(tables.values())) == 5
    assert all(r["start"] is None for r in results.records if r["variant"] != "adrec")
    for record in results.records:
        assert record["versions"]["adrec"] == adrec.__version__
        assert record["data"]["fingerprint"] == results.records[0]["data"]["fingerprint"]
        assert (record["commit"] is None) or re.fullmatch(r"[0-9a-f]{40}\+?", record["commit"])


def test_a_cell_is_the_training_that_adrec_train_would_do(whole, folder, wanted):
    options = wanted["options"] | wanted["settings"]
    run = adrec.train(str(folder/"clicks.csv"), "adrec", epochs=2, warm_up=1, seed=3, device="cpu", progress=False, **options)
    record, = (r for r in load_grid(whole).records if (r["variant"], r["seed"], r["label"]) == ("adrec", 3, ""))
    assert record["metrics"] == run.metrics


def test_an_interrupted_cell_resumes(folder, tmp_path, monkeypatch):
    grid = make_grid(content(folder, seeds=[0], epochs=3, variants=dict(full=dict(system="adrec", warm_up=1))))
    run_grid(grid, tmp_path/"a", **QUIET)
    epoch = Training.run_epoch
    def stop(self, *args, **more):
        if (self.system, self.epoch) == ("adrec", 2): raise KeyboardInterrupt
        return epoch(self, *args, **more)
    monkeypatch.setattr(Training, "run_epoch", stop)
    with pytest.raises(KeyboardInterrupt): run_grid(grid, tmp_path/"b", **QUIET)
    monkeypatch.undo()
    trained = []
    def note(self, *args, **more):
        trained.append((self.system, self.epoch))
        return epoch(self, *args, **more)
    monkeypatch.setattr(Training, "run_epoch", note)
    run_grid(grid, tmp_path/"b", **QUIET)
    assert trained == [("adrec", 2)]
    assert_same(load_grid(tmp_path/"a"), load_grid(tmp_path/"b"))


def test_sigterm_ends_the_workers_and_says_how_to_go_on(folder, tmp_path, monkeypatch, capsys):
    import adrec.grid as module
    from adrec.cli import main
    (tmp_path/"grid.toml").write_text(toml(content(folder)))
    begin, workers = module._Worker.begin, []
    def interrupted(self, cell):
        begin(self, cell)
        workers.append(self.process)
        if len(workers) == 2: signal.raise_signal(signal.SIGTERM)
    monkeypatch.setattr(module._Worker, "begin", interrupted)
    line = ["compare", str(tmp_path/"grid.toml"), "--out", str(tmp_path/"out"), "--processes", "2", "--device", "cpu"]
    with pytest.raises(SystemExit) as end: main(line)
    assert end.value.code == 128 + signal.SIGTERM
    assert "the same line continues the grid" in capsys.readouterr().err
    assert len(workers) == 2 and not any(process.is_alive() for process in workers)


def test_finished_cells_and_new_questions(folder, tmp_path, monkeypatch):
    grid = content(folder, seeds=[0], variants=dict(full=dict(system="adrec")))
    run_grid(make_grid(grid), tmp_path, **QUIET)
    monkeypatch.setattr(Training, "run_epoch", lambda *args, **more: pytest.fail("it trains again"))
    asked = make_grid(grid | dict(inference=dict(steps=dict(sampling_steps=[1, 2]), samples=dict(samples=[3]))))
    assert run_grid(asked, tmp_path, **QUIET) == {}
    assert [label for _, variant, label in load_grid(tmp_path).summary().index if variant == "full"] == ["", "sampling_steps=1", "sampling_steps=2", "samples=3"]


@pytest.mark.skipif(os.name == "nt", reason="not on Windows")
def test_two_cannot_work_on_one_grid(folder, tmp_path):
    import fcntl
    with open(tmp_path/".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is at work"): run_grid(make_grid(content(folder)), tmp_path, **QUIET)


# ---- what is wrong is said before anything is done

FULL = dict(system="adrec")
WRONG = {
    "unknown key": (dict(seed=[1]), "'seed' is not known here. Did you mean 'seeds'"),
    "unknown word": (dict(variants=dict(full=FULL | dict(warmup=0))), "'variants.full.warmup' is not known here. Did you mean 'warm_up'"),
    "unknown system": (dict(variants=dict(full=dict(system="adrek"))), "'variants.full.system': unknown system 'adrek'. Did you mean 'adrec'"),
    "unknown option": (dict(variants=dict(full=FULL | dict(options=dict(noise=0)))), "'variants.full.options.noise' is not known here"),
    "option of another": (dict(variants=dict(s=dict(system="sasrec", options=dict(steps=4)))), "'variants.s.options.steps' is not known here"),
    "option of none": (dict(options=dict(dims=8)), "'options.dims' is not known here. Did you mean 'dim'"),
    "unknown setting": (dict(settings=dict(patients=8)), "'settings.patients' is not known here. Did you mean 'patience'"),
    "wrong kind": (dict(variants=dict(full=FULL | dict(epochs="many"))), "'variants.full.epochs' should be a whole number or null, not 'many'"),
    "wrong setting": (dict(variants=dict(full=FULL | dict(settings=dict(patience=0)))), "'variants.full': patience must be above 0"),
    "word of adrec": (dict(variants=dict(s=dict(system="sasrec", warm_up=3))), "'variants.s.warm_up' is for adrec"),
    "start nowhere": (dict(variants=dict(s=dict(system="sasrec", start="stage2"))), "'variants.s.start': unknown variant 'stage2'"),
    "circle": (dict(variants=dict(a=dict(system="sasrec", start="b"), b=dict(system="sasrec", start="a"))), "'variants.a.start' leads back to itself"),
    "start and none": (dict(variants=dict(full=FULL | dict(start="stage1", pre_train=False))), "says where to begin, pre_train = false not to"),
    "name of a baseline": (dict(variants=dict(popularity=FULL)), "popularity is in every table by itself"),
    "name with a slash": (dict(variants={"a/b": FULL}), "cannot be the name of a folder"),
    "seed twice": (dict(seeds=[1, 1]), "'seeds' repeats a seed"),
    "no seed": (dict(seeds=[]), "'seeds' is empty"),
    "bad seed": (dict(seeds=[-1]), "'seeds': a seed is a whole number from 0"),
    "data twice": (dict(data=["a.csv", "b/a.tsv"]), "'data' names a set twice"),
    "no data": (dict(data=[]), "'data' is empty"),
    "unknown reading": (dict(data=dict(a=dict(source="a.csv", users="who"))), "'data.a.users' is not known here. Did you mean 'user'"),
    "no such file": (dict(data=["nowhere.csv"]), "nowhere.csv"),
    "inference of none": (dict(inference=dict(x=dict(sampling_steps=[1]))), "'inference.x': no variant has these options"),
    "inference unknown": (dict(inference=dict(x=dict(step=[1]))), "'inference.x.step' is not known here"),
    "inference of another": (dict(inference=dict(x=dict(variants=["sasrec"], samples=[1]))), "'inference.x.samples': sasrec is a sasrec, which has no such option"),
    "inference text": (dict(variants=dict(full=FULL), inference=dict(x=dict(samples=[1, "../x"]))), "'inference.x.samples[1]' should be a whole number"),
    "inference empty": (dict(inference=dict(x=dict(variants=["sasrec"]))), "'inference.x' changes no option"),
    "too many steps": (dict(variants=dict(full=FULL), inference=dict(x=dict(sampling_steps=[99]))), "'variants.full': adrec: "),
    "wrong width": (dict(variants=dict(full=FULL | dict(options=dict(dim=16)))), "'variants.full': the item table has shape (24, 8), this system needs (24, 16)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_one_line_with_its_key(folder, tmp_path, what):
    more, message = WRONG[what]
    (tmp_path/"grid.toml").write_text(toml(content(folder, **more)))
    with pytest.raises(InputError, match=re.escape(message)) as complaint: run_grid(read_grid(tmp_path/"grid.toml"), tmp_path/"out", **QUIET)
    assert "\n" not in str(complaint.value)
    assert what == "no such file" or "grid.toml" in str(complaint.value)
    assert not (tmp_path/"out").exists(), "something was written all the same"


def test_a_file_that_is_no_toml(tmp_path):
    (tmp_path/"grid.toml").write_text("data = [\nseeds = 3")
    with pytest.raises(InputError, match=r"grid.toml: not valid TOML: .*line 2"): read_grid(tmp_path/"grid.toml")
    with pytest.raises(InputError, match="no.toml: No such file"): read_grid(tmp_path/"no.toml")


def test_the_recipe_of_a_variant(folder, tmp_path):
    variants = dict(full=FULL, cold=FULL | dict(warm_up=0), scratch=FULL | dict(pre_train=False), frozen=FULL | dict(freeze_items=True, table_std=1.0),
                    dream=dict(system="dreamrec", start="stage1", freeze_items=True, epochs=7, seeds=[5], options=dict(dim=8)))
    grid = make_grid(content(folder, seeds=[0], epochs=9, variants=variants))
    cells = {(cell.variant, cell.seed): cell for cell in grid.cells(tmp_path)}
    def recipe(name, seed=0): return cells[name, seed].recipe[0]
    assert recipe("full") == three_stages(9, 5)
    assert recipe("cold") == three_stages(9, 0)
    assert recipe("scratch") == three_stages(9, 5, pre_train=False)
    assert recipe("frozen") == three_stages(9, 5, freeze_items=True, table_std=1.0)
    assert [(s.system, s.epochs, s.freeze_items) for s in recipe("dream", 5)] == [("dreamrec", 7, True)]
    starts = {name: cell.start and cell.start.relative_to(tmp_path).as_posix() for name, cell in cells.items() if not cell.counts}
    assert starts == {("stage1", 0): None, ("stage1", 5): None, ("scratch", 0): None, ("dream", 5): "clicks/stage1/seed-5"} | {
        (name, 0): "clicks/stage1/seed-0" for name in ("full", "cold", "frozen")}


def test_round_robin_by_seed_and_starts_first(folder, tmp_path):
    variants = dict(full=FULL, sasrec=dict(system="sasrec"), probe=dict(system="sasrec", start="full", seeds=[2, 0]), stage1=dict(system="stage1"))
    cells = make_grid(content(folder, seeds=[2, 0], variants=variants)).cells(tmp_path)[len(BASELINES):]
    assert [cell.seed for cell in cells] == [2] * 4 + [0] * 4
    assert [cell.variant for cell in cells] == ["sasrec", "stage1", "full", "probe"] * 2


def test_data_may_be_renamed_and_read_in_their_own_way(folder, tmp_path):
    log = pd.read_csv(folder/"clicks.csv").rename(columns=dict(user_id="who"))
    log.to_csv(tmp_path/"my clicks.csv", index=False)
    (tmp_path/"list.toml").write_text(toml(content(folder, data=["my clicks.csv"])))
    assert list(read_grid(tmp_path/"list.toml").data) == ["my-clicks"]
    (tmp_path/"table.toml").write_text(toml(content(folder, data=dict(shop=dict(source="my clicks.csv", user="who")))))
    cells = read_grid(tmp_path/"table.toml").cells(tmp_path/"out")
    assert cells[-1].data == "shop" and cells[-1].config["data"]["n_items"] == 24


# ---- nothing is overwritten

def test_other_settings_are_refused_and_nothing_is_touched(whole, wanted, folder):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    def refused(change, message):
        with pytest.raises(InputError, match=message): run_grid(make_grid(wanted | change), whole, **QUIET)
    refused(dict(epochs=3), r"overwrite finished cells with other settings: .*epochs is 2 there and 3 in the grid")
    refused(dict(settings=dict(validate_every=1, patience=9)), "settings.patience is 4 there and 9 in the grid")
    refused(dict(options=wanted["options"] | dict(heads=4)), "options.heads is 2 there and 4 in the grid")
    refused(dict(data=dict(clicks=dict(source=str(folder/"others.csv")))), "data.fingerprint is")
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


def test_versions_of_libraries_and_the_place_of_the_data_do_not_matter(whole, wanted, folder, tmp_path):
    out = tmp_path/"copy"
    shutil.copytree(whole, out)
    for path in out.rglob("config.json"): path.write_text(path.read_text().replace('"python": "3', '"python": "2'))
    shutil.copy(folder/"clicks.csv", tmp_path/"clicks.csv")
    assert run_grid(make_grid(wanted | dict(data=[str(tmp_path/"clicks.csv")])), out, **QUIET) == {}
    assert_same(load_grid(out), load_grid(whole))


def test_another_table_to_begin_with_is_noticed(folder, tmp_path):
    grid = make_grid(content(folder, seeds=[0], variants=dict(full=FULL)))
    run_grid(grid, tmp_path, **QUIET)
    other = make_grid(content(folder, seeds=[1], variants=dict(full=FULL)))
    run_grid(other, tmp_path, **QUIET)
    shutil.copy(tmp_path/"clicks/stage1/seed-1/model.safetensors", tmp_path/"clicks/stage1/seed-0/model.safetensors")
    with pytest.raises(InputError, match="began with another item table"): run_grid(grid, tmp_path, **QUIET)


def test_results_of_other_weights_do_not_count(folder, tmp_path):
    grid = make_grid(content(folder))
    run_grid(grid, tmp_path, **QUIET)
    seeds = [tmp_path/f"clicks/sasrec/seed-{s}" for s in (0, 1)]
    shutil.copy(seeds[1]/"model.safetensors", seeds[0]/"model.safetensors")
    assert len(load_grid(tmp_path).per_user("MRR", "clicks", "sasrec")) == 1
    run_grid(grid, tmp_path, **QUIET)
    found = load_grid(tmp_path).per_user("MRR", "clicks", "sasrec")
    np.testing.assert_array_equal(found[0], found[1])


# ---- a cell that fails

def test_a_failed_cell_is_told_and_the_rest_goes_on(folder, tmp_path):
    hot = dict(system="stage1", settings=dict(learning_rate=1e30))
    variants = dict(hot=hot, sasrec=dict(system="sasrec"), after=dict(system="sasrec", start="hot"), later=dict(system="sasrec", start="after"))
    grid = make_grid(content(folder, seeds=[0], variants=variants))
    errors = run_grid(grid, tmp_path, **QUIET)
    assert list(errors) == ["clicks, hot, seed 0", "clicks, after, seed 0", "clicks, later, seed 0"]
    assert errors["clicks, after, seed 0"] == "not tried: it begins with the items of clicks, hot, seed 0, which has failed"
    stored = json.loads((tmp_path/"clicks/hot/seed-0/error.json").read_text())
    assert stored["error"] == errors["clicks, hot, seed 0"] and "Traceback" in stored["traceback"]
    results = load_grid(tmp_path)
    assert results.errors == {"clicks, hot, seed 0": stored["error"]}
    rows = {row[0]: row[1:] for row in results.texts()}
    assert rows["hot"] == ["0 of 1", "–", "–", "–"] and rows["sasrec"][0] == "1"
    assert run_grid(grid, tmp_path, **QUIET).keys() == errors.keys(), "a failed cell is tried again"


def test_a_worker_that_dies_is_a_failed_cell(folder, tmp_path, monkeypatch):
    import adrec.grid as module
    outcome = module._Worker.outcome
    def killed(self):
        if self.cell.variant == "sasrec":
            with contextlib.suppress(EOFError): self.pipe.recv()
            self.process.kill()
        return outcome(self)
    monkeypatch.setattr(module._Worker, "outcome", killed)
    variants = dict(sasrec=dict(system="sasrec"), hot=dict(system="sasrec", settings=dict(learning_rate=1e30)), other=dict(system="sasrec"))
    errors = run_grid(make_grid(content(folder, seeds=[0], variants=variants)), tmp_path, **QUIET | dict(processes=2))
    assert errors.keys() == {"clicks, sasrec, seed 0", "clicks, hot, seed 0"}
    assert f"code {-signal.SIGKILL}" in errors["clicks, sasrec, seed 0"] and "FloatingPointError" in errors["clicks, hot, seed 0"]
    assert load_grid(tmp_path).errors == errors


def test_the_exit_code_of_a_failed_comparison(folder, tmp_path):
    (tmp_path/"grid.toml").write_text(toml(content(folder, seeds=[0], variants=dict(hot=dict(system="sasrec", settings=dict(learning_rate=1e30))))))
    from adrec.cli import main
    with pytest.raises(SystemExit) as end: main(["compare", str(tmp_path/"grid.toml"), "--out", str(tmp_path/"out"), "--processes", "1", "--device", "cpu"])
    assert end.value.code == 1


# ---- results

def test_results_of_different_data_or_rules_are_never_averaged(whole):
    results = load_grid(whole)
    def refused(change, message):
        records = json.loads(json.dumps(results.records))
        change(records[-1])
        for method in ("summary", "texts"):
            with pytest.raises(InputError, match=message): getattr(GridResults(results.grid, records, results.arrays), method)()
    refused(lambda r: r["data"].update(fingerprint="0" * 16), "must not be averaged: clicks, adrec, seed 4 has fingerprint 0000000000000000, but popularity, seed 0 has")
    refused(lambda r: r["metrics"]["test"].update(ties="optimistic"), "seed 4 has ties optimistic, but popularity, seed 0 has expected")
    refused(lambda r: r["metrics"]["test"].update(filter_seen=True), "has filter_seen True")


def test_a_mixed_folder_is_refused(whole, wanted, folder, tmp_path):
    out = tmp_path/"mixed"
    shutil.copytree(whole, out)
    run_grid(make_grid(wanted | dict(data=dict(clicks=dict(source=str(folder/"others.csv"))), seeds=[0], variants=dict(sasrec=dict(system="sasrec")), inference={})), tmp_path/"other", **QUIET)
    shutil.rmtree(out/"clicks/sasrec/seed-0")
    shutil.copytree(tmp_path/"other/clicks/sasrec/seed-0", out/"clicks/sasrec/seed-0")
    with pytest.raises(InputError, match="sasrec, seed 0 has fingerprint"): load_grid(out).write(out)


def test_the_summary_is_the_mean_of_the_metrics(whole):
    results = load_grid(whole)
    summary, table = results.summary(("NDCG@10", "NLL", "log rank")), results.table
    for (data, variant, label), row in summary.iterrows():
        mine = table[(table.data == data) & (table.variant == variant) & (table.label == label)]
        assert row["seeds", ""] == len(mine) == (1 if variant in BASELINES else 5)
        assert row["NDCG@10", "mean"] == pytest.approx(100 * mine["NDCG@10"].mean())
        assert row["NLL", "mean"] == pytest.approx(mine["NLL"].mean(), rel=1e-5)
        assert row["log rank", "low"] <= row["log rank", "mean"] <= row["log rank", "high"]
    assert list(dict.fromkeys(summary.index.get_level_values("variant"))) == [*BASELINES, *results.grid["variants"]], "in the order of the file"
    with pytest.raises(InputError, match="unknown metric 'NDGC@10'"): results.summary(("NDGC@10",))


def test_variants_are_compared_seed_by_seed(whole):
    results, one_step = load_grid(whole), ("adrec", "sampling_steps=1")
    pairs = [("sasrec", "adrec"), ("popularity", "adrec"), ("adrec", "popularity"), (one_step, "adrec"), ("markov", "itemknn")]
    table, means = results.compare(pairs, "MRR", family=pairs[:2]), results.summary(("MRR",))["MRR", "mean"]
    for (first, second), (_, row) in zip(pairs, table.iterrows(), strict=True):
        (a, b) = (("clicks", side, "") if isinstance(side, str) else ("clicks", *side) for side in (first, second))
        assert row["difference"] == pytest.approx(means[a] - means[b])
        assert row["seeds"] == (1 if second == "itemknn" else 5) and (row["first"], row["second"]) == (first, second)
    assert table.difference[1] == pytest.approx(-table.difference[2])
    assert list(table.standing) == ["declared", "declared", "exploratory", "exploratory", "exploratory"]
    with pytest.raises(InputError, match="unknown variant"): results.compare([("adrek", "sasrec")])
    with pytest.raises(InputError, match="unknown data set"): results.compare(pairs, data="kliks")


def test_only_seeds_that_both_have_are_compared(whole):
    results = load_grid(whole)
    keep = [i for i, r in enumerate(results.records) if (r["variant"], r["seed"]) not in {("sasrec", 1), ("sasrec", 3)} and r["variant"] != "dreamrec"]
    part = replace(results, records=[results.records[i] for i in keep], arrays=[results.arrays[i] for i in keep])
    table = part.compare([("adrec", "sasrec"), ("adrec", "dreamrec")], "NLL")
    assert len(table) == 1 and table.seeds[0] == 3
    runs = [[part.per_user("NLL", "clicks", v)[s] for s in (0, 2, 4)] for v in ("adrec", "sasrec")]
    expected = compare_variants({"a": np.array(runs[0]), "b": np.array(runs[1])}, [("a", "b")], "NLL")
    assert table.loc[0, ["difference", "low", "high", "p"]].tolist() == pytest.approx(expected.loc[0, ["difference", "low", "high", "p"]].tolist())


def test_markdown_and_latex_are_well_formed(whole, tmp_path):
    results = load_grid(whole)
    files = {path.name: path for path in results.write(tmp_path)}
    assert list(files) == ["results.md", "results.tex", "results.csv", "results.parquet", "results.json"]
    rows = results.texts()
    lines = files["results.md"].read_text().partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [cells[0], *cells[2:]] == rows and set(cells[1]) == {"---"}
    tex = files["results.tex"].read_text().splitlines()
    assert tex[0] == r"\begin{tabular}{lllll}" and tex[-1] == r"\end{tabular}"
    body = [line for line in tex if line.endswith(r" \\")]
    assert len(body) == len(rows) and all(line.count(" & ") == 4 for line in body)
    assert not re.search(r"(?<!\\)[%#_$]", "".join(tex)), "a character that LaTeX would take for a command"
    pd.testing.assert_frame_equal(pd.read_csv(files["results.csv"], keep_default_na=True).drop(columns="label"), results.table.drop(columns="label"), check_dtype=False)
    assert json.loads(files["results.json"].read_text())["records"] == json.loads(json.dumps(results.records))


def test_one_small_file_holds_everything(whole, tmp_path):
    path = collect_grid(whole, tmp_path/"grid.npz")
    results, packed = load_grid(whole), load_grid(path)
    rounded = [{k: v.astype(np.float16) if k.endswith("nll") else v for k, v in arrays.items()} for arrays in results.arrays]
    assert_same(packed, replace(results, arrays=rounded))
    for metric in ("HR@20", "MRR"): assert packed.texts((metric,)) == results.texts((metric,))
    pd.testing.assert_frame_equal(packed.summary(("NLL",)), results.summary(("NLL",)), rtol=0, atol=1e-3)
    with np.load(path, allow_pickle=False) as file:
        assert {file[n].dtype for n in file.files if n.endswith(("better", "tied"))} == {np.dtype(np.int32)}
        assert {file[n].dtype for n in file.files if n.endswith("nll")} == {np.dtype(np.float16)}
    with pytest.raises(InputError, match="not a collected grid"): load_grid(Path(__file__))
    with pytest.raises(InputError, match="holds no grid"): load_grid(tmp_path)


def test_a_published_file_of_usual_size_is_small(whole, tmp_path):
    "Twelve variants, five seeds, 938 users: ranks as noise would have them, which compress worst."
    results, rng = load_grid(whole), np.random.default_rng(0)
    pattern = next(r for r in results.records if r["variant"] == "adrec")
    names = [name for name in results.arrays[0]]
    def noise(name): return rng.normal(7, 1, 938).astype(np.float32) if name.endswith("nll") else (
        np.zeros(938, np.int32) if name.endswith("tied") else rng.integers(0, 1349, 938).astype(np.int32))
    records = [pattern | dict(variant=f"v{v}", seed=s) for v in range(12) for s in range(5)]
    big = replace(results, records=records, arrays=[{n: noise(n) for n in names} for _ in records])
    from adrec.results import pack_grid
    assert len(pack_grid(big)) < 2e6


# ---- systems of one's own

OWN = '''
from torch import nn
from torch.nn.functional import cross_entropy


class LastItem(nn.Module):
    "The next item is like the last one."
    def __init__(self, n_items, width:int=8):
        super().__init__()
        self.item_embedding = nn.Embedding(n_items + 1, width, padding_idx=0)
        self.turn = nn.Linear(width, width)

    def item_embeddings(self): return self.item_embedding.weight[1:]

    def all_scores(self, batch): return self.turn(self.item_embedding(batch.history)) @ self.item_embeddings().T

    def score(self, batch, generator=None): return self.all_scores(batch)[range(len(batch.lengths)), batch.lengths - 1]

    def losses(self, batch, generator=None):
        scores, answers = self.all_scores(batch)[batch.mask], batch.target[batch.mask] - 1
        return {"ce": (cross_entropy(scores, answers, reduction="sum"), len(answers))}
'''


@pytest.fixture
def own(folder, tmp_path, monkeypatch):
    "A grid with a system that stands in a file, and its content."
    (tmp_path/"grid_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield content(folder, seeds=[0], options=dict(dim=8, blocks=1, heads=2),
                  variants=dict(mine=dict(system="grid_models:LastItem", options=dict(width=4)), sasrec=dict(system="sasrec"),
                                after=dict(system="sasrec", start="wide"), wide=dict(system="grid_models:LastItem")))
    for name in [name for name in SYSTEMS if "LastItem" in name]: del SYSTEMS[name]
    sys.modules.pop("grid_models", None)


def test_a_system_of_ones_own_is_compared_like_any_other(own, tmp_path):
    with pytest.raises(InputError, match=r"'variants.mine.system'.*allow it with allow_code=\('grid_models',\)"): make_grid(own)
    assert "grid_models" not in sys.modules, "nothing was run"
    with pytest.raises(InputError, match="'variants.mine.options.widht' is not known here. Did you mean 'width'"):
        make_grid(own | dict(variants=dict(mine=dict(system="grid_models:LastItem", options=dict(widht=4)))), allow_code="grid_models")
    grid = make_grid(own, allow_code="grid_models")
    assert run_grid(grid, tmp_path/"one", **QUIET) == {}
    assert run_grid(grid, tmp_path/"two", processes=2, device="cpu", progress=False) == {}, "new processes import it themselves"
    ours, theirs = load_grid(tmp_path/"one"), load_grid(tmp_path/"two")
    assert_same(ours, theirs)
    assert next(r for r in ours.records if r["variant"] == "mine")["config"]["options"]["width"] == 4
    assert len(ours.compare([("mine", "sasrec"), ("after", "sasrec")], "MRR")) == 2


def test_a_system_of_a_notebook_is_trained_in_one_process(folder, tmp_path):
    scope = {"__name__": "__main__"}
    exec(OWN, scope)  # as if somebody had typed it
    register_system("typed", scope["LastItem"])
    try:
        grid = make_grid(content(folder, seeds=[0], variants=dict(mine=dict(system="typed", options=dict(width=4))), options={}))
        with pytest.raises(InputError, match="known to this process alone"): run_grid(grid, tmp_path/"grid", processes=2, device="cpu", progress=False)
        assert run_grid(grid, tmp_path/"grid", device="cpu", progress=False) == {}
        assert load_grid(tmp_path/"grid").table.variant.tolist()[-1] == "mine"
    finally:
        for name in [name for name in SYSTEMS if "LastItem" in name or name == "typed"]: del SYSTEMS[name]
