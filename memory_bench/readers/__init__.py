"""The models that answer. They may import torch; the core may not."""
