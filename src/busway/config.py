"""Every setting of the server, in one table. The only module that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

PORT_MAX = 65_535
# Ours: the write-ahead log grows to some 8 MB before a checkpoint; a reserve must have room for it.
RESERVE_MB_MIN = 16
# Ours: so that four times as much has room for the largest code of a function in one request.
OPEN_BODIES_MB_MIN = 32


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The server's settings. Each has a `BUSWAY_<NAME>` in the environment; flags of `serve` win over it."""

    host: str = _setting("127.0.0.1", "address to listen on; beyond loopback only with access keys set")
    port: int = _setting(4566, "port for every service")
    data: str = _setting(".busway/data", "folder that holds everything the server remembers")
    engine: str = _setting("embedded", "where things are kept: embedded (SQLite in the data folder) or memory")
    access_keys: str = _setting("", "KEY:SECRET pairs separated by commas; when set, every signature is verified")
    push_keys: str = _setting(
        "", "KEY:SECRET:PROJECT separated by commas: keys that may `git push` to that project and nothing else"
    )
    allowed_hosts: str = _setting("", "further Host names the server answers to, separated by commas")
    clock: str = _setting("system", "system, or manual: time moves only by `busway clock` (for tests)")
    smtp: str = _setting("", "smtp://HOST:PORT that SendEmail relays to; empty keeps mail in the inbox")
    mail_from: str = _setting("busway@localhost", "address that mail of topics' subscriptions comes from")
    retention_s: float = _setting(86_400.0, "seconds a bus keeps its events")
    rules_per_bus: int = _setting(300, "quota of rules on one bus")
    async_retry_s: str = _setting("60,120", "seconds before the first and second retry of an async invocation")
    delivery_first_retry_s: float = _setting(1.0, "first back-off of a delivery to the outside, in seconds")
    workers_max: int = _setting(32, "worker processes for functions, in total")
    worker_idle_s: float = _setting(600.0, "seconds after which an idle worker process is ended")
    sandbox: str = _setting(
        "auto",
        "what contains functions: process, kernel, bubblewrap, or auto: kernel where it works, else process",
    )
    function_folders: str = _setting("", "further folders that functions may read and write, separated by ':'")
    log_format: str = _setting("text", "the server's own log on stderr: text, or json, an object a line")
    log_mb_per_function: int = _setting(32, "MB of log lines kept of one function, or put into one log group")
    log_mb_total: int = _setting(1024, "MB of log lines kept of all functions together")
    reserve_mb: int = _setting(64, "disk space kept back so that delivery goes on when the disk is full; 16 or more")
    shard_limits: str = _setting("off", "off, or aws: each shard of a stream takes 1,000 records and 1 MiB a second")
    queue_in_flight_max: int = _setting(120_000, "messages of one queue that may be received and not deleted yet")
    queue_recreate_s: float = _setting(0.0, "seconds until a deleted queue's name may be used again; AWS: 60")
    open_bodies_mb: int = _setting(
        64,
        "MB of request bodies held at once for callers of function URLs without a key; four times that for those "
        "with a key until their signature is verified",
    )
    secret_key: str = _setting(
        "", "32 bytes in base64 that seal handlers' secrets; without it, a key in the data folder does"
    )
    upstream: str = _setting(
        "", "URL that workers' calls to other AWS services, and starts of jobs, go to; without it, to AWS"
    )


def load_settings(environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Settings from flags that are not None, else the environment, else the defaults.

    Raises ValueError that names the variable or flag, what it holds and what was wanted.
    """
    env = os.environ if environ is None else environ
    chosen: dict[str, Any] = {}
    for setting in fields(Settings):
        name = f"BUSWAY_{setting.name.upper()}"
        if flags.get(setting.name) is not None:
            chosen[setting.name] = flags[setting.name]
        elif name in env:
            kind = cast(type[str | int | float], type(setting.default))
            try:
                chosen[setting.name] = kind(env[name])
            except ValueError:
                raise ValueError(f"{name} is {env[name]!r}; wanted {kind.__name__}") from None
    settings = Settings(**chosen)
    if not 0 <= settings.port <= PORT_MAX:
        raise ValueError(f"port is {settings.port}; wanted 1 to {PORT_MAX}, or 0 for any that is free")
    if settings.shard_limits not in ("off", "aws"):
        raise ValueError(f"shard_limits is {settings.shard_limits!r}; wanted off or aws")
    if settings.log_format not in ("text", "json"):
        raise ValueError(f"log_format is {settings.log_format!r}; wanted text or json")
    if min(settings.log_mb_per_function, settings.log_mb_total) < 1:
        raise ValueError("log_mb_per_function and log_mb_total are 1 or more")
    if settings.reserve_mb < RESERVE_MB_MIN:
        raise ValueError(f"reserve_mb is {settings.reserve_mb}; wanted {RESERVE_MB_MIN} or more")
    if settings.open_bodies_mb < OPEN_BODIES_MB_MIN:
        raise ValueError(f"open_bodies_mb is {settings.open_bodies_mb}; wanted {OPEN_BODIES_MB_MIN} or more")
    return settings


def setting_help() -> list[tuple[str, Any, str]]:
    """(name, default, what it is for) of every setting, for help texts and docs."""
    return [(s.name, s.default, str(s.metadata["help"])) for s in fields(Settings)]


def data_folder(settings: Settings) -> Path:
    return Path(settings.data)


def shared_folders(settings: Settings) -> tuple[Path, ...]:
    """The folders that every function may read and write."""
    return tuple(Path(folder).absolute() for folder in settings.function_folders.split(":") if folder)


def environment() -> Mapping[str, str]:
    """The process's own environment, for rooms that pass part of it on to a child."""
    return os.environ
