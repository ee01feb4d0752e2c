"""Which generation the front door sends requests to: a file that Envoy watches, written and awaited here."""
