"""Children of the demo: started apart from the terminal, stopped in two stages.

Ctrl-C reaches the demo alone; it then asks each child's leader to end. A signal to the
whole group would make the task cluster hang.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PR_SET_PDEATHSIG = 1  # prctl(2)
STOP_S = 20.0  # for a child to finish what it is at


def _end_with(parent: int) -> Callable[[], None]:
    """Let a child be asked to stop when the demo dies, even of SIGKILL (Linux only)."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def ask_the_kernel() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before this
                os._exit(1)

    return ask_the_kernel


class Child:
    """One process with its log file."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, environ: Mapping[str, str]
    ) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **environ},
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),
            )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def last_words(self) -> str:
        """The end of its log, for a message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def ask_to_stop(self) -> None:
        if not self.ended:
            self._process.terminate()

    def stop(self) -> None:
        """Wait for the end; one that takes too long is ended with all it started."""
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Children:
    """Every child of the demo; leaving the block stops them, the last one first."""

    def __init__(self, log_folder: Path, environ: Mapping[str, str]) -> None:
        self._folder, self._environ = log_folder, environ
        self.all: list[Child] = []
        log_folder.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, *arguments: str) -> Child:
        child = Child(name, arguments, self._folder / f"{name}.log", self._environ)
        self.all.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(self.all):
            child.ask_to_stop()
            child.stop()
