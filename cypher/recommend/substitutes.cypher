// title: What can take a product's place
// description: Substitutes, for a product that is out of stock or too dear. Stated substitutes and variants count 1
//   each; products of the same deepest shelf count by what they share with it: half the share of its attribute values
//   that they have, and half the cosine of the texts. Things looked at together add a quarter. Accessories of the
//   product are none, and neither is what is inactive or out of stock; with a user, nor is what this user bought or
//   rated (unless it is consumed) or regrets (returned, disliked, hid, or rated below 3). Columns say what a buyer
//   compares first: the difference in price, null between currencies, and the attribute values that differ.
// param sku: STRING -- the product's sku
// param max_price: FLOAT = null -- dearest price
// param user: STRING = null -- the user's id, if known
// param limit: INTEGER = 10 -- most rows to return
// example: {"sku": "G1", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, price_difference FLOAT, differs LIST<STRING>, reasons LIST<MAP>

CYPHER 25
MATCH (this:Product {sku: $sku})
// What the user has, or does not want; what is consumed is bought again.
CALL () {
  MATCH (:User {id: $user})-[did:BOUGHT|RATED|DISLIKED|RETURNED|HIDDEN]->(p:Product)
  WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0
  RETURN collect(DISTINCT p) AS known
}
CALL (this) {
  MATCH (this)-[r:SUBSTITUTE_FOR|VARIANT_OF]-(p:Product)
  RETURN p, type(r) AS term, max(coalesce(r.confidence, 1.0)) AS part
UNION ALL
  MATCH (this)-[:VIEWED_WITH]-(p:Product)
  RETURN DISTINCT p, 'VIEWED_WITH' AS term, 0.25 AS part
UNION ALL
  // The same shelf: its deepest one, and the most popular 500 of it.
  MATCH (this)-[:IN_CATEGORY]->(shelf:Category)
  WITH this, shelf
  ORDER BY size(split(shelf.path, ' > ')) DESC, shelf.path
  LIMIT 1
  MATCH (shelf)<-[:IN_CATEGORY]-(p:Product)
  WITH DISTINCT this, p
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 500
  LET mine = COLLECT { MATCH (this)-[:HAS_ATTRIBUTE]->(v:AttributeValue) RETURN DISTINCT v.key },
      theirs = COLLECT { MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue) RETURN DISTINCT v.key }
  LET shared = CASE size(mine) WHEN 0 THEN 0.0 ELSE 1.0 * size([key IN mine WHERE key IN theirs]) / size(mine) END,
      cosine = coalesce(2.0 * vector.similarity.cosine(this.text_embedding, p.text_embedding) - 1.0, 0.0)
  UNWIND [
    {term: 'IN_CATEGORY', part: 0.1},
    {term: 'HAS_ATTRIBUTE', part: shared / 2.0},
    {term: 'TEXT', part: cosine / 2.0}
  ] AS one
  RETURN p, one.term AS term, one.part AS part
}
FILTER p <> this AND p.active AND coalesce(p.stock, 1) > 0 AND part > 0.0
FILTER NOT p IN known
FILTER $max_price IS NULL OR p.price <= $max_price
FILTER NOT EXISTS { (p)-[:ACCESSORY_OF]-(this) }
WITH this, p, term, part
ORDER BY part DESC, term
WITH this, p, sum(part) AS score, collect({term: term, part: part}) AS reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT $limit
LET differs = COLLECT {
  MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
  WHERE NOT EXISTS { (this)-[:HAS_ATTRIBUTE]->(v) }
  RETURN DISTINCT v.attribute + ' = ' + v.value AS shown
  ORDER BY shown
}
LET comparable = coalesce(p.currency, '') = coalesce(this.currency, '')
RETURN p.sku AS sku, p.title AS title, score, CASE WHEN comparable THEN p.price - this.price END AS price_difference,
       differs, reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
