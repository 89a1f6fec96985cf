"""Twins: the same weights in both frameworks, and whether, where and why they part."""

from course_lib.parity.composites import copy_weights
from course_lib.parity.doctor import explain
from course_lib.parity.findings import Finding, Report
from course_lib.parity.layouts import LAYOUTS
from course_lib.parity.losses import LossReport, compare_losses
from course_lib.parity.weights import ParityError

__all__ = ["LAYOUTS", "Finding", "LossReport", "ParityError", "Report", "compare_losses",
           "copy_weights", "explain"]
