"Files as well-known data sets publish them, read without options; every packing; and what must be refused."
import bz2
import gzip
import io
import json
import lzma
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adrec import archives
from adrec import read as module
from adrec.archives import PACKINGS, inner_name, raw_blocks
from adrec.checks import InputError
from adrec.columns import column_role
from adrec.fields import KNOWN_COLUMNS, pick_columns
from adrec.formats import read_records
from adrec.read import load_data, read_interactions

# Six guests, six teas: everybody likes all of them, in an order of their own, and one that nobody likes. The lines stand in no order.
START = 1_367_400_000
LIKED = [(u, i, 4 + (u + i) % 2, START + 10_000 * ((i * 5 + u * u) % 6) + u) for u in range(6) for i in range(6)]
ROWS = [row for n in range(6) for row in LIKED[n::6]]
RATED = ROWS[:20] + [(u, 6, 2, START + 70_000 + u) for u in range(6)] + ROWS[20:]

def expected(user, item):
    "User id -> item ids in the order of time, users as they first appear."
    histories = {}
    for u, i, _, t in ROWS: histories.setdefault(user(u), []).append((t, item(i)))
    return {u: [i for _, i in sorted(history)] for u, history in histories.items()}

def found(data): return {user: data.titles(data.sequence(n)) for n, user in enumerate(data.user_ids)}

def customer(u): return f"A{'KQ7XZ2'[u]}GGUESTNO{u}"
def long_customer(u): return f"A{'E7GHKL'[u]}GUESTGUESTGUESTGUESTNO{u:03}A"
def asin(i): return f"B00TEA{i:04}" if i % 3 else f"07{i:07}X"
def number(n): return str(n + 1)
def stamp(t, how="%Y-%m-%d %H:%M:%S"): return pd.Timestamp(t, unit="s").strftime(how)
def json_lines(records): return "".join(json.dumps(record) + "\n" for record in records).encode()
def text(rows, sep=",", head=None, encoding="utf-8"):
    return "".join(sep.join(map(str, row)) + "\n" for row in ([head] if head else []) + list(rows)).encode(encoding)

def amazon_2014():
    return json_lines(dict(reviewerID=customer(u), asin=asin(i), reviewerName="Somebody \"B\"", helpful=[0, 1], reviewText="Nice, isn't it?\n", overall=float(r),
                           summary="Tea", unixReviewTime=t, reviewTime=stamp(t, "%m %d, %Y")) for u, i, r, t in RATED)

def amazon_2018():
    return json_lines(dict(overall=float(r), verified=True, reviewTime=stamp(t, "%m %d, %Y"), reviewerID=customer(u), asin=asin(i), style={"Size:": " S"}, reviewerName="B",
                           reviewText="Nice", summary="Tea", unixReviewTime=t) | (dict(vote="3", image=["https://x/y.jpg"]) if i == 2 else {}) for u, i, r, t in RATED)

def amazon_2023():
    return json_lines(dict(rating=float(r), title="Tea", text="Nice", images=[{"small_image_url": "https://x"}], asin=f"B0VARIANT{u}", parent_asin=asin(i),
                           user_id=long_customer(u), timestamp=t * 1000 + 7, helpful_vote=0, verified_purchase=True) for u, i, r, t in RATED)

def yelp():
    return json_lines(dict(review_id=f"r{u}-{i}", user_id=f"u-{u}_", business_id=f"b{i}", stars=float(r), useful=0, funny=0, cool=0, text="Nice\n\u00e9", date=stamp(t))
                      for u, i, r, t in RATED)

def steam():  # printed by Python 2; some lines have a user_id as well
    records = [dict(username=f"guest's {u}", hours=0.1, products=41, product_id=number(i), page_order=0, date=stamp(START + (t - START) * 10, "%Y-%m-%d"), text='"no"\t\u00e9',
                    early_access=False, page=1) | (dict(user_id=f"7656{u}", compensation="Product received for free") if i in (1, 2) else {}) for u, i, r, t in ROWS]
    return "".join(re.sub(r"""(?<=[{ ])(?=['"])""", "u", ascii(record)) + "\n" for record in records).encode()

def retailrocket():
    return text(((t * 1000 + 3, u + 1, "transaction" if i == 3 else "view", i + 1, 77 if i == 3 else "") for u, i, r, t in ROWS),
                head=("timestamp", "visitorid", "event", "itemid", "transactionid"))

