"""adrec.read: formats, the two sources of MovieLens, bad input, and the cache."""
import gzip
import json
import os
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest

from adrec import archives, catalogue
from adrec import read as module
from adrec.checks import InputError
from adrec.data import build_sequences, synthetic_data
from adrec.read import (
    DataOptions,
    cache_folder,
    check_interactions,
    load_data,
    ml100k_tables,
    read_interactions,
)

HEAD = "user_id,item_id,timestamp\n"
GOOD = HEAD + "".join(f"u{u},i{i},{i}\n" for u in range(3) for i in range(u, u + 5))

def write(folder, name, text, encoding="utf-8"):
    path = folder/name
    content = text if isinstance(text, bytes) else text.encode(encoding)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


# The two sources of MovieLens

def tiny_archive(folder):
    "GroupLens' format with two films, one of them with an accent in Latin-1, and 4 ratings."
    flags = lambda *on: "|".join("1" if g in on else "0" for g in range(3))
    with zipfile.ZipFile(folder/"ml-100k.zip", "w") as files:
        files.writestr("ml-100k/u.data", "7\t2\t5\t100\n7\t1\t4\t90\n8\t1\t3\t80\n8\t2\t4\t80\n")
        files.writestr("ml-100k/u.genre", "unknown|0\nAction|1\nDrama|2\n\n")
        files.writestr("ml-100k/u.item", ("1|Misérables, Les (1995)|01-Jan-1995||http://a|" + flags(2) + "\n"
                                          '2|"Best" Film (1996)|01-Jan-1996||http://b|' + flags(1, 2) + "\n").encode("latin-1"))
    return folder/"ml-100k.zip"

def test_grouplens_archive(tmp_path):
    table, info = module._read_grouplens(tiny_archive(tmp_path))
    assert table[["user_id", "item_id", "rating", "timestamp"]].values.tolist() == [["7", "2", 5, 100], ["7", "1", 4, 90], ["8", "1", 3, 80], ["8", "2", 4, 80]]
    assert info.title.to_dict() == {"1": "Misérables, Les (1995)", "2": '"Best" Film (1996)'}
    assert info.genres.to_dict() == {"1": "Drama", "2": "Action|Drama"}

def test_both_sources_give_the_same_frames(tmp_path):
    "The whole of ML-100K, rewritten in GroupLens' format, comes back the same."
    table, info = ml100k_tables()
    genres = ["unknown"] + sorted(set("|".join(info.genres).split("|")) - {"unknown"})
    lines = [f"{i}|{row.title}|||" + "".join(f"|{int(g in row.genres.split('|'))}" for g in genres) for i, row in info.iterrows()]
    with zipfile.ZipFile(tmp_path/"ml-100k.zip", "w") as files:
        files.writestr("ml-100k/u.data", table[["user_id", "item_id", "rating", "timestamp"]].astype({"rating": int}).to_csv(sep="\t", index=False, header=False))
        files.writestr("ml-100k/u.genre", "".join(f"{g}|{n}\n" for n, g in enumerate(genres)))
        files.writestr("ml-100k/u.item", "\n".join(lines).encode("latin-1"))
    again, info_again = module._read_grouplens(tmp_path/"ml-100k.zip")
    build = lambda t, i: build_sequences(t, "ml-100k", 4, 5, i)
    assert build(again, info_again).fingerprint() == build(table, info).fingerprint()
    pd.testing.assert_frame_equal(info_again, info, check_dtype=False)

def test_fetches_with_a_hash_where_recbole_is_absent(tmp_path, monkeypatch):
    archive, calls = tiny_archive(tmp_path), []
    monkeypatch.setattr(catalogue, "_recbole_folder", lambda: None)
    monkeypatch.setattr(catalogue.pooch, "retrieve", lambda url, **options: calls.append((url, options)) or str(archive))
    table, info = ml100k_tables()
    assert len(table) == 4 and len(info) == 2
    assert calls[0][0] == "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    assert calls[0][1]["known_hash"] == "md5:0e33842e24a9c977be4e0107933c0723"

@pytest.mark.parametrize("error", [OSError("no route to host"), ValueError("MD5 hash of downloaded file does not match")])
def test_failed_fetch_is_one_clear_line(monkeypatch, error):
    def fail(*args, **options): raise error
    monkeypatch.setattr(catalogue, "_recbole_folder", lambda: None)
    monkeypatch.setattr(catalogue.pooch, "retrieve", fail)
    with pytest.raises(InputError, match="pip install --no-deps recbole==1.2.1") as caught: load_data("ml-100k")
    assert str(error) in str(caught.value) and "\n" not in str(caught.value)

def test_wrong_hash_is_refused(tmp_path, monkeypatch):
    "The real pooch, with a file instead of the network: another archive under this name does not pass."
    monkeypatch.setattr(catalogue, "_recbole_folder", lambda: None)
    monkeypatch.setattr(catalogue, "_ML100K_URL", tiny_archive(tmp_path).as_uri())
    monkeypatch.setattr(catalogue.pooch, "os_cache", lambda name: tmp_path/"cache")
    monkeypatch.delenv("ADREC_CACHE", raising=False)
    real = catalogue.pooch.retrieve
    copy = lambda url, output, pooch: Path(output).write_bytes((tmp_path/"ml-100k.zip").read_bytes())
    monkeypatch.setattr(catalogue.pooch, "retrieve", lambda url, **options: real(url, downloader=copy, **options))
    with pytest.raises(InputError, match="hash"): load_data("ml-100k")
    assert not list((tmp_path/"cache").glob("*.zip")), "nothing half-fetched is left"

def test_recbole_is_never_imported():
    import subprocess
    import sys
    code = "import sys; from adrec.read import load_data; load_data('ml-100k'); assert 'recbole' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Files

def tables():
    log = pd.DataFrame({"user_id": ["b", "b", "b", "a", "a", "a"], "item_id": ["x", "y", "z", "z", "007", "x"],
                        "timestamp": [3, 1, 2, 5, 5, 4], "rating": [5, 4, 5, 4, 5, 4]})
    return log, build_sequences(log, "log").fingerprint()

@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv", "log.TSV", "log.txt.gz", "log.parquet", "log.inter", "log.jsonl", "log.json.gz", "my.log.v2.csv"])
def test_every_format_gives_the_same_sequences(tmp_path, name):
    log, expected = tables()
    if "parquet" in name: log.to_parquet(tmp_path/name)
    elif "json" in name: write(tmp_path, name, log.to_json(orient="records", lines=True))
    else:
        if name.endswith(".inter"): log = log.rename(columns=lambda c: f"{c}:{'token' if c.endswith('id') else 'float'}")
        write(tmp_path, name, log.to_csv(index=False, sep="," if ".csv" in name else "\t"))
    data = load_data(tmp_path/name, min_rating=0, k_core=0)
    assert data.fingerprint() == expected and data.user_ids.tolist() == ["b", "a"] and "007" in set(data.item_info.item_id)
    assert list(data.item_info.columns) == ["item_id"] and data.titles([1]) == [data.item_info.item_id[1]]
    assert data.sequence(1).tolist() == data.item_numbers(["x", "z", "007"]).tolist(), "ties keep the order of the file"

def test_column_names_and_other_columns(tmp_path):
    path = write(tmp_path, "log.csv", "note,when,who,what\nhello,1,a,x\n,2,a,y\n,3,a,z\n")
    assert load_data(path, user="who", item="what", time="when").n_interactions == 3

def test_amazon_reviews(tmp_path):
    rows = [dict(reviewerID=f"A{u}", asin=f"000{i}", overall=5.0 if i else 2.0, unixReviewTime=100 - i, summary="x") for u in range(5) for i in range(6)]
    path = write(tmp_path, "reviews_Tiny_5.json.gz", "\n".join(map(json.dumps, rows)) + "\n\n")
    data = load_data(path)
    assert (data.n_users, data.n_items, data.n_interactions, data.name) == (5, 5, 25, "reviews_Tiny_5")
    assert data.titles(data.sequence(0)) == ["0005", "0004", "0003", "0002", "0001"]

def test_json_lines_with_other_fields(tmp_path):
    "Yelp's names: a user_id of our own name, the rest chosen, dates as times."
    rows = [dict(user_id="a", business_id=f"b{i}", stars=5, date=f"2018-07-0{9 - i} 22:09:11") for i in range(4)]
    path = write(tmp_path, "review.json", "\n".join(map(json.dumps, rows)))
    data = load_data(path, item="business_id", time="date", rating="stars", k_core=0)
    assert data.titles(data.sequence(0)) == ["b3", "b2", "b1", "b0"]

def test_dates_and_large_integers(tmp_path):
    nano = 1_400_000_000_000_000_000
    path = write(tmp_path, "nano.csv", HEAD + f"a,x,{nano + 2}\na,y,{nano + 1}\na,z,{nano}\n")
    assert load_data(path).titles([3, 2, 1]) == load_data(path).titles(load_data(path).sequence(0)), "no rounding of large integers"
    frame = pd.DataFrame({"user_id": "a", "item_id": list("xyz"), "timestamp": pd.to_datetime(["2014-03-01", "2014-02-01", "2014-01-01"])})
    frame.to_parquet(tmp_path/"dates.parquet")
    data = load_data(tmp_path/"dates.parquet")
    assert data.timestamps[0] == pd.Timestamp("2014-01-01").timestamp() and data.sequence(0).tolist() == [3, 2, 1]

def test_numeric_parquet_ids_stay_whole(tmp_path):
    pd.DataFrame({"user_id": [12.0] * 3, "item_id": pd.array([1, 2, 3], dtype="Int64"), "timestamp": pd.array([1, 2, 3], dtype="Int64")}).to_parquet(tmp_path/"n.parquet")
    data = load_data(tmp_path/"n.parquet")
    assert data.user_ids.tolist() == ["12"] and data.item_info.item_id.tolist() == ["1", "2", "3"] and data.timestamps.dtype.kind in "iuf"

