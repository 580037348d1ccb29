# SPDX-License-Identifier: Apache-2.0
"""Cells and analyses as xarray datasets."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

CELL_VERSION = 1
ANALYSIS_VERSION = 1


def _open(path: Path, kind: str, version: int) -> xr.Dataset:
    dataset = xr.open_dataset(path, engine="h5netcdf")
    found = dataset.attrs.get("format")
    if found != kind:
        raise ValueError(f"{path}: format is {found!r}, expected {kind!r}")
    if int(dataset.attrs["format_version"]) > version:
        raise ValueError(f"{path}: format version {dataset.attrs['format_version']}, this reader knows {version}")
    return dataset


def open_cell(path) -> xr.Dataset:
    """One cell file. Indices in it are rows of their dimension: `ds.class_label[ds.draw_class]` is the class of every
    draw, `ds.node_parent` climbs the prefix tree."""
    return _open(Path(path), "semcal-cell", CELL_VERSION)


def open_text(path) -> xr.Dataset:
    """A text cell: sums over blocks of a plain text (next-token calibration)."""
    return _open(Path(path), "semcal-text-cell", CELL_VERSION)


def _format(path: Path) -> str:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return str(dataset.attrs.get("format"))


class Run:
    """A run folder: `run.cells`, `run.texts`, `run[name]`, `run.analysis`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        if not (self.folder / "cells").is_dir():
            raise FileNotFoundError(f"{self.folder}: not a run folder (there is no 'cells' in it)")

        self._formats = {}

    def _files(self, text: bool) -> list[str]:
        found = sorted(p for p in (self.folder / "cells").glob("*.h5") if ".shard-" not in p.name)
        for path in found:
            if path not in self._formats:
                self._formats[path] = _format(path)
        return [p.name[:-3] for p in found if (self._formats[p] == "semcal-text-cell") == text]

    @property
    def cells(self) -> list[str]:
        """Finished cells of questions."""
        return self._files(text=False)

    @property
    def texts(self) -> list[str]:
        """Finished cells of plain text."""
        return self._files(text=True)

    def __getitem__(self, name: str) -> xr.Dataset:
        path = self.folder / "cells" / f"{name}.h5"
        if not path.exists():
            raise KeyError(f"{name}: no such finished cell; there are {', '.join(self.cells + self.texts) or 'none'}")
        return open_text(path) if name in self.texts else open_cell(path)

    @property
    def analysis(self) -> xr.Dataset:
        """What `semcal analyze` found, on the dimensions cell and estimator, with their names as coordinates."""
        dataset = _open(self.folder / "analysis.h5", "semcal-analysis", ANALYSIS_VERSION)
        return dataset.assign_coords(cell=dataset.cell_name.values.astype(str),
                                     estimator=dataset.estimator_name.values.astype(str))

    def __repr__(self) -> str:
        return f"<semcal run {self.folder.name} with {len(self.cells)} cells>"


def open_run(folder) -> Run:
    return Run(folder)


def pairs(cell: xr.Dataset, estimator: str = "frequency", reliable_mass: float = .9):
    """(confidence, correct) of every question the estimator has, as two float arrays."""
    names = {"frequency": ("confidence_frequency", "correct"), "split": ("confidence_split", "correct_split"),
             "mass": ("confidence_mass", "correct_mass")}
    if estimator not in names:
        raise ValueError(f"estimator {estimator!r}; there are {', '.join(names)}")
    c, a = (cell[n].values.astype(float) for n in names[estimator])
    keep = np.isfinite(c) & np.isfinite(a)
    if estimator == "mass":
        keep &= cell.mass_found.values >= reliable_mass
    return np.minimum(c[keep], 1), a[keep]


def draws(cell: xr.Dataset, question: int):
    """The draws of one question: a list of (text, class label, log-probability), in draw order."""
    labels = cell.class_label.values
    return [(str(t), str(labels[k]) or "unparsed", float(p))
            for t, k, p in zip(cell.draw_text[question].values, cell.draw_class[question].values,
                               cell.draw_logprob[question].values)]


def logits(cell: xr.Dataset, question: int) -> xr.Dataset:
    """The whole laws of one question (a run with store.full_logits), read when used: `logits` [row, vocabulary] in nats at
    temperature 1, as the model gave them; `node`, the row of `node` they follow; `target`, the token that the first draw took
    there. `log_softmax` of a row at the token of a child of its node is the child's node_logprob (away from
    temperature 1, node_logprob_raw)."""
    if "logits" not in cell:
        raise ValueError("the cell has no whole laws; run with store.full_logits: true to keep them")
    n = cell.n_logits.values
    first = int(n[:question].sum())
    part = cell[["logits", "logits_node", "logits_target"]].isel(logits_row=slice(first, first + int(n[question])))
    return part.rename(logits_node="node", logits_target="target", logits_row="row")


def table(run: Run, estimator: str = "frequency"):
    """The analysis of one estimator as a pandas DataFrame, a row per cell."""
    analysis = run.analysis.sel(estimator=estimator)
    columns = [n for n in analysis.data_vars if analysis[n].dims == ("cell",) and not n.startswith("estimator")]
    return analysis[columns].to_dataframe().drop(columns=["estimator"], errors="ignore")


def text_table(run: Run):
    """Next-token calibration as a pandas DataFrame, a row per text cell; empty when the run has none."""
    import pandas
    analysis = run.analysis
    if "text_name" not in analysis:
        return pandas.DataFrame()
    columns = [n for n in analysis.data_vars if analysis[n].dims == ("text_cell",)]
    frame = pandas.DataFrame({n.removeprefix("text_"): analysis[n].values for n in columns})
    return frame.assign(name=frame["name"].astype(str)).set_index("name")


def resolved(run: Run, by: str = "fraction"):
    """How early answers are decided, as a pandas DataFrame with a row per cell and place: `at` (fraction of the
    response, or its tokens for by="token"), `resolved`, `low`, `high`; empty when the run did not follow it."""
    import pandas
    if by not in ("fraction", "token"):
        raise ValueError(f"by {by!r}; there are fraction, token")
    analysis = run.analysis
    if f"resolved_by_{by}" not in analysis:
        return pandas.DataFrame(columns=["cell", "at", "resolved", "low", "high"])
    names = {"at": f"resolved_{by}_at", "resolved": f"resolved_by_{by}", "low": f"resolved_by_{by}_low",
             "high": f"resolved_by_{by}_high"}
    frame = analysis[list(names.values())].to_dataframe().rename(columns={v: k for k, v in names.items()})
    return frame.reset_index()[["cell", *names]].dropna(subset=["at"])