TYPED = ("user_id:token", "tags:token_seq", "item_id_list:token_seq", "item_id:token", "weights:float_seq", "rating:float", "timestamp:float")
NAMES = "userid-timestamp-artid-artname-traid-traname.tsv"
MILLIS = (lambda t: t * 1000)

PUBLISHED = {  # name of the file, content, user, item, and what is said of it
    "Amazon 2014": ("reviews_Tea_5.json.gz", amazon_2014, customer, asin, "took `reviewerID` as the user, `asin` as the item, `unixReviewTime` as the time, `overall` as the rating"),
    "Amazon 2014, ratings only": ("ratings_Tea.csv", lambda: text((customer(u), asin(i), float(r), t) for u, i, r, t in RATED), customer, asin,
                                  "the values look like Amazon's ratings, which have no header: took column 1 as the user, column 2 as the item, column 3 as the rating, column 4 as the time"),
    "Amazon 2018": ("Tea_5.json.gz", amazon_2018, customer, asin, "took `reviewerID` as the user, `asin` as the item, `unixReviewTime` as the time, `overall` as the rating"),
    "Amazon 2018, ratings only": ("Tea.csv", lambda: text((asin(i), customer(u), float(r), t) for u, i, r, t in RATED), customer, asin,
                                  "the values look like Amazon's ratings, which have no header: took column 1 as the item, column 2 as the user, column 3 as the rating, column 4 as the time"),
    "Amazon 2023": ("Tea.jsonl.gz", amazon_2023, long_customer, asin, "took `parent_asin` as the item (rather than `asin`)"),
    "Amazon 2023, ratings only": ("Tea.csv.gz", lambda: text(((long_customer(u), asin(i), float(r), t * 1000) for u, i, r, t in RATED), head=("user_id", "parent_asin", "rating", "timestamp")),
                                  long_customer, asin, "took `parent_asin` as the item"),
    "MovieLens 100K": ("u.data", lambda: text(((u + 1, i + 1, r, t) for u, i, r, t in RATED), "\t"), number, number,
                       "MovieLens 100K has no header: took `user_id` as the user, `item_id` as the item, `timestamp` as the time, `rating` as the rating"),
    "MovieLens 1M": ("ratings.dat", lambda: text(((u + 1, i + 1, r, t) for u, i, r, t in RATED), "::", encoding="latin-1"), number, number, "MovieLens 1M and 10M has no header"),
    "MovieLens 20M": ("ratings.csv", lambda: text(((u + 1, i + 1, r - .0, t) for u, i, r, t in RATED), head=("userId", "movieId", "rating", "timestamp")), number, number,
                      "took `userId` as the user, `movieId` as the item"),
    "Yelp": ("yelp_academic_dataset_review.json", yelp, lambda u: f"u-{u}_", lambda i: f"b{i}", "took `business_id` as the item, `date` as the time, `stars` as the rating"),
    "RecBole": ("tea.inter", lambda: text(((u + 1, "hot sweet", "1 2 3", i + 1, "0.5 0.5", float(r), float(t)) for u, i, r, t in RATED), "\t", TYPED), number, number, ""),
    "Steam": ("steam_reviews.json.gz", steam, lambda u: f"guest's {u}", number, "took `username` as the user (rather than `user_id`), `product_id` as the item, `date` as the time"),
    "RetailRocket": ("events.csv", retailrocket, number, number, "took `visitorid` as the user, `itemid` as the item"),
    "Last.fm 1K": (NAMES, lambda: text(((f"user_{u:06}", stamp(t, "%Y-%m-%dT%H:%M:%SZ"), f"mb-{i}", f"The \"Teas, {i}", f"track-{u}{i}", "A; B") for u, i, r, t in ROWS), "\t"),
                   lambda u: f"user_{u:06}", lambda i: f"mb-{i}", "Last.fm 1K has no header: took `userid` as the user, `artid` as the item (rather than `traid`), `timestamp` as the time"),
    "Last.fm hetrec": ("user_taggedartists-timestamps.dat", lambda: text(((u + 1, i + 1, 13, MILLIS(t)) for u, i, r, t in ROWS), "\t", ("userID", "artistID", "tagID", "timestamp")), number, number,
                       "took `userID` as the user, `artistID` as the item"),
}

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": lambda content: pa.compress(content, codec="zstd", asbytes=True)}

