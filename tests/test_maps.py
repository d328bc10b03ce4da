"The maps of adrec.maps: PCA, t-SNE, films, neighbours and the collapse map; what they show and what bad input hears."
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_examples import (  # noqa: F401, a fixture
    CLUSTERS,
    LABELS,
    NOISE,
    PLANE,
    TABLES,
    diagnosis,
    legend,
    lines,
    no_trace,
    recording,
)

from adrec import maps
from adrec.checks import InputError
from adrec.maps import (
    anchor_items,
    camera,
    choose_frames,
    epoch_slider,
    neighbour_table,
    plot_collapse_map,
    plot_pca,
    plot_tsne,
    sample_rows,
)
from adrec.plots import STYLE
from adrec.spectra import covariance_eigenvalues, participation_ratio_null

# ---- PCA

def test_pca_panels_share_one_scale():
    axes = plot_pca(TABLES | {"plane": PLANE}, LABELS)
    assert len({(ax.get_xlim(), ax.get_ylim(), ax.get_aspect()) for ax in axes}) == 1
    assert "100% of the variance" in axes[2].get_title() and axes[0].get_xlim()[0] == -axes[0].get_xlim()[1]


def test_pca_forgets_scale_and_keeps_offset():
    spread = lambda x: np.ptp(camera(x)(x))
    assert np.isclose(spread(NOISE), spread(7 * NOISE)) and spread(NOISE + 5) < spread(NOISE) / 4


def test_pca_matches_the_singular_values():
    view = camera(CLUSTERS)
    points = view(CLUSTERS)
    values = covariance_eigenvalues(CLUSTERS)
    assert np.isclose(view.share, values[:2].sum() / values.sum()) and view.noise < view.share
    assert np.allclose(points.var(axis=0, ddof=1) / (CLUSTERS ** 2).sum(1).mean() ** -1, values[:2])


def test_the_circle_holds_95_percent_of_noise():
    inside = []
    for seed in range(20):
        table = np.random.default_rng(seed).normal(size=(300, 16))
        view = camera(table)
        inside.append((np.hypot(*view(table).T) < view.radius).mean())
    assert abs(np.mean(inside) - 0.95) < 0.02


def test_one_dimension_and_many_items():
    plot_pca({"line": NOISE[:, :1]})
    (ax,) = plot_pca({"many": NOISE}, max_items=50)
    assert sum(len(c.get_offsets()) for c in ax.collections) == 50


# ---- labels

def test_six_labels_have_styles_and_the_rest_is_grey():
    groups = maps._label_groups([*"aaabbccddeeffgh"], 15, {})
    assert [g[0] for g in groups] == ["2 others", *"fedcba"] and groups[-1][2] == maps._LABEL_STYLES[0]
    assert sum(mask for _, mask, _ in groups).tolist() == [1] * 15, "every item is drawn once"
    with pytest.raises(InputError, match="300 items need as many labels, got 2"): plot_pca({"t": NOISE}, ["a", "b"])


def test_label_colours_are_no_systems_colours():
    assert not {s["color"].lower() for s in maps._LABEL_STYLES} & {s["color"].lower() for s in STYLE.values()}


# ---- t-SNE

def test_tsne_has_controls_shared_limits_and_numbers():
    axes = plot_tsne({"adrec": CLUSTERS[:60]}, LABELS[:60], perplexities=(5, 10), iterations=300)
    assert axes.shape == (3, 2) and len({(ax.get_xlim(), ax.get_ylim()) for ax in axes.flat}) == 1
    for ax in axes.flat:
        points = np.concatenate([c.get_offsets() for c in ax.collections])
        assert ax.get_aspect() == 1 and len(points) == 60 and (np.abs(points) < ax.get_ylim()[1]).all() and ax.get_xlim() == ax.get_ylim()
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["adrec", "adrec,\ncolumns shuffled", "noise"]
    assert all(re.search(r"T \d\.\d\d, KL \d+\.\d\d, stay \d+%", ax.get_title()) for ax in axes.flat)
    figure = axes[0, 0].figure
    figure.canvas.draw()
    texts = " ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))
    assert "size, density and gaps mean nothing" in texts and "60 items drawn" in texts and "seeds 0, 1" in texts


