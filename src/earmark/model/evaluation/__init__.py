"""Evaluation: how good and how sure each model is on songs that it has not heard, each number with its interval."""
