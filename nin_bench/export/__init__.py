"""A recorded network for use elsewhere: its weights, an ONNX file, a model card. Needs the extra `export`."""
