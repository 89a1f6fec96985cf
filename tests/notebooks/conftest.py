"""Lets the tests of this folder import ``wrong_answers``, which stands beside them."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]
