"""`busway demo`: play the README's story and exit 0 only if all of it was observed."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import click


@click.command()
@click.option("--sabotage", is_flag=True, help="Swallow one email, to see that the demo notices (it must exit 1).")
@click.option("--keep", is_flag=True, help="Keep the folder with the project and the data.")
@click.option("--json", "as_json", is_flag=True, help="Print only the verdict, as JSON.")
def demo(sabotage: bool, keep: bool, as_json: bool) -> None:
    """Play the example: an event becomes an email, fails, alerts, heals, and survives kill -9.

    \b
    Example:
      busway demo
    """
    from rich.console import Console

    try:
        from busway.cli.demo.server import DidNotHappen
        from busway.cli.demo.story import Story
    except ImportError as missing:
        raise click.ClickException(
            f"the demo needs the package {missing.name}\n\nhint: pip install 'busway[demo]'"
        ) from missing
    console = Console(stderr=as_json, quiet=as_json, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="busway-demo-"))
    began = time.monotonic()
    fault = ""
    try:
        Story(folder, console, sabotage).play()
    except DidNotHappen as failure:
        fault = str(failure)
    finally:
        if keep or fault:
            console.print(f"\nKept: {folder}")
        else:
            _remove(folder)
    took = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({"ok": not fault, "fault": fault, "seconds": round(took, 1)}))
    elif fault:
        click.echo(f"\nerror: {fault}", err=True)
    else:
        console.print(f"\n[bold green]All of it happened[/], in {took:.0f} s.")
    sys.exit(1 if fault else 0)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
