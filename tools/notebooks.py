"""Run notebooks and compare their fresh outputs with the stored ones. `make execute` calls it; so do the tests."""
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from math import floor, log10
from pathlib import Path

import nbformat
from kernels import KERNELS
from nbclient import NotebookClient
from nbdev.clean import nbdev_clean

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = {"name": "python", "file_extension": ".py"}  # what exporters need; a kernel adds its version to it
# a sign, digits with or without thousands separators, a fraction, an exponent; not the digits inside a name
NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def notebooks() -> list[Path]:
    "All notebooks of nbs/, in reading order."
    return sorted(p for p in (ROOT/"nbs").rglob("*.ipynb") if not any(part[0] in "._" for part in p.relative_to(ROOT).parts))


def run(
    path:Path,  # the notebook; it runs in its own folder
)->nbformat.NotebookNode:  # the same notebook with fresh outputs
    "Execute every cell but those marked `#| eval: false`, whose outputs stay; the first error of a cell is raised."
    nb = nbformat.read(path, as_version=4)
    skipped = [c for c in nb.cells if c.cell_type == "code" and re.search(r"^#\|\s*eval:\s*false", c.source, re.M)]
    for cell in skipped: cell.metadata["tags"] = [*cell.metadata.get("tags", []), "skip-execution"]
    NotebookClient(nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}, **KERNELS).execute()
    for cell in skipped: cell.metadata["tags"].remove("skip-execution")
    return nb


# ---- comparing

def figures(cell) -> int:
    "How many pictures a cell shows."
    return sum(any(mime.startswith("image/") for mime in out.get("data", {})) for out in cell.get("outputs", []))


def text(cell) -> str:
    "What a cell prints and returns, as text; a figure's own description is left out."
    parts = []
    for out in cell.get("outputs", []):
        if out.output_type == "stream": parts.append(out.text)
        elif out.output_type == "error": parts.append(f"{out.ename}: {out.evalue}")
        elif not any(mime.startswith("image/") for mime in out.data):
            parts += [re.sub(r"<style.*?</style>|<[^>]*>", "", out.data[mime], flags=re.S) for mime in sorted(out.data) if mime.startswith("text/")]
    return re.sub(r" at 0x[0-9a-fA-F]+", "", "\n".join(parts))


def pieces(s:str) -> list:
    "Split text into numbers and the words between them, spaces left out."
    found, end = [], 0
    for m in NUMBER.finditer(s):
        found += [re.sub(r"\s+", "", s[end:m.start()]), m[0]]
        end = m.end()
    return [*found, re.sub(r"\s+", "", s[end:])]


def same_number(a:str, b:str) -> bool:
    "Whole numbers agree exactly, others to 3 significant digits; below a millionth all are zero."
    if a == b: return True
    x, y = (float(n.replace(",", "").replace("−", "-")) for n in (a, b))
    if max(abs(x), abs(y)) < 1e-6: return True
    if all(re.fullmatch(r"[-+−]?[\d,]+", n) for n in (a, b)): return x == y
    unit = 10.0 ** (floor(log10(max(abs(x), abs(y)))) - 2)  # of the third significant digit
    return abs(x - y) <= 0.5 * unit * (1 + 1e-9)


def same_text(stored:str, fresh:str) -> bool:
    "Do two outputs agree, numbers to 3 significant digits and white space aside?"
    a, b = pieces(stored), pieces(fresh)
    return len(a) == len(b) and all(x == y if k % 2 == 0 else same_number(x, y) for k, (x, y) in enumerate(zip(a, b)))


def differences(
    stored,  # a notebook as it is in the repository
    fresh,   # the same after `run`
)->list[str]:  # one description per cell that differs
    "Compare the outputs of two runs. Cells tagged `volatile` need only show as many figures as before."
    found = []
    for k, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True)):
        if old.cell_type != "code": continue
        first = next((line for line in old.source.splitlines() if line.strip() and not line.startswith("#|")), "")
        where = f"cell {k} ({first.strip()[:60]})"
        if figures(old) != figures(new):
            found.append(f"{where}: {figures(old)} figures stored, {figures(new)} fresh")
        if "volatile" not in old.metadata.get("tags", []) and not same_text(text(old), text(new)):
            found.append(f"{where}:\n--- stored ---\n{text(old) or '(nothing)'}\n--- fresh ---\n{text(new) or '(nothing)'}")
    return found


# ---- what stored outputs must not hold

FORBIDDEN = {
    r"(?<![\w.:/~])/(?:home|root|tmp|work|Users|var|usr|opt|private)/\w|\b[A-Z]:\\\w": "a path of somebody's computer",
    r"\d%\|| it/s|\dit/s|s/it\b|█|\r": "a progress bar",
    r"Warning:": "a warning of Python",
}


def unfit_outputs(nb, max_image:int=100_000) -> list[str]:
    "What the stored outputs of a notebook should not hold: errors, warnings, progress bars, local paths, heavy images."
    found = []
    for k, cell in enumerate(nb.cells):
        for out in cell.get("outputs", []):
            data = out.get("data", {})
            if out.output_type == "error": found.append(f"cell {k}: the stored output is an error: {out.ename}: {out.evalue}")
            if any("widget" in mime for mime in data): found.append(f"cell {k}: a widget, which shows nothing on a page")
            if out.get("name") == "stderr": found.append(f"cell {k}: text on stderr: {out.text[:80]!r}")
            for mime, value in data.items():
                if mime.startswith("image/") and len(value) * 3 / 4 > max_image:
                    found.append(f"cell {k}: a picture of {len(value) * 3 / 4000:.0f} KB, more than {max_image // 1000}")
        for pattern, what in FORBIDDEN.items():
            if m := re.search(pattern, text(cell)): found.append(f"cell {k}: {what}: {text(cell)[max(0, m.start() - 30):m.end() + 30]!r}")
    return found


def run_in_place(path:Path) -> str:
    "Run a notebook, write its outputs and the day into it, cleaned as nbdev cleans, and say how long it took."
    start = time.time()
    nb = run(path)
    nb.metadata |= {"language_info": LANGUAGE, "computed": date.today().isoformat()}
    nbformat.write(nb, path)
    nbdev_clean.__wrapped__(fname=str(path))
    return f"{path.relative_to(ROOT)}  {time.time() - start:.0f} s"


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    wanted = [Path(p).resolve() for p in sys.argv[1:]] or notebooks()
    with ProcessPoolExecutor(2) as pool:
        for done in pool.map(run_in_place, wanted): print(done, flush=True)
