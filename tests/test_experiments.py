"""Comparisons, the demo, and stored results."""
import json

import numpy as np
import pandas as pd
import pytest

from adrec.checks import InputError
from adrec.cli import main
from adrec.counting import BASELINES
from adrec.demo import demo, demo_text
from adrec.experiments import comparison_sentences, load_results, paired_difference
from adrec.ranking import evaluate
from adrec.read import load_data
from adrec.recipes import Settings, one_stage
from adrec.runs import collect_runs, continue_run, load_run, start_run

data = load_data("synthetic")


def baseline(name, **rules): return evaluate(BASELINES[name]().fit(data), data, **rules)


def test_paired_difference_is_the_mean_of_the_differences():
    markov, popularity = baseline("markov"), baseline("popularity")
    i = paired_difference(markov, popularity, "HR@10")
    assert i.mean == pytest.approx(markov.metrics["HR@10"] - popularity.metrics["HR@10"])
    assert i.low < i.mean < i.high
    assert paired_difference(markov, markov).standard_error == 0


def test_a_system_compared_with_itself_cannot_be_told_apart():
    e = baseline("markov")
    assert "cannot be told apart from other" in comparison_sentences({"one": e, "other": e}, "one")[0]


@pytest.mark.parametrize("rules", [dict(split="validation"), dict(ties="pessimistic"), dict(filter_seen=True)])
def test_evaluations_under_other_rules_are_refused(rules):
    with pytest.raises(InputError, match=next(iter(rules))): paired_difference(baseline("markov"), baseline("markov", **rules))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return demo(tmp_path_factory.mktemp("demo") / "out", epochs=2, source="synthetic", progress=False)


def test_the_demo_writes_what_it_names(result):
    names = {path.name for path in result.files}
    assert {"comparison.csv", "comparison.png", "training.png", "spectrum.png", "model.safetensors", "metrics.json"} <= names
    assert all(path.stat().st_size for path in result.files)
    assert not [p for p in result.files[0].parent.rglob(".*")], "a temporary file was left behind"


def test_the_demo_says_what_it_did(result):
    text = demo_text(result)
    for part in ("Popularity", "ItemKNN", "Markov", "SASRec+", "ADRec", "2 pre-train", "Shortened: few epochs", "Full recipe: adrec train", *map(str, result.files)):
        assert part in text
    assert len(result.sentences) == 4 and len(result.recommendations) == 3


