"""The scorer: figures of models and of documented rules, one file for each."""
