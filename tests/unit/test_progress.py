"""How far a bar has come: it never starts full, never shrinks, and is full only at the end."""

import random
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ocelog.cli.progress import _DOING, _SWEEPING, Figures, Progress
from ocelog.model import Checkpoint, Origin, Slice, SliceState
from ocelog.pull.landing import PageLanded
from ocelog.pull.puller import PullStep
from ocelog.pull.sweep import Stage

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)


def slice_(id_: int, *, total: int | None = None, hours: tuple[int, int] = (0, 8), **more: object) -> Slice:
    return replace(
        Slice(
            source_id="s",
            log_type="Wiz.Issues",
            origin=Origin.BACKFILL,
            by="updatedAt",
            since=NOON + timedelta(hours=hours[0]),
            until=NOON + timedelta(hours=hours[1]),
            id=id_,
            checkpoint=Checkpoint(total=total),
        ),
        **more,
    )


def read(figures: Figures, slice_: Slice, records: int, *, last: bool = False) -> Slice:
    met = slice_.checkpoint.met + records
    after = replace(
        slice_,
        checkpoint=replace(slice_.checkpoint, met=met),
        state=SliceState.DRAINED if last else SliceState.WAITING,
    )
    landed = PageLanded(events=records, repeats=0, rejections=0)
    figures.note(PullStep(slice_=after, landed=landed, request_id=None))
    return after


def test_it_is_not_full_while_what_is_planned_was_not_counted() -> None:
    figures = Figures()
    figures.look([slice_(1), slice_(2)])
    read(figures, slice_(1, total=3), 3, last=True)
    before = figures.fraction
    assert before is None
    assert figures.counts() == "3 records"
    figures.look([slice_(2)])
    figures.look([read(figures, slice_(2, total=1000), 500)])
    assert figures.counts() == "503 of 1,003"
    assert figures.fraction == 503 / 1003


def test_what_is_not_counted_yet_is_said_to_be_more() -> None:
    figures = Figures()
    read(figures, slice_(1, total=1000), 500)
    figures.look([slice_(1, total=1000, checkpoint=Checkpoint(total=1000, met=500)), slice_(2)])
    assert figures.counts() == "500 of 1,000+"


def test_pieces_of_a_slice_count_as_much_of_it_as_of_its_time() -> None:
    figures = Figures()
    figures.note(PullStep(slice_=slice_(1, total=20_000, state=SliceState.RETIRED), landed=None, request_id=None))
    newer, older = slice_(2, hours=(4, 8)), slice_(3, hours=(0, 4))
    figures.look([newer, older])
    assert figures.counts() == "0 of ~20,000"
    figures.look([read(figures, replace(newer, checkpoint=Checkpoint(total=12_000)), 500), older])
    assert figures.counts() == "500 of ~22,000"


def test_it_never_shrinks_and_is_full_only_at_the_end_whatever_comes_to_be_planned() -> None:
    chance = random.Random(5)
    for _ in range(200):
        figures, seen, waiting, number = Figures(), [0.0], list[Slice](), 0
        for _ in range(chance.randint(1, 60)):
            if not waiting or chance.random() < 0.1:
                for _ in range(chance.randint(1, 3)):
                    number += 1
                    waiting.append(slice_(number))
                figures.look(waiting)
            at = chance.randrange(len(waiting))
            one = waiting[at]
            if one.checkpoint.total is None:
                one = replace(one, checkpoint=Checkpoint(total=chance.randint(1, 2000)))
            left = (one.checkpoint.total or 0) - one.checkpoint.met
            page = min(left, chance.randint(1, 500))
            one = read(figures, one, page, last=page == left)
            waiting[at : at + 1] = [one] if one.state is SliceState.WAITING else []
            if chance.random() < 0.5:
                figures.look(waiting)
            seen.append(figures.fraction or 0.0)
        assert seen == sorted(seen)
        assert seen[-1] < 1.0
        figures.finish()
        assert figures.fraction == 1.0


def test_each_stage_of_a_sweep_is_named_and_only_what_follows_it_stops_the_clocks() -> None:
    told = list[str]()
    progress = Progress(None, told.append, lambda: told.append("still"))
    for stage in Stage:
        progress.sweeping(stage)
    progress.finishing("publish")
    progress.finishing("coverage")
    assert told == [
        "Reading all open records ...",
        "Reading what has changed meanwhile ...",
        "Reading again what was missing ...",
        "Marking as closed what is gone ...",
        "still",
        "Publishing ...",
        "still",
        "Counting what the source has ...",
    ]


def test_what_is_done_fits_beside_the_figures_of_a_terminal_of_80_columns() -> None:
    assert [each for each in (*_DOING.values(), *_SWEEPING.values()) if len(each) > 38] == []
