"""earmark evaluates musical works. Importing it does nothing; begin with `earmark --help`."""
