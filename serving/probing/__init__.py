"""The readiness probe, and the judge of answers that it shares with the smoke check."""
