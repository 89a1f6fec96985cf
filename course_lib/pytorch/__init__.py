"""The course's models and training steps in PyTorch, mirrored file for file in TensorFlow."""
