"The playground computes in JavaScript what the package computes in Python."
from pathlib import Path

import nbformat
import numpy as np
import pytest

from adrec.collapse import VERDICTS, diagnose, nearest_items, neighbour_lift
from adrec.spectra import (
    MarchenkoPastur,
    covariance_eigenvalues,
    effective_rank,
    mean_cosine,
    noise_distance,
    noise_variance,
    outlier_count,
    participation_ratio,
)

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [ROOT/"nbs/playground"/f"{name}.js" for name in ("numbers", "nulls")]
PAGE = ROOT/"docs/playground.html"
SETTINGS = {  # items, dim, offset, rank, strength, noise
    "noise": (1000, 64, 0, 64, 0, 1), "cone": (1000, 64, 2, 64, 0, 1), "rank 2": (1000, 64, 0, 2, 0, 0.1), "clusters": (1000, 64, 0, 64, 1, 1),
    "few items": (100, 64, 0, 64, 0, 1), "few dimensions": (200, 4, 0, 4, 1, 0.5), "weak clusters": (500, 32, 0, 32, 0.3, 1),
    "drowning": (1000, 64, 0, 2, 0, 0.5), "cone of clusters": (300, 16, 1.5, 2, 2, 0.1), "no noise": (300, 8, 0.5, 8, 0.5, 0)}


@pytest.fixture(scope="module")
def page() -> dict:
    "What the shared cells of nbs/playground.ipynb define."
    nb, names = nbformat.read(ROOT/"nbs/playground.ipynb", as_version=4), {}
    for cell in nb.cells:
        if "shared" in cell.metadata.get("tags", []): exec(cell.source, names)
    return names


@pytest.fixture
def script(tab):
    "A tab that holds the numbers of the playground and nothing else."
    tab.goto("about:blank")
    for path in SCRIPTS: tab.add_script_tag(path=path)
    return lambda code, *args: tab.evaluate(f"(args) => {{ {code} }}", args)


def close(a, b, eps=1e-6): np.testing.assert_allclose(np.array(a, dtype=float), b, rtol=eps, atol=eps)


@pytest.mark.parametrize("seed", [0, 1, 7, 999_999])
def test_chance_is_the_same(seed, script, page):
    assert script("return Array.from(Playground.uniforms(args[0], 1000))", seed) == page["uniforms"](seed, 1000).tolist()
    close(script("return Array.from(Playground.normals(args[0], 1000))", seed), page["normals"](seed, 1000), 1e-13)


MEASURE = """
const [seed, s] = args, P = Playground, x = P.table(P.draw(seed), s), m = P.measure(x, s.items, s.dim);
const near = P.neighbours(m.unit, s.items, s.dim);
while (!near.step(100));
const lift = P.lift(near, s.items), limits = P.noise.nulls[`${s.items}x${s.dim}`], places = P.project(x, s.items, s.dim, m.axes);
return { ...m, unit: 0, axes: 0, x: Array.from(x), values: Array.from(m.values), equal: Array.from(m.equal), cosines: Array.from(P.cosines(m.unit, s.items, s.dim)),
  near: Array.from(near.near), lift, edges: P.edges(s.items, s.dim), law: Array.from(P.law(s.items, s.dim)), places, limits, judged: P.judge(m, lift, limits) };"""


