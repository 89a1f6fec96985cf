"""Studies: experiments too long for a page, run once and recorded.

A study is a short file ``studies/NN-chapter/name.py``. ``course study NN-chapter/name`` runs
every row with every seed in every framework and writes ``studies/NN-chapter/name.json``; a page
reads the record with ``course_lib.study.load``. The file defines::

    '''Learning rates: one line, the record's title.

    What is compared, on which data, split how; from which paper.
    '''
    CONFIG = {"steps": 300, "batch": 64}           # JSON values, the same for every row
    BAND = {"validation_loss": 0.02, "diverged": 0.0}   # one margin for every measured name

    def rows():                                     # list of dicts of JSON values, all alike
        return [{"learning_rate": rate} for rate in (0.01, 0.1, 1.0)]

    def run(config, seed, framework):               # config = {**CONFIG, **row}
        ...
        return {"validation_loss": 0.31, "diverged": 0}

Optional: ``FRAMEWORKS = ("pytorch", "tensorflow")`` (the default; ``("numpy",)`` for a study that
needs neither) and ``SEEDS = 5`` (the default of ``--seeds``, at least 3).

* ``run`` is called with ``framework`` one of FRAMEWORKS, after ``runtime.set_seed(seed)``. It
  returns a flat dict of finite numbers (or bools); ``None`` stands for "no such number", for
  example the final loss of a run that diverged. NaN and infinity are refused, so that nobody
  averages them. Every run must return the same names, those of BAND.
* ``BAND[name]`` is how far beyond the lowest and highest recorded value of a row a repeated run
  may lie, in the measure's own unit: other processors change the digits. The page runs one row
  live with the row's own configuration and asks ``record.holds_in_band``. If the live row is to
  be cheaper than the record's rows, add the quick setting to ``rows()`` as a row of its own.
* Whatever ``run`` needs comes from ``course_lib``; a study imports no other study. Its code and
  the ``course_lib`` modules that it imports (found from the text, whatever they import in turn)
  are hashed, docstrings and comments apart: if one changes, the record is stale and
  ``course notebooks --check`` says so.
* Interrupted, it goes on where it was: finished runs stand in ``name.partial.json``.

The record holds ``study, title, config, band, frameworks, seeds, rows, versions, device,
threads, scale, seconds, code_hash, library_hash``; ``rows`` is a list of
``{"row": {...}, "runs": [{"framework", "seed", "seconds", "values": {...}}, ...]}``.
"""

from __future__ import annotations
