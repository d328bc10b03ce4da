"Anyone's item tables: every format there and back, what is refused and why, and labels."
import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from adrec.checks import InputError
from adrec.collapse import diagnose
from adrec.data import synthetic_data
from adrec.spectra import as_table
from adrec.tables import Table, pretrained_items, read_labels, read_tables
from adrec.vectors import write_table

VECTORS = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
IDS = [f"i{n}" for n in range(30)]
FRAME = pd.DataFrame(VECTORS).add_prefix("dim").set_axis(IDS).rename_axis("item_id")
WORDS = "\n".join(f"{i} {' '.join(map(str, row))}" for i, row in zip(IDS, VECTORS))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch): monkeypatch.chdir(tmp_path)


def one(path, key=None) -> Table:
    found, = read_tables(path, key).values()
    return found


def write(name, content): Path(name).write_bytes(content.encode() if isinstance(content, str) else content); return name


WRITERS = {
    "t.npy": lambda p: np.save(p, VECTORS),
    "t.npz": lambda p: np.savez(p, vectors=VECTORS, n=np.arange(3), names=np.array(IDS)),
    "t.csv": FRAME.to_csv,
    "t.tsv": lambda p: FRAME.to_csv(p, sep="\t"),
    "t.parquet": FRAME.to_parquet,
    "t.safetensors": lambda p: save_file({"items": torch.from_numpy(VECTORS), "bias": torch.zeros(6)}, p),
    "t.pt": lambda p: torch.save({"items": torch.from_numpy(VECTORS)}, p),
    "t.pth": lambda p: torch.save(torch.from_numpy(VECTORS), p),
    "t.ckpt": lambda p: torch.save({"epoch": 3, "state_dict": {"model": [{"items": torch.from_numpy(VECTORS)}]}}, p),
    "t.bin": lambda p: torch.save(nn.Embedding.from_pretrained(torch.from_numpy(VECTORS)).state_dict(), p),
    "t.txt": lambda p: write(p, WORDS),
    "t.vec": lambda p: write(p, f"30 6\n{WORDS}\n"),
    "t.w2v": lambda p: write(p, WORDS.replace("\n", " \r\n")),
}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_there_and_back(name, packed):
    WRITERS[name](name)
    if packed:
        Path(name + packed).write_bytes(gzip.compress(Path(name).read_bytes()))
        Path(name).unlink()
    table = one(name + packed)
    np.testing.assert_allclose(table.vectors, VECTORS, rtol=1e-6)
    assert table.name == "t" and table.vectors.dtype == np.float64
    knows = name[2:] in ("npz", "csv", "tsv", "parquet", "txt", "vec", "w2v")
    assert table.ids == (IDS if knows else None)
    assert as_table(table) is table.vectors and table.diagnose().verdict == diagnose(VECTORS).verdict


@pytest.mark.parametrize("dtype, error", [(torch.bfloat16, 2e-2), (torch.float16, 2e-3), (torch.float64, 1e-7)])
def test_all_precisions(dtype, error):
    tensor = torch.from_numpy(VECTORS).to(dtype)
    torch.save({"items": tensor}, "t.pt"); save_file({"items": tensor}, "t.safetensors")
    for name in ("t.pt", "t.safetensors"): np.testing.assert_allclose(one(name).vectors, VECTORS, atol=error)
    if dtype == torch.float16:
        np.save("t.npy", VECTORS.astype(np.float16))
        np.testing.assert_allclose(one("t.npy").vectors, VECTORS, atol=error)


# ---- columns

@pytest.mark.parametrize("ids", ["item_id", "id", "Item", "ASIN", "token", "word", "movie_id", "item_id:token", "", "whatever"])
def test_id_columns_are_recognised(ids):
    FRAME.rename_axis(ids).to_csv("t.csv")
    assert one("t.csv").ids == IDS and one("t.csv").vectors.shape == (30, 6)


@pytest.mark.parametrize("ids", ["item_id", "id", "movie_id", ""])
def test_numeric_ids_are_recognised_by_name_and_kept_as_they_are_written(ids):
    numbers = [f"{n:03}" for n in range(30)]
    FRAME.set_axis(numbers).rename_axis(ids).to_csv("t.csv")
    assert one("t.csv").ids == numbers and one("t.csv").vectors.shape == (30, 6)
    assert (ids or "Unnamed: 0") in one("t.csv").notes[0]


def test_an_id_column_need_not_be_the_first_and_null_is_a_word():
    FRAME.reset_index()[[*FRAME.columns, "item_id"]].replace({"item_id": {"i3": "null", "i4": "NA"}}).to_csv("t.csv", index=False)
    assert one("t.csv").ids[3:5] == ["null", "NA"]


def test_words_are_no_dimensions_and_titles_and_genres_are_kept():
    words = FRAME.reset_index().assign(title="A, \"quoted\" film", genres=["Drama", None] * 15, new=True)
    for name, save in (("t.csv", words.to_csv), ("t.parquet", words.to_parquet)):
        save(name, index=False)
        table = one(name)
        np.testing.assert_allclose(table.vectors, VECTORS, rtol=1e-6)
        assert table.titles[0] == "A, \"quoted\" film" and table.labels[:2] == ["Drama", ""] and table.ids == IDS


def test_a_number_that_is_no_dimension_is_left_out_and_noted():
    FRAME.assign(year=1990.5).to_csv("t.csv")
    assert one("t.csv").vectors.shape == (30, 6) and "left out, as no dimensions: year" in one("t.csv").notes[0]


@pytest.mark.parametrize("header, index", [(False, False), (False, True), (True, False), (True, True)])
def test_with_and_without_a_header(header, index):
    FRAME.set_axis(range(6), axis=1).to_csv("t.csv", header=header, index=index)
    assert one("t.csv").vectors.shape == (30, 6), "the first item was taken for a header, or the header for an item"
    np.savetxt("m.csv", VECTORS, delimiter=",")
    np.testing.assert_allclose(one("m.csv").vectors, VECTORS, rtol=1e-6)


