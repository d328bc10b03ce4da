"""Comparisons, the demo, and stored results."""
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from adrec.checks import InputError
from adrec.cli import main
from adrec.counting import BASELINES
from adrec.data import synthetic_data
from adrec.demo import demo, demo_text
from adrec.experiments import (
    MARGINS,
    compare_variants,
    comparison_sentence,
    comparison_sentences,
    detectable_difference,
    holm,
    load_results,
    paired_difference,
    seed_interval,
)
from adrec.ranking import Interval, confidence_interval, evaluate
from adrec.read import load_data
from adrec.recipes import Settings, one_stage
from adrec.runs import collect_runs, continue_run, load_run, start_run

data, _ = synthetic_data(seed=0)


# ---- intervals over seeds and users

def test_identical_runs_leave_the_chance_of_the_users():
    values = np.random.default_rng(0).random(200)
    found = seed_interval(np.stack([values] * 3))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 199, values.mean(), stats.sem(values)))

def test_identical_users_leave_the_chance_of_the_seeds():
    means = np.array([0.1, 0.2, 0.25])
    found = seed_interval(np.repeat(means[:, None], 200, axis=1))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 2, means.mean(), stats.sem(means)))

def test_constant_runs_have_no_width():
    assert seed_interval(np.full((3, 10), 0.5)) == (0.5, 0, 0.5, 0.5)

def test_estimated_variance_is_that_of_the_mean():
    rng = np.random.default_rng(0)
    seeds, users, a, b, e = 4, 60, 0.5, 1.0, 1.5
    runs = a * rng.normal(size=(4000, seeds, 1)) + b * rng.normal(size=(4000, 1, users)) + e * rng.normal(size=(4000, seeds, users))
    truth = a ** 2 / seeds + b ** 2 / users + e ** 2 / (seeds * users)
    assert runs.mean((1, 2)).var() == pytest.approx(truth, rel=0.08)
    found = [seed_interval(run) for run in runs[:1500]]
    assert np.mean([i.standard_error ** 2 for i in found]) == pytest.approx(truth, rel=0.08)
    assert 0.93 < np.mean([i.low <= 0 <= i.high for i in found]) < 0.98

@pytest.mark.parametrize("wrong", [np.zeros(5), np.zeros((1, 5)), np.zeros((3, 1))])
def test_an_interval_over_seeds_needs_two_of_each(wrong):
    with pytest.raises(InputError, match="at least two of each"): seed_interval(wrong)


# ---- four words, families and power

def world(rng, seeds, users, a=0.0, b=0.0, e=0.0, shift=0.0, shape=()):
    "Values with the luck of seeds, of users, and the rest, as standard deviations; in fractions."
    return shift + a * rng.normal(size=(*shape, seeds, 1)) + b * rng.normal(size=(*shape, 1, users)) + e * rng.normal(size=(*shape, seeds, users))


@pytest.mark.parametrize("a, b, e, ratio", [(0.5, 1.0, 0.1, 1.0), (0.0, 0.0, 1.0, 3.0), (0.1, 0.2, 1.0, None)])
def test_seed_interval_against_the_pigeonhole_bootstrap(a, b, e, ratio):
    "Owen 2007: the bootstrap counts the rest three times where we count it once, and agrees where there is little of it."
    rng, seeds, users = np.random.default_rng(0), 40, 60
    runs = world(rng, seeds, users, a, b, e)
    drawn = [runs[np.ix_(rng.integers(0, seeds, seeds), rng.integers(0, users, users))].mean() for _ in range(4000)]
    mean, by_seed, by_user = runs.mean(), runs.mean(1), runs.mean(0)
    exact = by_seed.var() / seeds + by_user.var() / users + (runs - by_seed[:, None] - by_user + mean).var() / (seeds * users)
    assert np.var(drawn) == pytest.approx(exact, rel=0.1) and np.mean(drawn) == pytest.approx(mean, abs=5 * np.sqrt(exact / 4000))
    ours = seed_interval(runs).standard_error ** 2
    assert ours < exact * 1.05, "the bootstrap errs on the safe side"
    if ratio: assert exact / ours == pytest.approx(ratio, rel=0.35)


