"""The workers: processes that hold the connections and call the script."""