def test_semicolons_and_a_byte_order_mark():
    FRAME.to_csv("t.csv", sep=";", encoding="utf-8-sig")
    np.testing.assert_allclose(one("t.csv").vectors, VECTORS, rtol=1e-6)
    assert one("t.csv").ids == IDS


def test_parquet_with_a_vector_per_cell():
    frame = pd.DataFrame({"asin": IDS, "embedding": list(VECTORS), "title": "x"})
    frame.to_parquet("t.parquet")
    np.testing.assert_allclose(one("t.parquet").vectors, VECTORS)
    assert one("t.parquet").ids == IDS
    frame.assign(embedding=[row[:5 + i % 2] for i, row in enumerate(VECTORS)]).to_parquet("t.parquet")
    with pytest.raises(InputError, match="'embedding': vectors of 5 to 6 numbers"): read_tables("t.parquet")


def test_ids_beside_an_npy():
    np.save("t.npy", VECTORS)
    pd.DataFrame({"item_id": range(100, 130), "title": "x", "genres": "y"}).to_csv("t.items.csv", index=False)
    table = one("t.npy")
    assert table.ids[0] == "100" and table.titles[0] == "x" and table.labels[0] == "y"
    np.save("t.npy", VECTORS[1:])
    assert one("t.npy").ids is None and "it has 30, t.npy has 29" in one("t.npy").notes[0]


def test_equal_ids_are_noted():
    FRAME.set_axis(["i0", *IDS[:-1]]).rename_axis("id").to_csv("t.csv")
    assert "'i0' stands in more than one row" in one("t.csv").notes[1]


# ---- candidates

CHECKPOINT = {"state_dict": {"pos_embedding.weight": torch.ones(9, 4), "layer.weight": torch.ones(5, 4), "layer.bias": torch.ones(5),
                             "item_embedding.weight": torch.from_numpy(VECTORS), "counts": torch.ones(3, 3, dtype=torch.int64)}}


def save_npz(path): np.savez(path, **{name: t.numpy() for name, t in CHECKPOINT["state_dict"].items()})


@pytest.mark.parametrize("name, save, way", [("t.pt", lambda p: torch.save(CHECKPOINT, p), "state_dict."),
                                             ("t.safetensors", lambda p: save_file(CHECKPOINT["state_dict"], p), ""),
                                             ("t.npz", save_npz, "")])
def test_candidates_are_listed_the_likely_one_first_and_never_guessed(name, save, way):
    save(name)
    with pytest.raises(InputError) as e: read_tables(name)
    said = str(e.value)
    assert said.startswith(f"{name} holds 3 tables; choose one with key=... or --key: {way}item_embedding.weight (30 x 6), ")
    assert "layer.weight (5 x 4)" in said and "bias" not in said and "counts" not in said
    np.testing.assert_allclose(one(name, f"{way}item_embedding.weight").vectors, VECTORS)
    assert one(name, f"{way}counts").vectors.shape == (3, 3), "whole numbers count if somebody asks for them"
    with pytest.raises(InputError, match=r"no 'item_embeding'.*Did you mean.*item_embedding.weight.*Candidates are"):
        read_tables(name, "item_embeding")
    with pytest.raises(InputError, match=r"layer.bias \(5\) is no table of items x dimensions"): read_tables(name, f"{way}layer.bias")


def test_long_lists_are_cut():
    torch.save({f"w{n}": torch.ones(3, 3) for n in range(50)}, "t.pt")
    with pytest.raises(InputError, match="holds 50 tables.* and 42 more"): read_tables("t.pt")


def test_no_candidates():
    torch.save({"bias": torch.ones(4)}, "t.pt")
    with pytest.raises(InputError, match=r"t.pt holds no table.*bias \(4\)"): read_tables("t.pt")
    torch.save({"epoch": 3}, "t.pt")
    with pytest.raises(InputError, match="holds no table.*holds nothing"): read_tables("t.pt")


def test_a_key_needs_something_to_choose_from():
    np.save("a.npy", VECTORS)
    with pytest.raises(InputError, match="--key items chooses among .* a.npy is none"): read_tables("a.npy", "items")
    np.savez("b.npz", items=VECTORS, users=VECTORS)
    assert list(read_tables(["a.npy", "b.npz"], "items")) == ["a", "b"]


# ---- pickles

class Payload:
    def __reduce__(self): return os.system, ("touch bitten",)


@pytest.mark.parametrize("name, save, culprit", [
    ("t.pt", lambda p: torch.save({"items": torch.ones(3, 3), "x": Payload()}, p), "system"),
    ("t.ckpt", lambda p: torch.save(Payload(), p, _use_new_zipfile_serialization=False), "system"),
    ("t.bin", lambda p: write(p, pickle.dumps(Payload(), protocol=2)), "system"),
    ("t.pth", lambda p: write(p, pickle.dumps(Payload())), "plain pickle"),
    ("t.pt.gz", lambda p: (torch.save(Payload(), "x"), write(p, gzip.compress(Path("x").read_bytes()))), "system"),
    ("m.pt", lambda p: torch.save(nn.Linear(3, 3), p), "torch.nn.modules.linear.Linear"),
    ("a.pt", lambda p: torch.save({"items": VECTORS}, p), "numpy"),
])
def test_pickles_with_more_than_tensors_are_refused_and_do_not_run(name, save, culprit):
    save(name)
    with pytest.raises(InputError) as e: read_tables(name)
    said = str(e.value)
    assert not Path("bitten").exists(), "the program in the pickle ran"
    assert "\n" not in said and said.startswith(f"{name} ") and culprit in said
    assert "refused" in said and "any program" in said and "state_dict()" in said


def test_the_payload_would_have_worked():
    pickle.loads(pickle.dumps(Payload()))
    assert Path("bitten").exists(), "this test proves nothing: the payload is harmless anyway"


