"""Posts orders to the ledger, a hundred in each call: it takes two calls a second and no more."""

import json
import os
from urllib.request import Request, urlopen

from busway import batch_handler

from events.order_placed import OrderPlaced


@batch_handler(OrderPlaced, size=100, window="2s", retries=5, env=["LEDGER_URL"], rate="2/s")
def post_orders(events: list[OrderPlaced]) -> list[OrderPlaced]:
    """Give back the orders that the ledger refused: they are tried again, alone in the end.

    An order may come twice (a retry of the ones beside it); the ledger goes by its id.
    """
    orders = [{"id": event.order_id, "total": str(event.total)} for event in events]
    request = Request(f"{os.environ['LEDGER_URL']}/orders", data=json.dumps(orders).encode())
    # It raises for what is no success, 429 too: then all of them are tried again.
    with urlopen(request, timeout=10) as answer:
        refused = set(json.load(answer)["refused"])
    print(f"posted {len(orders)} orders in one call, {len(refused)} refused")
    return [event for event in events if event.order_id in refused]
