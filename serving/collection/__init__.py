"""Data collection: a sample of requests and answers, written as files."""
