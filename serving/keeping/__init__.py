"""The keeper: keeps a server's processes together, bounds their memory, and keeps Triton's models alive."""
