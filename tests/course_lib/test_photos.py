"""Tiles of photographs, split by region; CIFAR-10's binary format on a small stand-in."""

import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from course_lib.data import DataError, archive, card, load, photos, registry


@pytest.fixture(scope="module")
def tiles():
    return load("photo-tiles")


def test_the_tiles_are_colour_and_every_class_is_in_every_split(tiles):
    parts = ((tiles.x_train, tiles.y_train), (tiles.x_validation, tiles.y_validation),
             (tiles.x_test, tiles.y_test))
    for images, labels in parts:
        assert images.shape == (len(labels), 16, 16, 3) and images.dtype == np.float32
        assert labels.dtype == np.int64 and np.bincount(labels, minlength=6).min() >= 60
        assert 0 <= images.min() and images.max() == 1
        assert (images[..., 0] != images[..., 2]).any(axis=(1, 2)).mean() > 0.9, "grey"
    assert len(tiles.y_train) > 2000 and tiles.classes == photos.PHOTOS


def test_no_tile_stands_twice(tiles):
    every = [t.tobytes() for part in (tiles.x_train, tiles.x_validation, tiles.x_test) for t in part]
    assert len(every) == len(set(every))


def test_the_split_does_not_follow_the_seed(tiles, monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "7")
    assert np.array_equal(load("photo-tiles").x_train, tiles.x_train)


