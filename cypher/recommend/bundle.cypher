// title: A bundle around a product
// description: What to sell together with a product: its companions, what is stated before what is learned, and no two
//   of one shelf, so that a guitar gets a strap, strings and a tuner rather than three straps. Scores are those of
//   recommend/accessories: 4 to 5 for what is made for it, 3 to 4 for what fits it, 2 to 3 for what is made for its
//   brand or shelf, 1 to 2 for what is bought with it, up to 1 for what the live model expects. With a budget, a
//   companion that would exceed it is passed over, and so is one without a price or with one in another currency than
//   the product's; there is no row if the product has no price itself. The column total is the price of the product and
//   the companions down to that row, null once one of them has none, or one in another currency. Nothing that is said
//   not to fit the product, its brand or its shelf, unless what is surer, or said of the two products, says that it
//   does. With a user, nothing that this user bought or rated (unless it is consumed) or regrets (returned, disliked,
//   hid, or rated below 3); nothing inactive or out of stock.
// param sku: STRING -- the product's sku
// param user: STRING = null -- the user's id, if known
// param budget: FLOAT = null -- dearest price of the whole
// param limit: INTEGER = 3 -- most companions
// example: {"sku": "G1", "limit": 2}
// returns: sku STRING, title STRING, price FLOAT, total FLOAT, score FLOAT, reasons LIST<MAP>

CYPHER 25
MATCH (this:Product {sku: $sku})
WHERE this.active AND coalesce(this.stock, 1) > 0
OPTIONAL MATCH (u:User {id: $user})
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
  MATCH (this)<-[r:ACCESSORY_OF]-(p:Product)
  RETURN p, 'ACCESSORY_OF' AS term, 4.0 + coalesce(r.confidence, 1.0) AS part, r.fact AS fact
UNION ALL
  MATCH (this)-[r:COMPATIBLE_WITH]-(p:Product)
  RETURN p, 'COMPATIBLE_WITH' AS term, 3.0 + coalesce(r.confidence, 1.0) AS part, r.fact AS fact
UNION ALL
  // What is made for a whole brand or shelf may be a great deal: the most popular of it.
  MATCH (this)-[:MADE_BY|IN_CATEGORY]->(kind:Brand|Category)<-[r:ACCESSORY_OF|COMPATIBLE_WITH]-(p:Product)
  WITH p, r
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 500
  RETURN p, type(r) AS term, 2.0 + coalesce(r.confidence, 1.0) AS part, r.fact AS fact
UNION ALL
  MATCH (this)-[r:BOUGHT_WITH]-(p:Product)
  RETURN p, 'BOUGHT_WITH' AS term, 1.0 + coalesce(r.confidence, 1.0) / 2.0 AS part, r.fact AS fact
UNION ALL
  MATCH (this)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
  WITH collect({product: p, weight: r.weight}) AS found, max(r.weight) AS strongest
  UNWIND found AS one
  RETURN one.product AS p, 'SIMILAR_TO' AS term, one.weight / strongest AS part, null AS fact
}
FILTER p <> this AND p.active AND coalesce(p.stock, 1) > 0 AND part > 0.0
// Another colour of the product, or what takes its place, is no companion.
FILTER NOT EXISTS { (this)-[:VARIANT_OF|SUBSTITUTE_FOR]-(p) }
FILTER NOT p IN misfits AND (size(misfits) = 0 OR NOT EXISTS {
  MATCH (p)-[:MADE_BY|IN_CATEGORY]->(kind)
  WHERE kind IN misfits AND NOT EXISTS { (p)-[:ACCESSORY_OF|COMPATIBLE_WITH]-(this) }
})
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
WITH this, p, term, part, fact
ORDER BY part DESC, fact
WITH this, p, term, max(part) AS part, collect(fact)[0] AS fact
ORDER BY part DESC, term
WITH this, p, max(part) AS score, collect({term: term, part: part, fact: fact}) AS reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT 200
// The deepest shelf; a product without any stands for itself.
LET shelf = COLLECT {
  MATCH (p)-[:IN_CATEGORY]->(c:Category)
  RETURN c.path AS path
  ORDER BY size(split(c.path, ' > ')) DESC, path
  LIMIT 1
}[0]
WITH this, coalesce(shelf, 'sku ' + p.sku) AS shelf, collect({p: p, score: score, reasons: reasons})[0] AS best
ORDER BY best.score DESC, coalesce(best.p.popularity, 0.0) DESC, best.p.sku
// What it adds to the total: null where it has no price, or one in another currency.
LET price = CASE WHEN coalesce(best.p.currency, '') = coalesce(this.currency, '') THEN best.p.price END
WITH this, collect({p: best.p, score: best.score, reasons: best.reasons, price: price}) AS companions
// One after the other, as long as the budget lasts.
LET bundle = reduce(
  chosen = {rows: [], total: this.price},
  one IN companions |
  CASE
    WHEN size(chosen.rows) < $limit
      AND ($budget IS NULL OR coalesce(chosen.total + one.price <= $budget, false))
      THEN {
        rows: chosen.rows + [{companion: one, total: chosen.total + one.price}],
        total: chosen.total + one.price
      }
    ELSE chosen
  END
)
UNWIND bundle.rows AS row
RETURN row.companion.p.sku AS sku, row.companion.p.title AS title, row.companion.p.price AS price, row.total AS total,
       row.companion.score AS score, row.companion.reasons AS reasons
ORDER BY score DESC, coalesce(row.companion.p.popularity, 0.0) DESC, sku