@pytest.mark.parametrize("name, seed", [*zip(SETTINGS, range(1, 11))])
def test_panel_agrees_with_the_package(name, seed, script, page):
    s = dict(zip(("items", "dim", "offset", "rank", "strength", "noise"), SETTINGS[name]))
    n, d, labels = s["items"], s["dim"], np.arange(s["items"]) % 12
    x, law = page["table"](page["draw"](seed), **s), MarchenkoPastur(n, d)
    got, said = script(MEASURE, seed, s), diagnose(x, labels)
    close(np.reshape(got["x"], (n, d)), x)
    close(got["values"], covariance_eigenvalues(x))
    close(got["equal"], covariance_eigenvalues(x, unit_rows=True))
    close(got["edges"], law.edges)
    close(got["law"], law.spectrum())
    close(got["cosine"], mean_cosine(x))
    close(got["rank"], effective_rank(x))
    close(got["ratio"], participation_ratio(x))
    close(got["unitRatio"], said.values["unit_participation_ratio"][0])
    close(got["distance"], noise_distance(x))
    close(got["top"], said.values["top_eigenvalue"][0])
    close(got["uneven"], said.values["spectrum_variance"][0])
    close(got["floor"]["variance"], noise_variance(x))
    assert got["floor"]["outliers"] == outlier_count(x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    close(got["cosines"], np.concatenate([(unit * np.roll(unit, -shift, axis=0)).sum(1) for shift in range(1, 13)]))
    close(np.var(got["places"], axis=0, ddof=1), covariance_eigenvalues(x)[:2])
    near = nearest_items(x, 10)
    assert (np.sort(np.reshape(got["near"], (n, 10))) == np.sort(near)).mean() > 0.9999, "neighbours differ by more than ties in single precision"
    close(got["lift"]["value"], neighbour_lift(x, labels).value)
    close(got["lift"]["sd"], page["exact_lift_sd"](near, labels))
    assert got["judged"]["words"] == [VERDICTS[word] for word in said.verdict]


def test_limits_are_those_of_the_package(script, page):
    stored = script("return Playground.noise")
    assert (stored["items"], stored["dims"]) == (page["ITEMS"], page["DIMS"])
    assert set(stored["nulls"]) == {f"{n}x{d}" for n in page["ITEMS"] for d in page["DIMS"]}
    for n, d in [(100, 4), (200, 64), (1000, 16)]:
        fresh = page["limits"](n, d)
        assert stored["nulls"][f"{n}x{d}"].keys() == fresh.keys()
        for name, value in stored["nulls"][f"{n}x{d}"].items(): close(value, fresh[name], 1e-8)


@pytest.mark.parametrize("seed", [1, 5])
def test_walk_agrees_with_the_package(seed, script, page):
    levels = [0, 5, 20, 32]
    got = script("""
const [seed, levels] = args, P = Playground, z = P.normals(seed, 4 * 2 * 33), at = (row, k) => z.subarray(2 * (4 * row + k), 2 * (4 * row + k) + 2);
return levels.map((left, k) => {
  const item = P.CATALOGUE.items[[0, 2, 3, 4][k]], path = [left ? P.noised(item, left - 1, at(0, k)) : item];
  for (let t = left - 1; t >= 0; t--) path.push(P.stepBack(path.at(-1), t, at(t + 1, k)));
  return path;
});""", seed, levels)
    for ours, theirs in zip(got, page["walk_back"](levels, seed), strict=True): close(ours, theirs)


def test_best_guess_agrees_with_the_package(script, page):
    points = np.random.default_rng(0).normal(size=(50, 2)) * 2
    for t in (0, 3, 15, 31):
        got = script("return args[0].map((x) => Playground.guess(x, args[1]).point)", points.tolist(), t)
        close(got, page["best_guess"](points, t))


# ---- the page itself, under keys and fingers

@pytest.fixture
def shown(tab):
    "The page of the site, when it has counted all neighbours."
    if not PAGE.exists(): pytest.skip("docs/ has no playground yet: run `make docs`")
    tab.goto(PAGE.as_uri())
    settled(tab)
    assert not tab.errors, tab.errors
    return tab


def settled(tab): tab.locator("#playground-table[aria-busy=false]").wait_for(timeout=20_000)
def verdict(tab): return tab.locator("#playground-table .verdict").inner_text()


def test_buttons_give_the_four_patients(shown):
    for name, word in {"cone": "cone, noise", "rank 2": "low rank", "clusters": "structured", "noise": "noise"}.items():
        shown.get_by_role("button", name=name, exact=True).click()
        settled(shown)
        assert verdict(shown) == f"Verdict: {word}"


def test_keys_move_the_sliders(shown, page):
    slider = shown.get_by_label("cone offset")
    slider.focus()
    for _ in range(7): shown.keyboard.press("ArrowRight")
    shown.get_by_label("items N").focus()
    shown.keyboard.press("Home")
    settled(shown)
    x = page["table"](page["draw"](1), items=100, offset=0.7)
    assert shown.get_by_label("cone offset").input_value() == "0.7"
    assert f"mean cosine {mean_cosine(x):.3f};" in shown.locator("#playground-table ol").inner_text()


def test_walk_plays_to_the_end(shown, page):
    walk = shown.locator("#playground-walk")
    walk.get_by_role("button", name="Step").click()
    assert walk.locator("td:nth-child(3)").all_inner_texts() == ["3", "9", "17", "31"]
    walk.get_by_role("button", name="Play").click()
    shown.wait_for_function("[...document.querySelectorAll('#playground-walk td:nth-child(3)')].every((cell) => cell.innerText === '0')", timeout=20_000)
    ends = [path[-1] for path in page["walk_back"]([4, 10, 18, 32], 1)]
    nearest = [((end - page["items"]) ** 2).sum(1).argmin() for end in ends]
    assert walk.locator("td:nth-child(4)").all_inner_texts() == [f"ended nearest to item {k}" for k in nearest]


def test_reduced_motion_plays_at_once(shown):
    shown.emulate_media(reduced_motion="reduce")
    walk = shown.locator("#playground-walk")
    walk.get_by_role("button", name="Play").click()
    assert walk.locator("td:nth-child(3)").all_inner_texts() == ["0"] * 4


def test_touch_moves_a_slider(browser):
    if not PAGE.exists(): pytest.skip("docs/ has no playground yet: run `make docs`")
    context = browser.new_context(offline=True, has_touch=True, viewport={"width": 390, "height": 844})
    phone = context.new_page()
    phone.goto(PAGE.as_uri())
    slider = phone.get_by_label("cluster strength")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    assert float(slider.input_value()) > 2.5
    settled(phone)
    assert "structured" in verdict(phone)
    context.close()


def test_without_javascript_a_picture_stays(browser):
    if not PAGE.exists(): pytest.skip("docs/ has no playground yet: run `make docs`")
    context = browser.new_context(offline=True, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(PAGE.as_uri())
    home = plain.locator("#playground-table")
    assert "need JavaScript" in home.inner_text() and home.get_by_role("img").get_attribute("alt")
    context.close()


def test_frames_are_reported(shown, record_property, capsys):
    "Not asserted: it is the machine's business. A slider moves at every frame for a second."
    shown.get_by_label("cone offset").scroll_into_view_if_needed()
    chrome = shown.context.new_cdp_session(shown)
    chrome.send("Performance.enable", {"timeDomain": "threadTicks"})
    busy = lambda: next(m["value"] for m in chrome.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration")
    before = busy()
    frames, seconds = shown.evaluate("""() => new Promise((done) => {
      const slider = document.querySelectorAll('#playground-table input')[2], start = performance.now();
      let frames = 0;
      const move = () => {
        const seconds = (performance.now() - start) / 1000;
        if (seconds > 1) { done([frames, seconds]); return; }
        slider.value = frames % 30 / 10;
        slider.dispatchEvent(new Event('input'));
        frames += 1;
        requestAnimationFrame(move);
      };
      move();
    })""")
    cost = (busy() - before) / frames * 1000
    record_property("frames_per_second", frames / seconds)
    with capsys.disabled(): print(f"\nplayground, 1,000 items in 64 dimensions: {frames / seconds:.0f} frames a second, {cost:.1f} ms of the processor each")
