"""Trees on descriptors: the honest baseline."""
