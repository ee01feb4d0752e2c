"""HTTP as bytes, and what the server promises its clients."""
