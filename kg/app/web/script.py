"""htmx, out of the package that ``htmx.lock.toml`` names."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Final

from kg.errors import KGError
from kg.jars import classpath

log = logging.getLogger("kg.web")

LOCK: Final = Path(__file__).with_name("htmx.lock.toml")

_MEMBER: Final = "/dist/htmx.min.js"


def htmx(lock: Path = LOCK) -> bytes | None:
    """The script; ``None``, with a line in the log, where its package cannot be had: pages work without it."""
    try:
        (jar,) = classpath(lock=lock)
        with zipfile.ZipFile(jar) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith(_MEMBER))
            return archive.read(member)
    except KGError as error:
        log.warning("Pages are served without htmx. %s", error)
        return None