def test_controls_keep_columns_and_destroy_rows():
    rows = maps._with_controls({"adrec": CLUSTERS}, 0)
    shuffled = rows["adrec, columns shuffled"]
    assert np.array_equal(np.sort(shuffled, axis=0), np.sort(CLUSTERS, axis=0)) and not np.array_equal(shuffled, CLUSTERS)
    assert covariance_eigenvalues(shuffled)[0] < covariance_eigenvalues(CLUSTERS)[0] / 2 and rows["noise"].shape == CLUSTERS.shape


@pytest.mark.parametrize("options, message", [(dict(perplexities=(300,)), "perplexity 300"), (dict(iterations=10), "300 iterations")])
def test_bad_tsne(options, message):
    with pytest.raises(InputError, match=message): plot_tsne({"a": NOISE}, **options)
    with pytest.raises(InputError, match="300 and 50 items"): plot_tsne({"a": NOISE, "b": NOISE[:50]})


# ---- films

def film_points(monkeypatch, *tables):
    "Where the items of a film are, if these are its recorded tables."
    rec = recording(steps=range(len(tables)))
    rec.vectors, rec.boundaries, seen = np.stack(tables), [(0, "adrec", "fine-tune")], []
    def stop(points, *rest):
        seen.append(points)
        raise StopIteration
    monkeypatch.setattr(maps, "_film_figure", stop)
    with pytest.raises(StopIteration): epoch_slider(rec)
    return seen[0]


def test_the_camera_of_the_film_stands_still(monkeypatch):
    points = film_points(monkeypatch, CLUSTERS, 3 * CLUSTERS, NOISE, CLUSTERS)
    assert np.allclose(points[0], points[1]) and np.allclose(points[0], points[3]), "scale is forgotten, the basis is that of the last"
    assert np.allclose(points[3], camera(CLUSTERS)(CLUSTERS)), "the film and `plot_pca` have one camera"
    widest = np.linalg.svd(CLUSTERS - CLUSTERS.mean(axis=0))[2][0]
    moved = film_points(monkeypatch, CLUSTERS + 30 * widest, CLUSTERS)
    assert np.allclose(moved[1].mean(axis=0), 0, atol=1e-9) and np.hypot(*moved[0].mean(axis=0)) > 0.1, "the last step is the centre of all"


def test_frames_are_spread_over_the_steps():
    rec = recording()
    assert choose_frames(rec, 3) == [(0, 0, "stage1 pre-train"), (10, 3, "stage1 pre-train"), (20, 5, "adrec fine-tune")]
    assert [step for step, *_ in choose_frames(rec, 30)] == [0, 5, 10, 15, 20], "step 10 was recorded twice and counts once"


def test_films_of_one_dimension_and_of_few_items(monkeypatch):
    line = film_points(monkeypatch, NOISE[:, :1], NOISE[:, :1])
    assert line.shape == (2, 300, 2) and (line[..., 1] == 0).all()
    assert film_points(monkeypatch, NOISE[:3], NOISE[:3]).shape == (2, 3, 2)


def test_rows_are_sampled_alike():
    assert sample_rows(5, 9).tolist() == [0, 1, 2, 3, 4] and sample_rows(5, 2, popularity=[1, 9, 3, 9, 0]).tolist() == [1, 3]
    some = sample_rows(1000, 100, seed=3)
    assert len(set(some)) == 100 and (np.diff(some) > 0).all() and np.array_equal(some, sample_rows(1000, 100, seed=3))


def test_the_film_plays_alone():
    figures = plt.get_fignums()
    film = epoch_slider(recording(), max_frames=2, dpi=40)
    assert plt.get_fignums() == figures and film._repr_html_() == str(film) and len(repr(film)) < 60
    assert film.count("data:image/png;base64") == 2 and "http" not in re.sub(r"base64,[^\"]*", "", film), "no network"
    assert 'class="fa' not in film and "max-width:100%" in film
    assert film == epoch_slider(recording(), max_frames=2, dpi=40), "the same film twice is the same text"


def test_bad_films():
    with pytest.raises(InputError, match=r"CollapseRecorder\(sample"): epoch_slider(recording(vectors=False))
    with pytest.raises(InputError, match="2 to 30 frames, got 31"): epoch_slider(recording(), max_frames=31)
    with pytest.raises(InputError, match="300 items need as many labels"): epoch_slider(recording(), [1, 2])


# ---- neighbours

TITLES = [f"film {i}" for i in range(300)]

