"""Flash of weights and code together: a family of its own, for its errors are not those of the weights (model: `flash`)."""

from __future__ import annotations

from functools import partial

from workbench.calibrate.families.flash import TABLES, TOTAL, fit, load, samples
from workbench.calibrate.family import Claim, Family

FAMILY = Family(
    "flash_total",
    "Flash of weights and code together",
    TABLES[1:2],
    partial(samples, quantity=TOTAL),
    fit,
    load,
    claims=(Claim("flash of weights and code together, new network", "network"),),
    splits=("network", "network_everywhere"),  # one board
)
