"""A token that Kintone does not know, as two threads find out at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, cast

from connections.connectors.base import AuthError
from connections.connectors.dialect import Answer
from connections.connectors.http import Door
from connections.connectors.kintone.api import TOKENS, Api


class Refusing:
    """A door that refuses whatever names the token `gone`; both calls meet first."""

    def __init__(self) -> None:
        self.meet, self.calls = Barrier(2), 0

    def count(self, bucket: str) -> None:
        pass

    def send(
        self, method: str, path: str, *, headers: dict[str, str], **more: Any
    ) -> Answer:
        self.calls += 1
        if TOKENS not in headers:
            self.meet.wait(10)
        if "gone" in headers.get(TOKENS, "gone"):
            raise AuthError("Kintone does not know an API token.")
        return Answer(200, {}, {})


def test_two_threads_leave_an_unknown_token_out_together():
    door = Refusing()
    api = Api(cast(Door, door), "/k/v1", "/k/v1", ["good", "gone"])
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(api.read, "read", "records", {"app": "1"}) for _ in "ab"]
        assert [a.result().status for a in asked] == [200, 200]
    assert (api.unknown, door.calls) == (1, 6), "each token is tried once"
