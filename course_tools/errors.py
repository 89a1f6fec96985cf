"""The one exception that the course's tools raise on purpose."""

from __future__ import annotations


class CourseError(Exception):
    """Something in the course is wrong: the message says what, where and what to do."""
