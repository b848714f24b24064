"""Selection strategies: pure functions from a pool to a ranked choice, one file for each idea."""
