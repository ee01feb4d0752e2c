"""Policies over a stack's resources: rules, in Pulumi's policy pack and in `make policy`."""
