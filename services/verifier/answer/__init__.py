"""What a short answer says, and whether two of them say the same."""