def rejected(p, alpha):
    "Holm's procedure as he wrote it: begin with the smallest, stop at the first that fails."
    found = np.zeros(len(p), dtype=bool)
    for step, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] > alpha / (len(p) - step): break
        found[i] = True
    return found

@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_procedure_at_every_level(seed):
    rng = np.random.default_rng(seed)
    p = np.round(rng.random(rng.integers(1, 12)) ** 3, 2) # many are small, some equal
    adjusted, order = holm(p), rng.permutation(len(p))
    for alpha in (0.001, 0.0123, 0.05, 0.33): np.testing.assert_array_equal(adjusted <= alpha + 1e-12, rejected(p, alpha + 1e-12))
    np.testing.assert_allclose(holm(p[order]), adjusted[order]) # the order of the comparisons does not matter
    assert (adjusted >= p).all() and (adjusted <= np.minimum(len(p) * p, 1) + 1e-12).all() # no stricter than Bonferroni

def test_holm_by_hand_and_what_it_refuses():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([]).shape == (0,) and holm([0.2]).tolist() == [0.2] and holm([0.9, 0.8]).tolist() == [1, 1]
    for wrong in ([0.1, 1.2], [-0.1], [np.nan], [[0.1]], 0.5):
        with pytest.raises(InputError, match="p-values are numbers from 0 to 1"): holm(wrong)


def pair(shift, users=400, seeds=3, e=0.05, seed=0, **more):
    rng = np.random.default_rng(seed)
    base = rng.normal(0.1, 0.1, users)
    return {"new": base + world(rng, seeds, users, e=e, shift=shift, **more), "old": base + world(rng, seeds, users, e=e)}

@pytest.mark.parametrize("shift, margin, word", [(0.02, 0.4, "ahead"), (-0.02, 0.4, "behind"), (0, 2, "equivalent"), (0, 0.01, "undecided"),
                                            (0.02, 9, "ahead, but within the margin"), (-0.02, 9, "behind, but within the margin")])
def test_a_comparison_ends_in_a_word(shift, margin, word):
    variants, declared = pair(shift), [("new", "old")]
    row = compare_variants(variants, declared, margin=margin, family=declared).iloc[0]
    difference = 100 * (variants["new"] - variants["old"])
    wide, narrow = seed_interval(difference), seed_interval(difference, 0.9)
    assert (row.difference, row.low, row.high) == pytest.approx((wide.mean, wide.low, wide.high)) and (row.seeds, row.users) == (3, 400)
    assert row.verdict == word and row["adjusted p"] == row.p and row.standing == "declared"
    assert word.startswith(("ahead", "behind")) == (not wide.low <= 0 <= wide.high) == (row.p < 0.05)
    assert (word == "equivalent" or "within" in word) == (-margin < narrow.low and narrow.high < margin)

def test_swapping_a_pair_turns_the_word_and_nats_turn_it_again():
    variants = {name: runs * 10 for name, runs in pair(0.02).items()} # as NLL: in nats, lower is better
    table = compare_variants(variants, [("new", "old"), ("old", "new")], "NLL")
    assert table.verdict.tolist() == ["behind", "ahead"] and table.difference.iloc[0] == pytest.approx((variants["new"] - variants["old"]).mean()) == -table.difference.iloc[1]
    assert table.p.iloc[0] == pytest.approx(table.p.iloc[1]) and table.low.iloc[0] == pytest.approx(-table.high.iloc[1])
    assert compare_variants(variants, [("new", "old")], "HR@5").verdict.tolist() == ["ahead"]

def test_margins_are_those_that_were_declared():
    assert MARGINS == {"NDCG@20": 0.4, "NLL": 0.03}
    same = pair(0, users=20_000, e=0.02)
    assert compare_variants(same, [("new", "old")]).verdict.tolist() == ["equivalent"]
    assert compare_variants(same, [("new", "old")], "HR@20").verdict.tolist() == ["undecided"], "no margin, no equivalence"
    assert compare_variants(same, [("new", "old")], "NLL").verdict.tolist() == ["equivalent"]