def test_byte_order_mark_trailing_blank_lines_and_extra_spaces(tmp_path):
    assert load_data(write(tmp_path, "bom.csv", "\ufeff" + GOOD + "\n,,\n")).n_interactions == 15

def test_endings_in_capitals(tmp_path):
    with gzip.open(tmp_path / "LOG.CSV.GZ", "wt") as f:
        f.write("user_id,item_id,timestamp\n" + "".join(f"u{u},i{i},{i}\n" for u in range(2) for i in range(3)))
    assert load_data(tmp_path / "LOG.CSV.GZ").n_interactions == 6


# Bad input: one line that names the file, the row or value, and what would be right

FAULTS = {
    "time": ("t.csv", GOOD + "u1,i9,noon\n", ["t.csv, line 17", "'noon'", "881250949"]),
    "time missing": ("t.csv", GOOD + "u1,i9,\n", ["line 17", "timestamp"]),
    "time infinite": ("t.csv", GOOD + "u1,i9,inf\n", ["line 17", "timestamp"]),
    "time not a date": ("t.csv", HEAD + "a,x,2014-01-01\na,y,2014-13-01\na,z,2014-01-02\n", ["line 3", "2014-13-01"]),
    "dates among numbers": ("t.csv", GOOD + "u1,i9,2014-01-01\n", ["line 17", "2014-01-01"]),
    "too few fields": ("t.csv", GOOD + "u1,i9\n", ["line 17", "timestamp"]),
    "user empty": ("t.csv", GOOD + ",i9,3\n", ["line 17", "user_id is empty"]),
    "only one user of this name": ("t.csv", GOOD + "NaN,i9,3\n", ["'NaN' has 1 item", "min_user_items"]),
    "item spaces": ("t.csv", GOOD + "u1,  ,3\n", ["line 17", "item_id is empty"]),
    "several": ("t.csv", GOOD + ",i9,3\n,i8,3\n", ["line 17", "2 such lines"]),
    "blank line inside": ("t.csv", HEAD + "\n" + "a,x,1\n", ["line 2", "user_id"]),
    "duplicate": ("t.csv", GOOD + "u1,i2,2\n", ["line 17", "line 8", "'u1'", "'i2'", "keep one"]),
    "duplicate with braces": ("t.csv", HEAD + "{value},{x},1\n{value},{x},1\n", ["line 3", "line 2"]),
    "rating NaN": ("t.csv", "user_id,item_id,timestamp,rating\na,x,1,5\na,y,2,\n", ["line 3", "rating"]),
    "rating text": ("t.tsv", "user_id\titem_id\ttimestamp\trating\na\tx\t1\tgood\n", ["line 2", "'good'"]),
    "column": ("t.csv", "user,item_id,timestamp\na,x,1\n", ["no column 'user_id'", "user, item_id, timestamp"]),
    "too short": ("t.csv", GOOD + "u9,i1,1\nu9,i2,2\n", ["'u9' has 2 items", "k_core"]),
    "one item": ("t.csv", GOOD + "u9,i1,1\n", ["'u9' has 1 item,", "k_core"]),
    "empty file": ("t.csv", "", ["t.csv"]),
    "only a header": ("t.csv", HEAD, ["no interactions"]),
    "not gzip": ("t.csv.gz", None, ["cannot be read as csv in gzip"]),
    "not text": ("t.csv", gzip.compress(GOOD.encode()), ["cannot be read as csv"]),
    "not parquet": ("t.parquet", GOOD, ["cannot be read as parquet"]),
    "ending": ("t.xlsx", GOOD, ["t.xlsx", ".csv, .tsv"]),
    "json": ("t.json", '{"user_id": "a", "item_id": "x", "timestamp": 1}\n{"user_id"\n', ["line 2", "JSON"]),
    "json list": ("t.jsonl", "[1, 2]\n", ["line 1", "JSON object"]),
    "json field missing once": ("t.json", '{"reviewerID": "a", "asin": "x", "unixReviewTime": 1}\n\n{"reviewerID": "a", "unixReviewTime": 1}\n', ["line 3", "item_id is empty"]),
    "json field": ("t.json", '{"who": "a", "asin": "x", "unixReviewTime": 1}\n', ["no column 'user_id'", "who, asin"]),
    "json object as time": ("t.json", '{"user_id": "a", "item_id": "x", "timestamp": {"s": 1}}\n', ["line 1", "timestamp"]),
    "json blank": ("t.json", "\n", ["no interactions"]),
}

@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_file(tmp_path, fault):
    name, text, parts = FAULTS[fault]
    path = tmp_path/name
    if text is None: path.write_text(GOOD)
    else: write(tmp_path, name, text)
    with pytest.raises(InputError) as caught: load_data(path, min_rating=0 if "rating" in fault else None)
    message = str(caught.value)
    assert "\n" not in message and all(part in message for part in parts), message

@pytest.mark.parametrize("cut", [5, 20, 60])
def test_torn_gzip(tmp_path, cut):
    path = tmp_path/"t.csv.gz"
    path.write_bytes(gzip.compress(GOOD.encode() * 50)[:cut])
    with pytest.raises(InputError, match="t.csv.gz: cannot be read"): load_data(path)

def test_damaged_gzip_and_parquet(tmp_path):
    content = bytearray(gzip.compress(os.urandom(3000).hex().encode()))
    content[1000:1100] = bytes(100)
    (tmp_path/"t.csv.gz").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as csv in gzip"): load_data(tmp_path/"t.csv.gz")
    pd.DataFrame({"user_id": ["a"]}).to_parquet(tmp_path/"t.parquet")
    (tmp_path/"t.parquet").write_bytes((tmp_path/"t.parquet").read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as parquet"): load_data(tmp_path/"t.parquet")

def test_parquet_rows_count_from_one(tmp_path):
    pd.DataFrame({"user_id": ["a", None], "item_id": ["x", "y"], "timestamp": [1, 2]}).to_parquet(tmp_path/"t.parquet")
    with pytest.raises(InputError, match="row 2: the user_id"): load_data(tmp_path/"t.parquet")

def test_names_and_paths(tmp_path):
    write(tmp_path, "baby.csv", GOOD)
    with pytest.raises(InputError, match="Did you mean 'baby.csv'"): load_data(tmp_path/"babby.csv")
    with pytest.raises(InputError, match="no such file"): load_data(tmp_path/"no"/"x.csv")
    with pytest.raises(InputError, match="folder"): load_data(tmp_path)
    with pytest.raises(InputError, match="Did you mean 'ml-100k'.*synthetic"): load_data("ml-10k")
    with pytest.raises(InputError, match="There are ml-100k, baby, .*, synthetic"): load_data("qwertz")

def test_preprocessing_that_cannot_be(tmp_path):
    path = write(tmp_path, "t.csv", GOOD)
    with pytest.raises(InputError, match="min_rating=4 needs ratings"): load_data(path, min_rating=4)
    with pytest.raises(InputError, match="no column 'stars'"): load_data(path, rating="stars")
    with pytest.raises(InputError, match="none the k-core .k_core=9.; use a smaller k_core"): load_data(path, k_core=9)
    with pytest.raises(InputError, match="use a smaller min_rating"): load_data("ml-100k", min_rating=6)
    with pytest.raises(InputError, match="whole number"): load_data(path, k_core=-1)
    with pytest.raises(InputError, match="leave out"): load_data("synthetic", k_core=5)


# Against plain Python, and against files with one fault

def random_log(rng):
    "A small log with ties, users who repeat an item, and ids that look like numbers but are not."
    n, names = int(rng.integers(20, 120)), [f"{zeros}{i}" for i in range(4) for zeros in ("", "0", "00")]
    users, items = rng.choice(names[:int(rng.integers(2, 12))], n), rng.choice(names[:int(rng.integers(2, 12))], n)
    log = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": rng.integers(0, rng.choice([4, 30, 10**9]), n), "rating": rng.integers(1, 6, n)})
    return log.drop_duplicates(["user_id", "item_id", "timestamp"])

def plain_python(log, min_rating, k):
    "Users with their items and times, by dictionaries, repeated filtering and the stable `sorted`."
    rows = [r for r in log[["user_id", "item_id", "timestamp", "rating"]].itertuples(index=False, name=None) if r[3] >= min_rating]
    while True:
        users, items = Counter(r[0] for r in rows), Counter(r[1] for r in rows)
        left = [r for r in rows if users[r[0]] >= k and items[r[1]] >= k]
        if len(left) == len(rows): break
        rows = left
    histories = {}
    for u, i, t, _ in rows: histories.setdefault(u, []).append((t, i))
    return {u: sorted(h, key=lambda pair: pair[0]) for u, h in histories.items()}, list(dict.fromkeys(r[1] for r in rows))

@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_random_logs_against_plain_python(tmp_path, ending):
    rng, compared = np.random.default_rng(7), 0
    for _ in range(60):
        log, path = random_log(rng), tmp_path/f"log.{ending}"
        if ending == "parquet": log.to_parquet(path)
        else: log.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
        min_rating, k = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        histories, items = plain_python(log, min_rating, k)
        if not histories or min(map(len, histories.values())) < 3:
            with pytest.raises(InputError, match="at least 3 are needed|none the k-core"): load_data(path, min_rating=min_rating, k_core=k)
            continue
        data, compared = load_data(path, min_rating=min_rating, k_core=k), compared + 1
        ids = data.item_info.item_id.to_numpy()
        assert data.user_ids.tolist() == list(histories) and ids.tolist() == items, "numbered by first appearance after filtering"
        for row, history in enumerate(histories.values()):
            assert list(zip(data.timestamps[data.offsets[row]:data.offsets[row + 1]].tolist(), ids[data.sequence(row) - 1])) == history
        assert data.items.dtype == data.offsets.dtype == np.int64 and data.item_info.item_id.dtype == "str" and data.user_ids.dtype.kind == "U"
    assert compared > 15, "the logs are too sparse to test anything"

@pytest.mark.parametrize("line, complaint", [("{u},{i},{t},{r}", "stand already in line {other}; keep one of the two"), (",1,5,3", "the user_id is empty"),
                                             ("1, ,5,3", "the item_id is empty"), ("1,1,soon,3", "'soon' cannot be read"), ("1,1,5,good", "'good' is not a number")])
def test_one_fault_anywhere_is_found(tmp_path, line, complaint):
    rng = np.random.default_rng(3)
    for _ in range(15):
        log = random_log(rng)
        first = int(rng.integers(0, len(log)))
        at = int(rng.integers(first + 1, len(log) + 1))  # the faulty line stands before row `at`
        u, i, t, r = log.iloc[first]
        lines = log.to_csv(index=False).split("\n")
        lines.insert(at + 1, line.format(u=u, i=i, t=t, r=r))
        path = write(tmp_path, "log.csv", "\n".join(lines))
        with pytest.raises(InputError) as caught: load_data(path)
        assert f"log.csv, line {at + 2}: " in str(caught.value) and complaint.format(other=first + 2) in str(caught.value), str(caught.value)

def test_ids_that_look_like_numbers_stay_text(tmp_path):
    path = write(tmp_path, "t.csv", HEAD + "".join(f"{u},{i},{n}\n" for u in ("7", "007", "7.0") for n, i in enumerate(("1", "01", "1.0"))))
    data = load_data(path)
    assert data.user_ids.tolist() == ["7", "007", "7.0"] and data.item_info.item_id.tolist() == ["1", "01", "1.0"]

def test_equal_hashes_do_not_make_a_duplicate(monkeypatch):
    table = pd.DataFrame({"user_id": ["a"] * 3, "item_id": list("xyz"), "timestamp": [1, 2, 3]}, index=pd.RangeIndex(2, 5, name="line"))
    monkeypatch.setattr(pd.util, "hash_pandas_object", lambda facts, index: pd.Series(np.zeros(len(facts), dtype="uint64")))
    check_interactions(table, "t.csv")

def test_a_number_that_could_be_a_far_year(tmp_path):
    path = write(tmp_path, "t.csv", HEAD + "a,x,4449\na,y,4450\na,z,soon\n")
    with pytest.raises(InputError, match="line 4: the timestamp 'soon'"): load_data(path)


# The cache

@pytest.fixture
def cached(tmp_path, monkeypatch):
    "Every file is worth keeping; the list counts how often one is read."
    reads = []
    read = module.read_interactions
    monkeypatch.setattr(module, "read_interactions", lambda path, *a, **k: reads.append(path) or read(path, *a, **k))
    monkeypatch.setattr(module, "_CACHE_FROM", 0)
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path/"cache"))
    return reads

