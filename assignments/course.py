"""What the problem sets share: numbers of your own, and a check that an answer was written by you.

This file belongs to the hand-out. It is put back before grading, so there is no use in changing it.
"""
import functools
import hashlib
import os
import re
import sys
import types
import unicodedata

import numpy as np

TERM = "2026"  # every term has other numbers


def seed_of(student: str, question: str) -> int:
    "A seed that belongs to one student, one question and one term; capitals and spaces are alike."
    name = " ".join(unicodedata.normalize("NFKC", student).casefold().split())
    digest = hashlib.sha256(f"{TERM}/{question}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def rng_of(student: str, question: str) -> np.random.Generator:
    "The random numbers of one student in one question."
    return np.random.default_rng(seed_of(student, question))


def look(picture):
    "Draws a picture at once, or says in a line why it cannot yet; what was begun is thrown away."
    try:
        picture()
    except Exception as error:
        if pyplot := sys.modules.get("matplotlib.pyplot"):
            pyplot.close("all")
        missing = isinstance(error, NotImplementedError)
        why = "an answer is missing" if missing else f"{type(error).__name__}: {error}"
        print("Nothing to see yet:", why)


def written_here(*functions):
    "Raises AssertionError where a function comes from `adrec`, or reaches for what comes from there."
    seen, waiting = set(), [(function, "") for function in functions]
    while waiting:
        value, path = waiting.pop()
        name = getattr(value, "__name__", None) or type(value).__name__
        path = f"{path} → {name}" if path else name
        assert not _from_adrec(value), f"{path} comes from adrec: write it yourself"
        if id(value) in seen:
            continue
        seen.add(id(value))
        waiting += [(part, path) for part in _parts(value)]
        if code := _code_of_yours(value):
            for word in _words(code):
                assert word.split(".")[0] != "adrec", f"{path} imports adrec: write it yourself"
                if word in value.__globals__:
                    waiting.append((value.__globals__[word], path))


def _from_adrec(value) -> bool:
    "Whether something was made in adrec: a module, a function (also a copy of one), a class, an object."
    home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
    if str(home).split(".")[0] == "adrec":
        return True
    file, package = getattr(getattr(value, "__code__", None), "co_filename", ""), sys.modules.get("adrec")
    folder = os.path.dirname(getattr(package, "__file__", None) or "")
    return bool(folder) and file.startswith(folder + os.sep)


def _parts(value) -> list:
    "What a function, a class or a container holds and may call."
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, dict):
        return list(value.values()) if len(value) < 100 else []
    if isinstance(value, (list, tuple, set)):
        return list(value) if len(value) < 100 else []
    if isinstance(value, type):
        inside = vars(value).values() if value.__module__ == "__main__" else ()
        return [*value.__mro__[1:], *inside]
    if isinstance(value, np.vectorize):
        return [value.pyfunc]
    wrapped = [getattr(value, name) for name in ("__wrapped__", "__func__") if hasattr(value, name)]
    if not isinstance(value, types.FunctionType):
        return wrapped + ([type(value)] if type(value).__module__ == "__main__" else [])
    cells = [cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()]
    return [*wrapped, *cells, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]


def _code_of_yours(value) -> types.CodeType | None:
    "The code of a function that was written in the notebook."
    return value.__code__ if isinstance(value, types.FunctionType) and value.__module__ == "__main__" else None


def _words(code):
    "The names that code uses, and those that it could import by a string, also in functions inside."
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _words(constant)
        elif isinstance(constant, str) and re.fullmatch(r"adrec(\.\w+)*", constant):
            yield constant
