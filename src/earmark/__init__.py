"""earmark evaluates musical works. Importing it does nothing; start from `earmark --help` or `earmark.model.predictor`."""
