"Tables and diagnoses of what people hold: data frames, runs, dictionaries, layers, files and their labels."
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adrec import collapse, spectra
from adrec.checks import InputError
from adrec.columns import text_frame
from adrec.tables import Table, diagnose, read_labels, read_tables, table_of

GENRES = ["Drama", "Comedy|War"] * 20
VECTORS = np.random.default_rng(0).normal(size=(40, 6)) + np.array([[1.0], [-1.0]] * 20)
IDS = [f"i{n}" for n in range(40)]
FRAME = pd.DataFrame(VECTORS).add_prefix("dim")
EXPECTED = collapse.diagnose(VECTORS, GENRES)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch): monkeypatch.chdir(tmp_path)


class Polars:
    "Has what polars' frames have, and is none of pandas'."
    def __init__(self, frame): self.frame, self.columns = frame, list(frame)
    def to_arrow(self): return pa.Table.from_pandas(self.frame, preserve_index=False)


class Stream:
    def __init__(self, frame): self.table, self.columns = pa.Table.from_pandas(frame), list(frame)
    def __arrow_c_stream__(self, requested_schema=None): return self.table.__arrow_c_stream__(requested_schema)


WAYS = {"pandas": lambda f: f, "polars": Polars, "stream": Stream, "arrow": pa.Table.from_pandas}
NUMBERS = list(range(700, 740))
FRAMES = {
    "text ids": (FRAME.assign(asin=IDS), IDS), "text ids in the index": (FRAME.set_index(pd.Index(IDS)), IDS),
    "a named index": (FRAME.set_index(pd.Index(IDS, name="sku")), IDS), "whole ids": (FRAME.assign(item_id=NUMBERS), list(map(str, NUMBERS))),
    "movieId first": (pd.concat([pd.Series(NUMBERS, name="movieId"), FRAME], axis=1), list(map(str, NUMBERS))),
    "whole ids with a gap": (FRAME.assign(item_id=[None, *NUMBERS[1:]]), ["", *map(str, NUMBERS[1:])]),
    "mixed ids": (FRAME.assign(item_id=[7, *IDS[1:]]), ["7", *IDS[1:]]), "a range with a name": (FRAME.rename_axis("id"), list(map(str, range(40)))),
    "lists": (pd.DataFrame({"id": IDS, "emb": list(VECTORS)}), IDS), "tensors": (pd.DataFrame({"id": IDS, "emb": list(torch.tensor(VECTORS))}), IDS),
    "lists as texts": (pd.DataFrame({"id": IDS, "emb": [str(row.tolist()) for row in VECTORS]}), IDS),
    "numbers as names": (FRAME.set_axis(range(6), axis=1), None), "categories": (FRAME.assign(id=pd.Categorical(IDS)), IDS),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("way", WAYS)
def test_data_frames(name, way):
    frame, ids = FRAMES[name]
    if way != "pandas":
        frame = frame.rename(columns=str)
        if name in ("mixed ids", "tensors"): pytest.skip("only pandas holds such columns")
        if "index" in name or "range" in name: pytest.skip("only pandas has an index")
    kind = WAYS[way]
    table = table_of(kind(frame))
    np.testing.assert_array_equal(table.vectors, VECTORS)
    assert table.ids == ids and table.name == ""
    found = diagnose(kind(frame), GENRES)
    assert found.verdict == EXPECTED.verdict and found.values == EXPECTED.values
    assert "6 dimensions" in found.warnings[0]


def test_what_is_no_dimension_is_left_out_and_said():
    frame = FRAME.assign(movieId=NUMBERS, year=2000, price=1.5, title="x", genres=GENRES, tags=[["a"], ["b", "c"]] * 20, new=True)
    table, found = table_of(frame, "films"), diagnose(frame, name="films")
    assert table.titles == ["x"] * 40 and table.labels == GENRES and table.name == found.name == "films"
    assert found.warnings[0] == "films: ids are in column 'movieId'; 6 dimensions, dim0 to dim5; left out, as no dimensions: year, price"
    assert found.values == EXPECTED.values and found.verdict == EXPECTED.verdict


def test_a_doubt_asks_and_an_answer_settles_it():
    frame = FRAME.assign(movieId=NUMBERS, trackId=range(40))
    with pytest.raises(InputError, match="DataFrame: are the ids in 'movieId' or in 'trackId'. Say it with ids=..."): diagnose(frame)
    assert table_of(frame, ids="trackId").ids[:2] == ["0", "1"]
    assert table_of(FRAME, ids=IDS).ids == IDS, "or the ids themselves"
    two = pd.DataFrame({"id": IDS, "text": list(VECTORS), "image": list(-VECTORS)})
    with pytest.raises(InputError, match="choose one with key=..."): table_of(two)
    np.testing.assert_array_equal(table_of(two, key="image").vectors, -VECTORS)
    with pytest.raises(InputError, match="films: there is no column 'trackid'.*Did you mean 'trackId'"): table_of(frame, "films", ids="trackid")


@pytest.mark.parametrize("frame, wrong", [
    (FRAME.assign(dim2=[np.nan, *VECTORS[1:, 2]]), "DataFrame, row 0, column 'dim2': the cell is empty or NaN"),
    (FRAME.assign(dim2=[np.inf, *VECTORS[1:, 2]]), "DataFrame, row 0, column 'dim2': 'inf' is no finite number"),
    (FRAME.assign(dim2=["x", *VECTORS[1:, 2]]), "DataFrame, row 0, column 'dim2': 'x' is no finite number"),
    (FRAME.set_axis(["dim0"] * 6, axis=1), "DataFrame: two columns are called 'dim0'"),
    (pd.DataFrame({"title": IDS}), "DataFrame has no rows of numbers; its columns are title"), (FRAME[:1], "DataFrame: .*at least 2 items, got 1"),
    (pd.DataFrame({"id": IDS, "emb": [row[:5 + n % 2] for n, row in enumerate(VECTORS)]}), "DataFrame, column 'emb': vectors of 5 to 6 numbers"),
])
def test_bad_frames(frame, wrong):
    with pytest.raises(InputError, match=wrong): diagnose(frame)


def test_a_frame_stays_as_it_is():
    frame = FRAME.assign(genres=GENRES).set_index(pd.Index(IDS, name="item_id"))
    before = frame.copy()
    diagnose(frame, drop_padding=False)
    pd.testing.assert_frame_equal(frame, before)


# ---- files

def test_files_and_their_labels():
    FRAME.assign(item_id=IDS).to_csv("t.csv", index=False)
    pd.DataFrame({"item_id": IDS, "genre": GENRES}).iloc[::-1].to_csv("l.csv", index=False)
    for source in ("t.csv", Path("t.csv"), FRAME.assign(item_id=IDS)):
        found = diagnose(source, "l.csv")
        assert found.verdict == EXPECTED.verdict and found.values["neighbour_lift"] == EXPECTED.values["neighbour_lift"]
    assert diagnose("t.csv").name == "t" and diagnose("t.csv", name="mine").name == "mine"
    pd.DataFrame({"item_id": IDS[:30], "genre": GENRES[:30]}).to_csv("l.csv", index=False)
    assert diagnose("t.csv", Path("l.csv")).warnings[1] == "l.csv: 10 of 40 items have no label"
    np.save("t.npy", np.vstack([np.zeros(6), VECTORS]))
    assert diagnose("t.npy", drop_padding=True).n == 40 and diagnose("t.npy").n == 41
    Path("l.txt").write_text("\n".join(GENRES))
    assert diagnose(VECTORS, "l.txt").values == EXPECTED.values
    with pytest.raises(InputError, match="l.txt: 40 labels for 41 items"): diagnose("t.npy", "l.txt")
    with pytest.raises(InputError, match="there is no such run folder or file"): diagnose("nosuch.npy")


@pytest.mark.parametrize("packed", [".gz", ".zip"])
def test_packed_and_in_utf_16(packed):
    import gzip
    import zipfile
    content = FRAME.assign(item_id=IDS).to_csv(index=False).encode("utf-16")
    for name, plain in (("t.csv", content), ("l.csv", pd.DataFrame({"item_id": IDS, "label": GENRES}).to_csv(index=False).encode())):
        if packed == ".gz": Path(name + packed).write_bytes(gzip.compress(plain))
        else:
            with zipfile.ZipFile(name + packed, "w") as archive: archive.writestr(name, plain)
    table, = read_tables("t.csv" + packed).values()
    np.testing.assert_allclose(table.vectors, VECTORS)
    assert table.ids == IDS and table.name == "t" and read_labels("l.csv" + packed, IDS)[0] == GENRES


def test_words_are_read_letter_by_letter_and_numbers_may_be_missing():
    FRAME.assign(item_id=["NA", "null", "1.50", *IDS[3:]], title=["null", "", *["x"] * 38], rank=["NA", *range(39)]).to_csv("t.csv", index=False)
    table = table_of("t.csv")
    assert table.ids[:3] == ["NA", "null", "1.50"] and table.titles[:2] == ["null", ""]
    assert text_frame(Path("t.csv"))["rank"][2] == "NA"


# ---- runs

MODEL = SimpleNamespace(item_embeddings=lambda: torch.tensor(VECTORS))
ITEMS = pd.DataFrame({"item_id": IDS, "title": "x", "genres": GENRES}, index=pd.RangeIndex(1, 41, name="item"))


def test_a_run_in_memory():
    counts = np.arange(40)
    run = SimpleNamespace(model=MODEL, items=ITEMS, counts=counts, folder=SimpleNamespace(path=Path("runs/mine")))
    table = table_of(run)
    assert table.ids == IDS and table.labels == GENRES and table.titles == ["x"] * 40 and table.name == "mine"
    expected = collapse.diagnose(VECTORS, GENRES, counts, ids=IDS)
    assert diagnose(run).values == expected.values and diagnose(run).warnings == expected.warnings
    bare = SimpleNamespace(model=MODEL, items=ITEMS[["item_id"]], folder=None)
    assert diagnose(bare).name == "" and "neighbour_lift" not in diagnose(bare).values
    assert diagnose(bare, GENRES).values == EXPECTED.values
    with pytest.raises(InputError, match="the run has 39 items, and its model 40 vectors"): table_of(SimpleNamespace(model=MODEL, items=ITEMS[1:]))


def test_a_frame_of_polars():
    polars = pytest.importorskip("polars")
    wide = polars.DataFrame({"item_id": IDS, **{f"dim_{j}": VECTORS[:, j] for j in range(VECTORS.shape[1])}})
    for frame in (wide, polars.DataFrame({"item_id": IDS, "vector": VECTORS.tolist()}), polars.DataFrame({"item_id": IDS, "vector": VECTORS})):
        assert table_of(frame).ids == IDS and np.array_equal(table_of(frame).vectors, VECTORS)
        assert diagnose(frame, polars.Series(GENRES)).values == diagnose(VECTORS, GENRES).values
        with pytest.raises(InputError, match="2 items, got 0"): diagnose(frame.clear())
    with pytest.raises(InputError, match=r"LazyFrame: .*collect\(\)"): diagnose(wide.lazy())


def test_a_run_folder():
    Path("run").mkdir()
    Path("run/config.json").write_text(json.dumps({"data": {"name": "x", "fingerprint": "0", "n_items": 40, "arguments": None}}))
    ITEMS.assign(interactions=range(40)).to_csv("run/items.csv")
    save_file({"item_embedding.weight": torch.tensor(np.vstack([np.zeros(6), VECTORS]))}, "run/model.safetensors")
    expected = collapse.diagnose(VECTORS, GENRES, np.arange(40))
    for source in ("run", Path("run")): assert diagnose(source).values == expected.values
    assert diagnose("run").name == "run" and table_of("run").ids == IDS


# ---- whatever else the diagnosis takes

def test_arrays_layers_and_tables():
    layer = nn.Embedding.from_pretrained(torch.tensor(np.vstack([np.zeros(6), VECTORS])), padding_idx=0)
    for source in (VECTORS, VECTORS.tolist(), torch.tensor(VECTORS), MODEL, Table("", VECTORS)):
        assert diagnose(source, GENRES).values == EXPECTED.values and diagnose(source, GENRES).warnings == EXPECTED.warnings
    for labels in (GENRES, ["padding", *GENRES]):
        found = diagnose(layer, labels)
        assert found.values == EXPECTED.values and "row 0 is padding" in found.warnings[0]
    assert diagnose(np.vstack([np.zeros(6), VECTORS]), GENRES, drop_padding=True).values == EXPECTED.values
    with pytest.raises(InputError, match="key='x' chooses among several tables .* this is a ndarray"): diagnose(VECTORS, key="x")
    with pytest.raises(InputError, match="mine: 2 labels for 40 items"): diagnose(VECTORS, ["a", "b"], name="mine")


def test_a_state_dict_is_a_drawer():
    state = nn.ModuleDict({"item": nn.Embedding.from_pretrained(torch.tensor(VECTORS)), "user": nn.Embedding(9, 6)}).state_dict()
    with pytest.raises(InputError, match="holds 2 tables; choose one with key=.*item.weight .40 x 6., user.weight"): diagnose(state)
    assert diagnose(state, GENRES, key="item.weight").values == EXPECTED.values


@pytest.mark.skipif(not hasattr(spectra, "read_embeddings"), reason="`as_table` takes no dictionaries")
@pytest.mark.parametrize("source", [dict(zip(IDS, VECTORS)), SimpleNamespace(vectors=VECTORS, index_to_key=IDS),
                                    SimpleNamespace(wv=SimpleNamespace(vectors=VECTORS, index_to_key=IDS))], ids=["dict", "vectors", "model"])
def test_dictionaries_and_gensim(source):
    assert table_of(source).ids == IDS and diagnose(source, GENRES).values == EXPECTED.values
    pd.DataFrame({"item_id": IDS, "genre": GENRES}).iloc[::-1].to_csv("l.csv", index=False)
    assert diagnose(source, "l.csv").values == EXPECTED.values, "labels in another order are matched by id"


def test_reading_tables_does_not_load_pytorch():
    below = "import adrec.formats, adrec.collapse, sys; sys.exit('torch' in sys.modules)"
    if subprocess.run([sys.executable, "-c", below]).returncode: pytest.skip("what they import loads it")
    FRAME.assign(item_id=IDS).to_csv("t.csv", index=False)
    save_file({"a": torch.tensor(VECTORS).bfloat16()}, "t.safetensors")
    program = "import adrec.tables as t, sys; t.diagnose('t.csv'); t.diagnose('t.safetensors'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