def test_object_arrays_and_pickle_files_are_refused():
    np.save("t.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    np.savez("t.npz", a=np.array([Payload()], dtype=object))
    write("t.pkl", pickle.dumps(Payload()))
    for name in ("t.npy", "t.npz", "t.pkl"):
        with pytest.raises(InputError, match=f"{name}.*(pickle|Object)"): read_tables(name)
    assert not Path("bitten").exists()


# ---- word2vec

def test_tokens_may_hold_blanks_if_the_header_gives_the_width():
    write("t.txt", "3 2\nNew York 1 2\n\u00a0 3 4\n. . . 5 6\n")
    assert one("t.txt").ids == ["New York", "\u00a0", ". . ."] and one("t.txt").vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_tokens_may_be_numbers_and_quotes():
    write("t.txt", '2009 1 2\n" 3 4\n, 5 6\n')
    assert one("t.txt").ids == ["2009", '"', ","]


@pytest.mark.parametrize("text, said", [
    ("the 1 2\nof 3\n", "line 2: a token and 2 numbers are wanted, but there are 2 fields"),
    ("the 1 2\nNew 9 3 4\n", "line 2: a token and 2 numbers are wanted, but there are 4"),
    ("the 1 2\nof 3 x4\n", "line 2: 'x4' is no number"),
    ("2 2\nthe 1 2\nof x 4\n", "line 3: 'x' is no number"),
    ("2 2\nthe 1 2\n4\n", "line 3: a token and 2 numbers"),
    ("the 1 2\n\nof 3 4\n", "line 2 is blank; a token and 2 numbers"),
    ("9 2\nthe 1 2\nof 3 4\n", "line 1: announces 9 vectors, but 2 lines follow"),
    ("the\nof\n", "line 1: a token and its numbers"),
    ("", "it holds nothing at all"), (" \n", "line 1: a token and its numbers"),
    ("0.5 1 2\n0.25 3 4\n", "begins with a number"),
    (b"a 1 2\n\xff\xfe 3 4\n", "line 2: the token is not UTF-8"),
    ("a 1 2\nb nan 4\n", "NaN or infinite values in 1 of 2 rows \\(rows 1\\)"),
])
def test_broken_word_vectors(text, said):
    write("t.txt", text)
    with pytest.raises(InputError, match=f"t.txt.*{said}"): read_tables("t.txt")


# ---- bad tables

def changed(column, row, value): return FRAME.astype(object).assign(**{column: [value if n == row else v for n, v in enumerate(FRAME[column])]})


@pytest.mark.parametrize("frame, said", [
    (changed("dim2", 4, "O.1"), "line 6, column 'dim2': 'O.1' is no finite number"),
    (changed("dim0", 4, "O.1"), "line 6, column 'dim0': 'O.1' is no finite number"),
    (changed("dim2", 4, ""), "line 6, column 'dim2': the cell is empty or NaN"),
    (changed("dim2", 4, "inf"), "line 6, column 'dim2': 'inf' is no finite"),
    (FRAME.assign(dim2=[np.nan] * 2 + [1.0] * 28), "line 2, column 'dim2'.*2 of 30 cells"),
    (FRAME[[]].assign(title="x"), "no rows of numbers; its columns are item_id, title"),
    (FRAME[:1], "at least 2 items, got 1"),
    (FRAME[:0], "at least 2 items, got 0|no rows of numbers"),
])
def test_bad_columns(frame, said):
    frame.to_csv("t.csv")
    with pytest.raises(InputError, match=f"t.csv.*({said})"): read_tables("t.csv")


def test_bad_parquet_names_the_row():
    FRAME.assign(dim2=[1.0] * 4 + [np.inf] * 26).to_parquet("t.parquet")
    with pytest.raises(InputError, match="t.parquet, row 4, column 'dim2'.*26 of 30"): read_tables("t.parquet")


@pytest.mark.parametrize("array, said", [
    (VECTORS[0], r"shape \(items, dimensions\), got \(6,\)"), (VECTORS[None], r"got \(1, 30, 6\)"), (VECTORS[:1], "got 1"),
    (VECTORS * [1, 1, np.nan, 1, 1, 1], "30 of 30 rows \\(rows 0, 1, 2, 3, 4, …\\)"), (np.array([["a", "b"]] * 3), "real numbers"),
    (VECTORS.astype(complex), "real numbers"),
])
def test_bad_arrays(array, said):
    np.save("t.npy", array)
    with pytest.raises(InputError, match=f"t.npy: .*{said}"): read_tables("t.npy")


@pytest.mark.parametrize("name", ["t.npy", "t.npz", "t.parquet", "t.safetensors", "t.pt", "t.npy.gz", "t.csv.gz"])
@pytest.mark.parametrize("content", [b"", b"no such thing at all", b"\x80\x02\xff\xff."])
def test_damaged_files(name, content):
    write(name, content)
    with pytest.raises(InputError, match=name): read_tables(name)


@pytest.mark.parametrize("name", ["t.npy", "t.npz", "t.parquet", "t.safetensors", "t.pt"])
def test_cut_files(name):
    WRITERS[name](name)
    write(name, Path(name).read_bytes()[:300])
    with pytest.raises(InputError, match=name): read_tables(name)


def test_ragged_csv():
    write("t.csv", "id,a,b\nx,1,2\ny,1,2,3\n")
    with pytest.raises(InputError, match="t.csv.*line 3"): read_tables("t.csv")


def test_what_is_not_there():
    np.save("items.npy", VECTORS)
    with pytest.raises(InputError, match="itmes.npy: there is no such .*Did you mean 'items.npy'"): read_tables("itmes.npy")
    with pytest.raises(InputError, match="notes.docx is not read: its ending is unknown; known are .npy"): read_tables(write("notes.docx", "x"))
    Path("empty").mkdir()
    with pytest.raises(InputError, match="empty.*not a run folder"): read_tables("empty")


def test_a_padding_row_is_warned_about_and_not_dropped():
    np.save("t.npy", np.vstack([np.zeros((1, 6)), VECTORS]))
    found = one("t.npy").diagnose()
    assert found.n == 31 and "row 0" in found.warnings[0] and "padding" in found.warnings[0]


# ---- names

def test_names_are_told_apart():
    for folder in ("a", "b"):
        Path(folder).mkdir(); np.save(f"{folder}/x.npy", VECTORS)
    np.save("y.npy", VECTORS); FRAME.to_csv("y.csv")
    assert list(read_tables(["a/x.npy", "b/x.npy"])) == ["a/x.npy", "b/x.npy"]
    assert list(read_tables(["a/x.npy", "y.npy", "y.csv"])) == ["x", "y.npy", "y.csv"]
    assert [table.name for table in read_tables(["a/x.npy", "b/x.npy"]).values()] == ["a/x.npy", "b/x.npy"]
    with pytest.raises(InputError, match="named twice"): read_tables(["a/x.npy", "b/../a/x.npy"])


# ---- labels

LABELS = pd.DataFrame({"item_id": IDS, "genre": [f"g{n % 3}|all" for n in range(30)]})


@pytest.mark.parametrize("name", ["l.csv", "l.tsv", "l.parquet", "l.csv.gz"])
def test_labels_are_matched_by_id(name):
    mixed = LABELS.sample(frac=1, random_state=0)
    if "parquet" in name: mixed.to_parquet(name)
    else: mixed.to_csv(name, sep="\t" if "tsv" in name else ",", index=False)
    assert read_labels(name, IDS) == (LABELS.genre.tolist(), [])


def test_numeric_ids_match_their_text():
    LABELS.assign(item_id=range(30)).to_csv("l.csv", index=False); LABELS.assign(item_id=range(30)).to_parquet("l.parquet")
    for name in ("l.csv", "l.parquet"): assert read_labels(name, [str(n) for n in range(29, -1, -1)])[0] == LABELS.genre.tolist()[::-1]


def test_missing_labels_are_counted_and_strangers_ignored():
    pd.concat([LABELS[3:], pd.DataFrame({"item_id": ["stranger"], "genre": ["x"]})]).to_csv("l.csv", index=False)
    labels, notes = read_labels("l.csv", IDS)
    assert labels[:4] == ["", "", "", "g0|all"] and notes == ["l.csv: 3 of 30 items have no label"]
    LABELS.assign(genre=[None, *LABELS.genre[1:]]).to_parquet("l.parquet")
    assert read_labels("l.parquet", IDS)[1] == ["l.parquet: 1 of 30 items have no label"]


def test_labels_by_row():
    write("l.txt", "\n".join(LABELS.genre))
    LABELS[["genre"]].to_csv("l.csv", index=False); LABELS[["genre"]].to_csv("m.csv", index=False, header=False)
    for name in ("l.txt", "l.csv", "m.csv"):
        assert read_labels(name, None, 30) == (LABELS.genre.tolist(), [f"{name}: labels matched by row"])
    LABELS.to_csv("l.csv", index=False)
    labels, notes = read_labels("l.csv", None, 30)
    assert labels == LABELS.genre.tolist() and "matched by row" in notes[0]


def test_the_label_column_is_found_among_several_and_lists_are_joined():
    LABELS.assign(title="x", year=1990).rename(columns={"genre": "category"}).to_csv("l.csv", index=False)
    assert read_labels("l.csv", IDS)[0] == LABELS.genre.tolist()
    LABELS.assign(genre=[["a", "b"]] * 30).to_parquet("l.parquet")
    assert read_labels("l.parquet", IDS)[0] == ["a|b"] * 30
    LABELS.rename(columns={"item_id": "nonsense"}).to_csv("l.csv", index=False)
    assert read_labels("l.csv", IDS)[0] == LABELS.genre.tolist(), "the ids themselves tell which column holds ids"


@pytest.mark.parametrize("frame, said", [
    (LABELS.assign(item_id="x"), "'x' has two different labels"),
    (LABELS.assign(item_id=[f"x{n}" for n in range(30)]), r"no id in column 'item_id' \(such as 'x0'\) is an id of the table \(such as 'i0'\)"),
    (pd.concat([LABELS, LABELS[:1].assign(genre="other")]), "'i0' has two different labels"),
    (LABELS.assign(title="x").rename(columns={"genre": "kind"}), "which column holds the labels.*item_id, kind, title"),
    (LABELS[["genre"]][:20], "20 labels for 30 items"), (LABELS[:0], "holds no labels"),
])
def test_bad_labels(frame, said):
    frame.to_csv("l.csv", index=False)
    with pytest.raises(InputError, match=f"l.csv.*({said})"): read_labels("l.csv", IDS)


def test_bad_label_files():
    write("l.txt", "a\n" * 29)
    with pytest.raises(InputError, match="l.txt: 29 labels for 30 items: one per row"): read_labels("l.txt", None, 30)
    with pytest.raises(InputError, match="nosuch.csv: there is no such file"): read_labels("nosuch.csv", IDS)
    with pytest.raises(InputError, match="x.npy: labels are read from"): read_labels(write("x.npy", b"x"), IDS)
    with pytest.raises(InputError, match="l.parquet cannot be read"): read_labels(write("l.parquet", b"x"), IDS)
    with pytest.raises(InputError, match="l.csv"): read_labels(write("l.csv", b""), IDS)


def test_diagnose_names_the_table_whose_labels_do_not_fit():
    with pytest.raises(InputError, match="mine: 2 labels for 30 items"): Table("mine", VECTORS, labels=["a", "b"]).diagnose()


def test_a_missing_label_is_no_missing_header():
    "One label short, with a header: taking the header for a label would shift all of them by a row."
    for frame in (LABELS[1:], LABELS[["genre"]][1:]):
        frame.to_csv("l.csv", index=False)
        with pytest.raises(InputError, match="29 labels for 30 items"): read_labels("l.csv", None, 30)


# ---- what is no dimension

@pytest.mark.parametrize("name", ["movieId", "productId", "trackID", "Unnamed: 0", "#", "", "index", "song_id", "whatever"])
def test_numbers_that_name_the_items_are_their_ids(name):
    FRAME.set_axis(range(100, 130)).rename_axis(name).to_csv("t.csv")
    table = one("t.csv")
    assert table.vectors.shape == (30, 6) and table.ids == [str(n) for n in range(100, 130)]


@pytest.mark.parametrize("extra", [dict(label=np.arange(30) % 3), dict(cluster=1.0), dict(year=2000 + np.arange(30)), dict(price=np.arange(30) / 7),
                                   dict(brand_id=np.arange(30) % 4), {"Unnamed: 0": np.arange(30)}, dict(popular=np.arange(30) * 1.5)])
def test_what_is_no_dimension_is_left_out_and_said(extra):
    frame = FRAME.reset_index().assign(**extra)
    for name, save in (("t.csv", frame.to_csv), ("t.parquet", frame.to_parquet)):
        save(name, index=False)
        table, = read_tables(name).values()
        assert table.vectors.shape == (30, 6) and table.ids == IDS
        assert f"left out, as no dimensions: {next(iter(extra))}" in table.notes[0]


def test_whole_ids_without_a_header_and_small_integers_as_dimensions():
    FRAME.set_axis(range(100, 130)).to_csv("t.csv", header=False)
    assert one("t.csv").vectors.shape == (30, 6) and one("t.csv").ids[0] == "100"
    quantised = np.random.default_rng(3).integers(-8, 8, (30, 6))
    pd.DataFrame(quantised, IDS).add_prefix("dim").rename_axis("item_id").to_csv("q.csv")
    np.testing.assert_array_equal(one("q.csv").vectors, quantised)


def test_two_id_columns_ask_and_an_answer_settles_it():
    FRAME.set_axis(range(30)).rename_axis("movieId").assign(trackId=range(50, 80)).to_csv("t.csv")
    with pytest.raises(InputError, match="'movieId' or in 'trackId'.*--id-column"): read_tables("t.csv")
    table, = read_tables("t.csv", ids="trackId").values()
    assert table.ids[0] == "50" and table.vectors.shape == (30, 6)


def test_a_dimension_with_a_word_in_every_cell_is_refused():
    FRAME.assign(dim0="x").to_csv("t.csv")
    with pytest.raises(InputError, match="line 2, column 'dim0'"): read_tables("t.csv")


# ---- vectors in cells, numbers in other dress

def test_two_columns_of_vectors():
    frame = pd.DataFrame({"id": IDS, "text": list(VECTORS), "image": list(-VECTORS), "genres": [["a", "b"]] * 30})
    frame.to_parquet("t.parquet")
    with pytest.raises(InputError, match="2 columns of vectors; choose one with key=... or --key: image, text"): read_tables("t.parquet")
    np.testing.assert_array_equal(one("t.parquet", "image").vectors, -VECTORS)
    frame.rename(columns={"text": "embedding"}).to_parquet("u.parquet")
    np.testing.assert_array_equal(one("u.parquet").vectors, VECTORS)
    assert one("u.parquet").labels[0] == "a|b" and "image" in one("u.parquet").notes[0]


@pytest.mark.parametrize("dress", [lambda row: str(row.tolist()), lambda row: " ".join(map(str, row)), lambda row: f"array({row.tolist()})"])
def test_lists_as_texts(dress):
    pd.DataFrame({"item_id": IDS, "v": [dress(row) for row in VECTORS]}).to_csv("t.csv", index=False)
    np.testing.assert_allclose(one("t.csv").vectors, VECTORS, rtol=1e-6)


def test_commas_in_numbers():
    FRAME.to_csv("t.csv", sep=";", decimal=",")
    np.testing.assert_allclose(one("t.csv").vectors, VECTORS, rtol=1e-6)
    FRAME.assign(dim0=[f"{n * 1000.5:,}" for n in range(30)]).to_csv("t.csv")
    assert one("t.csv").vectors[2].tolist() == pytest.approx([2001, *VECTORS[2, 1:].tolist()], rel=1e-6)
    FRAME.assign(dim0=["1,234"] * 30).to_csv("t.csv")
    with pytest.raises(InputError, match="'dim0': is '1,234' a decimal comma or a thousands separator"): read_tables("t.csv")


def test_decimals_and_empty_columns():
    import pyarrow as pa
    import pyarrow.parquet as pq
    whole = {f"d{i}": pa.array(VECTORS[:, i].astype(float)).cast(pa.decimal128(20, 8), safe=False) for i in range(6)}
    pq.write_table(pa.table({"id": IDS, **whole}), "t.parquet")
    np.testing.assert_allclose(one("t.parquet").vectors, VECTORS, atol=1e-7)
    write("t.csv", "item_id,a,b,\nx,1.5,2,\ny,2.5,3.5,\n")
    assert one("t.csv").vectors.tolist() == [[1.5, 2], [2.5, 3.5]]


# ---- what a file is

@pytest.mark.parametrize("ending", [".npy", ".npz", ".pt", ".bin", ".safetensors", ".parquet"])
@pytest.mark.parametrize("content, said", [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"), (b"<!DOCTYPE html><html>", "web page"),
    (b"\xba\x16\x4f\x2f" + bytes(99), "fastText"), (gzip.compress(b"x", mtime=0), "gzip"), (b"words and more\n" * 9, "holds text")])
def test_files_that_are_not_what_they_are_called(ending, content, said):
    with pytest.raises(InputError, match=f"t{ending} .*{said}") as e: read_tables(write(f"t{ending}", content))
    assert "allow_pickle" not in str(e.value) and "\n" not in str(e.value)


def test_word2vec_binary():
    content = b"30 6\n" + b"".join(i.encode() + b" " + row.tobytes() + b"\n" for i, row in zip(IDS, VECTORS))
    for name in ("t.bin", "t.vec", "t.bin.gz"):
        write(name, gzip.compress(content, mtime=0) if name.endswith("gz") else content)
        np.testing.assert_array_equal(one(name).vectors, VECTORS)
        assert one(name).ids == IDS
    with pytest.raises(InputError, match="t.bin"): read_tables(write("t.bin", content[:-40]))


def test_npz_dictionaries_and_bfloat16():
    np.savez("t.npz", **dict(zip(IDS, VECTORS)))
    assert one("t.npz").ids == IDS
    np.testing.assert_array_equal(one("t.npz").vectors, VECTORS)
    np.save("t.npy", np.zeros((30, 6), "V2"))
    with pytest.raises(InputError, match="bfloat16"): read_tables("t.npy")


def test_word_vectors_with_blanks_a_mark_and_wrong_counts():
    write("t.txt", "\ufeffthe 1 2\nof 7 8\nto 9 10\nat name@x.org 3 4\n. . 5 6\n")
    assert one("t.txt").ids == ["the", "of", "to", "at name@x.org", ". ."]
    for text, said in (("1 2\na 1 2\nb 1 2\n", "more than announced"), ("3 2\na 1 2\nb 1 2\n", "cut off"), ("2 2\na 1 2\n\nb 1 2\n", "line 3 is blank")):
        with pytest.raises(InputError, match=said): read_tables(write("t.vec", text))


def test_padding_is_dropped_on_demand_only():
    np.save("t.npy", np.vstack([np.zeros((1, 6)), VECTORS]))
    write("l.txt", "x\n" * 30)
    with pytest.raises(InputError, match="--drop-padding"): read_labels("l.txt", None, 31)
    table, = read_tables("t.npy", drop_padding=True).values()
    np.testing.assert_array_equal(table.vectors, VECTORS)
    assert "row 0" in table.notes[0]


# ---- a claim is compared with the file

def claims(shape): 
    import io
    np.lib.format.write_array_header_1_0(head := io.BytesIO(), dict(descr="<f4", fortran_order=False, shape=shape))
    return head.getvalue()


@pytest.mark.parametrize("name, content", [
    ("t.npy", claims((10**12, 128)) + bytes(64)), ("t.npy.gz", gzip.compress(claims((10**12, 128)) + bytes(64), mtime=0)),
    ("t.bin", b"1000000000000 128\na " + bytes(512)), ("t.vec", b"1000000000000 2\na 1 2\n"), ("u.vec", b"2 1000000000000\na 1 2\n"),
    ("t.txt.gz", gzip.compress((b"a" + b" 1" * 5000 + b"\n") * 11_000, mtime=0)), ("t.safetensors", (99).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[1000000000000,128],"data_offsets":[0,512000000000000]}}'.ljust(99))])
def test_a_claim_takes_no_memory(name, content):
    import tracemalloc
    write(name, content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=name): read_tables(name)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally: tracemalloc.stop()


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_bytes_are_read_or_refused_in_one_line(name):
    WRITERS[name](name)
    content, rng = Path(name).read_bytes(), np.random.default_rng(5)
    for _ in range(12):
        changed = bytearray(content)
        for _ in range(rng.integers(1, 5)): changed[rng.integers(len(changed) // 2)] = rng.integers(256)
        write(name, bytes(changed))
        try: read_tables(name)
        except InputError as e: assert "\n" not in str(e)


# ---- rows and items

@pytest.fixture(scope="module")
def data(): return synthetic_data(users=60, items=40)[0]


@pytest.mark.parametrize("ending", [".npy", ".safetensors", ".csv", ".parquet", ".vec", ".npz"])
def test_permuted_rows_go_to_the_right_items(data, ending):
    vectors, order = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32), np.random.default_rng(2).permutation(40)
    info, said = data.item_info.iloc[order], []
    if ending == ".npz": np.savez("t.npz", ids=info.item_id.to_numpy(dtype="U"), v=vectors[order])
    else: write_table(f"t{ending}", info, vectors[order])
    np.testing.assert_array_equal(pretrained_items(f"t{ending}", data, say=said.append).numpy(), vectors)
    assert "matched by id" in said[0]


def test_other_items_and_unknown_items(data):
    vectors, said = np.ones((40, 8), np.float32), []
    np.save("t.npy", vectors); pretrained_items("t.npy", data, say=said.append)
    assert "matched by row" in said[0]
    write_table("t.csv", data.item_info.assign(item_id=["stranger", *data.item_info.item_id[1:]]), vectors)
    with pytest.raises(InputError, match="1 missing .*; 1 too many .such as 'stranger'"): pretrained_items("t.csv", data)
    np.save("t.npy", vectors.astype(float) * 1e300)
    with pytest.raises(InputError, match="single precision"): pretrained_items("t.npy", data)


def test_what_cannot_be_written(data):
    for name, odd in (("t.vec", "a b"), ("t.tsv", "a\tb")):
        with pytest.raises(InputError, match=name): write_table(name, data.item_info.assign(item_id=odd), np.ones((40, 8)))
    assert not list(Path().iterdir())
    files = write_table("t.tsv", data.item_info, np.ones((40, 8)))
    assert [f.name for f in files] == ["t.tsv", "t.metadata.tsv"] and len(Path("t.metadata.tsv").read_text().splitlines()) == 41


# ---- labels: which column, which separator

NUMBERS = [str(n) for n in np.random.default_rng(5).permutation(900)[:30] + 100]
GENRES = [f"g{n % 5}" for n in range(30)]


def shuffled(**more):
    frame = pd.DataFrame({"movieId": NUMBERS, "label": GENRES} | more)
    return frame.sample(frac=1, random_state=1)


@pytest.mark.parametrize("name", ["movieId", "movie_id", "sku", "item_id"])
@pytest.mark.parametrize("change", ["tt{}", "0{}", "{}.5"])
def test_ids_that_match_nothing_are_never_taken_by_row(name, change):
    frame = shuffled().rename(columns={"movieId": name})
    frame.assign(**{name: [change.format(i) for i in frame[name]]}).to_csv("l.csv", index=False)
    with pytest.raises(InputError, match=f"l.csv: no id in column '{name}' .such as .* is an id of the table"):
        read_labels("l.csv", NUMBERS)


def test_few_matches_are_refused_and_a_row_order_is_said():
    frame = shuffled(movieId=["x" + i for i in NUMBERS[:-1]] + NUMBERS[-1:])
    frame.to_csv("l.csv", index=False)
    with pytest.raises(InputError, match="only 1 of 30 ids in column 'movieId'"): read_labels("l.csv", NUMBERS)
    frame.rename(columns={"movieId": "shelf"}).iloc[:, [0, 1]].assign(shelf="x").to_csv("l.csv", index=False)
    labels, notes = read_labels("l.csv", NUMBERS)
    assert labels == frame.label.tolist() and notes == ["l.csv: labels matched by row"]


@pytest.mark.parametrize("name, values", [
    ("Unnamed: 0", range(30)), ("index", range(30)), ("", range(30)), ("id", range(30)), ("year", NUMBERS[:1] * 30),
    ("similar_to", NUMBERS[7:] + NUMBERS[:7]), ("count", NUMBERS[:5] * 6)])
@pytest.mark.parametrize("ids", [NUMBERS, [str(n) for n in range(29, -1, -1)]])
def test_another_column_with_some_ids_does_not_win(name, values, ids):
    if name == "id" and ids is not NUMBERS: pytest.skip("then both columns match, which is asked")
    frame = shuffled(movieId=ids)
    frame.insert(0, name, list(values)); frame.to_csv("l.csv", index=False)
    assert read_labels("l.csv", ids) == (GENRES, [])


def test_two_columns_of_ids_that_match_alike_are_refused():
    shuffled(id=NUMBERS[::-1]).to_csv("l.csv", index=False)
    with pytest.raises(InputError, match="are the ids in 'movieId' or in 'id'"): read_labels("l.csv", NUMBERS)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("name, separator", [("l.csv", "|"), ("l.csv", ","), ("l.txt", "\t"), ("l.txt", ","), ("l.tsv", "\t"), ("l.csv", ";")])
def test_separators_and_a_missing_header_of_labels(name, separator, header):
    shuffled().to_csv(name, index=False, sep=separator, header=header)
    assert read_labels(name, NUMBERS) == (GENRES, [])


def test_whole_numbers_as_floats_are_ids_in_parquet_labels():
    shuffled(movieId=[float(i) for i in NUMBERS]).to_parquet("l.parquet")
    assert read_labels("l.parquet", NUMBERS)[0] == GENRES


# ---- ids inside and beside files of arrays

ORDER = np.random.default_rng(7).permutation(30)
ARRAYS = {
    "bytes": lambda i: np.array(i, "S"), "floats": lambda i: np.array(i, float), "column": lambda i: np.array(i)[:, None],
    "whole": lambda i: np.array(i, int), "texts": lambda i: np.array(i)}


@pytest.mark.parametrize("name", ["item_ids", "ids", "index"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_ids_inside_npz(kind, name):
    np.savez("t.npz", emb=VECTORS, **{name: ARRAYS[kind](NUMBERS)})
    assert one("t.npz").ids == NUMBERS


@pytest.mark.parametrize("form", [list, lambda i: torch.tensor(list(map(int, i))), lambda i: torch.tensor(list(map(float, i)))[:, None]])
def test_ids_inside_torch_and_safetensors(form):
    ids = form(NUMBERS)
    torch.save({"emb": torch.from_numpy(VECTORS), "item_ids": ids}, "t.pt")
    assert one("t.pt").ids == NUMBERS
    if not isinstance(ids, list):
        save_file({"emb": torch.from_numpy(VECTORS), "ids": ids}, "t.safetensors")
        assert one("t.safetensors").ids == NUMBERS


@pytest.mark.parametrize("name, values", [("genres", ["a", "b"] * 15), ("title", [f"t{n}" for n in range(30)]),
                                          ("cluster_id", range(30)), ("cluster_id", [1, 2] * 15), ("index", range(30))])
def test_other_arrays_are_no_ids(name, values):
    np.savez("t.npz", emb=VECTORS, **{name: np.array(values)})
    assert one("t.npz").ids is None and one("t.npz").notes == ()


@pytest.mark.parametrize("ids", [[1, 2] * 15, range(29), np.arange(30) + .5])
def test_ids_that_cannot_be_used_are_refused_in_training(ids):
    np.savez("t.npz", emb=VECTORS[:, :4], item_ids=np.array(ids))
    assert "holds ids that cannot be used: item_ids" in one("t.npz").notes[0]
    data, _ = synthetic_data(users=60, items=30)
    assert len(data.item_info) == 30
    with pytest.raises(InputError, match="ids that cannot be used"): pretrained_items("t.npz", data)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("ids", [NUMBERS, IDS])
def test_items_beside_with_and_without_a_header(header, packed, ids):
    np.save("t.npy", VECTORS)
    pd.DataFrame({"item_id": ids}).to_csv("t.items.csv" + packed, index=False, header=header)
    assert one("t.npy").ids == ids


@pytest.mark.parametrize("ids", [NUMBERS, IDS])
def test_items_beside_need_no_line_for_the_padding_row(ids):
    np.save("t.npy", np.vstack([np.zeros((1, 6)), VECTORS]))
    pd.DataFrame({"item_id": ids}).to_csv("t.items.csv", index=False)
    table, = read_tables("t.npy", drop_padding=True).values()
    assert table.ids == ids and len(table.vectors) == 30


@pytest.mark.parametrize("ids", [[None, *map(int, NUMBERS[1:])], [None, *map(float, NUMBERS[1:])], [None, *NUMBERS[1:]]])
def test_a_missing_id_in_parquet(ids):
    pq.write_table(pa.table({"item_id": ids, "emb": VECTORS.tolist()}), "t.parquet")
    assert one("t.parquet").ids == ["", *NUMBERS[1:]]
    data, _ = synthetic_data(users=40, items=30)
    with pytest.raises(InputError, match="is about other items than the data"): pretrained_items("t.parquet", data)


def test_npy_3_and_tensors_of_other_kinds():
    with open("t.npy", "wb") as file: np.lib.format.write_array(file, VECTORS, version=(3, 0))
    np.testing.assert_array_equal(one("t.npy").vectors, VECTORS)
    torch.save(torch.from_numpy(VECTORS[:1]).expand(99, 6), "t.pt")
    with pytest.raises(InputError, match="if it was expanded"): one("t.pt")
    torch.save({"e": torch.quantize_per_tensor(torch.from_numpy(VECTORS), .1, 0, torch.qint8)}, "t.pt")
    with pytest.raises(InputError, match="'e' is quantised"): one("t.pt")


# ---- which columns

EXTRAS = {"genre_ids": ["[18, 35]", "[1, 2, 3]"] * 15, "latlon": ["(0.5, -1.5)"] * 30, "title": [f"{n} 90" for n in range(30)],
          "tags": ["[1, 2, 3, 4, 5, 6, 7, 8]"] * 30, "price": ["5,486"] * 30, "phone": ["181,468"] * 30}


@pytest.mark.parametrize("name", EXTRAS)
def test_lists_and_commas_beside_dimensions_are_left_out(name):
    FRAME.assign(**{name: EXTRAS[name]}).to_csv("t.csv")
    table = one("t.csv")
    np.testing.assert_allclose(table.vectors, VECTORS, rtol=1e-6)
    assert table.ids == IDS and f"left out, as no dimensions: {name}" in table.notes[0]


def test_lists_beside_dimensions_in_parquet_and_ids_that_look_like_lists():
    FRAME.assign(genre_ids=[[1], [2, 3]] * 15, place=[[.5, 1.5]] * 30).to_parquet("t.parquet")
    assert one("t.parquet").vectors.shape == (30, 6) and "genre_ids, place" in one("t.parquet").notes[0]
    pairs = [f"{n} 0" for n in range(30)]
    FRAME.set_axis(pairs).to_csv("t.csv")
    assert one("t.csv").ids == pairs and one("t.csv").vectors.shape == (30, 6)


@pytest.mark.parametrize("separator", [" ", "|"])
def test_blanks_and_bars_part_columns(separator):
    FRAME.set_axis(NUMBERS).rename_axis("movieId").to_csv("t.csv", sep=separator)
    assert one("t.csv").ids == NUMBERS and one("t.csv").vectors.shape == (30, 6)


WHOLE = np.random.default_rng(9).integers(-99, 99, (60, 6))
PERMUTED = [str(n) for n in np.random.default_rng(1).permutation(900)[:60] + 100]


@pytest.mark.parametrize("header, columns", [(False, range(6)), (True, list("abcdef")), (True, range(6))])
def test_permuted_ids_of_whole_numbers(header, columns):
    frame = pd.DataFrame(WHOLE, columns=columns)
    frame.to_csv("t.csv", index=False, header=header)
    np.testing.assert_array_equal(one("t.csv").vectors, WHOLE)
    frame.insert(0, "product", PERMUTED)
    frame.to_csv("t.csv", index=False, header=header)
    np.testing.assert_array_equal(one("t.csv").vectors, WHOLE)
    assert one("t.csv").ids == PERMUTED


@pytest.mark.parametrize("prefix, other", [("genre", np.ones((30, 9), int)), ("emb_", VECTORS), ("f", VECTORS[:, :4])])
def test_two_families_ask_and_a_key_answers(prefix, other):
    pd.concat([FRAME, pd.DataFrame(other, index=FRAME.index).add_prefix(prefix)], axis=1).to_csv("t.csv")
    with pytest.raises(InputError, match="are the dimensions .*dim"): one("t.csv")
    np.testing.assert_allclose(one("t.csv", "dim").vectors, VECTORS, rtol=1e-6)
    np.testing.assert_allclose(one("t.csv", prefix.rstrip("_")).vectors, other, rtol=1e-6)
    with pytest.raises(InputError, match="no columns of numbers are called nosuch"): one("t.csv", "nosuch")


@pytest.mark.parametrize("name", ["num_ratings", "avg_rating", "score"])
def test_a_long_name_beside_letters_is_no_dimension(name):
    FRAME.iloc[:, :3].set_axis(list("xyz"), axis=1).assign(**{name: 3.5}).to_csv("t.csv")
    assert one("t.csv").vectors.shape == (30, 3) and f"left out, as no dimensions: {name}" in one("t.csv").notes[0]


def test_without_a_header_two_values_are_a_dimension_and_units_are_refused():
    frame = FRAME.assign(dim3=[0, 1] * 15)
    frame.to_csv("t.csv", index=False, header=False)
    np.testing.assert_allclose(one("t.csv").vectors, frame, rtol=1e-6)
    frame.assign(dim3=[f"{n}.5%" for n in range(30)]).to_csv("t.csv", index=False, header=False)
    with pytest.raises(InputError, match="t.csv, line 1, column 'column 4': '0.5%' is no finite number"): one("t.csv")
    FRAME.set_axis(list("abcdef"), axis=1).assign(c="-").to_csv("t.csv")
    with pytest.raises(InputError, match="t.csv, line 2, column 'c': '-' is no finite number"): one("t.csv")


def test_words_that_are_numbers():
    np.savetxt("t.txt", np.abs(WHOLE), fmt="%d")
    with pytest.raises(InputError, match="every line begins with a number"): one("t.txt")
    write("t.vec", "2 2\na 1_000 2\nb 1 2\n")
    with pytest.raises(InputError, match="t.vec, line 2: '1_000' is no number"): one("t.vec")
    write("t.bin", b"2 2\n" + b"".join(b"w%d " % n + np.ones(2, "<f4").tobytes() + b"\n" for n in range(3)))
    with pytest.raises(InputError, match="announces 2 vectors, but there are more"): one("t.bin")


def test_a_comma_in_an_id_and_old_line_ends():
    ids = [f"{n},{n + 100}" for n in range(30)]
    FRAME.set_axis(ids).to_csv("t.csv")
    assert one("t.csv").ids == ids
    write("t.csv", FRAME.to_csv().replace("\n", "\r"))
    assert one("t.csv").ids == IDS, "lines that end with a carriage return alone, as on old computers"
