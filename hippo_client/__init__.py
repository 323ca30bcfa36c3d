"""Hippo for users."""
