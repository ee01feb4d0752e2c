"""Rules over the settings: what a single group cannot know about the others, the disk and this machine.

Each module has the rules of one subject and yields a `Mistake` for each rule that is broken.
"""
