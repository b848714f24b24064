"""The trainer: a release becomes a LoRA adapter with its loss record."""
