"""The stack's settings: one typed tree, read from the stack's file and checked whole before anything is declared."""
