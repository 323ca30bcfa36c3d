"""What terminals, notebooks, files and pages show alike, as text and as SVG: pure functions of what is shown."""
