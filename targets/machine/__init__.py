"""What services of one machine share, be they processes or containers."""
