"""The prover: compares a generation that has no traffic yet with the one that serves, and measures both."""
