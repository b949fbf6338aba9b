"""The graph: its vocabulary, its store, the work done upon it."""

__version__ = "0.1.0"
