"""The types of resources, one subject a module: inputs, outputs, what is done, and the class that programs declare."""
