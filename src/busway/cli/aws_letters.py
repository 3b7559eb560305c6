"""`busway dlq` and `busway redrive` with `--profile`: the dead letters of a project that is deployed to AWS."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from busway.cli.aws_options import OnAws
from busway.cli.edits import Editing, edit
from busway.cli.output import print_json, print_line, say
from busway.errors import LetterNotFound, RedriveUnfinished, UnknownHandler

if TYPE_CHECKING:
    from busway.cli.dlq import Chosen
    from busway.road.aws.access import Aws
    from busway.road.aws.letter import AwsLetter, Wanted
    from busway.road.aws.letter_queues import LetterQueue

# Ours: so many letters of one queue are looked at to be listed.
LOOKED_AT_MAX = 1_000
# A line of progress for a program after so many.
PROGRESS_EVERY = 100


def list_letters(on_aws: OnAws, chosen: Chosen, limit: int, as_json: bool) -> None:
    """Groups and items, as a server tells of them; whole letters where ids are given."""
    from busway.cli.dlq import show_found, show_letters
    from busway.road.aws.letter import told

    letters, cut = _looked(*_opened(on_aws, chosen))
    if chosen.ids:
        if not letters:
            raise LetterNotFound(", ".join(chosen.ids))
        shown: Any = [told(letter) for letter in letters]
    else:
        shown = _listing(letters, cut, limit)
    if as_json:
        print_json(shown)
    elif chosen.ids:
        show_letters(shown)
    else:
        show_found(shown, chosen, "`busway redrive HANDLER --profile NAME` tries again")


def send_back(on_aws: OnAws, chosen: Chosen, how: Editing, dry_run: bool, as_json: bool) -> bool:
    """Send back what is chosen; whether all of it went."""
    from busway.cli.redrive import tell_plan
    from busway.road.aws import letter_queues

    aws, queues, wanted = _opened(on_aws, chosen)
    payload = None
    if how.wanted:
        edited = _edited(aws, queues, wanted, how)
        if edited is None:
            say("nothing was changed, and nothing was sent")
            return True
        wanted, payload = edited
    if dry_run:
        tell_plan(_listing(*_looked(aws, queues, wanted), LOOKED_AT_MAX), as_json)
        return True
    sent = letter_queues.Sent()
    progress = partial(_progress, as_json=as_json)
    try:
        for queue in queues:
            letter_queues.send_back(aws, queue, wanted, sent, payload=payload, progress=progress)
    except (KeyboardInterrupt, Exception) as error:
        if not sent.redriven:
            raise
        raise RedriveUnfinished(sent.redriven, str(error) or "interrupted") from error
    _tell(sent, chosen, as_json)
    return not sent.refused and bool(sent.redriven or not chosen.ids)


def _opened(on_aws: OnAws, chosen: Chosen) -> tuple[Aws, list[LetterQueue], Wanted]:
    """AWS, the queues that are meant, and which letters in them. Raises UnknownHandler."""
    from busway.pattern import parse
    from busway.road.aws.letter import Wanted
    from busway.road.aws.letter_queues import letter_queues

    _, site, aws = on_aws.open()
    entry = chosen.handler.replace("_", "-") if chosen.handler else None
    queues = [
        queue
        for queue in letter_queues(aws, site.names)
        if (entry is None or entry in (queue.entry, queue.function)) and chosen.queue in (None, queue.name)
    ]
    if not queues and (entry or chosen.queue):
        known = [queue.entry for queue in letter_queues(aws, site.names)]
        error = UnknownHandler(
            str(chosen.handler or chosen.queue), known, f"the environment {site.names.environment}"
        )
        error.hint = f"`busway status {site.names.environment}` shows them"
        raise error
    pattern = parse(chosen.matching) if chosen.matching else None
    return aws, queues, Wanted(frozenset(chosen.ids) if chosen.ids else None, chosen.error or "", pattern)


def _looked(aws: Aws, queues: Sequence[LetterQueue], wanted: Wanted) -> tuple[list[AwsLetter], bool]:
    from busway.road.aws.letter_queues import look_all

    return look_all(aws, queues, wanted, LOOKED_AT_MAX)


def _listing(letters: Sequence[AwsLetter], cut: bool, shown: int) -> dict[str, Any]:
    """As `/_busway/dead-letters` tells."""
    import msgspec

    from busway.road.aws.letter import groups_of, told

    groups = [msgspec.structs.asdict(group) for group in groups_of(letters)]
    items = [told(letter) for letter in letters[:shown]]
    return {"total": len(letters), "cut": cut, "groups": groups, "items": items}


def _edited(aws: Aws, queues: Sequence[LetterQueue], wanted: Wanted, how: Editing) -> tuple[Wanted, str] | None:
    """The one letter that is meant, and what it becomes. Raises LetterNotFound, UsageError for several."""
    from busway.road.aws.letter import Wanted

    letters, _ = _looked(aws, queues, wanted)
    if not letters:
        raise LetterNotFound(", ".join(wanted.ids or ()))
    if len(letters) > 1:
        names = ", ".join(sorted({letter.queue for letter in letters}))
        raise click.UsageError(
            f"there are {len(letters)} such dead letters, in {names}: name the handler or the message"
        )
    made = edit(letters[0].payload, how)
    return None if made is None else (Wanted(frozenset({letters[0].message_id})), made.text)


def _progress(count: int, *, as_json: bool) -> None:
    if as_json:
        if count % PROGRESS_EVERY == 0:
            print_line({"kind": "progress", "redriven": count})
    elif sys.stderr.isatty():
        click.echo(f"\r{count} sent back …", nl=False, err=True)


def _tell(sent: Any, chosen: Chosen, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_line({"kind": "done", "redriven": sent.redriven, "refused": msgspec.to_builtins(sent.refused)})
        return
    if sent.redriven and sys.stderr.isatty():
        say("")
    click.echo(f"{sent.redriven} sent back")
    for one in sent.refused:
        say(f"{one.message_id} stays in {one.queue}: {one.reason}")
    if not sent.redriven and not sent.refused:
        say(chosen.none)
        if chosen.error:
            say("Lambda's own letters name no class of error, so --error finds none of them")
    elif sent.redriven:
        say("what fails again is in `busway dlq --profile NAME` after its retries")
