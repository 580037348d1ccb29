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


class Run:
    """A run folder: `run.cells`, `run[name]`, `run.analysis`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        if not (self.folder / "cells").is_dir():
            raise FileNotFoundError(f"{self.folder}: not a run folder (there is no 'cells' in it)")

    @property
    def cells(self) -> list[str]:
        return sorted(p.name[:-3] for p in (self.folder / "cells").glob("*.h5") if ".shard-" not in p.name)

    def __getitem__(self, name: str) -> xr.Dataset:
        path = self.folder / "cells" / f"{name}.h5"
        if not path.exists():
            raise KeyError(f"{name}: no such finished cell; there are {', '.join(self.cells) or 'none'}")
        return open_cell(path)

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


def table(run: Run, estimator: str = "frequency"):
    """The analysis of one estimator as a pandas DataFrame, a row per cell."""
    analysis = run.analysis.sel(estimator=estimator)
    columns = [n for n in analysis.data_vars if analysis[n].dims == ("cell",) and not n.startswith("estimator")]
    return analysis[columns].to_dataframe().drop(columns=["estimator"], errors="ignore")
