"""The rules that are measured: event-ruler's own banks over `lots.py`, and sets of one to 100,000 rules of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Pattern = dict[str, Any]

# The letters AC at the beginning, ON at the end and so on: those whose frequency `lots.py` sets.
BEGINNINGS, ENDS = ("AC", "BL", "DR", "FU", "RH"), ("ON", "KE", "MM", "ING", "GO")


def number_on_map(*values: Any) -> list[Pattern]:
    return [{"properties": {"MAPBLKLOT": [value]}} for value in values]


def street(*values: Any) -> list[Pattern]:
    return [{"properties": {"STREET": [value]}} for value in values]


def street_type(value: Any) -> Pattern:
    return {"properties": {"ST_TYPE": [value]}}


def corners(member: str, axis: str) -> list[Pattern]:
    """Rules on one number, or on the numbers of an array's objects: equal, below, above, and between."""
    border = -122.41600944012424

    def at(other: str, *comparison: Any) -> Pattern:
        return {"geometry": {member: {other: [{"numeric": list(comparison)}]}}}

    equal = at("x", "=", -122.42916360922355)
    equal["geometry"]["type"] = ["Polygon"]
    rare = at(axis, "=", 0 if axis == "z" else 37.729900216217324)
    rare["geometry"]["type"] = ["MultiPolygon"]
    return [equal, rare, at("x", "<", border), at("x", ">", border),
            at("x", ">", -122.46471267081272, "<", -122.4063085128395)]  # fmt: skip


def anything_but(first: Any, second: Any, kind: Any, shape: Any, house: Any) -> list[Pattern]:
    """As event-ruler's: two streets, the type of street, the geometry's and a house number, each but something."""
    return [
        *street({"anything-but": first}, {"anything-but": second}),
        street_type({"anything-but": kind}),
        {"geometry": {"type": [{"anything-but": shape}]}},
        {"properties": {"FROM_ST": [{"anything-but": house}]}},
    ]


SIMPLE: dict[str, list[Pattern]] = {
    "EXACT": number_on_map("1430022", "2607117", "2607218", "3745012", "VACSTWIL"),
    "WILDCARD": number_on_map(*({"wildcard": text} for text in ("143*", "2*0*1*7", "*218", "3*5*2", "VA*IL"))),
    "PREFIX": street(*({"prefix": text} for text in BEGINNINGS)),
    "PREFIX_EQUALS_IGNORE_CASE": street(*({"prefix": {"equals-ignore-case": text.lower()}} for text in BEGINNINGS)),
    "SUFFIX": street(*({"suffix": text} for text in ENDS)),
    "SUFFIX_EQUALS_IGNORE_CASE": street(*({"suffix": {"equals-ignore-case": text.lower()}} for text in ENDS)),
    "EQUALS_IGNORE_CASE": [
        *street(*({"equals-ignore-case": text} for text in ("jefferson", "bEaCh", "HyDe", "CHESTNUT"))),
        street_type({"equals-ignore-case": "st"}),
    ],
    "NUMERIC": corners("firstCoordinates", "z"),
    "ANYTHING_BUT": anything_but(["FULTON"], ["MASON"], ["ST"], ["Polygon"], ["441"]),
    "ANYTHING_BUT_IGNORE_CASE": anything_but(
        *({"equals-ignore-case": [text]} for text in ("Fulton", "Mason", "st", "polygon", "441"))
    ),
    "ANYTHING_BUT_PREFIX": anything_but(*({"prefix": text} for text in ("FULT", "MAS", "S", "Poly", "44"))),
    "ANYTHING_BUT_SUFFIX": anything_but(*({"suffix": text} for text in ("LTON", "SON", "T", "olygon", "41"))),
    "ANYTHING_BUT_WILDCARD": anything_but(*({"wildcard": text} for text in ("FUL*N", "M*SON", "S*", "P*gon", "4*1"))),
    "ANYTHING_BUT_LIST": anything_but(
        ["FULTON", "BEACH"], ["MASON", "HYDE"], ["ST", "AVE"], ["Polygon", "Point"], ["441", "442"]
    ),
    "COMPLEX_ARRAYS": corners("coordinates", "y"),
}  # fmt: skip
PARTIAL_COMBO = ("NUMERIC", "EXACT", "PREFIX", "ANYTHING_BUT", "ANYTHING_BUT_IGNORE_CASE", "ANYTHING_BUT_PREFIX",
                 "ANYTHING_BUT_SUFFIX", "ANYTHING_BUT_WILDCARD")  # fmt: skip

BANKS: dict[str, list[Pattern]] = {
    **SIMPLE,
    "PARTIAL_COMBO": [pattern for name in PARTIAL_COMBO for pattern in SIMPLE[name]],
    "COMBO": [pattern for name in (*PARTIAL_COMBO, "COMPLEX_ARRAYS") for pattern in SIMPLE[name]],
}

FIELDS = ("MAPBLKLOT", "BLKLOT", "BLOCK_NUM", "LOT_NUM", "FROM_ST", "TO_ST", "STREET", "ODD_EVEN")


class Growing(NamedTuple):
    """A rule for each number, and the most of them that are measured."""

    make: Callable[[int], Pattern]
    most: int = 100_000


def on_the_map(number: int) -> str:
    return f"{number // 35 + 1:04}{number % 35 + 1:03}"


GROWING: dict[str, Growing] = {
    "one field": Growing(lambda n: number_on_map(on_the_map(n))[0]),
    "three fields": Growing(
        lambda n: {
            "properties": {
                "MAPBLKLOT": [on_the_map(n)],
                "ODD_EVEN": ["EO"[n % 2]],
                "ST_TYPE": [("ST", "AVE", "WAY", "DR")[n % 4]],
            }
        }
    ),
    "many fields": Growing(lambda n: {"properties": {FIELDS[n % len(FIELDS)]: [f"other {n}"]}}),
    "prefixes": Growing(lambda n: number_on_map({"prefix": on_the_map(n)[: 5 + n % 3]})[0]),
    # More of them take the Quaminas minutes to add.
    "wildcards": Growing(lambda n: number_on_map({"wildcard": f"{n % 10_000:04}*{n // 10_000}"})[0], 10_000),
    "numeric ranges": Growing(
        lambda n: {
            "geometry": {
                "firstCoordinates": {"x": [{"numeric": [">", -122.5 + n * 1e-6, "<=", -122.5 + n * 1e-6 + 1e-5]}]}
            }
        }
    ),
    "anything-but, few match": Growing(
        lambda n: {"properties": {"MAPBLKLOT": [on_the_map(n)], "STREET": [{"anything-but": [f"STREET {n}"]}]}}
    ),
    "anything-but, all match": Growing(lambda n: street({"anything-but": [f"STREET {n}"]})[0], 1_000),
}
