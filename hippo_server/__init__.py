"""The durable, networked shell round the engine."""
