"""Checkpoints and bundles as files: formats, digests, atomic publish."""
