"""Composes everything: the only file that knows every room, and the only one that knows which engine runs.

open    engine → nouns (queues, functions, buses, alarms, routes, inbox) → outbox → router → HTTP
close   the other way round, so that nothing takes work that nobody will finish
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from busway import __version__, telemetry
from busway.alarm.evaluator import Evaluator
from busway.alarm.queues import DeadLetterQueues
from busway.alarm.registry import Alarms
from busway.alert.gathering import Gathering, Parts as GatheringParts
from busway.alert.routes import Routes
from busway.alert.series_sending import Parts as SeriesParts, SeriesSending
from busway.arn import Scope
from busway.aws.code_door import CodeDoor
from busway.aws.gate import Gate, Keys, parse_access_keys
from busway.aws.gateway import OPEN_PATHS, Gateway
from busway.aws.server_http import HttpServer, listen
from busway.aws.services.cloudwatch import CloudWatch
from busway.aws.services.events import Events
from busway.aws.services.kinesis import Kinesis
from busway.aws.services.lambda_ import Lambda
from busway.aws.services.logs import Logs
from busway.aws.services.secretsmanager import SecretsManager
from busway.aws.services.sesv2 import SesV2
from busway.aws.services.sns import Sns
from busway.aws.services.sqs import Sqs
from busway.aws.services.sts import Sts
from busway.aws.topic_door import TopicDoor
from busway.aws.url_door import UrlDoor
from busway.aws.worker_access import ALLOW_TAG
from busway.aws.worker_keys import WorkerKeys
from busway.bus.job_targets import JOB_KINDS
from busway.bus.room import BusRoom
from busway.bus.routing import Ports
from busway.clock import Clock, Entropy, ManualClock, SystemClock, SystemEntropy
from busway.config import Settings, data_folder, environment
from busway.delivery import Target
from busway.delivery.hand_over import HandOver
from busway.delivery.outbox import Outbox, Parts
from busway.engine import Engine
from busway.engine.embedded import open_embedded
from busway.engine.embedded.disk import sync_tree
from busway.engine.memory import MemoryEngine
from busway.errors import NotLoopback, UnknownEngine
from busway.function.functions import Functions, only_written
from busway.function.mapping.function_runner import FunctionRunner
from busway.function.mapping.mappings import Mappings
from busway.function.mapping.runner import Desk
from busway.function.workers.process import SystemSpawn, hide_from_own_user
from busway.inspect.app import InspectApp
from busway.inspect.ports import Inspection
from busway.inspect.workload import measure
from busway.logs.functions import FunctionLines
from busway.logs.groups import LogGroups
from busway.logs.live_tail import LiveTails
from busway.mail.inbox import ShownMail
from busway.mail.mailer import Mailer
from busway.metrics import Metrics
from busway.metrics.feed import Feed
from busway.metrics.series import TimeSeries
from busway.push.access import Access, parse_push_keys
from busway.push.door import PREFIX, GitDoor
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.redrive import Redrive
from busway.secret.key import SealingKey
from busway.secret.secrets import Secrets
from busway.stream.reading import ShardReader
from busway.stream.streams import Streams
from busway.targets.aws_call import NOT_IN_DEVELOPMENT, AwsCalls, Clients
from busway.targets.bus import BusTarget
from busway.targets.destinations import FunctionDestinations
from busway.targets.function import FunctionTarget
from busway.targets.http import AlertTarget
from busway.targets.job import JobTarget
from busway.targets.post import Poster
from busway.targets.queue import QueueTarget
from busway.targets.stream import StreamTarget
from busway.targets.subscription import SubscriptionTarget
from busway.targets.topic import SnsTarget
from busway.targets.ways_back import WaysBack
from busway.topic.topics import Topics
from busway.trail import Trail

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Ours: how long functions may go on after SIGTERM.
DRAIN_S = 10.0

Fatal = Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every room stands on."""

    settings: Settings
    engine: Engine
    clock: Clock
    machine_clock: Clock
    entropy: Entropy
    metrics: Metrics
    trail: Trail


async def open_engine(settings: Settings, clock: Clock, on_fatal: Fatal) -> Engine:
    """The engine that the settings name. Raises `UnknownEngine`, `DataInUse`, `DataTooNew`, OSError."""
    if settings.engine == "memory":
        # Functions' code and logs lie there all the same, for the server's user alone.
        data_folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
        return MemoryEngine(clock)
    if settings.engine == "embedded":
        return await open_embedded(data_folder(settings), clock, on_fatal=on_fatal, reserve_mb=settings.reserve_mb)
    raise UnknownEngine(settings.engine)


