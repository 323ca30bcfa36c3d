"""What server and worker show of themselves, and how: metrics, logs, traces."""
