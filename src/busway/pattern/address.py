"""IP addresses: `cidr`, and string literals that are addresses. Never resolves a name; families are kept apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from busway.errors import InvalidPattern
from busway.pattern.conditions import Selectivity, quoted
from busway.pattern.event_tree import Scalar

# Ours: more leading zeros than anybody writes. A longer text is no address, whatever it is.
CHARS_MAX = 64

_V4 = re.compile(r"[0-9]+(?:\.[0-9]+){3}\Z")
_V6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F:]*\Z")
_MASK = re.compile(r"[+-]?[0-9]{1,9}\Z")


class Address(NamedTuple):
    """An address as a number; `bits` is 32 or 128, so two families never compare equal."""

    bits: int
    number: int


def parse_address(text: str) -> Address | None:
    """The address that `text` is, or None. Leading zeros are decimal; IPv4-mapped IPv6 is folded to IPv4."""
    if len(text) > CHARS_MAX:
        return None
    if _V4.match(text):
        octets = [int(part) for part in text.split(".")]
        if max(octets) > 255:
            return None
        return Address(32, int.from_bytes(bytes(octets), "big"))
    if not _V6.match(text):
        return None
    try:
        parsed = IPv6Address(text)
    except AddressValueError:
        return None
    if parsed.ipv4_mapped is not None:
        return Address(32, int(parsed.ipv4_mapped))
    return Address(128, int(parsed))


@dataclass(frozen=True, slots=True)
class AddressIs:
    """A string literal that is an IP address: accepts every spelling of that address."""

    address: Address
    text: str

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.EXACT

    @property
    def wanted(self) -> str:
        return quoted(self.text)

    @property
    def words(self) -> tuple[str, ...]:
        return (self.text,)

    def accepts(self, value: Scalar) -> bool:
        return isinstance(value, str) and parse_address(value) == self.address


@dataclass(frozen=True, slots=True)
class InNetwork:
    """`{"cidr": "10.0.0.0/8"}`: accepts a bare address of that family in that network."""

    network: Address
    mask_bits: int
    text: str

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.RANGE

    @property
    def wanted(self) -> str:
        return f"an IP address in {self.text}"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        address = parse_address(value) if isinstance(value, str) else None
        if address is None or address.bits != self.network.bits:
            return False
        host_bits = address.bits - self.mask_bits
        return address.number >> host_bits == self.network.number >> host_bits


def parse_cidr(text: str) -> InNetwork:
    """Read `ADDRESS/BITS`; host bits are ignored. Raises `InvalidPattern`, without a location, as AWS does."""
    parts = text.split("/")
    if len(parts) != 2 or not parts[1]:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    if not _MASK.match(parts[1]):
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
    mask_bits = int(parts[1])
    if mask_bits < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    if not _V4.match(parts[0]) and not _V6.match(parts[0]):
        raise InvalidPattern(f"Nonstandard IP address: {parts[0]}")
    address = parse_address(parts[0])
    if address is None:
        raise InvalidPattern(f"Invalid IP address: {parts[0]}")
    # AWS refuses a mask of all bits; an exact string says the same.
    if mask_bits >= address.bits:
        family = "IPv4" if address.bits == 32 else "IPv6"
        raise InvalidPattern(f"{family} mask bits must be < {address.bits}")
    return InNetwork(address, mask_bits, text)
