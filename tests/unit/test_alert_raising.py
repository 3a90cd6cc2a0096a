"""What becomes of the alert of something that goes on being wrong."""

from msgspec.structs import replace

from ocelog.alert.alert import Alert
from ocelog.alert.notice import Happened
from ocelog.alert.raising import over, raised
from ocelog.model import Severity

NOW = 1_800_000_000_000_000


def test_what_goes_on_keeps_what_people_were_told_of_it() -> None:
    made = Alert(id="a", severity=Severity.HIGH, title="t", rule_id="r", opened_us=NOW, updated_us=NOW)
    first = raised(made, None, now_us=NOW, muted=lambda *_: False)
    again = raised(replace(made, updated_us=NOW + 1), first.alert, now_us=NOW + 1, muted=lambda *_: False)
    assert again.happened is None
    assert (again.alert.told_severity, again.alert.told_us, again.alert.to_be_told) == (Severity.HIGH, NOW, True)


def test_who_heard_that_it_was_over_is_to_hear_though_it_is_muted_that_it_is_not() -> None:
    made = Alert(id="a", severity=Severity.HIGH, title="t", rule_id="r", opened_us=NOW, updated_us=NOW)
    gone = over(raised(made, None, now_us=NOW, muted=lambda *_: False).alert, NOW + 1).alert
    back = raised(replace(made, updated_us=NOW + 2), gone, now_us=NOW + 2, muted=lambda *_: True)
    assert (back.happened, back.alert.is_open, back.alert.to_be_told) == (Happened.REOPENED, True, True)
    unheard = raised(made, replace(gone, to_be_told=False), now_us=NOW + 2, muted=lambda *_: True)
    assert (unheard.happened, unheard.told, unheard.alert.to_be_told) == (Happened.REOPENED, False, False)


def test_what_is_muted_is_on_its_timeline_once_and_nobody_hears_of_it() -> None:
    made = Alert(id="a", severity=Severity.HIGH, title="t", rule_id="r", opened_us=NOW, updated_us=NOW)
    first = raised(made, None, now_us=NOW, muted=lambda *_: True)
    still = raised(replace(made, updated_us=NOW + 1), first.alert, now_us=NOW + 1, muted=lambda *_: True)
    gone = over(still.alert, NOW + 2)
    assert [each.happened for each in (first, still, gone)] == [Happened.OPENED, None, Happened.RESOLVED]
    assert [each.told for each in (first, still, gone)] == [False] * 3
    # Once it is muted no more, people hear that it is there, and then that it is over.
    heard = raised(made, still.alert, now_us=NOW + 3, muted=lambda *_: False)
    ended = over(heard.alert, NOW + 4)
    assert [(each.happened, each.told) for each in (heard, ended)] == [
        (Happened.OPENED, True),
        (Happened.RESOLVED, True),
    ]
