"""Fuzz one side: `python -m tests.fuzz.run matcher|reference --runs 1000000 --seed 1`, which `make fuzz` does.

`matcher` is parser and matcher in Rust under cargo fuzz, `reference` the one in Python under atheris. Both are
libFuzzer, guided by what an input reaches. Each run begins with the recorded facts and with what was found before, so
that a commit and a seed say what was run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.unit.pattern.agreeing import installed
from tests.unit.pattern.test_vectors import VECTORS, text_of

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".build"
FOUND = ROOT / "tests" / "unit" / "pattern" / "found"

# Ours: brackets up to the limit of 1,000 levels, opened and closed, fit in.
INPUT_BYTES_MAX = 2_048
# Ours: inputs grow from the longest seed on, and long ones from the beginning would leave time for few.
SEED_BYTES_MAX = 512
# Ours: what takes longer is a hang. An input takes some microseconds in Rust and a millisecond in Python; the rest is
# for a machine that is busy with other things.
TIMEOUT_S = 10
ADVICE = (
    f"make it small by hand or with -minimize_crash=1, put it into {FOUND.relative_to(ROOT)}/ under a name that says "
    "what it shows, and mend what tests/unit/pattern/test_found.py or `make matcher` then reports"
)


def command(side: str) -> list[str]:
    if side == "reference":
        return [sys.executable, "-m", "tests.fuzz.reference"]
    # There is no unsafe code that an address sanitizer could watch, and without one a stable Rust is enough.
    crate = ROOT / "matcher" / "fuzz"
    return [str(BUILD / "cargo-fuzz/bin/cargo-fuzz"), "run", f"--fuzz-dir={crate}", "--sanitizer=none", "texts"]


def environment(side: str) -> dict[str, str]:
    if side == "reference":
        return {**os.environ, "PYTHONPATH": f"{BUILD / 'atheris'}{os.pathsep}{ROOT}"}
    return {**os.environ, "CARGO_TARGET_DIR": str(BUILD / "rust-fuzz")}


def seeds() -> Iterator[bytes]:
    for vector in VECTORS:
        yield f"{text_of(vector['pattern'])}\n{text_of(vector['event'])}".encode(errors="surrogatepass")
    yield from (case.read_bytes() for case in sorted(FOUND.iterdir()))


def fuzz(side: str, runs: int, seed: int) -> bool:
    """Run it; whether nothing was found. The log of libFuzzer stays beside what it found."""
    folder = BUILD / "fuzz" / side
    shutil.rmtree(folder, ignore_errors=True)
    corpus, found = folder / "corpus", folder / "found"
    corpus.mkdir(parents=True)
    found.mkdir()
    for number, text in enumerate(seeds()):
        if len(text) <= SEED_BYTES_MAX:
            (corpus / f"seed-{number}").write_bytes(text)
    options = [
        f"-runs={runs}",
        f"-seed={seed}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={TIMEOUT_S}",
        f"-dict={Path(__file__).with_name('tokens.dict')}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]
    separator = ["--"] if side == "matcher" else []
    log = folder / "log"
    commit, start = head(), time.monotonic()
    with log.open("wb") as out:
        words = [*command(side), str(corpus), *separator, *options]
        code = subprocess.run(words, cwd=ROOT, env=environment(side), stdout=out, stderr=out, check=False).returncode
    done = re.search(r"stat::number_of_executed_units: (\d+)", log.read_text(errors="replace"))
    inputs = f"{int(done[1]):,} inputs" if done else "ended before its time"
    # A row of docs/how-tested.md.
    print(f"fuzz of the {side}: {inputs}, seed {seed}, commit {commit}, {time.monotonic() - start:.0f} s")
    reported(sorted(found.iterdir()), log)
    return code == 0


def head() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() or "unknown"


def reported(cases: Sequence[Path], log: Path) -> None:
    """Say what to do with what was found, if anything was."""
    for case in cases:
        print(f"error: found {case}; what was wrong with it ends {log}")
    if cases:
        print(f"\nhint: {ADVICE}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["matcher", "reference"])
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    asked = parser.parse_args()
    if asked.side == "reference" and not installed():
        print("note: the reference is not compared with the compiled matcher; hint: make matcher")
    return 0 if fuzz(asked.side, asked.runs, asked.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
