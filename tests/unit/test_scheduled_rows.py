"""What `rule_matches` keeps of rows of scheduled queries."""

from ocelog.app.scheduled_rows import match_source
from ocelog.schema.columns.table import FROM_EVENT


def test_each_column_that_a_match_has_from_its_event_is_said() -> None:
    assert set(match_source([], []).column_names) >= FROM_EVENT