def test_the_demo_refuses_a_folder_that_is_taken(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="not empty"): demo(tmp_path, epochs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_results_survive_the_round_trip(tmp_path):
    folders = [tmp_path / f"run{seed}" for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        start_run(folder, data, one_stage("sasrec", 1), options={"dim": 8}, seed=seed)
        continue_run(folder, data, device="cpu", progress=False)
    per_user, provenance = load_results(collect_runs(folders, tmp_path / "results.npz"))
    assert per_user["HR@20"].shape == (2, data.n_users) and [p["seed"] for p in provenance] == [0, 1]
    assert provenance[0]["data"]["fingerprint"] == load_data("synthetic").fingerprint()
    for values, p in zip(per_user["NDCG@20"], provenance): assert 0 <= np.mean(values) <= 1 and p["epochs"] == "1 train"


# ---- which window, few items, and repeats: through the library and the command line

def log(path, users=20, items=15, length=8, seed=0, **more):
    "A small log of random sequences without repeats."
    rng = np.random.default_rng(seed)
    rows = [(f"u{u:02}", f"i{i:02}", t) for u in range(users) for t, i in enumerate(rng.permutation(items)[:length])]
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).assign(**more).to_csv(path, index=False)
    return path


def adrec(capsys, *words, code=0):
    capsys.readouterr()
    with pytest.raises(SystemExit) as end: main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert end.value.code == code, err
    return out if code == 0 else err


@pytest.mark.parametrize("system", ["sasrec", "adrec", "dreamrec", "diffurec"])
def test_a_run_is_evaluated_with_its_own_window_everywhere(system, tmp_path, capsys):
    assert (data.lengths > 12).sum() > 50, "the window must cut many histories"
    options = {"dim": 8} | ({} if system == "sasrec" else {"steps": 4, "schedule": "cosine"})
    start_run(tmp_path / "run", data, one_stage(system, 1), Settings(max_length=10), options)
    run = continue_run(tmp_path / "run", data, device="cpu", progress=False)
    for split in ("validation", "test"):
        assert evaluate(run.model, data, split).as_dict() == run.metrics[split]
        told = json.loads(adrec(capsys, "evaluate", tmp_path / "run", "--split", split, "--device", "cpu", "--json"))
        assert run.metrics[split].items() <= told.items() and told["max_length"] == 10
    assert "the last 10 items of a history are read" in adrec(capsys, "evaluate", tmp_path / "run", "--device", "cpu")
    metrics = [name for name in run.metrics["test"] if "@" in name]
    per_user, _ = load_results(collect_runs([tmp_path / "run"], tmp_path / "r.npz", metrics))
    for name in metrics: assert per_user[name].mean(dtype=float) == pytest.approx(run.metrics["test"][name], abs=1e-7)
    with pytest.raises(InputError, match="reads the 10 most recent items"): evaluate(run.model, data, max_length=11)
    assert evaluate(run.model, data, max_length=3).max_length == 3
    if system != "sasrec":  # it has no positions for more
        run.model.max_length = 50
        assert evaluate(run.model, data).metrics["MRR"] != run.metrics["test"]["MRR"], "another window gives other numbers"


@pytest.mark.parametrize("items, measures, monitor", [(15, ["HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR"], "NDCG@10"), (7, ["HR@5", "NDCG@5", "MRR"], "NDCG@5"), (3, ["MRR"], "MRR"), (2, ["MRR"], "MRR")])
def test_a_small_catalogue_is_trained_and_evaluated_with_what_fits(items, measures, monitor, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}", t) for u in range(20) for t, i in enumerate(rng.permutation(np.arange(8) % items))]
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv("log.csv", index=False)
    if items == 15: log("log.csv")
    said = adrec(capsys, "train", "--data", "log.csv", "--model", "sasrec", "--epochs", 3, "--dim", 16, "--out", "run", "--device", "cpu")
    assert said.count(f"training watched {monitor} instead of NDCG@20") == 1
    run = load_run("run")
    assert [name for name in run.metrics["test"] if "@" in name or name == "MRR"] == measures
    assert [name for name in run.history if "@" in name or name == "MRR"] == measures
    best = run.history[monitor].max()
    assert run.metrics["validation"][monitor] == pytest.approx(best), "the weights that are kept are the best by this metric"
    assert "no HR or NDCG at" in adrec(capsys, "evaluate", "run") and "no HR or NDCG at" in adrec(capsys, "evaluate", "popularity", "--data", "log.csv")
    per_user, _ = load_results(collect_runs(["run"], "r.npz"))
    assert list(per_user)[-1] == monitor and not any(np.isnan(values).any() for values in per_user.values())


def test_one_item_is_nothing_to_rank(tmp_path, capsys):
    path = log(tmp_path / "log.csv", item_id="only")
    assert "1 item: a model that ranks needs at least 2" in adrec(capsys, "train", "--data", path, "--out", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()


def test_the_demo_lives_with_a_small_catalogue(tmp_path):
    result = demo(tmp_path / "out", epochs=2, source=log(tmp_path / "log.csv", length=9), progress=False)
    text = demo_text(result)
    assert list(result.table)[2:] == ["HR@10 %", "NDCG@10 %"] and "points of NDCG@10" in text and "no HR or NDCG at 20" in text
    assert "HR@10" in result.files[-1].read_text() and "among the first ten" in result.files[-1].read_text()


def test_cut_offs_can_be_chosen(tmp_path, capsys):
    path = log(tmp_path / "log.csv")
    command = "evaluate", "popularity", "--data", path
    assert "HR@3  NDCG@3  HR@15  NDCG@15" in adrec(capsys, *command, "--k", "3,15").replace("   ", "  ")
    found = json.loads(adrec(capsys, *command, "--k", "3, 15,3", "--json"))
    assert [name for name in found if "@" in name] == ["HR@3", "NDCG@3", "HR@15", "NDCG@15"] and found["HR@15"] == 1
    for wrong in ("5;10", "", "ten", "2.5", ","): assert "such as" in adrec(capsys, *command, "--k", wrong, code=2)
    for wrong in ("0", "-1", "5,16"): assert "from 1 to 15" in adrec(capsys, *command, f"--k={wrong}", code=2)


@pytest.mark.parametrize("name", list(BASELINES))
def test_the_command_tells_of_hidden_and_of_cold_answers(name, tmp_path, capsys):
    frame = pd.read_csv(log(tmp_path / "log.csv"))
    last = frame.timestamp == 7
    frame.loc[last, "item_id"] = frame[frame.timestamp == 2].item_id.to_numpy()
    frame.to_csv(tmp_path / "repeats.csv", index=False)
    command = "evaluate", name, "--data"
    found = json.loads(adrec(capsys, *command, tmp_path / "repeats.csv", "--filter-seen", "--json"))
    assert found["hidden_answers"] == 20 and not any(found[metric] for metric in found if "@" in metric or metric == "MRR")
    said = adrec(capsys, *command, tmp_path / "repeats.csv", "--filter-seen")
    assert "20 of 20 answers were seen before" in said and "an answer among them is a miss" in said
    assert "seen before" not in adrec(capsys, *command, tmp_path / "repeats.csv")
    frame.loc[last, "item_id"] = "new_" + frame[last].user_id
    frame.to_csv(tmp_path / "cold.csv", index=False)
    assert "20 of 20 answers are items that no training sequence holds" in adrec(capsys, *command, tmp_path / "cold.csv")
    assert json.loads(adrec(capsys, *command, tmp_path / "cold.csv", "--json"))["cold_answers"] == 20
    assert json.loads(adrec(capsys, *command, tmp_path / "cold.csv", "--split", "validation", "--json"))["cold_answers"] == 0


def test_a_comparison_by_a_metric_that_is_not_there_names_those_that_are():
    five = baseline("markov", ks=(5,))
    with pytest.raises(InputError, match="unknown metric 'NDCG@20'.*NDCG@5"): paired_difference(five, five)
