"""What the comparisons share: running the command, and failing with a sentence."""

import json
import os
import subprocess
import sys
import tempfile

GARAM = os.environ.get("GARAM_COMMAND", "build/dev/garam")
work = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(work.name, name)


def garam(*arguments):
    """Runs a command of garam; returns its standard output."""
    result = subprocess.run([GARAM, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"garam {' '.join(map(str, arguments))}: exit {result.returncode}: {result.stderr}")
    return result.stdout


def garam_json(*arguments):
    return json.loads(garam(*arguments, "--json", "--quiet"))


def near(what, ours, theirs, tolerance):
    """Fails when two numbers differ by more than tolerance, relative to the larger of theirs and 1."""
    off = abs(ours - theirs) / max(1.0, abs(theirs))
    print(f"{what}: garam {ours:.9g}, peer {theirs:.9g}, off by {off:.2g} (allowed {tolerance:g})")
    if not off <= tolerance:
        sys.exit(f"{what} differs")


def check(condition, sentence):
    if not condition:
        sys.exit(sentence)
    print(sentence + ": yes")
