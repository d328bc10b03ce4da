"The anonymous tables of problem set 4: small, reproducible, and never in doubt."
import runpy
from pathlib import Path

import numpy as np
import pytest

from adrec.collapse import neighbour_lift
from adrec.spectra import effective_rank, mean_cosine

CODE = Path(__file__).parent.parent / "assignments" / "tables.py"


def kind_of(table, labels):
    "The kind of a table, with a wide margin on either side of every limit."
    rank, cosine = effective_rank(table), mean_cosine(table)
    lift = neighbour_lift(table, labels, shuffles=2).value
    assert cosine < 0.25 or cosine > 0.7
    if cosine > 0.7:
        return "cone"
    assert rank < 6 or rank > 14
    if rank < 6:
        return "low rank"
    assert lift < 1.35 or lift > 3
    return "healthy" if lift > 3 else "noise"


@pytest.mark.parametrize("term", ["2026", "spring"])
def test_every_table_is_of_one_kind(tmp_path, term):
    write_tables = runpy.run_path(str(CODE))["write_tables"]
    write_tables(tmp_path, term)
    file = tmp_path / "tables.npz"
    assert file.stat().st_size < 600_000
    with np.load(file, allow_pickle=False) as held:
        tables, labels = held["tables"], held["labels"]
    kinds = [tuple(kind_of(table.astype(float), own) for table in four)
             for four, own in zip(tables, labels)]
    assert all(len(set(four)) >= 3 for four in kinds)
    assert len(set(kinds)) > 8, "students whose numbers differ would have the same words"


def test_a_term_has_its_own_tables_and_always_the_same(tmp_path):
    write_tables = runpy.run_path(str(CODE))["write_tables"]
    files = []
    for place, term in ("a", "2026"), ("b", "2026"), ("c", "2027"):
        (tmp_path / place).mkdir()
        write_tables(tmp_path / place, term)
        files.append((tmp_path / place / "tables.npz").read_bytes())
    assert files[0] == files[1] != files[2]
