"""Get and check the files of image data sets, which ``combsearch.tasks.images`` reads."""

from __future__ import annotations

from combsearch.fetching.checking import Finding, check
from combsearch.fetching.fetch import PUBLIC, fetch
from combsearch.fetching.unpack import unpack

__all__ = ["PUBLIC", "Finding", "check", "fetch", "unpack"]
