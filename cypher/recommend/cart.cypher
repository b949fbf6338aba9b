// title: What to add to a cart
// description: Products that go with the whole of a cart: each that is made for, fits or is bought with something in
//   it, or that the live model expects beside it. The score adds over the cart 1 for an accessory, 0.75 for something
//   compatible, 0.5 for a pair often bought together (times the confidence), and the learned weight as a share of the
//   strongest one; what belongs to several things in the cart comes first. Nothing that is in the cart, a variant of it
//   or a substitute for it, and nothing inactive or out of stock; what is said not to fit a product of the cart, its
//   brand or its shelf does not count for that one, unless what is surer, or said of the two products, says that it
//   does; with a user, nothing that this user bought or rated (unless it is consumed) or regrets (returned, disliked,
//   hid, or rated below 3). An unknown sku is passed over. A reason names the relation and the product of the cart
//   because of which it counts.
// param skus: LIST<STRING> -- skus in the cart
// param user: STRING = null -- the user's id, if known
// param limit: INTEGER = 10 -- most rows to return
// example: {"skus": ["G1", "G2"], "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
OPTIONAL MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL () {
  UNWIND $skus AS sku
  MATCH (h:Product {sku: sku})
  RETURN collect(DISTINCT h) AS cart
}
// What is said not to fit: products, brands and shelves. What is said of the two products outweighs what is said of a
// brand or shelf; of two that say the contrary of the same thing the surer counts.
CALL (cart) {
  CALL (cart) {
    UNWIND cart AS h
    MATCH (h)-[no:DOES_NOT_FIT]-(x)
    WHERE NOT EXISTS {
      MATCH (h)-[yes:ACCESSORY_OF|COMPATIBLE_WITH]-(x)
      WHERE coalesce(yes.confidence, 1.0) > coalesce(no.confidence, 1.0)
    }
    RETURN h, x
  UNION
    UNWIND cart AS h
    MATCH (h)-[:MADE_BY|IN_CATEGORY]->(kind)<-[no:DOES_NOT_FIT]-(x)
    WHERE NOT EXISTS { (h)-[:ACCESSORY_OF|COMPATIBLE_WITH]-(x) } AND NOT EXISTS {
      MATCH (kind)<-[yes:ACCESSORY_OF|COMPATIBLE_WITH]-(x)
      WHERE coalesce(yes.confidence, 1.0) > coalesce(no.confidence, 1.0)
    }
    RETURN h, x
  }
  RETURN collect([h, x]) AS misfits
}
CALL (cart, live) {
  UNWIND cart AS h
  MATCH (h)<-[r:ACCESSORY_OF]-(p:Product)
  RETURN h, p, 'ACCESSORY_OF' AS term, max(coalesce(r.confidence, 1.0)) AS part
UNION ALL
  UNWIND cart AS h
  MATCH (h)-[r:COMPATIBLE_WITH|BOUGHT_WITH]-(p:Product)
  WITH h, p, type(r) AS term, max(coalesce(r.confidence, 1.0)) AS confidence
  RETURN h, p, term, CASE term WHEN 'COMPATIBLE_WITH' THEN 0.75 ELSE 0.5 END * confidence AS part
UNION ALL
  UNWIND cart AS h
  MATCH (h)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
  WITH collect({h: h, p: p, weight: r.weight}) AS found, max(r.weight) AS strongest
  UNWIND found AS one
  RETURN one.h AS h, one.p AS p, 'SIMILAR_TO' AS term, one.weight / strongest AS part
}
FILTER part > 0.0 AND p.active AND coalesce(p.stock, 1) > 0 AND NOT p IN cart
// Another colour of something in the cart, or what takes its place, is no addition.
FILTER NOT EXISTS { MATCH (p)-[:VARIANT_OF|SUBSTITUTE_FOR]-(x) WHERE x IN cart }
FILTER NOT [h, p] IN misfits AND (size(misfits) = 0 OR NOT EXISTS {
  MATCH (p)-[:MADE_BY|IN_CATEGORY]->(kind)
  WHERE [h, kind] IN misfits AND NOT EXISTS { (p)-[:ACCESSORY_OF|COMPATIBLE_WITH]-(h) }
})
WITH u, p, h, term, part
ORDER BY part DESC, term, h.sku
WITH u, p, sum(part) AS score, collect({term: term, part: part, because: h.title})[..3] AS reasons
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
RETURN p.sku AS sku, p.title AS title, score, reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
LIMIT $limit
