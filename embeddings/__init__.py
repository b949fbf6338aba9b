"""Graph in, vectors out."""
