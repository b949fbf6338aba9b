// title: Shelves with a reason each
// description: What a shop shows as "because you bought …": for each of the products that the user met last, those that
//   belong to it most, by learned and explicit relations with the live model's weights. A product stands on the first
//   shelf alone that shows it, with its reasons: a relation, and what it adds. Nothing that the user bought or rated
//   (unless it is consumed); nothing that the user regrets (returned, disliked, hid, or rated below 3), which has no
//   shelf of its own either; nothing inactive or out of stock. Shelves with fewer products than asked for are left out.
// param user: STRING -- the user's id
// param shelves: INTEGER = 4 -- most shelves
// param limit: INTEGER = 10 -- most products on a shelf
// param least: INTEGER = 1 -- fewest products on a shelf
// example: {"user": "ben", "shelves": 2, "limit": 3}
// returns: because STRING, did STRING, sku STRING, products LIST<MAP>

CYPHER 25
MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL (u) {
  // The latest of the products that showed interest; the strongest kind of event names it.
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
    AND NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  WITH h, did
  ORDER BY did.strength DESC, type(did)
  WITH h, max(did.at.epochSeconds) AS at, collect(type(did))[0] AS did
  ORDER BY coalesce(at, -9.0e18) DESC, h.sku
  LIMIT 20
  RETURN collect({product: h, did: did}) AS history
}
UNWIND range(0, size(history) - 1) AS place
CALL (u, live, history, place) {
  LET h = history[place].product
  CALL (h, live) {
    MATCH (h)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
    RETURN p, 'SIMILAR_TO' AS term, live.w_similar * r.weight AS part
  UNION ALL
    MATCH (h)-[r:ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH|VIEWED_WITH|SUBSTITUTE_FOR]-(p:Product)
    WITH DISTINCT p, type(r) AS term, live
    LET weight = CASE term
                   WHEN 'ACCESSORY_OF' THEN live.w_accessory_of
                   WHEN 'COMPATIBLE_WITH' THEN live.w_compatible_with
                   WHEN 'BOUGHT_WITH' THEN live.w_bought_with
                   WHEN 'VIEWED_WITH' THEN live.w_viewed_with
                   ELSE live.w_substitute_for
                 END
    // While no model is live, every stated relation counts alike.
    RETURN p, term, coalesce(weight, 1.0) AS part
  }
  FILTER part > 0.0 AND p.active AND coalesce(p.stock, 1) > 0 AND p <> h
  FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
  WITH h, p, term, part
  ORDER BY part DESC, term
  WITH p, sum(part) AS score,
       collect({term: term, part: part, because: h.title}) AS reasons
  ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, p.sku
  // As many as all shelves before may have taken.
  LIMIT 20 * $limit
  RETURN collect({product: p, score: score, reasons: reasons[..3]}) AS found
}
WITH place, history[place] AS past, found
ORDER BY place
WITH collect({because: past.product, did: past.did, found: found}) AS shelves
// A product stands on the first shelf that shows it; one that is left out keeps it from none.
LET page = reduce(
  state = {rows: [], taken: []},
  shelf IN shelves |
  [mine IN [[one IN shelf.found WHERE NOT one.product IN state.taken][..$limit]] |
   CASE
     WHEN size(mine) < $least THEN state
     ELSE {
       rows: state.rows + [{because: shelf.because, did: shelf.did, mine: mine}],
       taken: state.taken + [one IN mine | one.product]
     }
   END][0]
)
UNWIND range(0, size(page.rows) - 1) AS place
LET shelf = page.rows[place]
RETURN shelf.because.title AS because, shelf.did AS did, shelf.because.sku AS sku,
       [one IN shelf.mine |
         {sku: one.product.sku, title: one.product.title, score: one.score, reasons: one.reasons}] AS products
ORDER BY place
LIMIT $shelves
