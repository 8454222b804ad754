"""Where listening histories and reactions come from: one file a format, and the registry that knows them by name."""