def zipped(**files):
    "A zip archive; __ in a name stands for a slash."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items(): archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()

def write(folder, name, content):
    "A file, packed as its name says; a zip archive holds it under the name without .zip."
    ending, path = Path(name).suffix, folder/name
    if ending == ".zip": content = zipped(**{name.removesuffix(".zip"): content})
    path.write_bytes(PACK.get(ending, bytes)(content))
    return path

@pytest.fixture
def kept(tmp_path, monkeypatch):
    "All files are worth keeping; a call lists what is kept."
    monkeypatch.setattr(module, "_CACHE_FROM", 0)
    monkeypatch.setenv("ADREC_CACHE", str(tmp_path/"cache"))
    return lambda: [path for path in (tmp_path/"cache").rglob("*") if path.is_file()]


# What is recognised

@pytest.mark.parametrize("what", PUBLISHED)
def test_published_files_need_no_options(tmp_path, what, kept):
    name, content, user, item, note = PUBLISHED[what]
    path = write(tmp_path, name, content())
    data = load_data(path)
    assert found(data) == expected(user, item)
    assert data.notes == [] if not note else data.notes[0].startswith(note), data.notes
    assert len(kept()) == 1 and load_data(path).fingerprint() == data.fingerprint() and load_data(path).notes == data.notes

@pytest.mark.parametrize("what", [what for what in PUBLISHED if what not in ("Amazon 2014, ratings only", "Amazon 2018, ratings only", "MovieLens 100K", "MovieLens 1M", "Last.fm 1K", "Steam")])
def test_as_parquet_and_in_memory_too(tmp_path, what):
    "The names count, not the format."
    name, content, user, item, _ = PUBLISHED[what]
    raw = content()
    frame = pd.DataFrame(map(json.loads, raw.splitlines())) if "json" in name else pd.read_csv(io.BytesIO(raw), sep="\t" if b"\t" in raw else ",")
    frame = frame.drop(columns=[c for c in frame if ":" in c and c.endswith("_seq")]).rename(columns=lambda c: c.split(":")[0])
    frame.to_parquet(tmp_path/"log.parquet")
    for source in (frame, tmp_path/"log.parquet", pa.Table.from_pandas(frame)): assert found(load_data(source)) == expected(user, item)

def test_no_name_stands_for_two_things():
    names = [name for _, several, _ in KNOWN_COLUMNS for name in several.split(", ")]
    assert len({archives.re.sub(r"[\s_-]", "", name).lower() for name in names}) == len(names)
    assert all(column_role(name) == "id" for ours, several, _ in KNOWN_COLUMNS for name in several.split(", ") if ours == "item_id")

@pytest.mark.parametrize("names, item, said", [
    ("user_id item_id asin timestamp", "item_id", None), ("user_id parent_asin asin timestamp", "parent_asin", "(rather than `asin`)"), ("user_id asin timestamp", "asin", "took `asin` as the item"),
    ("userid traid timestamp", "traid", "`traid` as the item"), ("user_id artist_id timestamp weight", "artist_id", "took `artist_id` as the item")])
def test_precedence(tmp_path, names, item, said):
    names = names.split()
    rows = [[f"{name}{n}" if name == item else "u" if name.startswith("user") else n if name in ("timestamp", "weight") else "other" for name in names] for n in range(4)]
    table = read_interactions(write(tmp_path, "t.csv", text(rows, head=names)))
    assert table.item_id.tolist() == [f"{item}{n}" for n in range(4)] and "rating" not in table
    notes = table.attrs.get("notes", [])
    assert notes == [] if said is None else said in notes[0]

def test_raw_names_do_not_go_before_what_was_asked_for(tmp_path):
    path = write(tmp_path, "t.csv", text([("ann", "x", "a", 1, 2)], head=("user_id", "asin", "thing", "timestamp", "date")))
    assert read_interactions(path, item="thing").item_id.tolist() == ["a"] and read_interactions(path, item="thing", time="date").timestamp.tolist() == [2]
    with pytest.raises(InputError, match="no column 'film'"): read_interactions(path, item="film")

