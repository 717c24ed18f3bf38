"""Fetching from a server on this machine that breaks off, forgets, lies and sends traps."""

from __future__ import annotations

import hashlib
import io
import threading
import urllib.error
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from quell.env.model.errors import QuellError, StoreError
from quell.env.world.fetch import DATASETS, Dataset, dataset_named, fetch

FILES = {"rnd/2013-8/1.csv": "one\n" * 20_000, "rnd/2013-8/2.csv": "two\n" * 20_000}


def zipped(files: dict[str, str], *, links: tuple[str, ...] = ()) -> bytes:
    """A zip archive, stored without compression so that it has some length; `links` are symbolic links to /etc."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name in links:
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o120777 << 16
            archive.writestr(member, "/etc")
    return buffer.getvalue()


@dataclass
class Server:
    """What the server has, how it behaves, and what it was asked."""

    content: bytes = field(default_factory=lambda: zipped(FILES))
    cut_after: int | None = None  # bytes of an answer after which the connection ends
    knows_ranges: bool = True
    says_length: bool = True
    status: int = 200
    asked_ranges: list[str | None] = field(default_factory=list)
    address: str = ""

    def dataset(self, sha256: str | None = None) -> Dataset:
        """A data set that lies on this server."""
        return Dataset("made", self.address, "bitbrains:made", "", "", "", sha256)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine."""
    behaviour = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name http.server asks for
            asked = self.headers.get("Range")
            behaviour.asked_ranges.append(asked)
            content, start = behaviour.content, 0
            if behaviour.status != 200:
                self.send_error(behaviour.status)
                return
            if asked and behaviour.knows_ranges:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if behaviour.says_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop = len(content) if behaviour.cut_after is None else start + behaviour.cut_after
            self.wfile.write(content[start:stop])

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    behaviour.address = f"http://127.0.0.1:{http_server.server_port}/made.zip"
    thread = threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield behaviour
    http_server.shutdown()
    http_server.server_close()
    thread.join()


def unpacked(folder: Path) -> dict[str, str]:
    """Path and text of every file below a folder."""
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {entry.name for entry in folder.iterdir()}


class TestDownload:
    def test_an_archive_is_downloaded_checked_and_unpacked(self, server: Server, tmp_path: Path) -> None:
        calls: list[tuple[int, int]] = []
        digest = hashlib.sha256(server.content).hexdigest()
        fetched = fetch(server.dataset(digest), tmp_path / "data", lambda *call: calls.append(call))
        assert fetched.folder == tmp_path / "data" / "made"
        assert unpacked(fetched.folder) == FILES
        assert fetched.is_verified
        assert "checksum is right" in fetched.message
        assert names(tmp_path / "data") == {"made", "made.zip"}
        assert calls[-1] == (len(server.content), len(server.content))

    def test_a_broken_download_goes_on_where_it_stopped(self, server: Server, tmp_path: Path) -> None:
        server.cut_after = 50_000
        with pytest.raises(QuellError, match=rf"broke off after 50000 of {len(server.content)} bytes; fetch again"):
            fetch(server.dataset(), tmp_path)
        assert names(tmp_path) == {"made.zip.part"}
        server.cut_after = None
        assert unpacked(fetch(server.dataset(), tmp_path).folder) == FILES
        assert server.asked_ranges == [None, "bytes=50000-"]

    def test_a_server_without_ranges_sends_all_of_it_again(self, server: Server, tmp_path: Path) -> None:
        server.cut_after, server.knows_ranges = 50_000, False
        with pytest.raises(QuellError, match="broke off"):
            fetch(server.dataset(), tmp_path)
        server.cut_after = None
        assert unpacked(fetch(server.dataset(), tmp_path).folder) == FILES
        assert (tmp_path / "made.zip").read_bytes() == server.content

    def test_a_part_that_is_complete_is_taken_as_it_is(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "made.zip.part").write_bytes(server.content)
        assert unpacked(fetch(server.dataset(), tmp_path).folder) == FILES

    def test_a_part_longer_than_the_archive_is_fetched_anew(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "made.zip.part").write_bytes(server.content + b"more")
        assert unpacked(fetch(server.dataset(), tmp_path).folder) == FILES
        assert server.asked_ranges == [f"bytes={len(server.content) + 4}-", None]

    def test_a_download_cut_short_unnoticed_is_no_archive(self, server: Server, tmp_path: Path) -> None:
        server.cut_after, server.says_length = 50_000, False
        with pytest.raises(QuellError, match="what came is no zip archive; it was removed"):
            fetch(server.dataset(), tmp_path)
        assert names(tmp_path) == set()

    @pytest.mark.parametrize(("status", "sentence"), [(404, "answered 404 Not Found"), (503, "answered 503")])
    def test_an_answer_that_is_an_error_is_told(
        self, server: Server, tmp_path: Path, status: int, sentence: str
    ) -> None:
        server.status = status
        with pytest.raises(QuellError, match=sentence):
            fetch(server.dataset(), tmp_path)
        assert names(tmp_path) == set()

    def test_a_server_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        dataset = Dataset("made", "http://127.0.0.1:9/made.zip", "", "", "", "")
        with pytest.raises(QuellError, match=r"127\.0\.0\.1:9/made\.zip: cannot be reached \(.*refused\)"):
            fetch(dataset, tmp_path)

    @pytest.mark.parametrize(
        "error", [TimeoutError("timed out"), urllib.error.URLError("no route"), ConnectionResetError()]
    )
    def test_a_network_that_fails_is_one_sentence(self, server: Server, tmp_path: Path, error: Exception) -> None:
        def opener(request: object) -> None:
            raise error

        with pytest.raises(QuellError, match="cannot be reached") as caught:
            fetch(server.dataset(), tmp_path, opener=opener)
        assert "\n" not in str(caught.value)

    def test_what_is_there_is_not_fetched_again(self, server: Server, tmp_path: Path) -> None:
        fetch(server.dataset(), tmp_path)
        assert "is in" in fetch(server.dataset(), tmp_path).message
        (tmp_path / "made.zip").unlink()  # the archive is not needed any more
        assert "already" in fetch(server.dataset(), tmp_path).message
        assert len(server.asked_ranges) == 1

    def test_a_folder_that_cannot_be_made_is_told(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StoreError, match=r"file.*cannot be written"):
            fetch(server.dataset(), tmp_path / "file" / "data")


