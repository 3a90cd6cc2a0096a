"""A secret that was pasted where something else belongs is not repeated in the error."""

from io import StringIO
from pathlib import Path
from string import ascii_letters, digits

import pytest

from ocelog.cli import main
from ocelog.cli.secret_input import given_secret
from ocelog.errors import ConfigError, HomeError
from ocelog.installation.making import make
from ocelog.secrets.keys import read_key
from ocelog.secrets.secret import shown, shown_path
from ocelog.sources.wiz import settings
from ocelog.sources.wiz.product import WIZ

SECRET = (digits + ascii_letters)[:64].ljust(64, "x")
LETTERS = SECRET[10:] + "abcdefghij"
"""As a variable could be called."""
HALF = SECRET[:31]
SECRETS = (SECRET, LETTERS, HALF, f"{SECRET[:40]}+/{SECRET[:40]}=", f"{SECRET}.{SECRET}-_{SECRET}")
WIZ_ACCOUNT = ("--client-id", "x", "--no-check")


@pytest.mark.slow
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("wiz", "prod", "--client-secret-env", "{}"),
        ("wiz", "prod", "--client-secret-file", "{}"),
        ("wiz", "prod", "--client-secret-ref", "{}"),
        ("wiz", "prod", "--client-secret-ref", "file:{}"),
        ("wiz", "prod", "--client-secret-ref", "env:{}"),
        ("wiz", "prod", "--client-secret={}"),
        ("wiz", "prod", "--client-secret", "{}"),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "https://x:{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "cognito", "--api-url", "{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "cognito", "--ca-file", "{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "cognito", "--log-type", "{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "cognito", "--rate", "{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "--client-secret-file", "FILE", "--token-url", "cognito", "--backfill", "{}", *WIZ_ACCOUNT),
        ("wiz", "prod", "{}"),
        ("{}", "prod"),
        ("{}",),
    ],
    ids=" ".join,
)
def test_no_option_repeats_a_secret(
    tmp_path: Path,
    arguments: tuple[str, ...],
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCELOG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.stdin", StringIO())
    (tmp_path / "FILE").write_text("s")
    make(tmp_path / "home", ledger_url=None)
    with pytest.raises(SystemExit) as ended:
        main(["source", "add", *(each.format(secret) for each in arguments)])
    told = "".join(capsys.readouterr())
    assert ended.value.code == 2
    assert "ocelog: " in told
    assert not any(secret[at : at + 20].lower() in told.lower().replace("\n", "") for at in range(len(secret) - 19))


@pytest.mark.slow
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("command", ["rotate", "show", "check"])
def test_no_source_of_that_name_is_told_without_it(
    tmp_path: Path, secret: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCELOG_HOME", str(tmp_path / "home"))
    make(tmp_path / "home", ledger_url=None)
    with pytest.raises(SystemExit):
        main(["source", command, secret])
    told = "".join(capsys.readouterr())
    assert "There is no source '...'" in " ".join(told.split())
    assert secret[:20] not in told


@pytest.mark.parametrize("secret", SECRETS)
def test_no_prompt_for_an_address_repeats_a_secret(secret: str) -> None:
    questions = [each for step in WIZ.steps for each in step.questions if not isinstance(each, str)]
    asked = [each for each in questions if each.option in ("api_url", "token_url")]
    assert len(asked) == 2
    for each in asked:
        with pytest.raises(ConfigError) as error:
            each.read(secret, {})
        assert secret[:20].lower() not in str(error.value).lower()


def test_a_key_in_the_place_of_its_file_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0badcafe" * 8
    monkeypatch.setenv("OCELOG_KEY_FILE", key)
    with pytest.raises(HomeError, match=r"OCELOG_KEY_FILE names '\.\.\.'") as error:
        make(tmp_path / "home", ledger_url=None)
    assert key[:20] not in str(error.value)
    with pytest.raises(HomeError, match=r"The key '\.\.\.' \(64 characters") as error:
        read_key(Path(key))
    assert key[:20] not in str(error.value)


@pytest.mark.parametrize("name", ["OCELOG_WIZ_PRODUCTION_TENANT_CLIENT_SECRET", "a", "_B2"])
def test_the_name_of_a_variable_is_repeated(name: str) -> None:
    with pytest.raises(ConfigError, match=f"The variable {name} holds no client secret"):
        given_secret(file=None, variable=name, reference=None)


@pytest.mark.parametrize("text", ["2fast", "a-b", "a" * 65, "A_" * 33])
def test_what_no_variable_can_be_called_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        given_secret(file=None, variable=text, reference=None)
    assert text not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "cognto",
        "https://api.example.com/" + "x" * 60,
        "api.us1.app.wiz.io/graphql",
        "a name of more words than one, here",
    ],
)
def test_what_looks_like_no_secret_is_repeated(text: str) -> None:
    assert shown(text) == repr(text)


def test_a_path_is_repeated_as_far_as_it_is_there(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 40)
    folder.mkdir()
    assert shown_path(folder / "secret") == str(folder / "secret")
    assert shown_path(folder / SECRET) == f"'...' ({len(str(folder / SECRET))} characters, not shown: perhaps a secret)"
    (folder / SECRET).touch()
    assert shown_path(folder / SECRET) == str(folder / SECRET)


def test_a_data_center_is_no_longer_than_a_word() -> None:
    with pytest.raises(ConfigError, match="data center"):
        settings.from_mapping({"token_url": "cognito", "client_id": "x", "api_url": HALF})
