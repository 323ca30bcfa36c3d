"""HTTP: whether the server lives, is ready, and what it counts."""