class Server:
    """A whole Busway in this process. `start` returns when it answers, `stop` when everything is put down."""

    def __init__(self, settings: Settings, on_fatal: Fatal) -> None:
        """`on_fatal` is called when the engine stopped itself after an I/O error: end the process then."""
        self.settings = settings
        self._on_fatal = on_fatal
        self._stack = AsyncExitStack()
        self.url = ""

    async def start(self) -> None:
        """Open everything. Raises `BuswayError`s that say what stands in the way; nothing stays open then."""
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        settings = self.settings
        keys = Keys(parse_access_keys(settings.access_keys))
        if settings.host not in LOOPBACK and not keys:
            raise NotLoopback(settings.host)
        if keys:
            # Not in development: there, who finds the port taken wants to be told by whom.
            hide_from_own_user()
        listener = listen(settings.host, settings.port)
        self._stack.callback(listener.close)
        machine_clock = SystemClock()
        clock = ManualClock(machine_clock.now()) if settings.clock == "manual" else machine_clock
        engine = await open_engine(settings, clock, self._on_fatal)
        self._stack.push_async_callback(engine.close)
        ground = Ground(settings, engine, clock, machine_clock, SystemEntropy(), Metrics(clock), Trail(clock))
        gate = Gate(machine_clock, keys, [*settings.allowed_hosts.split(","), settings.host])
        self.url = _url_of(listener)
        rooms = Rooms(ground, keys, self.url)
        await rooms.open(self._stack)
        own = InspectApp(rooms.inspection)
        open_paths = OPEN_PATHS if settings.host in LOOPBACK else ()
        doors = (CodeDoor(rooms.functions.downloads), UrlDoor(rooms.functions, clock), TopicDoor(rooms.topics))
        if settings.push_keys and not keys:
            raise ValueError("BUSWAY_PUSH_KEYS is set and BUSWAY_ACCESS_KEYS is not: without that anybody may push")
        access = Access(keys, parse_push_keys(settings.push_keys), strict=bool(keys))
        git = GitDoor(access, data_folder(settings).absolute(), rooms.functions.machine, ground.entropy, self.url)
        gateway = Gateway(
            rooms.services(), gate, machine_clock, ground.entropy, own=own, open_paths=open_paths, doors=doors,
            granted=rooms.granted_to_workers, open_bytes_max=settings.open_bodies_mb * 1024 * 1024,
            remotes={PREFIX: git},
        )  # fmt: skip
        http = HttpServer(gateway, machine_clock, listener=listener)
        await http.start()
        self._stack.push_async_callback(http.stop)
        # First of all, or the HTTP server would wait for receives that wait for messages, and for followers.
        self._stack.callback(rooms.queues.stop_polling)
        self._stack.callback(own.end_streams)
        self._stack.callback(rooms.live_tails.end)


