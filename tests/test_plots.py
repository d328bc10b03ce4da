"The figures of adrec.plots: what is drawn, what is held fixed, what is left alone, and what bad input hears."
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from figure_examples import (  # noqa: F401, a fixture
    CLUSTERS,
    LABELS,
    NOISE,
    PLANE,
    TABLES,
    legend,
    lines,
    no_trace,
    recording,
)
from scipy.stats import beta, spearmanr

from adrec import plots
from adrec.checks import InputError
from adrec.maps import plot_collapse_map, plot_pca, plot_tsne
from adrec.plots import (
    STYLE,
    figure_bytes,
    plot_cosines,
    plot_history,
    plot_intervals,
    plot_norms,
    plot_schedules,
    plot_spectrum,
    plot_spectrum_histogram,
    plot_spectrum_history,
    styles,
)
from adrec.spectra import MarchenkoPastur, covariance_eigenvalues

SCHEDULES = {"fast": np.cumprod(np.full(10, 0.5)), "slow": np.cumprod(np.full(10, 0.9))}


def history(validated=True):
    rows = [dict(system="sasrec", stage="train", epoch=e, ce=5.0 - e) for e in range(3)]
    rows += [dict(system="adrec", stage="pretrain", epoch=e, ce=5.5 - e) for e in range(2)]
    rows += [dict(system="adrec", stage="fine-tune", epoch=e, ce=3.0 - e / 4, mse=0.5 / (e + 1)) for e in range(2, 6)]
    if validated:
        for row in rows[1::2]: row["NDCG@20"], row["HR@20"] = 0.05 + row["epoch"] / 100, 0.2
    return rows


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

ONE_PANEL = {"schedules": lambda ax: plot_schedules(SCHEDULES, ax=ax), "spectrum": lambda ax: plot_spectrum(TABLES, ax=ax),
             "histogram": lambda ax: plot_spectrum_histogram(TABLES, ax=ax), "cosines": lambda ax: plot_cosines(TABLES, ax=ax, pairs=500),
             "map": lambda ax: plot_collapse_map({"adrec": [(0.9, 1.0), (0.4, 5.0)]}, ax=ax),
             "course": lambda ax: plot_spectrum_history(recording(), ax=ax)}
PANELS = {"pca": lambda ax: plot_pca(TABLES, LABELS, ax=ax), "norms": lambda ax: plot_norms(TABLES, np.arange(1, 301), ax=ax)}


@pytest.mark.parametrize("name", ONE_PANEL)
def test_given_axes_are_used_and_no_figure_is_opened(name):
    ax = plt.subplots()[1]
    figures = plt.get_fignums()
    assert ONE_PANEL[name](ax) is ax and plt.get_fignums() == figures
    assert ONE_PANEL[name](None) is not ax and len(plt.get_fignums()) == len(figures) + 1
    assert ax.get_xlabel() and ax.get_ylabel()


@pytest.mark.parametrize("name", PANELS)
def test_given_panels_are_used_and_no_figure_is_opened(name):
    axes = plt.subplots(1, 2)[1]
    figures = plt.get_fignums()
    assert list(PANELS[name](axes)) == list(axes) and plt.get_fignums() == figures
    assert axes[0].figure.get_suptitle() == "", "the caller's figure keeps its own title"
    assert len(PANELS[name](None)) == 2 and len(plt.get_fignums()) == len(figures) + 1
    with pytest.raises(InputError, match="2 panels.* got 1"): PANELS[name](axes[0])


def test_history_uses_given_axes():
    axes = plt.subplots(1, 2)[1]
    figures = plt.get_fignums()
    assert plot_history(history(), ax=axes) == tuple(axes) and plt.get_fignums() == figures
    with pytest.raises(InputError, match="two axes"): plot_history(history(), ax=axes[0])


@pytest.mark.parametrize("name", [*ONE_PANEL, *PANELS])
def test_no_text_is_smaller_than_nine_points_and_shape_is_stated(name):
    drawn = {**ONE_PANEL, **PANELS}[name](None)
    figure = np.atleast_1d(drawn)[0].figure
    figure.canvas.draw()
    texts = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text().strip()]
    small = [t.get_text() for t in texts if t.get_fontsize() < 8.9]
    assert not small, f"smaller than 9 points: {small}"
    if name not in ("schedules", "map"): assert any("N = 300, d = 16" in t.get_text() for t in texts)


@pytest.mark.parametrize("plot", [plot_spectrum, plot_spectrum_histogram, plot_cosines, plot_pca, plot_tsne])
@pytest.mark.parametrize("table, message", [
    (np.ones((5, 3)), "all 5 items are the same point"), (np.full((5, 3), np.nan), "NaN or infinite values in 5 of 5"), (np.ones(5), r"\(5,\)")])
