"""A second generation of a service on a node pool, and its share of the traffic."""
