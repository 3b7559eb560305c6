"""The Runtime API's port, closed at each moment of a client's coming."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from busway.clock import SystemClock
from busway.function.workers.runtime_api import stop_listening


class Leaving(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_that_comes_while_the_port_closes_is_sent_away(turns: int):
    loop, faults = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    listener = await loop.create_server(Leaving, "127.0.0.1", 0)
    address = listener.sockets[0].getsockname()
    with socket.create_connection(address) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await stop_listening(listener, SystemClock())
        assert await asyncio.to_thread(ended, client)
    assert not faults
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def ended(client: socket.socket) -> bool:
    client.settimeout(10)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
