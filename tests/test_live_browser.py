"""A run's page in a browser while the run goes on: it changes by itself, for its reader alone."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import browser_of, opened, screenshot
from playwright.sync_api import Browser, Page, expect
from searching import with_a_run

from combsearch.commands.show_live import source_of
from combsearch.report.live.server import Limits, LiveServer

NAME = "<img src=x onerror=alert(1)>"
EAGER = Limits(pause_seconds=0.0, rest=0.0)


@pytest.fixture(scope="module")
def browser(kernel_cache: Path) -> Iterator[Browser]:
    with browser_of(kernel_cache) as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task and a run of it."""
    return with_a_run(tmp_path_factory.mktemp("live"))


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the run, under a bad name."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("runs/one").rename(Path("runs") / NAME)


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[LiveServer]:
    with LiveServer(source_of(folder), port, EAGER) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def address(server: LiveServer) -> str:
    return f"http://127.0.0.1:{server.port}/"


def ask_now(page: Page) -> None:
    """What a reader does who comes back to the page: it asks its server at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards").iterdir())


def test_a_page_follows_its_run(browser: Browser, folder: Path) -> None:
    later = [path.rename(Path(path.name)) for path in shards(folder)[3:]]
    with (
        serving(folder) as server,
        opened(browser, address(server), allowed=address(server)) as page,
    ):
        line, content = page.locator(".live"), page.locator("#page")
        expect(page.locator("h1")).to_have_text(NAME)
        assert page.title().startswith(NAME) and page.locator("img").count() == 0
        expect(line).to_have_text("live")
        expect(content).to_contain_text("not finished: 3 shapes done")
        page.evaluate("window.same = true")
        with page.expect_response("**/data.json") as found:
            ask_now(page)
        assert found.value.status == 200
        with page.expect_response("**/data.json") as found:
            ask_now(page)
        assert found.value.status == 304
        expect(line).to_have_text("live")  # the first answer was what the page came with
        screenshot(page, "live", full=False)
        for path in later:
            path.rename(folder / "shards" / path.name)
        ask_now(page)
        expect(content).to_contain_text("finished: 9 shapes done")
        expect(content).not_to_contain_text("not finished")
        expect(line).to_have_text(text := page.locator(".live").inner_text())
        assert text.startswith("finished, last change ") and text[-6] == text[-3] == ":"
        expect(page.locator("#said")).to_have_text(text)
        assert page.evaluate("window.same")
        screenshot(page, "live-finished", full=False)


def test_a_page_that_is_left_alone_asks_by_itself(browser: Browser, folder: Path) -> None:
    last = shards(folder)[-1]
    last.rename("last")
    context = browser.new_context()
    asked: list[str] = []
    try:
        page = context.new_page()
        page.clock.install()
        page.on("response", lambda answer: asked.append(answer.url.rpartition("/")[2]))
        with serving(folder) as server:
            page.goto(address(server))
            for answers in (2, 3):  # three seconds after each
                page.clock.fast_forward(2_900)
                assert len(asked) == answers - 1
                with page.expect_response("**/data.json"):
                    page.clock.fast_forward(200)
                expect(page.locator(".live")).to_have_text("live")
            Path("last").rename(last)
            with page.expect_response("**/data.json"):
                page.clock.fast_forward(3_100)
            expect(page.locator(".live")).to_contain_text("finished")
            page.clock.fast_forward(29_000)  # a finished run is asked for less often
            assert asked == ["", *["data.json"] * 3]
            with page.expect_response("**/data.json"):
                page.clock.fast_forward(2_000)
    finally:
        context.close()


def test_trouble_is_said_and_passes(browser: Browser, folder: Path) -> None:
    shard = shards(folder)[0]
    sound = shard.read_bytes()
    context = browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 844})
    try:
        page = context.new_page()  # a browser's console tells of every failed request
        page.set_default_timeout(20_000)
        line = page.locator(".live")
        with serving(folder) as server:
            page.goto(address(server))
            expect(line).to_have_text("finished")
            shard.write_bytes(sound[:-1] + b"x")
            ask_now(page)
            expect(line).to_contain_text(
                "the run cannot be read, trying again: shard runs/<img src"
            )
            expect(page.locator("#said")).to_have_text("the run cannot be read, trying again")
            assert page.locator("img").count() == 0
            screenshot(page, "live-broken-phone-dark", full=False)
            shard.write_bytes(sound)
            ask_now(page)
            expect(line).to_have_text("finished")
        ask_now(page)
        expect(line).to_have_text("connection lost, trying again")
        screenshot(page, "live-lost-phone-dark", full=False)
        with serving(folder, server.port):
            ask_now(page)
            expect(line).to_have_text("finished")
    finally:
        context.close()


READ = """async (address) => {
  const loaded = (tag, set) => new Promise((resolve) => {
    const made = document.createElement(tag);
    made.onload = () => resolve("read");
    made.onerror = () => resolve("refused");
    set(made);
    document.body.append(made);
  });
  const fetched = (options) =>
    fetch(`${address}data.json`, options).then(() => "read", () => "refused");
  return [
    await fetched({}),
    await fetched({ mode: "no-cors" }),
    await fetched({ method: "POST", mode: "no-cors", body: "x" }),
    await loaded("script", (made) => { made.src = `${address}data.json`; }),
    await loaded("img", (made) => { made.src = `${address}data.json`; }),
    await loaded("link", (made) => { made.rel = "stylesheet"; made.href = `${address}data.json`; }),
  ];
}"""


def test_another_site_cannot_read_it(browser: Browser, folder: Path) -> None:
    Path("site.html").write_text("<!doctype html><title>another</title><body></body>")
    context = browser.new_context()
    try:
        page = context.new_page()
        with serving(folder) as server:
            page.goto(Path("site.html").resolve().as_uri())
            assert page.evaluate(READ, address(server)) == ["refused"] * 6
            page.evaluate(
                "(address) => { const made = document.createElement('iframe');"
                " made.src = address; document.body.append(made); }",
                address(server),
            )
            page.wait_for_timeout(300)
            assert all(frame.locator(".head").count() == 0 for frame in page.frames)
            page.goto(address(server))  # a link may lead there
            expect(page.locator("h1")).to_have_text(NAME)
    finally:
        context.close()
