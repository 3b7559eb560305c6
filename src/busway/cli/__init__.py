"""The command line: a file a command, loaded when it is called.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 it failed, 2 it was asked wrongly,
130 interrupted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import click

from busway import __version__
from busway.cli.lazy import LazyGroup
from busway.errors import BuswayError

# name: (module of the command, its short help). The help is here so that listing the commands loads none of them.
COMMANDS = {
    "new": ("busway.cli.new:new", "Make a new project."),
    "init": ("busway.cli.new:init", "Make a project of a folder with other things in it."),
    "add": ("busway.cli.add:add", "Generate a handler with its test, an event, a rule."),
    "templates": ("busway.cli.templates:templates", "Bring what was generated up to date."),
    "test": ("busway.cli.test:test", "Run the project's tests."),
    "dev": ("busway.cli.dev:dev", "Serve, deploy on save, show what happens."),
    "diff": ("busway.cli.deploy:diff", "Show what deploying would change."),
    "deploy": ("busway.cli.deploy:deploy", "Make the project live in an environment."),
    "rollback": ("busway.cli.deploy:rollback", "Go back to what ran before the last deployment."),
    "serve": ("busway.cli.serve:serve", "Run the server."),
    "send": ("busway.cli.send:send", "Put an event on the bus."),
    "invoke": ("busway.cli.invoke:invoke", "Run a handler now and show its result and log."),
    "tail": ("busway.cli.tail:tail", "Show events as they happen."),
    "why": ("busway.cli.why:why", "Tell what became of an event, and why."),
    "trace": ("busway.cli.trace:trace", "Draw what an event led to, try by try, in time."),
    "explain": ("busway.cli.explain:explain", "Tell why a pattern matches an event or not."),
    "pattern": ("busway.cli.pattern:pattern", "Check many patterns and events at once, for CI."),
    "rule": ("busway.cli.rule:rule", "Tell what rules match, and what a change of one would do."),
    "dlq": ("busway.cli.dlq:dlq", "List dead letters."),
    "doctor": ("busway.cli.doctor:doctor", "Tell where a project on AWS would lose events."),
    "redrive": ("busway.cli.redrive:redrive", "Send dead letters back to the handler that failed."),
    "resend": ("busway.cli.resend:resend", "Give an event once more to one handler."),
    "logs": ("busway.cli.logs:logs", "Show a handler's log lines."),
    "list": ("busway.cli.list:list_", "List handlers, rules, queues, streams, events."),
    "status": ("busway.cli.status:status", "Show the server, its buses, handlers and alarms."),
    "inbox": ("busway.cli.inbox:inbox", "Show emails that handlers sent."),
    "secret": ("busway.cli.secret:secret", "Keep the secrets of handlers, sealed."),
    "alert": ("busway.cli.alert:alert", "Set who is told when an alarm fires."),
    "catalog": ("busway.cli.catalog:catalog", "Write a page of the project's events."),
    "schema": ("busway.cli.schema:schema", "Export events' schemas, check what a change breaks."),
    "export": ("busway.cli.export:export", "Write an app of AWS CDK that deploys the project."),
    "synth": ("busway.cli.synth:synth", "Make the CloudFormation template of an environment on AWS."),
    "outbox": ("busway.cli.outbox:outbox", "Relay events that were written in a transaction."),
    "verify": ("busway.cli.verify:verify", "Prove from the data that no event was lost."),
    "clock": ("busway.cli.clock:clock", "Show or move the server's manual clock."),
    "demo": ("busway.cli.demo.command:demo", "Play the example from end to end."),
}


@click.group(cls=LazyGroup, commands_table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="busway %(version)s")
def busway() -> None:
    """EventBridge that you can run, test and understand.

    \b
    Example:
      busway new shop && cd shop && busway add handler
    """
    # Before any command, and not to list them.
    from busway.cli.output import escape_unencodable

    escape_unencodable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        result = busway.main(args=arguments, prog_name="busway", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        where = f"{error.ctx.command_path} --help" if error.ctx else "busway --help"
        return complain(error.format_message(), getattr(error, "hint", f"see `{where}`"), 2)
    except click.ClickException as error:
        return complain(error.format_message(), "", error.exit_code)
    except BuswayError as error:
        return complain(str(error), error.hint, 1)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read our output had enough; what is left in the buffer has nowhere to go either.
        sys.stderr.close()
        return 0


def complain(problem: str, hint: str, code: int) -> int:
    """`error: …`, a blank line, `hint: …` on stderr; gives back the exit code."""
    from busway.cli.output import harmless

    # A server's words may hold those of whoever sent the event. No line of them passes for ours; further lines of our
    # own begin with a space.
    told = re.sub(r"\n(?! )", "\n    ", harmless(problem))
    click.echo(f"error: {told}", err=True)
    if hint:
        click.echo(f"\nhint: {harmless(hint)}", err=True)
    return code
