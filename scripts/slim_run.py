#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a small copy of a run for keeping beside the code: questions stay, the prefix tree, the draws, their classes and
the known laws go (draws and classes stay for the cells named with --draws). Of text cells and of the mechanism the
analysis keeps what was found.

    scripts/slim_run.py RUN OUT [--draws CELL]...
"""
import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "python"))
import semcal  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("out")
    parser.add_argument("--draws", action="append", default=[])
    arguments = parser.parse_args()
    run, out = semcal.open_run(arguments.run), Path(arguments.out)
    (out / "cells").mkdir(parents=True, exist_ok=True)
    for name in run.cells:
        with run[name] as cell:
            gone = {"node", "top", "law", "answer", "logits_row"} | (set() if name in arguments.draws else {"draw", "class"})
            drop = [v for v in cell.data_vars if gone & set(cell[v].dims)]
            texts = () if name in arguments.draws else ("question_text", "reference_text", "question_sha256")
            drop += [v for v in ("prompt_text", "draw_logprob_raw", *texts) if v in cell and v not in drop]
            slim = cell.drop_vars(drop).load()   # whole laws may be larger than memory
            for place in ("resolved_config", "model_path", "host"):   # they name the machine it ran on
                slim.attrs.pop(place, None)
            slim.attrs["slim"] = "prefix tree, draws and laws left out by scripts/slim_run.py"
            encoding = {v: {"zlib": True, "complevel": 9, "shuffle": True} for v in slim.data_vars
                        if slim[v].dtype.kind in "fiu"}
            path = out / "cells" / f"{name}.h5"
            path.unlink(missing_ok=True)
            slim.to_netcdf(path, engine="h5netcdf", encoding=encoding)
            print(f"{path}: {path.stat().st_size // 1024} KiB")
    for name in ("analysis.h5", "config.yaml"):
        if (Path(arguments.run) / name).exists():
            shutil.copy(Path(arguments.run) / name, out / name)


main()