def entries(folder): return [f for f in (folder/"cache").rglob("*") if f.is_file()]

def assert_same(a, b):
    for name in ("items", "offsets", "timestamps", "user_ids"):
        left, right = getattr(a, name), getattr(b, name)
        assert left.dtype == right.dtype and np.array_equal(left, right), name
    pd.testing.assert_frame_equal(a.item_info, b.item_info, check_index_type="exact", check_column_type="exact")
    assert (a.name, a.source, a.preprocessing, a.fingerprint()) == (b.name, b.source, b.preprocessing, b.fingerprint())
    assert [type(v) for v in a.preprocessing.values()] == [type(v) for v in b.preprocessing.values()]

RATED = "user_id,item_id,timestamp,rating\n" + "".join(f"ü{u},00{i},{i},{5 - (i == 3)}\n" for u in range(5) for i in range(6))

@pytest.mark.parametrize("name, text", [("t.csv", GOOD), ("t.csv", GOOD.replace(",1\n", ",1.5\n")), ("t.tsv.gz", RATED.replace(",", "\t"))])
def test_cached_data_are_the_same(tmp_path, cached, name, text):
    path = write(tmp_path, name, text)
    first, again, without = load_data(path), load_data(str(path)), load_data(path, cache=False)
    assert len(cached) == 2, "the second call should not have read the file, the third should"
    assert_same(first, again)
    assert_same(first, without)
    assert len(entries(tmp_path)) == 1
    again.items[0] = again.timestamps[0] = 0  # whoever gets them may change them, as ever

def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path, cached):
    path = write(tmp_path, "t.csv", GOOD)
    old, before = path.stat(), load_data(path)
    path.write_text(GOOD.replace("i6", "i7"))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    assert load_data(path).fingerprint() != before.fingerprint() and len(cached) == 2
    assert len(entries(tmp_path)) == 1, "the old entry makes room for the new one"

def test_each_argument_has_an_entry_of_its_own(tmp_path, cached):
    head, *rows = RATED.split()
    path = write(tmp_path, "t.csv", "\n".join([f"{head},who,stars", *(f"{row},v{n // 6},{n % 3 + 3}" for n, row in enumerate(rows))]))
    variants = [{}, dict(min_rating=5), dict(k_core=2), dict(user="who"), dict(rating="stars", k_core=1)]
    fresh = [load_data(path, cache=False, **v) for v in variants]
    for _ in range(2):
        for variant, expected in zip(variants, fresh): assert_same(load_data(path, **variant), expected)
    assert len(entries(tmp_path)) == len(variants) and len(cached) == 2 * len(variants)
    load_data(path, min_rating=np.int64(5), k_core=np.int64(2))  # numbers of numpy, too
    assert len(entries(tmp_path)) == len(variants) + 1

def test_another_version_does_not_read_the_entry(tmp_path, cached, monkeypatch):
    path = write(tmp_path, "t.csv", GOOD)
    load_data(path)
    for name, value in (("_CACHE_FORMAT", -1), ("__version__", "another")):
        monkeypatch.setattr(module, name, value)
        load_data(path)
    assert len(cached) == 3

def test_damaged_entries_are_made_again(tmp_path, cached):
    path, rng = write(tmp_path, "t.csv", GOOD), np.random.default_rng(0)
    expected = load_data(path)
    entry, = entries(tmp_path)
    whole = entry.read_bytes()
    damaged = [b"", b"x", whole[:50], whole[:-1], whole[:len(whole) // 2], gzip.compress(whole), bytes(len(whole))]
    for at in rng.integers(0, len(whole), 100):  # one byte anywhere
        damaged.append(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1:])
    for content in damaged:
        entry.write_bytes(content)
        assert_same(load_data(path), expected)
    assert len(cached) > 90, "most of them must have been noticed (some bytes of a zip file say nothing)"
    for arrays in (dict(items=[1]), dict(about="{}"), dict(about=np.array([{}], dtype=object))):
        np.savez(entry, **arrays)
        assert_same(load_data(path), expected)

def test_a_killed_writer_leaves_no_entry(tmp_path, cached, monkeypatch):
    path = write(tmp_path, "t.csv", GOOD)
    def killed(file, **arrays):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt): load_data(path)
    assert not entries(tmp_path)
    load_data(path)
    assert len(entries(tmp_path)) == 1

def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, cached, monkeypatch):
    path = write(tmp_path, "t.csv", GOOD)
    monkeypatch.setenv("ADREC_CACHE", str(path/"below a file"))
    assert load_data(path).fingerprint() == load_data(path).fingerprint() and len(cached) == 2
    def full(file, **arrays): raise OSError(28, "No space left on device")
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path/"cache"))
    monkeypatch.setattr(np, "savez", full)
    assert load_data(path).n_users == 3 and not entries(tmp_path)

def test_faulty_files_are_not_kept(tmp_path, cached):
    path = write(tmp_path, "t.csv", GOOD + "u1,i9,noon\n")
    for _ in range(2):
        with pytest.raises(InputError, match="line 17"): load_data(path)
    with pytest.raises(InputError, match="no such file"): load_data(tmp_path/"no.csv")
    assert not entries(tmp_path)

def test_small_files_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path/"cache"))
    load_data(write(tmp_path, "t.csv", GOOD))
    load_data("synthetic")
    assert not (tmp_path/"cache").exists()

def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("ADREC_CACHE", "somewhere")
    assert cache_folder() == Path("somewhere")
    monkeypatch.delenv("ADREC_CACHE")
    assert cache_folder() == Path(catalogue.pooch.os_cache("adrec"))


# Logs as other programs write them

ROWS = [(f"u{u}", f"i{(u + n) % 6}", n % 5 + 1, 1_300_000_000 + 1000 * n + u) for u in range(4) for n in range(5)]

def lines(sep=",", head=("user_id", "item_id", "rating", "timestamp"), rows=ROWS, end="\n"):
    return end.join(sep.join(map(str, row)) for row in ([head] if head else []) + list(rows)) + end

