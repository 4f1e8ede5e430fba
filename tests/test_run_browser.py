"""The page of a run in a browser: its numbers, sorting, figures and networks, by mouse and keys."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser_of, opened, screenshot
from playwright.sync_api import Browser, Locator, Page, expect

from combsearch.commands.runs import run_status
from combsearch.numerals import percent
from combsearch.report.run.data import run_data
from combsearch.report.run.page import page_of
from combsearch.store import RunStore

ODD = "<img src=x onerror=alert(1)>"
Made = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def browser(kernel_cache: Path) -> Iterator[Browser]:
    with browser_of(kernel_cache) as found:
        yield found


def made(run: Path, target: Path) -> Made:
    """The page of a run, and the data that it was made of."""
    store = RunStore.attach(run)
    data = run_data(store, run_status(store)[0])
    target.write_bytes(page_of(data))
    return target, data


@pytest.fixture(scope="module")
def dense(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Phase one, under an odd name: every run a point."""
    folder = tmp_path_factory.mktemp("dense")
    shutil.copytree(root / "results" / "phase1-0.95", folder / ODD)
    return made(folder / ODD, folder / "page.html")


@pytest.fixture(scope="module")
def masks(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Phase two: more runs than are drawn one by one."""
    folder = tmp_path_factory.mktemp("masks")
    return made(root / "results" / "phase2-3x3x3-0.95", folder / "page.html")


@pytest.fixture
def page(browser: Browser, dense: Made) -> Iterator[Page]:
    with opened(browser, dense[0]) as found:
        yield found


def column(page: Page, name: str) -> list[str]:
    """The texts of a column of the table."""
    heads = page.locator(".tables thead th").all_inner_texts()
    at = [re.sub(r"\W+$", "", head) for head in heads].index(name)
    return page.locator(f".tables tbody td:nth-child({at + 1})").all_inner_texts()


def head(page: Page, name: str) -> Locator:
    return page.get_by_role("columnheader").filter(has_text=name)


def test_the_page_shows_the_numbers_of_the_run(page: Page, dense: Made) -> None:
    data = dense[1]
    expect(page.locator("h1")).to_have_text(ODD)
    assert page.locator("img").count() == 0
    expect(page.locator(".finding")).to_have_text(data["finding"][0])
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", "finished: 37 shapes done")
    expect(page.locator(".run pre")).to_have_text(data["made_by"])
    rows = data["tables"][0]["rows"]
    assert column(page, "nonzeros") == [f"{row[0]:,}" for row in rows]
    assert column(page, "best accuracy") == [percent(row[2]) for row in rows]
    assert column(page, "runs") == [f"{row[5]:,}" for row in rows]
    assert column(page, "successes") == [f"{row[6]:,}" for row in rows]
    assert page.locator(".frame .best circle").count() == len(data["best"])
    expect(page.locator(".bound text")).to_contain_text(
        f"{data['bound']['nonzeros']} nonzeros, {percent(data['bound']['accuracy'])}"
    )
    expect(page.locator(".counts")).to_contain_text(f"{data['counts'][0][1]:,} rows saved")
    screenshot(page, "run-phase1-light")


def test_tables_are_sorted_by_mouse_and_keyboard(page: Page, dense: Made) -> None:
    data = dense[1]
    accuracy = [row[2] for row in data["tables"][0]["rows"]]
    head(page, "best accuracy").get_by_role("button").click()
    expect(head(page, "best accuracy")).to_have_attribute("aria-sort", "descending")
    assert column(page, "best accuracy") == [percent(a) for a in sorted(accuracy, reverse=True)]
    page.keyboard.press("Enter")  # the head that was clicked still has the focus
    expect(head(page, "best accuracy")).to_have_attribute("aria-sort", "ascending")
    assert column(page, "best accuracy") == [percent(a) for a in sorted(accuracy)]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press(" ")
    shapes = column(page, "shape")
    assert len(shapes) > 1 and shapes == sorted(
        shapes, key=lambda text: json.loads(f"[{text[1:-1]}]")
    )
    expect(head(page, "best accuracy")).to_have_attribute("aria-sort", "none")
    page.get_by_role("button", name="By shape").press("Enter")
    expect(head(page, "best accuracy")).to_have_attribute("aria-sort", "descending")
    rows = sorted(data["tables"][1]["rows"], key=lambda row: -row[2])
    assert column(page, "shape") == [row[0] for row in rows[:25]]
    page.get_by_role("button", name=f"Show all {len(rows)} rows").press("Enter")
    assert column(page, "shape") == [row[0] for row in rows]
    head(page, "successes").get_by_role("button").click()
    found = [int(text) for text in column(page, "successes")]
    assert found == sorted(found, reverse=True) and found[0] == 4


def test_a_row_opens_its_network(page: Page, dense: Made) -> None:
    data = dense[1]
    rows, networks = data["tables"][0]["rows"], data["tables"][0]["networks"]
    buttons = page.locator(".tables tbody button")
    assert buttons.count() == len(rows)
    assert page.locator('.tables tbody button[tabindex="0"]').count() == 1
    buttons.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    window = page.get_by_role("dialog")
    expect(window).to_be_visible()
    expect(window.locator("h2").first).to_have_text(data["networks"][networks[-1]]["name"])
    # What the page computes for itself is what the run saved.
    expect(window.locator(".figure").first).to_contain_text(percent(rows[-1][2]))
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    expect(buttons.last).to_be_focused()
    page.locator(".tables tbody tr").nth(3).locator("td").nth(2).click()
    expect(window.locator(".figure").first).to_contain_text(percent(rows[3][2]))
    screenshot(page, "run-network", full=False)


def test_the_figure_is_read_by_mouse_and_keyboard(page: Page, dense: Made) -> None:
    data = dense[1]
    best = data["best"]
    chart = page.locator('[data-focus="chart"]')
    tip = page.locator(".tip").first
    chart.focus()
    for key, place in (("ArrowRight", 0), ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2)):
        page.keyboard.press(key)
        one = best[place]
        expect(tip).to_contain_text(f"{one['nonzeros']} nonzeros, {percent(one['accuracy'])}")
        expect(page.locator("#said")).to_contain_text(f"shape {dict(one['details'])['shape']}")
    page.keyboard.press("ArrowDown")  # the next best run of this number of nonzeros
    expect(tip).to_contain_text(f"{best[-2]['nonzeros']} nonzeros")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").locator(".figure").first).to_contain_text(
        percent(best[-1]["accuracy"])
    )
    page.keyboard.press("Escape")
    expect(chart).to_be_focused()
    expect(tip).to_contain_text(
        f"{best[-1]['nonzeros']} nonzeros"
    )  # the cursor stands where it was
    page.locator(".frame .best circle").nth(4).hover()
    expect(tip).to_contain_text(f"{best[4]['nonzeros']} nonzeros, {percent(best[4]['accuracy'])}")
    shares = page.locator('[data-focus="success"]')
    shares.focus()
    page.keyboard.press("End")
    level = data["levels"][-1]
    expect(page.locator(".tip").nth(1)).to_contain_text(
        f"{level['successes']} of {level['started']:,} runs"
    )


def test_newer_data_leave_the_reader_where_they_are(page: Page, dense: Made) -> None:
    page.get_by_role("button", name="By shape").click()
    head(page, "best accuracy").get_by_role("button").click()
    before = column(page, "shape")
    page.evaluate("scrollTo(0, 900)")
    top = page.evaluate("scrollY")
    page.evaluate(
        """() => Run.update({...Page.data(), finding: ["newer"], finished: false,
           progress: {done: 3, whole: 9, unit: "shapes", at_most: true}})"""
    )
    expect(page.locator(".finding")).to_have_text("newer")
    expect(page.locator(".progress p")).to_have_text("not finished: 3 shapes done, 6 left at most")
    assert column(page, "shape") == before and page.evaluate("scrollY") == top
    expect(head(page, "best accuracy").get_by_role("button")).to_be_focused()
    page.locator('[data-focus="chart"]').focus()
    page.keyboard.press("End")
    page.evaluate("Run.update({...Page.data(), finding: ['newest']})")
    nonzeros = dense[1]["best"][-1]["nonzeros"]
    expect(page.locator(".tip").first).to_contain_text(f"{nonzeros} nonzeros")
    page.evaluate(
        """() => Run.update({...Page.data(), best: [], frontier: [], bound: null, points: null,
           levels: [], shares: [], runs: 0, networks: [], tables: [{...Page.data().tables[0],
           rows: [], networks: []}]})"""
    )
    expect(page.locator(".frame .none")).to_have_text("no run is saved yet")


def test_newer_data_behind_a_network_that_is_looked_at(page: Page, dense: Made) -> None:
    opens = page.locator(".tables tbody button.open")
    opens.nth(3).press("Enter")
    page.evaluate("Run.update({...Page.data(), finding: ['newer']})")
    window = page.get_by_role("dialog")
    window.locator(".neuron.hidden").first.press("Enter")
    # What is behind the window nobody hears.
    expect(window.get_by_role("status")).to_contain_text("switched off. Accuracy")
    page.keyboard.press("Escape")
    expect(opens.nth(3)).to_be_focused()


def test_a_table_whose_first_network_is_not_saved(page: Page) -> None:
    page.evaluate(
        """() => { const data = Page.data(); data.tables[0].networks[0] = -1; Run.update(data); }"""
    )
    assert page.locator('.tables tbody button[tabindex="0"]').count() == 1


def test_figures_are_drawn_for_paper_before_its_pages_are_counted(page: Page) -> None:
    size = "document.querySelector('[data-focus=chart]').getAttribute('viewBox').split(' ')[2]"
    wide = page.evaluate(size)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(size) == "690"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(size) == wide


def test_bins_are_read_in_dark_and_on_a_phone(browser: Browser, masks: Made) -> None:
    path, data = masks
    bins = data["bins"]
    most = max(range(len(bins["count"])), key=lambda place: bins["count"][place])
    with opened(browser, path, scheme="dark", size=(390, 844)) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        screenshot(page, "run-phase2-dark-phone")
        chart = page.locator('[data-focus="chart"]')
        chart.focus()
        page.keyboard.press("Home")
        levels = [one["nonzeros"] for one in data["best"]]
        column = bins["nonzeros"][bins["column"][most]]
        for _ in range(levels.index(column)):
            page.keyboard.press("ArrowRight")
        tip = page.locator(".tip").first
        rows = [r for c, r in zip(bins["column"], bins["row"], strict=True)
                if c == bins["column"][most] and r >= bins["row"][most]]  # fmt: skip
        for _ in rows:
            page.keyboard.press("ArrowDown")
        expect(tip).to_contain_text(f"{bins['count'][most]:,} runs")
        expect(tip).to_contain_text(percent(bins["accuracy"][bins["row"][most]]))
    with opened(browser, path, scheme="light") as page:
        box = page.locator(".tables .scroll")
        assert box.evaluate("(one) => one.scrollWidth <= one.clientWidth")
        picture = "document.querySelector('.frame canvas').toDataURL()"
        before = page.evaluate(picture)
        page.get_by_role("button", name="Dark").click()
        assert page.evaluate(picture) != before
        page.emulate_media(media="print")
        assert page.locator(".tables th button").first.is_visible()
        assert not page.locator(".tables tbody button").first.is_visible()


def test_paper_says_how_many_rows_it_leaves_out(page: Page, dense: Made) -> None:
    page.get_by_role("button", name="By shape").click()
    part = page.get_by_text(f"25 of {len(dense[1]['tables'][1]['rows'])} rows")
    assert not part.is_visible()
    page.emulate_media(media="print")
    assert part.is_visible()
