"""Samples: read from NPZ, NPY, CSV, folders of arrays or pictures, made to fit a model's inputs, checked once and hashed."""

from workbench.data.arrays import MAX_BYTES, Array, pick, read_arrays
from workbench.data.dataset import Dataset, Names, check_samples, make_dataset
from workbench.data.numbers import Wanted
from workbench.data.source import read_source
from workbench.data.spec import DataSource

__all__ = [
    "MAX_BYTES", "Array", "DataSource", "Dataset", "Names", "Wanted", "check_samples", "make_dataset", "pick", "read_arrays",
    "read_source",
]  # fmt: skip
