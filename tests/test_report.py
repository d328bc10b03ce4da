"The item map and the report in a browser: what is chosen, what is shown, and what hostile data cannot do."
import os, subprocess, sys
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest

from adrec.recorder import CollapseRecorder, Recording
from adrec.checks import InputError
from adrec.data import synthetic_data
from adrec.explorer import _numbered, explorer
from adrec.maps import camera
from adrec.report import _run_names, write_report
from adrec.runs import continue_run, load_run, start_run
from adrec.training import Settings, one_stage, three_stages

N, D = 60, 8
HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "$$x^2$$", "\"double\" & 'single'",
           "<!-- <script>", "__proto__", "{{ 7 * 7 }}", "<b>bold</b>"]


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    return {"adrec": rng.normal(size=(N, D)), "sasrec": rng.normal(size=(N, D)) + 1}


@pytest.fixture(scope="module")
def film(tables):
    "A training of `sasrec` in five records, from noise to its table; only every other item is recorded."
    end, items, rng = tables["sasrec"], np.arange(1, N + 1, 2), np.random.default_rng(1)
    vectors = np.stack([share * end + (1 - share) * rng.normal(size=(N, D)) for share in np.linspace(0, 1, 5)])
    values = np.stack([np.linalg.eigvalsh(np.cov(v.T))[::-1] for v in vectors])
    return Recording(np.arange(5) * 10, values, {}, [(0, "sasrec", "train"), (4, "sasrec", "end")], N, D,
                     vectors[:, items - 1], items)


