"""Measures of how well predictions fit, on plain arrays."""

from __future__ import annotations

import numpy as np


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose largest logit is the right class.

    ``logits`` (n, classes), ``labels`` (n,) of whole numbers; the result lies in 0..1.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"accuracy needs logits (n, classes) and labels (n,), not {logits.shape} and"
            f" {labels.shape}"
        )
    return float(np.mean(logits.argmax(axis=1) == labels))
