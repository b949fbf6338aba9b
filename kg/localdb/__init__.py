"""The Neo4j that kg runs itself, without Docker: finds Java, keeps the pinned jars, starts, stops, looks.

>>> from pathlib import Path
>>> from kg.localdb import start, stop
>>> start(Path(".kg"))                                                       # doctest: +SKIP
Connection(uri='bolt://127.0.0.1:40123', username='neo4j', password='***', pid=4711)
>>> stop(Path(".kg"))                                                        # doctest: +SKIP
True
"""

from kg.localdb.server import Connection, Status, admin, start, status, stop

__all__ = ["Connection", "Status", "admin", "start", "status", "stop"]
