"""The wire contract: generated messages, and what turns them into the domain and back."""

import os

# gRPC tells of each handshake that fails; what comes of it is an error, which is told once.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
