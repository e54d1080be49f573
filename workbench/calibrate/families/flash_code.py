"""Flash of the code: a family of its own, for its errors are not those of the weights (model: `flash`)."""

from __future__ import annotations

from functools import partial

from workbench.calibrate.families.flash import CODE, TABLES, fit, load, samples
from workbench.calibrate.family import Claim, Family

FAMILY = Family(
    "flash_code",
    "Flash of the code",
    TABLES[:1],
    partial(samples, quantity=CODE),
    fit,
    load,
    claims=(Claim("flash of the code, new network", "network"), Claim("flash of the code, new device", "device")),
)
