"""The one door out: what is sent again, and what never is."""

from __future__ import annotations

import socket

import pytest

from connections.catalogue import Code
from connections.connectors.base import LimitError, TransientError, UncertainError
from connections.connectors.http import Safety
from tests.contract.scripted import Said, hang_up, silent
from tests.contract.way import OK, Way

pytestmark = pytest.mark.contract
TRIES, TRIES_UNREACHED = 5, 3


BROKEN = [Said(s) for s in (408, 500, 502, 503, 504, 521, 522, 523, 524)]
BROKEN += [
    Said(raw=hang_up),
    Said(502, "<html>bad gateway</html>"),
    Said(200, "<html>"),
]


@pytest.mark.parametrize("said", BROKEN, ids=lambda s: f"{s.status}-{s.body}")
def test_a_read_is_tried_again_after_an_outage(way: Way, said: Said):
    way.says(said, said, OK)
    assert way.send().body == {"fine": True}
    assert way.calls == 3
    assert len(way.naps.taken) == 2
    assert all(0.2 < nap < 3 for nap in way.naps.taken)
    assert way.budget.acquired == ["general"] * 3


@pytest.mark.parametrize("said", BROKEN, ids=lambda s: f"{s.status}-{s.body}")
def test_a_read_gives_up_in_the_end_as_transient(way: Way, said: Said):
    way.says(said)
    error = way.fails()
    assert isinstance(error, TransientError)
    assert not isinstance(error, LimitError)
    assert error.code == Code.UNAVAILABLE
    assert way.calls == TRIES


@pytest.mark.parametrize("said", BROKEN, ids=lambda s: f"{s.status}-{s.body}")
def test_a_create_that_may_have_happened_is_never_sent_again(way: Way, said: Said):
    way.says(said, OK)
    error = way.fails(Safety.ONCE)
    assert isinstance(error, UncertainError)
    assert error.code == Code.UNCERTAIN
    assert way.calls == 1


@pytest.mark.parametrize("said", BROKEN, ids=lambda s: f"{s.status}-{s.body}")
def test_a_repeatable_write_is_sent_again_and_its_end_is_never_called_undone(
    way: Way, said: Said
):
    way.says(said, OK)
    assert way.send(Safety.REPEATABLE).ok
    assert way.calls == 2
    way.says(said)
    assert isinstance(way.fails(Safety.REPEATABLE), UncertainError)


def test_a_time_out_counts_as_reached(way: Way):
    way.timeout_s = 0.1
    way.says(Said(raw=silent(0.4)), OK)
    assert isinstance(way.fails(Safety.ONCE), UncertainError)
    way.says(Said(raw=silent(0.4)), OK)
    assert way.send().ok
    way.says(Said(raw=silent(0.4)))
    error = way.fails()
    assert isinstance(error, TransientError)
    assert error.code == Code.TIMED_OUT


@pytest.mark.parametrize("safety", list(Safety))
def test_a_call_that_reached_nobody_was_not_made(way: Way, safety: Safety):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        way.base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = way.fails(safety)
    assert isinstance(error, TransientError)
    assert error.code == Code.UNAVAILABLE
    assert len(way.naps.taken) == TRIES_UNREACHED - 1


@pytest.mark.parametrize("safety", list(Safety))
def test_a_host_there_is_not_is_unavailable(way: Way, safety: Safety):
    way.base = "http://nowhere.invalid"
    error = way.fails(safety)
    assert isinstance(error, TransientError)
    assert error.code == Code.UNAVAILABLE
    assert "no such host" in error.message


@pytest.mark.parametrize("status", [423, 429])
def test_a_create_that_was_turned_away_is_sent_again(way: Way, status: int):
    way.says(Said(status, {"message": "wait"}), OK)
    assert way.send(Safety.ONCE).ok
    assert way.calls == 2
    assert way.asked_to_write == 2


def test_a_lock_is_waited_out_longer_than_it_lasts(way: Way):
    way.says(Said(423), Said(423), OK)
    assert way.send(Safety.REPEATABLE).ok
    assert min(way.naps.taken) >= 2
    way.says(Said(423))
    error = way.fails(Safety.REPEATABLE)
    assert isinstance(error, TransientError)
    assert not isinstance(error, UncertainError)


def test_doubt_stays_when_a_later_try_is_only_turned_away(way: Way):
    way.says(Said(503), Said(423))
    assert isinstance(way.fails(Safety.REPEATABLE), UncertainError)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 413, 414, 422])
def test_a_refusal_is_an_answer_and_is_not_sent_again(way: Way, status: int):
    way.says(Said(status, {"message": "no"}))
    for safety in Safety:
        answer = way.send(safety)
        assert (answer.status, answer.ok, answer.body) == (
            status,
            False,
            {"message": "no"},
        )
    assert way.calls == 3
