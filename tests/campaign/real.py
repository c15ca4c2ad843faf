"""A campaign on the real ground: sockets, threads, time, and SIGKILL of a forked process.

It is slow, so that few seeds run on it; it shows that the quick ground leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from connections.connectors import http
from connections.connectors.postgres import database
from tests.campaign.harm import Harm
from tests.campaign.play import Begin, Campaign
from tests.test_kill import Places, in_a_child


class Real(Campaign):
    """One seed, as `Campaign`."""

    @contextmanager
    def ground(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            no_sleep = {
                **(http.Door.__init__.__kwdefaults__ or {}),
                "sleep": lambda _: None,
            }
            patch.setattr(http.Door.__init__, "__kwdefaults__", no_sleep)
            patch.setattr(http.Door, "_penalise", lambda *_: None)
            patch.setattr(database, "_pause", lambda _: None)
            yield

    def suffer(self, harm: Harm, begin: Begin | None) -> dict[str, Any]:
        """Of a harm, HubSpot's faults, the kill and the edits come to pass."""
        control, trouble = self.bench.sandbox.control, list[Exception]()
        left, calls, busy = sorted(map(abs, harm.edits_at)), [0], [False]

        def meanwhile(*_: Any) -> None:
            calls[0] += 1
            if busy[0] or not left or calls[0] < left[0]:
                return
            busy[0] = True
            left.pop(0)
            try:
                self.act(UNLOOKED, at_work=True)
            except Exception as exc:
                trouble.append(exc)
            finally:
                busy[0] = False

        def die() -> None:
            Places(abs(harm.kill_at)).watch()
            self.do(harm, begin)

        control.set_hook(meanwhile if left else None)
        report: dict[str, Any] = {}
        try:
            if harm.kill_at:
                ended = in_a_child(die)
                self.note(f"    signal {ended}")
                self.tally["SIGKILL"] += bool(ended)
            else:
                report = self.do(replace(harm, kill_at=0), begin)
        finally:
            control.set_hook(None)
        if trouble:
            raise trouble[0]
        return report


# Acts that ask nothing of our own database, which the server's threads would lock.
UNLOOKED = (
    "create",
    "change",
    "blank",
    "link",
    "clear",
    "add_link",
    "restore",
    "turn",
    "advise",
)
