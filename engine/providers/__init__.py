"""Who carries out a resource's operations: plugins, dynamic providers, the builtin one."""