def test_a_known_order_holds_although_the_caller_says_no_header(tmp_path):
    "--no-header alone must not exchange users and items."
    for what in ("Amazon 2018, ratings only", "Amazon 2014, ratings only", "MovieLens 100K", "Last.fm 1K"):
        name, content, user, item, _ = PUBLISHED[what]
        assert found(load_data(write(tmp_path, name, content()), header=False)) == expected(user, item), what
    path = tmp_path/"Tea.csv"
    path.write_bytes(PUBLISHED["Amazon 2018, ratings only"][1]())
    table = read_interactions(path, header=False, user="1", item="2", rating="3", time="4")
    assert table.user_id[1] == asin(0) and table.item_id[1] == customer(0), "who numbers the columns is obeyed"

def test_columns_of_lastfm_can_be_named(tmp_path):
    path = write(tmp_path, NAMES + ".bz2", PUBLISHED["Last.fm 1K"][1]())
    assert read_interactions(path, item="traname").item_id.tolist()[0] == "A; B"
    assert read_interactions(path, item="traid").item_id.nunique() == 36
    with pytest.raises(InputError, match="no column 'song'.*artname"): read_interactions(path, item="song")
    holes = PUBLISHED["Last.fm 1K"][1]().replace(b"mb-3\t", b"\t")
    with pytest.raises(InputError, match="line 19: the item_id is empty"): read_interactions(write(tmp_path, NAMES, holes))

def test_play_counts_have_no_time_and_are_no_ratings(tmp_path):
    path = write(tmp_path, "user_artists.dat", text(((u + 1, i + 1, 99) for u, i, r, t in sorted(ROWS, key=lambda row: row[3])), "\t", ("userID", "artistID", "weight")))
    with pytest.raises(InputError, match="no column 'timestamp'.*--order lines"): load_data(path)
    data = load_data(path, order="lines")
    assert found(data) == {number(u): [number(i) for _, i, _, t in sorted((r for r in ROWS if r[0] == u), key=lambda row: row[3])] for u in sorted(range(6), key=lambda u: min(r[3] for r in ROWS if r[0] == u))}


# What cannot be decided

