"""The comparison's page in a browser: what it draws, says and opens against its data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import browser_of, opened, screenshot
from comparisons import Json, accuracy_of, data_of, folder_of, run_of
from playwright.sync_api import Browser, Locator, Page, expect

from combsearch.report.comparison.page import comparison_page
from combsearch.tasks import cubist_spiral


@pytest.fixture(scope="module")
def browser(kernel_cache: Path) -> Iterator[Browser]:
    with browser_of(kernel_cache) as found:
        yield found


@pytest.fixture(scope="module")
def file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a part of a comparison."""
    source = folder_of(root, tmp_path_factory.mktemp("near"))
    page = source.with_name("page.html")
    page.write_bytes(comparison_page(source))
    return page


@pytest.fixture(scope="module")
def data(file: Path) -> Json:
    return data_of(file.read_bytes())


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with opened(browser, file) as found:
        yield found


def line_of(data: Json, method: str, width: int | None = None) -> list[Json]:
    """The runs behind the marks of a method's line."""
    [line] = [
        one
        for one in data["groups"][0]["lines"]
        if (one["method"], one["width"]) == (method, width)
    ]
    return [run for number in line["steps"] if (run := run_of(data, number))]


def marks(page: Page, name: str) -> Locator:
    """The marks of the line that the legend calls ``name``."""
    place = page.evaluate(
        """name => [...document.querySelectorAll(".pareto .line")]
            .findIndex((one) => one.__data__.name === name)""",
        name,
    )
    assert place >= 0, name
    return page.locator(".pareto .line").nth(place).locator("path.fill")


def point_at(page: Page, mark: Locator) -> None:
    box = mark.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def detail(page: Page) -> dict[str, str]:
    """What stands under the chart about the run at the cursor."""
    names = page.locator(".detail dt").all_text_contents()
    return dict(zip(names, page.locator(".detail dd").all_text_contents(), strict=True))


def percent(share: float) -> str:
    return f"{int(round(share * 1e10) // 10**6) / 100:.2f}%"


def column(page: Page, name: str) -> list[str]:
    heads = page.locator(".gaps thead th").all_text_contents()
    return page.locator(f".gaps tbody tr > :nth-child({heads.index(name) + 1})").all_text_contents()


def test_the_run_behind_a_mark_and_its_network(page: Page, data: Json) -> None:
    runs = line_of(data, "gmp")
    assert marks(page, "GMP").count() == len(runs)
    # One that no other mark covers, and whose network was saved.
    place, run = next((place, run) for place, run in enumerate(runs) if run["accuracy"] >= 0.95)
    point_at(page, marks(page, "GMP").nth(place))
    expect(page.locator(".detail .name")).to_have_text("GMP")
    assert detail(page) == {
        "nonzeros": str(run["nonzeros"]),
        "accuracy": percent(run["accuracy"]),
        "effective": str(run["effective_nonzeros"]),
        "width": str(run["width"]),
        "budget": str(run["budget"]),
        "recipe": run["cell"],
        "restart": str(run["restart"]),
        "run": run["run"],
    }
    assert page.locator(".tip > *").all_text_contents() == [
        "GMP",
        f"{run['nonzeros']} nonzeros, {percent(run['accuracy'])}",
        f"width {run['width']}, budget {run['budget']}",
        f"cell {run['cell']}, restart {run['restart']}",
        run["run"],
    ]
    page.mouse.down()
    page.mouse.up()
    dialog = page.locator("dialog")
    title = f"GMP, width {run['width']}, budget {run['budget']}: {run['nonzeros']} nonzeros"
    expect(dialog.locator("h2").first).to_contain_text(title)
    assert abs(shown_accuracy(dialog) - run["accuracy"]) < 1e-4
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def shown_accuracy(dialog: Locator) -> float:
    """The share of points that the page itself found right, once it says so."""
    said = re.compile(r"([\d,]+) of ([\d,]+) points")
    expect(dialog).to_contain_text(said)
    found = said.search(dialog.text_content() or "")
    assert found
    right, points = (int(text.replace(",", "")) for text in found.groups())
    assert points == cubist_spiral().points
    return right / points


def test_widths_methods_and_targets_are_switched(page: Page, data: Json) -> None:
    assert marks(page, "SNIP").count() == len(line_of(data, "snip"))
    page.get_by_role("group", name="Width").get_by_role("button", name="16").click()
    runs = line_of(data, "snip", 16)
    assert marks(page, "SNIP").count() == len(runs)
    first = next(run["nonzeros"] for run in runs if run["accuracy"] >= 0.95)
    entry = page.locator(".entry", has=page.get_by_role("button", name="SNIP", exact=True))
    assert entry.locator("span").nth(1).text_content() == str(first)
    assert column(page, "width") == ["16", "16"]
    legend = page.get_by_role("group", name="Methods")
    legend.get_by_role("button", name="SNIP", exact=True).click()
    names = "[...document.querySelectorAll('.pareto .line')].map((one) => one.__data__.name).sort()"
    assert page.evaluate(names) == ["GMP", "trained bound", "what exists"]
    legend.get_by_role("button", name="Hide all").click()
    assert page.evaluate(names) == ["trained bound", "what exists"]
    legend.get_by_role("button", name="Show all").click()
    expect(legend.get_by_role("button", name="Show all")).to_be_focused()
    assert len(page.evaluate(names)) == 4
    kinds = "[...document.getElementById('page').childNodes].map((one) => one.nodeType)"
    assert set(page.evaluate(kinds)) == {1}  # elements, and no text such as "null"
    assert page.locator(".pareto .target").count() == 2
    page.get_by_role("group", name="Targets").get_by_role("button", name="99.5%").click()
    assert page.locator(".pareto .target text").all_text_contents() == ["95%"]
    label = data["groups"][1]["label"]
    page.get_by_label("start").select_option(label=label)
    assert column(page, "method") == ["GMP", "SNIP"]
    own = [row for row in data["groups"][1]["rows"] if row["target"] == 0.95]
    runs_told = {f"{row['runs']:,}" for row in own if row["width"] in (None, 16)}
    assert set(column(page, "runs")) <= runs_told


