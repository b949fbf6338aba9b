// title: What comes next
// description: What people take right after what was met last: the items of a running session, or else the latest of
//   the user's history. An item counts by its place from the end, the last 1 and each earlier one less by the live
//   model's recency; it leads on by the model's next and weight of SIMILAR_TO and by the explicit relations, each with
//   its weight on the live ModelVersion (1 for explicit relations while none is live). Never an item of the session or
//   one of those looked at, what the user bought or rated unless it is consumed, what the user regrets (returned,
//   disliked, hid, or rated below 3), which in a history leads on to nothing either, or what is inactive or out of
//   stock. A reason is a term of the sum, what it adds, and the item that leads there.
// param user: STRING = null -- the user's id, if known
// param items: LIST<STRING> = null -- skus of the session, the last one last; null for the user's history
// param last: INTEGER = 10 -- most items looked at, counted from the end
// param limit: INTEGER = 10 -- most rows to return
// example: {"user": "cleo", "items": ["T1", "G1"], "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
OPTIONAL MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL (u) {
  WHEN coalesce(size($items), 0) > 0 THEN {
    // Of an item met twice the later time counts.
    UNWIND range(0, size($items) - 1) AS i
    MATCH (h:Product {sku: $items[i]})
    WITH h, max(i) AS at
    ORDER BY at DESC
    RETURN collect(h) AS all
  }
  ELSE {
    MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
    WHERE did.at IS NOT NULL AND coalesce(did.strength, 1.0) > 0.0
      AND NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
    WITH h, max(did.at.epochSeconds) AS at
    ORDER BY at DESC, h.sku
    RETURN collect(h) AS all
  }
}
// Of a history what was looked at long ago may come again; of a session nothing.
LET met = all[..$last], barred = CASE WHEN coalesce(size($items), 0) > 0 THEN all ELSE all[..$last] END
UNWIND range(0, size(met) - 1) AS place
LET h = met[place], recent = coalesce(live.recency, 0.5) ^ place
CALL (h, live, recent) {
  MATCH (h)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
  WITH p, r.weight AS weight, coalesce(r.next, 0.0) AS next, live, recent
  UNWIND [
    {term: 'NEXT', part: coalesce(live.w_next, 0.0) * next},
    {term: 'SIMILAR_TO', part: coalesce(live.w_similar, 0.0) * weight}
  ] AS one
  RETURN p, one.term AS term, recent * one.part AS part
UNION ALL
  MATCH (h)-[r:BOUGHT_WITH|VIEWED_WITH|ACCESSORY_OF|COMPATIBLE_WITH|SUBSTITUTE_FOR|VARIANT_OF]-(p:Product)
  WITH DISTINCT p, type(r) AS term, live, recent
  LET weight = CASE term
                 WHEN 'BOUGHT_WITH' THEN live.w_bought_with
                 WHEN 'VIEWED_WITH' THEN live.w_viewed_with
                 WHEN 'ACCESSORY_OF' THEN live.w_accessory_of
                 WHEN 'COMPATIBLE_WITH' THEN live.w_compatible_with
                 WHEN 'SUBSTITUTE_FOR' THEN live.w_substitute_for
                 ELSE live.w_variant_of
               END
  RETURN p, term, recent * coalesce(weight, 1.0) AS part
}
FILTER part > 0.0 AND p.active AND coalesce(p.stock, 1) > 0 AND NOT p IN barred
WITH u, p, h, term, part
ORDER BY part DESC, term, h.sku
WITH u, p, sum(part) AS score, collect({term: term, part: part, because: h.title})[..3] AS reasons
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
RETURN p.sku AS sku, p.title AS title, score, reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
LIMIT $limit
