"""adrec.catalogue: raw files in their exact shapes, where they are looked for, and counts beside those of the paper."""
import gzip
import json
import re
import zipfile
from pathlib import Path

import pytest

from adrec.catalogue import (
    CATALOGUE,
    DATA_SETS,
    catalogue_rows,
    catalogue_text,
    compare_counts,
    counts_verdict,
    find_raw,
)
from adrec.checks import InputError
from adrec.data import synthetic_data
from adrec.read import load_data

@pytest.fixture
def folder(tmp_path, monkeypatch):
    "The folder in which raw files are found."
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"

def reviews(users=7, items=6):
    "Everybody likes all items but one, and dislikes one more."
    return [(f"A{u}", f"B{(u + i) % items}", 2.0 if i == items - 1 else 5.0 - i % 2, 1_400_000_000 + 86_400 * (9 * u + i)) for u in range(users) for i in range(items)]

def amazon(rows): return "".join(json.dumps(dict(reviewerID=u, asin=i, reviewerName="N. N.", helpful=[0, 0], reviewText="a\nb", overall=r, summary="s", unixReviewTime=t, reviewTime="05 13, 2014")) + "\n" for u, i, r, t in rows)

def yelp(rows): return "".join(json.dumps(dict(review_id=f"r{n}", user_id=u, business_id=i, stars=r, useful=0, funny=0, cool=0, text="x", date=f"2018-07-{1 + n % 28:02} 22:09:{n % 60:02}")) + "\n" for n, (u, i, r, t) in enumerate(rows))

def test_the_counts_are_those_of_the_paper():
    known = {name: (d.users, d.items, d.interactions) for name, d in CATALOGUE.items()}
    assert known == {"ml-100k": (938, 1008, 54413), "baby": (11761, 4731, 92823), "beauty": (10553, 6086, 94148), "toys": (11268, 7309, 95420),
                     "sports": (22686, 12301, 185718), "yelp": (None, 64669, None)}
    assert list(DATA_SETS) == [*known, "synthetic"]
    for row in catalogue_rows()[:-1]: assert row["page"].startswith("https://") and row["licence"] and row["citation"] and row["raw_files"]
    text = catalogue_text()
    for words in ("no redistribution", "10.1145/2872427.2883037", "10.1145/2766462.2767755", "terms to be accepted there before downloading", "baby, beauty, toys, sports: "): assert words in text

@pytest.mark.parametrize("name, file", [(name, file) for name, d in CATALOGUE.items() if name not in ("ml-100k", "yelp") for file in d.files])
def test_each_version_of_amazon(folder, name, file):
    "Packed and unpacked, all reviews or the 5-core, JSON or ratings alone: the same sequences."
    rows = reviews()
    text = "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in rows) if file.endswith(".csv") else amazon(rows)
    for found in {file, file.removesuffix(".gz")}:
        path = folder / found
        path.write_bytes(gzip.compress(text.encode()) if found.endswith(".gz") else text.encode())
        assert find_raw(name)[0] == path
        data = load_data(name)
        assert (data.name, data.n_users, data.n_items, data.n_interactions) == (name, 7, 6, 35) and data.preprocessing == {"min_rating": 4, "k_core": 5}
        assert data.source == CATALOGUE[name].source and "2015" in data.source and data.dates()[0].startswith("2014-05-13")
        assert counts_verdict(data, name).startswith("the counts differ: this is another version")
        path.unlink()

def test_yelp(folder):
    (folder / "yelp_academic_dataset_review.json").write_text(yelp(reviews()))
    data = load_data("yelp")
    assert (data.n_users, data.n_items, data.n_interactions) == (7, 6, 35) and data.dates()[0].startswith("2018-07-")
    assert compare_counts(data, "yelp") == {"users": dict(found=7, expected=None, difference=None), "items": dict(found=6, expected=64669, difference=-64663),
                                            "interactions": dict(found=35, expected=None, difference=None)}

def test_the_smaller_file_first(folder):
    for file in ("ratings_Baby.csv", "reviews_Baby.json.gz", "reviews_Baby_5.json.gz"):
        (folder / file).write_bytes(b"")
        assert find_raw("baby")[0].name == file

@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "ml-100k"])
def test_a_missing_file_is_one_clear_line(folder, name, tmp_path):
    d = CATALOGUE[name]
    with pytest.raises(InputError) as caught: load_data(name)
    text = str(caught.value)
    assert text.startswith(f"{name} (") and "\n" not in text
    for part in (next(iter(d.files)), str(folder), d.page, d.licence, "--source FILE"): assert part in text
    with pytest.raises(InputError, match=re.escape(str(tmp_path))): load_data(name, raw=tmp_path)
    with pytest.raises(InputError, match="no such file or folder"): load_data(name, raw=tmp_path / "none")

def test_a_file_or_a_folder_is_said(folder, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "reviews_Toys_and_Games_5.json.gz").write_bytes(gzip.compress(amazon(reviews()).encode()))
    (other / "mine.json").write_text(yelp(reviews()))
    assert load_data("toys", raw=other).n_interactions == load_data("toys", raw=other / "reviews_Toys_and_Games_5.json.gz").n_interactions == 35
    assert load_data("yelp", raw=str(other / "mine.json")).n_interactions == 35, "a file of another name is read like the usual one"
    for source in (other / "mine.json", "synthetic"):
        with pytest.raises(InputError, match="raw"): load_data(source, raw=other)
    with pytest.raises(InputError, match="toys is known, and so are its columns: leave out user"): load_data("toys", raw=other, user="who")