def test_a_family_pays_for_its_number_and_the_rest_is_exploratory():
    rng = np.random.default_rng(1)
    variants = {"base": np.zeros(500)} | {f"v{i}": rng.normal(0, 0.1, 500) for i in range(4)}
    wanted = [0.02, 0.3, 0.5, 0.8] # two-sided p-values, made exact by a shift
    for i, p in enumerate(wanted):
        x = variants[f"v{i}"]
        variants[f"v{i}"] = x - x.mean() + stats.norm.isf(p / 2) * stats.sem(x)
    pairs = [(f"v{i}", "base") for i in range(4)]
    alone, together = compare_variants(variants, pairs, margin=0), compare_variants(variants, pairs, margin=0, family=pairs[:3])
    np.testing.assert_allclose(alone.p, wanted, rtol=1e-9)
    assert alone.verdict.tolist() == ["ahead"] + ["undecided"] * 3 and set(alone.standing) == {"exploratory"} and alone["adjusted p"].isna().all()
    assert together.verdict.tolist() == ["undecided"] * 4 and together.low.iloc[0] > 0, "the interval misses 0, and the family does not believe it"
    np.testing.assert_allclose(together["adjusted p"], [0.06, 0.6, 0.6, np.nan], rtol=1e-9)
    assert together.standing.tolist() == ["declared"] * 3 + ["exploratory"]

def test_a_system_without_chance_is_the_same_beside_every_seed():
    runs, fixed = world(np.random.default_rng(0), 3, 50, 0.1, 0.1, 0.1), np.linspace(0, 0.2, 50)
    one = compare_variants({"a": runs, "b": fixed}, [("a", "b"), ("b", "a")])
    other = compare_variants({"a": runs, "b": np.stack([fixed] * 3)}, [("a", "b")])
    assert one.difference.iloc[0] == pytest.approx(other.difference.iloc[0]) and one.low.iloc[0] == pytest.approx(other.low.iloc[0])
    alone = compare_variants({"a": fixed, "b": fixed[::-1] + 0.1}, [("a", "b")]).iloc[0]
    users = confidence_interval(100 * (fixed - fixed[::-1] - 0.1))
    assert (alone.low, alone.high, alone.seeds) == pytest.approx((users.low, users.high, 1))
    identical = compare_variants({"a": runs, "b": runs}, [("a", "b")]).iloc[0]
    assert (identical.difference, identical.p, identical.verdict) == (0, 1, "equivalent")

@pytest.mark.parametrize("change, message", [
    (dict(b=np.zeros((2, 9))), "a and b cannot be paired: they have 3 and 2 seeds"), (dict(b=np.zeros((3, 8))), "they have 9 and 8 users"), (dict(b=np.zeros(8)), "they have 9 and 8 users"),
    (dict(b=np.full((3, 9), np.nan)), "values are missing"), (dict(a=np.zeros((1, 9)), b=np.zeros((1, 9))), "at least two of each"), (dict(a=np.zeros((2, 3, 9)), b=np.zeros((2, 3, 9))), "at least two of each"),
    (dict(c=1), "b")])
def test_runs_that_cannot_be_paired_are_refused(change, message):
    variants = {"a": np.zeros((3, 9)), "b": np.zeros((3, 9))} | change
    pairs = [("a", "bb")] if "c" in change else [("a", "b")]
    with pytest.raises(InputError, match=message): compare_variants(variants, pairs)

def test_a_family_is_among_the_pairs():
    with pytest.raises(InputError, match="b and a: this pair is in the family, but not compared"): compare_variants(pair(0), [("new", "old")], family=[("b", "a")])
    with pytest.raises(InputError, match="nothing to compare"): compare_variants(pair(0), [])

def test_how_often_the_words_are_wrong():
    rng = np.random.default_rng(0)
    def shares(shift, margin):
        runs = world(rng, 4, 80, 0.002, 0.01, 0.02, shift, (600,))
        return compare_variants({"base": np.zeros(80)} | dict(enumerate(runs)), [(i, "base") for i in range(len(runs))], margin=margin).verdict.tolist()
    words = shares(0.0, 0.5)
    assert np.mean([w.startswith(("ahead", "behind")) for w in words]) < 0.075, "of equal systems, one in twenty looks different"
    assert "equivalent" in words
    edge = shares(0.005, 0.5) # the difference is just as large as the margin
    assert np.mean(["equivalent" == w or "within" in w for w in edge]) < 0.075

