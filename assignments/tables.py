"""The anonymous tables of problem set 4. Students get what this writes, and never this code."""
import hashlib
from pathlib import Path

import numpy as np

KINDS = "healthy", "cone", "low rank", "noise"
DRAWS, ITEMS, DIM, GROUPS = 16, 240, 16, 6


def write_tables(folder: Path, term: str):
    "Writes `tables.npz`: 16 draws of four item tables, and the items' groups; a term has its own."
    rng = np.random.default_rng(list(hashlib.sha256(f"tables/{term}".encode()).digest()))
    tables = np.empty((DRAWS, 4, ITEMS, DIM), dtype=np.float16)
    labels = np.empty((DRAWS, ITEMS), dtype=np.int8)
    for draw in range(DRAWS):
        shares = rng.dirichlet(np.full(GROUPS, 12.0))
        labels[draw] = rng.choice(GROUPS, ITEMS, p=shares)
        for place, kind in enumerate(_kinds(rng)):
            tables[draw, place] = _disguised(_table(kind, labels[draw], rng), rng)
    np.savez_compressed(Path(folder) / "tables.npz", tables=tables, labels=labels)


def _kinds(rng) -> list[str]:
    "Four kinds in any order; in half of the draws one of them stands twice and another is missing."
    kinds = list(rng.permutation(KINDS))
    if rng.random() < 0.5:
        kinds[0] = kinds[1]
    return list(rng.permutation(kinds))


def _table(kind, labels, rng):
    "One item table; collapsed ones may keep a trace of the groups."
    noise, centres = rng.normal(size=(ITEMS, DIM)), rng.normal(size=(GROUPS, DIM))
    trace = rng.choice([0.0, 0.4])
    if kind == "healthy":
        return centres[labels] + noise
    collapsed = noise + trace * centres[labels]
    if kind == "cone":
        direction = rng.normal(size=DIM)
        return collapsed + rng.uniform(8, 12) * direction / np.linalg.norm(direction)
    if kind == "low rank":
        collapsed[:, rng.integers(2, 4):] = 0
        return collapsed + 0.03 * rng.normal(size=noise.shape)
    return noise


def _disguised(table, rng):
    "The same cloud, turned and on another scale, so that single numbers tell nothing."
    turn, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    return table @ turn * np.exp(rng.uniform(-2, 1))