def test_a_line_stands_out_only_under_a_mouse_that_moves(page: Page) -> None:
    faded = page.locator(".pareto.faded")
    button = page.get_by_role("group", name="Methods").get_by_role("button", name="GMP", exact=True)
    box = button.bounding_box()
    assert box
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    expect(faded).to_have_count(1)
    page.get_by_role("group", name="Width").get_by_role("button", name="16").focus()
    page.keyboard.press("Enter")
    expect(faded).to_have_count(0)
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    expect(faded).to_have_count(0)
    page.mouse.move(box["x"] + 12, box["y"] + 10)
    expect(faded).to_have_count(1)


def test_by_keyboard_alone_in_the_dark(browser: Browser, file: Path, data: Json) -> None:
    """From the top of the page: the chart, a run, its network, back; the table sorted."""
    with opened(browser, file, "dark") as page:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('.pareto')"):
                break
        page.keyboard.press("ArrowRight")  # the first line's first step: the trained bound
        expect(page.locator(".detail .name")).to_have_text("trained bound")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        name = page.locator(".detail .name").text_content()
        assert name in ("GMP", "SNIP")
        page.keyboard.press("End")
        run = line_of(data, name.lower())[-1]
        told = detail(page)
        assert (told["nonzeros"], told["run"]) == (str(run["nonzeros"]), run["run"])
        screenshot(page, "comparison-dark")
        page.keyboard.press("Enter")
        assert abs(shown_accuracy(page.locator("dialog")) - run["accuracy"]) < 1e-4
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.matches('.pareto')")
        sort = page.locator(".gaps thead").get_by_role("button", name="method")
        sort.focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert column(page, "method") == ["SNIP", "GMP"]
        assert page.locator(".gaps th[aria-sort=descending]").count() == 1
        page.keyboard.press("Tab")
        while not page.evaluate("document.activeElement.matches('.gaps .open')"):
            page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert "GMP" in page.evaluate("document.activeElement.getAttribute('aria-label')")
        page.keyboard.press("Enter")
        [row] = [
            one
            for one in data["groups"][0]["rows"]
            if (one["method"], one["width"], one["target"]) == ("gmp", None, 0.95)
        ]
        network = data["networks"][data["of_points"][str(row["saved"])]]["network"]
        wanted = accuracy_of(network, cubist_spiral())
        assert abs(shown_accuracy(page.locator("dialog")) - wanted) < 1e-4


def test_the_table_is_that_of_the_file_and_sorts(page: Page, data: Json) -> None:
    page.get_by_label("every width").check()
    page.get_by_role("group", name="Target of the table").get_by_role(
        "button", name="99.5%"
    ).click()
    rows = [row for row in data["groups"][0]["rows"] if row["target"] == 0.995]
    firsts = {row["first"]: run_of(data, row["first"]) for row in rows}
    wanted = sorted(run["nonzeros"] for run in firsts.values() if run)
    shown = column(page, "nonzeros")
    assert len(shown) == len(rows)
    numbers = [int(text) for text in shown if text.isdigit()]
    reached = [row for row in rows if row["first"] is not None]
    assert numbers == sorted(numbers) and set(numbers) == set(wanted)
    assert len(numbers) == len(reached) < len(rows)
    best = [row["best"] for row in rows if row["first"] is None]
    wrong = sorted((run_of(data, one) or {"accuracy": -1})["accuracy"] for one in best)
    texts = ["no run counts" if one < 0 else f"not reached ({percent(one)})" for one in wrong[::-1]]
    assert shown[len(numbers) :] == texts
    page.locator(".gaps thead").get_by_role("button", name="gap to trained").click()
    page.locator(".gaps thead").get_by_role("button", name="gap to trained").click()
    gaps = [row["gap"]["trained"] for row in rows if row["gap"]["trained"] is not None]
    texts = [text.replace("−", "-").replace("±", "") for text in column(page, "gap to trained")]
    assert [int(text) for text in texts if text != "–"] == sorted(gaps, reverse=True)
    screenshot(page, "comparison-light")


def test_on_a_phone_nothing_runs_over_and_a_finger_selects(
    browser: Browser, file: Path, data: Json
) -> None:
    with opened(browser, file, size=(390, 844)) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        run = line_of(data, "snip")[-1]
        box = marks(page, "SNIP").last.bounding_box()
        assert box
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(page.locator("dialog")).to_have_count(0)
        assert detail(page)["nonzeros"] == str(run["nonzeros"])
        screenshot(page, "comparison-phone")
        page.locator(".detail .open").click()
        expect(page.locator("dialog h2").first).to_contain_text(f"{run['nonzeros']} nonzeros")
        screenshot(page, "comparison-phone-network", full=False)
