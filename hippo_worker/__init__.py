"""The worker: a daemon per host, a training process per slot."""
