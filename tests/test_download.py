"""Downloads from a server in a thread: continued, verified, and what is said when they fail."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from site_server import CONTENT, NAME, Site, item, serving

from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.fetching.download import download, partial_path


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


def quiet(*_: object) -> None:
    """Shows nothing."""


def test_a_download_is_the_file_and_its_progress_is_shown(site: Site, tmp_path: Path) -> None:
    shown: list[tuple[int, int | None]] = []
    path = download(item(site), tmp_path / "new" / "folder", lambda *far: shown.append(far))
    assert path.read_bytes() == CONTENT and path.name == f".{NAME}.part"
    assert shown[0] == (0, len(CONTENT)) and shown[-1] == (len(CONTENT), len(CONTENT))
    assert len(shown) > 2 and shown == sorted(shown)


def test_what_is_there_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    partial_path(tmp_path, NAME).write_bytes(CONTENT[:1000])
    assert download(item(site), tmp_path, quiet).read_bytes() == CONTENT
    assert site.asked == [(f"/{NAME}", "bytes=1000-")]
    download(item(site), tmp_path, quiet)
    assert len(site.asked) == 1  # it is whole: nobody is asked


@pytest.mark.parametrize("feature", ["no ranges", "another range"])
def test_without_ranges_it_begins_again(site: Site, tmp_path: Path, feature: str) -> None:
    site.ranges, site.wrong_range = feature != "no ranges", feature == "another range"
    partial_path(tmp_path, NAME).write_bytes(CONTENT[:1000])
    assert download(item(site), tmp_path, quiet).read_bytes() == CONTENT


def test_an_answer_that_breaks_off_is_continued(site: Site, tmp_path: Path) -> None:
    site.cut = [1000, 2000]
    assert download(item(site), tmp_path, quiet).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == [None, "bytes=1000-", "bytes=3000-"]


def test_without_length_the_end_is_the_end(site: Site, tmp_path: Path) -> None:
    site.no_length = True
    assert download(item(site), tmp_path, quiet).read_bytes() == CONTENT


def test_what_came_stays_when_a_server_gives_up(site: Site, tmp_path: Path) -> None:
    site.cut = [1000, 0, 0, 0, 0, 0]
    with pytest.raises(CombsearchError, match=r"some.bin: broken off after 1,000 bytes") as caught:
        download(item(site), tmp_path, quiet)
    assert caught.value.exit_code == 1
    assert partial_path(tmp_path, NAME).read_bytes() == CONTENT[:1000]
    site.cut = []
    assert download(item(site), tmp_path, quiet).read_bytes() == CONTENT


def test_a_wrong_checksum_is_named_and_the_file_is_gone(site: Site, tmp_path: Path) -> None:
    site.files[NAME] = CONTENT[:-1] + b"?"
    with pytest.raises(CorruptDataError, match=r"expected sha256 \w{64}, found \w{64}") as caught:
        download(item(site), tmp_path, quiet)
    assert f"{site.address}/{NAME}" in str(caught.value)
    assert partial_path(tmp_path, NAME).read_bytes() == b""
    assert [path.name for path in tmp_path.iterdir()] == [f".{NAME}.part"]


@pytest.mark.parametrize("old", [b"of another version" * 99, CONTENT + b"and more"])
def test_a_partial_file_of_something_else_is_thrown_away(
    site: Site, tmp_path: Path, old: bytes
) -> None:
    partial_path(tmp_path, NAME).write_bytes(old)
    assert download(item(site), tmp_path, quiet).read_bytes() == CONTENT


def test_the_next_address_is_tried(site: Site, tmp_path: Path) -> None:
    site.files["damaged"] = b"no"
    found = download(item(site, "absent", "damaged", NAME), tmp_path, quiet)
    assert found.read_bytes() == CONTENT
    assert [path for path, _ in site.asked] == ["/absent", "/damaged", f"/{NAME}"]


def test_absent_files_and_servers_are_one_line(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CombsearchError, match=r"/absent: 404 Not Found$"):
        download(item(site, "absent"), tmp_path, quiet)
    nowhere = replace(item(site), urls=("http://127.0.0.1:9/x", "http://no.such.host.invalid/x"))
    with pytest.raises(CombsearchError) as caught:
        download(nowhere, tmp_path, quiet)
    message = str(caught.value)
    assert "http://127.0.0.1:9/x: Connection refused; http://no.such.host" in message
    assert "\n" not in message and "urlopen" not in message


def test_two_processes_do_not_write_one_file(site: Site, tmp_path: Path) -> None:
    with partial_path(tmp_path, NAME).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process is downloading"):
            download(item(site), tmp_path, quiet)


def test_a_folder_that_cannot_be_made_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot use .*file/below: Not a directory"):
        download(item(site), tmp_path / "file" / "below", quiet)
