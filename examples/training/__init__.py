"""Scripts that make the example models: each trains one, exports it to ONNX and writes its golden inference."""
