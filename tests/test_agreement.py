"Do two tables say the same? Against real shuffles, small cases that can be counted, and what must not matter."
import itertools
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from adrec.agreement import cka_null_sd, linear_cka, measure_agreement, neighbour_overlap
from adrec.checks import InputError
from adrec.collapse import nearest_items
from adrec.tables import Table, compare_tables, table_of

def rng(seed=0): return np.random.default_rng(seed)


def turn(d, seed=1): return np.linalg.qr(rng(seed).normal(size=(d, d)))[0]


def groups(n=200, d=10, kinds=8, seed=0): return rng(seed).normal(size=(kinds, d))[np.arange(n) % kinds] + 0.7 * rng(seed + 1).normal(size=(n, d))


def hubby(n, d, seed):
    "Rows of very different length round a common point: some stand in the middle of everything."
    r = rng(seed)
    return r.normal(size=(4, d))[r.integers(4, size=n)] + r.normal(size=(n, d)) * np.exp(r.normal(size=(n, 1)))


# ---- neighbours

def test_overlap_is_the_mean_of_sets():
    x, y = groups(60), groups(60, seed=5)
    x, y = x - x.mean(0), y - y.mean(0)
    shared = [len(set(a) & set(b)) for a, b in zip(nearest_items(x, 7), nearest_items(y, 7))]
    found = neighbour_overlap(x + 3, y * 9, k=7)
    assert found.value == pytest.approx(np.mean(shared) / 7) and found.null == pytest.approx(7 / 59) and float(found) == found.value


def test_hubs_are_the_mean_over_all_other_lists():
    x, y = hubby(40, 5, 0), hubby(40, 5, 1)
    a, b = ([set(row) for row in nearest_items(t - t.mean(0), 4)] for t in (x, y))
    others = [len(a[i] & b[j]) / 4 for i, j in itertools.permutations(range(40), 2)]
    assert neighbour_overlap(x, y, k=4).hubs == pytest.approx(np.mean(others))


def test_null_of_five_items_is_exact_over_all_shuffles():
    x, y = rng().normal(size=(5, 3)), rng(1).normal(size=(5, 3))
    every = [neighbour_overlap(x, y[list(order)], k=2).value for order in itertools.permutations(range(5))]
    found = neighbour_overlap(x, y, k=2)
    assert np.mean(every) == pytest.approx(found.null) and np.std(every) == pytest.approx(found.sd)


@pytest.mark.parametrize("make, n, d, k", [(hubby, 80, 5, 3), (hubby, 150, 20, 10), (lambda n, d, s: groups(n, d, seed=s), 120, 10, 10)])
def test_null_is_where_shuffles_are(make, n, d, k):
    x, y = make(n, d, 0), make(n, d, 7)
    drawn = np.array([neighbour_overlap(x, rng(s).permutation(y), k).value for s in range(300)])
    found = neighbour_overlap(x, y, k)
    assert abs(drawn.mean() - found.null) < 4 * found.sd / 300 ** 0.5
    assert drawn.std() == pytest.approx(found.sd, rel=0.2)


def test_unequal_arrivals_widen_the_null():
    "The hypergeometric law alone, without hubs and couples, would be too narrow."
    n, k = 300, 10
    x, y = hubby(n, 5, 0), hubby(n, 5, 1)
    alone = np.sqrt(k * (k / (n - 1)) * (1 - k / (n - 1)) * (n - 1 - k) / (n - 2)) / k / n ** 0.5
    assert neighbour_overlap(x, y).sd > 1.1 * alone


def test_many_items_are_drawn_and_few_are_asked_for_fewer_neighbours():
    x = groups(300)
    found = neighbour_overlap(x, 2 * x @ turn(10), sample=100)
    assert found.items == 100 and found.value == pytest.approx(1, abs=0.02) and found.null == pytest.approx(10 / 99)
    assert neighbour_overlap(x[:9], x[:9]).k == 4, "all others would be neighbours, and agree by necessity"
    said = measure_agreement(x[:9], x[:9]).notes
    assert said == ("of so few items, 4 neighbours are looked at, not 10",)
    with pytest.raises(InputError, match="k must be a whole number from 1 up, not 0"): neighbour_overlap(x, x, 0)


# ---- CKA

