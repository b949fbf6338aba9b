"""Settings: read once, unknown ones refused, secrets masked."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.errors import SettingsError
from kg.settings import Settings


def test_the_environment_is_read_with_its_types() -> None:
    settings = Settings.load({"KG_HOME": "/tmp/x", "KG_HEAP_MB": "512", "NEO4J_URI": "bolt://db:7687", "PATH": "/bin"})
    assert (settings.home, settings.heap_mb, settings.neo4j_uri) == (Path("/tmp/x"), 512, "bolt://db:7687")
    assert not settings.runs_local_database


def test_nothing_set_means_a_local_database() -> None:
    assert Settings.load({}).runs_local_database


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"KG_HAEP_MB": "512"}, "Unknown setting KG_HAEP_MB.*KG_HEAP_MB"),
        ({"KG_HEAP_MB": "much"}, "KG_HEAP_MB"),
        ({"KG_HEAP_MB": "5"}, "KG_HEAP_MB"),
        ({"KG_DEVICE": "toaster"}, "KG_DEVICE"),
        (
            {"KG_API_KEYS": "a-key-that-is-long-enough,hunter2"},
            "KG_API_KEYS: expected keys of .*; key 2 of 2 is shorter",
        ),
        ({"KG_API_KEYS": " , "}, "KG_API_KEYS: expected keys of .*; there is none"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Settings.load(environ)


def test_keys_are_separated_by_commas_and_never_shown() -> None:
    settings = Settings.load({"KG_API_KEYS": "the-first-key-of-all, the-second-key-of-all,"})
    assert [key.get_secret_value() for key in settings.api_keys] == ["the-first-key-of-all", "the-second-key-of-all"]
    assert "key-of-all" not in repr(settings)


def test_nothing_is_read_but_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KG_SEED", "7")
    monkeypatch.setenv("KG_API_KEYS", "the-first-key-of-all")
    settings = Settings.load({})
    assert (settings.seed, settings.api_keys) == (0, ())
    assert Settings.load().seed == 7


def test_the_homes_file_is_read_and_the_environment_is_stronger(tmp_path: Path) -> None:
    (tmp_path / "kg.env").write_text("# ours\nKG_SEED=7\nKG_DEVICE=cpu\n")
    settings = Settings.load({"KG_HOME": str(tmp_path), "KG_SEED": "8"})
    assert (settings.seed, settings.device) == (8, "cpu")


def test_a_malformed_line_of_the_homes_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "kg.env").write_text("KG_SEED\n")
    with pytest.raises(SettingsError, match="line 1"):
        Settings.load({"KG_HOME": str(tmp_path)})


def test_secrets_are_masked_and_settings_are_frozen() -> None:
    settings = Settings.load({"NEO4J_PASSWORD": "hunter2", "KG_PSEUDONYM_KEY": "k3y"})
    assert "hunter2" not in repr(settings)
    assert "k3y" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 3  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_webhook_is_a_url_and_a_secret() -> None:
    settings = Settings.load({"KG_ALERT_WEBHOOK": "https://chat.example.org/hook/s3cret"})
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsError, match=r"KG_ALERT_WEBHOOK: expected a URL that begins with http") as error:
        Settings.load({"KG_ALERT_WEBHOOK": "chat.example.org/hook/s3cret"})
    assert "s3cret" not in str(error.value)
