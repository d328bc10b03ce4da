"The site in a browser, opened from the folder and without a network."
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from test_notebooks import listed_pages

DOCS = Path(__file__).resolve().parent.parent/"docs"
PAGES = sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.html"))


@pytest.mark.parametrize("name", PAGES)
def test_page_is_complete_without_a_network(name, tab):
    tab.goto((DOCS/name).as_uri(), wait_until="load")
    elsewhere = [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data", "blob")]
    assert not elsewhere, f"{name} asks the network for {elsewhere}"
    assert not tab.errors, tab.errors
    bare = tab.evaluate("[...document.querySelectorAll('.math')].filter(m => !m.querySelector('.katex')).map(m => m.innerText)")
    assert not bare, f"{name}: not rendered: {bare}"
    wrong = tab.evaluate("[...document.querySelectorAll('.katex-error')].map(m => m.title)")
    assert not wrong, f"{name}: KaTeX cannot read {wrong}"
    prose = tab.evaluate("[...document.querySelectorAll('main p, main li, main td, main h2, main h3')].filter(e => !e.closest('.cell')).map(e => e.innerText).join('\\n')")
    raw = re.search(r".*(?:[$][$]|\\\(|\\\[|:::).*", prose)
    assert not raw, f"{name}: raw formulas or fences: {raw[0]}"
    broken = tab.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src.slice(0, 80))")
    assert not broken, f"{name}: images that do not load: {broken}"


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(name, tab):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto((DOCS/name).as_uri(), wait_until="load")
    width = tab.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, f"{name} is {width} pixels wide on a screen of 390"


def test_formulas_are_drawn_somewhere(tab):
    tab.goto((DOCS/"04_diffusion.html").as_uri(), wait_until="load")
    assert tab.evaluate("document.querySelectorAll('.katex-display').length") > 0
    assert tab.evaluate("document.fonts.ready.then(() => [...document.fonts].some(f => f.family.startsWith('KaTeX') && f.status == 'loaded'))")


def test_search_finds_a_page_from_the_folder(tab):
    tab.goto((DOCS/"index.html").as_uri(), wait_until="load")
    box = tab.locator(".smalldocs-search input:visible").first
    box.fill("noise schedule")
    first = tab.locator(".search-result").first
    first.wait_for(timeout=5000)
    first.click()
    tab.wait_for_url(re.compile(r"\.html"))
    assert not [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data", "blob")]


def test_every_page_leads_on(root):
    order = [page.replace(".ipynb", ".html") for pages in listed_pages(root).values() for page in pages]
    for name, before, after in zip(order, [None, *order], [*order[1:], None]):
        soup = BeautifulSoup((DOCS/name).read_text(), "html.parser")
        found = [soup.select_one(f".nav-page-{side} a") for side in ("previous", "next")]
        there = [link and (DOCS/name).parent.joinpath(link["href"]).resolve().relative_to(DOCS.resolve()).as_posix() for link in found]
        assert there == [before, after], name


@pytest.mark.parametrize("name", ["07_model.html", "09_two_futures.html", "11_collapse.html"])
def test_page_can_be_handed_out(name, tab):
    "Printed, a page has no bars beside it, nothing is folded, and nothing sticks out."
    tab.set_viewport_size({"width": 680, "height": 960})  # A4 less its margins
    tab.goto((DOCS/name).as_uri(), wait_until="load")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    seen = tab.evaluate("selector => [...document.querySelectorAll(selector)].filter(e => e.getBoundingClientRect().height > 0).length",
                        "#quarto-sidebar, #quarto-margin-sidebar, #quarto-header, .page-navigation")
    assert seen == 0
    folded = tab.evaluate("[...document.querySelectorAll('details:not([open]), .callout-collapse')].filter(e => e.getBoundingClientRect().height == 0 || e.open === false).length")
    assert folded == 0
    wide = tab.evaluate("[...document.querySelectorAll('main pre, main img, main svg, main table')].filter(e => e.getBoundingClientRect().right > 681).map(e => e.outerHTML.slice(0, 60))")
    assert not wide, wide
    assert tab.evaluate("[...document.querySelectorAll('main .cell-output img')].every(e => getComputedStyle(e).breakInside == 'avoid')")


def targets(page:Path) -> set[str]:
    "The anchors of a page."
    soup = BeautifulSoup(page.read_text(), "html.parser")
    return {e["id"] for e in soup.find_all(id=True)}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = DOCS/name
    soup = BeautifulSoup(page.read_text(), "html.parser")
    links = {a["href"] for a in soup.find_all("a", href=True)} | {e["src"] for e in soup.find_all(src=True)} | {e["href"] for e in soup.find_all("link", href=True)}
    lost = []
    for link in links:
        parts = urlsplit(link)
        if parts.scheme or link in ("", "#"): continue
        file = (page.parent/unquote(parts.path)).resolve() if parts.path else page
        if not file.exists() or (parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in targets(file)): lost.append(link)
    assert not lost, f"{name}: links that lead nowhere: {sorted(lost)}"
