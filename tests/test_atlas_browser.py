"""The atlas in a browser: what it shows of every mask is what the run holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_rows import saved_run
from browser import browser_of, opened, screenshot
from playwright.sync_api import Browser, Page
from searching import phase2, write_task

from combsearch.numerals import percent
from combsearch.report.atlas.data import Atlas, read_atlas
from combsearch.report.atlas.neighbours import NOWHERE, one_weight_fewer
from combsearch.report.atlas.page import atlas_page
from combsearch.store import RunStore

READ = "const masks = AtlasMasks.read(Page.data());"

PANEL = """() => {
  const pairs = [...document.querySelectorAll(".side .facts > div")];
  const texts = pairs.map((pair) => [...pair.children].map((part) => part.textContent));
  const heading = document.querySelector(".side h2").textContent.split(" ");
  return Object.fromEntries([heading, ...texts]);
}"""

WHERE = """(mask) => {
  const box = AtlasShown.map.canvas.getBoundingClientRect();
  const { x, y, size } = AtlasShown.map.where(mask);
  return { x: box.left + x, y: box.top + y, size };
}"""

COLOURS = """(mask) => {
  const { map, masks, scale } = AtlasShown;
  const { x, y, size } = map.where(mask);
  const ratio = map.canvas.width / map.canvas.clientWidth;
  const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  copy.drawImage(map.canvas, -(x + size / 4) * ratio, -(y + size / 4) * ratio);
  const drawn = [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
  return [drawn, Colours.channels(scale.colour(masks.accuracy[mask]))];
}"""


@pytest.fixture(scope="module")
def browser(kernel_cache: Path) -> Iterator[Browser]:
    with browser_of(kernel_cache) as found:
        yield found


@pytest.fixture(scope="module")
def atlas(root: Path) -> Atlas:
    """All 273 masks of (3,2,2), trained."""
    return read_atlas(RunStore.attach(root / "results" / "exhaust-0.95"), "3,2,2")


@pytest.fixture(scope="module")
def file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_bytes(atlas_page(RunStore.attach(root / "results" / "exhaust-0.95"), "3,2,2"))
    return path


def expected(atlas: Atlas, mask: int) -> dict[str, str]:
    """What the panel must say."""
    results, sizes = atlas.results, atlas.sizes()
    assert sizes is not None
    kept = int(atlas.masks.weight_nonzeros()[mask])
    runs = int(results.runs[mask])
    start, segment = 0, atlas.segments[0]
    for segment in atlas.segments:
        if mask < start + segment.masks:
            break
        start += segment.masks
    started = atlas.plan.runs(segment)
    return {
        "Mask": f"{mask:,}",
        "nonzeros": f"{segment.nonzeros}: {kept} weights, {segment.nonzeros - kept} biases",
        "best accuracy": percent(float(results.best[mask])),
        "runs": f"{runs:,}" if runs == started else f"{runs:,} of {started:,} to the end",
        "successes": f"{results.successes[mask]:,}",
        "stands for": "itself alone" if sizes[mask] == 1 else f"{sizes[mask]:,} masks",
        "rank in this shape": f"{mask:,}",
        "rank in the run": f"{segment.rank + mask - start:,}",
        "bits (hexadecimal)": f"0x{int(atlas.masks.words[mask, 0]):016x}",
    }


def panel(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(PANEL)
    found.pop("weights a layer")
    return found


def where(page: Page, mask: int) -> dict[str, float]:
    """The middle of a mask on the screen and its size, in pixels."""
    found: dict[str, float] = page.evaluate(WHERE, mask)
    return found


def chosen(page: Page) -> int:
    return int(page.evaluate("AtlasShown.chosen"))


def colours(page: Page, mask: int) -> tuple[list[int], list[int]]:
    """Of a cell, off its middle, and of the scale."""
    drawn, scale = page.evaluate(COLOURS, mask)
    return drawn, [round(channel) for channel in scale]


def test_bits_and_steps_are_decoded_as_python_packs_them(
    browser: Browser, atlas: Atlas, file: Path
) -> None:
    with opened(browser, file) as page:
        bits = page.evaluate(f"() => {{ {READ} return d3.range(masks.count).map(masks.bits); }}")
        dense = [layer.reshape(len(atlas.masks), -1) for layer in atlas.masks.dense()]
        for mask, own in enumerate(bits):
            flat = [int(bit) for layer in dense for bit in layer[mask]]
            assert own == [place for place, bit in enumerate(flat) if bit]
        places = page.evaluate(f"() => {{ {READ} return masks.weights; }}")
        assert [(w["layer"], w["row"], w["column"]) for w in places] == [
            (layer, row, column)
            for layer, (rows, columns) in enumerate(atlas.shape.layers)
            for row in range(rows)
            for column in range(columns)
        ]
        steps = one_weight_fewer(atlas, 10**6)
        assert steps is not None
        fewer, more = page.evaluate(
            f"""() => {{ {READ} const all = d3.range(masks.count);
              const fewer = (mask) => masks.fewer(mask).sort(d3.ascending);
              return [all.map(fewer), all.map(masks.more)]; }}"""
        )
        starts = [s.local for s in atlas.segments]
        reverse: list[list[int]] = [[] for _ in fewer]
        entry = 0
        for mask, own in enumerate(bits):
            level = max(n for n, start in enumerate(starts) if start <= mask)
            there = {
                starts[level - 1] + int(s) for s in steps[entry : entry + len(own)] if s < NOWHERE
            }
            entry += len(own)
            assert fewer[mask] == sorted(there)
            for other in there:
                reverse[other].append(mask)
        assert more == reverse


def test_hover_keys_search_and_zoom(browser: Browser, atlas: Atlas, file: Path) -> None:
    with opened(browser, file) as page:
        best = next(n for n, good in enumerate(atlas.results.successes) if good)
        assert panel(page) == expected(atlas, best) and chosen(page) == best
        places = page.evaluate("d3.range(AtlasShown.masks.count).map(AtlasShown.map.where)")
        assert len({(round(at["x"]), round(at["y"])) for at in places}) == len(atlas.masks)
        at = where(page, 100)
        page.mouse.move(at["x"], at["y"])
        page.wait_for_function("document.querySelector('.side h2').textContent === 'Mask 100'")
        assert panel(page) == expected(atlas, 100) and chosen(page) == best
        page.mouse.move(2, 2)
        page.wait_for_function(f"document.querySelector('.side h2').textContent === 'Mask {best}'")
        page.mouse.click(at["x"], at["y"])
        assert chosen(page) == 100
        walked = walk(page, atlas)
        assert len({*walked}) == len(walked)
        zoom(page)
        find(page, atlas)
        screenshot(page, "atlas-zoomed", full=False)


def walk(page: Page, atlas: Atlas) -> list[int]:
    """Keys lead over the levels, each ordered by accuracy; the masks that they came to."""
    levels = {s.nonzeros: range(s.local, s.local + s.masks) for s in atlas.segments}
    best = atlas.results.best
    ordered = {
        n: sorted(masks, key=lambda mask: (-best[mask], mask)) for n, masks in levels.items()
    }
    page.focus("canvas.map")
    assert 100 in levels[21]
    came = []
    for key, wanted in (
        ("Home", ordered[21][0]),
        ("ArrowRight", ordered[21][1]),
        ("End", ordered[21][-1]),
        ("PageUp", ordered[22][0]),
        ("ArrowLeft", None),
        ("PageDown", ordered[20][0]),
    ):
        page.keyboard.press(key)
        mask = chosen(page)
        came.append(mask)
        assert panel(page) == expected(atlas, mask)
        if wanted is None:
            assert mask in levels[21]
        else:
            assert mask == wanted, key
    said = page.locator("#said").text_content()
    assert said == f"Mask {mask}, 20 nonzeros, {percent(float(best[mask]))}"
    page.keyboard.press("ArrowUp")
    assert where(page, chosen(page))["y"] < where(page, mask)["y"]
    page.keyboard.press("ArrowDown")
    assert chosen(page) == mask
    page.get_by_role("button", name="Next").click()
    assert chosen(page) == ordered[20][1]
    return came


def zoom(page: Page) -> None:
    size = where(page, chosen(page))["size"]
    page.focus("canvas.map")
    page.keyboard.press("+")
    assert where(page, chosen(page))["size"] == pytest.approx(1.6 * size)
    page.keyboard.press("-")
    assert where(page, chosen(page))["size"] == pytest.approx(size)
    page.get_by_role("button", name="Zoom in").click()
    page.keyboard.press("Tab")
    page.focus("canvas.map")
    page.keyboard.press("0")
    assert where(page, chosen(page))["size"] == pytest.approx(size)
    for _ in range(9):
        page.keyboard.press("+")
    at = where(page, chosen(page))
    box = page.locator("canvas.map").bounding_box()
    assert box is not None and at["size"] == pytest.approx(190)
    assert (
        box["x"] < at["x"] < box["x"] + box["width"]
        and box["y"] < at["y"] < box["y"] + box["height"]
    )


def find(page: Page, atlas: Atlas) -> None:
    field = page.get_by_role("searchbox")
    bits = f"0x{int(atlas.masks.words[50, 0]):x}"
    shown = expected(atlas, 51)["bits (hexadecimal)"]
    for text, mask in (("272", 272), ("0", 0), (shown, 51), (shown[2:], 51), (bits, 50)):
        field.fill(text)
        field.press("Enter")
        assert panel(page) == expected(atlas, mask)
    field.fill("273")
    field.press("Enter")
    assert page.locator(".said").text_content() == "Ranks in this shape go from 0 to 272."
    field.fill("0xffff")
    field.press("Enter")
    assert "No mask here" in str(page.locator(".said").text_content()) and chosen(page) == 50
    for text in ("hello", "-1", "1e3"):
        field.fill(text)
        field.press("Enter")
        assert str(page.locator(".said").text_content()).startswith("Not a rank, nor bits as 0x…")


def test_filters_steps_and_networks(browser: Browser, atlas: Atlas, file: Path) -> None:
    with opened(browser, file, "dark") as page:
        screenshot(page, "atlas-dark")
        best = chosen(page)
        drawn, scale = colours(page, 200)
        assert drawn == scale
        page.get_by_role("button", name="Light").click()
        light, scale = colours(page, 200)
        assert light == scale != drawn
        screenshot(page, "atlas-light")
        page.get_by_label("Fewest nonzeros").select_option("24")
        assert page.locator(".count").text_content() == "19 of 273 masks"
        assert page.evaluate("AtlasShown.map.order().stacks.map((stack) => stack.length)") == [
            14,
            4,
            1,
        ]
        slider = page.get_by_role("slider")
        slider.press("End")
        slider.press("ArrowLeft")
        least = page.evaluate("AtlasShown.least")
        over = [mask for mask in range(254, 273) if atlas.results.best[mask] >= least]
        assert over and page.locator(".count").text_content() == f"{len(over)} of 273 masks"
        steps(page, best)
        network(page, atlas, best)


def steps(page: Page, best: int) -> None:
    """A chip and a weight of the drawing lead to a mask with one weight fewer, a chip back."""
    chips = page.locator(".steps > div")
    fewer = page.evaluate("(mask) => AtlasShown.masks.fewer(mask)", best)
    assert chips.nth(0).locator("button").count() == len(fewer) > 0
    chips.nth(0).locator("button").first.click()
    left = chosen(page)
    assert left in fewer
    assert page.evaluate("document.activeElement.className") == "chip"  # on to the next one
    chips.nth(1).get_by_role("button", name=f"Mask {best},").click()
    assert chosen(page) == best
    page.locator(".drawing .step").first.dispatch_event("click")
    assert chosen(page) in fewer
    chips.nth(1).get_by_role("button", name=f"Mask {best},").click()


def network(page: Page, atlas: Atlas, best: int) -> None:
    page.focus("canvas.map")
    page.keyboard.press("Enter")
    shown = page.get_by_role("dialog")
    shown.wait_for()
    assert percent(float(atlas.results.best[best])) in str(shown.text_content())
    page.keyboard.press("Escape")
    shown.wait_for(state="detached")
    assert page.evaluate("document.activeElement === AtlasShown.map.canvas")


def test_masks_that_were_not_trained_and_a_phone(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "clouds.csv")
    plan = phase2(symmetry="none")
    store = saved_run(plan, "<img onerror=alert(1)>", [(0, 9)])
    file = tmp_path / "phone.html"
    file.write_bytes(atlas_page(store, ""))
    with opened(browser, file, size=(360, 780)) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.get_by_text("atlas of <img onerror=alert(1)>").count() == 1
        assert page.get_by_text(f"{plan.masks}, 9 trained").count() == 1
        page.locator("canvas.map").scroll_into_view_if_needed()
        at = where(page, plan.masks - 1)
        page.touchscreen.tap(at["x"], at["y"])
        assert chosen(page) == plan.masks - 1
        found = panel(page)
        assert (found["best accuracy"], found["runs"], "stands for" in found) == (
            "not trained",
            "0",
            False,
        )
        page.get_by_role("searchbox").fill("1")
        page.get_by_role("button", name="Go").click()
        assert panel(page)["best accuracy"] == "no run finished"
        assert page.get_by_role("button", name="No network kept").is_disabled()
        screenshot(page, "atlas-phone")
