"Shared by all tests: one thread each, since several run at once, and the scripts of tools/ importable."
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; the kernels of notebooks inherit it
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))


@pytest.fixture(scope="session")
def root() -> Path:
    "The repository."
    return ROOT


@pytest.fixture(scope="session")
def data():
    "80 users and 30 items in three clusters: enough for a training of seconds."
    from adrec.data import synthetic_data
    return synthetic_data(users=80, items=30, clusters=3, dim=4, mean_length=8, seed=3)[0]


@pytest.fixture(scope="session")
def uneven():
    "A table that is nothing special: an offset, falling variances, correlated columns."
    from small_examples import rng
    return rng(1).normal(size=(500, 20)) * np.arange(1, 21) ** -0.7 @ rng(2).normal(size=(20, 20)) + 0.3


@pytest.fixture(scope="module")
def browser():
    "Chromium without a window; the system's own, since Playwright's would have to be downloaded."
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not binary: pytest.skip("no chromium")
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield b
        b.close()


def new_tab(browser):
    "A tab with no network, in which nothing fades, and which notes what it asked for and what went wrong."
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, reduced_motion="reduce").new_page()
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("requestfailed", lambda request: page.errors.append(f"{request.url[:80]}: {request.failure}"))
    return page


@pytest.fixture
def tab(browser):
    "A tab of one's own."
    page = new_tab(browser)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def shared_tab(browser):
    "A tab that goes from page to page: what it has read once it need not read again."
    page = new_tab(browser)
    yield page
    page.context.close()
