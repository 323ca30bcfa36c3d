"""Hosting: trains one path with the user's trainer. Knows nothing of sockets, servers or storage."""
