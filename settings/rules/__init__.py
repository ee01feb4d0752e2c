"""Rules over the settings: what a single group cannot know about the other groups, the disk and this machine.

Each module has the rules of one subject and yields a `Mistake` for each broken rule.
"""