@pytest.fixture(scope="module")
def page(tables, film, tmp_path_factory):
    "The map of both systems, with hostile titles among the others."
    titles = HOSTILE + [f"film {i}" for i in range(len(HOSTILE), N)]
    genres = ["Action|Comedy", "<i>Drama</i>", None] * (N // 3)
    made = explorer(tables, titles, genres, np.arange(N)[::-1], {"sasrec": film})
    return made.save(tmp_path_factory.mktemp("map")/"map.html")


def visit(tab, path):
    "Open a map and wait until it is drawn."
    tab.dialogs = []
    tab.on("dialog", lambda dialog: (tab.dialogs.append(dialog.message), dialog.dismiss()))
    tab.goto(path.as_uri(), wait_until="load")
    tab.wait_for_function("document.querySelectorAll('#near tr').length > 0")


def well_behaved(tab):
    "No script of the data ran, nothing was asked of the network, nothing broke."
    assert not tab.dialogs and not tab.errors
    assert not [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data", "blob", "about")]


def shown(tab):
    "What the table says: titles and cosines."
    return tab.locator("#near button").all_inner_texts(), [float(x) for x in tab.locator("#near td:last-child").all_inner_texts()]


def at(tab, i):
    "Where item `i` is drawn, in pixels of the window."
    return tab.evaluate("""i => {
        const plot = Bokeh.documents[0].roots()[0].children[1], view = Bokeh.index.find_one(plot);
        const {x, y} = plot.renderers[0].data_source.data, box = view.canvas_view.el.getBoundingClientRect();
        const {x_scale, y_scale} = view.frame;
        return [box.left + x_scale.compute(x[i]), box.top + y_scale.compute(y[i])]; }""", i)


def points(tab):
    return np.array(tab.evaluate("(() => { const d = Bokeh.documents[0].roots()[0].children[1].renderers[0].data_source.data; return [[...d.x], [...d.y]].map(v => v.map(e => Number.isNaN(e) ? null : e)) })()"), dtype=float).T


def nearest(table, i):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosine = unit @ unit[i]
    order = np.argsort(-np.where(np.arange(len(table)) == i, -2, cosine))[:10]
    return order, cosine[order]


def expect(tab, table, i, titles):
    rows, cosine = nearest(table, i)
    names, said = shown(tab)
    assert names == [titles[row] for row in rows]
    np.testing.assert_allclose(said, cosine, atol=0.0051)


TITLES = HOSTILE + [f"film {i}" for i in range(len(HOSTILE), N)]


# ---- the map

def test_a_click_chooses_and_the_switch_keeps(page, tables, tab):
    visit(tab, page)
    assert tab.inner_text("#item") == TITLES[0], "the most popular item is chosen at the start"
    expect(tab, tables["adrec"], 0, TITLES)
    tab.mouse.click(*at(tab, 23))
    tab.wait_for_function("document.getElementById('item').innerText == 'film 23'")
    expect(tab, tables["adrec"], 23, TITLES)
    tab.get_by_label("System").select_option(label="sasrec")
    assert tab.inner_text("#item") == "film 23"
    expect(tab, tables["sasrec"], 23, TITLES)
    tab.get_by_label("System").select_option(label="noise")
    assert tab.inner_text("#item") == "film 23" and "noise" in tab.inner_text("#title")
    expect(tab, np.random.default_rng(0).standard_normal((N, D)), 23, TITLES)
    well_behaved(tab)


def test_keyboard_alone_is_enough(page, tables, tab):
    visit(tab, page)
    tab.get_by_label("Search a title").press_sequentially("FILM 41")
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.getElementById('item').innerText == 'film 41'")
    expect(tab, tables["adrec"], 41, TITLES)
    neighbour = shown(tab)[0][0]
    tab.locator("#near button").first.press("Enter")
    assert tab.inner_text("#item") == neighbour
    well_behaved(tab)


def test_the_slider_moves_what_was_recorded(page, tables, film, tab):
    visit(tab, page)
    assert "no item vectors were recorded" in tab.inner_text("#when"), "a system without a film says so"
    tab.get_by_label("System").select_option(label="sasrec")
    view, end = camera(tables["sasrec"]), points(tab)
    np.testing.assert_allclose(end, view(tables["sasrec"]), atol=1e-4)
    handle = tab.locator(".noUi-handle")
    for _ in range(5): handle.press("ArrowLeft")
    tab.wait_for_function("document.getElementById('when').innerText.includes('update 0 of 40')")
    first = points(tab)
    np.testing.assert_allclose(first[film.sample_items - 1], view(film.vectors[0]), atol=1e-4)
    assert np.isnan(first[1::2]).all(), "items without a past are not drawn"
    ranges = tab.evaluate("(() => { const p = Bokeh.documents[0].roots()[0].children[1]; return [p.x_range.end, p.y_range.end] })()")
    assert ranges[0] == ranges[1] > np.nanmax(np.abs(first))
    well_behaved(tab)


def test_hostile_titles_stay_text(page, tab):
    visit(tab, page)
    for i, title in enumerate(HOSTILE):
        tab.evaluate("i => { Bokeh.documents[0].roots()[0].children[1].renderers[0].data_source.selected.indices = [i] }", i)
        assert tab.inner_text("#item") == title
        tab.mouse.move(*at(tab, i))
        tab.locator(".bk-Tooltip").get_by_text(title, exact=True).first.wait_for(timeout=3000)
    tab.get_by_label("Search a title").press_sequentially("<script>alert")
    tab.get_by_text(HOSTILE[0], exact=True).last.wait_for(timeout=3000)
    assert tab.locator("img").count() == 0 and tab.locator("i, b").count() == 0
    well_behaved(tab)


def test_a_tap_chooses_on_a_phone(page, tables, browser):
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = context.new_page()
    tab.errors, tab.asked = [], []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    visit(tab, page)
    tab.touchscreen.tap(*at(tab, 30))
    tab.wait_for_function("document.getElementById('item').innerText == 'film 30'")
    expect(tab, tables["adrec"], 30, TITLES)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    well_behaved(tab)
    context.close()


def test_the_map_shows_itself_in_a_frame(tables, tmp_path, tab):
    frame = explorer(tables, TITLES)._repr_html_()
    (tmp_path/"notebook.html").write_text(f"<!doctype html><p>before</p>{frame}")
    tab.goto((tmp_path/"notebook.html").as_uri())
    inside = tab.frame_locator("iframe")
    inside.locator("#near button").first.wait_for()
    tab.wait_for_timeout(300)
    wanted = inside.locator("html").evaluate("e => e.offsetHeight")
    assert abs(tab.locator("iframe").bounding_box()["height"] - wanted) < 10, "the frame is as high as its page"


def test_equal_input_gives_equal_bytes_in_another_process(tmp_path):
    code = "import numpy as np; from adrec.report import explorer; t = np.random.default_rng(0).normal(size=(30, 4)); import hashlib; print(hashlib.sha256(explorer({'a': t, 'b': -t}, list('abcdefghijklmnopqrstuvwxyzABCD'), ['X|Y'] * 30).page.encode()).hexdigest())"
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(found) == 1


def test_data_that_look_like_ids_are_not_renumbered():
    assert _numbered({"id": "p1007", "attributes": [("title", ["p1007"])]}, {}) == {"id": "p0", "attributes": [["title", ["p1007"]]]}


def test_a_part_keeps_its_past(tables, film):
    "With fewer items on the map than there are, a film is cut down to them."
    made = explorer(tables, TITLES, None, np.arange(N), {"sasrec": film}, k=5, max_items=10)
    assert "Of 60 items 10 are here" in made.page and "Recorded on the way: 5 of 10 items" in made.page


@pytest.mark.parametrize("change, message", [
    (dict(systems={}), "no tables"),
    (dict(titles=TITLES[:5]), "'adrec' has 60 items, but there are 5 titles"),
    (dict(genres=["x"]), "60 titles need as many genres, got 1"),
    (dict(popularity=[1, 2]), "60 titles need as many popularity, got 2"),
    (dict(k=60), "an item has 1 to 59 neighbours here, got 60"),
    (dict(systems={"adrec": np.full((N, D), np.nan)}), "table 'adrec': NaN"),
])
def test_what_does_not_fit_is_refused(tables, change, message):
    with pytest.raises(InputError, match=message): explorer(**(dict(systems=tables, titles=TITLES) | change))


# ---- the report

def train_small(folder, data, stages, callbacks=()):
    made = start_run(folder, data, stages, Settings(learning_rate=0.005, users_per_update=100, validate_every=1), dict(dim=16, heads=2),
                     data_arguments=dict(source="synthetic"))
    return continue_run(made.path, data, callbacks, "cpu", progress=False)


@pytest.fixture(scope="module")
def data():
    "Synthetic users whose items have hostile titles and genres."
    made, _ = synthetic_data()
    titles = HOSTILE + [f"film {i}" for i in range(len(HOSTILE), made.n_items)]
    return replace(made, item_info=made.item_info.assign(title=titles, genres=["<u>A</u>|B", "B", "C"] * (made.n_items // 3)))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    recorder = CollapseRecorder(every=1, sample=data.n_items, path=folder/"spectra.npz")
    adrec = train_small(folder/"adrec-7", data, three_stages(epochs=3, warm_up=1), [recorder])
    recorder.save(adrec.folder/"spectra.npz")
    return [adrec, train_small(folder/"sasrec-7", data, one_stage("sasrec", 3)), train_small(folder/"again-7", data, one_stage("sasrec", 2))]


@pytest.fixture(scope="module")
def report(runs, data, tmp_path_factory):
    return write_report(runs[:2], tmp_path_factory.mktemp("report")/"report.html", data=data)


def open_report(tab, path):
    tab.dialogs = []
    tab.on("dialog", lambda dialog: (tab.dialogs.append(dialog.message), dialog.dismiss()))
    tab.goto(path.as_uri(), wait_until="load")
    tab.frame_locator("iframe").locator("#near button").first.wait_for()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_is_whole(report, tab, width):
    tab.set_viewport_size({"width": width, "height": 850})
    open_report(tab, report)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    broken = tab.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth > 0) || i.alt.length < 20).length")
    assert not broken and tab.evaluate("document.images.length") == 8
    links = tab.evaluate("[...document.querySelectorAll('nav a')].map(a => !!document.querySelector(a.hash))")
    assert len(links) == 14 and all(links)
    assert "ADRec" in tab.inner_text("h1") and "cannot be drawn" not in tab.inner_text("main")
    well_behaved(tab)


def test_hostile_titles_stay_text_in_the_report(report, tab):
    open_report(tab, report)
    assert tab.evaluate("document.querySelectorAll('main b, main u, main img:not([src^=\"data:image/png\"])').length") == 0
    assert "alert(" not in tab.evaluate("[...document.querySelectorAll('body > script')].map(s => s.textContent).join()")
    well_behaved(tab)


def test_the_report_is_the_same_again(report, runs, data, tmp_path):
    assert write_report(runs[:2], tmp_path/report.name, data=data).read_bytes() == report.read_bytes()


def test_one_run_without_titles_genres_or_film(tmp_path, tab):
    bare, _ = synthetic_data(users=80, items=30)
    bare = replace(bare, item_info=bare.item_info[["item_id"]])
    run = train_small(tmp_path/"plain", bare, one_stage("sasrec", 1))
    path = write_report([run], tmp_path/"plain.html", data=bare)
    open_report(tab, path)
    assert "The collapse map" not in tab.inner_text("body") and "Neighbours not tested: no labels" in tab.inner_text("main")
    assert "How the spectrum came about" not in tab.inner_text("body")
    well_behaved(tab)


def test_a_collapsed_run_still_gets_its_report(runs, data, tmp_path):
    "Figures that cannot be drawn give their reason; the rest of the page is there."
    import torch
    run = load_run(runs[1].folder.path)
    with torch.no_grad(): next(p for p in run.model.parameters() if p.shape[-1] == 16 and len(p) > data.n_items).fill_(1.0)
    page = write_report([run], tmp_path/"collapsed.html", data=data).read_text()
    assert "This figure cannot be drawn" in page and "low rank" in page and "The map cannot be drawn" in page


def test_names_tell_runs_apart(runs):
    assert _run_names(runs[:2]) == ["ADRec", "SASRec+"]
    assert _run_names(runs) == ["adrec-7", "sasrec-7", "again-7"]


def test_a_report_that_cannot_be_leaves_nothing_behind(runs, data, tmp_path):
    other, _ = synthetic_data(seed=1)
    stranger = train_small(tmp_path/"stranger", other, one_stage("sasrec", 1))
    target = tmp_path/"out"/"report.html"
    target.parent.mkdir()
    for given, path, message in [([], target, "at least one run"), ([runs[0], runs[0]], target, "adrec-7 is given twice"),
                                 ([runs[0], load_run(str(runs[0].folder.path) + "/.")], target, "is given twice"),
                                 ([runs[0], stranger], target, "stranger was trained on other data"),
                                 (runs[:1], tmp_path/"nowhere"/"report.html", "nowhere does not exist"),
                                 (runs[:1], tmp_path/"report.pdf", "ends in .html")]:
        with pytest.raises(InputError, match=message): write_report(given, path, data=data)
    with pytest.raises(InputError, match="60 items need as many labels, got 2"): write_report(runs[:1], target, labels=["a", "b"], data=data)
    with pytest.raises(InputError, match="belongs to other data"): write_report(runs[:1], target, data=other)
    (runs[2].folder/"spectra.npz").write_text("no recording")
    with pytest.raises(InputError, match="not a recording"): write_report(runs[2:], target, data=data)
    (runs[2].folder/"spectra.npz").unlink()
    assert not list(target.parent.iterdir())
