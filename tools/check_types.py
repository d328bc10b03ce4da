"""Check the types of adrec/ with pyright: what `make test` calls.

pyright knows nothing of fastcore's `@patch`, with which the pages grow a class method by method. So it reads a copy
in which these methods stand inside their classes; its findings are reported for the lines of the original.
"""
import ast
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def patch_options(node) -> dict|None:
    "The options of a function's `@patch`; None for a function without it."
    for decorator in getattr(node, "decorator_list", ()):
        call = isinstance(decorator, ast.Call)
        name = decorator.func if call else decorator
        if isinstance(name, ast.Name) and name.id == "patch":
            return {k.arg: ast.literal_eval(k.value) for k in decorator.keywords} if call else {}
    return None


def patched_classes(node) -> list[str]:
    "The classes that a patched function goes to: the names in the annotation of its first argument."
    return [n.id for n in ast.walk(node.args.args[0].annotation) if isinstance(n, ast.Name)]


def as_method(lines:list[str], node, options:dict) -> list[tuple[str, int]]:
    "The lines of a patched function as they would stand in a class, each with its number in the file."
    kind = "@property" if options.get("as_prop") else "@classmethod" if options.get("cls_method") else "# @patch"
    text = {n: lines[n - 1] for n in range(node.lineno, node.end_lineno + 1)}
    first = node.args.args[0]  # its annotation names a class that is not there yet
    row = text[first.lineno]
    text[first.lineno] = row.encode()[:first.col_offset + len(first.arg)].decode() + row.encode()[first.annotation.end_col_offset:].decode()
    return [(f"    {kind}", node.lineno), *((f"    {line}", n) for n, line in text.items())]


def folded(source:str) -> tuple[str, list[int]]:
    "A module with its patched functions inside their classes, and the original number of every line."
    lines, tree = source.splitlines(), ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    methods, moved = {}, set()
    for node in tree.body:
        options = patch_options(node)
        if options is None or not set(patched_classes(node)) <= set(classes): continue
        for name in patched_classes(node): methods.setdefault(classes[name].end_lineno, []).extend(as_method(lines, node, options))
        moved |= set(range(node.decorator_list[0].lineno, node.end_lineno + 1))
    out = []
    for n, line in enumerate(lines, start=1):
        if n not in moved: out.append((line, n))
        out += methods.get(n, [])
    text = "\n".join(line for line, _ in out) + "\n"
    return "from __future__ import annotations; " + text, [n for _, n in out]  # a class may be named before its end


def check(package:Path) -> list[str]:
    "What pyright finds in a package, one line per finding."
    with tempfile.TemporaryDirectory() as tmp:
        tree, origin = Path(tmp).resolve(), {}
        shutil.copy(ROOT/"pyproject.toml", tree)
        (tree/package.name).mkdir()
        for file in sorted(package.glob("*.py")):
            if file.name == "_modidx.py": continue
            text, origin[file.name] = folded(file.read_text(encoding="utf-8"))
            (tree/package.name/file.name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pyright", "--project", str(tree), "--pythonpath", sys.executable, "--outputjson"]
        done = subprocess.run(command, capture_output=True, text=True)
    try: report = json.loads(done.stdout)
    except json.JSONDecodeError: sys.exit(f"pyright did not run: {done.stdout}{done.stderr}")
    assert report["summary"]["filesAnalyzed"] == len(origin), "pyright did not see every module"
    found = []
    for one in report["generalDiagnostics"]:
        if one["severity"] != "error": continue
        name = Path(one["file"]).name
        line = origin[name][one["range"]["start"]["line"]]
        found.append(f"{package.name}/{name}:{line}: {' '.join(one['message'].split())[:200]} ({one.get('rule', 'syntax')})")
    return found


if __name__ == "__main__":
    found = check(ROOT/"adrec")
    print("\n".join(found) or "no errors")
    sys.exit(bool(found))
