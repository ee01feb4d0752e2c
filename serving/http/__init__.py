"""HTTP as bytes, and the contract with clients."""