@pytest.fixture
def expected():
    return build_sequences(pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"]), "log").fingerprint()

WRITTEN = {
    "semicolon": ("log.csv", lines(";"), {}), "bar": ("log.csv", lines("|"), {}), "tab": ("log.csv", lines("\t"), {}),
    "two colons": ("log.dat", lines("::"), {}), "blanks": ("log.txt", lines(" "), {}), "runs of blanks": ("log.inter", lines("   "), {}),
    "quoted": ("log.csv", lines('";"').replace("\n", '"\n"')[:-1].join(['"', ""]), {}),
    "another mark": ("log.csv", lines("¦"), dict(sep="¦")), "named": ("log.txt", lines("\t"), dict(sep="tab")),
    "no header": ("log.csv", lines(head=None), dict(header=False)), "MovieLens": ("log.dat", lines("::", None), dict(header=False)),
    "u.data": ("log.tsv", lines("\t", None), dict(header=False)),
    "numbers": ("log.txt", lines(" ", None, [(t, i, u, r) for u, i, r, t in ROWS]), dict(header=False, time="1", item="2", user="3", rating="4")),
    "typed": ("log.csv", lines(head=("user_id:token", "item_id:token", "rating:float", "timestamp:float")), {}),
    "capitals": ("log.csv", lines(head=("USER ID", "Item-Id", "Rating", "TIMESTAMP")), {}),
    "blanks after commas": ("log.csv", lines(", "), {}), "Windows": ("log.csv", lines(end="\r\n"), {}), "old Mac": ("log.csv", lines(end="\r"), {}),
    "separator at the end": ("log.csv", lines().replace("\n", ",\n"), {}), "at the end of lines alone": ("log.csv", lines().replace("\n", ",\n").replace(",\n", "\n", 1), {}),
    "UTF-16": ("log.csv", lines().encode("utf-16"), {}), "UTF-16 LE, packed": ("log.tsv.gz", b"\xff\xfe" + lines("\t").encode("utf-16-le"), {}),
    "UTF-8 with a mark": ("log.csv", lines().encode("utf-8-sig"), {}), "JSON in UTF-16": ("log.json", "\n".join(json.dumps(dict(zip(("user_id", "item_id", "rating", "timestamp"), r))) for r in ROWS).encode("utf-16"), {}),
}

@pytest.mark.parametrize("how", WRITTEN)
def test_other_dialects(tmp_path, how, expected):
    name, text, options = WRITTEN[how]
    data = load_data(write(tmp_path, name, text), min_rating=0, k_core=0, **options)
    assert data.fingerprint() == expected
    assert bool(data.notes) == (how in ("no header", "MovieLens", "u.data", "numbers", "capitals")), data.notes

def test_latin1_needs_a_word(tmp_path):
    path = write(tmp_path, "t.csv", GOOD.replace("i3", "señor"), "latin-1")
    with pytest.raises(InputError, match="not UTF-8; encoding='cp1252' .--encoding cp1252"): load_data(path)
    assert "señor" in set(load_data(path, encoding="latin-1").item_info.item_id)

def test_names_of_missing_values_are_ids(tmp_path):
    odd = ["NA", "null", "None", "nan", "n/a", "NaN", "NULL", "#N/A"]
    text = HEAD + "".join(f"u{u},{i},{n}\n" for u in range(2) for n, i in enumerate(odd))
    for path in (write(tmp_path, "t.csv", text), write(tmp_path, "t.tsv", text.replace(",", "\t"))):
        assert load_data(path).item_info.item_id.tolist() == odd
    records = [dict(user_id="u", item_id=i, timestamp=n) for n, i in enumerate(odd)]
    assert load_data(write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, records)))).item_info.item_id.tolist() == odd
    with pytest.raises(InputError, match="line 9: the item_id is empty"):
        load_data(write(tmp_path, "n.jsonl", "\n".join(map(json.dumps, [*records, dict(user_id="u", item_id=None, timestamp=9)]))))

REFUSED = {
    "a cell too many": ("t.csv", "user_id,title,item_id,timestamp\na,Film, The,x,1\n", {}, ["line 2: 5 cells", "header has 4", "quotes"]),
    "in a later line": ("t.csv", GOOD + "u0,1,234,5\n", {}, ["line 17: 4 cells", "header has 3"]),
    "in TSV": ("t.tsv", GOOD.replace(",", "\t") + "u0\ta\tb\t5\n", {}, ["line 17: 4 cells"]),
    "quoted": ("t.csv", '"user_id","item_id","timestamp"\n"a","x","1","2"\n', {}, ["line 2: 4 cells"]),
    "a footer": ("t.csv", GOOD + "(15 rows)\n", {}, ["line 17: 1 cell,", "'(15 rows)'"]),
    "without header": ("t.csv", GOOD.removeprefix(HEAD) + "u0,i1\n", dict(header=False), ["line 16: 2 cells", "first line has 3"]),
    "a quote that swallows": ("t.csv", GOOD + 'u0,"i7,9\nu1,i8,9\nu1,"i9,9\n', {}, ["line 17", "quoted cell does not end"]),
    "a quote until the end": ("t.csv", GOOD + 'u0,"i7,9\nu1,i8,9\n', {}, ["line 17", "quoted cell does not end"]),
    "a break inside a text": ("t.csv", 'user_id,item_id,timestamp,note\na,x,1,"fine\nreally"\n', {}, ["line 2", "quoted cell does not end"]),
    "two roles": ("t.csv", GOOD, dict(time="item_id"), ["'item_id' cannot be both the item_id and the timestamp"]),
    "rating and time": ("t.csv", GOOD, dict(rating="timestamp"), ["cannot be both the timestamp and the rating"]),
    "two of one name": ("t.csv", "user_id,user_id,item_id,timestamp\na,b,x,1\n", {}, ["2 columns could be the user_id"]),
    "one column": ("t.csv", "user_id\na\n", {}, ["no tab or comma", "'user_id'", "--sep"]),
    "header is values": ("t.csv", "u1,i1,1300000000\nu1,i2,1300000001\n", {}, ["holds values", "--no-header", "user_id, item_id, timestamp"]),
    "likely time": ("t.csv", "user_id,item_id,When\na,x,1\n", {}, ["no column 'timestamp'", "--time-column When"]),
    "likely item": ("t.csv", "user_id,Book-Rating,ISBN,timestamp\na,1,x,1\n", {}, ["--item-column ISBN"]),
    "no time": ("t.csv", "user_id,item_id\na,x\n", {}, ["--order lines"]),
    "no such number": ("t.csv", GOOD.removeprefix(HEAD), dict(header=False, user="9"), ["no column '9'"]),
    "yes and no": ("t.csv", HEAD + "a,x,True\n", {}, ["line 2: the timestamp 'True'"]),
    "yes as rating": ("t.csv", "user_id,item_id,timestamp,rating\na,x,1,False\n", {}, ["the rating 'False'"]),
    "yes in JSON": ("t.jsonl", '{"user_id": "a", "item_id": "x", "timestamp": true}\n', {}, ["line 1: the timestamp 'True'"]),
    "yes among numbers": ("t.jsonl", '{"user_id": "a", "item_id": "x", "timestamp": 1}\n{"user_id": "a", "item_id": "y", "timestamp": true}\n', {}, ["line 2: the timestamp 'True'"]),
    "a key comes late": ("t.jsonl", '{"user_id": "a", "item_id": "x", "timestamp": 1}\n{"user_id": "a", "item_id": "y", "timestamp": 2, "rating": 3}\n', {}, ["line 1: the rating is empty", "1 of 2 lines"]),
    "surrogate": ("t.jsonl", '{"user_id": "\\ud800", "item_id": "x", "timestamp": 1}\n', {}, ["line 1: the user_id", "surrogate"]),
    "surrogate as time": ("t.jsonl", '{"user_id": "a", "item_id": "x", "timestamp": "\\udfff"}\n', {}, ["line 1: the timestamp"]),
    "brackets": ("t.jsonl", '{"user_id": ' + "[" * 100_000 + "\n", {}, ["line 1", "nested"]),
    "a number of 5,000 digits": ("t.jsonl", '{"user_id": ' + "9" * 5000 + "}\n", {}, ["line 1: not a JSON object"]),
    "a long value": ("t.csv", HEAD + "a,x," + "soon" * 1000 + "\n", {}, ["line 2: the timestamp 'soon"]),
    "control characters": ("t.csv", HEAD + "a,x,\x1b]0;title\x07\n", {}, ["\\x1b]0;title\\x07"]),
    "order": ("t.csv", GOOD, dict(order="rows"), ["'time' or 'lines'"]), "encoding": ("t.csv", GOOD, dict(encoding="klingon"), ["no encoding 'klingon'"]),
    "order and dates": ("t.csv", GOOD, dict(order="lines", time_format="%Y"), ["leave out"]), "sep of JSON": ("t.jsonl", "{}", dict(sep=";"), ["sep has no meaning"]),
    "binary": ("t.csv", bytes(range(256)) * 20, {}, ["cannot be read"]),
}

@pytest.mark.parametrize("fault", REFUSED)
def test_refused_in_one_line(tmp_path, fault):
    name, text, options, parts = REFUSED[fault]
    with pytest.raises(InputError) as caught: load_data(write(tmp_path, name, text), **options)
    message = str(caught.value).replace(str(tmp_path), "")
    assert "\n" not in message and "\x1b" not in message and len(message) < 500 and all(part in message for part in parts), message

@pytest.mark.parametrize("name", ["t.tsv", "t.inter"])
def test_quotes_are_letters_where_nothing_is_quoted(tmp_path, name):
    rows = [(u, i + '"' * (u == "u1"), r, t) for u, i, r, t in ROWS]
    data = load_data(write(tmp_path, name, lines("\t", rows=rows)), min_rating=0, k_core=0)
    assert data.n_interactions == len(ROWS) and 'i1"' in set(data.item_info.item_id)

