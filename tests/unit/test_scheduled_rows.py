"""What `rule_matches` keeps of rows of scheduled queries."""

from ocelog.app.loops.scheduled_rows import found_rows, match_source
from ocelog.schema.columns.table import FROM_EVENT


def test_each_column_that_a_match_has_from_its_event_is_said() -> None:
    assert set(match_source([], []).column_names) >= FROM_EVENT


def test_what_a_row_says_of_itself_is_kept_only_if_it_can_be() -> None:
    odd = {"p_row_id": "a\0b", "p_log_type": "x" * 10_000, "p_event_time": "9999-12-31T23:59:59-23:59"}
    found = found_rows([odd | {"wizUrl": "https://x/\0"}], "q", fires_us=7, now_us=8, sources={"s": "prod"})
    (event,) = found.events
    assert (len(event.row_id), event.log_type, event.event_us, event.link) == (32, "", 7, None)
