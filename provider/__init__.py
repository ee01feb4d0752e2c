"""The Pulumi provider `triton`: what a program declares as `triton:index:...`, made, changed, measured and removed.

    program ── CustomResource ──► engine ── gRPC ──► server ──► a resource type of `resources/` ──► targets, bundle, ...

`declaration` is the program's side and `server` the engine's. A resource's inputs and outputs are declared once, as
pydantic models, and checked on both sides.
"""
