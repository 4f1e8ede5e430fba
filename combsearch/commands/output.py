"""Where the commands write: standard output, whole or with a clear error, and names of files."""

from __future__ import annotations

import re


class OutputLostError(Exception):
    """Standard output cannot be written; ``__cause__`` is the OSError."""


def say(text: str) -> None:
    """``text`` on standard output; of a file's odd name what cannot be written is escaped.

    Raises:
        OutputLostError: it is closed, full or gone.
    """
    try:
        try:
            print(text, flush=True)
        except UnicodeEncodeError as error:
            print(
                text.encode(error.encoding, "backslashreplace").decode(error.encoding), flush=True
            )
    except OSError as error:
        raise OutputLostError(str(error)) from error


def file_name(text: str) -> str:
    """``text`` as part of a file's name: ``my.module:Mine`` -> ``my.module-Mine``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:80].strip("-.") or "x"
