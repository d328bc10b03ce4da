"The item map in a browser: what is chosen, what is shown, and what hostile data cannot do."
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from figure_examples import HOSTILE, well_behaved

from adrec.checks import InputError
from adrec.explorer import _numbered, explorer
from adrec.maps import camera
from adrec.recorder import Recording

N, D = 60, 8
TITLES = HOSTILE + [f"film {i}" for i in range(len(HOSTILE), N)]


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    return {"adrec": rng.normal(size=(N, D)), "sasrec": rng.normal(size=(N, D)) + 1}


@pytest.fixture(scope="module")
def recording(tables):
    "A training of `sasrec` in five records, from noise to its table; only every other item is recorded."
    end, items, rng = tables["sasrec"], np.arange(1, N + 1, 2), np.random.default_rng(1)
    vectors = np.stack([share * end + (1 - share) * rng.normal(size=(N, D)) for share in np.linspace(0, 1, 5)])
    values = np.stack([np.linalg.eigvalsh(np.cov(v.T))[::-1] for v in vectors])
    return Recording(np.arange(5) * 10, values, {}, [(0, "sasrec", "train"), (4, "sasrec", "end")], N, D,
                     vectors[:, items - 1], items)


@pytest.fixture(scope="module")
def page(tables, recording, tmp_path_factory):
    "The map of both systems, with hostile titles among the others."
    genres = ["Action|Comedy", "<i>Drama</i>", None] * (N // 3)
    made = explorer(tables, TITLES, genres, np.arange(N)[::-1], {"sasrec": recording})
    return made.save(tmp_path_factory.mktemp("map")/"map.html")


def visit(tab, path):
    "Open a map and wait until it is drawn."
    tab.dialogs = []
    tab.on("dialog", lambda dialog: (tab.dialogs.append(dialog.message), dialog.dismiss()))
    tab.goto(path.as_uri(), wait_until="load")
    tab.wait_for_function("document.querySelectorAll('#near tr').length > 0")


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


def test_the_slider_moves_what_was_recorded(page, tables, recording, tab):
    visit(tab, page)
    assert "no item vectors were recorded" in tab.inner_text("#when"), "a system without a recording says so"
    tab.get_by_label("System").select_option(label="sasrec")
    view, end = camera(tables["sasrec"]), points(tab)
    np.testing.assert_allclose(end, view(tables["sasrec"]), atol=1e-4)
    handle = tab.locator(".noUi-handle")
    for _ in range(5): handle.press("ArrowLeft")
    tab.wait_for_function("document.getElementById('when').innerText.includes('update 0 of 40')")
    first = points(tab)
    np.testing.assert_allclose(first[recording.sample_items - 1], view(recording.vectors[0]), atol=1e-4)
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


def test_equal_input_gives_equal_bytes_in_another_process():
    code = ("import hashlib, numpy as np; from adrec.explorer import explorer; t = np.random.default_rng(0).normal(size=(30, 4)); "
            "page = explorer({'a': t, 'b': -t}, [f'item {i}' for i in range(30)], ['X|Y'] * 30).page; "
            "found = hashlib.sha256(page.encode()).hexdigest()")
    here = {}
    exec(code, here)
    there = subprocess.run([sys.executable, "-c", code + "; print(found)"], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}).stdout
    assert there.strip() == here["found"]


def test_data_that_look_like_ids_are_not_renumbered():
    assert _numbered({"id": "p1007", "attributes": [("title", ["p1007"])]}, {}) == {"id": "p0", "attributes": [["title", ["p1007"]]]}


def test_a_part_keeps_its_past(tables, recording):
    "With fewer items on the map than there are, a recording is cut down to them."
    made = explorer(tables, TITLES, None, np.arange(N), {"sasrec": recording}, k=5, max_items=10)
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


def test_a_recording_of_one_step_names_its_table(tables, recording):
    short = replace(recording, steps=recording.steps[:1], eigenvalues=recording.eigenvalues[:1], vectors=recording.vectors[:1], boundaries=[])
    with pytest.raises(InputError, match="table 'sasrec': 1 recorded steps"): explorer(tables, TITLES, recordings={"sasrec": short})
