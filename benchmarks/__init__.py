"""Measurements. `python -m benchmarks.run_all`, from the root of the repository, runs all of them and writes a dated page."""

import os

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # read when numpy is first imported
    os.environ[_variable] = "1"
