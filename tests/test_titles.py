"""adrec.titles: files of items as their providers write them, and what a run makes of them."""
import gzip
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from adrec.checks import InputError
from adrec.data import build_sequences
from adrec.read import load_data, ml100k_tables
from adrec.runs import load_run
from adrec.titles import read_titles, with_titles

IDS = [f"B{n:03}" for n in range(30)]

def log(ids=IDS, users=40):
    "Everybody takes some of the items, an hour apart."
    rng, rows = np.random.default_rng(0), []
    for u in range(users):
        for t, i in enumerate(rng.permutation(len(ids))[:8]): rows.append((f"u{u}", ids[i], 1_600_000_000 + 3600 * (8 * u + t)))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])

@pytest.fixture(scope="module")
def shop(): return build_sequences(log(), "shop")

def write(path, text, encoding="utf-8"):
    content = text.encode(encoding)
    if path.suffix == ".gz": content = gzip.compress(content)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive: archive.writestr(path.stem, content)
    else: path.write_bytes(content)
    return path

def named(data): return dict(zip(data.item_info.item_id, data.item_info["title"].fillna("")))
def labelled(data): return dict(zip(data.item_info.item_id, data.item_info["genres"].fillna("")))


# The shapes of the providers

@pytest.mark.parametrize("ending", ["json", "json.gz", "json.zip", "jsonl"])
def test_amazon_2014(shop, tmp_path, ending):
    "Python literals; nested lists that all begin at the root of the shop; items without title, or without categories."
    items = [{"asin": i, "imUrl": "http://x", "related": {"also_bought": ["B9"]}, "categories": [["Baby", f"Kind {n % 3}"], ["Baby", "Gifts & more"][:1 + n % 2]]} for n, i in enumerate(IDS[:-1])]
    for n, item in enumerate(items):
        if n % 5: item["title"] = f"Baby's \"best\" &quot;{n}&quot; &amp; more"
    path = write(tmp_path / f"meta_Baby.{ending}", "".join(f"{item!r}\n" for item in [*items, {"asin": "none of ours", "title": "x"}]))
    data = with_titles(shop, path)
    titles, labels = named(data), labelled(data)
    assert titles["B001"] == "Baby's \"best\" \"1\" & more" and titles["B005"] == titles["B029"] == ""
    assert data.titles(data.item_numbers(["B001", "B005"])) == [titles["B001"], "B005"]
    assert labels["B001"] == "Kind 1|Gifts & more" and labels["B002"] == "Kind 2" and labels["B029"] == ""
    assert data.notes == [f"titles for 23 and categories for 29 of 30 items, from meta_Baby.{ending}; left out, since nearly all have it: Baby"]
    assert data.fingerprint() == shop.fingerprint() and list(data.item_info.columns) == ["item_id", "title", "genres"]

def test_amazon_2018_and_2023(shop, tmp_path):
    "JSON; the log names products by asin, or by the product that variants belong to."
    rows = [{"main_category": "Baby", "title": f"t{n}", "asin": f"variant {n}", "parent_asin": i, "categories": ["Baby", f"Kind {n % 3}"], "details": {"a": 1}} for n, i in enumerate(IDS)]
    data = with_titles(shop, write(tmp_path / "meta_Baby.jsonl.gz", "".join(json.dumps(r) + "\n" for r in rows)))
    assert named(data)["B007"] == "t7" and labelled(data)["B007"] == "Kind 1"
    rows = [{"category": ["Baby", f"Kind {n % 3}"], "title": f"t{n}", "asin": i} for n, i in enumerate(IDS)]
    data = with_titles(shop, write(tmp_path / "meta.json", "".join(json.dumps(r) + "\n" for r in rows)))
    assert named(data)["B007"] == "t7" and labelled(data)["B007"] == "Kind 1"

def test_yelp(shop, tmp_path):
    rows = [{"business_id": i, "name": f"Café {n}", "stars": 4.5, "categories": ", ".join(["Food", f"Kind {n % 2}"][n % 2:]) or None} for n, i in enumerate(IDS)]
    rows[3]["categories"] = None
    data = with_titles(shop, write(tmp_path / "yelp_academic_dataset_business.json", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)))
    assert named(data)["B002"] == "Café 2" and labelled(data)["B002"] == "Food|Kind 0" and labelled(data)["B003"] == "" and labelled(data)["B001"] == "Kind 1"

def movies(): return build_sequences(log([str(n) for n in range(1, 31)]), "movies")

def test_movielens_dat(tmp_path):
    text = "".join(f"{n}::Misérables, Les: no. {n} (1995)::Drama|Musical\n" if n % 2 else f"{n}::Film {n} (1996)::Comedy\n" for n in range(1, 40))
    data = with_titles(movies(), write(tmp_path / "movies.dat", text, "latin-1"))
    assert named(data)["3"] == "Misérables, Les: no. 3 (1995)" and labelled(data)["3"] == "Drama|Musical" and labelled(data)["4"] == "Comedy"

