"""The selector: of each window the smallest set that is enough, and for every sample why."""
