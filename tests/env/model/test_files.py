"""`write_atomically`: all of the new content, or all of the old, and one clear sentence where it fails."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quell.env.model import files
from quell.env.model.errors import StoreError
from quell.env.model.files import write_atomically


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("", b""),
        ("two\nlines\r\n", b"two\nlines\r\n"),
        ("0.5 ≤ ρ", "0.5 ≤ ρ".encode()),
        (b"\x00\xff", b"\x00\xff"),
    ],
)
def test_stores_exactly_what_it_was_given(tmp_path: Path, content: str | bytes, stored: bytes) -> None:
    path = tmp_path / "plan.json"
    write_atomically(path, content)
    assert path.read_bytes() == stored
    assert names_in(tmp_path) == ["plan.json"]


def test_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_atomically(path, "a long first version")
    write_atomically(path, "short")
    assert path.read_text() == "short"


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    path = tmp_path / "report.html"
    write_atomically(path, "")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def missing_folder(folder: Path) -> Path:
    return folder / "missing" / "plan.json"


def file_as_folder(folder: Path) -> Path:
    (folder / "notes").write_text("")
    return folder / "notes" / "plan.json"


def folder_as_file(folder: Path) -> Path:
    (folder / "plan.json").mkdir()
    return folder / "plan.json"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (missing_folder, "No such file or directory"),
        (file_as_folder, "Not a directory"),
        (folder_as_file, "Is a directory"),
    ],
)
def test_a_path_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, place: Callable[[Path], Path], reason: str
) -> None:
    path = place(tmp_path)
    before = names_in(tmp_path)
    with pytest.raises(StoreError, match=f"^{re.escape(str(path))} cannot be written: {reason}$"):
        write_atomically(path, "new")
    assert names_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write into every folder")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            write_atomically(tmp_path / "plan.json", "new")
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_on_the_way_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def disk_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, disk_full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["plan.json"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "plan.json", "new")
    assert names_in(tmp_path) == []


class TestWhatIsNoPlainFile:
    """`-o lnk.json` replaced the link and left its target; `-o /dev/null`, as root, made a file of the device."""

    @pytest.mark.parametrize("content", [None, "old"], ids=["dangling", "with a target"])
    def test_of_a_link_the_target_is_written(self, content: str | None, tmp_path: Path) -> None:
        link, target = tmp_path / "latest.json", tmp_path / "deep" / "plan.json"
        target.parent.mkdir()
        if content is not None:
            target.write_text(content)
        link.symlink_to(target)
        write_atomically(link, "new")
        assert link.is_symlink() and target.read_text() == "new"
        assert names_in(tmp_path) == ["deep", "latest.json"] and names_in(target.parent) == ["plan.json"]

    def test_links_in_a_circle_are_refused(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.symlink_to(other)
        other.symlink_to(one)
        with pytest.raises(StoreError, match="one cannot be written: Too many levels of symbolic links"):
            write_atomically(one, "new")
        assert one.is_symlink() and other.is_symlink()

    def test_a_pipe_stays_one_and_its_reader_gets_everything(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with ThreadPoolExecutor() as pool:
            heard = pool.submit(pipe.read_bytes)
            write_atomically(pipe, "x" * 200_000)
            assert heard.result() == b"x" * 200_000
        assert stat.S_ISFIFO(pipe.stat().st_mode) and names_in(tmp_path) == ["pipe"]

    def test_a_link_to_a_stream_is_written_after_what_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As with `quell plan -o /dev/stdout > plan.txt`."""
        behind, stdout = tmp_path / "plan.txt", tmp_path / "dev" / "stdout"
        behind.write_text("printed before\n")
        stdout.parent.mkdir()
        stdout.symlink_to(behind)
        monkeypatch.setattr(files, "STREAM_FOLDERS", (str(stdout.parent),))
        write_atomically(stdout, "the plan\n")
        assert behind.read_text() == "printed before\nthe plan\n" and stdout.is_symlink()


def test_two_writers_at_once_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    versions = [letter * 200_000 for letter in (b"a", b"b")]
    write_atomically(path, versions[0])

    def write_often(content: bytes) -> None:
        for _ in range(20):
            write_atomically(path, content)

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write_often, content) for content in versions]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in versions
        for writer in writers:
            writer.result()
    assert names_in(tmp_path) == ["plan.json"]


def names_in(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())
