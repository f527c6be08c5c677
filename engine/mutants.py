"""Plants mutants: small defects, each of which something must notice.

A file of mutants has a line for each, after a line of names: an id, a file, a text that
stands once in it, another in its place (`\\n` ends a line), and what has to notice. The
work is done in a copy of the workspace; the copy and what is built from it stay in the
folder of targets.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def plant_all(file, target, fate):
    """Plants those whose ids begin as the arguments say, and asks for the fate of each:
    `fate(copy, environment, what)` says "failed" where the defect was noticed. Exits."""
    prefixes = tuple(sys.argv[1:]) or ("",)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / target
    copy = target / "copy"
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    lines = Path(file).read_text().splitlines()[1:]
    mutants = [line.replace("\\n", "\n").split("\t") for line in lines]
    mutants = [mutant for mutant in mutants if mutant[0].startswith(prefixes)]
    bring_up_to_date(copy)
    survivors = 0
    for identifier, name, before, after, what in mutants:
        path = copy / name
        original = path.read_text()
        if original.count(before) != 1:
            print(f"{identifier}: {before!r} does not stand once in {name}")
            survivors += 1
            continue
        path.write_text(original.replace(before, after))
        try:
            seen = fate(copy, environment, what)
        finally:
            path.write_text(original)
        print(f"{identifier}: {'killed' if seen == 'failed' else 'SURVIVED: ' + seen}", flush=True)
        survivors += seen != "failed"
    print(f"{len(mutants) - survivors} of {len(mutants)} killed")
    sys.exit(1 if survivors or not mutants else 0)


def bring_up_to_date(copy):
    """Copies what git knows of, and what it would add, unless it is there already."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, run.stdout.split("\n")):
        source, place = ROOT / name, copy / name
        if not source.exists():
            continue
        if not place.exists() or place.read_bytes() != source.read_bytes():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
