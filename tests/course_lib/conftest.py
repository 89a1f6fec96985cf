"""Lets tests import what they share from this folder."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
