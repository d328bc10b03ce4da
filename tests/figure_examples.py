"What the tests of figures and pages share: tables, a recording, a diagnosis, hostile titles, and a look at what is shown."
from types import SimpleNamespace
from urllib.parse import urlsplit

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

from adrec.spectra import covariance_eigenvalues, participation_ratio_null

rng = np.random.default_rng(0)
NOISE = rng.normal(size=(300, 16))
LABELS = np.arange(300) % 3
CLUSTERS = 3 * rng.normal(size=(3, 16))[LABELS] + rng.normal(size=(300, 16))
PLANE = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 16))
TABLES = {"noise": NOISE, "adrec": CLUSTERS}
HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "$$x^2$$", "\"double\" & 'single'",
           "<!-- <script>", "__proto__", "{{ 7 * 7 }}", "<b>bold</b>"]


def recording(steps=(0, 5, 10, 10, 15, 20), vectors=True, grow=1.0):
    "A cloud that starts as noise and turns into clusters, in two systems; step 10 is recorded twice."
    tables = np.stack([NOISE + grow * t / 20 * CLUSTERS for t in steps])
    return SimpleNamespace(steps=np.array(steps), eigenvalues=np.stack([covariance_eigenvalues(x) for x in tables]), scores={},
                           vectors=tables.astype(np.float32) if vectors else None, sample_items=np.arange(1, 301), n_items=300, d=16,
                           boundaries=[(0, "stage1", "pre-train"), (2, "stage1", "end"), (3, "adrec", "fine-tune"),
                                       (len(steps) - 1, "adrec", "end")])


def diagnosis(table, lift, name=""):
    n, d = table.shape
    values = covariance_eigenvalues(table)
    ratio = values.sum() ** 2 / (values ** 2).sum()
    return SimpleNamespace(name=name, n=n, d=d, values={"participation_ratio": (ratio, participation_ratio_null(n, d)),
                                                        "neighbour_lift": (lift, 1.0)})


@pytest.fixture(autouse=True)
def no_trace():
    settings = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == settings, "a plotting function changed rcParams"
    plt.close("all")


def lines(ax): return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}
def legend(ax): return [text.get_text() for text in ax.get_legend().get_texts()]


def well_behaved(tab):
    "No script of the data ran, nothing was asked of the network, nothing broke."
    assert not tab.dialogs and not tab.errors
    assert not [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data", "blob", "about")]
