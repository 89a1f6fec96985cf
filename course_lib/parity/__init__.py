"""Twins: the same weights in both frameworks, and whether their losses are the same."""

from course_lib.parity.layouts import LAYOUTS
from course_lib.parity.losses import LossReport, compare_losses
from course_lib.parity.weights import ParityError, copy_weights

__all__ = ["LAYOUTS", "LossReport", "ParityError", "compare_losses", "copy_weights"]