def test_times_in_other_forms(tmp_path):
    rows = [("a", "x", "03/20/2011 21:20"), ("a", "y", "12/01/2010 00:00"), ("a", "z", "03/20/2011 21:21")]
    path = write(tmp_path, "t.csv", lines(head=("user_id", "item_id", "timestamp"), rows=rows))
    data = load_data(path, time_format="%m/%d/%Y %H:%M")
    assert data.titles(data.sequence(0)) == ["y", "x", "z"] and data.dates() == ("2010-12-01 00:00:00", "2011-03-20 21:21:00")
    with pytest.raises(InputError, match="line 2: the timestamp '03/20/2011 21:20' cannot be read.*%d.%m.%Y"): load_data(path, time_format="%d.%m.%Y")
    path = write(tmp_path, "none.csv", "user_id,item_id\na,z\nb,z\na,y\nb,y\na,x\nb,x\n")
    data = load_data(path, order="lines")
    assert data.titles(data.sequence(0)) == ["z", "y", "x"] and data.dates() is None and data.preprocessing["order"] == "lines"

@pytest.mark.parametrize("index", [["user_id"], ["item_id"], ["timestamp"], ["user_id", "item_id"], "moment", "range"])
def test_parquet_with_an_index(tmp_path, index, expected):
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    if index == "moment": frame = frame.assign(timestamp=pd.to_datetime(frame.timestamp, unit="s")).set_index("timestamp")
    elif index == "range":
        frame = frame.sort_values("timestamp", kind="stable").drop(columns="timestamp")
        expected = build_sequences(frame.assign(timestamp=range(len(frame))), "log").fingerprint()
        frame.index = pd.RangeIndex(len(frame), name="timestamp")
    else: frame = frame.set_index(index)
    frame.to_parquet(tmp_path/"log.parquet")
    assert load_data(tmp_path/"log.parquet", min_rating=0, k_core=0).fingerprint() == expected

def test_parquet_of_other_types(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    frame.assign(timestamp=frame.timestamp % 2 == 0).to_parquet(tmp_path/"bool.parquet")
    with pytest.raises(InputError, match="row 1: the timestamp 'True'"): load_data(tmp_path/"bool.parquet")
    frame.assign(item_id=[[i] for i in frame.item_id]).to_parquet(tmp_path/"list.parquet")
    with pytest.raises(InputError, match="'item_id' holds a list"): load_data(tmp_path/"list.parquet")
    frame.assign(item_id=[i.encode() for i in frame.item_id]).to_parquet(tmp_path/"bytes.parquet")
    assert "i1" in set(load_data(tmp_path/"bytes.parquet", min_rating=0, k_core=0).item_info.item_id)

def test_archives_and_folders(tmp_path, expected):
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    (tmp_path/"log.parquet").mkdir()
    for n in range(2): frame[n * 10:n * 10 + 10].to_parquet(tmp_path/"log.parquet"/f"part-{n}.parquet")
    (tmp_path/"log.parquet"/"_SUCCESS").touch()
    with zipfile.ZipFile(tmp_path/"log.zip", "w") as archive: archive.writestr("folder/log.csv", lines())
    for name in ("log.parquet", "log.zip"): assert load_data(tmp_path/name, min_rating=0, k_core=0).fingerprint() == expected
    with zipfile.ZipFile(tmp_path/"two.zip", "w") as archive:
        for name in "ab": archive.writestr(f"{name}.csv", lines())
    with pytest.raises(InputError, match="2 files in this archive .a.csv, b.csv."): load_data(tmp_path/"two.zip")
    (tmp_path/"no.zip").write_text("no archive")
    with pytest.raises(InputError, match="no.zip: cannot be read"): load_data(tmp_path/"no.zip")

def test_an_archive_that_grows_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_TIMES", 20)
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    path = write(tmp_path, "t.csv.gz", HEAD + "u1,i1,1\n" * 100_000)
    with pytest.raises(InputError, match="20 times its size"): load_data(path)
    monkeypatch.setattr(archives, "_LONGEST_LINE", 1_000_000)
    monkeypatch.setattr(archives, "MOST_TIMES", 10_000)
    with pytest.raises(InputError, match="a line is longer"): load_data(write(tmp_path, "z.csv.gz", HEAD + "0" * 6_000_000))


# What is noted, and what is dropped when asked

NOTED = {
    "two units": (HEAD + "".join(f"a,i{n},{(1_300_000_000 + n) * (1000 if n % 2 else 1)}\n" for n in range(6)), {}, "3 look like seconds, 3 look like milliseconds"),
    "lost digits": (HEAD + "".join(f"a,i{n},1.3000{n}E+12\n" for n in range(6)), {}, "at most six digits"),
    "equal times": (HEAD + "".join(f"a,i{n},7\n" for n in range(6)), {}, "for every user all times are equal"),
    "some equal": (GOOD + "".join(f"v,i{n},7\n" for n in range(4)), {}, "for 1 of 4 users"),
    "a hundred": ("user_id,item_id,timestamp,rating\n" + "".join(f"a,i{n},{n},{n * 10 + 10}\n" for n in range(6)), dict(k_core=0), "go from 10 to 60.*keeps all"),
    "ten stars": ("user_id,item_id,timestamp,rating\n" + "".join(f"a,i{n},{n},{n}\n" for n in range(1, 11)), dict(k_core=0), "70% of them"),
    "blanks": (GOOD + "w,i1 ,1\nw,i2,2\nw,i3,3\n", {}, "item_ids differ only by blanks, such as 'i1' and 'i1 '"),
    "cold": (HEAD + "".join(f"u{u},i{n},{n}\nu{u},new{u}{n},{n + 50}\n" for u in range(3) for n in range(4)), {}, "100% of the test answers"),
}

@pytest.mark.parametrize("what", NOTED)
def test_notes(tmp_path, what):
    text, options, note = NOTED[what]
    path = write(tmp_path, "t.csv", text)
    found = load_data(path, **options).facts()["warnings"]
    assert any(re.search(note, sentence) for sentence in found), found

def test_nothing_is_noted_of_an_ordinary_log(tmp_path):
    text = lines(rows=[(f"u{u}", f"i{(u + n) % 6}", n % 5 + 1, 1_300_000_123 + 1007 * n + u) for u in range(6) for n in range(6)])
    data = load_data(write(tmp_path, "t.csv", text), min_rating=0, k_core=0)
    assert data.notes == [] and data.facts()["warnings"] == [] and data.facts()["first"] == "2011-03-13 07:08:43"
    assert (data.equal_times(), data.cold_answers()) == (0, 0)

def test_a_filter_that_keeps_nothing_says_the_scale(tmp_path):
    path = write(tmp_path, "t.csv", "user_id,item_id,timestamp,rating\n" + "".join(f"a,i{n},{n},0.{n}\n" for n in range(6)))
    with pytest.raises(InputError, match="smaller min_rating; the ratings go from 0 to 0.5"): load_data(path)

def test_repeats_and_short_users_go_when_asked(tmp_path):
    path = write(tmp_path, "t.csv", GOOD + "u1,i2,2\nu1,i2,2\nu9,i2,1\nu9,rare,2\n")
    with pytest.raises(InputError, match="line 17: .*--drop-duplicates"): load_data(path)
    with pytest.raises(InputError, match="'u9' has 2 items.*--min-user-items 3.*--k-core 3"): load_data(path, drop_duplicates=True)
    data = load_data(path, drop_duplicates=True, min_user_items=3)
    assert data.fingerprint() == load_data(write(tmp_path, "good.csv", GOOD)).fingerprint(), "and nobody else"
    assert data.preprocessing["min_user_items"] == 3 and data.notes[0] == "2 repeated interactions were dropped"
    with pytest.raises(InputError, match="whole number"): load_data(path, drop_duplicates=True, min_user_items=2.5)
    with pytest.raises(InputError, match="leave out sep"): load_data("ml-100k", sep=",")


# The cache and odd paths

def test_the_cache_is_private_and_keeps_notes(tmp_path, cached, monkeypatch):
    path = write(tmp_path, "t.csv", HEAD + "".join(f"a,i{n},7\n" for n in range(6)))
    first, again = load_data(path), load_data(path)
    assert len(cached) == 1 and first.notes == again.notes != []
    assert (tmp_path/"cache"/"sequences").stat().st_mode & 0o077 == 0
    monkeypatch.setattr(module, "_is_ours", lambda entry: False)
    load_data(path)
    assert len(cached) == 2, "another user's entry was believed"

def test_folders_are_cached_by_their_parts(tmp_path, cached):
    (tmp_path/"log").mkdir()
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "weather", "timestamp"])
    for n in range(2): frame[n * 10:n * 10 + 10].to_parquet(tmp_path/"log"/f"{n}.parquet")
    assert load_data(tmp_path/"log").fingerprint() == load_data(tmp_path/"log").fingerprint() and len(cached) == 1
    frame[15:].to_parquet(tmp_path/"log"/"1.parquet")
    with pytest.raises(InputError): load_data(tmp_path/"log", k_core=6)
    assert len(cached) == 2

@pytest.mark.parametrize("name", ["with blanks.csv", "-dash.csv", "two\nlines.csv", "x" * 240 + ".csv", "dots.and.csv.csv"])
def test_odd_paths(tmp_path, cached, name):
    path = write(tmp_path, name, GOOD)
    assert load_data(path).fingerprint() == load_data(path).fingerprint() and len(cached) == 1
    path.write_text(GOOD + "u1,i9,noon\n")
    with pytest.raises(InputError, match="line 17") as caught: load_data(path)
    assert "\n" not in str(caught.value)

