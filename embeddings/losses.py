"""What the network is trained by, on unit vectors.

- :func:`softmax_loss`: the positive against many negatives at once. The default.
- :func:`bpr_loss`: the positive against one negative at a time.
- :func:`contrastive_loss`: two noisy views of a node should be each other's nearest, added to either.

Hard negatives, products that the model itself ranks high for a user who never met them, can join the negatives of both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

VIEW_TEMPERATURE = 0.2
"""Of the contrastive loss; SimGCL's own."""


def softmax_loss(
    users: Tensor, products: Tensor, own: Tensor, others: Tensor, temperature: float, hard: Tensor | None = None
) -> Tensor:
    """Sampled softmax on the unit sphere: the positive against all negatives, cosine over temperature.

    With every product among the negatives it is the full softmax. (Wu et al.,
    "On the Effectiveness of Sampled Softmax Loss for Item Recommendation",
    arXiv:2201.02327, find it ahead of BPR for LightGCN.)

    Args:
        users: ``[b, d]``.
        products: all of them, ``[n, d]``.
        own: row of each user's positive, ``[b]``.
        others: rows of the negatives, shared by the batch, ``[m]``; where one is a user's own positive it is
            left out for that user.
        hard: rows of further negatives of each user, ``[b, h]``.
    """
    up = (users * products[own]).sum(1).float() / temperature
    # Half precision ends at the product: sums of exponentials need the digits.
    down = ((users / temperature) @ products[others].T).float()
    clash = (own[:, None] == others[None, :]).nonzero(as_tuple=True)
    down = down.index_put(clash, torch.tensor(-torch.inf, device=down.device))
    if hard is not None:
        down = torch.cat([down, (users[:, None] * products[hard]).sum(2).float() / temperature], dim=1)
    return (torch.logaddexp(up, torch.logsumexp(down, 1)) - up).mean()


def bpr_loss(users: Tensor, products: Tensor, own: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Bayesian personalised ranking (Rendle et al., UAI 2009, arXiv:1205.2618): −log σ of the positive's lead.

    Args:
        users: ``[b, d]``.
        products: all of them, ``[n, d]``.
        own: row of each user's positive, ``[b]``.
        others: rows of each user's negatives, ``[b, h]``; one that is the positive itself does not count.
    """
    up = (users * products[own]).sum(1)
    down = (users[:, None] * products[others]).sum(2)
    counts = (others != own[:, None]).float()
    ahead = (up[:, None] - down).float() / temperature
    return (F.softplus(-ahead) * counts).sum() / counts.sum().clamp(min=1.0)


def contrastive_loss(one: Tensor, other: Tensor) -> Tensor:
    """InfoNCE: each row's partner against all rows of the other view (Yu et al., SIGIR 2022, arXiv:2112.08679).

    Args:
        one: unit vectors, ``[b, d]``.
        other: of the same nodes, ``[b, d]``.
    """
    logits = (one @ other.T).float() / VIEW_TEMPERATURE
    return F.cross_entropy(logits, torch.arange(len(one), device=one.device))
