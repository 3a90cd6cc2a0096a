"""Which passwords will do."""

import pytest

from ocelog.app.users.passwords import check_password
from ocelog.errors import ConfigError
from ocelog.secrets.secret import Secret

NAME = "minsu.kim@acme-corp.example"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "12 to 1,024 characters; this one has 5"),
        ("x" * 1_025, "this one has 1,025"),
        ("horsehorsehorse", "repeats one piece"),
        ("aaaaaaaaaaaa", "repeats one piece"),
        ("x7#x7#x7#x7#x7", "repeats one piece"),
        ("MinsuKim-2026!", "name of its user"),
        ("acme-corp-m1nsu", "name of its user"),
        (NAME, "name of its user"),
        ("Ocelog-Ocelog1!", "name of a product"),
        ("0c3l0g_0celog_X", "name of a product"),
        ("Password123!!", "words that many people use"),
        ("P@$$w0rd-Adm1n", "words that many people use"),
        ("welcome summer 26", "words that many people use"),
        ("비밀번호비밀번호비밀", "12 to 1,024"),
        ("비밀번호 관리자 사랑해 12", "words that many people use"),
        ("qwertyuiop1234", "a run such as"),
        ("1q2w3e4r5t6y!", "a run such as"),
        ("zyxwvutsrqpo98", "a run such as"),
        ("aaaabbbbccccdd1", "a run such as"),
        ("xyaxyayxaxyaxy", "too few different characters"),
    ],
)
def test_what_is_easily_guessed_is_refused_with_what_to_do(password: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        check_password(Secret(password), NAME)
    assert "our random words do well" in str(refused.value)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "four random words do well",
        "another long password",
        "Kq8-tT3~vW9_zX",
        "kim likes 7 green umbrellas",
        "나는 매일 아침 자전거를 탄다",
        "9f86d081884c7d65",
    ],
)
def test_what_is_long_and_nobody_guesses_will_do(password: str) -> None:
    check_password(Secret(password), NAME)
