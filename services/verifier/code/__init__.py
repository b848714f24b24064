"""How code is taken from an answer, built, run in the sandbox and judged."""