def test_movielens_csv(tmp_path):
    text = "movieId,title,genres\r\n" + "".join(f'{n},"American President, The {n} (1995)",{"Comedy|Drama" if n % 2 else "(no genres listed)"}\r\n' for n in range(1, 40))
    data = with_titles(movies(), write(tmp_path / "movies.csv", text))
    assert named(data)["11"] == "American President, The 11 (1995)" and labelled(data)["11"] == "Comedy|Drama" and labelled(data)["12"] == ""

def test_movielens_100k(tmp_path):
    "u.item, written from RecBole's copy of the films, gives the same titles and genres as that copy."
    _, info = ml100k_tables()
    from adrec.titles import _U_GENRES
    assert set("|".join(info.genres).split("|")) <= set(_U_GENRES)
    lines = [f"{i}|{row.title}|01-Jan-1995||http://us.imdb.com/{i}" + "".join(f"|{int(g in row.genres.split('|'))}" for g in _U_GENRES) for i, row in info.iterrows()]
    table, notes = read_titles(write(tmp_path / "u.item", "\n".join(lines), "latin-1"))
    assert notes == [] and table.title.to_dict() == info.title.to_dict()
    assert {i: set(g.split("|")) for i, g in table.genres.items()} == {i: set(g.split("|")) for i, g in info.genres.items()}

def test_recbole(tmp_path):
    text = 'item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tToy "Story II\t1995\tx\n'
    text += "".join(f"{n}\tFilm {n}\t{1990 + n % 5 if n % 7 else ''}\tAnimation Children's\n" for n in range(2, 31))
    data = with_titles(movies(), write(tmp_path / "ml.item", text))
    assert named(data)["1"] == 'Toy "Story II (1995)' and named(data)["7"] == "Film 7" and named(data)["8"] == "Film 8 (1993)"
    assert labelled(data)["1"] == "x" and labelled(data)["2"] == ""  # all but one have these two, so they say nothing

@pytest.mark.parametrize("name, separator", [("items.csv", ","), ("items.csv", ";"), ("items.tsv", "\t"), ("items.txt.gz", "|")])
def test_tables_of_ones_own(shop, tmp_path, name, separator):
    frame = pd.DataFrame({"Price": 1.5, "Product ID": IDS, "Product Name": [f"no. {n}" for n in range(30)], "Category": [f"kind {n % 4}" for n in range(30)]})
    data = with_titles(shop, write(tmp_path / name, frame.to_csv(index=False, sep=separator)))
    assert named(data)["B012"] == "no. 12" and labelled(data)["B012"] == "kind 0"

def test_parquet(shop, tmp_path):
    frame = pd.DataFrame({"item_id": IDS, "title": [f"no. {n}" if n else None for n in range(30)], "genres": [["a", "b"] if n % 2 else [] for n in range(30)], "heavy": 0.0})
    frame.to_parquet(tmp_path / "items.parquet")
    data = with_titles(shop, tmp_path / "items.parquet")
    assert named(data)["B000"] == "" and named(data)["B001"] == "no. 1" and labelled(data)["B001"] == "a|b" and labelled(data)["B002"] == ""
    (tmp_path / "parts").mkdir()
    for n in range(2): frame[n::2].to_parquet(tmp_path / f"parts/part-{n}.parquet")
    assert named(with_titles(shop, tmp_path / "parts")) == named(data)


# Rows that do not fit

def test_the_first_of_two_rows_counts(shop, tmp_path):
    text = "item_id,title\n" + "".join(f"{i},first {i}\n" for i in IDS) + "B004,second\nB005,second\nB005,third\n"
    data = with_titles(shop, write(tmp_path / "items.csv", text))
    assert named(data)["B005"] == "first B005" and "genres" not in data.item_info
    assert data.notes == ["titles for 30 of 30 items, from items.csv", "items.csv: 2 of the ids, such as B004, stand there more than once; the first one counts"]

