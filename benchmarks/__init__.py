"""Measurements: `python -m benchmarks.run_all` runs all of them and writes the page. Run from the root of the repository."""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when numpy is first imported
    os.environ.setdefault(_variable, "1")
