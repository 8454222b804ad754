"""Whether one model is really better than another, and at what cost."""