class TestChecksum:
    def test_a_wrong_one_is_refused_and_nothing_is_left(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(
            QuellError, match=r"has SHA-256 [0-9a-f]{64}, not 0{64} as the published one; it was removed"
        ):
            fetch(server.dataset("0" * 64), tmp_path)
        assert names(tmp_path) == set()

    def test_without_a_published_one_the_first_fetch_sets_it(self, server: Server, tmp_path: Path) -> None:
        first = fetch(server.dataset(), tmp_path)
        assert not first.is_verified
        assert "no checksum is published" in first.message
        recorded = (tmp_path / "made.zip.sha256").read_text()
        assert recorded == f"{hashlib.sha256(server.content).hexdigest()}  made.zip\n"

    @pytest.mark.parametrize("has_changed", [False, True])
    def test_a_later_fetch_is_compared_with_the_first(self, server: Server, tmp_path: Path, has_changed: bool) -> None:
        fetch(server.dataset(), tmp_path)
        (tmp_path / "made.zip").unlink()
        (tmp_path / "made").rename(tmp_path / "kept")
        if has_changed:
            server.content = zipped({"other.csv": "other"})
            with pytest.raises(QuellError, match=r"not [0-9a-f]{64} as .*made\.zip\.sha256 of an earlier fetch"):
                fetch(server.dataset(), tmp_path)
            assert names(tmp_path) == {"kept", "made.zip.sha256"}
        else:
            assert fetch(server.dataset(), tmp_path).is_verified

    def test_an_archive_that_was_damaged_on_disk_is_noticed(self, server: Server, tmp_path: Path) -> None:
        digest = hashlib.sha256(server.content).hexdigest()
        (tmp_path / "made.zip").write_bytes(server.content[:-1] + b"x")
        with pytest.raises(QuellError, match="as the published one; it was removed"):
            fetch(server.dataset(digest), tmp_path)


class TestArchive:
    @pytest.mark.parametrize(
        "name", ["../evil.csv", "/evil.csv", "rnd/../../evil.csv", "..\\evil.csv", "C:\\evil.csv", "C:/evil.csv"]
    )
    def test_a_member_outside_its_folder_is_refused(self, server: Server, tmp_path: Path, name: str) -> None:
        server.content = zipped({"good.csv": "good", name: "evil"})
        with pytest.raises(QuellError, match="would be unpacked outside its folder; nothing was unpacked"):
            fetch(server.dataset(), tmp_path / "data")
        assert not list(tmp_path.rglob("*.csv"))
        assert "made" not in names(tmp_path / "data")

    def test_a_link_is_refused(self, server: Server, tmp_path: Path) -> None:
        server.content = zipped({"good.csv": "good"}, links=("link",))
        with pytest.raises(QuellError, match="'link': is neither a file nor a folder"):
            fetch(server.dataset(), tmp_path)
        assert names(tmp_path) == {"made.zip"}

    def test_a_damaged_archive_is_removed_and_nothing_is_unpacked(self, server: Server, tmp_path: Path) -> None:
        content = bytearray(server.content)
        content[1000] ^= 0xFF  # inside the first file: its checksum no longer fits
        server.content = bytes(content)
        with pytest.raises(QuellError, match=r"made\.zip: is damaged .*; it was removed, fetch again"):
            fetch(server.dataset(), tmp_path)
        assert names(tmp_path) == set()

    def test_an_error_page_is_no_archive(self, server: Server, tmp_path: Path) -> None:
        server.content = b"<html>Not today</html>"
        with pytest.raises(QuellError, match="what came is no zip archive"):
            fetch(server.dataset(), tmp_path)
        assert names(tmp_path) == set()


class TestTable:
    def test_names_are_unique_and_every_entry_is_whole(self) -> None:
        assert len({dataset.name for dataset in DATASETS}) == len(DATASETS)
        for dataset in DATASETS:
            assert dataset_named(dataset.name) is dataset
            assert dataset.address.startswith("https://")
            assert dataset.address.endswith(".zip")
            assert dataset.licence
            assert dataset.acknowledgement
            assert dataset.workload.endswith(f":{dataset.name}")
            assert dataset.sha256 is None or len(bytes.fromhex(dataset.sha256)) == 32

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(
            QuellError, match="'bitbrain' is unknown; there are bitbrains-rnd, bitbrains-faststorage, planetlab"
        ):
            dataset_named("bitbrain")