def test_impossible_paths(tmp_path):
    for path in (tmp_path/("x" * 5000 + ".csv"), "a\0b.csv", "y" * 5000):
        with pytest.raises(InputError) as caught: load_data(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600

def test_any_damage_is_read_or_refused(tmp_path):
    "Bytes changed, lost and added at random: never anything but data or one line."
    rng, outcomes = np.random.default_rng(0), Counter()
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    frame.to_parquet(tmp_path/"a.parquet")
    records = "\n".join(map(json.dumps, frame.to_dict("records")))
    sources = [write(tmp_path, n, t) for n, t in (("a.csv", lines()), ("a.tsv", lines("\t")), ("a.dat", lines("::")), ("a.csv.gz", lines()), ("a.jsonl", records),
                                                  ("b.csv", lines('","').replace("\n", '"\n"')), ("c.csv", lines().encode("utf-16")))] + [tmp_path/"a.parquet"]
    pieces = [b'"', b",", b"\n", b"\r", b"\0", b"\xff\xfe", b"1e999", b"True", b"[[[[", b"\\ud800", b"9" * 30, b"-", b";;"]
    for source in sources:
        content = source.read_bytes()
        for _ in range(40):
            damaged = bytearray(content)
            for _ in range(rng.integers(1, 3)):
                at = int(rng.integers(len(damaged)))
                match rng.integers(3):
                    case 0: damaged[at] = int(rng.integers(256))
                    case 1: del damaged[at:at + int(rng.integers(1, 20))]
                    case 2: damaged[at:at] = pieces[rng.integers(len(pieces))]
            path = tmp_path/f"damaged{''.join(source.suffixes)}"
            path.write_bytes(damaged)
            try: load_data(path, min_rating=0, k_core=0)
            except InputError as error: outcomes["refused"] += "\n" not in str(error)
            else: outcomes["read"] += 1
    assert outcomes.total() == 40 * len(sources) and min(outcomes.values()) > 10, outcomes


# Dates of digits alone, swallowed lines, parts and types

def dated(*dates): return HEAD + "".join(f"a,i{n},{date}\n" for n, date in enumerate(dates))

@pytest.mark.parametrize("how, dates, order", [
    ("%m%d%Y", ("01152020", "02102020", "03052020", "11032020", "12012020"), [1, 2, 3, 4, 5]),
    ("%d%m%Y", ("01112019", "02112019", "01122019", "05012019"), [4, 1, 2, 3]),
    ("%H%M", ("0130", "0005", "2359"), [2, 1, 3]), ("%Y.%m", ("2019.10", "2019.1", "2019.09"), [2, 3, 1]),
    ("%Y%m%d%H%M%S%f", ("20190101000000123", "20190101000000023", "20180101000000999"), [3, 2, 1])])
def test_dates_of_digits_keep_their_zeros(tmp_path, how, dates, order):
    data = load_data(write(tmp_path, "t.csv", dated(*dates)), time_format=how)
    assert data.sequence(0).tolist() == order
    data = load_data(write(tmp_path, "t.jsonl", "\n".join(json.dumps(dict(user_id="a", item_id=n, timestamp=d)) for n, d in enumerate(dates))), time_format=how)
    assert data.sequence(0).tolist() == order

def test_dates_that_lost_their_zeros_are_refused(tmp_path):
    with pytest.raises(InputError, match="line 2: the timestamp '1152020'"): load_data(write(tmp_path, "t.csv", dated("1152020", "11152020")), time_format="%m%d%Y")
    frame = pd.DataFrame({"user_id": "a", "item_id": list("xyz"), "timestamp": [12012020, 11032020, 1152020]})
    frame.to_parquet(tmp_path/"t.parquet")
    with pytest.raises(InputError, match="row 3: the timestamp '1152020'"): load_data(tmp_path/"t.parquet", time_format="%m%d%Y")
    frame.assign(timestamp=[20200102, 20200101, 20191231]).to_parquet(tmp_path/"t.parquet")
    assert load_data(tmp_path/"t.parquet", time_format="%Y%m%d").sequence(0).tolist() == [3, 2, 1]

@pytest.mark.parametrize("sep", ",;|\t")
@pytest.mark.parametrize("first, last", [('"""big', 'big"""'), ('"x ""y', 'y"" z"'), ('"', '"'), ('""""', '"'), ('"a""', '""b"')])
def test_no_pair_of_quotes_swallows_lines(tmp_path, sep, first, last):
    rows = [("u1", "a", "i1", 1), ("u1", first, "i2", 2), ("u1", "a", "i3", 3), ("u1", last, "i4", 4), ("u1", "a", "i5", 5), ("u1", "a", "i6", 6)]
    head = [f'"{name}"' if sep == "\t" else name for name in ("user_id", "title", "item_id", "timestamp")]
    path = write(tmp_path, "t.csv", lines(sep, head, rows))
    if first == '""""': line = 5  # a letter, and a cell that ends
    else: line = 3
    with pytest.raises(InputError, match=f"line {line}: a quoted cell does not end"): load_data(path)

def test_quotes_that_end_in_their_line_are_read(tmp_path):
    cells = ['""', '""""', '"""big"""', '"x ""y"" z"', '"a,b"', 'a"b', '"a"b']
    text = "user_id,title,item_id,timestamp\n" + "".join(f"u1,{cell},i{n},{n}\n" for n, cell in enumerate(cells))
    assert load_data(write(tmp_path, "t.csv", text)).n_interactions == len(cells)

def test_parts_are_in_the_order_of_their_numbers(tmp_path):
    (tmp_path/"log").mkdir()
    for n in range(12): pd.DataFrame({"user_id": ["a"], "item_id": [f"i{n}"]}).to_parquet(tmp_path/"log"/f"part.{n}.parquet")
    data = load_data(tmp_path/"log", order="lines")
    assert data.titles(data.sequence(0)) == [f"i{n}" for n in range(12)]

@pytest.mark.parametrize("top", [True, False])
def test_parts_in_inner_folders_are_not_passed_over(tmp_path, top):
    inner = tmp_path/"log"/"year=2020"
    inner.mkdir(parents=True)
    (tmp_path/"log"/"_temporary").mkdir()
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    frame.to_parquet(inner/"a.parquet")
    if top: frame.to_parquet(tmp_path/"log"/"a.parquet")
    with pytest.raises(InputError, match="Parquet files in the folder 'year=2020'"): load_data(tmp_path/"log")

def test_parts_with_ids_of_other_types(tmp_path):
    (tmp_path/"log").mkdir()
    for n, ids in enumerate(([2**53 + 1, 2**53 + 2, 3], [3.0, 4.5, 5.0], ["3", "7", "x"])):
        pd.DataFrame({"user_id": ids, "item_id": list("xyz"), "timestamp": n}).to_parquet(tmp_path/"log"/f"{n}.parquet")
    table = read_interactions(tmp_path/"log")
    assert table.user_id.tolist() == ["9007199254740993", "9007199254740994", "3", "3", "4.5", "5", "3", "7", "x"]

def test_ids_of_json_are_text_value_by_value(tmp_path):
    ids = [2**53, 2**53 + 1, 3, 3.0, "3", 4.5, "04"]
    path = write(tmp_path, "t.jsonl", "\n".join(json.dumps(dict(user_id=i, item_id=f"i{n}", timestamp=n)) for n, i in enumerate(ids)))
    assert read_interactions(path).user_id.tolist() == ["9007199254740992", "9007199254740993", "3", "3", "3", "4.5", "04"]

@pytest.mark.parametrize("line, part", [
    ('{"user_id": ["a"], "item_id": "x", "timestamp": 1}', 'the user_id is \'["a"]\''), ('{"user_id": "a", "item_id": {"x": 1}, "timestamp": 1}', "an id is text or a number"),
    ('{"user_id": true, "item_id": "x", "timestamp": 1}', "the user_id is 'true'"), ('{"user_id": "a", "item_id": "x", "item_id": "y", "timestamp": 1}', "the key 'item_id' stands there twice")])
def test_json_that_is_no_interaction(tmp_path, line, part):
    good = '{"user_id": "a", "item_id": "x", "timestamp": 0}\n'
    with pytest.raises(InputError, match="line 2: ") as caught: load_data(write(tmp_path, "t.jsonl", good + line + "\n"))
    assert part in str(caught.value) and "\n" not in str(caught.value)

@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_array_is_named(tmp_path, indent):
    text = json.dumps([dict(user_id="a", item_id="x", timestamp=0)] * 2, indent=indent)
    with pytest.raises(InputError, match="line 1: .*(one line is one object|without brackets)"): load_data(write(tmp_path, "t.json", text))


# What was noted too little, or said in the wrong words

def test_quotes_that_became_part_of_ids_are_noted(tmp_path):
    quoted = [(f'"{u}"', f'"{i}"', r, t) for u, i, r, t in ROWS]
    for name, sep in (("t.tsv", "\t"), ("t.csv", ", "), ("t.inter", ",")):
        notes = load_data(write(tmp_path, name, lines(sep, rows=quoted)), min_rating=0, k_core=0).notes
        assert [re.search('.*_ids, such as *("..").* quote', n)[1] for n in notes if "quote" in n] == ['"u0"', '"i0"'][name == "t.csv":], (name, notes)

ONE_LINE_EACH = {
    "a separator inside": ("t.dat", lines("::").replace("i1", "i\x1f1", 1).encode(), {}, ["\\x1f", "'::'"]),
    "NUL": ("t.csv", GOOD + "u9\0,i1,9\n", {}, ["line 17: the user_id 'u9\\x00' holds"]),
    "a line end in JSON": ("t.jsonl", b'{"user_id": "a", "item_id": "x\\r", "timestamp": 1}\n', {}, ["line 1: the item_id 'x\\r' holds a line end"]),
    "two orders": ("t.csv", GOOD.replace("timestamp", "when"), dict(order="lines", time="when"), ["'when'", "--order lines"]),
    "UTF-16 cut": ("t.csv", GOOD.encode("utf-16")[:-1], {}, ["middle of a character"]),
    "UTF-8 cut": ("t.csv", ("user_id,item_id,timestamp,note\na,x,1,fine\na,y,2,caf\u00e9".encode())[:-1], {}, ["middle of a character"]),
    "beyond time": ("t.csv", HEAD + "a,x,9223372036854775808\na,y,9223372036854775809\n", {}, ["line 2: the timestamp '9.2", "beyond"]),
    "far beyond": ("t.jsonl", b'{"user_id": "a", "item_id": "x", "timestamp": -1e300}\n', {}, ["line 1", "beyond"]),
    "an empty time": ("t.csv", GOOD + "u1,i9,\n", {}, ["line 17: the timestamp '' cannot be read"]),
    "no directive": ("t.csv", GOOD, dict(time_format="%Q"), ["time_format='%Q'", "--time-format"]), "seconds": ("t.csv", GOOD, dict(time_format="%s"), ["time_format='%s'"]),
    "a lone sign": ("t.csv", GOOD, dict(time_format="%"), ["time_format='%'"]), "no format": ("t.csv", GOOD, dict(time_format=""), ["time_format=''"]),
    "a pandas word": ("t.csv", GOOD, dict(time_format="mixed"), ["time_format='mixed'"]), "twice": ("t.csv", GOOD, dict(time_format="%d%d"), ["time_format='%d%d'"]),
    "UTF-16 without a mark": ("t.csv", GOOD.encode("utf-16-le"), {}, ["UTF-16 without a mark", "'utf-16-le'"]), "the other": ("t.csv", GOOD.encode("utf-16-be"), {}, ["'utf-16-be'"]),
    "gzip": ("t.csv", gzip.compress(GOOD.encode()), {}, ["packed by gzip"]), "zip": ("t.tsv", b"PK\x03\x04" + bytes(50), {}, ["zip archive", "Excel"]),
    "old Excel": ("t.csv", b"\xd0\xcf\x11\xe0" + bytes(50), {}, ["Excel"]), "Parquet": ("t.jsonl", b"PAR1\x15\x04" + bytes(50), {}, ["is Parquet"]),
    "Excel's word": ("t.csv", "sep=;\n" + GOOD.replace(",", ";"), {}, ["line 1: 'sep=;'", "Excel"]), "in quotes": ("t.csv", '"sep=,"\n' + GOOD, {}, ["line 1", "Excel"]),
    "blank first": ("t.csv", "\n\n" + GOOD, {}, ["line 1: a blank line"]), "blanks first": ("t.tsv", "  \n" + GOOD.replace(",", "\t"), {}, ["line 1: a blank line"]),
    "a name to quote": ("t.csv", "user_id,item_id,my time $1\na,x,1\n", {}, ["--time-column 'my time $1'"]),
}

@pytest.mark.parametrize("fault", ONE_LINE_EACH)
def test_said_in_one_line(tmp_path, fault):
    name, text, options, parts = ONE_LINE_EACH[fault]
    with pytest.raises(InputError) as caught: load_data(write(tmp_path, name, text), **options)
    message = str(caught.value).replace(str(tmp_path), "")
    assert message.isprintable() and len(message) < 500 and all(part in message for part in parts), message

@pytest.mark.parametrize("how", ["%d.%m.%Y", "%Y-%m-%dT%H:%M:%S%z", "%b %d %Y %I:%M %p", "%y%j"])
def test_good_formats_are_not_blamed(tmp_path, how):
    moments = [pd.Timestamp(f"20{10 + n}-03-0{n + 1} 21:20", tz="utc") for n in (2, 0, 1)]
    assert load_data(write(tmp_path, "t.csv", HEAD + "".join(f"a,i{n},{m.strftime(how)}\n" for n, m in enumerate(moments))), time_format=how).sequence(0).tolist() == [2, 3, 1]

@pytest.mark.parametrize("end", ["   ", "\t\n", "  \n", "\x1a", "\x1a\n", "\n\n \n"])
def test_nothing_at_the_end_is_nothing(tmp_path, end):
    expected = load_data(write(tmp_path, "good.csv", GOOD)).fingerprint()
    assert load_data(write(tmp_path, "t.csv", GOOD + end)).fingerprint() == expected
    records = "\n".join(json.dumps(dict(zip(HEAD.strip().split(","), line.split(",")))) for line in GOOD.splitlines()[1:])
    assert load_data(write(tmp_path, "t.jsonl", records + "\n" + end)).fingerprint() == expected

def test_two_marks_are_no_part_of_a_name(tmp_path):
    expected = load_data(write(tmp_path, "good.csv", GOOD)).fingerprint()
    assert load_data(write(tmp_path, "t.csv", "\ufeff\ufeff" + GOOD)).fingerprint() == expected
    assert load_data(write(tmp_path, "u.csv", ("\ufeff" + GOOD).encode("utf-16"))).fingerprint() == expected

def test_bytes_in_parquet_are_text_or_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    def table(ids, kind): pq.write_table(pa.table({"user_id": ["a"] * 3, "item_id": pa.array(ids, kind), "timestamp": [1, 2, 3]}), tmp_path/"t.parquet")
    for kind in (pa.binary(), pa.large_binary(), pa.binary(2)):
        table([b"i1", b"i2", b"i3"], kind)
        assert load_data(tmp_path/"t.parquet").item_info.item_id.tolist() == ["i1", "i2", "i3"]
        table([b"\xff1", b"\xfe2", b"i3"], kind)
        with pytest.raises(InputError, match="'item_id' holds bytes") as caught: load_data(tmp_path/"t.parquet")
        assert "encoding" not in str(caught.value)


# Tables in memory

MOMENTS = pd.to_datetime([t for *_, t in ROWS], unit="s")
ISO = pd.DataFrame([(f"user {u}", f"00{i[1:]}", t.isoformat()) for (u, i, _, _), t in zip(ROWS, MOMENTS)], columns=["user_id", "item_id", "timestamp"]).iloc[::-1].reset_index(drop=True)

class Frames:
    "What polars offers, without polars."
    def __init__(self, frame, ways):
        if "arrow" in ways: self.to_arrow = lambda: pyarrow.Table.from_pandas(frame, preserve_index=False)
        if "pandas" in ways: self.to_pandas = frame.copy

def polars_frame(frame): return pytest.importorskip("polars").from_pandas(frame)

AS_TABLE = {"pandas": lambda frame: frame, "Arrow": lambda frame: pyarrow.Table.from_pandas(frame, preserve_index=False), "polars": polars_frame,
            "to_arrow": lambda frame: Frames(frame, ["arrow", "pandas"]), "to_pandas": lambda frame: Frames(frame, ["pandas"]),
            "batch": lambda frame: pyarrow.RecordBatch.from_pandas(frame, preserve_index=False)}

@pytest.mark.parametrize("kind", AS_TABLE)
@pytest.mark.parametrize("options", [{}, dict(k_core=2), dict(order="lines"), dict(min_user_items=3)])
def test_a_table_gives_the_data_of_its_csv(tmp_path, kind, options):
    "Text ids with zeros in front and ISO times; with and without dates as dates."
    ISO.to_csv(tmp_path/"log.csv", index=False)
    expected = load_data(tmp_path/"log.csv", **options)
    for frame in (ISO, ISO.assign(timestamp=pd.to_datetime(ISO.timestamp))):
        before, data = frame.copy(), load_data(AS_TABLE[kind](frame), name="log", **options)
        data = module.replace(data, source=expected.source)
        assert_same(data, expected)
        assert data.notes == expected.notes
        pd.testing.assert_frame_equal(frame, before)

OTHER_TYPES = {
    "categories": lambda f: f.astype({"user_id": "category", "timestamp": "category"}), "objects": lambda f: f.astype(object), "nullable": lambda f: f.convert_dtypes(),
    "of Arrow": lambda f: f.convert_dtypes(dtype_backend="pyarrow"), "indices": lambda f: f.set_index(["timestamp", "user_id"]), "shuffled labels": lambda f: f.set_axis(range(90, 90 - len(f), -1)),
    "bytes": lambda f: f.assign(user_id=[u.encode() for u in f.user_id]), "a second name": lambda f: f.rename(columns={"user_id": "User ID"}),
    "small numbers": lambda f: f.astype({"timestamp": "int32", "rating": "int8"}), "unsigned": lambda f: f.astype({"timestamp": "uint64"}), "texts": lambda f: f.assign(timestamp=f.timestamp.astype(str), rating=f.rating.astype(str))}

@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_types_that_a_frame_may_have(expected, kind):
    data = load_data(OTHER_TYPES[kind](pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])), min_rating=0, k_core=0)
    assert data.fingerprint() == expected and data.timestamps.dtype == np.int64 and data.preprocessing == dict(min_rating=None, k_core=None)

