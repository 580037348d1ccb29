# SPDX-License-Identifier: Apache-2.0
"""Reads semcal runs. Nothing here computes what the program has computed, except `statistics`, which computes it again
in plain numpy so that a notebook can be checked line by line.

    import semcal
    run = semcal.open_run("results/quickstart")
    run.cells                      # names
    cell = run["base.world.concise.T1"]   # an xarray.Dataset
    run.analysis                   # an xarray.Dataset on (cell, estimator)
    semcal.logits(cell, 0)         # whole laws of a question, where the run kept them
    semcal.table(run)              # the same as a pandas.DataFrame; text_table and resolved give its other parts
"""
from .reader import Run, draws, logits, open_cell, open_run, open_text, pairs, resolved, table, text_table
from . import statistics

__all__ = ["Run", "draws", "logits", "open_cell", "open_run", "open_text", "pairs", "resolved", "statistics", "table", "text_table"]
