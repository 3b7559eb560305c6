"""The bus room as one: what `server` makes, and what the door, `why` and `verify` ask."""

from __future__ import annotations

from busway.bus.buses import Buses, Kit
from busway.bus.history import Found, find_event
from busway.bus.put_events import Publisher
from busway.bus.record import Rule
from busway.bus.router import Router
from busway.bus.routing import Ports
from busway.bus.rules import Rules, rules_at
from busway.bus.ticker import Ticker
from busway.clock import Clock, Entropy
from busway.config import Settings
from busway.engine import Engine
from busway.errors import BusNotFound
from busway.metrics import Metrics
from busway.trail import Trail


class BusRoom:
    """Buses, their rules, who takes events in, and what happened to them."""

    def __init__(
        self, engine: Engine, clock: Clock, entropy: Entropy, metrics: Metrics, trail: Trail, settings: Settings
    ) -> None:
        self.buses = Buses(Kit(engine, clock, entropy, metrics, trail, settings))
        self.rules = Rules(self.buses)
        self.publisher = Publisher(self.buses)

    async def open(self) -> None:
        """Load buses and rules; before anything else is asked."""
        await self.buses.open()

    def router(self, ports: Ports) -> Router:
        """The router of all buses; open it once the ports are."""
        return Router(self.buses, self.rules, ports)

    def ticker(self) -> Ticker:
        """What fires the rules that run on a schedule."""
        return Ticker(self.buses, self.publisher)

    def rules_at(self, bus_arn: str, offset: int) -> list[Rule]:
        """The rules by which the entry at `offset` is matched, disabled ones too. Raises `BusNotFound`."""
        for bus in self.buses.all():
            if bus.arn == bus_arn:
                return rules_at(bus, offset)
        raise BusNotFound(bus_arn.rsplit("/", 1)[-1])

    async def find_event(self, event_id: str) -> Found | None:
        """Where an event lies; None when it was never accepted, or was forgotten after the retention."""
        return await find_event(self.buses, self.publisher, event_id)
