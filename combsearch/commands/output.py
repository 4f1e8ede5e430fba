"""Where the commands write their results: standard output, whole or with a clear error."""

from __future__ import annotations


class OutputLostError(Exception):
    """Standard output cannot be written; ``__cause__`` is the OSError."""


def say(text: str) -> None:
    """``text`` on standard output.

    Raises:
        OutputLostError: it is closed, full or gone.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        raise OutputLostError(str(error)) from error
