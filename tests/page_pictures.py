"""Pictures of pages, for README: ``python tests/page_pictures.py FOLDER``, beside every page.

Not a test. Each FOLDER/NAME.html becomes NAME.png, as a window shows it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from browser import browser_of, opened

SIZE = (1280, 1040)


def main(folder: Path) -> None:
    """Take them all; Chromium is kept where compiled kernels are."""
    cache = Path(os.environ.get("COMBSEARCH_CACHE", Path.home() / ".cache" / "combsearch"))
    with browser_of(cache) as browser:
        for path in sorted(folder.glob("*.html")):
            with opened(browser, path, size=SIZE) as page:
                page.wait_for_timeout(500)  # pictures of neurons are drawn one after the other
                page.screenshot(path=path.with_suffix(".png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
