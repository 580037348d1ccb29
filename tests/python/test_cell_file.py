# SPDX-License-Identifier: Apache-2.0
"""A cell file opens in h5py, in xarray with each engine there is, and in HDF5's and netCDF's own tools."""
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy
    import xarray
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

DIMENSIONS = {"question": 30, "draw": 6, "node": 520, "answer": 30, "law": 16, "response": 60, "top": 2, "class": 43}


def is_scale(item):
    return item.attrs.get("CLASS", b"") == b"DIMENSION_SCALE"


def check_h5py(path):
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == "semcal-cell" and file.attrs["format_version"] == 1
        assert file.attrs["resolved_config"] == "name: t\nseed: 1\n"
        scales = {name for name, item in file.items() if isinstance(item, h5py.Dataset) and is_scale(item)}
        assert scales == set(DIMENSIONS), scales
        n_variables = 0
        for group in (file, file["collapse/exact"], file["collapse/numeric"]):
            for name, item in group.items():
                if not isinstance(item, h5py.Dataset) or is_scale(item):
                    continue
                n_variables += 1
                assert item.attrs["long_name"] and "units" in item.attrs, name
                assert all(len(dimension) == 1 for dimension in item.dims), name
                if item.dtype.kind in "iuf":
                    assert item.fletcher32 and item.shuffle and item.compression == "gzip", name
        assert n_variables == 44 + 3 * 13, n_variables
        parents, owners = file["node_parent"][:], file["node_question"][:]
        inner = parents >= 0
        assert (owners[parents[inner]] == owners[inner]).all() and (parents < numpy.arange(parents.size)).all()
        leaves = file["draw_leaf"][:]
        assert (owners[leaves] == numpy.arange(30)[:, None]).all()
        assert file["draw_text"].asstr()[0, 0].startswith("café ")


def check_xarray(path, engine):
    with xarray.open_dataset(path, engine=engine) as data:
        assert dict(data.sizes if hasattr(data, "sizes") else data.dims) == DIMENSIONS, data
        assert all("long_name" in data[name].attrs and "units" in data[name].attrs for name in data.variables)
        assert list(data.question_id.values[:3]) == ["q0", "q1", "q2"]
        labels, classes = data.class_label.values, data.draw_class.values
        assert labels[classes[1, 0]].startswith("numeric")
        assert (data.class_question.values[classes[classes >= 0]] == numpy.nonzero(classes >= 0)[0]).all()
        assert numpy.isnan(data.confidence_frequency.values[0]) and data.confidence_frequency.values[2] == 0.5
        assert data.node_logprob.dtype == "float64" and data.node_logprob.attrs["units"] == "nat"
    with xarray.open_dataset(path, engine=engine, group="collapse/exact") as data:
        assert data.class_label.values[0] == "exact0" and data.draw_class.shape == (30, 6)


def main():
    folder = tempfile.mkdtemp(prefix="semcal-cell-")
    try:
        maker = os.path.join(os.environ["SEMCAL_BUILD"], "tests", "unit_test_store_products")
        subprocess.run([maker, folder], check=True)
        path = os.path.join(folder, "cells", "c.h5")
        check_h5py(path)
        engines = [engine for engine in ("h5netcdf", "netcdf4") if engine in xarray.backends.list_engines()]
        for engine in engines:
            check_xarray(path, engine)
        with xarray.open_dataset(path) as data:  # the engine xarray picks by itself
            assert data.sizes["node"] == 520
        for tool in (["h5dump", "-H"], ["h5dump", "-d", "/draw_text"], ["ncdump", "-h"]):
            if shutil.which(tool[0]):
                text = subprocess.run(tool + [path], check=True, capture_output=True, text=True).stdout
                assert "draw_text" in text
        print("engines:", ", ".join(engines))
    finally:
        shutil.rmtree(folder)


main()
