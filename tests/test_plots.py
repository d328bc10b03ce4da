"The figures of adrec.plots: what is drawn, what is left alone, and what bad input hears."
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from adrec.collapse import covariance_eigenvalues, marchenko_pastur_edges, marchenko_pastur_spectrum
from adrec.data import InputError
from adrec.plots import STYLE, plot_history, plot_schedules, plot_spectrum, styles

SCHEDULES = {"fast": np.cumprod(np.full(10, 0.5)), "slow": np.cumprod(np.full(10, 0.9))}
NOISE = np.random.default_rng(0).normal(size=(300, 16))


def history(validated=True):
    rows = [dict(system="sasrec", stage="train", epoch=e, ce=5.0 - e) for e in range(3)]
    rows += [dict(system="adrec", stage="pretrain", epoch=e, ce=5.5 - e) for e in range(2)]
    rows += [dict(system="adrec", stage="fine-tune", epoch=e, ce=3.0 - e / 4, mse=0.5 / (e + 1)) for e in range(2, 6)]
    if validated:
        for row in rows[1::2]: row["NDCG@20"], row["HR@20"] = 0.05 + row["epoch"] / 100, 0.2
    return rows


@pytest.fixture(autouse=True)
def no_trace():
    settings = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == settings, "a plotting function changed rcParams"
    plt.close("all")


def lines(ax): return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
def legend(ax): return [text.get_text() for text in ax.get_legend().get_texts()]


# ---- style

def test_systems_differ_in_colour_marker_and_line():
    systems = {"popularity", "markov", "itemknn", "sasrec", "adrec", "diffurec", "dreamrec"}
    assert systems | {"null"} == set(STYLE) and STYLE["null"]["color"] == "grey"
    for part in ("color", "marker", "linestyle"): assert len({STYLE[s][part] for s in systems}) == len(systems)


def test_borrowed_styles_are_free_ones():
    given = styles(["adrec", *"abcdef"])
    assert len({s["color"] for s in given.values()}) == 7 and given["adrec"] == STYLE["adrec"]
    many = styles([f"table {i}" for i in range(14)])
    assert len({tuple(sorted((k, str(v)) for k, v in s.items())) for s in many.values()}) == 14


def test_styles_are_copies():
    styles(["adrec"])["adrec"]["color"] = "pink"
    assert STYLE["adrec"]["color"] != "pink"


@pytest.mark.parametrize("name, system", [("ADRec", "adrec"), ("SASRec+", "sasrec"), ("noise", "null"), ("Null", "null")])
def test_spellings(name, system): assert styles([name])[name] == STYLE[system]


# ---- every function draws where it is told

@pytest.mark.parametrize("plot, data", [(plot_schedules, SCHEDULES), (plot_spectrum, {"table": NOISE})])
def test_given_axes_are_used_and_no_figure_is_opened(plot, data):
    ax = plt.subplots()[1]
    figures = plt.get_fignums()
    assert plot(data, ax=ax) is ax and plt.get_fignums() == figures
    assert plot(data) is not ax and len(plt.get_fignums()) == len(figures) + 1
    assert ax.get_xlabel() and ax.get_ylabel()


def test_history_uses_given_axes():
    axes = plt.subplots(1, 2)[1]
    figures = plt.get_fignums()
    assert plot_history(history(), ax=axes) == tuple(axes) and plt.get_fignums() == figures
    with pytest.raises(InputError, match="two axes"): plot_history(history(), ax=axes[0])


# ---- schedules

def test_schedules_start_at_one_and_show_what_they_are_given():
    drawn = lines(plot_schedules({"fast": torch.tensor(SCHEDULES["fast"]), "long": np.linspace(0.9, 0, 40)}))
    assert list(drawn) == ["fast (T = 10)", "long (T = 40)"]
    line = drawn["fast (T = 10)"]
    assert np.allclose(line.get_ydata(), [1, *SCHEDULES["fast"]]) and np.allclose(line.get_xdata(), np.arange(11) / 10)


@pytest.mark.parametrize("values, message", [
    ([0.1, 0.2], "rises at step 1.*β"), ([0.9, np.nan], "step 1 has nan"), ([1.1], "step 0 has 1.1"), ([-0.1], "step 0 has -0.1"),
    ([], "at least one number"), ([[0.9, 0.8]], r"shape \(1, 2\)"), (["a"], "row of numbers"), (None, "got shape|row of numbers")])
def test_bad_schedules_are_named(values, message):
    with pytest.raises(InputError, match=f"schedule 'odd'.*({message})"): plot_schedules({"odd": values})


@pytest.mark.parametrize("empty", [{}, None, [0.9, 0.8]])
def test_no_schedules(empty):
    with pytest.raises(InputError, match="no schedules"): plot_schedules(empty)


# ---- history

