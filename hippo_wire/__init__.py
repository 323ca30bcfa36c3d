"""The wire contract: generated messages, and what turns them into the domain and back."""