def test_bad_tables_are_named(plot, table, message):
    with pytest.raises(InputError, match=f"table 'odd': .*{message}"): plot({"fine": NOISE, "odd": table})
    assert not plt.get_fignums(), "a figure was opened for bad data"


@pytest.mark.parametrize("plot", [plot_spectrum, plot_spectrum_histogram, plot_cosines, plot_pca, plot_tsne])
@pytest.mark.parametrize("empty", [{}, None, NOISE])
def test_no_tables(plot, empty):
    with pytest.raises(InputError, match="no tables"): plot(empty)


@pytest.mark.parametrize("part", [lambda axes: axes, lambda axes: axes[0], lambda axes: axes[0].figure])
def test_a_figure_becomes_a_file_and_is_closed(part):
    figures = plt.get_fignums()
    a, b = (figure_bytes(part(plt.subplots(1, 2)[1]), dpi=30) for _ in range(2))
    assert a == b and a.startswith(b"\x89PNG") and b"Matplotlib" not in a and plt.get_fignums() == figures


@pytest.mark.parametrize("format, beginning", [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_other_formats(format, beginning):
    content = figure_bytes(plot_schedules(SCHEDULES), format, bbox_inches="tight")
    assert content.startswith(beginning) and b"dc:date" not in content and b"CreationDate" not in content


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

def test_spectrum_shows_scaled_eigenvalues_the_band_and_the_edges():
    ax = plot_spectrum(TABLES)
    values = covariance_eigenvalues(CLUSTERS)
    assert np.allclose(lines(ax)["adrec"].get_ydata(), values / values.mean())
    assert "random numbers, 95 % band (N = 300, d = 16)" in legend(ax) and ax.get_yscale() == "log"
    assert "centred, columns not scaled" in ax.get_title()
    dashed = sorted(line.get_ydata()[0] for line in ax.get_lines() if line.get_linestyle() == "--" and line.get_color() == "grey")
    assert np.allclose(dashed, MarchenkoPastur(300, 16).edges)


def test_the_band_holds_noise_and_nothing_else():
    low, high = plots._noise_band(300, 16)
    inside = lambda x: ((v := covariance_eigenvalues(x)) / v.mean() >= low) & (v / v.mean() <= high)
    draws = np.random.default_rng(1)
    share = np.mean([inside(draws.normal(size=(300, 16))) for _ in range(100)])
    assert 0.92 < share < 0.98 and inside(CLUSTERS).mean() < 0.2


def test_each_shape_has_its_own_band_once():
    ax = plot_spectrum({"a": NOISE, "b": NOISE[:100], "c": NOISE + 1})
    assert [text for text in legend(ax) if "band" in text] == [f"random numbers, 95 % band (N = {n}, d = 16)" for n in (300, 100)]


def test_the_start_is_a_thin_line_in_the_same_colour():
    drawn = lines(plot_spectrum({"adrec": CLUSTERS}, start={"adrec": NOISE}))
    before, after = drawn["adrec, before training"], drawn["adrec"]
    assert before.get_linewidth() < after.get_linewidth() and before.get_color() == after.get_color() == STYLE["adrec"]["color"]
    with pytest.raises(InputError, match="'sasrec'"): plot_spectrum({"adrec": CLUSTERS}, start={"sasrec": NOISE})


@pytest.mark.parametrize("shape", [(10, 40), (41, 40), (40, 1), (2, 3)])
def test_odd_shapes_can_be_drawn(shape):
    ax = plot_spectrum({"odd": np.random.default_rng(0).normal(size=shape)})
    ax.figure.canvas.draw()
    assert 0 < ax.get_ylim()[0] < 1 < ax.get_ylim()[1]


def test_low_rank_leaves_through_the_floor():
    ax = plot_spectrum({"plane": PLANE})
    values = lines(ax)["plane"].get_ydata()
    assert (values[:2] > 1).all() and (values[2:] < ax.get_ylim()[0]).all()


# ---- histogram

def stairs(ax): return {p.get_label(): p for p in ax.patches if isinstance(p, matplotlib.patches.StepPatch)}

def test_histogram_counts_what_lies_beyond_and_has_area_one():
    ax = plot_spectrum_histogram(TABLES | {"plane": PLANE})
    (name, patch), = [(n, p) for n, p in stairs(ax).items() if n.startswith("adrec")]
    beyond = int(re.search(r"\((\d+) beyond", name)[1])
    heights, edges, _ = patch.get_data()
    assert beyond == 2 and np.isclose((heights * np.diff(edges)).sum(), 1 - 2 / 16), "three centres span two directions"
    heights, edges, _ = stairs(ax)["noise"].get_data()
    assert np.isclose((heights * np.diff(edges)).sum(), 1)
    assert any("plane: no bulk" in text for text in legend(ax))
    with pytest.raises(InputError, match="'few'.*more items"): plot_spectrum_histogram({"few": NOISE[:17]})


# ---- cosines

def test_cosines_have_fixed_axes_equal_bins_and_the_beta_null():
    ax = plot_cosines(TABLES | {"sasrec": NOISE + 5}, pairs=20_000)
    assert ax.get_xlim() == (-1, 1)
    data = [p.get_data() for p in stairs(ax).values()]
    assert all(np.array_equal(data[0].edges, d.edges) for d in data) and all(np.isclose((d.values * np.diff(d.edges)).sum(), 1) for d in data)
    peak = max(ax.collections[0].get_paths()[0].vertices[:, 1])
    assert np.isclose(peak, beta.pdf(0.5, 7.5, 7.5) / 2, rtol=1e-3)
    centres = (data[0].edges[1:] + data[0].edges[:-1]) / 2
    assert abs(np.sqrt((data[0].values * centres ** 2).sum() * 0.025) - 1 / 4) < 0.01, "standard deviation 1/√d"
    assert any("sasrec, mean 0.9" in text for text in legend(ax))


def test_cosines_refuse_a_row_without_direction():
    with pytest.raises(InputError, match="table 'padded'.*row 0"): plot_cosines({"padded": np.vstack([np.zeros(16), NOISE])})


# ---- norms

def test_norms_show_ratio_and_rank_correlation():
    popularity = np.arange(1, 301)
    scaled = NOISE / np.linalg.norm(NOISE, axis=1, keepdims=True) * popularity[:, None] ** 0.5
    axes = plot_norms({"adrec": scaled, "noise": NOISE}, popularity)
    assert "ρ = 1.00" in axes[0].get_title() and axes[0].get_xscale() == "log" and axes[0].get_ylim() == axes[1].get_ylim()
    rho = spearmanr(popularity, np.linalg.norm(NOISE, axis=1))[0]
    assert f"ρ = {rho:.2f}".replace("-", "−") in axes[1].get_title()


def test_norms_say_what_is_hidden_or_undefined():
    unit = NOISE / np.linalg.norm(NOISE, axis=1, keepdims=True)
    (ax,) = plot_norms({"unit": unit}, np.r_[0, 0, np.arange(1, 299)])
    assert "ρ undefined" in ax.get_title() and "2 without interactions" in ax.get_title()


@pytest.mark.parametrize("popularity, message", [(np.arange(5), "300 items, popularity has 5"), (-np.ones(300), "from 0"), (np.zeros(300), "not all 0")])
def test_bad_popularity(popularity, message):
    with pytest.raises(InputError, match=message): plot_norms({"a": NOISE}, popularity)


# ---- through training

def test_spectrum_history_has_fixed_colours_a_contour_and_stages():
    rec = recording()
    ax = plot_spectrum_history(rec)
    (mesh,) = ax.collections
    assert mesh.get_clim() == (-1, 1) and mesh.get_array().shape == (16, 5), "step 10 counts once"
    white = ax.get_lines()[0]
    values = rec.eigenvalues[[0, 1, 3, 4, 5]]
    above = (values / values.mean(1, keepdims=True) > MarchenkoPastur(300, 16).edges[1]).sum(1)
    assert np.allclose(white.get_ydata(), above + 0.5) and above[-1] == 2
    assert [line.get_xdata()[0] for line in ax.get_lines()[1:]] == [10], "one boundary"
    assert "1 stage1 pre-train · 2 adrec fine-tune" in ax.get_xlabel()


def test_a_diverged_step_is_left_out():
    rec = recording()
    rec.eigenvalues[-1] = np.nan
    assert plot_spectrum_history(rec).collections[0].get_array().shape == (16, 4)
    rec.eigenvalues[1:] = np.nan
    with pytest.raises(InputError, match="1 recorded steps"): plot_spectrum_history(rec)


def test_intervals_are_drawn_where_the_table_says_and_zero_is_in_sight():
    values = {"popularity": (9.0, 7.0, 11.0), "markov": (12.0, 10.0, 14.0)}
    table = pd.DataFrame.from_dict({name: {("HR@20", part): v for part, v in zip(("mean", "low", "high"), row)}
                                    for name, row in values.items()}, orient="index")
    ax = plot_intervals(table, "HR@20")
    lines = [line.get_xdata().tolist() for line in ax.lines]
    assert lines == [[7, 11], [9], [10, 14], [12]] and ax.get_xlim()[0] == 0
    assert [label.get_text() for label in ax.get_yticklabels()] == ["popularity", "markov"]
    plt.close(ax.figure)
    with pytest.raises(InputError, match="it has HR@20"): plot_intervals(table, "NDCG@20")
