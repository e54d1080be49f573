"""Cross-validation: which rows are left out together, and what the fits without them say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.calibrate.family import Family, Fitted, Sample, Split


@dataclass(frozen=True)
class Fold:
    """A fit without some rows. left_out: indices of the samples."""

    fitted: Fitted
    left_out: tuple[int, ...]


def assign(samples: Sequence[Sample], split: Split, most: int) -> list[int]:
    """Return the fold of each sample: groups are never torn, and the folds depend on names alone, not on the order of rows.

    network: the networks of one device go to different folds as far as there are folds, so that a device with four networks keeps
    three of them in every fit.
    """
    if split != "network":
        names = [s.network if split == "network_everywhere" else s.device for s in samples]
        place = {name: i % most for i, name in enumerate(sorted(set(names), key=_shuffled))}
        return [place[name] for name in names]
    networks: dict[str, set[str]] = {}
    for s in samples:
        networks.setdefault(s.device, set()).add(s.network)
    start = {device: i for i, device in enumerate(sorted(networks, key=_shuffled))}
    pair = {
        (device, name): (start[device] + i) % most
        for device, names in networks.items()
        for i, name in enumerate(sorted(names, key=_shuffled))
    }
    return [pair[s.device, s.network] for s in samples]


def cross_validate(family: Family, samples: Sequence[Sample], split: Split) -> list[Fold]:
    """Return one fit per fold, each without the rows of its fold. Folds that would leave nothing to fit on are left away."""
    places = assign(samples, split, family.most_folds)
    folds = []
    for fold in sorted(set(places)):
        left_out = tuple(i for i, place in enumerate(places) if place == fold)
        kept = [s for s, place in zip(samples, places, strict=True) if place != fold]
        if kept:
            folds.append(Fold(family.fit(kept), left_out))
    return folds


def _shuffled(name: str) -> str:
    """Return a sort key that has nothing to do with the alphabet: neighbours in a series of names go to different folds."""
    return hashlib.sha256(name.encode()).hexdigest()
