"""Chromium for tests of pages: this machine's, or Debian's unpacked into a private folder.

A page is opened from disk and watched: any error that it logs and any request that it makes
fails the test that opened it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import debian
import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

# DejaVu: without any font a page has no text at all.
PACKAGES = ("chromium", "fonts-dejavu-core")
NAMES = ("chromium", "chromium-browser", "google-chrome")
_OWN = "CHROMIUM"  # variable with the path of a browser to use instead
_PICTURES = "COMBSEARCH_SCREENSHOTS"  # variable with the folder of pictures
_ARGUMENTS = (
    "--no-sandbox",  # as root, and in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True)
class Chromium:
    """A browser's file, and what must be in its environment."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_chromium(cache: Path) -> Chromium:
    """The one of $CHROMIUM, of this machine, or Debian's, kept in ``cache``.

    Raises:
        debian.NoPackages: there is none, and none to be had.
    """
    own = os.environ.get(_OWN)
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    if found := own or installed:
        return Chromium(Path(found))
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / "chromium"
    with (cache / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers one unpacks
        if not folder.exists():
            half = cache / "chromium.new"
            shutil.rmtree(half, ignore_errors=True)
            debian.unpack(PACKAGES, half)
            half.rename(folder)
    return _unpacked(folder / "root")


def _unpacked(root: Path) -> Chromium:
    path = root / "usr/lib/chromium/chromium"
    if not path.exists():
        raise debian.NoPackages("the packages that apt-get gave hold no chromium")
    libraries = sorted({str(file.parent) for file in root.glob("**/*-linux-gnu/**/lib*.so*")})
    fonts = root / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>{root}/usr/share/fonts</dir><dir>/usr/share/fonts</dir>"
        f"<cachedir>{root}/fonts</cachedir>"
        "<alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>"
        "</fontconfig>"
    )
    return Chromium(path, {"LD_LIBRARY_PATH": ":".join(libraries), "FONTCONFIG_FILE": str(fonts)})


@contextlib.contextmanager
def browser_of(cache: Path) -> Iterator[Browser]:
    """A browser; where there is none the test is skipped with a plain line."""
    try:
        found = find_chromium(cache)
    except debian.NoPackages as reason:
        pytest.skip(f"browser tests are left out, no chromium here: {reason}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.path,
            args=list(_ARGUMENTS),
            env={**os.environ, **found.environment},
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """What a page did that it must not do."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def clean(self) -> bool:
        """Whether it did nothing of the kind; the assertion shows what."""
        assert self.errors == []
        assert self.requests == []
        return True


@contextlib.contextmanager
def opened(
    browser: Browser,
    url: Path | str,
    scheme: str = "light",
    size: tuple[int, int] = (1280, 860),
    allowed: str = "",
) -> Iterator[Page]:
    """A page in a window of its own; at the end it must have been quiet.

    Args:
        browser: which one.
        url: a file, or an address.
        scheme: ``"light"`` or ``"dark"``.
        size: of the window in pixels; below 600 wide it has a touch screen.
        allowed: start of addresses that it may ask for, besides itself and blobs.
    """
    start = url.resolve().as_uri() if isinstance(url, Path) else url
    watch = Watch()
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
        has_touch=size[0] < 600,
        accept_downloads=True,
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on(
            "console",
            lambda said: (
                watch.errors.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.on("request", lambda request: _note(watch, request.url, start, allowed))
        page.goto(start)
        yield page
        assert watch.clean()
    finally:
        with contextlib.suppress(Error):
            context.close()


def _note(watch: Watch, url: str, start: str, allowed: str) -> None:
    own = url.partition("#")[0] == start.partition("#")[0] or url.startswith(("blob:", "data:"))
    if not own and not (allowed and url.startswith(allowed)):
        watch.requests.append(url)


def screenshot(page: Page, name: str, full: bool = True) -> None:
    """A picture of a page for a person to look at; none unless the environment names a folder.

    Args:
        page: what to take it of.
        name: of the file, without .png.
        full: all of the page, and not just the window.
    """
    if folder := os.environ.get(_PICTURES):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=full)
