// title: Extracted facts that no text supports
// description: Must give no row. One row a product with extracted relationships whose evidence is gone or hangs on no
//   document, or that have no fact id by which to find it. Pages through the products by sku: after a page of fewer
//   rows than $limit, even none, go on after the last sku that was looked at, and else after that of the last row.
// param after: STRING = '' -- sku after which to go on
// param products: INTEGER = 10000 -- most products that are looked at
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: sku STRING, facts LIST<MAP>

CYPHER 25
MATCH (p:Product)
WHERE p.sku > $after
WITH p
ORDER BY p.sku
LIMIT $products
CALL (p) {
  MATCH
    (p)-[f:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|COMPATIBLE_WITH|ACCESSORY_OF|DOES_NOT_FIT|PRAISED_FOR|CRITICISED_FOR
    |BETTER_THAN|WORSE_THAN|COMPARED_WITH]->(x)
  WHERE f.source = 'extraction'
    AND NOT EXISTS { MATCH (:Evidence {fact: f.fact})-[:FROM]->(:Document) }
  WITH type(f) AS type, coalesce(x.sku, x.key, x.path) AS object, f.fact AS fact
  ORDER BY type, object
  RETURN collect({type: type, object: object, fact: fact}) AS facts
}
FILTER size(facts) > 0
RETURN p.sku AS sku, facts
ORDER BY sku
LIMIT $limit
