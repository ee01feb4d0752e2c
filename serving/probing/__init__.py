"""The readiness probe, and the judge of answers, which the smoke check uses too."""
