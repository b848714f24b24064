"""Hostile input for every parser: a short form in `make test`, millions of inputs by `make fuzz`."""
