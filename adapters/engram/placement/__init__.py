"""Where the rows of a table lie (device, host memory, file) and how they come to the layer that needs them."""
