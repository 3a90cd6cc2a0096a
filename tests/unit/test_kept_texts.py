"""What the ledger keeps in English is read in other languages, whatever its values are, and no text is missed."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.kept_texts import FORMER, kept_text, recognised, reworded
from ocelog.languages.phrases import Phrase, catalogue, translated
from ocelog.units import about, write_moment

KEPT = sorted(catalogue("ko").kept)
NAMED = re.compile(r"%\((\w+)\)s")
SHAPED = {
    "count": "1,234",
    "time": about(timedelta(days=2, hours=3)),
    "instant": write_moment(datetime(2026, 11, 28, 11, 20, tzinfo=UTC)),
    "severity": "HIGH",
    "before": "LOW",
    "log_type": "Wiz.Audit",
    "id": "f00",
    "kind": "webhook",
}
HOSTILE = ["%(count)s", "%s%%", "<b>", "a.b; c: d (e)", "\\1 \\g<x> [", ".*", "가나다", "$^", "{0}", "\x00", "a\nb"]


def of(template: str, value: str) -> Phrase:
    names = set(NAMED.findall(template))
    return Phrase(template, **{name: SHAPED.get(name, value) for name in sorted(names)})


@pytest.mark.parametrize("value", HOSTILE)
def test_each_text_comes_back_with_whatever_it_was_made_of(value: str) -> None:
    for template in KEPT:
        made = of(template, value)
        found = recognised(str(made), [template])
        assert found is not None, template
        assert dict(found.values) == {name: str(each) for name, each in made.values.items()}, template
        assert reworded(str(made), "ko") == translated(made, "ko")
        assert reworded(str(made), "en") == made


@given(template=st.sampled_from(KEPT), value=st.text(min_size=1, max_size=30))
def test_no_value_is_lost_or_taken_for_what_it_is_not(template: str, value: str) -> None:
    made = of(template, value)
    found = recognised(str(made), [template])
    assert found is not None
    assert found == made
    if "%(" in template:
        assert set(found.values) == set(made.values)
    reworded(str(made), "ko")


@given(text=st.text(max_size=200))
def test_what_nobody_of_us_wrote_stays_as_it_is(text: str) -> None:
    assert reworded(f"x{text}", "ko") == f"x{text}"


def test_it_is_known_sentence_by_sentence_and_line_by_line() -> None:
    lasted = kept_text("It lasted %(time)s.", time="2d 3h")
    told = (
        f"{kept_text('The alarm was turned off.')} Somebody wrote this. {lasted}\n{kept_text('it is still so')}; nobody"
    )
    assert (
        reworded(told, "ko") == "알람을 껐습니다. Somebody wrote this. 지속 시간: 2일 3시간.\n여전히 그 상태임; nobody"
    )
    both = f"{kept_text('it works again')}; {kept_text('it is muted')}"
    assert reworded(both, "ko") == "다시 동작함; 음소거됨"


def test_what_was_written_before_is_known_too() -> None:
    assert FORMER
    for template in FORMER:
        assert re.search("[가-힣]", reworded(str(of(template, "ops")), "ko"))


def test_a_text_of_an_error_is_known_with_what_it_says_to_do() -> None:
    told = "Its work has not come any further for 60 minutes: a disk or a far end may hang. If it goes on, restart the "
    told += "service."
    assert re.findall("[A-Za-z]{2,}", reworded(told, "ko")) == []


def test_a_text_that_takes_long_to_look_for_is_let_be() -> None:
    long = "No event has come for " + "a; b. " * 5_000
    assert reworded(long, "ko") == long
    assert reworded("; ".join(["it is muted"] * 500), "ko").startswith("음소거됨; 음소거됨")
