"""Comparisons, the demo, and stored results."""
import numpy as np
import pytest

from adrec.data import InputError, synthetic_data
from adrec.experiments import (collect_runs, comparison_sentences, demo, demo_text, load_results, paired_difference)
from adrec.ranking import BASELINES, evaluate
from adrec.read import load_data
from adrec.training import continue_run, one_stage, start_run

data, _ = synthetic_data(seed=0)


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
    return demo(tmp_path_factory.mktemp("demo") / "out", epochs=2, data_arguments={"source": "synthetic"}, progress=False)


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
        start_run(folder, data, one_stage("sasrec", 1), options={"dim": 8}, seed=seed, data_arguments={"source": "synthetic"})
        continue_run(folder, data, device="cpu", progress=False)
    per_user, provenance = load_results(collect_runs(folders, tmp_path / "results.npz"))
    assert per_user["HR@20"].shape == (2, data.n_users) and [p["seed"] for p in provenance] == [0, 1]
    assert provenance[0]["data"]["fingerprint"] == load_data("synthetic").fingerprint()
    for values, p in zip(per_user["NDCG@20"], provenance): assert 0 <= np.mean(values) <= 1 and p["epochs"] == "1 train"