def test_cka_is_the_u_statistic():
    x, y = rng().normal(size=(30, 5)), rng(1).normal(size=(30, 7))
    y[:, :5] += x
    def hsic(a, b):
        n, k, l = len(a), a @ a.T, b @ b.T
        np.fill_diagonal(k, 0), np.fill_diagonal(l, 0)
        return ((k * l).sum() + k.sum() * l.sum() / (n - 1) / (n - 2) - 2 * (k @ l).sum() / (n - 2)) / (n * (n - 3))
    assert linear_cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)), rel=1e-9)
    assert linear_cka(x * 1e-150 + 1e-150, y * 1e150) == pytest.approx(linear_cka(x, y), rel=1e-6)


def test_cka_known_answers():
    x = rng().normal(size=(400, 128))
    assert linear_cka(x, 3 * x @ turn(128) - 7) == pytest.approx(1)
    assert np.mean([linear_cka(x, rng(s).normal(size=(400, 128))) for s in range(1, 9)]) == pytest.approx(0, abs=0.01)
    assert np.isnan(linear_cka(x, np.ones((400, 3)))) and np.isnan(linear_cka(np.full((400, 3), 0.1), x))
    with pytest.raises(InputError, match="400 and 399"): linear_cka(x, x[1:])
    with pytest.raises(InputError, match="at least 4"): linear_cka(x[:3], x[:3])
    with pytest.raises(InputError, match="at least 4"): cka_null_sd(3)


@pytest.mark.parametrize("seed", range(4))
def test_the_null_of_cka_is_exact_for_any_tables(seed):
    "All 720 orders of six items; the standard deviation is √(2/18) whatever the tables are."
    r = rng(seed)
    x, y = r.normal(size=(6, r.integers(1, 9))), r.pareto(1.5, size=(6, r.integers(1, 4)))
    every = [linear_cka(x, y[list(order)]) for order in itertools.permutations(range(6))]
    assert np.mean(every) == pytest.approx(0, abs=1e-9) and np.std(every) == pytest.approx(cka_null_sd(6), rel=1e-9)


# ---- both

@pytest.mark.parametrize("seed", range(5))
def test_rotation_size_and_place_do_not_matter_and_order_does(seed):
    r = rng(seed)
    n, d = int(r.integers(40, 300)), int(r.integers(3, 40))
    x = groups(n, d, seed=seed)
    same = measure_agreement(x, x @ turn(d, seed) * float(r.uniform(1e-3, 1e3)) + r.normal(size=d))
    assert same.words == "the same, up to rotation, size and place"
    wider = np.hstack([x, np.zeros((n, 5))]) @ turn(d + 5)
    assert measure_agreement(x, wider).words == same.words
    order = r.permutation(n)
    again = measure_agreement(x[order], x[order])
    assert again.values["linear_cka"][0] == pytest.approx(1) and again.hubs == pytest.approx(same.hubs, abs=1e-3)
    one, other = measure_agreement(x, y := r.normal(size=(n, d))), measure_agreement(y, x)
    for name in one.values: assert one.values[name] == pytest.approx(other.values[name]) and one.spread[name] == pytest.approx(other.spread[name]), "neither table is first"


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_agreement_is_the_square_of_the_share_that_stayed(share):
    x = groups(1000, 16, 20)
    rows, moved = np.arange(1000), rng(2).permutation(1000)[:round(1000 * (1 - share))]
    rows[moved] = rng(3).permutation(moved)
    found = measure_agreement(x, x[rows]).values
    assert found["neighbour_overlap"][0] == pytest.approx(share ** 2, abs=0.05)
    assert found["linear_cka"][0] == pytest.approx(share ** 2, abs=0.05)


def test_independent_tables_are_no_more_alike_than_chance():
    for seed in range(20): assert measure_agreement(rng(seed).normal(size=(150, 12)), hubby(150, 9, seed + 50)).words == "no more alike than chance"


def test_a_point_has_nothing_to_compare():
    found = measure_agreement(np.full((20, 3), 0.1), rng().normal(size=(20, 3)))
    assert found.words.startswith("undefined") and found.as_dict()["linear_cka"]["value"] is None
    json.dumps(found.as_dict(), allow_nan=False)
    assert "nan" in str(found) and "undefined" in found._repr_html_()


