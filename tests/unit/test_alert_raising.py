"""What becomes of the alert of something that goes on being wrong."""

from msgspec.structs import replace

from ocelog.alert.alert import Alert
from ocelog.alert.raising import raised
from ocelog.model import Severity

NOW = 1_800_000_000_000_000


def test_what_goes_on_keeps_what_people_were_told_of_it() -> None:
    made = Alert(id="a", severity=Severity.HIGH, title="t", rule_id="r", opened_us=NOW, updated_us=NOW)
    first = raised(made, None, now_us=NOW, muted=lambda *_: False)
    again = raised(replace(made, updated_us=NOW + 1), first.alert, now_us=NOW + 1, muted=lambda *_: False)
    assert again.happened is None
    assert (again.alert.told_severity, again.alert.told_us, again.alert.to_be_told) == (Severity.HIGH, NOW, True)
