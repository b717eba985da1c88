"""The commands, one function each: they put the stages together and return an exit code."""
