"""Pages as files: their policy, their data, and what their scripts never do."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from combsearch.report.page import SHARED, STYLE, asset, page, policy_of, script_json

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "combsearch" / "report" / "assets"
D3 = ASSETS / "d3"
OWN = sorted(path for path in ASSETS.rglob("*") if path.is_file() and D3 not in path.parents)

NASTY = [
    "</script><script>alert(1)</script>", "</SCRIPT >", "<!--", "-->", "<script", "]]>", "&lt;",
    "<img src=x onerror=alert(1)>", '"', "'", "\\", "\\u003c", "\n", "\r", "\t", "\0", "\x7f",
    "\u2028", "\u2029", "\ufeff", "é", "😀", "${x}", "`", "javascript:alert(1)", "__proto__", "",
]  # fmt: skip


class Parsed(HTMLParser):
    """The tags of a page in order, with their attributes, and the text in each."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str], list[str]]] = []
        self._text: list[str] = []  # of the tag that was opened last, until one is closed
        self.feed(content.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._text = []
        self.tags.append((tag, {name: value or "" for name, value in attrs}, self._text))

    def handle_endtag(self, tag: str) -> None:
        self._text = []

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def all(self, name: str) -> list[tuple[dict[str, str], str]]:
        """(attributes, text) of all tags of this name."""
        return [(attrs, "".join(text)) for tag, attrs, text in self.tags if tag == name]

    def data(self) -> Any:
        [text] = [text for attrs, text in self.all("script") if attrs.get("id") == "data"]
        return json.loads(text)

    def policy(self) -> dict[str, list[str]]:
        [found] = [
            attrs["content"]
            for attrs, _ in self.all("meta")
            if attrs.get("http-equiv") == "Content-Security-Policy"
        ]
        return {name: rest for name, *rest in (rule.split() for rule in found.split("; "))}


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def name_of(path: Path) -> str:
    return path.relative_to(ASSETS).as_posix()


def make(data: Any = None, title: str = "a run", **more: Any) -> bytes:
    return page(
        title, data, ("network/forward.js", "network/network.js"), ("network/network.css",), **more
    )


# ---- the policy -----------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_the_policy_names_the_scripts_and_styles_that_are_there(live: bool) -> None:
    parsed = Parsed(make(NASTY, live=live))
    policy = parsed.policy()
    code = [text for attrs, text in parsed.all("script") if not attrs]
    assert policy["script-src"] == [hashed(text) for text in code]
    assert policy["style-src"] == [hashed(text) for _, text in parsed.all("style")]
    assert len(code) == len(SHARED) + 2 and len(parsed.all("style")) == 2
    assert code[-1] == (ASSETS / "network/network.js").read_text("utf-8")
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == ["'none'"]
    assert policy["img-src"] == ["data:", "blob:"]
    assert policy.get("connect-src") == (["'self'"] if live else None)
    assert len(policy) == (7 if live else 6)


def test_the_policy_allows_nothing_unsafe_and_comes_before_all_that_it_judges() -> None:
    parsed = Parsed(make())
    text = json.dumps(parsed.policy())
    assert "unsafe" not in text and "*" not in text and "http:" not in text
    names = [tag for tag, attrs, _ in parsed.tags if "http-equiv" in attrs or tag != "meta"]
    assert names.index("meta") < min(names.index(tag) for tag in ("style", "script", "link"))
    assert parsed.all("meta")[0][0] == {"charset": "utf-8"}


def test_a_server_can_read_the_policy_of_a_page_whatever_its_title() -> None:
    fake = 'http-equiv="Content-Security-Policy" content="default-src *"'
    content = make(fake, title=fake)
    [own] = [a["content"] for a, _ in Parsed(content).all("meta") if "http-equiv" in a]
    assert policy_of(content) == own
    with pytest.raises(ValueError, match="no page"):
        policy_of(b"<html></html>")


def test_nothing_is_loaded_from_anywhere() -> None:
    for tag, attrs, _ in Parsed(make()).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert attrs.get(name, "").startswith("data:") or name not in attrs, (tag, attrs)
        assert "style" not in attrs and not [name for name in attrs if name.startswith("on")]


# ---- the data -------------------------------------------------------------------------


def test_data_come_back_whatever_texts_they_hold() -> None:
    data = {"texts": NASTY, **{text: text for text in NASTY}, "numbers": [0.1, -1e-300, 2**53]}
    content = make(data)
    parsed = Parsed(content)
    assert parsed.data() == data
    plain = Parsed(make())
    assert [tag for tag, _, _ in parsed.tags] == [tag for tag, _, _ in plain.tags]


def test_the_block_of_data_holds_no_sign_that_could_end_it() -> None:
    text = script_json({"texts": NASTY, "<": ["<!--<script>"]})
    assert not set("<>&\u2028\u2029\n\r") & set(text)


def test_lone_halves_of_surrogate_pairs_are_replaced() -> None:
    parsed = Parsed(make(["a\ud800b", "\udcff"], title="run \udcff"))
    assert parsed.data() == ["a?b", "?"]
    assert parsed.all("title")[0][1] == "run ?"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_does_not_have_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        make({"deep": [value]})


@pytest.mark.parametrize("title", [text for text in NASTY if text not in ("\r", "\0")])
def test_a_title_is_text(title: str) -> None:
    parsed = Parsed(make(title=f"a{title}b"))
    assert parsed.all("title") == [({}, f"a{title}b")]
    assert len(parsed.all("script")) == len(SHARED) + 3


def test_the_same_data_give_the_same_bytes() -> None:
    first = make({"b": 1, "a": [NASTY]})
    asset.cache_clear()
    assert make({"b": 1, "a": [NASTY]}) == first
    assert b'<meta charset="utf-8">' in first[:1024] and first.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "text", ["</script>", "</SCRIPT >", "</style>", "<!-- x", "a\0b"]
)  # fmt: skip
def test_a_script_that_would_not_stand_as_it_is_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "x.js").write_bytes(text.encode())
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"x\.js holds"):
        asset.__wrapped__("x.js")


