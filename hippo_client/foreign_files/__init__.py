"""Searches as other systems' files say them, read as studies; what has no counterpart is named."""