REFUSED = {
    "two items": ("t.csv", b"userId,movieId,asin,date\nann,1,B1,2013-05-01\n", {}, ["2 columns could be the item_id: asin, movieId", "item='asin' (--item-column asin)", "item='movieId' (--item-column movieId)"]),
    "two users": ("t.csv", b"reviewerID,username,asin,date\nann,1,B1,2013-05-01\n", {}, ["2 columns could be the user_id", "--user-column username"]),
    "two times": ("t.jsonl", b'{"user_id": "a", "asin": "x", "date": "2013-05-01", "unixReviewTime": 1}\n', {}, ["2 columns could be the timestamp", "--time-column date"]),
    "two ratings": ("t.csv", b"user_id,asin,date,stars,overall\nann,B1,2013-05-01,5,5\n", {}, ["2 columns could be the rating", "--rating-column stars"]),
    "a list as item": ("t.inter", text([(1, "2 3", 5)], "\t", ("user_id:token", "item_id:token_seq", "timestamp:float")), {}, ["t.inter: the column 'item_id' holds a list (token_seq), not one item_id"]),
    "a list that is asked for": ("t.inter", text([(1, 2, "2 3", 5)], "\t", ("user_id:token", "item_id:token", "item_id_list:token_seq", "timestamp:float")), dict(item="item_id_list"),
                                 ["'item_id_list' holds a list (token_seq)"]),
    "a list of numbers as time": ("t.csv", text([(1, 2, "2 3")], ",", ("user_id:token", "item_id:token", "timestamp:float_seq")), {}, ["'timestamp' holds a list (float_seq), not one timestamp"]),
    "numbers alone": ("t.csv", text([(1, 2, 5, START)] * 3), {}, ["first line holds values", "--no-header", "user_id, item_id, rating, timestamp", "by number"]),
    "u.data by another name": ("v.data", text([(1, 2, 5, START)] * 3, "\t"), {}, ["first line holds values", "--no-header"]),
    "another u.data": ("u.data", text([(1, 2, START, 5)] * 3, "\t"), {}, ["first line holds values", "--no-header"]),
    "books whose ISBN is a time": ("Books.csv", text([(customer(0), "1585420417", 5.0, START)] * 3), {}, ["first line holds values", "--no-header"]),
    "who is who": ("ratings_Tea.csv", text([(f"A{n}BCDEFGHIJ", f"A{n}KLMNOPQRS", 5.0, START) for n in range(3)]), {}, ["first line holds values", "--no-header"]),
    "an order that changes": ("Tea.csv", text([(customer(0), asin(1), 5.0, START), (asin(1), customer(0), 5.0, START)]), {}, ["first line holds values", "--no-header"]),
    "one line of another shape": ("Tea.csv", text([(customer(0), asin(1), 5.0, START), ("bob", asin(1), 5.0, START)]), {}, ["first line holds values", "--no-header"]),
    "ten stars": ("Tea.csv", text([(customer(0), asin(1), 9.0, START)] * 2), {}, ["first line holds values", "--no-header"]),
    "half a user": ("t.jsonl", b'{"user_id": "a", "item_id": "x", "timestamp": 1}\n{"item_id": "x", "timestamp": 1}\n', {}, ["line 2: the user_id is empty", "'user_id' stands in 1 of 2 lines"]),
    "half of both": ("t.jsonl", b'{"username": "a", "item_id": "x", "timestamp": 1}\n{"reviewerID": "b", "item_id": "x", "timestamp": 1}\n', {}, ["2 columns could be the user_id"]),
    "stars that come late": ("t.jsonl", b'{"user_id": "a", "item_id": "x", "timestamp": 1}\n{"user_id": "a", "item_id": "x", "timestamp": 2, "stars": 5}\n', {}, ["line 1: the rating is empty", "'stars' stands in 1 of 2"]),
    "a call": ("t.json", b"{'username': 'a', 'asin': open('ran', 'w'), 'date': '2013-05-01'}\n", {}, ["line 1: not a dictionary as Python prints it", "nothing is run"]),
    "a sum": ("t.json", b"{'username': 'a', 'asin': 'b' * 9**9, 'date': '2013-05-01'}\n", {}, ["line 1: not a dictionary"]),
    "a key twice": ("t.json", b"{'username': 'a', 'username': 'b'}\n", {}, ["line 1", "the key 'username' stands there twice"]),
    "a key that is no text": ("t.json", b"{'username': 'a', 1: 2}\n", {}, ["line 1", "keys are text"]), "a set as id": ("t.json", b"{'username': {1}, 'asin': 'x', 'date': '2013-05-01'}\n", {}, ["line 1: the user_id", "an id is text"]),
    "bytes as id": ("t.json", b"{'username': b'x', 'asin': 'x', 'date': '2013-05-01'}\n", {}, ["line 1: the user_id", "an id is text"]), "an empty dictionary": ("t.json", b"{'a': 1}\n{}\n", {}, ["no column 'user_id'"]),
    "deep": ("t.json", b"{'a': " + b"-" * 200_000 + b"1}\n", {}, ["line 1", "nested too deeply"]), "Python after JSON": ("t.json", b'{"user_id": "a"}\n{\'user_id\': "a"}\n', {}, ["line 2: not a JSON object"]),
    "JSON after Python": ("t.json", b"{'user_id': 'a'}\n{\"user_id\": true}\n", {}, ["line 2: not a dictionary"]), "a tar": ("t.tar.gz", b"x", {}, ["tar archive; unpack it"]),
    "a member of no archive": ("t.csv", b"x", dict(member="u.data"), ["member='u.data' (--member)", "leave it out"]), "a member of what is packed": ("t.csv.gz", b"x", dict(member="x"), ["names a file in a zip archive"]),
    "a number for a member": ("t.csv", b"x", dict(member=3), ["member must be text"]),
}

@pytest.mark.parametrize("fault", REFUSED)
def test_refused_in_one_line(tmp_path, fault, kept, monkeypatch):
    name, content, options, parts = REFUSED[fault]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught: load_data(write(tmp_path, name, content), **options)
    message = str(caught.value).replace(str(tmp_path), "")
    assert message.isprintable() and len(message) < 500 and all(part in message for part in parts), message
    assert not kept() and not (tmp_path/"ran").exists()

def test_what_is_named_is_read_after_all(tmp_path):
    for fault, option in (("two items", dict(item="asin")), ("two users", dict(user="username")), ("two times", dict(time="date")), ("two ratings", dict(rating="stars")),
                          ("numbers alone", dict(header=False, drop_duplicates=True)), ("who is who", dict(header=False))):
        name, content, _, _ = REFUSED[fault]
        assert len(read_interactions(write(tmp_path, name, content), **option)) >= 1

