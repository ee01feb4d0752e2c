"""Envoy as the front door: configuration rendered for every target, written and watched. No Pulumi."""