class Rooms:
    """The nouns of one server, and how they hang together."""

    def __init__(self, ground: Ground, keys: Keys, url: str) -> None:
        self._ground = ground
        engine, clock, entropy = ground.engine, ground.clock, ground.entropy
        metrics, trail, settings = ground.metrics, ground.trail, ground.settings
        self.queues = SqsQueues(
            engine, clock, entropy, metrics,
            in_flight_max=settings.queue_in_flight_max, recreate_s=settings.queue_recreate_s,
        )  # fmt: skip
        self.streams = Streams(engine, clock, entropy, metrics, aws_limits=settings.shard_limits == "aws")
        self.shard_reader = ShardReader(self.streams, clock, metrics)
        self.dead_letters = QueueDeadLetters(self.queues, metrics)
        self.bus = BusRoom(engine, clock, entropy, metrics, trail, settings)
        self.mailer = Mailer(engine, clock, entropy, metrics, settings.smtp)
        destinations = FunctionDestinations(
            engine, entropy, self.queues, self.bus.publisher, lambda: self.functions.invocation_put
        )
        worker_keys = WorkerKeys(keys, entropy)
        sync_files = sync_tree if settings.engine == "embedded" else only_written
        sealing_key = SealingKey(settings.secret_key, data_folder(settings) / "secrets", entropy, sync_files)
        self.secrets = Secrets(engine, clock, entropy, sealing_key)
        self.functions = Functions(
            engine, clock, entropy, metrics, trail, SystemSpawn(), settings, self.dead_letters,
            destinations=destinations, credentials_for=worker_keys, credentials_ended=worker_keys.take_back,
            endpoint=url, machine_clock=ground.machine_clock,
            sync_tree=sync_files, secret=self.secrets.text,
        )  # fmt: skip
        self.secrets.on_change = self.functions.secret_changed
        group_bytes = settings.log_mb_per_function << 20
        self.log_groups = LogGroups(engine, clock, FunctionLines(self.functions.logs), group_bytes)
        self.live_tails = LiveTails(self.log_groups, ground.machine_clock)
        runner = FunctionRunner(self.functions)
        self.mappings = Mappings(
            Desk(engine, clock, entropy, metrics, trail, self.queues, self.streams, runner, destinations),
            ground.machine_clock,
        )
        self.routes = Routes(engine, clock)
        self.alerts = AlertTarget(
            self.routes, ground.machine_clock, environment(),
            secret=self.secrets.text, mailer=self.mailer, metrics=metrics, trail=trail,
        )  # fmt: skip
        self.jobs_closed = "" if keys or settings.upstream else NOT_IN_DEVELOPMENT
        jobs = JobTarget(AwsCalls(Clients(settings.upstream), self.jobs_closed))
        targets: dict[str, Target] = {
            "lambda": FunctionTarget(self.functions),
            "sqs": QueueTarget(self.queues),
            "kinesis": StreamTarget(self.streams),
            "events": BusTarget(self.bus.publisher, clock, entropy),
            **dict.fromkeys(JOB_KINDS, jobs),
        }
        first_retry_s = settings.delivery_first_retry_s
        self.outbox = Outbox(Parts(engine, clock, entropy, metrics, trail, targets, self.dead_letters, first_retry_s))
        hand_over = HandOver(targets, self.outbox, self.dead_letters, clock)
        self.topics = Topics(engine, clock, entropy, metrics, trail, hand_over)
        self.poster = Poster(ground.machine_clock, environment())
        subscribed = SubscriptionTarget(self.topics.subscription, self.poster, self.mailer, settings.mail_from)
        # Alert routes are named like the SNS topics that stand for them on AWS.
        targets["sns"] = SnsTarget(self.topics, subscribed, self.alerts, clock)
        self.router = self.bus.router(Ports(targets, self.outbox, self.dead_letters))
        self.ticker = self.bus.ticker()
        watched = self._alarming(hand_over)
        self.ways = WaysBack(targets, self.outbox, self.functions, self.queues, entropy)
        self.redrive = Redrive(
            engine, clock, self.ways.by_kind(),
            metrics=metrics, trail=trail, changed=self.evaluator.changed, searched=watched.searched,
            sent_back=watched.sent_back,
        )  # fmt: skip
        self.inspection = self._inspection()

    def _alarming(self, hand_over: HandOver) -> DeadLetterQueues:
        """The alarms, and who is told of them; gives the queues as alarms see them."""
        engine, clock, entropy = self._ground.engine, self._ground.clock, self._ground.entropy
        self.series = TimeSeries(engine, clock, entropy)
        self.alarms = Alarms(engine, clock, entropy)
        self.gathering = Gathering(
            GatheringParts(engine, clock, entropy, self.routes, hand_over.put_for, self.alarms.state_of)
        )
        watched = DeadLetterQueues(engine, self.queues.exists)
        self.evaluator = Evaluator(
            self.alarms, watched, engine, clock,
            notice_put=self.gathering.put_for, announce=self.bus.publisher.announce,
            metrics=self._ground.metrics, trail=self._ground.trail, series=self.series,
        )  # fmt: skip
        self.queues.listeners.append(self.evaluator.changed)
        first_retry_s = self._ground.settings.delivery_first_retry_s
        self.series_sending = SeriesSending(
            SeriesParts(
                engine, clock, entropy, self.routes, self.alarms, self.series, self._ground.metrics,
                send=self.alerts.tell, first_retry_s=first_retry_s,
            )
        )  # fmt: skip
        return watched

    async def open(self, stack: AsyncExitStack) -> None:
        """Load what is stored, then take up the work; `stack` puts it down in the opposite order."""
        for noun in (
            self.queues,
            self.streams,
            self.bus,
            self.routes,
            self.alarms,
            self.mailer,
            self.topics,
            self.secrets,
            self.series,
            self.evaluator,
        ):
            await noun.open()
        stack.push_async_callback(self.alerts.close)
        stack.push_async_callback(self.poster.close)
        stack.push_async_callback(self.mailer.close)
        await self.functions.open()
        stack.push_async_callback(self.functions.close, DRAIN_S)
        await self.mappings.open()
        stack.push_async_callback(self.mappings.close, DRAIN_S)
        await self.outbox.open()
        stack.push_async_callback(self.outbox.close)
        await self.gathering.open()
        stack.push_async_callback(self.gathering.close)
        await self.router.open()
        stack.push_async_callback(self.router.close)
        await self.ticker.open()
        stack.push_async_callback(self.ticker.close)
        await self.log_groups.open()
        run_beside(stack, "log groups", self.log_groups.run())
        run_beside(stack, "alarms", self.evaluator.run())
        run_beside(stack, "queue retention", self.queues.run())
        run_beside(stack, "completed steps", self.functions.once.run())
        run_beside(stack, "stream retention", self.streams.run())
        feed = Feed(self._ground.metrics, self.series, self._ground.clock, partial(measure, self.inspection))
        run_beside(stack, "metrics", feed.run())
        run_beside(stack, "series of alarms", self.series_sending.run())
        self._push_telemetry(stack)

    def _push_telemetry(self, stack: AsyncExitStack) -> None:
        environ, ground = environment(), self._ground
        if not telemetry.wanted(environ):
            return
        try:
            from busway.telemetry.push import push
        except ModuleNotFoundError as missing:
            # The variable may be there for another program: it is no reason not to take events.
            log.warning("%s (%s)", telemetry.NOT_INSTALLED, missing)
            return
        work = push(ground.trail, ground.metrics, ground.machine_clock, environ, partial(measure, self.inspection))
        run_beside(stack, "telemetry", work)

    def services(self) -> list[Any]:
        return [
            Events(self.bus),
            Lambda(self.functions, self._ground.engine, self._ground.clock, self.mappings),
            Sqs(self.queues),
            Kinesis(self.streams, self.shard_reader, self._ground.clock),
            Logs(self.log_groups, self.live_tails, self._ground.entropy),
            SecretsManager(self.secrets),
            SesV2(self.mailer),
            Sns(self.topics, self._ground.clock, self._ground.entropy),
            CloudWatch(self.alarms, self.evaluator, self.series, self._ground.clock),
            Sts(),
        ]

    def granted_to_workers(self, function_arn: str) -> str:
        """What the function's tag adds to what every worker may call."""
        record = self.functions.get(function_arn)
        return "" if record is None else record.tags.get(ALLOW_TAG, "")

    async def _newest_mail(self, scope: Scope, limit: int) -> Sequence[ShownMail]:
        """Mail has no account here: every scope sees all of it."""
        return await self.mailer.inbox.newest(limit)

    def _inspection(self) -> Inspection:
        ground = self._ground
        return Inspection(
            version=__version__, clock=ground.clock, engine=ground.engine, metrics=ground.metrics, trail=ground.trail,
            buses=self.bus.buses, publisher=self.bus.publisher, queues=self.queues, streams=self.streams,
            functions=self.functions.registry, mappings=self.mappings,
            logs=self.functions.logs, alarms=self.alarms, routes=self.routes, redrive=self.redrive,
            anew=self.ways.anew, inbox=self._newest_mail, sandbox=self.functions.sandbox.level,
            halted=self.router.halted, jobs_closed=self.jobs_closed, topic_exists=self.topics.exists,
            try_series=self.series_sending.try_route,
        )  # fmt: skip


def run_beside(stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` as a task until the stack unwinds; a fault that ends it is logged, not lost."""
    task = asyncio.create_task(work, name=name)

    def ended(finished: asyncio.Task[None]) -> None:
        if not finished.cancelled() and finished.exception() is not None:
            log.critical("%s ended by a fault", name, exc_info=finished.exception())

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    task.add_done_callback(ended)
    stack.push_async_callback(end)


def _url_of(listener: socket.socket) -> str:
    """Where handlers on this machine reach the server: its own port, on loopback when it listens everywhere."""
    found, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(found, str(found))
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def data_problem(settings: Settings) -> str | None:
    """Why the data folder cannot be used, found before anything is opened; None when it can."""
    folder = Path(settings.data)
    existing = next((parent for parent in (folder, *folder.absolute().parents) if parent.exists()), None)
    return f"{existing} is not a folder" if existing is not None and not existing.is_dir() else None
