"""The network's part of training: how long to train it, and training it.

It stops early on the first split, for each temperature; the other splits, and in
the end the whole graph, are trained for as long as was best there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from embeddings.baselines import Ranker
from embeddings.content import unit_rows
from embeddings.evaluation import BATCH, validation_score
from embeddings.gcn import HeteroLightGCN, normalised_adjacency, spectral_vectors
from embeddings.losses import bpr_loss, contrastive_loss, softmax_loss
from embeddings.settings import HARD_RANKS, HARD_SCORES, TrainSettings
from embeddings.shop import Shop, interacted
from embeddings.split import Holdout, Interactions
from kg.errors import EmbeddingError

Report = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""
Start = Callable[[HeteroLightGCN], None]
"""Sets the parameters from which training goes on."""


@dataclass(frozen=True, slots=True)
class Network:
    """How the network is to be trained, and what it gave on each split."""

    temperature: float
    epochs: int
    vectors: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    """Users' and products' vectors of each split."""
    start: Start | None = None
    """Where to go on from: a large graph's network on the first split, or that of an earlier checkpoint."""


def choose_network(
    shop: Shop,
    folds: Sequence[Holdout],
    settings: TrainSettings,
    device: torch.device,
    seed: int,
    report: Report,
    logs: Path | None,
    large: bool,
) -> Network:
    """Stop early on the first split, for each temperature; train the other splits for as long."""
    if not folds:
        return Network(settings.temperatures[0], settings.epochs // 2)
    temperatures = settings.temperatures[-1:] if large else settings.temperatures
    best: tuple[float, float, int, HeteroLightGCN] | None = None
    for temperature in temperatures:
        where = None if logs is None else logs / f"temperature-{temperature:g}"
        fit = Fit(shop, folds[0].train, settings, temperature, _most_epochs(folds[0].train, settings, large), seed)
        model, curve = fit.run(device, report, validation=folds[0], logs=where)
        score, epochs = max((score, -epoch) for epoch, score in curve)
        if best is None or score > best[0]:
            best = (score, temperature, -epochs, model)
    assert best is not None  # there is at least one temperature
    _, temperature, epochs, model = best
    vectors = [vectors_of(model, folds[0].train)]
    for fold in folds[1:]:
        other, _ = Fit(shop, fold.train, settings, temperature, epochs, seed).run(device, report)
        vectors.append(vectors_of(other, fold.train))
    trained = model.state_dict()
    return Network(temperature, epochs, tuple(vectors), (lambda m: m.load_state_dict(trained)) if large else None)


def fit_chosen(
    shop: Shop,
    x: Interactions,
    network: Network,
    settings: TrainSettings,
    device: torch.device,
    seed: int,
    report: Report,
) -> HeteroLightGCN:
    """The network on everything, trained as was chosen.

    Of a large graph the split held hardly anything out, and little is new since an earlier checkpoint, so a network
    that was trained there only goes on a little with what was missing.
    """
    epochs = network.epochs
    if network.start is not None:
        epochs = max(1, round(settings.finishing * epochs))
    model, _ = Fit(shop, x, settings, network.temperature, epochs, seed, network.start).run(device, report)
    return model


def _most_epochs(x: Interactions, settings: TrainSettings, large: bool) -> int:
    steps = -(-x.matrix().nnz // _batch(x.matrix().nnz, settings))
    return max(settings.evaluate_every, settings.large_steps // steps) if large else settings.epochs


def _batch(interactions: int, settings: TrainSettings) -> int:
    least, most = settings.batch
    return min(max(least, -(-interactions // settings.steps)), most)


@dataclass(frozen=True, slots=True)
class Fit:
    """One training of the network."""

    shop: Shop
    x: Interactions
    settings: TrainSettings
    temperature: float
    epochs: int
    seed: int
    start: Start | None = None
    """Where to go on from; None to begin anew."""

    def run(
        self, device: torch.device, report: Report, *, validation: Holdout | None = None, logs: Path | None = None
    ) -> tuple[HeteroLightGCN, list[tuple[int, float]]]:
        """Train; with ``validation`` stop early and come back as it was at its best, with the scores by epoch.

        Raises:
            EmbeddingError: the loss is no longer a number.
        """
        settings, x = self.settings, self.x
        rng = np.random.default_rng(self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        met = x.matrix().tocoo()
        users, products = torch.from_numpy(met.row.astype(np.int64)), torch.from_numpy(met.col.astype(np.int64))
        model = _network(self.shop, x, settings, rng, generator)
        if self.start is not None:
            self.start(model)
        model.to(device)
        optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        batch = _batch(len(users), settings)
        curve: list[tuple[int, float]] = []
        best: tuple[float, dict[str, torch.Tensor]] | None = None
        name = "Network" if validation is None else f"Network, validation at temperature {self.temperature:g}"
        with _tensorboard(logs) as writer:
            for epoch in range(self.epochs + 1):
                if validation is not None and epoch % settings.evaluate_every == 0:
                    score = validation_score(cosines(*vectors_of(model, x)), validation)
                    curve.append((epoch, score))
                    writer("validation", score, epoch)
                    if best is None or score > best[0]:
                        best = (score, {name: value.detach().clone() for name, value in model.state_dict().items()})
                    elif len(curve) - 1 - max(range(len(curve)), key=lambda i: curve[i][1]) >= settings.patience:
                        break
                if epoch == self.epochs:
                    break
                report(name, epoch, self.epochs)
                # Falling to a tenth, as steps that are as long at the end only wander about the optimum.
                optimiser.param_groups[0]["lr"] = settings.learning_rate * (1.0 - 0.9 * epoch / self.epochs)
                loss = _epoch(model, optimiser, users, products, batch, self.temperature, settings, generator, device)
                writer("loss", loss, epoch)
                if not np.isfinite(loss):
                    raise EmbeddingError(
                        f"The loss became {loss} in epoch {epoch + 1}. Check text_embedding and strength for NaN or "
                        "huge values, or lower the learning rate, and train again."
                    )
        if best is not None:
            model.load_state_dict(best[1])
        return model, curve


def _network(
    shop: Shop, x: Interactions, settings: TrainSettings, rng: np.random.Generator, generator: torch.Generator
) -> HeteroLightGCN:
    edges = [interacted(x, settings.edge_half_life), *shop.catalogue]
    adjacency = {e.name: normalised_adjacency(e, shop.n_nodes) for e in edges}
    initial = np.zeros((shop.n_nodes, settings.dimensions), dtype=np.float32)
    users, products = spectral_vectors(x.matrix(), settings.dimensions, rng)
    initial[: x.n_users] = users
    initial[x.n_users : x.n_users + x.n_products] = products
    model = HeteroLightGCN(adjacency, x.n_users, x.n_products, shop.content, initial, layers=settings.layers)
    if model.project is not None:
        # Small and random: zero would leave a product without interactions at the origin, where no cosine is.
        with torch.no_grad():
            model.project.weight.normal_(0.0, 0.01, generator=generator)
    return model


def _epoch(
    model: HeteroLightGCN,
    optimiser: torch.optim.Optimizer,
    users: torch.Tensor,
    products: torch.Tensor,
    batch: int,
    temperature: float,
    settings: TrainSettings,
    generator: torch.Generator,
    device: torch.device,
) -> float:
    """One pass over the interactions in random order; the mean loss."""
    order = torch.randperm(len(users), generator=generator)
    total = 0.0
    steps = order.split(batch)
    ranked = _hard_ranks(model, users, products) if settings.hard_negatives else None
    if settings.edge_dropout:
        model.thin(settings.edge_dropout, generator)
    halved = settings.mixed_precision and device.type == "cuda"
    # Nothing speaks against a product that nobody has met: as a negative it would be driven away from everybody, and
    # stand where neither its text nor its picture says.
    negatives = products.unique()
    for chosen in steps:
        u, p = users[chosen], products[chosen]
        hard = None
        if ranked is not None:
            drawn = torch.randint(ranked.shape[1], (len(u), settings.hard_negatives), generator=generator)
            hard = ranked[u].gather(1, drawn).to(device)
        if settings.loss == "bpr":
            others = negatives[torch.randint(len(negatives), (len(u), 1), generator=generator)]
        elif len(negatives) <= settings.all_negatives:
            others = negatives
        else:
            others = negatives[torch.randint(len(negatives), (settings.negatives,), generator=generator)]
        u, p, others = u.to(device), p.to(device), others.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=halved):
            user_vectors, product_vectors = model()

            def against(ours: torch.Tensor, theirs: torch.Tensor, extra: torch.Tensor | None) -> torch.Tensor:
                if settings.loss == "bpr":
                    every = others if extra is None else torch.cat([others, extra], dim=1)  # noqa: B023
                    return bpr_loss(ours, theirs, p, every, temperature)  # noqa: B023
                return softmax_loss(ours, theirs, p, others, temperature, extra)  # noqa: B023

            loss = against(user_vectors[u], product_vectors, hard)
            if model.knows_newcomers:
                # Products as they would be without interactions, to the users as they are: so the text and the
                # catalogue learn to say where a product belongs that nobody has met.
                newcomers = against(user_vectors.detach()[u], model.newcomers(), None)
                loss = loss + settings.newcomers * newcomers
            if settings.contrast:
                loss = loss + settings.contrast * _views_apart(model, u.unique(), p.unique(), settings.noise, generator)
        loss = loss + settings.decay * model.free.pow(2).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach())
    model.restore()
    return total / len(steps)


def _views_apart(
    model: HeteroLightGCN,
    users: torch.Tensor,
    products: torch.Tensor,
    noise: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """The contrastive loss of some users and products, by two noisy views of all."""
    (users_1, products_1), (users_2, products_2) = (model(noise=noise, generator=generator) for _ in range(2))
    return contrastive_loss(users_1[users], users_2[users]) + contrastive_loss(
        products_1[products], products_2[products]
    )


def _hard_ranks(model: HeteroLightGCN, users: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
    """Of each user the products unmet that the model ranks first, int64 ``[n_users, ranks]``."""
    # Few enough that in a small catalogue hardly anybody has met all others.
    ranks = max(1, min(HARD_RANKS, model.n_products // 4))
    with torch.no_grad():
        ours, theirs = model()
        order = torch.argsort(users)
        met_users, met = users[order].to(ours.device), products[order].to(ours.device)
        found = []
        step = max(1, min(BATCH, HARD_SCORES // max(1, model.n_products)))
        for begin in range(0, model.n_users, step):
            scores = ours[begin : begin + step] @ theirs.T
            low, high = torch.searchsorted(met_users, torch.tensor([begin, begin + step], device=ours.device))
            scores[met_users[low:high] - begin, met[low:high]] = -torch.inf
            found.append(scores.topk(ranks, dim=1).indices.cpu())
    return torch.cat(found)


def vectors_of(model: HeteroLightGCN, x: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors; a user without interactions has none (a zero row): it would only be noise."""
    with torch.no_grad():
        # Not by the model's own unit vectors, which leave one that is nearly zero short for the sake of its gradient.
        vectors = unit_rows(model.propagate(model.inputs()).cpu().numpy())
    met = np.zeros(x.n_users, dtype=bool)
    met[x.users] = True
    users, products = vectors[: x.n_users], vectors[x.n_users : x.n_users + x.n_products]
    return np.where(met[:, None], users, np.float32(0.0)), products


def cosines(users: np.ndarray, products: np.ndarray) -> Ranker:
    """The unit vectors alone."""
    return lambda rows: users[rows] @ products.T


@contextlib.contextmanager
def threads_for(interactions: int, settings: TrainSettings) -> Iterator[None]:
    """torch on one thread for a graph that is not large. On small matrices a second one only waits for the first, and
    on a busy machine waits long: a network that trains in 1.4 s on one thread took 88 s on two beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if interactions < settings.large else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _tensorboard(folder: Path | None) -> Iterator[Callable[[str, float, int], None]]:
    if folder is None:
        yield lambda *_: None
        return
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and not always wanted

    writer = SummaryWriter(str(folder))
    try:
        yield writer.add_scalar
    finally:
        writer.close()
