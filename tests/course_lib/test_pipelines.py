"""Order, shards and loaders: the same batches everywhere, nothing lost, and clear errors."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import DataError, load
from course_lib.data.shards import Arrays, Delayed, Shards, write_shards
from course_lib.scratch.order import Order, buffer_shuffle, row_rng

# --- the order -------------------------------------------------------------------------------


def epoch_of(order):
    return np.concatenate(list(order))


@given(rows=st.integers(1, 40), batch=st.integers(1, 40), seed=st.integers(0, 3),
       buffer=st.none() | st.integers(1, 50), epochs=st.integers(1, 3))
def test_every_epoch_holds_every_row_once(rows, batch, seed, buffer, epochs):
    batch = min(batch, rows)
    order = Order(rows, batch, seed, buffer)
    for epoch in range(epochs):
        batches = list(order)
        assert len(order) == len(batches) and {len(b) for b in batches[:-1]} <= {batch}
        assert np.array_equal(np.concatenate(batches), order.permutation(epoch))
        assert sorted(np.concatenate(batches)) == list(range(rows))
        for _ in batches:
            order.advance()
        assert (order.epoch, order.done) == (epoch + 1, 0)


@given(rows=st.integers(2, 40), batch=st.integers(1, 5), stop=st.integers(0, 60))
def test_a_state_goes_on_where_it_was_saved(rows, batch, stop):
    batch = min(batch, rows)
    straight, stopped = Order(rows, batch, 7), Order(rows, batch, 7)
    for order in (straight, stopped):
        for _ in range(stop):
            order.advance()
    resumed = Order(rows, batch, 7)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    for _ in range(3):
        left = straight.permutation(straight.epoch)[straight.done * batch :]
        assert np.array_equal(np.concatenate(list(resumed)), left)
        assert len(straight) == len(resumed) == len(list(resumed))
        straight.advance(), resumed.advance()


def test_what_a_loader_takes_is_not_progress():
    order = Order(20, 5)
    list(order), next(iter(order))
    assert order.done == 0 and len(order) == 4


def test_orders_differ_by_epoch_and_seed_and_not_by_their_sum():
    orders = {(seed, epoch): tuple(Order(50, 5, seed).permutation(epoch))
              for seed in range(3) for epoch in range(3)}
    assert len(set(orders.values())) == 9


def test_order_says_what_is_wrong():
    for rows, batch, seed in ((10, 0, 0), (10, 11, 0), (0, 1, 0), (10, 2, -1)):
        with pytest.raises(ValueError, match=f"{rows} rows, batch {batch}, seed {seed}"):
            Order(rows, batch, seed)
    state = Order(10, 2, 1).state_dict()
    with pytest.raises(ValueError, match="state has seed 1, this order 2"):
        Order(10, 2, 2).load_state_dict(state)
    with pytest.raises(ValueError, match="state has rows 10, this order 12"):
        Order(12, 2, 1).load_state_dict(state)
    with pytest.raises(ValueError, match="state has buffer None, this order 4"):
        Order(10, 2, 1, 4).load_state_dict(state)
    for change in ({"done": 5}, {"done": -1}, {"epoch": -1}):
        with pytest.raises(ValueError, match="which this order does not have"):
            Order(10, 2, 1).load_state_dict(state | change)
    with pytest.raises(ValueError, match="lacks done, epoch"):
        Order(10, 2, 1).load_state_dict({k: state[k] for k in ("rows", "batch", "seed", "buffer")})


# --- the buffer ------------------------------------------------------------------------------


@given(rows=st.integers(0, 60), buffer=st.integers(1, 70), seed=st.integers(0, 5))
def test_a_buffer_keeps_all_rows_and_moves_none_too_early(rows, buffer, seed):
    out = buffer_shuffle(np.arange(rows), buffer, np.random.default_rng(seed))
    assert sorted(out) == list(range(rows))
    assert (out - np.arange(rows) <= buffer - 1).all()


def test_a_buffer_of_one_changes_nothing_and_none_is_refused():
    assert buffer_shuffle(np.arange(9), 1, np.random.default_rng(0)).tolist() == list(range(9))
    with pytest.raises(ValueError, match="buffer is 0"):
        buffer_shuffle(np.arange(9), 0, np.random.default_rng(0))


def test_a_buffer_shuffles_like_tensorflow():
    """How often each of 6 rows comes out at each place, by our code and by tf.data."""
    import tensorflow as tf

    runs, rng = 3000, np.random.default_rng(0)
    rows = tf.data.Dataset.range(6)
    many = rows.shuffle(3, seed=0, reshuffle_each_iteration=True).batch(6).repeat(runs)
    theirs = np.array(list(many.as_numpy_iterator()))
    ours = np.array([buffer_shuffle(np.arange(6), 3, rng) for _ in range(runs)])
    for row in range(6):
        a, b = (np.bincount(np.argwhere(o == row)[:, 1], minlength=6) / runs for o in (ours, theirs))
        assert np.abs(a - b).max() < 5 * np.sqrt(0.5 / runs), row  # 5 standard errors of a share


def test_random_numbers_of_a_row_depend_on_nothing_else():
    draws = {key: row_rng(*key).random() for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}
    assert len(set(draws.values())) == 4 and draws[0, 1, 0] == row_rng(0, 1, 0).random()


# --- sources ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    found = load("mnist-5k")
    return np.round(255 * found.x_train[:330]).astype(np.uint8), found.y_train[:330], found.card


@pytest.fixture
def folder(digits, tmp_path):
    write_shards(tmp_path / "digits", *digits[:2], rows=100, card=digits[2])
    return tmp_path / "digits"


def test_shards_hold_what_was_written(digits, folder):
    images, labels, card = digits
    shards = Shards(folder)
    assert len(shards) == 330 and shards.image_shape == (28, 28) and shards.card == card
    for rows in (np.array([329, 0, 99, 100, 200, 0]), np.arange(330).reshape(33, 10), 101,
                 np.array([], int)):
        found = shards.read(rows)
        assert np.array_equal(found[0], images[rows]) and np.array_equal(found[1], labels[rows])
        assert found[0].dtype == np.uint8 and found[1].dtype == np.int64
    assert len(list(folder.glob("*.npy"))) == 8


def test_shards_are_mapped_and_travel_without_their_data(folder):
    shards = Shards(folder)
    shards.read(np.arange(330))
    assert all(isinstance(a, np.memmap) for pair in shards._open.values() for a in pair)
    sent = pickle.dumps(shards)
    assert len(sent) < 10_000
    assert np.array_equal(pickle.loads(sent).read([5, 250])[0], shards.read([5, 250])[0])


def spoil_index(change):
    def spoil(folder):
        path = folder / "index.json"
        index = json.loads(path.read_text("utf8"))
        change(index)
        path.write_text(json.dumps(index), "utf8")
    return spoil


def cut_short(folder):
    path = folder / "images-00003.npy"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder):
    path = folder / "labels-00002.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


DAMAGES = {
    "no index": (lambda f: (f / "index.json").unlink(), True, "index.json of digits is missing"),
    "index no JSON": (lambda f: (f / "index.json").write_text("{"), True, "index.json.*damaged"),
    "a field lacks": (spoil_index(lambda i: i["shards"][0]["images"].pop("sha256")), True,
                      "damaged .KeyError: 'sha256'"),
    "later format": (spoil_index(lambda i: i.update(format=2)), True, "format 2.*knows 1"),
    "no rows": (spoil_index(lambda i: i["shards"][0].update(rows=0)), True, "every shard needs rows"),
    "outside": (spoil_index(lambda i: i["shards"][0]["images"].update(file="../x.npy")), True,
                "in the folder itself"),
    "no file": (lambda f: (f / "images-00001.npy").unlink(), True, "images-00001.npy is missing"),
    "no file, unverified": (lambda f: (f / "images-00001.npy").unlink(), False,
                            "images-00001.npy is missing in digits.*write or copy"),
    "a bit": (flip_a_bit, True, "labels-00002.npy in digits is damaged or changed.*SHA-256"),
    "cut short": (cut_short, False, "images-00003.npy in digits cannot be read"),
    "shape": (lambda f: np.save(f / "images-00000.npy", np.zeros((100, 27, 28), np.uint8)), False,
              r"images-00000.npy in digits is \(100, 27, 28\) uint8.*\(100, 28, 28\)"),
    "dtype": (lambda f: np.save(f / "labels-00000.npy", np.zeros(100)), False,
              "labels-00000.npy in digits is .* float64"),
    "pickled": (lambda f: np.save(f / "labels-00000.npy", np.array([print] * 100, object)), False,
                "labels-00000.npy in digits cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_refused_by_name(folder, damage):
    spoil, verify, words = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(DataError, match=words):
        Shards(folder, verify).read(np.arange(330))


@pytest.mark.parametrize(("rows", "words"), [
    ([0, 330], "no row 330; it has rows 0 to 329"), ([-1], "no row -1"),
    ([0.5], "whole numbers, not float64"), ([True], "whole numbers, not bool")])
def test_rows_that_do_not_exist_are_refused(digits, folder, rows, words):
    for source in (Shards(folder), Arrays(*digits[:2])):
        with pytest.raises(DataError, match=words):
            source.read(np.array(rows))


def test_arrays_that_do_not_fit_are_refused(digits, tmp_path):
    images, labels, card = digits
    for bad, words in (
        ((images, labels[:-1]), r"330 images need labels \(330,\) int64, not \(329,\)"),
        ((images, labels.astype(float)), "int64, not .* float64"),
        ((images / 255, labels), r"must be \(n, …\) uint8, not .* float64; scale"),
        ((labels.astype(np.uint8), labels), r"images must be \(n, …\)"),
    ):
        with pytest.raises(DataError, match=words):
            Arrays(*bad)
        with pytest.raises(DataError, match=words):
            write_shards(tmp_path / "new", *bad, rows=10, card=card)
    with pytest.raises(DataError, match="0 rows a shard"):
        write_shards(tmp_path / "new", images, labels, rows=0, card=card)
    assert not (tmp_path / "new" / "index.json").exists()


def test_shards_are_never_written_over(digits, folder):
    with pytest.raises(DataError, match="digits holds shards already"):
        write_shards(folder, *digits[:2], rows=50, card=digits[2])
    Shards(folder)


def test_a_delayed_source_is_the_source(digits):
    source = Arrays(*digits[:2])
    slow = Delayed(source, 0.001)
    assert len(slow) == 330 and slow.image_shape == (28, 28)
    assert all(map(np.array_equal, slow.read([3, 4]), source.read([3, 4])))
    with pytest.raises(ValueError, match="seconds is -1"):
        Delayed(source, -1)


# --- loaders ---------------------------------------------------------------------------------


def loaders():
    from course_lib.pytorch.pipelines import loader_torch
    from course_lib.tensorflow.pipelines import loader_tf

    return {"pytorch": loader_torch, "tensorflow": loader_tf}


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
@pytest.mark.parametrize("kind", ["arrays", "shards"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loaders_give_the_orders_batches_to_the_bit(
        digits, folder, framework, kind, workers, dtype):
    images, labels, _ = digits
    source = Arrays(images, labels) if kind == "arrays" else Shards(folder)
    order = Order(330, 60, 5)  # the last batch is short
    loader = loaders()[framework](source, order, workers, dtype)
    scaled = images.reshape(330, 784).astype(dtype) / np.dtype(dtype).type(255)
    order.advance()  # resumed after one batch
    seen = 0
    while order.epoch < 2:
        wanted = list(order)
        for (x, y), rows in zip(loader, wanted, strict=True):
            assert np.array_equal(x.numpy(), scaled[rows]) and x.numpy().dtype == dtype
            assert np.array_equal(y.numpy(), labels[rows]) and y.numpy().dtype == np.int64
            order.advance()
            seen += 1
    assert seen == 5 + 6


def test_one_row_is_read_too(digits):
    import tensorflow as tf

    from course_lib.pytorch.pipelines import TorchImages
    from course_lib.tensorflow.pipelines import TFImages

    source = Arrays(*digits[:2])
    x, y = TorchImages(source)[7]
    for one in (source, Delayed(source, 0.0)):
        x_tf, y_tf = TFImages(one)(tf.constant(7, tf.int64))
        assert x.shape == (784,) and np.array_equal(x, x_tf.numpy()) and y == int(y_tf)


def test_workers_are_not_forked_from_the_process_that_holds_tensorflow(digits):
    from course_lib.pytorch.pipelines import loader_torch

    loader = loader_torch(Arrays(*digits[:2]), Order(330, 60), workers=1)
    assert loader.multiprocessing_context.get_start_method() in ("forkserver", "spawn")


def test_draws_of_a_row_are_the_same_in_both_frameworks_whatever_the_workers():
    from course_lib.pytorch.pipelines import draws_torch
    from course_lib.tensorflow.pipelines import draws_tf

    wanted = [[row_rng(4, epoch, row).random() for row in range(16)] for epoch in range(2)]
    for draws in (draws_torch, draws_tf):
        for workers in (0, 2):
            assert draws(4, 2, workers)[..., 3].tolist() == wanted
    copied = draws_torch(4, 2, workers=2)[..., 0]
    assert np.array_equal(copied[:, :8], copied[:, 8:]) and np.array_equal(copied[0], copied[1])
    assert len(set(copied[0])) == 8 and len(set(draws_tf(4, 2)[..., 0].ravel())) == 1
