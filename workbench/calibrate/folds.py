"""Cross-validation: which rows are left out together, and what the fits without them say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.calibrate.family import Family, Fitted, Sample, Split

ALONE = 30
"""Devices up to which each has a fold of its own."""


@dataclass(frozen=True)
class Fold:
    """A fit without some rows. left_out: indices of the samples."""

    fitted: Fitted
    left_out: tuple[int, ...]


def assign(samples: Sequence[Sample], split: Split, most: int, salt: str = "") -> list[int]:
    """Return the fold of each sample: groups are never torn, and the folds depend on names alone, not on the order of rows.

    salt: another one puts other names together.

    network: the networks of one device go to different folds as far as there are folds, so that a device with four networks keeps
    three of them in every fit. device: each is left out alone while they are few; which of a few are left out together decides too
    much.
    """
    if split != "network":
        names = [s.network if split == "network_everywhere" else s.device for s in samples]
        different = _shuffled(set(names), salt)
        folds = len(different) if split == "device" and len(different) <= ALONE else most
        place = {name: i % folds for i, name in enumerate(different)}
        return [place[name] for name in names]
    networks: dict[str, set[str]] = {}
    for s in samples:
        networks.setdefault(s.device, set()).add(s.network)
    start = {device: i for i, device in enumerate(_shuffled(networks, salt))}
    pair = {
        (device, name): (start[device] + i) % most
        for device, names in networks.items()
        for i, name in enumerate(_shuffled(names, salt))
    }
    return [pair[s.device, s.network] for s in samples]


def cross_validate(family: Family, samples: Sequence[Sample], split: Split, salt: str = "") -> list[Fold]:
    """Return one fit per fold, each without the rows of its fold (`assign`). Folds that would leave nothing to fit on are left away."""
    places = assign(samples, split, family.most_folds, salt)
    folds = []
    for fold in sorted(set(places)):
        left_out = tuple(i for i, place in enumerate(places) if place == fold)
        gone = {samples[i].device for i in left_out} if split == "device" else set()
        kept = [s for s, place in zip(samples, places, strict=True) if place != fold and s.board not in gone]
        if kept:
            folds.append(Fold(family.fit(kept), left_out))
    return folds


def _shuffled(names: Iterable[str], salt: str) -> list[str]:
    """Return names in an order that has nothing to do with the alphabet: neighbours in a series of names go to different folds."""
    return sorted(names, key=lambda name: hashlib.sha256((salt + name).encode()).hexdigest())
