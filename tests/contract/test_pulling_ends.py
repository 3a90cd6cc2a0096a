"""Draining ends within a bounded number of requests, whatever a source answers."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hostile import DAY, SINCE, Pull, finding
from ocelog.errors import ContractBrokenError, SourceThrottledError, SourceUnavailableError
from ocelog.model import SliceState
from ocelog.pull import slices
from ocelog.pull.ports import Answer, Ask, CursorLost, Page, Unusable

MOST_REQUESTS, MOST_OF_ONE_DRAIN = 20_000, 400
MOST_SLICES = 1_000
"""What a mixture of answers that never settles was seen to cut six hours into is half of it."""
KINDS = ["good", "endless", "nothing new", "same cursor", "no cursor", "lost", "unusable", "beside"]
KINDS += ["500", "400", "429"]


class Whim:
    """A source that answers each request as chance has it, out of a few kinds."""

    def __init__(self, seed: int, kinds: list[str], total: int | None, nowhere: str) -> None:
        self.rng = random.Random(seed)
        self.kinds, self.total, self.nowhere = kinds, total, nowhere
        self.asked = 0

    def ask(self, ask: Ask) -> Answer:
        self.asked += 1
        assert self.asked < MOST_REQUESTS, "pulling never ends"
        if self.nowhere == "500" and ask.since.year < 2020:
            return replace(self.page(ask, "nothing new"), has_next=False)
        kind = self.nowhere if not 2020 < ask.since.year < 2030 else self.rng.choice(self.kinds)
        if kind == "lost":
            return CursorLost(reason="lost")
        if kind == "unusable":
            return Unusable(reason="oops")
        if kind == "500":
            raise SourceUnavailableError("500")
        if kind == "400":
            raise ContractBrokenError("400")
        if kind == "429":
            raise SourceThrottledError("429")
        page = self.page(ask, kind)
        return Unusable(reason="oops", page=page) if kind == "beside" else page

    def page(self, ask: Ask, kind: str) -> Page:
        count = 0 if kind == "nothing new" else self.rng.randrange(1, 5)
        where = ask.since if self.rng.random() < 0.8 else SINCE - 90 * DAY
        records: list[Any] = [finding(self.rng.getrandbits(20), where) for _ in range(min(count, ask.page_size or 4))]
        cursor = {"same cursor": ask.after, "no cursor": None}.get(kind, str(self.rng.getrandbits(60)))
        return Page(
            records=json.dumps(records).encode(),
            end_cursor=cursor,
            has_next=kind != "good",
            total=self.total,
            capped=self.rng.random() < 0.1,
            asked_us=1_800_000_000_000_000 + self.asked,
        )


# Smaller examples are not looked for: each runs for seconds.
@pytest.mark.slow
@settings(
    max_examples=2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(
    seed=st.integers(0, 10**9),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True),
    total=st.sampled_from([None, 0, 3, 20, 10**9]),
    nowhere=st.sampled_from(["good", "nothing new", "500"]),
)
@example(seed=1, kinds=["nothing new"], total=3, nowhere="nothing new")
@example(seed=1, kinds=["lost"], total=None, nowhere="nothing new")
@example(seed=1, kinds=["unusable"], total=None, nowhere="nothing new")
@example(seed=1, kinds=["500"], total=None, nowhere="nothing new")
@example(seed=1, kinds=["429"], total=None, nowhere="nothing new")
@example(seed=0, kinds=["good", "endless"], total=10**9, nowhere="good")
@example(seed=0, kinds=["good", "endless"], total=10**9, nowhere="500")
@example(seed=0, kinds=["nothing new", "400"], total=10**9, nowhere="nothing new")
def test_draining_ends_whatever_is_answered(
    monkeypatch: pytest.MonkeyPatch, seed: int, kinds: list[str], total: int | None, nowhere: str
) -> None:
    monkeypatch.setattr(slices, "MOST_WHOLE", 20)
    whim = Whim(seed, kinds, total, nowhere)
    pull = Pull(source=whim, page_size=4)
    pull.plan(SINCE, SINCE + timedelta(hours=6))
    for _ in range(300):
        slice_ = pull.ledger.pulling.take("test", now=pull.now)
        if slice_ is not None:
            before = whim.asked
            pull.ledger.pulling.release(pull.puller.drain(slice_).slice_)
            assert whim.asked - before <= MOST_OF_ONE_DRAIN
        elif waiting := pull.slices(SliceState.WAITING):
            pull.now = max(pull.now, min(found.due_at for found in waiting))
        else:
            break
    assert len(pull.slices()) <= MOST_SLICES
    pull.ledger.close()


@pytest.mark.slow
def test_an_api_that_never_ends_even_where_nothing_can_be_is_down_and_nothing_is_parked() -> None:
    whim = Whim(0, ["nothing new"], None, "nothing new")
    pull = Pull(source=whim, page_size=4)
    pull.plan(SINCE, SINCE + timedelta(hours=6))
    for _ in range(12):
        slice_ = pull.ledger.pulling.take("test", now=pull.now)
        if slice_ is not None:
            drained = pull.puller.drain(slice_)
            pull.ledger.pulling.release(drained.slice_)
            assert drained.blames in (None, "stream")
        pull.now += timedelta(minutes=6)
    assert pull.slices(SliceState.PARKED) == []
    assert any("fails on every request" in str(found.reason) for found in pull.slices(SliceState.WAITING))
    pull.ledger.close()
