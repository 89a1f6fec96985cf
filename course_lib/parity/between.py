"""What a model's own code does between two layers: guesses that are tried on the numbers.

Each guess computes what PyTorch would hand on under it. A guess counts only where it gives
Keras's numbers, and PyTorch's own at the same time.
"""

from __future__ import annotations

import numpy as np

from course_lib.parity.amounts import rounded_cause, sum_cause
from course_lib.parity.findings import Cause
from course_lib.parity.functions import function_cause
from course_lib.parity.guesses import distinct
from course_lib.parity.orders import blocks_cause, mixed_cause, order_cause
from course_lib.parity.own_attention import attention_between
from course_lib.parity.shortcuts import shortcut_cause
from course_lib.parity.steps import shift_cause, softmax_cause, taken_cause


def between_cause(ours: np.ndarray, theirs: np.ndarray, before: list[np.ndarray],
                  earlier: dict[str, np.ndarray], tolerance: float) -> Cause | None:
    """The first guess that turns PyTorch's numbers into Keras's.

    ``before`` is what PyTorch's last layer returned, ``earlier`` all that it has computed, by
    words for each.
    """
    earlier = distinct(earlier)
    return (rounded_cause(ours, theirs, tolerance)
            or function_cause(before, ours, theirs, tolerance)
            or softmax_cause(ours, theirs, before, tolerance)
            or taken_cause(ours, theirs, earlier, tolerance)
            or reordered_cause(ours, theirs, before, tolerance)
            or sum_cause(ours, theirs, earlier, tolerance)
            or shortcut_cause(ours, theirs, before, earlier, tolerance)
            or attention_between(ours, theirs, earlier, tolerance))


def reordered_cause(ours: np.ndarray, theirs: np.ndarray, before: list[np.ndarray],
                    tolerance: float) -> Cause | None:
    """Both hold the same numbers at other places."""
    return (order_cause(ours, theirs, tolerance, before)
            or blocks_cause(ours, theirs, tolerance)
            or shift_cause(ours, theirs, tolerance)
            or mixed_cause(ours, theirs, tolerance))
