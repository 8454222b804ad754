"""The network for programs that have no earmark, and no torch: as ONNX, and as a program of torch.export."""
