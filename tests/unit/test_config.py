"""What the installation is set to, and where each setting came from."""

from datetime import timedelta
from pathlib import Path

import pytest

from ocelog.errors import ConfigError
from ocelog.installation import config


def written(home: Path, text: str) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    (home / "config.yml").write_text(text)
    return {"OCELOG_HOME": str(home)}


def test_without_any_word_every_setting_has_its_default(tmp_path: Path) -> None:
    settings = config.load({"XDG_DATA_HOME": str(tmp_path)})
    assert settings.home == tmp_path / "ocelog"
    assert settings.threads == 4
    assert settings.publish_after == timedelta(minutes=5)
    assert {each.origin for each in config.explain({"XDG_DATA_HOME": str(tmp_path)})} == {"default"}


def test_a_variable_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    environment = written(tmp_path / "home", "threads: 7\npublish_after: 2m\n") | {"OCELOG_THREADS": "9"}
    found = {each.name: (each.value, each.origin) for each in config.explain(environment)}
    assert found["threads"] == (9, "OCELOG_THREADS")
    assert found["publish_after"] == (timedelta(minutes=2), str(tmp_path / "home" / "config.yml"))
    assert found["log_level"] == ("info", "default")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thread: 7", "there is no setting 'thread'; did you mean 'threads'?"),
        ("threads: many", "threads: expected a whole number from 1 to 64, not 'many'"),
        ("threads: [1]", "expected one value, found list"),
        ("key_file: /x", "key_file can only be set as OCELOG_KEY_FILE"),
        ("log_format: jsn", "did you mean 'json'?"),
        ("part_grace: 5m", "is not between 10m and 7d"),
        ("retention: wiz_audit=1d", "is not between 7d and 36500d"),
        ("debug: maybe", "'maybe' is neither yes nor no"),
        ("query_memory: 1B", "'1B' is less than 16MB"),
        ("threads: 3\nlog_level: info\nthreads: 4", "threads is there more than once"),
        ("[" * 1000, "nested too deeply"),
        ("- threads", "must hold `name: value` lines"),
        (
            "log_level: info\nthreads: [1\n",
            "config.yml:2: this is not YAML: expected ',' or ']', but the file ends here",
        ),
        ("log_level: info\nthreads: \0", "config.yml:2: this is not YAML: special characters are not allowed"),
        ("7: 8", "there is no setting '7'"),
    ],
)
def test_a_wrong_line_in_the_file_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.load(written(tmp_path / "home", text))
    assert says in str(refused.value)
    assert str(tmp_path / "home" / "config.yml") in str(refused.value)


def test_a_variable_that_is_nearly_a_setting_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no setting 'OCELOG_THREDS'; did you mean 'OCELOG_THREADS'"):
        config.load({"XDG_DATA_HOME": str(tmp_path), "OCELOG_THREDS": "3"})


def test_a_variable_of_a_persons_own_is_left_alone(tmp_path: Path) -> None:
    config.load({"XDG_DATA_HOME": str(tmp_path), "OCELOG_PROD_CLIENT_SECRET": "s3cret"})


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OCELOG_QUERY_TIMEOUT: '1h' is not between"):
        config.load({"XDG_DATA_HOME": str(tmp_path), "OCELOG_QUERY_TIMEOUT": "1h"})


def test_the_key_in_the_environment_is_never_shown() -> None:
    key = config.key_text({"OCELOG_KEY": "ab" * 32})
    assert key is not None
    assert key.reveal() == "ab" * 32
    assert "ab" not in repr(key)
    assert config.key_text({}) is None


def test_a_credential_of_systemd_is_known_by_its_folder() -> None:
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials/ocelog.service"}
    assert config.is_credential(Path("/run/credentials/ocelog.service/key"), environment)
    assert not config.is_credential(Path("/etc/ocelog/key"), environment)
    assert not config.is_credential(Path("/etc/ocelog/key"), {})
