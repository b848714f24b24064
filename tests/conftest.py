"""Settings of all tests."""

from hypothesis import settings

# No example may fail for being slow: the machine is shared, and a hang is caught by the guard of its test.
settings.register_profile("limoflow", deadline=None)
settings.load_profile("limoflow")
