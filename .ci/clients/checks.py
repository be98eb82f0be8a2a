"""Checks of a client: each prints `ok NAME` or `FAILED NAME: WHY`, and one that fails fails the process."""

import sys
import time
import traceback

failed = False


def check(body):
    """Runs a check, which is named as its function is."""
    global failed
    name = body.__name__.replace("_", " ")
    try:
        body()
        print(f"ok python: {name}")
    except Exception:  # Whatever goes wrong is told.
        failed = True
        print(f"FAILED python: {name}: {traceback.format_exc().strip()}".replace("\n", " | "))


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def until(what, found):
    """What was waited for, once there is something."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not in time: {what}")


def end():
    sys.exit(1 if failed else 0)
