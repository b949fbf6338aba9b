"""Reading a shop's files: what they say, cleaned and typed, one record at a time.

``sources`` opens files and cuts them into rows, ``fields`` turns cells into
values and ``text`` cleans prose; ``native`` and ``amazon`` make records of rows;
``readers`` is what callers use; ``tail`` reads files that grow; ``holdout`` parts
a file for evaluation.
"""

from extraction.corpus.holdout import HoldoutSummary, split_last
from extraction.corpus.readers import (
    Format,
    Rejects,
    product_document,
    read_events,
    read_products,
    read_rated_reviews,
    read_reviews,
    read_users,
    review_document,
)
from extraction.corpus.tail import Kind, Piece, is_same_file, parse_line, read_piece
from extraction.corpus.text import clean_line, clean_text

__all__ = [
    "Format",
    "HoldoutSummary",
    "Kind",
    "Piece",
    "Rejects",
    "clean_line",
    "clean_text",
    "is_same_file",
    "parse_line",
    "product_document",
    "read_events",
    "read_piece",
    "read_products",
    "read_rated_reviews",
    "read_reviews",
    "read_users",
    "review_document",
    "split_last",
]
