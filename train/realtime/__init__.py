"""Train Realtime's masker."""