def test_movielens_from_its_archive(folder, monkeypatch):
    from adrec import catalogue
    monkeypatch.setattr(catalogue, "_recbole_folder", lambda: None)
    monkeypatch.setattr(catalogue.pooch, "retrieve", lambda *args, **options: pytest.fail("it is here, and need not be fetched"))
    with zipfile.ZipFile(folder / "ml-100k.zip", "w") as files:
        files.writestr("ml-100k/u.data", "".join(f"{u[1:]}\t{i[1:]}\t{int(r)}\t{t}\n" for u, i, r, t in reviews()))
        files.writestr("ml-100k/u.genre", "unknown|0\nDrama|1\n")
        files.writestr("ml-100k/u.item", "".join(f"{i}|Film {i}|||http://x|0|1\n" for i in range(6)))
    data = load_data("ml-100k")
    assert data.n_interactions == 35 and data.titles([1]) == ["Film 0"]
    (folder / "ml-100k.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="this is not MovieLens 100K"): load_data("ml-100k")

def test_the_comparison():
    data = load_data("ml-100k")
    assert counts_verdict(data, "ml-100k") == "the counts are those of the paper's split"
    assert [c["difference"] for c in compare_counts(data, "ml-100k").values()] == [0, 0, 0]
    all_ratings = load_data("ml-100k", min_rating=0)
    assert "ratings from 4 up and the 5-core, and the preprocessing here was: 5-core" in counts_verdict(all_ratings, "ml-100k")
    assert compare_counts(synthetic_data()[0], "baby")["users"] == dict(found=300, expected=11761, difference=300 - 11761)

@pytest.mark.parametrize("name", ["baby", "beauty"])
def test_the_processed_files_reproduce_the_counts(name, capsys):
    import os
    if not (place := os.environ.get("ADREC_TEST_DATA")) or not Path(place, f"{name}.csv.gz").exists(): pytest.skip("needs ADREC_TEST_DATA")
    code, out, _ = say(capsys, "data", name, "--source", f"{place}/{name}.csv.gz")
    assert code == 0 and "the counts are those of the paper's split" in out
    for what in ("users", "items", "interactions"):
        found, expected, difference = re.search(rf"^{what} +([\d,]+) +([\d,]+) +([-\d,]+)$", out, re.M).groups()
        assert found == expected == f"{getattr(CATALOGUE[name], what):,}" and difference == "0"

def say(capsys, *words):
    from adrec.cli import main
    with pytest.raises(SystemExit) as done: main([str(word) for word in words])
    captured = capsys.readouterr()
    return done.value.code, captured.out, captured.err

def test_the_command_lists_and_compares(folder, capsys):
    code, out, _ = say(capsys, "data")
    assert code == 0 and re.search(r"^yelp +not known +64,669 +not known +yelp_academic_dataset_review.json +no$", out, re.M)
    rows = json.loads(say(capsys, "data", "--json")[1])
    assert [row["name"] for row in rows] == list(DATA_SETS) and rows[5]["users"] is None and rows[2]["here"] is False
    (folder / "reviews_Beauty_5.json.gz").write_bytes(gzip.compress(amazon(reviews()).encode()))
    assert re.search(r"^beauty .* yes$", say(capsys, "data")[1], re.M)
    code, out, err = say(capsys, "data", "beauty")
    assert code == 0 and err == "" and re.search(r"^interactions +35 +94,148 +-94,113$", out, re.M)
    found = json.loads(say(capsys, "data", "beauty", "--json")[1])
    assert found["counts"]["items"] == dict(found=6, expected=6086, difference=-6080)
    code, _, err = say(capsys, "data", "baby")
    assert code == 2 and err.count("\n") == 1 and "reviews_Baby_5.json.gz" in err
    code, _, err = say(capsys, "train", "--data", "baby", "--out", folder / "run")
    assert code == 2 and err.count("\n") == 1 and "reviews_Baby_5.json.gz" in err and not (folder / "run").exists()
    (folder / "reviews_Baby_5.json.gz").write_bytes(b"\x1f\x8b damaged")
    code, _, err = say(capsys, "data", "baby")
    assert code == 2 and err.count("\n") == 1 and "cannot be read" in err

def test_a_run_finds_its_raw_file_again(folder, capsys, tmp_path):
    path = tmp_path / "mine.json.gz"
    path.write_bytes(gzip.compress(amazon(reviews(12, 8)).encode()))
    code, _, err = say(capsys, "train", "--data", "toys", "--source", path, "--model", "sasrec", "--epochs", 1, "--dim", 8, "--device", "cpu", "--out", tmp_path / "run")
    assert code == 0, err
    arguments = json.loads((tmp_path / "run/config.json").read_text())["data"]["arguments"]
    assert arguments == {"source": "toys", "raw": str(path)}
    assert say(capsys, "evaluate", tmp_path / "run", "--device", "cpu")[0] == 0
    path.rename(tmp_path / "moved.json.gz")
    code, _, err = say(capsys, "evaluate", tmp_path / "run", "--device", "cpu")
    assert code == 2 and str(path) in err
    assert say(capsys, "evaluate", tmp_path / "run", "--device", "cpu", "--data", "toys", "--source", tmp_path / "moved.json.gz")[0] == 0
