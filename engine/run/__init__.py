"""One operation: the program's registrations, and the steps that follow from them."""
