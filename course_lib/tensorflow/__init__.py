"""The course's models and training steps in TensorFlow, mirrored file for file in PyTorch."""
