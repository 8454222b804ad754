"""The search for better values of params.yaml."""
