"""Networks of other people on the runtimes that they were made for: run as claimed, or refused with the reason that is documented.

`make test-models` unpacks the packages into the folder that WORKBENCH_MODEL_PACKAGES names. Inputs are random: what is compared is
arithmetic, not quality.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.models.catalogue import MODELS, RealModel
from tests.models.run import store_pair

FOLDER = os.environ.get("WORKBENCH_MODEL_PACKAGES", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="needs trained networks from packages: run `make test-models`")


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_real_network_is_run_as_claimed_or_refused_with_the_reason(model: RealModel, tmp_path: Path) -> None:
    rows = store_pair(model, Path(FOLDER) / model.file, tmp_path)
    assert rows
    if model.claim == "refused":
        assert [(r.status, model.why in r.detail) for r in rows] == [("refused", True)] * len(rows), rows
        return
    wrong = [(r.array, r.profile, r.verdict, r.largest) for r in rows if r.status not in ("equal", model.claim)]
    assert not wrong, wrong


def test_the_catalogue_claims_that_most_run() -> None:
    assert sum(m.claim != "refused" for m in MODELS) >= 8
