"""Parts of `gpu.py` in processes of their own: one that fails, hangs or loses the GPU takes no other with it.

A process writes what it finds into a log, a line each, as it comes, and before that what it is about to do. If it ends
too early, all but the step that it was at is known, and another process does the rest without that step.
"""

import contextlib
import faulthandler
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

#: Status of a process that could not go on after a step that failed; seconds under which none is started.
LOST, LEAST = 3, 5
#: Share of a process's time that a step may take: if it hangs, the others still have the rest.
MOST = 0.6
ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else JAX takes three quarters of the memory
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Log:
    """The log as the process that writes it sees it.

    Parameters
    ----------
    task : dict
        ``log``, the path; ``seconds``, how many there are; ``without``, steps to leave out.
    """

    def __init__(self, task):
        self.file = open(task["log"], "a", buffering=1)  # noqa: SIM115 (as long as the process)
        self.without, self.seconds = set(task["without"]), task["seconds"]
        self.until = time.monotonic() + self.seconds
        self.on_gpu = task["device"] != "cpu"

    def left(self):
        """Seconds before this process is ended."""
        return self.until - time.monotonic()

    def put(self, name, value):
        """Note a result, in place of an earlier one of that name."""
        print(json.dumps({"put": name, "value": value}), file=self.file)

    def attempt(self, name, function, share=MOST):
        """Result of a function, None if it raises or is to be left out. After a share of the time the process ends."""
        if name in self.without:
            return None
        print(json.dumps({"begin": name}), file=self.file)
        faulthandler.dump_traceback_later(share * self.seconds, exit=True)
        try:
            result = function()
        except Exception as error:  # whatever it is, it is a result here
            why = " ".join(f"{type(error).__name__}: {error}".split())[:400]
            print(json.dumps({"failed": name, "why": why}), file=self.file)
            if self.on_gpu and not _answers():
                os._exit(LOST)
            return None
        finally:
            faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"end": name}), file=self.file)
        return result


def _answers():
    """Whether the GPU still does anything for this process: after some errors it does not."""
    try:
        from cuda.core import Device

        device = Device(0)
        device.set_current()
        device.sync()
    except Exception:
        return False
    return True


def _read(path, found, failed):
    """Take in a log; the step at which it breaks off, None if there is none."""
    at = None
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a process that was ended
                record = json.loads(line)
                at = record.get("begin", at) if "put" in record else record.get("begin")
                if "put" in record:
                    found[record["put"]] = record["value"]
                elif "failed" in record:
                    failed[record["failed"]] = record["why"]
    return at


def _once(script, task, errors):
    """Run one process; None if it came to its end, `LOST`, or why it did not."""
    words = [sys.executable, str(script), "--child", json.dumps(task)]
    try:
        with open(errors, "w") as stderr:
            code = subprocess.run(
                words, timeout=task["seconds"], stdout=subprocess.DEVNULL, stderr=stderr, env=ENVIRONMENT | os.environ
            ).returncode
    except subprocess.TimeoutExpired:
        return f"stopped after {task['seconds']:.0f} s"
    if code in (0, LOST):
        return code or None
    lines = [line for line in pathlib.Path(errors).read_text(errors="replace").splitlines() if line.strip()]
    if any(line.startswith("Timeout (") for line in lines):
        return "no answer in the time for a step"
    return f"the process ended with {code}: {lines[-1][-300:] if lines else 'it said nothing'}"


def run(script, seconds, **task):
    """Run a task until a process comes to its end, or time does.

    Parameters
    ----------
    script : path
        Is started with ``--child`` and the task as JSON.
    seconds : float
    **task : object
        What the process is told.

    Returns
    -------
    found, failed : dict
        Results by name, and steps with what went wrong.
    """
    found, failed, until = {}, {}, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path, errors = pathlib.Path(folder, "log"), pathlib.Path(folder, "errors")
        while (left := until - time.monotonic()) > LEAST:
            path.unlink(missing_ok=True)
            known = len(failed)
            why = _once(script, task | {"log": str(path), "seconds": left, "without": list(failed)}, errors)
            at = _read(path, found, failed)
            if why is None:
                break
            if why != LOST:
                failed[at or "process"] = why
            if len(failed) == known or "process" in failed:
                break
    if not found and not failed:
        failed["process"] = "no time was left"
    return found, failed
