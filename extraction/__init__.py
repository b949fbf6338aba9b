"""Text in, graph values out; never touches the database."""
