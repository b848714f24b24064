"""Worked answers of arithmetic problems: what the generator varies and the verifier checks."""
