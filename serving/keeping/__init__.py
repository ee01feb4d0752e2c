"""The keeper: a server's processes kept together, within a bound of memory, with their models alive."""
