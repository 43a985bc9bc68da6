"""What a module costs: parameters held, parameters that a token uses, and floating-point operations of a token.

Shape legend: D width of the model, E width of all rows of a token, W taps.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.engram.module import SCORED, TAPS, EngramModule


@dataclass(frozen=True)
class Costs:
    """Of all layers together. `flops` are of the forward pass of one token, two for a multiply-add: products with
    matrices, scores, gating and the convolution; norms and functions of single numbers are not counted. `matrix_flops`
    are those of the products with matrices alone, which is how a transformer's are usually counted."""

    sparse_parameters: int
    dense_parameters: int
    read_parameters: int
    matrix_flops: int
    flops: int

    @property
    def total_parameters(self) -> int:
        """Everything that is held."""
        return self.sparse_parameters + self.dense_parameters

    @property
    def active_parameters(self) -> int:
        """What one token uses: all but the rows that it does not read."""
        return self.read_parameters + self.dense_parameters


def costs(engram: EngramModule) -> Costs:
    layers, width, embedding = len(engram.layers), engram.width, engram.embedding_width
    scored, mixed = engram.gate in SCORED, engram.conv == "on"
    projections = 2 if scored else 1
    products = 2 * projections * embedding * width
    flops = products + 2 * width * scored + width  # the score, and gate times value
    flops += (2 * TAPS + 1) * width * mixed  # the taps, and their sum with what they were given
    return Costs(
        sparse_parameters=sum(engram.table_rows(layer) for layer in engram.layers) * engram.row_width,
        dense_parameters=sum(parameter.numel() for parameter in engram.parameters()),
        read_parameters=layers * embedding,
        matrix_flops=layers * products,
        flops=layers * flops,
    )
