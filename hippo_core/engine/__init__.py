"""Commands, events and the state machine between them."""
