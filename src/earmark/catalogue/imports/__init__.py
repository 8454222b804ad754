"""Bringing recordings in: looked at one by one, stored, listed, and remembered."""