def test_the_options_that_are_named_exist(tmp_path):
    "What a message says in Python and on the command line is taken by both."
    path = write(tmp_path, "t.csv", REFUSED["two items"][1])
    with pytest.raises(InputError) as caught: read_interactions(path)
    for option, name in re.findall(r"(\w+)='(\w+)' \(--\1-column \2\)", str(caught.value)): read_interactions(path, **{option: name})

def test_a_table_with_lists(tmp_path):
    frame = pd.DataFrame({"user_id": ["a"] * 3, "asin": [["x"], ["y"], ["z"]], "movieId": ["x", "y", "z"], "timestamp": range(3)})
    frame.to_parquet(tmp_path/"t.parquet")
    assert read_interactions(tmp_path/"t.parquet").item_id.tolist() == ["x", "y", "z"], "the list is no candidate"
    with pytest.raises(InputError, match="'asin' holds a list"): read_interactions(tmp_path/"t.parquet", item="asin")
    with pytest.raises(InputError, match="'asin' cannot be both"): pick_columns(["asin", "x"], {"user_id": "asin", "item_id": "item_id"}, "t")


# Packings

def log(rows=ROWS): return text(((f"u{u}", f"i{i}", t) for u, i, r, t in rows), head=("user_id", "item_id", "timestamp"))

@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet", ".inter"])
def test_every_packing(tmp_path, packing, kind):
    content = log()
    frame = pd.read_csv(io.BytesIO(content))
    if kind == ".jsonl": content = json_lines(frame.to_dict("records"))
    if kind == ".inter": content = text(frame.to_numpy(), "\t", ("user_id:token", "item_id:token", "timestamp:float"))
    if kind == ".parquet": content = frame.to_parquet()
    assert found(load_data(write(tmp_path, f"log{kind}{packing}", content))) == expected(lambda u: f"u{u}", lambda i: f"i{i}")
    assert found(load_data(write(tmp_path, f"LOG{kind}{packing}", content))) == expected(lambda u: f"u{u}", lambda i: f"i{i}")

