"""adrec.splits: cuts in time against plain loops, what they refuse, and that every later step says which split it was."""
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from adrec.checks import InputError
from adrec.counting import BASELINES, Popularity
from adrec.data import (
    HELD_OUT,
    TimeCuts,
    build_sequences,
    evaluation_batches,
    synthetic_data,
    training_examples,
    training_pairs,
    training_updates,
)
from adrec.experiments import paired_difference
from adrec.ranking import evaluate, protocol_text
from adrec.read import load_data
from adrec.runs import collect_runs, load_run, run_data, train
from adrec.splits import parse_split, split_in_time

DAY = 86_400


def log(rng, users=40, items=25, days=200, least=1):
    "People who come at different times and stay for a while; some moments are shared."
    rows = []
    for u in range(users):
        times = np.sort(rng.integers(0, days // 2) + rng.integers(0, days // 2, least + rng.geometric(0.2)))
        rows += [(f"u{u}", f"i{rng.integers(items)}", 1_500_000_000 + int(t) * DAY) for t in times]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).drop_duplicates().sample(frac=1, random_state=0)

def made(seed=0, **how): return build_sequences(log(np.random.default_rng(seed), **how), "log", leave_one_out=False)


# The cut

@pytest.mark.parametrize("share", [0.9, 0.7, 0.5])
def test_cuts_against_a_loop_over_all_moments(share):
    for seed in range(10):
        data = made(seed)
        cut = split_in_time(data, share).cuts
        best = lambda share, moments: min(sorted(moments), key=lambda m: (abs((data.timestamps < m).mean() - share), m))
        test = best(share, set(data.timestamps.tolist()))
        assert cut == TimeCuts(share, best(share**2, {m for m in data.timestamps.tolist() if m < test}), test)
        assert type(cut.test) is int, "a moment stays what the timestamps are"

@pytest.mark.parametrize("share", [0.9, 0.6])
def test_everything_against_plain_lists(share):
    for seed in range(10):
        data = split_in_time(made(seed), share)
        histories = [list(zip(data.timestamps[a:b].tolist(), data.items[a:b].tolist())) for a, b in zip(data.offsets, data.offsets[1:])]
        _, validation, test = data.cuts
        learned = [[i for t, i in h if t < validation] for h in histories]
        rows, items = training_pairs(data)
        assert [items[rows == u].tolist() for u in range(data.n_users)] == learned
        for split, begin, end in (("validation", validation, test), ("test", test, np.inf)):
            asked = {u: ([i for t, i in h if t < begin], [i for t, i in h if begin <= t < end]) for u, h in enumerate(histories)}
            asked = {u: (before, after[0]) for u, (before, after) in asked.items() if before and after}
            assert data.answers(split)[0].tolist() == list(asked)
            seen = {}
            for batch, answers in evaluation_batches(data, split, max_length=4, users_per_batch=7):
                for u, h, n, a in zip(batch.users.tolist(), batch.history, batch.lengths.tolist(), answers.tolist()): seen[u] = h[:n].tolist(), a
            assert seen == {u: (before[-4:], after) for u, (before, after) in asked.items()}
            everything = {i for items in learned for i in items}
            assert data.cold_answers(split) == sum(after not in everything for _, after in asked.values())
        drawn = {}
        for parts in training_updates(data, np.random.default_rng(0), max_length=5, users_per_update=9, groups=2):
            for part in parts:
                for u, h, t, n in zip(part.users.tolist(), part.history, part.target, part.lengths.tolist()): drawn[u] = h[:n].tolist() + [int(t[n - 1])]
        assert drawn == {u: items[-6:] for u, items in enumerate(learned) if len(items) > 1}

def test_no_interaction_from_the_cut_on_reaches_a_training():
    "Whatever happens from the validation cut on may be replaced, and nothing that is learned changes."
    data = split_in_time(made(3), 0.8)
    items = data.items.copy()
    later = data.timestamps >= data.cuts.validation
    items[later] = 1 + (items[later] + 7) % data.n_items
    other = replace(data, items=items)
    assert (items != data.items).any()
    for a, b in zip(training_pairs(data), training_pairs(other)): assert np.array_equal(a, b)
    for system in BASELINES.values():
        batch = next(evaluation_batches(data, "validation"))[0]
        assert torch.equal(system().fit(data).score(batch), system().fit(other).score(batch))
    for one, two in zip(training_updates(data, np.random.default_rng(0)), training_updates(other, np.random.default_rng(0))):
        for a, b in zip(one, two): assert torch.equal(a.history, b.history) and torch.equal(a.target, b.target)

def test_seen_items_are_those_before_the_answer():
    "Filtering hides the history, and only the history: an answer that was taken before is a miss."
    table = pd.DataFrame([("a", "x", 10), ("a", "y", 20), ("a", "x", 90), ("b", "y", 15), ("b", "z", 95), ("c", "z", 30), ("c", "x", 40), ("c", "y", 50)],
                         columns=["user_id", "item_id", "timestamp"])
    data = replace(build_sequences(table, "log", leave_one_out=False), cuts=TimeCuts(0.75, 45, 80))
    found = evaluate(Popularity().fit(data), data, filter_seen=True)
    assert found.users == 2 and found.hidden_answers == 1 and found.ranks.hidden.tolist() == [True, False]

def test_words():
    assert [parse_split(s) for s in ("leave-one-out", "time:0.9", "time:1e-1")] == [None, 0.9, 0.1]
    for wrong in ("", "time", "time:", "time:0", "time:1", "time:-0.5", "time:nan", "time:inf", "Time:0.9", "0.9", "time:0.9:0.1", None, 0.9):
        with pytest.raises(InputError, match="unknown split .*such as time:0.9"): parse_split(wrong)
    with pytest.raises(InputError, match="unknown split"): split_in_time(made(), 1.5)


# What has no time

@pytest.mark.parametrize("start", [0, 1])
def test_positions_are_refused(start, tmp_path):
    table = log(np.random.default_rng(0), least=5).sort_values(["user_id", "timestamp"])
    table["timestamp"] = table.groupby("user_id").cumcount() + start
    with pytest.raises(InputError, match=f"only places in each user's sequence, from {start} up"): split_in_time(build_sequences(table, "log"))
    rated = table.assign(rating=np.where(np.arange(len(table)) % 4 == 1, 2, 5))  # a filter tears gaps into them
    rated.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match="^log: .*only places"): load_data(tmp_path / "log.csv", k_core=0, split="time:0.9")
    with pytest.raises(InputError, match="only places"): load_data("synthetic", split="time:0.9")

