"""What every part may use, and that uses no part."""
