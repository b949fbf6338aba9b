"""The settings, read once at the door (the command line, the API) and passed on as plain values.

Sources, strongest first: the environment (``KG_*``, ``NEO4J_*``), then a file
``kg.env`` in the home. An unknown ``KG_*`` name is an error, never ignored: a
misspelt setting that silently keeps its default is the worst kind.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from kg.errors import SettingsError

_SHORTEST_KEY: Final = 16
"""A shorter key could be found by trying."""


class Settings(BaseSettings):
    """One frozen value for the whole process.

    Raises:
        SettingsError: from :meth:`load`, naming the setting and what was expected.
    """

    model_config = SettingsConfigDict(env_prefix="KG_", frozen=True, extra="forbid", populate_by_name=True)

    home: Path = Field(default=Path(".kg"), description="Folder of this graph's own files: database, models, rejects.")
    neo4j_uri: str | None = Field(
        default=None, validation_alias="NEO4J_URI", description="Neo4j to use; without it kg runs one of its own."
    )
    neo4j_username: str = Field(default="neo4j", validation_alias="NEO4J_USERNAME", description="User name for Neo4j.")
    neo4j_password: SecretStr | None = Field(
        default=None, validation_alias="NEO4J_PASSWORD", description="Password for Neo4j."
    )
    neo4j_database: str = Field(
        default="neo4j", validation_alias="NEO4J_DATABASE", description="Database within Neo4j; always named."
    )
    heap_mb: int | None = Field(
        default=None, ge=256, description="Heap of the local Neo4j in MiB; by default sized from the machine."
    )
    page_cache_mb: int | None = Field(
        default=None, ge=64, description="Page cache of the local Neo4j in MiB; by default sized from the machine."
    )
    java: Path | None = Field(default=None, description="Path of the java executable for the local Neo4j.")
    batch_size: int = Field(default=2000, ge=1, le=50_000, description="Rows in one write transaction.")
    vocabulary: Path | None = Field(
        default=None, description="A vocabulary.yaml to use in place of the one that ships with kg."
    )
    encoder: str | None = Field(
        default=None,
        description="Folder of a transformers encoder; by default the MiniLM that is installed. "
        "After a change: kg extract.",
    )
    shipped_heads: bool = Field(
        default=True,
        description="Whether the head of opinions that ships with kg reads where this home has learned none.",
    )
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="Where torch computes.")
    precision: Literal["auto", "float32"] = Field(
        default="auto",
        description="How texts are encoded: in bfloat16 where the processor has tiles for it (AMX), which is faster, "
        "or in float32 on any processor.",
    )
    workers: int | None = Field(
        default=None, ge=1, le=64, description="Processes that read texts; by default one a core, at most 4."
    )
    seed: int = Field(default=0, ge=0, description="Seed of every random choice.")
    keep_models: int = Field(
        default=5,
        ge=1,
        description="Newest checkpoints that a promotion leaves in the home, beside those that stand in the graph and "
        "the one to which `kg rollback` leads.",
    )
    pseudonym_key: SecretStr | None = Field(
        default=None, description="When set, user ids enter the graph only as keyed hashes (HMAC-SHA256)."
    )
    alert_webhook: SecretStr | None = Field(
        default=None,
        description="URL to which a run of a scheduled job that went wrong is posted, as JSON; may hold a secret.",
    )
    query_timeout_s: float = Field(default=30.0, gt=0, description="Longest time a catalogue query may run.")
    query_max_rows: int = Field(default=10_000, ge=1, description="Most rows a catalogue query may return.")
    ingest_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Keys that may write to `kg ingest KIND http://… --follow`, as KG_API_KEYS may read; without any "
        "it takes records of this machine alone.",
    )
    kafka_properties: Path | None = Field(
        default=None,
        description="File of librdkafka's properties, `name=value` a line: TLS and SASL for `kg ingest KIND kafka://…`.",
    )
    api_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Keys that `kg serve` takes, separated by commas, of 16 characters or more each; without any it "
        "serves this machine alone.",
    )
    api_max_rows: int = Field(
        default=1_000_000, ge=1, description="Most rows that `kg serve` gives to those who read them as a stream."
    )
    api_max_body: int = Field(default=1_048_576, ge=1024, description="Longest body of a request, in bytes.")
    api_concurrency: int = Field(
        default=8, ge=1, le=64, description="Queries `kg serve` runs at once; others wait a little, then get a 503."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what :meth:`load` gives: pydantic would read ``os.environ`` a second time, behind its back."""
        return (init_settings,)

    @field_validator("alert_webhook")
    @classmethod
    def _is_a_url(cls, value: SecretStr | None) -> SecretStr | None:
        # The message must not hold the URL, whose path is often the key.
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("expected a URL that begins with http:// or https://")
        return value

    @field_validator("api_keys", "ingest_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        keys = [key.strip() for key in value.split(",") if key.strip()]
        # The message must not hold a key, so it says which by its place.
        short = [str(place) for place, key in enumerate(keys, start=1) if len(key) < _SHORTEST_KEY]
        if short or not keys:
            which = f"key {', '.join(short)} of {len(keys)} is shorter" if keys else "there is none"
            raise ValueError(
                f"expected keys of at least {_SHORTEST_KEY} characters, separated by commas; {which} "
                "(`openssl rand -hex 24` makes one)"
            )
        return keys

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environ`` (``os.environ`` by default) and the home's ``kg.env``."""
        environ = os.environ if environ is None else environ
        given = {k: v for k, v in environ.items() if k.startswith(("KG_", "NEO4J_")) and v != ""}
        home = Path(given.get("KG_HOME", ".kg"))
        values = {**_read_env_file(home / "kg.env"), **given}
        known = {
            (f.validation_alias if isinstance(f.validation_alias, str) else f"KG_{n.upper()}"): n
            for n, f in cls.model_fields.items()
        }
        # Other tools own names such as NEO4J_HOME: only what begins with KG_ is ours to refuse.
        unknown = sorted(k for k in values if k not in known and k.startswith("KG_"))
        if unknown:
            raise SettingsError(
                f"Unknown setting {', '.join(unknown)}. Known are: {', '.join(sorted(known))}. Correct or unset it."
            )
        try:
            return cls.model_validate({known[k]: v for k, v in values.items() if k in known})
        except ValidationError as error:
            first = error.errors()[0]
            where = str(first["loc"][0]) if first["loc"] else "?"
            name = next((k for k, n in known.items() if n == where), where)
            raise SettingsError(f"Setting {name}: {first['msg'].removeprefix('Value error, ')}.") from error

    @property
    def runs_local_database(self) -> bool:
        """Whether kg runs its own Neo4j (no ``NEO4J_URI`` is set)."""
        return self.neo4j_uri is None


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, sep, value = line.partition("=")
        if not sep:
            raise SettingsError(f"{path}, line {number}: expected NAME=value, found {line!r}.")
        values[name.strip()] = value.strip()
    return values
