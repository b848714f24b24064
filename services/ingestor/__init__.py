"""The ingestor: rows of files become samples, stamped with run, window and id where they enter."""
