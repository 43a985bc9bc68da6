"""How the bundled reader learns to read. Shares no template, generator, name or value with `tasks/`."""
