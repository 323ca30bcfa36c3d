"""The domain of Hippo, pure and deterministic: what is searched, shared, scheduled and decided."""
