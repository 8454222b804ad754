"""HTTP or files in, answers out: the one room that knows BentoML."""
