"""Claims and mentions of one document put into the schema's form, each with its evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from extraction.mentions import Claim, Mention, Reason
from kg.graph import Document, Evidence, Extraction, Graph, Node, NodeRef, Rejected, Relationship
from kg.schema import EXTRACTABLE, EXTRACTION, LABEL, RELATIONSHIP_TYPE

MIN_CONFIDENCE: Final = 0.5
"""Below it a claim is rejected."""
MAX_EVIDENCE: Final = 5
"""Places kept for one fact of one document."""


def assemble(
    document: Document,
    claims: Iterable[Claim],
    mentions: Iterable[Mention],
    rejected: Iterable[Rejected],
    *,
    extractor: str,
    version: str,
    at: datetime,
) -> Extraction:
    """Put claims and mentions into the schema's form, each with its evidence.

    Claims below :data:`MIN_CONFIDENCE` and claims that the schema does not
    allow are rejected; equal claims become one relationship with several
    places. A mention is kept where no claim is about the same thing.
    """
    subject = NodeRef("Product", document.sku)
    dropped = list(rejected)
    grouped: dict[tuple[str, NodeRef], list[Claim]] = defaultdict(list)
    nodes: dict[NodeRef, Node] = {}
    for claim in claims:
        reason = _objection(claim, subject)
        if reason is not None:
            detail = f"{claim.type}: {claim.node.key}"
            dropped.append(Rejected(reason, detail[:200], document.id, claim.start, claim.end))
            continue
        grouped[claim.type, claim.node.ref].append(claim)
        if claim.node.label != "Product":
            nodes.setdefault(claim.node.ref, claim.node)

    def evidence(start: int, end: int, confidence: float, fact: str | None, ref: NodeRef) -> Evidence:
        quote = document.text[start:end]
        return Evidence(
            document.id, start, end, quote, round(min(confidence, 1.0), 4), extractor, version, at, fact, ref
        )

    relationships: list[Relationship] = []
    proofs: list[Evidence] = []
    claimed: set[tuple[NodeRef, int]] = set()
    for (type_, ref), same in grouped.items():
        best = {(c.start, c.end): c for c in sorted(same, key=lambda c: c.confidence)}
        places = sorted(best.values(), key=lambda c: (-c.confidence, c.start))[:MAX_EVIDENCE]
        bare = Relationship(subject, type_, ref, EXTRACTION)
        confidence = round(places[0].confidence, 4)
        relationships.append(
            Relationship(subject, type_, ref, EXTRACTION, {"fact": bare.fact, "confidence": confidence})
        )
        proofs += [evidence(c.start, c.end, c.confidence, bare.fact, ref) for c in places]
        for beside in dict.fromkeys(b for c in places for b in c.about):
            nodes.setdefault(beside.node.ref, beside.node)
            proofs.append(evidence(beside.start, beside.end, beside.confidence, bare.fact, beside.node.ref))
        claimed.update((ref, c.start) for c in same)
    stated = {ref for _, ref in grouped}
    seen: dict[NodeRef, int] = defaultdict(int)
    for mention in mentions:
        ref = mention.node.ref
        if (
            ref in stated
            or (ref, mention.start) in claimed
            or mention.confidence < MIN_CONFIDENCE
            or seen[ref] >= MAX_EVIDENCE
        ):
            continue
        seen[ref] += 1
        claimed.add((ref, mention.start))
        if ref.label != "Product":
            nodes.setdefault(ref, mention.node)
        proofs.append(evidence(mention.start, mention.end, mention.confidence, None, ref))
    graph = Graph(tuple(nodes.values()), tuple(relationships), tuple(proofs))
    return Extraction(document.id, graph, tuple(dict.fromkeys(dropped)))


def _objection(claim: Claim, subject: NodeRef) -> Reason | None:
    """Why a claim may not enter the graph, if so."""
    if claim.type not in EXTRACTABLE or claim.node.label not in LABEL:
        return Reason.NOT_IN_SCHEMA
    if (subject.label, claim.node.label) not in RELATIONSHIP_TYPE[claim.type].between or not claim.node.key:
        return Reason.NOT_IN_SCHEMA
    if claim.node.ref == subject:
        return Reason.SELF_REFERENCE
    if claim.confidence < MIN_CONFIDENCE:
        return Reason.LOW_CONFIDENCE
    return None