@pytest.mark.parametrize("name", ["baby", "beauty"])
def test_the_processed_files_are_refused(name):
    import os
    from pathlib import Path
    folder = os.environ.get("ADREC_TEST_DATA")
    if not folder or not (path := Path(folder) / f"{name}.csv.gz").exists(): pytest.skip("needs ADREC_TEST_DATA")
    with pytest.raises(InputError, match=f"^{name}: a split by time needs times, and they are only places"): load_data(path, split="time:0.9")

def test_times_that_are_none_are_refused(tmp_path):
    table = log(np.random.default_rng(0), least=3)
    table.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match="there are none"): load_data(tmp_path / "log.csv", order="lines", split="time:0.9")
    table.assign(timestamp=5).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match="all of them are 5"): load_data(tmp_path / "log.csv", split="time:0.9", drop_duplicates=True)

@pytest.mark.parametrize("unit", [DAY, DAY / 24, 0.001])
def test_other_clocks_are_no_positions(unit):
    "Days, hours and fractions since some beginning are times, if people are away most of the time."
    data = made(5, least=3)
    times = (data.timestamps - data.timestamps.min()) / unit
    assert split_in_time(replace(data, timestamps=times.astype(np.int64) if unit >= 1 else times)).cuts

def test_nobody_to_ask():
    table = pd.DataFrame({"user_id": list("aabbcc"), "item_id": list("xyxyxy"), "timestamp": [1, 2, 30, 31, 60, 61]})
    with pytest.raises(InputError, match="time:0.9 leaves nobody to ask: for the .*try another share"):
        split_in_time(build_sequences(table, "log", leave_one_out=False))
    data = split_in_time(made(), 0.9)
    with pytest.raises(InputError, match="nobody has 2 training items, before the validation begins"):
        training_examples(replace(data, cuts=TimeCuts(0.9, data.timestamps.min() + 1, data.cuts.test)))


# Through the rest of the package

def test_short_users_stay_only_under_a_split_by_time(tmp_path):
    log(np.random.default_rng(0)).to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(InputError, match="at least 3 are needed"): load_data(tmp_path / "log.csv")
    assert load_data(tmp_path / "log.csv", split="time:0.8").lengths.min() == 2

def test_the_cache_does_not_mix_splits(tmp_path, monkeypatch):
    from adrec import read
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(read, "_CACHE_FROM", 1)
    log(np.random.default_rng(0), least=3).to_csv(tmp_path / "log.csv", index=False)
    splits = "leave-one-out", "time:0.8", "time:0.6", "leave-one-out", "time:0.8"
    loaded = [load_data(tmp_path / "log.csv", split=split) for split in splits]
    assert [data.split for data in loaded] == list(splits)
    prints = [data.fingerprint() for data in loaded]
    assert prints[:2] == prints[3:] and len(set(prints)) == 3
    assert replace(loaded[1], cuts=None).fingerprint() == prints[0]

def test_an_evaluation_says_which_split():
    data = made(1, least=3)
    cut = split_in_time(data, 0.8)
    found = [evaluate(Popularity().fit(d), d) for d in (data, cut)]
    assert [e.data_split for e in found] == [e.as_dict()["data_split"] for e in found] == ["leave-one-out", "time:0.8"]
    assert [protocol_text(e.as_dict()).split(";")[0] for e in found] == ["leave-one-out", "time:0.8"]
    with pytest.raises(InputError, match="differ in data_split"): paired_difference(*found)
    assert found[1].users == len(cut.answers()[0]) < found[0].users
    for told in (cut.facts()["split"], cut._repr_html_()): assert "time:0.8: " in told
    assert "2017-" in cut.split_text() and "leave-one-out" in data.split_text()

