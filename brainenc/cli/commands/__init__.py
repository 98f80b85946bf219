"""One module, one command: ``execute(args)`` does it and returns the exit code."""
