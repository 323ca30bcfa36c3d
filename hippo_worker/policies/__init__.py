"""Users' own policies: each in a process of its own beside the slots, without a GPU."""
