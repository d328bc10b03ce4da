"The wheel stands alone: it installs into a fresh environment, brings the command and the notebooks, and asks for all that it imports."
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

from adrec.handout import copy_notebooks, page_files

@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    "The wheel, built from a copy of the sources."
    root, tree = Path(__file__).resolve().parent.parent, tmp_path_factory.mktemp("wheel")
    for name in ("settings.ini", "setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE"): shutil.copy(root/name, tree)
    for name in ("adrec", "nbs"): shutil.copytree(root/name, tree/name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "-w", "made", ".", cwd=tree)
    (found,) = (tree/"made").glob("*.whl")
    return found


def run(*command, cwd) -> str:
    "Run a command and return what it printed; its output is the message if it fails."
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # which would lead to another adrec
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, env=plain)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata(wheel) -> str:
    "The wheel's METADATA file."
    with ZipFile(wheel) as z: return z.read(next(n for n in z.namelist() if n.endswith("METADATA"))).decode()


def plain(name) -> str:
    "A distribution's name in its normal form."
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_asks_for_everything_that_it_imports(root, wheel):
    asked = {plain(re.match(r"[\w.-]+", line)[0]) for line in re.findall(r"^Requires-Dist: ((?!.*extra ==).*)$", metadata(wheel), re.M)}
    owners = packages_distributions()
    for file in sorted((root/"adrec").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {n.split(".")[0] for n in names} - set(sys.stdlib_module_names) - {"adrec"}:
                assert asked & {plain(d) for d in owners.get(top, [top])}, f"{file.name} imports {top}, which settings.ini does not require"


def test_its_facts_are_those_of_settings_ini(root, wheel):
    facts = dict(re.findall(r"^(\w+) = (.*)$", (root/"settings.ini").read_text(), re.M))
    text = metadata(wheel)
    for line in ("Name: adrec", f"Version: {facts['version']}", f"Requires-Python: >={facts['min_python']}", "License: Apache-2.0"):
        assert line in text.replace("License-Expression", "License"), line
    with ZipFile(wheel) as z:
        names = z.namelist()
        assert {n.split("/")[0] for n in names} == {"adrec", f"adrec-{facts['version']}.dist-info"}, "only the package goes into the wheel"
        assert {f"adrec/{f.name}" for f in (root/"adrec").glob("*.py")} <= set(names)
        assert any(n.endswith("LICENSE") for n in names)


def test_it_brings_the_notebooks(root, wheel):
    with ZipFile(wheel) as z:
        there = {info.filename.removeprefix("adrec/notebooks/"): info for info in z.infolist() if info.filename.startswith("adrec/notebooks/")}
        assert set(there) == {path.as_posix() for path in page_files(root/"nbs")}, "setup.py and `page_files` do not agree"
        for name in there:
            if name.endswith(".ipynb"): assert not [cell for cell in json.loads(z.read(there[name]))["cells"] if cell.get("outputs")], name
        size = sum(info.compress_size for info in there.values())
    assert size < 4_000_000, f"the notebooks have {size / 1e6:.1f} MB in the wheel, more than 4"


def test_the_sources_hold_what_a_wheel_is_built_from(root, wheel):
    tree = wheel.parent.parent
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", "sources", cwd=tree)
    (archive,) = (tree/"sources").glob("*.tar.gz")
    with tarfile.open(archive) as tar: names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"settings.ini", "nbs/00_data.ipynb", "nbs/results/ml-100k.npz", "adrec/data.py"} <= names


def test_it_runs_in_a_fresh_environment(wheel, tmp_path):
    """The packages it needs are lent by this environment, since fetching PyTorch again would take minutes: they come last
    on the path, and this environment's editable adrec does not, because .pth files of a lent folder are not read."""
    run(sys.executable, "-m", "venv", tmp_path/"fresh", cwd=tmp_path)
    python, scripts = next((tmp_path/"fresh").glob("*/python")), next((tmp_path/"fresh").glob("*/python")).parent
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site/"lent.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import adrec; print(adrec.__file__)", cwd=tmp_path).strip()
    assert Path(where).resolve().is_relative_to((tmp_path/"fresh").resolve()), f"adrec came from {where}"
    checked = subprocess.run([str(python), "-m", "pip", "check"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert not re.search(r"^adrec ", checked, re.M), checked
    shown = run(scripts/"adrec", "--help", cwd=tmp_path)
    assert all(command in shown for command in ("data", "train", "evaluate", "recommend", "export", "demo", "notebooks"))
    copied = json.loads(run(scripts/"adrec", "notebooks", "class", "--json", cwd=tmp_path))
    here = copy_notebooks(tmp_path/"here")
    assert [Path(path).relative_to("class") for path in copied] == [path.relative_to(tmp_path/"here") for path in here]
    different = [path for path in copied if (tmp_path/path).read_bytes() != (tmp_path/"here"/Path(path).relative_to("class")).read_bytes()]
    assert not different, "the same copies from a wheel as from a checkout"