def test_what_can_be_detected_is_detected_four_times_in_five():
    rng, (seeds, users) = np.random.default_rng(0), (12, 300)
    pilot = world(rng, 200, 4000, 0.02, 0.3, 0.5) # so large that its variances are known
    size = detectable_difference(pilot, seeds, users)
    true = 2.8016 * np.sqrt(0.02 ** 2 / seeds + 0.3 ** 2 / users + 0.5 ** 2 / (seeds * users))
    assert size == pytest.approx(true, rel=0.1)
    found = [seed_interval(r) for r in world(rng, seeds, users, 0.02, 0.3, 0.5, size, (400,))]
    assert np.mean([i.low > 0 for i in found]) == pytest.approx(0.8, abs=0.07)

def test_more_seeds_and_more_users_detect_more_and_the_stored_runs_give_the_known_numbers(root):
    stored, provenance = load_results(root/"nbs/results/ml-100k.npz")
    assert list(stored) == ["HR@20", "NDCG@20"] and len(provenance) == 8, "a file of an early version"
    adrec, sasrec = (stored["NDCG@20"][[i for i, p in enumerate(provenance) if p["system"] == name]].astype(float) for name in ("adrec", "sasrec"))
    np.testing.assert_allclose(100 * detectable_difference(adrec - sasrec, [3, 5, 10]), [0.99, 0.80, 0.61], atol=0.005)
    sizes = detectable_difference(adrec - sasrec, np.arange(2, 50))
    assert (np.diff(sizes) < 0).all() and detectable_difference(adrec - sasrec, 3, 10**9) < sizes[1]
    with pytest.raises(InputError, match="unknown metric 'MRR'"): load_results(root/"nbs/results/ml-100k.npz", ["MRR"])
    assert list(load_results(root/"nbs/results/ml-100k.npz", ["NDCG@20"])[0]) == ["NDCG@20"]

def test_sentences_know_which_direction_is_better():
    less = Interval(-0.079, 0.02, -0.118, -0.04)
    assert comparison_sentence("A", "B", less, "NLL") == "A is ahead of B (difference -0.079 nats of NLL, 95 % interval -0.118 to -0.040)."
    assert comparison_sentence("A", "B", less, "HR@5").startswith("A is behind B (difference -7.90 points of HR@5")


# ---- comparisons and the demo


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
    start_run(tmp_path / "run", data, one_stage(system, 1), Settings(max_length=10), options, data_arguments={"source": "synthetic"})
    run = continue_run(tmp_path / "run", data, device="cpu", progress=False)
    for split in ("validation", "test"):
        assert evaluate(run.model, data, split).as_dict() == run.metrics[split]
        told = json.loads(adrec(capsys, "evaluate", tmp_path / "run", "--split", split, "--device", "cpu", "--json"))
        assert run.metrics[split].items() <= told.items() and told["max_length"] == 10
    assert "the last 10 items of a history are read" in adrec(capsys, "evaluate", tmp_path / "run", "--device", "cpu")
    metrics = [name for name in run.metrics["test"] if "@" in name]
    metrics += ["MRR", "log rank", "NLL"]
    per_user, _ = load_results(collect_runs([tmp_path / "run"], tmp_path / "r.npz"), metrics)
    assert list(per_user) == metrics
    for name in metrics: assert per_user[name].mean(dtype=float) == pytest.approx(run.metrics["test"][name], abs=1e-6)
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
    assert list(per_user)[-3:] == [monitor, "log rank", "NLL"] and not any(np.isnan(values).any() for values in per_user.values())


def test_one_item_is_nothing_to_rank(tmp_path, capsys):
    path = log(tmp_path / "log.csv", item_id="only")
    assert "1 item: a model that ranks needs at least 2" in adrec(capsys, "train", "--data", path, "--out", tmp_path / "run", code=2)
    assert not (tmp_path / "run").exists()


def test_the_demo_lives_with_a_small_catalogue(tmp_path):
    result = demo(tmp_path / "out", epochs=2, data_arguments={"source": str(log(tmp_path / "log.csv", length=9))}, progress=False)
    text = demo_text(result)
    assert list(result.table)[2:] == ["HR@10 %", "NDCG@10 %", "NLL nats"] and "points of NDCG@10" in text and "no HR or NDCG at 20" in text
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
