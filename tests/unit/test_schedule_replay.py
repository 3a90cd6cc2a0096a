"""What a correlation rule has found before is not found again as a part of it."""

import pytest

from ocelog.alert.judged import Event, JudgedBy, Match
from ocelog.app.loops.correlating import MOST_NAMED
from ocelog.app.rules.schedule_replay import LandedMatches
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place

EVENT = Event(row_id="r", log_type="", source_id="s", source_label="prod", event_us=1, version_us=1, observed_us=1)
BY = JudgedBy(about=About(id="together", place=Place("r.yml", 1)), revision="1", on_schedule=True)


@pytest.mark.parametrize(
    ("members", "dedup", "held"),
    [
        ("ab", "dana", True),
        ("abc", "dana", True),
        ("abd", "dana", False),
        ("ab", "emil", False),
        ("", "dana", False),
        ("a" * MOST_NAMED, "dana", False),
    ],
)
def test_a_part_of_what_has_landed_is_not_new(members: str, dedup: str, held: bool) -> None:
    landed = LandedMatches(matches=frozenset(), observed_us=[], groups={"dana": [frozenset("abc"), frozenset("de")]})
    context = {"matches": [{"match": name} for name in members]}
    match = Match(rule=BY, event=EVENT, verdict=Verdict(matched=True, title="t", dedup=dedup, context=context))
    assert landed.holds(match) is held
