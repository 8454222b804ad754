"""Kernel machines on descriptors and encodings."""