@pytest.mark.parametrize("name, text, message", [
    ("items.csv", "item_id,title\n9,x\n7,y\n8,z\n", r"items.csv: none of its ids is an item of the log; there they are 7, 8, 9 ..., in the log B000, B001, B002 ..."),
    ("items.csv", "colour,title\nred,x\n", "no column of ids was recognised; the columns are colour, title; call it item_id"),
    ("items.csv", "item_id,price\nB001,3\n", "no column of titles or categories was recognised; the columns are item_id, price"),
    ("items.csv", "", "no column of ids"),
    ("items.csv", "item_id,title\nB001,a,b\n", "line 2: 3 cells, but the first line has 2"),
    ("movies.dat", "B001::a::b\nB002::a::b::c\n", "line 2: 4 cells, but the first line has 3"),
    ("meta.json", '[{"asin": "B001"}]\n', "line 1: not an object"),
    ("meta.json", '{"asin": "B001", "title": "x"}\n{"asin": \n', "meta.json, line 2: not an object"),
    ("meta.json", "{'asin': open('x')}\n", "line 1: not an object"),
    ("meta.json", "{'asin': " + "[" * 5000 + "\n", "line 1: not an object"),
    ("items.xlsx", "x", "known are .csv, .tsv"),
    ("items.parquet", "no parquet", "cannot be read as a file of items"),
])
def test_what_is_refused(shop, tmp_path, name, text, message):
    with pytest.raises(InputError, match="^[^\n]*" + message) as caught: with_titles(shop, write(tmp_path / name, text))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700

def test_a_damaged_archive_and_no_file(shop, tmp_path):
    path = write(tmp_path / "meta.json.gz", "{'asin': 'B001', 'title': 'x'}\n" * 1000)
    path.write_bytes(path.read_bytes()[:-20])
    for wrong, message in ((path, "cut off or damaged, in line"), (tmp_path / "none.csv", "no such file of items")):
        with pytest.raises(InputError, match=message): with_titles(shop, wrong)

def test_nothing_is_run(shop, tmp_path):
    evil = f"{{'asin': 'B001', 'title': __import__('pathlib').Path({str(tmp_path / 'gotcha')!r}).touch()}}\n"
    with pytest.raises(InputError, match="not an object"): with_titles(shop, write(tmp_path / "meta.json", evil))
    assert not (tmp_path / "gotcha").exists()

def test_a_title_stays_on_its_line(shop, tmp_path):
    rows = [{"item_id": "B001", "title": "one\ntwo\tthree\u2028four <b>", "genres": ["a|b", "a|b", " c "]}]
    data = with_titles(shop, write(tmp_path / "items.jsonl", json.dumps(rows[0]) + "\n"))
    assert named(data)["B001"] == "one two three four <b>" and labelled(data)["B001"] == "a/b|c"
    assert "&lt;b&gt;" in data._repr_html_() or "<b>" not in data._repr_html_().replace("<b>shop</b>", "")


# Through the rest of the package

@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    "A short run with titles, by the command line."
    from adrec.cli import main
    folder = tmp_path_factory.mktemp("titles")
    log().to_csv(folder / "log.csv", index=False)
    write(folder / "items.csv", "item_id,title,categories\n" + "".join(f"{i},Title of {i},\"kind {n % 3}, rest\"\n" for n, i in enumerate(IDS[:28])))
    with pytest.raises(SystemExit) as done:
        main(["train", "--data", str(folder / "log.csv"), "--items", str(folder / "items.csv"), "--model", "sasrec", "--out", str(folder / "run"), "--epochs", "2", "--dim", "8", "--device", "cpu"])
    assert done.value.code == 0
    return folder

def test_a_run_keeps_its_titles(trained, tmp_path, capsys):
    from adrec.cli import main
    run = load_run(trained / "run")
    arguments = run.config["data"]["arguments"]
    assert arguments["items"] == str(trained / "items.csv") and run.config["data"]["fingerprint"] == load_data(trained / "log.csv").fingerprint()
    assert run.items.title.notna().sum() == 28 and run.items.genres.str.startswith("kind").sum() == 28
    assert run.recommend(user="u1", k=5).title.fillna("").str.startswith("Title of").any()
    assert run.data().titles([1]) == [f"Title of {run.items.item_id[1]}"]
    assert run.diagnose().values["neighbour_lift"] is not None
    page = run.report(tmp_path / "report.html").read_text()
    assert "Title of B0" in page and "kind 1" in page and "--items items.csv" in page
    with pytest.raises(SystemExit) as done: main(["recommend", str(trained / "run"), "--user", "u1"])
    assert done.value.code == 0 and "Title of" in capsys.readouterr().out

def test_the_file_of_titles_may_go(trained, tmp_path):
    (trained / "items.csv").rename(tmp_path / "away.csv")
    run = load_run(trained / "run")
    assert run.data().titles([1]) == [f"Title of {run.items.item_id[1]}"] and run.evaluate().users == 40
    (tmp_path / "away.csv").rename(trained / "items.csv")

def test_the_command_says_how_many(trained, capsys):
    from adrec.cli import main
    with pytest.raises(SystemExit): main(["data", str(trained / "log.csv"), "--items", str(trained / "items.csv")])
    assert "titles for 28 and categories for 28 of 30 items, from items.csv; left out, since nearly all have it: rest" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done: main(["data", str(trained / "log.csv"), "--items", str(trained / "no.csv")])
    assert done.value.code == 2 and "no such file of items" in capsys.readouterr().err
