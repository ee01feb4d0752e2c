"""Envoy as the front door: configuration rendered for every target, written, watched and validated. No Pulumi."""
