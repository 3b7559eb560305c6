"""A city's parcels of land, one event a line: made up, with the schema, sizes and frequencies of the set that
event-ruler's benchmark reads (citylots2: 213,068 features, of which the rules of each bank match so many).

.venv/bin/python bench/matching/lots.py FILE writes them; the same seed writes the same bytes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

COUNT = 213_068
SEED = 20261129

# Streets that the banks ask for, and how many lots lie in each: "DON" is the end of many names, and so on.
STREETS = {
    "FULTON": 1_910, "MASON": 2_657, "JEFFERSON": 131, "BEACH": 211, "HYDE": 1_758, "CHESTNUT": 825,
    "WASHINGTON": 4_200, "CLAYTON": 3_300, "HAMILTON": 2_023, "LARKTON": 3_700,
    "ACTON": 24, "BLYTHE": 240, "BLUXOME": 202, "DRAKE": 38, "FURNALL": 477, "RHINE": 328, "LOCKE": 833,
    "CRUMM": 13, "STERLING": 1_200, "HARDING": 763, "SANTIAGO": 682,
}  # fmt: skip
OTHER_STREETS = 1_500
SYLLABLES = (
    "TAR",
    "VEN",
    "LO",
    "MIR",
    "SAN",
    "PEL",
    "GAR",
    "WIN",
    "HOL",
    "TER",
    "QUES",
    "NA",
    "RIV",
    "ERA",
    "MAL",
    "TAS",
)
# What no made-up name may begin or end with, so that the banks' counts hold.
BEGINNINGS, ENDS = ("AC", "BL", "DR", "FU", "RH"), ("ON", "KE", "MM", "ING", "GO")

TYPES = {"ST": 116_386, "AVE": 62_000, "WAY": 9_000, "DR": 8_000, "BLVD": 6_000, "CT": 4_000, None: 7_682}
# Lots of one building share a number on the map.
SHARED_NUMBERS = {"1430022": 1, "2607117": 101, "2607218": 35, "3745012": 655, "VACSTWIL": 1}
NUMBER_441 = 2_453
MULTIPOLYGONS = 120
# The first corner's x: a border, and the share of the lots west of it.
BORDERS = ((-122.515, 0.0), (-122.46471267081272, 0.25), (-122.41600944012424, 0.699), (-122.4063085128395, 0.847),
           (-122.365, 1.0))  # fmt: skip
SHARED_X, FIRST_HAVE_IT, ALL_HAVE_IT = -122.42916360922355, 8, 227
SHARED_Y, MULTIPOLYGONS_HAVE_IT = 37.729900216217324, 2
LOT_SPREAD = 0.0004


class Lot(NamedTuple):
    street: str
    type: str | None
    number: str
    house: str
    polygon: bool
    shares_first_x: bool
    shares_x: bool
    shares_y: bool


def spread(counted: dict[Any, int], chance: random.Random, others: list[Any]) -> list[Any]:
    """One of the counted values as often as it says, one of the others for the rest, in random order."""
    values = [value for value, count in counted.items() for _ in range(count)]
    values += chance.choices(others, k=COUNT - len(values)) if others else []
    chance.shuffle(values)
    return values


def other_streets(chance: random.Random) -> list[str]:
    names: set[str] = set()
    while len(names) < OTHER_STREETS:
        name = "".join(chance.choices(SYLLABLES, k=chance.randint(2, 3)))
        if not name.startswith(BEGINNINGS) and not name.endswith(ENDS):
            names.add(name)
    return sorted(names)


def corners(lot: Lot, chance: random.Random) -> list[dict[str, float]]:
    """A closed ring: most lots are rectangles, some have dozens of corners."""
    place = chance.random()
    for (west, below), (east, share) in pairwise(BORDERS):
        if place <= share:
            x = west + (east - west) * (place - below) / (share - below)
            break
    else:
        raise AssertionError("the last border's share is 1")
    y = chance.uniform(37.7082, 37.8119)
    count = 4 if chance.random() < 0.62 else 5 + int(chance.expovariate(1 / 12))
    ring = [{"x": x, "y": y, "z": 0}]
    ring += [
        {"x": x + chance.uniform(0, LOT_SPREAD), "y": y + chance.uniform(0, LOT_SPREAD), "z": 0}
        for _ in range(count - 1)
    ]
    if lot.shares_first_x:
        ring[0]["x"] = SHARED_X
    if lot.shares_x:
        ring[1]["x"] = SHARED_X
    if lot.shares_y:
        ring[1]["y"] = SHARED_Y
    return [*ring, ring[0]]


def feature(lot: Lot, chance: random.Random) -> dict[str, Any]:
    block, part = lot.number[:4], lot.number[4:]
    ring = corners(lot, chance)
    return {
        "type": "Feature",
        "properties": {
            "MAPBLKLOT": lot.number,
            "BLKLOT": lot.number,
            "BLOCK_NUM": block,
            "LOT_NUM": part,
            "FROM_ST": lot.house,
            "TO_ST": lot.house,
            "STREET": lot.street,
            "ST_TYPE": lot.type,
            "ODD_EVEN": "O" if int(lot.house) % 2 else "E",
        },
        "geometry": {
            "type": "Polygon" if lot.polygon else "MultiPolygon",
            "coordinates": [ring] if lot.polygon else [[ring]],
            "firstCoordinates": ring[0],
        },
    }


def lots(seed: int = SEED) -> Iterator[dict[str, Any]]:
    chance = random.Random(seed)
    numbers = [f"{block:04}{lot:03}" for block in range(1, 6_400) for lot in range(1, 36)]
    columns = (
        spread(STREETS, chance, other_streets(chance)),
        spread(TYPES, chance, []),
        spread(SHARED_NUMBERS, chance, [number for number in numbers if number not in SHARED_NUMBERS]),
        spread({"441": NUMBER_441}, chance, [str(house) for house in range(1, 4_000) if house != 441]),
        [number >= MULTIPOLYGONS for number in range(COUNT)],
        [MULTIPOLYGONS <= number < MULTIPOLYGONS + FIRST_HAVE_IT for number in range(COUNT)],
        [MULTIPOLYGONS + FIRST_HAVE_IT <= number < MULTIPOLYGONS + ALL_HAVE_IT for number in range(COUNT)],
        [number < MULTIPOLYGONS_HAVE_IT for number in range(COUNT)],
    )
    all_lots = [Lot(*values) for values in zip(*columns, strict=True)]
    chance.shuffle(all_lots)
    for lot in all_lots:
        yield feature(lot, chance)


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".part")
    with half.open("w") as out:
        for lot in lots():
            out.write(json.dumps(lot, separators=(",", ":")) + "\n")
    half.rename(file)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
