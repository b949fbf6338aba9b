// title: What goes with a product
// description: Accessories and companions of a product, what is stated before what is learned. A product that is said
//   to be made for this one scores 4 to 5, one that is said to fit it 3 to 4, one made for its brand or its shelf 2 to
//   3, and one that the live model expects beside it up to 1; the part behind the integer is the statement's confidence
//   or the learned weight as a share of the strongest. Nothing inactive or out of stock, neither variants of the
//   product nor substitutes for it, and nothing that is said not to fit it, its brand or its shelf, unless what is
//   surer, or said of the two products, says that it does. With a user, nothing that this user bought or rated (unless
//   it is consumed) or regrets (returned, disliked, hid, or rated below 3). A reason names the relation and, where a
//   text says so, the fact whose evidence product/why shows.
// param sku: STRING -- the product's sku
// param user: STRING = null -- the user's id, if known
// param limit: INTEGER = 10 -- most rows to return
// example: {"sku": "G1", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
MATCH (this:Product {sku: $sku})
// What the user has, or does not want; what is consumed is bought again.
CALL () {
  MATCH (:User {id: $user})-[did:BOUGHT|RATED|DISLIKED|RETURNED|HIDDEN]->(p:Product)
  WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0
  RETURN collect(DISTINCT p) AS known
}
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
// What is said not to fit: products, brands and shelves. What is said of the two products outweighs what is said of a
// brand or shelf; of two that say the contrary of the same thing the surer counts.
CALL (this) {
  CALL (this) {
    MATCH (this)-[no:DOES_NOT_FIT]-(x)
    WHERE NOT EXISTS {
      MATCH (this)-[yes:ACCESSORY_OF|COMPATIBLE_WITH]-(x)
      WHERE coalesce(yes.confidence, 1.0) > coalesce(no.confidence, 1.0)
    }
    RETURN x
  UNION
    MATCH (this)-[:MADE_BY|IN_CATEGORY]->(kind)<-[no:DOES_NOT_FIT]-(x)
    WHERE NOT EXISTS { (this)-[:ACCESSORY_OF|COMPATIBLE_WITH]-(x) } AND NOT EXISTS {
      MATCH (kind)<-[yes:ACCESSORY_OF|COMPATIBLE_WITH]-(x)
      WHERE coalesce(yes.confidence, 1.0) > coalesce(no.confidence, 1.0)
    }
    RETURN x
  }
  RETURN collect(x) AS misfits
}
CALL (this, live) {
  // Made for this very product.
  MATCH (this)<-[r:ACCESSORY_OF]-(p:Product)
  RETURN p, 'ACCESSORY_OF' AS term, 4.0 + coalesce(r.confidence, 1.0) AS part, r.fact AS fact
UNION ALL
  // Said to work with it, by either of the two.
  MATCH (this)-[r:COMPATIBLE_WITH]-(p:Product)
  RETURN p, 'COMPATIBLE_WITH' AS term, 3.0 + coalesce(r.confidence, 1.0) AS part, r.fact AS fact
UNION ALL
  // Made for what this one is an example of: its brand, its shelf.
  MATCH (this)-[:MADE_BY|IN_CATEGORY]->(kind:Brand|Category)<-[r:ACCESSORY_OF|COMPATIBLE_WITH]-(p:Product)
  RETURN p, type(r) AS term, 2.0 + coalesce(r.confidence, 1.0) AS part, r.fact AS fact
UNION ALL
  // Bought together, as a feed says.
  MATCH (this)-[r:BOUGHT_WITH]-(p:Product)
  RETURN p, 'BOUGHT_WITH' AS term, 1.0 + coalesce(r.confidence, 1.0) / 2.0 AS part, r.fact AS fact
UNION ALL
  // Learned; the strongest of this product counts 1.
  MATCH (this)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
  WITH collect({product: p, weight: r.weight}) AS found, max(r.weight) AS strongest
  UNWIND found AS one
  RETURN one.product AS p, 'SIMILAR_TO' AS term, one.weight / strongest AS part, null AS fact
}
FILTER p <> this AND p.active AND coalesce(p.stock, 1) > 0 AND part > 0.0
FILTER NOT p IN known
// Another colour of the product, or what takes its place, does not go with it.
FILTER NOT EXISTS { (this)-[:VARIANT_OF|SUBSTITUTE_FOR]-(p) }
FILTER NOT p IN misfits AND (size(misfits) = 0 OR NOT EXISTS {
  MATCH (p)-[:MADE_BY|IN_CATEGORY]->(kind)
  WHERE kind IN misfits AND NOT EXISTS { (p)-[:ACCESSORY_OF|COMPATIBLE_WITH]-(this) }
})
// Several sources of one relation are one reason, the surest.
WITH p, term, part, fact
ORDER BY part DESC, fact
WITH p, term, max(part) AS part, collect(fact)[0] AS fact
ORDER BY part DESC, term
WITH p, max(part) AS score, collect({term: term, part: part, fact: fact}) AS reasons
RETURN p.sku AS sku, p.title AS title, score, reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
LIMIT $limit
