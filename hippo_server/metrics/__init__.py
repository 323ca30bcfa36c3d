"""What the server counts, for Prometheus."""

from hippo_server.metrics.metrics import Metrics

__all__ = ["Metrics"]