def paper(rows, columns):
    """A photograph in which every pixel says where it lies."""
    row, column = np.mgrid[:rows, :columns]
    third = 16 * (row // 256 * 4 + column // 256) + 15 * (column % 2)
    return np.stack([row % 256, column % 256, third], 2).astype(np.uint8)


def places(tiles):
    """Upper left pixel of each tile of ``paper``."""
    corner = tiles[:, 0, 0].astype(int)
    return np.stack([corner[:, 0] + 256 * (corner[:, 2] // 64),
                     corner[:, 1] + 256 * (corner[:, 2] // 16 % 4)], axis=1)


def test_tiles_of_different_regions_lie_a_tile_apart():
    tiles, regions = photos.tiles_of(paper(400, 600))
    at = places(tiles)
    assert len({tuple(p) for p in at}) == len(at) > 500
    apart = np.abs(at[:, None] - at[None]).max(axis=2)           # (tiles, tiles)
    other = regions[:, None] != regions[None]
    assert apart[other].min() == 2 * photos.TILE
    assert np.bincount(regions).max() == photos.BLOCK**2


def test_flat_tiles_are_left_out():
    photo = paper(96, 96)
    photo[:48] = 200
    assert (places(photos.tiles_of(photo)[0])[:, 0] >= 48).all()


def test_whole_regions_go_to_one_split():
    regions = np.repeat(np.arange(20), 30)
    parts = photos._by_region(regions, seed=3)
    sides = [set(regions[rows]) for rows in parts]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert [len(side) for side in sides] == [12, 4, 4]
    assert [len(rows) for rows in parts] == [360, 100, 100]


def test_a_copy_in_another_photograph_is_dropped():
    seen: set = set()
    images = np.stack([np.full((2, 2, 3), k, np.uint8) for k in (1, 2, 1)])
    assert photos._first_seen(images, seen).tolist() == [0, 1]
    assert photos._first_seen(images[1:], seen).tolist() == []


def test_a_png_and_a_jpeg_are_read_as_bytes(tmp_path):
    from PIL import Image

    picture = paper(20, 30)
    for name in ("a.png", "a.jpg"):
        Image.fromarray(picture).save(tmp_path / name)
        found = photos.read_photo(tmp_path / name)
        assert found.dtype == np.uint8 and found.shape == (20, 30, 3)
    assert np.array_equal(photos.read_photo(tmp_path / "a.png"), picture)


def test_a_grey_picture_and_a_small_one_are_refused(tmp_path):
    from PIL import Image

    Image.fromarray(paper(20, 30)[..., 0]).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match="grey.png: expected a colour image"):
        photos.read_photo(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"\(8, 30\) pixels is smaller than one tile"):
        photos.tiles_of(paper(8, 30))
    with pytest.raises(DataError, match="one file for each of astronaut.*not 1"):
        photos.load_photo_tiles((tmp_path / "grey.png",), card("photo-tiles"))


# --- CIFAR-10, in its own file format -----------------------------------------------------------


def records(count, seed):
    """Images (count, 32, 32, 3), labels, and the bytes that stand for them in the format."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    content = b"".join(bytes([label]) + image[..., 0].tobytes() + image[..., 1].tobytes()
                       + image[..., 2].tobytes() for image, label in zip(images, labels))
    return images, labels, content


def cifar_archive(path, batches):
    with tarfile.open(path, "w:gz") as out:
        for name, content in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """CIFAR-10 of 200 + 20 images behind the registry; two of them are copies."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    parts = {f"data_batch_{n}.bin": records(40, n) for n in range(1, 6)}
    test = records(20, 9)
    contents = {name: content for name, (_, _, content) in parts.items()}
    contents["data_batch_5.bin"] += parts["data_batch_1.bin"][2][: photos.RECORD]  # a copy
    contents["data_batch_5.bin"] += test[2][: photos.RECORD]                       # of the test
    path = cifar_archive(tmp_path / "cifar-10-binary.tar.gz", contents | {"test_batch.bin": test[2]})
    task = registry.REGISTRY["photo-tiles"]
    file = archive.Download(path.as_uri(), archive.sha256(path))
    monkeypatch.setitem(registry.REGISTRY, "photo-tiles",
                        replace(task, full=replace(task.full, file=file)))
    return parts, test


def test_the_full_set_stands_behind_the_same_call(stand_in):
    parts, (images, labels, _) = stand_in
    data = load("photo-tiles", full=True)
    assert data.card.name == "cifar-10" and data.classes[3] == "cat"
    assert (len(data.y_train), len(data.y_validation), len(data.y_test)) == (180, 20, 20)
    assert np.array_equal(data.x_test, (images / np.float32(255)).astype(np.float32))
    assert np.array_equal(data.y_test, labels)
    drawn = {i.tobytes() for i in np.rint(255 * np.concatenate(
        [data.x_train, data.x_validation])).astype(np.uint8)}
    assert drawn == {i.tobytes() for x, _, _ in parts.values() for i in x}


def test_a_training_step_runs_on_the_stand_in_in_both_frameworks(stand_in):
    import tensorflow as tf
    import torch

    from course_lib import parity
    from course_lib.pytorch.resnet import TorchResNet, step_torch
    from course_lib.tensorflow.resnet import TFResNet, step_tf

    data = load("photo-tiles", full=True)
    ours, theirs = TorchResNet(10, 8, width=4), TFResNet(10, 8, width=4)
    parity.copy_weights(ours, theirs)
    x, y = data.x_train[:32], data.y_train[:32]
    losses = (step_torch(ours, torch.from_numpy(x), torch.from_numpy(y), 0.125).item(),
              float(step_tf(theirs, tf.constant(x), tf.constant(y), 0.125)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and 1.5 < losses[0] < 5


def test_colours_and_rows_come_in_the_order_of_the_format():
    images, labels, content = records(3, 0)
    found, names = photos.read_cifar_batch(content, "data_batch_1.bin")
    assert np.array_equal(found, images) and names.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("content", "words"), [
    (b"", "0 bytes are not whole records of 3073"),
    (bytes(3072), "3072 bytes are not whole"),
    (b"\x0b" + bytes(3072), "label 11, where 0 to 9"),
])
def test_a_batch_of_the_wrong_form_is_refused(content, words):
    with pytest.raises(DataError, match=f"test_batch.bin: {words}"):
        photos.read_cifar_batch(content, "test_batch.bin")


def test_an_archive_of_another_version_is_refused(tmp_path):
    path = cifar_archive(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": b"pickled"})
    with pytest.raises(DataError, match="lacks data_batch_1.bin; take the binary version"):
        photos.read_cifar(path)


def test_the_pinned_file_is_the_binary_one():
    file = registry.REGISTRY["photo-tiles"].full.file
    assert file.url.endswith("/cifar-10-binary.tar.gz") and len(file.sha256) == 64