def test_html_is_escaped(): assert "<script>" not in measure_agreement(groups(), groups(), names=("<script>", "b"), notes=("<script>",))._repr_html_()


def test_agreement_loads_no_torch():
    code = "import sys, adrec.agreement; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


# ---- which row is which

def test_rows_find_each_other_by_id():
    x, order = groups(50), rng(3).permutation(50)
    ids = [f"i{n}" for n in range(50)]
    ours = pd.DataFrame(x).add_prefix("dim").assign(item_id=ids)
    theirs = {ids[i]: x[i] @ turn(10) for i in order if i != 7} | {"other": x[0]}
    found = compare_tables(table_of(ours, "ours"), table_of(theirs, "theirs"))
    assert found.n == 49 and found.words.startswith("the same") and (found.first, found.second) == ("ours", "theirs")
    assert found.notes == ("1 of 50 items of ours are not in theirs", "1 of 50 items of theirs are not in ours")
    assert compare_tables(ours, theirs).first == "first"


def test_without_ids_the_order_decides_and_is_mentioned():
    x = groups(50)
    found = compare_tables(nn.Embedding.from_pretrained(torch.tensor(np.vstack([np.zeros(10), x])), padding_idx=0), x)
    assert found.words.startswith("the same") and found.notes == ("rows were matched by their order, as there are no ids in first and second",)
    with pytest.raises(InputError, match="first has 50 rows, second 49, and there are no ids in second"):
        compare_tables(pd.DataFrame(x).add_prefix("dim").assign(item_id=range(50)), x[1:])


def test_what_cannot_be_matched_says_what_it_has():
    x = groups(20)
    ours, theirs = ({f"{letter}{n}": row for n, row in enumerate(x)} for letter in "ab")
    with pytest.raises(InputError, match="no id in common: first has ids such as 'a0', 'a1', 'a2'; second has 'b0', 'b1', 'b2'"): compare_tables(ours, theirs)
    twice = Table("twice", x, ids=["a0", *[f"a{n}" for n in range(19)]])
    with pytest.raises(InputError, match="twice: id 'a0' stands in more than one row"): compare_tables(ours, twice)
    with pytest.raises(InputError, match="first and second: a comparison needs at least 4 items, got 3"):
        compare_tables(ours, {f"a{n}": x[n] for n in range(3)})


def test_rows_of_zeros_are_left_out():
    x, y = groups(50), groups(50)
    x[3], y[[3, 4]] = 0, 0
    found = compare_tables(x, y)
    assert found.n == 48 and found.notes[-1] == "2 items with a row of zeros are left out" and found.words.startswith("the same")


def test_runs_and_files_from_the_command_line(tmp_path, capsys, monkeypatch):
    from adrec.cli import main
    monkeypatch.chdir(tmp_path)
    x = groups(30)
    pd.DataFrame(x).add_prefix("dim").assign(item_id=[f"i{n}" for n in range(30)]).to_csv("a.csv", index=False)
    pd.DataFrame(x @ turn(10)).add_prefix("dim").assign(item_id=[f"i{n}" for n in range(30)])[::-1].to_csv("b.csv", index=False)
    np.save("c.npy", rng().normal(size=(30, 4)))
    def line(words):
        with pytest.raises(SystemExit) as end: main(words.split())
        return end.value.code, *capsys.readouterr()
    code, out, _ = line("diagnose a.csv b.csv c.npy --match")
    assert code == 0 and out.count("chance ") == 0 and out.count("items in both") == 3 and "a and b: 30 items in both" in out
    code, out, _ = line("diagnose a.csv b.csv c.npy --match --json")
    pairs = json.loads(out)
    assert [(p["first"], p["second"], p["items"]) for p in pairs] == [("a", "b", 30), ("a", "c", 30), ("b", "c", 30)]
    assert pairs[0]["linear_cka"]["value"] == pytest.approx(1) and pairs[0]["notes"] == [] and "matched by their order" in pairs[1]["notes"][0]
    for words, message in (("a.csv", "name at least two"), ("a.csv b.csv --plot x", "--plot is for a diagnosis"), ("a.csv b.csv --labels a.csv", "--labels is for")):
        code, _, err = line(f"diagnose {words} --match")
        assert code == 2 and message in err
