"""What every part of the project may use."""
