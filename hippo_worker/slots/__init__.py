"""A slot's side of its runner: starting it, feeding it, listening to it and seeing it die."""
