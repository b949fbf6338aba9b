// title: How a product's price stands among its like
// description: The price beside those of comparable products: of the same shelf and currency, on sale, weighted by the
//   attribute values that both have, a rare value counting for more than one that half the shelf has. A product that
//   shares nothing but the shelf counts a tenth. Percentile is the weight of what is cheaper (half of what costs the
//   same); usual is the weighted median. With fewer than $least comparable products there is no verdict. At most 2,000
//   products of a shelf are compared, the most popular first.
// param sku: STRING -- the product's sku
// param least: INTEGER = 5 -- fewest comparable products for a verdict
// param shown: INTEGER = 5 -- most comparable products that are listed
// example: {"sku": "T1", "least": 2}
// returns: sku STRING, title STRING, price FLOAT, currency STRING, comparable INTEGER, percentile FLOAT, usual FLOAT,
//   ratio FLOAT, verdict STRING, nearest LIST<MAP>

CYPHER 25
MATCH (this:Product {sku: $sku})
CALL (this) {
  MATCH (this)-[:IN_CATEGORY]->(:Category)<-[:IN_CATEGORY]-(p:Product)
  WHERE p <> this AND p.active AND p.price IS NOT NULL AND coalesce(p.currency, '') = coalesce(this.currency, '')
  WITH DISTINCT p
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 2000
  RETURN collect(p) AS shelf
}
CALL (this, shelf) {
  UNWIND shelf AS p
  OPTIONAL MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
  WHERE EXISTS { (this)-[:HAS_ATTRIBUTE]->(v) }
  WITH v, collect(DISTINCT p) AS having, size(shelf) AS n
  // A value's weight is how much it narrows the shelf down: log of the shelf over those that have it.
  UNWIND having AS p
  WITH p, CASE WHEN v IS NULL THEN 0.0 ELSE log((n + 1.0) / size(having)) END AS part,
       CASE WHEN v IS NOT NULL THEN v.attribute + ' = ' + v.value + coalesce(' ' + v.unit, '') END AS value
  ORDER BY part DESC, value
  WITH p, 0.1 + sum(part) AS weight, collect(value) AS shared
  ORDER BY p.price, p.sku
  RETURN collect({product: p, price: p.price, weight: weight, shared: shared}) AS like
}
LET total = reduce(s = 0.0, x IN like | s + x.weight)
LET less = reduce(s = 0.0, x IN like | s + CASE WHEN x.price < this.price THEN x.weight ELSE 0.0 END),
    more = reduce(s = 0.0, x IN like | s + CASE WHEN x.price > this.price THEN x.weight ELSE 0.0 END)
// The price at which half of the weight is reached, going up.
LET usual = reduce(m = {sum: 0.0, price: null}, x IN like |
                   {sum: m.sum + x.weight,
                    price: CASE WHEN m.sum < total / 2.0 THEN x.price ELSE m.price END}).price
LET percentile = CASE WHEN total > 0.0 AND this.price IS NOT NULL THEN (less + (total - less - more) / 2.0) / total END
CALL (like) {
  UNWIND like AS x
  WITH x
  ORDER BY x.weight DESC, x.product.sku
  LIMIT $shown
  RETURN collect({
    sku: x.product.sku, title: x.product.title, price: x.price, weight: x.weight, shared: x.shared
  }) AS nearest
}
RETURN this.sku AS sku, this.title AS title, this.price AS price, this.currency AS currency, size(like) AS comparable,
       percentile, usual, this.price / usual AS ratio,
       CASE
         WHEN this.price IS NULL THEN 'the product has no price'
         WHEN size(like) < $least THEN 'not enough data: ' + size(like) + ' comparable products'
         WHEN percentile >= 0.8 THEN 'dear: ' + round(100.0 * less / total) + ' % of what is like it costs less'
         WHEN percentile <= 0.2 THEN 'cheap: ' + round(100.0 * more / total) + ' % of what is like it costs more'
         ELSE 'usual'
       END AS verdict, nearest