@pytest.mark.parametrize("ids", [[1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", "3"], [1, "2", 3.0], pd.array([1, 2, 3], dtype="Int64"), pd.array([1, 2, 3], dtype="Float64"),
                                 pd.Categorical([1.0, 2.0, 3.0]), pd.Categorical([1, 2, 3]), np.array([1, 2, 3], dtype=object), np.array([1, 2, 3], dtype="int8")])
def test_ids_become_the_same_texts(ids):
    data = load_data(pd.DataFrame({"user_id": ids, "item_id": ids, "timestamp": 1}).loc[[0, 0, 0, 1, 1, 1, 2, 2, 2]].assign(timestamp=range(9)))
    assert data.user_ids.tolist() == data.item_info.item_id.tolist() == ["1", "2", "3"]

@pytest.mark.parametrize("how", ["datetime64[s]", "datetime64[ms]", "datetime64[us]", "datetime64[ns]", "zone", "python", "ISO", "category", "period"])
def test_dates_become_the_same_seconds(how):
    times, texts = pd.Series(pd.to_datetime(["2024-05-01 10:00:00", "2024-05-01 09:59:59", "2024-05-02 00:00:00"])), ["2024-05-01T10:00:00", "2024-05-01T09:59:59", "2024-05-02T00:00:00"]
    times = {"zone": lambda: times.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"), "python": lambda: pd.Series([t.to_pydatetime() for t in times], dtype=object), "ISO": lambda: texts,
             "category": lambda: times.astype("category"), "period": lambda: times.dt.to_period("s")}.get(how, lambda: times.astype(how))()
    data = load_data(pd.DataFrame({"user_id": "a", "item_id": list("xyz"), "timestamp": times}))
    assert data.timestamps.tolist() == [1714557599, 1714557600, 1714608000] and data.sequence(0).tolist() == [2, 1, 3]

def test_fractions_of_a_second_do_not_depend_on_the_unit(tmp_path):
    times = pd.Series(pd.to_datetime(1_300_000_000_000_000 + np.arange(50) * 123_457, unit="us"))
    frame = pd.DataFrame({"user_id": "a", "item_id": [f"i{n}" for n in range(50)], "timestamp": times})
    frame.to_csv(tmp_path/"t.csv", index=False)
    for kind in ("us", "ns"): assert np.array_equal(load_data(frame.astype({"timestamp": f"datetime64[{kind}]"})).timestamps, load_data(tmp_path/"t.csv").timestamps)

def faulty(column, value):
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"]).astype({column: object}).set_axis(range(100, 120))
    frame.iat[7, frame.columns.get_loc(column)] = value
    return frame

@pytest.mark.parametrize("column, value, part", [
    ("user_id", None, "the user_id is empty or NaN"), ("item_id", pd.NA, "the item_id is empty"), ("item_id", " ", "the item_id is empty"), ("user_id", ["a"], "an id is text or a number"),
    ("user_id", "a\nb", "holds a line end"), ("timestamp", pd.NaT, "the timestamp '' cannot be read"), ("timestamp", "noon", "'noon'"), ("timestamp", True, "'True'"),
    ("rating", None, "the rating ''"), ("rating", "good", "'good'")])
def test_faults_of_a_frame_are_named_by_row(column, value, part):
    with pytest.raises(InputError) as caught: load_data(faulty(column, value), min_rating=0, k_core=0)
    message = str(caught.value)
    assert message.startswith("DataFrame, row 7: ") and part in message and "\n" not in message

@pytest.mark.parametrize("make, part", [
    (lambda f: f.assign(timestamp=pd.to_timedelta(f.timestamp, unit="s")), "row 0: the timestamp '15046 days"), (lambda f: f.assign(rating=pd.to_datetime(f.timestamp)), "row 0: the rating"),
    (lambda f: f.rename(columns={"user_id": "who"}), "--user-column who"), (lambda f: pd.concat([f, f.user_id], axis=1), "2 columns could be"), (lambda f: f[:0], "no interactions in this table"),
    (lambda f: pd.concat([f, f[3:4]]), "row 20: .* stand already in row 3"), (lambda f: f.assign(item_id=pd.Series(["\ud800"] * len(f), dtype=object)), "cannot be read"), (lambda f: pyarrow.chunked_array([[1]]), "no table of columns"),
    (lambda f: f.user_id, "not Series"), (lambda f: [f], "not list"), (lambda f: None, "not NoneType")])
def test_what_no_frame_should_be(make, part):
    frame = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"]).astype({"item_id": object})
    with pytest.raises(InputError, match=part) as caught: load_data(make(frame), min_rating=0, k_core=0)
    assert "\n" not in str(caught.value)

def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")
    ours = pd.DataFrame(ROWS, columns=["user_id", "item_id", "rating", "timestamp"])
    when = polars.from_epoch(polars.col("timestamp"), time_unit="s")
    for theirs in (frame, frame.with_columns(polars.col("user_id").cast(polars.String).cast(polars.Categorical)), frame.with_columns(when),
                   frame.with_columns(when.dt.replace_time_zone("Asia/Tokyo")), frame.with_columns(when.dt.strftime("%Y-%m-%d %H:%M:%S"))):
        assert load_data(theirs, min_rating=0, k_core=0).fingerprint() == load_data(ours, min_rating=0, k_core=0).fingerprint()
    with pytest.raises(InputError, match="not LazyFrame"): load_data(frame.lazy())

def test_names_of_tables_and_options_of_files(monkeypatch, tmp_path):
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path/"cache"))
    monkeypatch.setattr(module, "_CACHE_FROM", 0)
    assert load_data(ISO).name == "DataFrame" and load_data(ISO, name="shop").name == "shop" and load_data("synthetic", name="toy").name == "toy"
    named = ISO.copy()
    named.attrs["name"] = "guests"
    assert load_data(named).name == "guests" and "in memory" in load_data(named).source and not (tmp_path/"cache").exists()
    for option in (dict(sep=","), dict(header=False), dict(encoding="latin-1")):
        with pytest.raises(InputError, match="no meaning for tables in memory"): load_data(ISO, **option)
    with pytest.raises(InputError, match="shop: .*k_core=99"): load_data(ISO, name="shop", k_core=99)
    assert load_data(ISO.set_axis([0, 1, 2], axis=1), user=0, item=1, time=2).fingerprint() == load_data(ISO).fingerprint()

