"""The ``hippo`` command. Modules of sub-commands are imported when they are called, so that help comes at once."""