@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    "A log, and two short runs on it: one by each split."
    folder = tmp_path_factory.mktemp("splits")
    log(np.random.default_rng(7), users=80, least=6).to_csv(folder / "log.csv", index=False)
    from adrec.cli import main
    for name, more in (("loo", []), ("time", ["--split", "time:0.8"])):
        with pytest.raises(SystemExit) as done:
            main(["train", "--data", str(folder / "log.csv"), *more, "--model", "sasrec", "--out", str(folder / name), "--epochs", "2", "--dim", "8", "--device", "cpu"])
        assert done.value.code == 0
    return folder

def test_a_run_remembers_its_split(trained, capsys):
    config = json.loads((trained / "time" / "config.json").read_text())["data"]
    assert config["split"] == config["arguments"]["split"] == "time:0.8"
    run = load_run(trained / "time")
    data = run.data()
    assert data.split == run.evaluate().data_split == run.metrics["test"]["data_split"] == "time:0.8"
    assert run.metrics["test"]["users"] == len(data.answers()[0]) and "log, time:0.8" in repr(run)
    counts = np.bincount(training_pairs(data)[1], minlength=data.n_items + 1)[1:]
    assert run.counts.tolist() == counts.tolist()
    assert "split" not in json.loads((trained / "loo" / "config.json").read_text())["data"]["arguments"]

def test_splits_are_not_mixed(trained, tmp_path):
    from adrec.report import write_report
    loo, time = (load_run(trained / name) for name in ("loo", "time"))
    with pytest.raises(InputError, match="was trained with the split time:0.8, and these data have the split leave-one-out"):
        run_data(time.folder, time.config, loo.data())
    with pytest.raises(InputError, match=r"other data \(log, time:0.8\) than"): write_report([loo, time], tmp_path / "r.html")
    with pytest.raises(InputError, match="another split"): collect_runs([trained / "loo", trained / "time"], tmp_path / "c.npz")
    with pytest.raises(InputError, match="other data"): train(loo.data(), "sasrec", epochs=1, dim=8, pretrained=trained / "time", progress=False)

def test_a_report_says_which_split(trained, tmp_path):
    page = load_run(trained / "time").report(tmp_path / "report.html").read_text()
    assert "parted in time (time:0.8: " in page and "--data log.csv --split time:0.8 --model sasrec" in page
    assert "last two items of every user" not in page

def say(capsys, *words):
    from adrec.cli import main
    with pytest.raises(SystemExit) as done: main([str(word) for word in words])
    captured = capsys.readouterr()
    return done.value.code, captured.out, captured.err

def test_the_command_line(trained, capsys):
    log = trained / "log.csv"
    code, out, _ = say(capsys, "evaluate", trained / "time", "--device", "cpu")
    assert code == 0 and out.splitlines()[1].startswith("time:0.8; ties: expected")
    found = {}
    for answers in (["--answers", "validation"], ["--split", "validation"], ["--split", "time:0.8"], ["--split", "time:0.8", "--answers", "validation"]):
        found[" ".join(answers)] = json.loads(say(capsys, "evaluate", "markov", "--data", log, "--json", *answers)[1])
    assert [(f["split"], f["data_split"]) for f in found.values()] == [("validation", "leave-one-out")] * 2 + [("test", "time:0.8"), ("validation", "time:0.8")]
    code, out, _ = say(capsys, "data", log, "--split", "time:0.8", "--json")
    assert code == 0 and json.loads(out)["split"].startswith("time:0.8: ")
    code, _, err = say(capsys, "recommend", trained / "time", "--user", "u1")
    assert code == 0 and "split of the training was time:0.8" in err
    for words, message in ((["evaluate", "markov", "--data", log, "--split", "time:2"], "unknown split 'time:2'"),
                           (["evaluate", trained / "time", "--split", "vali"], "Did you mean 'validation'"),
                           (["evaluate", trained / "time", "--split", "time:0.7", "--data", log], "was trained with the split time:0.8"),
                           (["data", "synthetic", "--split", "time:0.9"], "only places")):
        code, _, err = say(capsys, *words)
        assert code == 2 and message in err and err.count("\n") == 1

def test_leave_one_out_is_as_it_was():
    data = synthetic_data()[0]
    assert data.cuts is None and data.split == "leave-one-out"
    assert np.array_equal(data.training_ends(), data.offsets[1:] - 2)
    for split, back in HELD_OUT.items():
        rows, places = data.answers(split)
        assert np.array_equal(rows, np.arange(data.n_users)) and np.array_equal(places, data.offsets[1:] - back)
    assert data.fingerprint() == "8c940bd9e5c28fdc"  # as before there were other splits