def test_stages_run_on_and_are_separated():
    ax_loss, ax_validation = plot_history(history())
    drawn = lines(ax_loss)
    assert list(drawn) == ["sasrec", "adrec ce", "adrec mse"]
    assert list(drawn["adrec ce"].get_xdata()) == [1, 2, 3, 4, 5, 6]  # the second stage's epochs began at 2
    for ax in (ax_loss, ax_validation):
        verticals = [line.get_xdata()[0] for line in ax.get_lines() if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
        assert verticals == [2.5], "one boundary: after ADRec's two epochs of pre-training"
    assert "1 train · 2 pretrain · 3 fine-tune" in ax_validation.get_xlabel()


def test_validation_skips_epochs_without_a_score():
    ax = plot_history(history())[1]
    assert "NDCG@20" in ax.get_ylabel()
    assert list(lines(ax)["sasrec"].get_xdata()) == [2] and list(lines(ax)["adrec"].get_xdata()) == [1, 3, 5]
    assert "HR@20" in plot_history(history(), metric="HR@20")[1].get_ylabel()


def test_a_table_and_a_list_of_rows_are_the_same():
    a, b = plot_history(history())[0], plot_history(pd.DataFrame(history()))[0]
    for name, line in lines(a).items(): assert np.array_equal(line.get_ydata(), lines(b)[name].get_ydata(), equal_nan=True)


def test_one_loss_needs_no_name_and_no_validation_is_said():
    rows = [dict(system="adrec", stage="s", epoch=e, loss=1.0 - e / 10, seconds=3.0) for e in range(4)]
    ax_loss, ax_validation = plot_history(rows)
    assert legend(ax_loss) == ["adrec"] and [t.get_text() for t in ax_validation.texts] == ["not validated"]


def test_parts_are_drawn_and_their_combination_is_not():
    rows = [dict(system="sasrec", stage="s", epoch=0, step=9, learning_rate=1e-3, cross_entropy=2.0, loss=2.0),
            dict(system="adrec", stage="s", epoch=0, step=9, learning_rate=1e-3, cross_entropy=2.0, mse=1.0, loss=1.5)]
    assert list(lines(plot_history(rows)[0])) == ["sasrec", "adrec cross_entropy", "adrec mse"]


def test_log_axis_only_for_wide_losses():
    assert plot_history(history())[0].get_yscale() == "log"
    assert plot_history([dict(system="a", stage="s", epoch=e, loss=1.0 - e) for e in range(3)])[0].get_yscale() == "linear"


@pytest.mark.parametrize("rows, message", [
    ([], "empty"), ([dict(epoch=0, stage="s", loss=1)], "column 'system'"), ([dict(system="a", stage="s", loss=1)], "column 'epoch'"),
    ([dict(system="a", stage="s", epoch=0, ce=1.0)] * 2, "epoch 0 of stage 's' of 'a' twice"),
    ([dict(system="a", stage="s", epoch="first", ce=1.0)], "whole numbers"), ([dict(system="a", stage="s", epoch=None, ce=1.0)], "whole numbers"),
    ([dict(system="a", stage="s", epoch=0, seconds=1.0)], "loss column"), ([dict(system="a", stage="s", epoch=0, loss=np.nan)], "finite")])
def test_bad_histories(rows, message):
    with pytest.raises(InputError, match=message): plot_history(rows)


def test_unknown_metric_lists_what_there_is():
    with pytest.raises(InputError, match=r"'NDCG@50'; it has NDCG@20, HR@20"): plot_history(history(), metric="NDCG@50")


# ---- spectrum

def test_spectrum_shows_scaled_eigenvalues_beside_their_noise():
    ax = plot_spectrum({"noise": NOISE, "adrec": NOISE * np.arange(1, 17)})
    values = covariance_eigenvalues(NOISE * np.arange(1, 17))
    assert np.allclose(lines(ax)["adrec"].get_ydata(), values / values.mean())
    assert np.allclose(lines(ax)["… and follow this curve"].get_ydata(), marchenko_pastur_spectrum(300, 16))
    band = ax.collections[0].get_paths()[0].get_extents()
    assert np.allclose([band.y0, band.y1], marchenko_pastur_edges(300, 16))
    assert "pure noise would lie here (N = 300, d = 16)" in legend(ax) and ax.get_yscale() == "log"
    assert "centred, columns not scaled" in ax.get_title()


def test_each_shape_has_its_own_band_once():
    ax = plot_spectrum({"a": NOISE, "b": NOISE[:100], "c": NOISE + 1})
    assert [text for text in legend(ax) if "lie here" in text] == [f"pure noise would lie here (N = {n}, d = 16)" for n in (300, 100)]


@pytest.mark.parametrize("shape", [(10, 40), (41, 40), (40, 1), (2, 3)])
def test_odd_shapes_can_be_drawn(shape):
    ax = plot_spectrum({"odd": np.random.default_rng(0).normal(size=shape)})
    ax.figure.canvas.draw()
    assert 0 < ax.get_ylim()[0] < 1 < ax.get_ylim()[1]


def test_low_rank_leaves_through_the_floor():
    x = np.random.default_rng(0).normal(size=(200, 2)) @ np.random.default_rng(1).normal(size=(2, 16))
    ax = plot_spectrum({"plane": x})
    values = lines(ax)["plane"].get_ydata()
    assert (values[:2] > 1).all() and (values[2:] < ax.get_ylim()[0]).all()


@pytest.mark.parametrize("table, message", [
    (np.ones((5, 3)), "all 5 items are the same point"), (np.full((5, 3), np.nan), "NaN or infinite values in 5 of 5"), (np.ones(5), r"\(5,\)")])
def test_bad_tables_are_named(table, message):
    with pytest.raises(InputError, match=f"table 'odd': .*{message}"): plot_spectrum({"fine": NOISE, "odd": table})
    assert not plt.get_fignums(), "a figure was opened for bad data"


@pytest.mark.parametrize("empty", [{}, None, NOISE])
def test_no_tables(empty):
    with pytest.raises(InputError, match="no tables"): plot_spectrum(empty)
