"A tutorial in JupyterLab, as a reader has it: copied by `adrec notebooks`, opened, and run by the menu's own command."
import json
import os
import re
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest

PAGE = "2_watching_embeddings_collapse.ipynb"


@pytest.fixture(scope="module")
def lab(tmp_path_factory, root):
    "The address of a JupyterLab whose root is a folder with copies of all pages, and that folder."
    folder = tmp_path_factory.mktemp("lab")
    environment = os.environ | {"PYTHONPATH": str(root), "JUPYTER_CONFIG_DIR": str(folder/"config"), "IPYTHONDIR": str(folder/"ipython"),
                                "JUPYTERLAB_SETTINGS_DIR": str(folder/"settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder/"workspaces"),
                                "JUPYTER_RUNTIME_DIR": str(folder/"runtime")}
    subprocess.run([sys.executable, "-m", "adrec", "notebooks", "pages"], cwd=folder, env=environment, check=True, capture_output=True)
    log = folder/"log"
    options = ["--no-browser", "--allow-root", "--port=0", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--LabApp.news_url=",
               "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with log.open("w") as file:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], cwd=folder/"pages", env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        address, end = None, time.monotonic() + 120
        while time.monotonic() < end and server.poll() is None:
            if address := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text()):
                try: urlopen(f"{address[0]}api", timeout=5); break
                except OSError: pass
            time.sleep(0.5)
        assert address, log.read_text()[-2000:]
        yield address[0], folder/"pages"
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_run_all_cells_reaches_the_last_one(browser, lab):
    address, folder = lab
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.goto(f"{address}lab/tree/tutorials/{PAGE}", wait_until="load")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=90_000)
    page.locator(".jp-Notebook .jp-Cell").first.click()
    path, begun = folder/"tutorials"/PAGE, time.monotonic()
    def code(): return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    def run(): [page.get_by_role("menuitem", name=name, exact=True).click() for name in ("Run", "Run All Cells")]
    while not code()[-1]["execution_count"] and time.monotonic() - begun < 300:
        if not any(cell["execution_count"] for cell in code()): run()  # again, if the kernel was not there yet
        page.wait_for_timeout(10_000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1000)
    errors = [out["evalue"] for cell in code() for out in cell["outputs"] if out["output_type"] == "error"]
    assert not errors and all(cell["execution_count"] for cell in code())
    folded = page.locator(".jp-RenderedMarkdown details").first
    folded.scroll_into_view_if_needed()
    folded.locator("summary").click()
    assert folded.evaluate("e => e.open"), "an answer does not unfold"
    assert page.locator(".jp-OutputArea-output img").count() > 0
