"""The judge: a language model's opinion of what cannot be executed, counted in votes and tested with canaries."""