# ---- the files in assets --------------------------------------------------------------

FORBIDDEN = {
    "markup from texts": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.html\(|"
    r"DOMParser|createContextualFragment|srcdoc",
    "code from texts": r"\beval\b|new Function|\bFunction\(|javascript:|"
    r"set(Timeout|Interval)\(\s*[\"'`]",
    "requests": r"XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|\bimport\(|"
    r"new Worker|serviceWorker|RTCPeer",
    "styles that the policy blocks": r"setAttribute\(\s*[\"']style|\.attr\(\s*[\"']style|"
    r"\bstyle:\s*[\"'`]|cssText|\.nonce",
    "handlers that the policy blocks": r"setAttribute\(\s*[\"']on|\.attr\(\s*[\"']on",
}  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [p for p in OWN if p.suffix == ".js"],
    ids=name_of,
)
def test_scripts_never_make_markup_or_code_of_texts(path: Path) -> None:
    text = path.read_text("utf-8")
    for what, pattern in FORBIDDEN.items():
        assert not re.findall(pattern, text), what
    assert name_of(path) == "live/live.js" or not re.search(r"\bfetch\b", text)
    assert text.startswith('"use strict";\n')


@pytest.mark.parametrize(
    "path",
    [p for p in OWN if p.suffix == ".css"],
    ids=name_of,
)
def test_styles_load_nothing(path: Path) -> None:
    assert not re.search(r"url\(|@import|expression\(|</", path.read_text("utf-8"))


def test_what_is_taken_of_d3_is_what_its_list_names() -> None:
    entry = (D3 / "entry.js").read_text("utf-8")
    listed = {
        name.strip() for names in re.findall(r"\{([^}]*)\}", entry) for name in names.split(",")
    }
    bundle = (D3 / "d3.min.js").read_text("utf-8")
    table = re.search(r"\{((?:[A-Za-z]\w*:\(\)=>[\w$]+,?)+)\}", bundle)
    assert table is not None
    assert {part.split(":")[0] for part in table[1].split(",")} == listed
    used = {name for path in OWN for name in re.findall(r"\bd3\.(\w+)", path.read_text("utf-8"))}
    assert used <= listed


def test_d3_makes_no_code_of_texts_and_asks_nobody() -> None:
    text = (D3 / "d3.min.js").read_text("utf-8")
    for what in ("code from texts", "requests"):
        assert not re.findall(FORBIDDEN[what], text), what
    assert not re.search(r"\bfetch\b|https?://(?!www\.w3\.org/)", text)


def test_the_licences_of_the_bundle_go_with_every_page() -> None:
    licences = (D3 / "LICENSE").read_text("utf-8").strip()
    assert "Permission to use, copy" in licences and "Robert Penner" in licences
    assert licences in make().decode()


def test_every_file_is_of_some_page_and_every_name_is_a_file() -> None:
    named: set[str] = set()
    for path in (ROOT / "combsearch" / "report").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= {*re.findall(r"^[\w/.]+\.(?:js|css)$", node.value)}
    present = set(map(name_of, OWN)) | {"d3/d3.min.js"}
    assert named == present
    assert {*SHARED, STYLE} <= named


def test_every_asset_can_stand_in_a_page() -> None:
    for path in OWN:
        assert asset(name_of(path)) == path.read_text("utf-8")
