#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the code of every notebook, cell by cell, on the committed quickstart results."""
import json
import os
import sys
from pathlib import Path

try:
    import h5netcdf  # noqa: F401
    import matplotlib
    import pandas  # noqa: F401
    import xarray  # noqa: F401
except ImportError as reason:
    print(f"skipped: {reason}")
    sys.exit(77)

matplotlib.use("Agg")
root = Path(os.environ["SEMCAL_SOURCE"])
folder = root / "scripts" / "notebooks"
if not (root / "results" / "quickstart" / "slim" / "analysis.h5").exists():
    print("skipped: no quickstart results")
    sys.exit(77)
os.chdir(folder)
notebooks = sorted(folder.glob("*.ipynb"))
assert len(notebooks) == 5, notebooks
for path in notebooks:
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert len(code) >= 3, path
    assert any(c["outputs"] for c in code), f"{path.name}: its outputs are not committed"
    for cell in cells:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error", f"{path.name}: committed with an error"
    names = {}
    for i, cell in enumerate(code):
        source = "".join(cell["source"])
        try:
            exec(compile(source, f"{path.name}[{i}]", "exec"), names)
        except Exception as error:
            raise SystemExit(f"{path.name}, code cell {i}: {type(error).__name__}: {error}\n{source}")
    matplotlib.pyplot.close("all")
    print(f"{path.name}: {len(code)} cells")
