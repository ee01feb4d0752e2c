"""Scripts that make the models of `model_repository/`: each trains, exports ONNX and writes its golden inference."""
