"""Studies and trials on a server, as a program sees them."""
