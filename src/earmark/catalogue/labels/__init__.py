"""Bringing names, ISRCs and genres of a streaming library to recordings that are here already."""
