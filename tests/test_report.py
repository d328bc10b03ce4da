"The report in a browser: what it tells, what hostile data cannot do, and what cannot become a report."
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from figure_examples import HOSTILE, well_behaved

from adrec.checks import InputError
from adrec.data import synthetic_data
from adrec.recipes import Settings, one_stage, three_stages
from adrec.recorder import CollapseRecorder, load_recording
from adrec.report import _run_names, write_report
from adrec.runs import continue_run, load_run, start_run

def train_small(folder, data, stages, callbacks=()):
    made = start_run(folder, data, stages, Settings(learning_rate=0.005, users_per_update=100, validate_every=1), dict(dim=16, heads=2))
    return continue_run(made.path, data, callbacks, "cpu", progress=False)


@pytest.fixture(scope="module")
def data():
    "Synthetic users whose items have hostile titles and genres."
    made, _ = synthetic_data(users=150)
    titles = HOSTILE + [f"film {i}" for i in range(len(HOSTILE), made.n_items)]
    return replace(made, item_info=made.item_info.assign(title=titles, genres=["<u>A</u>|B", "B", "C"] * (made.n_items // 3)),
                   arguments=dict(source="synthetic"))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    recorder = CollapseRecorder(every=1, sample=data.n_items, path=folder/"spectra.npz")
    adrec = train_small(folder/"adrec-7", data, three_stages(epochs=1, warm_up=1), [recorder])
    recorder.save(adrec.folder/"spectra.npz")
    return [adrec, train_small(folder/"sasrec-7", data, one_stage("sasrec", 1)), train_small(folder/"again-7", data, one_stage("sasrec", 1))]


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
    run = load_run(runs[1].folder.path)
    with torch.no_grad(): next(p for p in run.model.parameters() if p.shape[-1] == 16 and len(p) > data.n_items).fill_(1.0)
    page = write_report([run], tmp_path/"collapsed.html", data=data).read_text()
    assert "This figure cannot be drawn" in page and "low rank" in page and "The map cannot be drawn" in page


def test_names_tell_runs_apart(runs):
    assert _run_names(runs[:2]) == ["ADRec", "SASRec+"]
    assert _run_names(runs) == ["adrec-7", "sasrec-7", "again-7"]


def in_memory(run, **more):
    "A run that was never written to a folder."
    shared = {name: getattr(run, name) for name in ("config", "model", "items", "history", "metrics", "recommend")}
    return SimpleNamespace(folder=None, **shared, **more)


def test_runs_in_memory_have_names(runs):
    assert _run_names([in_memory(runs[0]), in_memory(runs[1])]) == ["ADRec", "SASRec+"]
    assert _run_names([in_memory(runs[1], name="wide"), in_memory(runs[2], name="deep")]) == ["wide", "deep"]
    assert _run_names([in_memory(runs[1]), in_memory(runs[2])]) == ["SASRec+ 1", "SASRec+ 2"]
    assert _run_names([runs[1], in_memory(runs[2])]) == ["sasrec-7", "SASRec+"]


def test_a_run_in_memory_gets_its_report(runs, data, tmp_path):
    recording, asked = load_recording(runs[0].folder/"spectra.npz"), []
    run = in_memory(runs[0], recording=recording, data=lambda: asked.append(1) or data)
    page = write_report([run], tmp_path/"memory.html").read_text()
    assert asked and "in memory" in page and "How the spectrum came about: ADRec" in page
    assert "--model adrec --seed 0 --out adrec" in page and "adrec report adrec -o memory.html" in page
    with pytest.raises(InputError, match="the run ADRec is given twice"): write_report([run, run], tmp_path/"memory.html")


def test_a_report_that_cannot_be_leaves_nothing_behind(runs, data, tmp_path):
    other, _ = synthetic_data(users=150, seed=1)
    noted = runs[1].config["data"]
    stranger = replace(runs[1], config=runs[1].config | {"data": noted | {"name": "others", "fingerprint": other.fingerprint()}})
    target = tmp_path/"out"/"report.html"
    target.parent.mkdir()
    for given, path, message in [([], target, "at least one run"), ([runs[0], runs[0]], target, "adrec-7 is given twice"),
                                 ([runs[0], load_run(str(runs[0].folder.path) + "/.")], target, "is given twice"),
                                 ([runs[0], stranger], target, r"sasrec-7 was trained on other data \(others\)"),
                                 (runs[:1], tmp_path/"nowhere"/"report.html", "nowhere does not exist"),
                                 (runs[:1], tmp_path/"report.pdf", "ends in .html")]:
        with pytest.raises(InputError, match=message): write_report(given, path, data=data)
    with pytest.raises(InputError, match="60 items need as many labels, got 2"): write_report(runs[:1], target, labels=["a", "b"], data=data)
    with pytest.raises(InputError, match="belongs to other data"): write_report(runs[:1], target, data=other)
    (runs[2].folder/"spectra.npz").write_text("no recording")
    with pytest.raises(InputError, match="not a recording"): write_report(runs[2:], target, data=data)
    (runs[2].folder/"spectra.npz").unlink()
    assert not list(target.parent.iterdir())
