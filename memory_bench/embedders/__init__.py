"""Text to vectors. Vector memories share one embedder, so that engines are compared and not embeddings."""