def test_data_carry_the_arguments_that_make_them_again(tmp_path, monkeypatch, cached):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(RATED.replace("user_id", "who"))
    whole = str((tmp_path/"t.csv").resolve())
    said = dict(user="who", k_core=2, min_rating=0, name="shop")
    for data in (load_data("t.csv", **said), load_data(Path("t.csv"), DataOptions(user="who"), k_core=2, min_rating=0, name="shop", cache=False)):
        assert data.arguments == dict(source=whole) | said and json.dumps(data.arguments)
    assert len(entries(tmp_path)) == 1 and load_data("t.csv", **said).arguments == data.arguments, "also from the cache"
    monkeypatch.chdir(Path(__file__).parent)
    assert_same(load_data(**data.arguments), data)
    assert load_data("synthetic").arguments == dict(source="synthetic") and load_data(ISO).arguments is None
    assert load_data("synthetic").fingerprint() == synthetic_data()[0].fingerprint() and synthetic_data()[0].arguments is None

def test_any_path(tmp_path):
    class Here:
        def __fspath__(self): return str(tmp_path/"t.csv")
    path = write(tmp_path, "t.csv", GOOD)
    assert load_data(Here()).fingerprint() == load_data(str(path)).fingerprint() and load_data(path, name="good").name == "good"


# Options as one declaration

def test_options_in_one_record_or_one_by_one(tmp_path):
    path = write(tmp_path, "t.csv", GOOD.replace(",", ";").replace("user_id", "who"))
    options = DataOptions(user="who", sep="semicolon", k_core=2)
    assert load_data(path, options).fingerprint() == load_data(path, user="who", sep=";", k_core=2).fingerprint()
    assert load_data(path, options, k_core=0).preprocessing["k_core"] is None and read_interactions(path, options, order="lines").timestamp.tolist() == list(range(15))
    assert options.changed() == dict(user="who", sep=";", k_core=2) and DataOptions().changed() == {} and DataOptions(**options.changed()) == options

@pytest.mark.parametrize("options, part", [
    (dict(min_rating=np.nan), "min_rating is a number"), (dict(min_rating="4"), "min_rating is a number, not '4'"), (dict(min_rating=True), "min_rating"), (dict(k_core=2.5), "whole number"),
    (dict(min_user_items=-1), "min_user_items is a whole number"), (dict(k_core="5"), "whole number"), (dict(user=None), "user must be text"), (dict(header=None), "header must be True or False"),
    (dict(sep=""), "sep is what stands"), (dict(sep=3), "sep is what stands"), (dict(encoding=5), "no encoding"), (dict(time_format=5), "time_format=5"), (dict(order="rows"), "'time' or 'lines'"),
    (dict(order="lines", time="when"), "--order lines"), (dict(order="lines", drop_duplicates=True), "leave out drop_duplicates"), (dict(drop_duplicates=1), "drop_duplicates must be")])
def test_options_that_cannot_be(options, part):
    for make in (DataOptions, lambda **options: load_data(ISO, **options)):
        with pytest.raises(InputError, match=re.escape(part)) as caught: make(**options)
        assert "\n" not in str(caught.value)

def test_options_that_are_none():
    with pytest.raises(InputError, match="unknown option 'kcore'. Did you mean 'k_core'"): load_data(ISO, kcore=3)
    with pytest.raises(InputError, match="given by name, such as k_core=5; not 4"): load_data(ISO, 4)
    with pytest.raises(InputError, match="leave out user, sep"): load_data("ml-100k", sep=";", user="who")

def test_every_option_has_a_type_a_default_and_a_sentence():
    from dataclasses import fields
    from inspect import signature

    from fastcore.docments import docments
    about, shown = docments(DataOptions), docments(load_data)
    for field in fields(DataOptions):
        assert about[field.name][0].isupper() and about[field.name][-1] in ".?" and shown[field.name] == about[field.name]
        assert signature(load_data).parameters[field.name].default == field.default
    assert all(isinstance(value, int) for value in DataOptions(k_core=5.0, min_rating=np.int64(4)).changed().values())


# Numbers in front of nothing

def test_blank_lines_at_the_end_cost_no_digits(tmp_path):
    nano = 1_400_000_000_000_000_000
    path = write(tmp_path, "t.csv", HEAD + f"a,x,{nano + 2}\na,y,{nano + 1}\na,z,{nano}\n\n,,\n")
    assert load_data(path).timestamps.tolist() == [nano, nano + 1, nano + 2]
