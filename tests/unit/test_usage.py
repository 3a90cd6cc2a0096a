"""Arguments that do not fit are told as every other error is: what is wrong, what came, what to do."""

import pytest

from ocelog.app.log_types import short_names
from ocelog.cli import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("pul", "No such command 'pul'. Did you mean 'pull', 'publish'? See: ocelog --help"),
        ("source chek", "No such command 'chek'. Did you mean 'check'? See: ocelog source --help"),
        ("pull --sinc 3d", "There is no option --sinc; did you mean '--since'? See: ocelog pull --help"),
        ("--bogus pull", "There is no option --bogus. See: ocelog --help"),
        ("pull --since", "Option '--since' requires an argument. See: ocelog pull --help"),
        ("source edit prod --poll", "Option '--poll' requires an argument. See: ocelog source edit --help"),
        ("pull --json=3", "Option '--json' does not take a value. See: ocelog pull --help"),
        ("source check", "Missing argument NAME. See: ocelog source check --help"),
        ("shape x", f"Missing option --log-type {'|'.join(short_names())}. See: ocelog shape --help"),
        ("pull x y", "Got unexpected extra argument(s) (x y). See: ocelog pull --help"),
        (
            "user add a@b.c --role admn",
            "Invalid value for '--role': 'admn' is not one of 'viewer', 'analyst', 'admin';",
        ),
        ("user role a@b.c vewer", "Invalid value for 'role': 'vewer' is not one of 'viewer', "),
        ("source add wiz a --rate x", "Invalid value for '--rate': 'x' is not a valid float. See: ocelog source add"),
    ],
)
def test_arguments_that_do_not_fit_are_told_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: str, says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith(f"ocelog: {says}")
    assert err.endswith(" --help\n")


@pytest.mark.parametrize("arguments", [[], ["source"], ["service"]])
def test_the_name_of_a_group_alone_shows_its_help(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("Usage: ocelog")