def test_anchors_run_from_head_to_tail():
    popularity = np.arange(300)
    assert anchor_items(popularity).tolist() == [299, 224, 149, 75, 0] or anchor_items(popularity)[[0, -1]].tolist() == [299, 0]
    assert anchor_items([1, 1, 1], 3).tolist() == [0, 1, 2], "ties keep the order of rows"
    with pytest.raises(InputError, match="1 to 3 items, got 4"): anchor_items([1, 2, 3], 4)


def test_neighbours_agree_with_brute_force():
    table = neighbour_table(TABLES, TITLES, [0, 7], k=4)
    unit = CLUSTERS / np.linalg.norm(CLUSTERS, axis=1, keepdims=True)
    cosine = unit @ unit[7]
    best = [i for i in np.argsort(-cosine) if i != 7][:4]
    rows = table.loc["film 7"]
    assert rows["adrec", "neighbour"].tolist() == [TITLES[i] for i in best]
    assert np.allclose(rows["adrec", "cosine"], cosine[best], atol=0.006)
    assert table.shape == (8, 5) and "film 7" not in rows.to_numpy().ravel()
    assert neighbour_table(TABLES, TITLES, [0, 7], k=4).equals(table), "the random column is the same each time"


def test_titles_are_text():
    html = neighbour_table({"a": NOISE}, ["<script>alert(1)</script>"] * 300, [0], popularity=np.full(300, 1200))._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html and "(1,200×)" in html


@pytest.mark.parametrize("call, message", [
    (lambda: neighbour_table({"a": NOISE}, TITLES[:9], [0]), "'a' has 300 items, but there are 9 titles"),
    (lambda: neighbour_table({"a": NOISE}, TITLES, [300]), "rows from 0 to 299"), (lambda: neighbour_table({"a": NOISE}, TITLES, []), "rows from 0"),
    (lambda: neighbour_table({"a": NOISE}, TITLES, [0], k=300), "1 to 299"),
    (lambda: neighbour_table({"pad": np.vstack([np.zeros(16), NOISE[1:]])}, TITLES, [0]), "'pad'.*row 0")])
def test_bad_neighbours(call, message):
    with pytest.raises(InputError, match=message): call()


# ---- collapse map

def test_map_takes_points_paths_and_stages():
    ax = plot_collapse_map({"adrec": {"start": diagnosis(NOISE, 1.0), "end": diagnosis(CLUSTERS, 2.9)}, "sasrec": (0.5, 2.0),
                            "dreamrec": [(0.9, 1.0), (0.9, 1.0)]})
    assert {"adrec: start → end", "sasrec", "dreamrec", "chance", "random numbers of this shape"} == set(legend(ax))
    arrows = [t for t in ax.texts if getattr(t, "arrow_patch", None)]
    assert len(arrows) == 1, "no arrow where nothing moved"
    assert [t.get_text() for t in ax.texts if t.get_text()] == ["low rank", "noise", "healthy: neighbours mean something"]
    point = lines(ax)["adrec: start → end"]
    assert point.get_ydata()[0] == 2.9 and ax.get_yscale() == "log" and "N = 300, d = 16" in ax.get_title()


def test_map_states_the_shape_and_null_of_bare_pairs():
    ax = plot_collapse_map({"adrec": (0.5, 3.0)}, shape=(300, 16))
    assert "N = 300, d = 16" in ax.get_title()
    assert np.isclose(lines(ax)["random numbers of this shape"].get_xdata()[0], participation_ratio_null(300, 16) / 16)


@pytest.mark.parametrize("systems, message", [({}, "nothing to map"), ({"a": []}, "no points"), ({"a": (0.5, np.nan)}, "'a'.*labels"),
                                              ([1], "nothing to map")])
def test_bad_maps(systems, message):
    with pytest.raises(InputError, match=message): plot_collapse_map(systems)


def test_a_diagnosis_without_labels_cannot_be_mapped():
    untested = diagnosis(NOISE, 1.0)
    del untested.values["neighbour_lift"]
    with pytest.raises(InputError, match="needs labels"): plot_collapse_map({"a": untested})


def test_no_lift_stays_on_the_map():
    ax = plot_collapse_map({"a": (0.5, 0.0)})
    assert lines(ax)["a"].get_ydata()[0] == ax.get_ylim()[0]
