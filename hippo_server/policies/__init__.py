"""Users' own policies: asked where they live, on workers. The server imports nothing of theirs."""
