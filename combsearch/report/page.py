"""One self-contained HTML file: styles, scripts and data inside, and a policy that allows no more.

The policy (Content-Security-Policy) names each script and style by its hash and forbids all
requests, so that nothing in the data, such as the name of a run, can become code: data are
JSON in a block that no browser executes, and scripts show them as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

SHARED = ("d3/d3.min.js", "page.js", "colours.js")
"""Scripts that all pages begin with."""

STYLE = "style.css"


def page(
    title: str,
    data: Any,
    scripts: Sequence[str],
    styles: Sequence[str] = (),
    live: bool = False,
) -> bytes:
    """A page as UTF-8.

    Args:
        title: any text.
        data: JSON values; scripts read them with ``Page.data()``. No NaN and no infinities.
        scripts: files of ``assets``, in this order after SHARED; the last one begins.
        styles: files of ``assets`` after STYLE.
        live: the page may ask the server that it came from, and nobody else.

    Raises:
        ValueError: ``data`` holds what JSON cannot.
    """
    code = [asset(name) for name in (*SHARED, *scripts)]
    looks = [asset(name) for name in (STYLE, *styles)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(code, looks, live)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="generator" content="combsearch">',
            '<link rel="icon" href="data:,">',  # else browsers ask a server for one
            f"<title>{html.escape(title)}</title>",
            *(f"<style>{text}</style>" for text in looks),
            "</head>",
            "<body>",
            '<main id="page"><noscript>This page draws itself with JavaScript, which is switched'
            " off here.</noscript></main>",
            f'<script type="application/json" id="data">{script_json(data)}</script>',
            *(f"<script>{text}</script>" for text in code),
            "</body>",
            "</html>",
            "",
        ]
    ).encode("utf-8", "replace")  # lone halves of surrogate pairs, in odd file names, are no UTF-8


def policy(scripts: Sequence[str], styles: Sequence[str], live: bool = False) -> str:
    """The Content-Security-Policy of a page with these scripts and styles."""
    rules = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {' '.join(map(_hash, styles))}",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*rules, "connect-src 'self'"] if live else rules)


def policy_of(content: bytes) -> str:
    """The policy that stands in a page: for a server to send as a header as well."""
    found = re.search(rb'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    if found is None:
        raise ValueError("this is no page of combsearch")
    return html.unescape(found[1].decode())


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def script_json(data: Any) -> str:
    """``data`` as JSON that cannot end the block it stands in, whatever texts it holds."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "replace").decode()  # as the title


@lru_cache
def asset(name: str) -> str:
    """The text of a file of ``assets``, as it will stand in a page.

    Raises:
        ValueError: it would not stand there as it is.
    """
    text = resources.files("combsearch.report").joinpath("assets", name).read_text("utf-8")
    if any(sign in text.lower() for sign in ("</script", "</style", "<!--", "\0")):
        raise ValueError(f"{name} holds an end of a block, the start of a comment or a NUL")
    return text
