"The site in a browser, opened from the folder and without a network: each page is visited once, in both themes, on a screen and on a phone."
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from test_notebooks import listed_pages

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT/"docs"
PAGES = sorted(p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.html"))


# ---- what is asked of a page: each function below runs in it and names the faults

FAULTS = {
    "formulas that are not drawn": "[...document.querySelectorAll('.math')].filter(m => !m.querySelector('.katex')).map(m => m.innerText)",
    "formulas that KaTeX cannot read": "[...document.querySelectorAll('.katex-error')].map(m => m.title)",
    "raw formulas or fences": r"""[...document.querySelectorAll('main p, main li, main td, main h2, main h3')]
        .filter(e => !e.closest('.cell') && /[$][$]|\\\(|\\\[|:::/.test(e.innerText)).map(e => e.innerText.slice(0, 80))""",
    "images that do not load": "[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src.slice(0, 80))",
    "headings out of order": """(() => {
        const levels = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].filter(h => h.offsetParent && h.id !== 'toc-title');
        const bad = levels.filter((h, i) => i && +h.tagName[1] > +levels[i - 1].tagName[1] + 1).map(h => `${h.tagName} ${h.innerText}`);
        return document.querySelectorAll('h1').length === 1 ? bad : [...bad, 'not exactly one h1'];
    })()""",
}

NO_TEXT = "[...document.images].filter(i => !(i.getAttribute('alt') || '').trim()).length"

# Text against what lies behind it: colours are laid over each other as far down as they are transparent.
CONTRAST = """(() => {
    const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return text.startsWith('color(') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a]; };
    const over = ([r, g, b, a], [x, y, z]) => [a * r + (1 - a) * x, a * g + (1 - a) * y, a * b + (1 - a) * z, 1];
    const light = (c) => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const behind = new Map([[null, [255, 255, 255, 1]]]), clear = new Map([[null, 1]]), found = new Map();
    const ground = (e) => { if (!behind.has(e)) behind.set(e, over(parse(getComputedStyle(e).backgroundColor), ground(e.parentElement))); return behind.get(e); };
    const opacity = (e) => { if (!clear.has(e)) clear.set(e, +getComputedStyle(e).opacity * opacity(e.parentElement)); return clear.get(e); };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.data.trim(), e = walker.currentNode.parentElement;
        if (!text || e.closest('script, style, noscript, .katex-mathml, option') || !e.checkVisibility({ visibilityProperty: true })) continue;
        const style = getComputedStyle(e), drawn = e.closest('svg'), box = drawn && e.previousElementSibling, fill = box && getComputedStyle(box).fill;
        const ink = parse(drawn ? style.fill : style.color), paper = box?.tagName === 'rect' && fill !== 'none' ? over(parse(fill), ground(e)) : ground(e);
        const [a, b] = [light(over([...ink.slice(0, 3), ink[3] * opacity(e)], paper)), light(paper)], ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.set(`${style.color} on ${paper.slice(0, 3).map(Math.round)}, ${ratio.toFixed(1)}:1, ${e.tagName.toLowerCase()}.${e.className}`, text.slice(0, 30));
    }
    return [...found].map(([what, text]) => `${what}: ${text}`);
})()"""


def pale(tab) -> list[str]: return [fault for frame in tab.frames for fault in frame.evaluate(CONTRAST)]


@pytest.mark.parametrize("name", PAGES)
def test_page(name, shared_tab):
    tab = shared_tab
    tab.goto("about:blank")  # so that the page before is not laid out once more
    tab.asked.clear()
    tab.errors.clear()
    tab.emulate_media(color_scheme="light")
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.goto((DOCS/name).as_uri(), wait_until="load")
    faults = {what: tab.evaluate(code) for what, code in FAULTS.items()}
    faults["pale text by day"] = pale(tab)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.classList.contains('quarto-dark')")
    faults["pale text by night"] = pale(tab)
    tab.set_viewport_size({"width": 390, "height": 844})
    width = tab.evaluate("document.documentElement.scrollWidth")
    faults["wider than a phone"] = [f"{width} pixels on 390"] if width > 390 else []
    faults["asked of the network"] = [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data", "blob")]
    faults["errors"] = tab.errors
    without = tab.evaluate(NO_TEXT)
    faults["images without a text in their place"] = [f'{without} images: a figure needs `#| fig-alt: "…"`, what it shows, on top of its cell'] if without else []
    faults = {what: found for what, found in faults.items() if found}
    assert not faults, f"{name}:\n" + "\n".join(f"  {what}:\n    " + "\n    ".join(found[:12]) for what, found in faults.items())


def test_the_checks_see_faults(tab):
    tab.set_content('''<main style="background: #eee"><h1>One</h1><h3>Three</h3><p>A <span style="color: #777">pale</span> $$word$$</p>
        <span class="math">x</span><b class="katex-error" title="y">y</b><img src="data:,"><p style="opacity: .5">also pale</p></main>''')
    for what, code in FAULTS.items(): assert len(tab.evaluate(code)) == 1, what
    assert [fault.split(": ")[-1] for fault in pale(tab)] == ["pale", "also pale"]
    assert tab.evaluate(NO_TEXT) == 1


# ---- the site as a whole

def test_formulas_have_their_fonts(tab):
    tab.goto((DOCS/"04_diffusion.html").as_uri(), wait_until="load")
    assert tab.evaluate("document.querySelectorAll('.katex-display').length") > 0
    assert tab.evaluate("document.fonts.ready.then(() => [...document.fonts].some(f => f.family.startsWith('KaTeX') && f.status == 'loaded'))")


def test_search_finds_a_page_from_the_folder(tab):
    tab.goto((DOCS/"index.html").as_uri(), wait_until="load")
    box = tab.locator(".smalldocs-search input:visible").first
    box.fill("noise schedule")
    first = tab.locator(".search-result").first
    first.wait_for(timeout=20_000)
    assert not pale(tab), "pale text among the results"
    first.click()
    tab.wait_for_url(re.compile(r"\.html"))
    assert not [url for url in tab.asked if urlsplit(url).scheme not in ("file", "data", "blob")]


def test_the_theme_follows_the_system_and_the_switch(tab):
    paper = "getComputedStyle(document.body).backgroundColor"
    tab.emulate_media(color_scheme="light")
    tab.goto((DOCS/"index.html").as_uri(), wait_until="load")
    day = tab.evaluate(paper)
    tab.locator(".quarto-color-scheme-toggle:visible").first.click()
    night = tab.evaluate(paper)
    tab.reload()
    assert tab.evaluate(paper) == night != day, "the choice is forgotten"


@cache
def text(page:Path) -> str: return page.read_text(encoding="utf-8")


@cache
def anchors(page:Path) -> set[str]: return set(re.findall(r'\sid="([^"]+)"', text(page)))


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page, lost = DOCS/name, []
    for link in sorted(set(re.findall(r'\s(?:href|src)="([^"]*)"', text(page)))):
        parts = urlsplit(link)
        if parts.scheme or link in ("", "#"): continue
        file = (page.parent/unquote(parts.path)).resolve() if parts.path else page
        if not file.exists() or (parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in anchors(file)): lost.append(link)
    assert not lost, f"{name}: links that lead nowhere: {lost}"


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
