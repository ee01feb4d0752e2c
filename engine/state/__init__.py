"""What lies on disk: projects, stacks' settings, checkpoints, locks, secrets."""