@pytest.mark.parametrize("packing", PACKINGS)
def test_nothing_of_a_torn_file_is_used(tmp_path, packing, kept):
    many = log([(u, i, r, t + n) for n in range(0, 800, 2) for u, i, r, t in ROWS])
    whole = write(tmp_path, f"log.csv{packing}", many).read_bytes()
    path = tmp_path/f"t.csv{packing}"
    for cut in (1, 20, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=rf"t\.csv\{packing}: (cannot be read|the file is empty)") as caught: load_data(path)
        assert "\n" not in str(caught.value)
        line = re.search(r"in line ([\d,]+) or before it", str(caught.value))
        if packing != ".zip" and cut > 1: assert 1 + 10 * (packing != ".bz2" and cut > 9000) <= int(line[1].replace(",", "")) <= many.count(b"\n") + 1
    assert not kept()
    for at in range(60, len(whole), max(len(whole) // 7, 1)):  # zstd as we write it has no check sum: what is flipped there may be read as something else
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
        try: read_interactions(path)
        except InputError as error: assert "\n" not in str(error)
        else: assert packing in (".zst", ".gz", ".zip"), f"a flipped bit at {at} was not noticed"  # (in gzip and zip it may be in a name)

@pytest.mark.parametrize("packing", [".bz2", ".xz", ".gz", ".zst"])
def test_several_streams(tmp_path, packing):
    pack, content = PACK[packing], log()
    parts = [pack(part) for part in (content[:100], content[100:101], content[101:])]
    path = tmp_path/f"log.csv{packing}"
    path.write_bytes(b"".join(parts))
    assert b"".join(raw_blocks(path)) == content
    for damaged in (parts[0] + b"x" + parts[1][1:] + parts[2], b"".join(parts) + b"rubbish", b"".join(parts)[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be read as csv in"): list(raw_blocks(path))
    if packing in (".bz2", ".xz"):
        path.write_bytes((b"\0" * 8).join(parts) + b"\0" * 2_000_000)  # padding
        assert b"".join(raw_blocks(path)) == content

@pytest.mark.parametrize("packing", PACKINGS)
def test_no_packing_grows_without_end(tmp_path, packing, monkeypatch):
    monkeypatch.setattr(archives, "MOST_TIMES", 20)
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    path = write(tmp_path, f"t.csv{packing}", b"user_id,item_id,timestamp\n" + b"u1,i1,1\n" * 100_000)
    with pytest.raises(InputError, match="20 times its size"): load_data(path)

def test_large_blocks_and_odd_cuts(tmp_path):
    "Bytes in several streams of every size, some larger than a block, come out as they went in."
    rng = np.random.default_rng(0)
    content = bytes(9_000_000) + rng.integers(0, 256, 200_000, dtype=np.uint8).tobytes() + b"tea" * 1_000_000
    cuts = [0, *np.sort(rng.integers(0, len(content), 5)), len(content)]
    for ending, pack in ((".bz2", bz2.compress), (".xz", lambda part: lzma.compress(part, preset=0))):
        path = tmp_path/f"a.bin{ending}"
        path.write_bytes(b"".join(pack(content[a:b]) for a, b in zip(cuts, cuts[1:])))
        assert (b"".join(raw_blocks(path)) == content) is True

def test_members(tmp_path, kept):
    u_data = PUBLISHED["MovieLens 100K"][1]()
    path = tmp_path/"ml-100k.zip"
    path.write_bytes(zipped(**{"ml-100k__README": "words", "ml-100k__u.data": u_data, "__MACOSX__._u.data": "x", "ml-100k__.DS_Store": "x", "ml-100k__a__log.csv": log(), "ml-100k__b__log.csv": log(),
                               "ml-100k__packed.csv.bz2": bz2.compress(log())}))
    with pytest.raises(InputError, match=r"5 files in this archive .*u\.data.*member='ml-100k/README' \(--member\)"): load_data(path)
    for member in ("u.data", "ml-100k/u.data"): assert found(load_data(path, member=member)) == expected(number, number)
    assert found(load_data(path, member="a/log.csv")) == found(load_data(path, member="packed.csv.bz2")) == expected(lambda u: f"u{u}", lambda i: f"i{i}")
    assert inner_name(path, "packed.csv.bz2") == "packed.csv"
    with pytest.raises(InputError, match="2 files in this archive .ml-100k/a/log.csv, ml-100k/b/log.csv"): load_data(path, member="log.csv")
    with pytest.raises(InputError, match="no file 'udata' in this archive. Did you mean 'ml-100k/u.data'"): load_data(path, member="udata")
    with pytest.raises(InputError, match="ending says nothing"): load_data(path, member="README")
    with pytest.raises(InputError, match="sep has no meaning|member has no meaning for tables"): load_data(pd.DataFrame({"user_id": []}), member="x")
    (tmp_path/"parts").mkdir()
    pd.read_csv(io.BytesIO(log())).to_parquet(tmp_path/"parts"/"0.parquet")
    with pytest.raises(InputError, match="this is a folder; leave it out"): load_data(tmp_path/"parts", member="0.parquet")
    with pytest.raises(InputError, match="leave out member"): load_data("ml-100k", member="u.data")
    assert len(kept()) == 4, "one for each way to ask, and none for what failed"

def test_an_archive_with_one_file_needs_no_member(tmp_path):
    path = tmp_path/"any.zip"
    path.write_bytes(zipped(**{"data__ratings.dat": PUBLISHED["MovieLens 1M"][1]()}))
    assert found(load_data(path)) == expected(number, number)
    path.write_bytes(zipped())
    with pytest.raises(InputError, match="no file '' in this archive"): load_data(path)
    locked = bytearray(zipped(**{"log.csv": log()}))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"): locked[locked.index(mark) + (6 if mark[2] == 3 else 8)] |= 1
    path.write_bytes(locked)
    with pytest.raises(InputError, match="encrypted; unpack it"): load_data(path)

def test_records_for_others(tmp_path):
    path = write(tmp_path, "a.zip", b'\n{"a": 1}\n \n{"a": [2]}\n\x1a')
    with pytest.raises(InputError, match="ending"): load_data(path)
    assert list(read_records(path)) == [(2, {"a": 1}), (4, {"a": [2]})]
    with pytest.raises(InputError, match="line 2"): list(read_records(write(tmp_path, "b.json", b"{}\n{")))
    assert list(read_records(write(tmp_path, "c.json", b"{u'a': u'\\xe9', 'b': \"it's\", 'c': None, 'd': [1.5, True]}\n"))) == [(1, {"a": "\u00e9", "b": "it's", "c": None, "d": [1.5, True]})]


# Cut off in the middle

@pytest.mark.parametrize("what", [what for what, (name, *_) in PUBLISHED.items() if not name.endswith(".gz") or "json" in name])
def test_a_cut_file_names_its_line(tmp_path, what, kept):
    "Somewhere in the last line, between its first letter and the middle of what is needed of it."
    name, content, *_ = PUBLISHED[what]
    whole = content()
    begin = whole[:-1].rindex(b"\n") + 1
    last, number = whole[begin:-1], whole.count(b"\n")
    path = tmp_path/name.removesuffix(".gz")
    for cut in sorted({1, 3, len(last) // 4, len(last) // 2}):
        path.write_bytes(whole[:begin + cut])
        with pytest.raises(InputError, match=rf"{re.escape(path.name)}, line {number}: "): load_data(path)
    assert not kept()

@pytest.mark.parametrize("lost", range(1, 10))
@pytest.mark.parametrize("what", ["MovieLens 100K", "MovieLens 1M", "MovieLens 20M", "Amazon 2018, ratings only", "Last.fm hetrec", "RecBole"])
def test_a_time_that_lost_digits(tmp_path, what, lost):
    "The time stands last, so that what is left of it is a number."
    name, content, *_ = PUBLISHED[what]
    whole = content()
    lost += 2 * (what == "RecBole")  # .0 says nothing
    path = write(tmp_path, name, whole[:-1 - lost])
    with pytest.raises(InputError, match=f"line {len(whole.splitlines())}: the file ends in the middle of the timestamp"): load_data(path)
    assert found(load_data(write(tmp_path, name, whole[:-1]))) == found(load_data(write(tmp_path, name, whole))), "a last line without its end is a line"

def test_dates_that_lost_their_end(tmp_path):
    rows = [("u", f"i{n}", f"2018-07-0{n + 1} 22:09:11") for n in range(5)]
    for end in (1, 3, 9, 12):
        with pytest.raises(InputError, match="line 6: (the file ends|the timestamp)"): load_data(write(tmp_path, "t.csv", text(rows, head=("user_id", "item_id", "timestamp"))[:-1 - end]))
    load_data(write(tmp_path, "t.csv", text([*rows, ("u", "i9", "2018-07-09")], head=("user_id", "item_id", "timestamp"))))  # ended properly

def test_small_times_are_no_cut(tmp_path):
    path = write(tmp_path, "t.csv", text([("u", f"i{n}", t) for n, t in enumerate((30, 20, 1))], head=("user_id", "item_id", "timestamp"))[:-1])
    assert load_data(path).titles(load_data(path).sequence(0)) == ["i2", "i1", "i0"]
    both = log().decode().encode("utf-16")
    assert found(load_data(write(tmp_path, "u.csv", both))) == expected(lambda u: f"u{u}", lambda i: f"i{i}")


# The real thing, where it is

COUNTS = {"Beauty": (10_553, 6_086, 94_148), "Baby": (11_761, 4_731, 92_823), "Toys_and_Games": (11_268, 7_309, 95_420), "Sports_and_Outdoors": (22_686, 12_301, 185_718)}

@pytest.mark.parametrize("name", COUNTS)
def test_raw_reviews_give_the_published_counts(name):
    path = Path(os.environ.get("ADREC_TEST_DATA", "nowhere"))/f"reviews_{name}_5.json.gz"
    if not path.exists(): pytest.skip(f"ADREC_TEST_DATA names no folder with the raw file {path.name}")
    data = load_data(path, cache=False)
    assert (data.n_users, data.n_items, data.n_interactions) == COUNTS[name]

@pytest.mark.parametrize("packing", [".bz2", ".xz", ".gz", ".zst"])
def test_a_failing_disk_is_not_a_damaged_file(tmp_path, monkeypatch, packing):
    class FailingDisk(io.FileIO):
        def readinto(self, buffer): raise OSError(5, "Input/output error")
        read = read1 = lambda self, size=-1: self.readinto(b"")
    path = write(tmp_path, f"log.csv{packing}", log())
    monkeypatch.setattr(archives, "open", lambda path, mode: FailingDisk(path), raising=False)
    with pytest.raises(OSError, match="Input/output error"): list(raw_blocks(path))
