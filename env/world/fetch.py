"""Fetching public traces: download with resume and checksum, then unpack.

Nothing is ever half there: a download is a `.part` file until it is complete and checked, and an archive is unpacked
into a temporary folder that gets its name at the end. The next attempt goes on where a broken one stopped.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import stat
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model.errors import QuellError, StoreError
from ..model.files import write_atomically

Progress = Callable[[int, int], None]
"""Called as (bytes done, bytes in all; 0 where the server does not say)."""
Opener = Callable[[urllib.request.Request], Any]

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Dataset:
    """A public trace.

    Attributes:
        name: what it is fetched by, and the name of its folder and archive.
        address: of the zip archive.
        workload: how the unpacked trace is used, as a workload below the folder it was fetched to.
        contents: what is in it.
        licence: as stated where it is published.
        acknowledgement: what to cite.
        sha256: of the archive, where it is known; None where the archive is made anew for each download.
    """

    name: str
    address: str
    workload: str
    contents: str
    licence: str
    acknowledgement: str
    sha256: str | None = None


GWA_LICENCE = "free to use; the Grid Workloads Archive asks to acknowledge Bitbrains IT Services and to cite the paper"
GWA_ACKNOWLEDGEMENT = (
    "Bitbrains IT Services Inc.; S. Shen, V. van Beek, A. Iosup: Statistical Characterization of Business-Critical "
    "Workloads Hosted in Cloud Datacenters, CCGrid 2015"
)
DATASETS = (
    Dataset(
        name="bitbrains-rnd",
        address="https://atlarge-research.com/gwa-traces/gwa_t_12_rnd.zip",
        workload="bitbrains:bitbrains-rnd",
        contents="GWA-T-12 Rnd: 500 VMs, CPU, memory, disk and network every 5 minutes, July to September 2013",
        licence=GWA_LICENCE,
        acknowledgement=GWA_ACKNOWLEDGEMENT,
        # Digest as several public projects that use the archive state it.
        sha256="d3d9ddebb689c0b5463f2e4cfd8956e84bdcdf138b4476320855393e2b229a06",
    ),
    Dataset(
        name="bitbrains-faststorage",
        address="https://atlarge-research.com/gwa-traces/gwa_t_12_fastStorage.zip",
        workload="bitbrains:bitbrains-faststorage",
        contents="GWA-T-12 fastStorage: 1,250 VMs on fast storage, the same measurements, August 2013",
        licence=GWA_LICENCE,
        acknowledgement=GWA_ACKNOWLEDGEMENT,
        sha256="11313f528a0cbcbe57e63162f8ae5a41a9c7e7c1a79872e294ff3c5bbaa2e671",
    ),
    Dataset(
        name="planetlab",
        address="https://github.com/beloglazov/planetlab-workload-traces/archive/refs/heads/master.zip",
        workload="planetlab:planetlab",
        contents="CPU of about 1,000 PlanetLab VMs every 5 minutes on 10 days of March and April 2011",
        licence="none stated (measurements of CoMon on PlanetLab)",
        acknowledgement=(
            "K. Park, V. Pai: CoMon, ACM SIGOPS Operating Systems Review 40, 2006; A. Beloglazov, R. Buyya: Optimal "
            "Online Deterministic Algorithms and Adaptive Heuristics, Concurrency and Computation 24, 2012"
        ),
    ),
)


@dataclass(frozen=True)
class Fetched:
    """What a fetch has left behind.

    Attributes:
        folder: the unpacked trace.
        is_verified: whether the archive's digest was compared with a known one: published, or of an earlier fetch.
        message: one sentence for people.
    """

    folder: Path
    is_verified: bool
    message: str


def dataset_named(name: str) -> Dataset:
    """The data set of a name.

    Raises:
        QuellError: there is none.
    """
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    raise QuellError(f"data set {name!r} is unknown; there are {', '.join(dataset.name for dataset in DATASETS)}")


def fetch(dataset: Dataset, folder: Path, progress: Progress | None = None, opener: Opener | None = None) -> Fetched:
    """Download, check and unpack a data set; what is there already is not fetched again.

    Args:
        dataset: what to fetch.
        folder: where to put it: the archive as NAME.zip, the trace as the folder NAME.
        progress: told the bytes done and in all.
        opener: opens a request; the system's by default.

    Raises:
        QuellError: the network fails (a later fetch goes on from there), or what came is not what was expected.
        StoreError: the folder cannot be written.
    """
    archive, target = folder / f"{dataset.name}.zip", folder / dataset.name
    if target.is_dir():
        return Fetched(target, False, f"{dataset.name} is in {target} already; delete that folder to fetch it again.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not archive.exists():
            part = archive.with_suffix(".zip.part")
            _download(dataset, part, progress, opener or _open)
            _check(dataset, part, archive)
            os.replace(part, archive)
        digest, is_verified = _check(dataset, archive, archive)
        _unpack(archive, target)
        if not is_verified:
            write_atomically(_digest_file(archive), f"{digest}  {archive.name}\n")
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from None
    verdict = (
        "its checksum is right"
        if is_verified
        else f"no checksum is published, so {_digest_file(archive).name} now holds this one for later fetches"
    )
    return Fetched(target, is_verified, f"{dataset.name} is in {target}; {verdict}.")


# ---- download


def _open(request: urllib.request.Request) -> Any:
    """The response to a request."""
    return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)


def _download(dataset: Dataset, part: Path, progress: Progress | None, opener: Opener) -> None:
    """Complete the part file, from where it ends if the server can, else from the start."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _request(dataset, have, opener)
    except urllib.error.HTTPError as error:
        raise QuellError(f"{dataset.address}: the server answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise QuellError(f"{dataset.address}: cannot be reached ({getattr(error, 'reason', error)})") from None
    if response is None:  # nothing is left to fetch
        return
    with response:
        start = _range_start(response) if response.status == 206 else 0
        if start not in (0, have):
            raise QuellError(f"{dataset.address}: the server sent another range than asked for; delete {part}")
        _save(dataset, response, part, start, progress)


def _request(dataset: Dataset, have: int, opener: Opener) -> Any:
    """The response, from byte `have` on where the server can; None where the server says that nothing is left."""
    headers = {"User-Agent": "quell", "Accept-Encoding": "identity"}
    whole = urllib.request.Request(dataset.address, headers=headers)
    if not have:
        return opener(whole)
    try:
        return opener(urllib.request.Request(dataset.address, headers={**headers, "Range": f"bytes={have}-"}))
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        error.close()
    return None if total == str(have) else opener(whole)


def _range_start(response: Any) -> int:
    """First byte of a partial answer; -1 where it does not say."""
    unit, _, span = (response.headers.get("Content-Range") or "").partition(" ")
    start = span.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdigit() else -1


def _save(dataset: Dataset, response: Any, part: Path, start: int, progress: Progress | None) -> None:
    """Write a response to the part file from byte `start` on; where it ends early the part stays for the next time."""
    length = response.headers.get("Content-Length") or ""
    total = start + int(length) if length.isdigit() else 0
    done = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        while chunk := _read(dataset, response):
            file.write(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    if done < total:
        raise QuellError(f"{dataset.address}: broke off after {done} of {total} bytes; fetch again to go on from there")


def _read(dataset: Dataset, response: Any) -> bytes:
    """The next bytes of a response."""
    try:
        return bytes(response.read(CHUNK_BYTES))
    except (OSError, http.client.HTTPException) as error:
        raise QuellError(
            f"{dataset.address}: the connection broke ({error}); fetch again to go on from there"
        ) from None


# ---- check


def _digest_file(archive: Path) -> Path:
    """Where the digest of an archive without a published one is kept."""
    return archive.with_suffix(".zip.sha256")


def _check(dataset: Dataset, file: Path, archive: Path) -> tuple[str, bool]:
    """Digest of a file and whether it was compared with a known one; a file that is no good is removed."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    known_from = "the published one"
    expected = dataset.sha256
    if expected is None and _digest_file(archive).exists():
        expected = (_digest_file(archive).read_text().split() or [""])[0]
        known_from = f"{_digest_file(archive)} of an earlier fetch (delete that file if the archive has changed since)"
    if expected is not None and digest != expected:
        file.unlink()
        raise QuellError(
            f"{dataset.address}: the archive has SHA-256 {digest}, not {expected} as {known_from}; it was removed"
        )
    if not zipfile.is_zipfile(file):
        file.unlink()
        raise QuellError(f"{dataset.address}: what came is no zip archive; it was removed")
    return digest, expected is not None


# ---- unpack


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive into a temporary folder beside the target, and give it its name when all is there."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        unpacked = Path(temporary) / target.name
        try:
            with zipfile.ZipFile(archive) as opened:
                members = opened.infolist()
                for member in members:
                    _check_member(archive, member)
                needed, free = sum(member.file_size for member in members), shutil.disk_usage(target.parent).free
                if needed > free:
                    raise StoreError(f"{target.parent}: {archive.name} needs {needed} bytes unpacked, {free} are free")
                unpacked.mkdir()
                opened.extractall(unpacked)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            archive.unlink()
            raise QuellError(f"{archive}: is damaged ({error}); it was removed, fetch again") from None
        os.replace(unpacked, target)


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    """Raise unless a member is a plain file or folder inside the target."""
    parts = member.filename.replace("\\", "/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise QuellError(
            f"{archive}, member {member.filename!r}: would be unpacked outside its folder; nothing was unpacked"
        )
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise QuellError(f"{archive}, member {member.filename!r}: is neither a file nor a folder; nothing was unpacked")
